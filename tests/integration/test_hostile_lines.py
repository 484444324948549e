# SPDX-License-Identifier: Apache-2.0
"""Lines that damage bytes, and peers that mean harm: what it costs, and whom."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage, InvalidStatus

from fedmed_desktop import events
from fedmed_desktop.bounds import LARGEST_COUNT
from fedmed_desktop.coordinator import bulletin, limits
from fedmed_desktop.federation import Control, Part, Update
from fedmed_desktop.federation.work import Given
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.protocol.messages import Receipt, Refused, Standing, Want, encode
from fedmed_desktop.protocol.wire import MAX_HELLO_BYTES, longest_offer
from fedmed_desktop.scores import Counts, Scores, TaskScores
from fedmed_desktop.site import Jobs
from fedmed_desktop.storage import BlobStore
from tests.parts.federation import FINGERPRINT, INITIAL, moved, result_of, small_spec
from tests.parts.loopback import PATIENCE, CuttingProxy, RawSite, agent, all_of, coordinator
from tests.parts.method import spec_of
from tests.parts.plan import MethodTrainer

ONE = small_spec(rounds=1, sites=1, quorum=1)

# Large enough that nearly every damaged byte lies in an adapter's bytes.
WIDE_SHAPES = {"model.layers.0.mlp.up_proj": (4096, 2048)}
WIDE = Adapter.initial(WIDE_SHAPES, 16, 2.0, seed=0)
WIDE_BASE = {"fingerprint": FINGERPRINT, "initial": WIDE.sha256, "modules": WIDE_SHAPES}


@pytest.mark.parametrize("seed", range(6))
async def test_that_a_byte_damaged_on_the_way_costs_a_transfer_and_not_the_round(
    seed: int, tmp_path: Path, jobs: Jobs
) -> None:
    spec = small_spec(rounds=1, sites=1, quorum=1, base=WIDE_BASE, lora={"rank": 16, "alpha": 32})
    blob, rng = len(WIDE.to_blob()), random.Random(seed)
    places = [tuple(4000 + int(blob * rng.uniform(0.1, 0.9)) for _ in range(2)) for _ in ("up", "down")]
    seen: list[events.Event] = []
    async with (
        coordinator(tmp_path / "c", spec, seen, initial=WIDE) as (host, port),
        CuttingProxy(port, damaged_up=places[0], damaged_down=places[1]) as proxy,
    ):
        site = agent(tmp_path, "Alpha", proxy.port, jobs, seen)
        async with asyncio.timeout(PATIENCE):
            await site.run()
        assert host.rounds.state.history[0].sites.keys() == {"Alpha"}
        assert not host.rounds.state.history[0].declined
        assert not all_of(seen, events.UpdateRefused)
        assert proxy.bytes["up"] > 2 * blob and proxy.bytes["down"] > 2 * blob, "nothing was sent again"


async def test_that_absurd_counts_are_refused_and_the_honest_site_goes_on(tmp_path: Path) -> None:
    spec = small_spec(rounds=1, sites=2, quorum=1)
    async with (
        coordinator(tmp_path, spec, []) as (host, port),
        RawSite(port, "liar", "1" * 64) as liar,
        RawSite(port, "honest", "2" * 64) as honest,
    ):
        await liar.join()
        await honest.join()
        plan = await liar.plan()
        lie = encode(liar.offered(result_of(plan, INITIAL, moved(INITIAL, 1)).update))
        await liar.say(lie.replace('"tp":10', '"tp":' + "9" * 4300))
        result = result_of(await honest.plan(), INITIAL, moved(INITIAL, 2))
        await honest.offer(result)
        await honest.hear(Receipt)
        assert host.rounds.state.updates.keys() == {"honest"}
        await honest.hear(Standing)


async def test_that_a_standing_that_cannot_be_read_ends_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: Jobs
) -> None:
    """As a coordinator that has taken absurd numbers once tells them, for ever."""

    real = bulletin.fitting
    monkeypatch.setattr(bulletin, "fitting", lambda told: real(told).replace('"round":', '"round":' + "9" * 400, 1))
    seen: list[events.Event] = []
    async with coordinator(tmp_path / "c", ONE, seen) as (_, port):
        async with asyncio.timeout(PATIENCE):
            await agent(tmp_path, "Alpha", port, jobs, seen).run()
    assert any(event.code == "protocol.not_understood" for event in all_of(seen, events.Warned))
    assert not [event for event in all_of(seen, events.ConnectionChanged) if event.state == "lost"]


# -- browsers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "host"),
    [
        ({"Origin": "https://evil.example"}, None),
        ({"Origin": "http://localhost"}, None),
        ({"Origin": "null"}, None),
        ({}, "evil.example"),
        ({}, "localhost.evil.example"),
        ({}, ""),
    ],
)
async def test_that_a_web_page_is_not_let_in(headers: dict[str, str], host: str | None, tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []) as (_, port):
        named = f"{host}:{port}" if host else (host if host == "" else f"127.0.0.1:{port}")
        lines = [f"Host: {named}", *(f"{name}: {value}" for name, value in headers.items())]
        for path in ("/status", "/healthz"):
            assert b" 403 " in await answer(port, path, lines)
        if host is None:
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://127.0.0.1:{port}", additional_headers=headers, proxy=None)
            assert refused.value.response.status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.0.0.1:9", "LOCALHOST:8765"])
async def test_that_this_computers_own_names_are_answered_at_any_port(host: str, tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []) as (_, port):
        assert b" 200 " in await answer(port, "/status", [f"Host: {host}"])
        assert b" 403 " in await answer(port, "/status", [f"Host: {host}", "Host: evil.example"])


async def answer(port: int, path: str, lines: list[str]) -> bytes:
    """The status line of the answer to a plain request with these header lines."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode())
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()


# -- updates of several parts ------------------------------------------------------------------------------------------


async def test_that_no_part_of_a_refused_update_is_kept(tmp_path: Path) -> None:
    spec = small_spec(rounds=1, sites=1, quorum=1, method=spec_of("scaffold").method)
    async with coordinator(tmp_path, spec, []) as (_, port), RawSite(port) as site:
        await site.join()
        plan = await site.plan()
        before = blobs(tmp_path)
        for number in range(5):
            seeded = plan.model_copy(update={"seed": number})
            good = MethodTrainer().train_round(seeded, Given(INITIAL), tmp_path, lambda event: None, Control())
            bad = Adapter({name: Module(m.B[:1], m.A, m.scale) for name, m in INITIAL.items()}).to_blob()
            lie = Part(sha256=hashlib.sha256(bad).hexdigest(), size=len(bad))
            parts = {**good.update.parts, "control": lie}
            update = Update(round=1, parts=parts, report=good.update.report)
            await site.say(site.offered(update))
            sent = {"adapter": good.blobs["adapter"], "control": bad}
            for name in ("adapter", "control"):
                want = await site.hear(Want)
                assert want.sha256 == parts[name].sha256
                await site.send(want.sha256, sent[name])
            assert (await site.hear(Refused)).code == "update.wrong_shape"
        assert blobs(tmp_path) == before
        # and what is right is kept whole
        await site.say(site.offered(good.update))
        for name in ("adapter", "control"):
            await site.send((await site.hear(Want)).sha256, good.blobs[name])
        await site.hear(Receipt)
        assert {part.sha256 for part in good.update.parts.values()} <= blobs(tmp_path)


def blobs(folder: Path) -> set[str]:
    return {path.name for path in (folder / "blobs").rglob("*") if path.is_file()}


# -- memory ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("joined", "size"), [(False, MAX_HELLO_BYTES), (True, longest_offer(ONE.types))])
async def test_that_only_a_site_whose_update_is_fetched_may_send_long_frames(
    joined: bool, size: int, tmp_path: Path
) -> None:
    """A frame that is begun and never finished is held in memory all the same."""
    async with coordinator(tmp_path, ONE, []) as (_, port), RawSite(port) as site:
        if joined:
            await site.join()
        await site.say("x" * (size + 1))
        await site.line.wait_closed()
        assert site.line.close_code == 1009
    async with coordinator(tmp_path / "again", ONE, []) as (_, port), RawSite(port) as site:
        await site.join()
        await site.offer(result_of(await site.plan(), INITIAL, moved(INITIAL, 1)))
        await site.hear(Receipt)


@pytest.mark.parametrize(("types", "letter"), [(1, "\U00020000"), (150, "科"), (400, "a")])
async def test_that_the_longest_honest_offer_is_taken(types: int, letter: str, tmp_path: Path) -> None:
    names = tuple(f"adverse_drug_event_of_kind_{number:03}" for number in range(types))
    spec = small_spec(rounds=1, sites=1, quorum=1, types=names, share={"histogram": "specialties"})
    counts = {name: Counts(tp=LARGEST_COUNT, fp=LARGEST_COUNT, fn=LARGEST_COUNT) for name in names}
    scores = Scores.of_entities(TaskScores(strict=counts, lenient=counts))
    histogram = {f"{number:03}".rjust(80, letter): LARGEST_COUNT for number in range(200)}
    async with coordinator(tmp_path, spec, []) as (_, port), RawSite(port) as site:
        await site.join()
        made = result_of(await site.plan(), INITIAL, moved(INITIAL, 1))
        changes = {"histogram": histogram, "scores_before": scores, "scores_after": scores}
        report = made.update.report.model_copy(update=changes)
        await site.say(site.offered(made.update.model_copy(update={"report": report})))
        await site.send((await site.hear(Want)).sha256, made.blobs["adapter"])
        await site.hear(Receipt)


async def test_that_few_connections_may_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_STRANGERS", 3)
    async with coordinator(tmp_path, ONE, []) as (_, port), contextlib.AsyncExitStack() as lines:
        for _ in range(3):
            await lines.enter_async_context(RawSite(port))
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{port}", proxy=None)
        assert refused.value.response.status_code == 503
        await lines.aclose()
        async with RawSite(port) as site:  # there is room again
            await site.join()


async def test_that_a_request_that_never_ends_is_cut_off_and_counts_as_a_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """600 such requests took 596 MiB, of which 460 stayed: all that comes before a websocket was without a limit."""
    monkeypatch.setattr(limits, "MAX_STRANGERS", 3)
    async with coordinator(tmp_path, ONE, []) as (_, port), contextlib.AsyncExitStack() as lines:
        endless, held = await begun_request(port, lines)
        for _ in range(2 * limits.MAX_STRANGER_BYTES // 1000):
            held.write(b"X: " + b"x" * 1000 + b"\r\n")
        assert await hung_up(endless)
        waiting = [await begun_request(port, lines) for _ in range(2 * limits.MAX_STRANGERS)]
        assert await hung_up((await begun_request(port, lines))[0])
        with pytest.raises((OSError, InvalidMessage)):
            await connect(f"ws://127.0.0.1:{port}", proxy=None)
        for _, writer in waiting[3:]:
            writer.close()
            await writer.wait_closed()
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{port}", proxy=None)
        assert refused.value.response.status_code == 503
        await lines.aclose()
        async with RawSite(port) as site:  # there is room again
            await site.join()


async def begun_request(
    port: int, lines: contextlib.AsyncExitStack
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines.callback(writer.close)
    writer.write(b"GET / HTTP/1.1\r\n")
    return reader, writer


async def hung_up(reader: asyncio.StreamReader) -> bool:
    """Whether the other side ends the connection, before a handshake's own time limit could."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            return await reader.read() == b""
    return True


async def test_that_what_all_sites_are_told_is_counted_once_for_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was counted for each site over all sites: one site that left and came back cost the square of their number."""
    counted = 0

    def counting(*given: Any) -> Any:
        nonlocal counted
        counted += 1
        return real(*given)

    real = bulletin.standing
    monkeypatch.setattr(bulletin, "standing", counting)
    monkeypatch.setattr(bulletin, "INTERVAL", 0.01)
    spec = small_spec(sites=20, quorum=1)
    async with coordinator(tmp_path, spec, []) as (_, port), contextlib.AsyncExitStack() as lines:
        sites = [await lines.enter_async_context(RawSite(port, f"site {n}", f"{n:064}")) for n in range(12)]
        for site in sites:
            await site.join()
        for site in sites:
            while (await site.hear(Standing)).connected < len(sites):
                pass
        before = counted
        async with RawSite(port, "late", "9" * 64) as late:
            await late.join()
            for site in sites:
                while (await site.hear(Standing)).connected <= len(sites):
                    pass
        assert counted - before < len(sites), "each site had the others counted for itself"


async def test_that_a_site_that_asks_on_and_on_does_not_have_the_adapter_read_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    real = BlobStore.is_whole

    def counting(self: BlobStore, sha256: str) -> bool:
        nonlocal read
        read += 1
        return real(self, sha256)

    monkeypatch.setattr(BlobStore, "is_whole", counting)
    async with coordinator(tmp_path, ONE, []) as (_, port), RawSite(port) as site:
        await site.join()
        before = read
        for _ in range(20):
            await site.say(Want(sha256=INITIAL.sha256))
            while not isinstance(await site.next(), bytes):
                pass
    assert read - before == 1
