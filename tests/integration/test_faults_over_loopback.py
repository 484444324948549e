# SPDX-License-Identifier: Apache-2.0
"""Everything that goes wrong between a coordinator and its sites, over real sockets: a clear word, and nothing lost."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedmed_desktop import events
from fedmed_desktop.coordinator import CoordinatorServer, Host, combining
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import Control, Given, LocalResult, Part, Plan, Report, Update
from fedmed_desktop.federation.inputs import SiteJoined, UpdateArrived
from fedmed_desktop.federation.work import Emit
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.protocol import wire
from fedmed_desktop.protocol.handshake import answered
from fedmed_desktop.protocol.messages import (
    Ask,
    Challenge,
    Decline,
    Finished,
    Goodbye,
    Missing,
    Progress,
    Receipt,
    Refused,
    Want,
    decode,
    encode,
)
from fedmed_desktop.protocol.transfer import MAX_FRAME_BYTES, MOST_FETCHES, Chunk, decode_chunk
from fedmed_desktop.site import Jobs, RuleApprover, SiteAgent
from fedmed_desktop.storage import BlobStore
from tests.parts.federation import INITIAL, NumpyTrainer, moved, result_of, small_spec
from tests.parts.loopback import (
    PATIENCE,
    RawSite,
    agent,
    all_of,
    coordinator,
    running,
    until,
)
from tests.parts.told import told_as

pytestmark = pytest.mark.integration

ONE = small_spec(rounds=1, sites=1, quorum=1)


def with_notes(result: LocalResult, **changes: object) -> LocalResult:
    report = Report.model_validate(result.update.report.model_dump() | changes)
    update = Update(round=result.update.round, parts=result.update.parts, report=report)
    return LocalResult(update, result.blobs, result.evidence)


# -- wrong updates -----------------------------------------------------------------------------------------------------


def renamed(adapter: Adapter) -> Adapter:
    return Adapter({name.replace("q_proj", "k_proj"): module for name, module in adapter.items()})


def without_one(adapter: Adapter) -> Adapter:
    return Adapter(dict(list(adapter.items())[1:]))


def reshaped(adapter: Adapter) -> Adapter:
    return adapter.map(lambda m: Module(np.vstack([m.B, m.B]), m.A, m.scale))


def reranked(adapter: Adapter) -> Adapter:
    return adapter.map(lambda m: Module(m.B[:, :1], m.A[:1], m.scale))


def rescaled(adapter: Adapter) -> Adapter:
    return adapter.map(lambda m: Module(m.B, m.A, 2 * m.scale))


class WrongTrainer(NumpyTrainer):
    """Trains like its parent, but its result is changed before it goes to the outbox."""

    def __init__(self, wrong: Callable[[LocalResult], LocalResult]) -> None:
        super().__init__(change=None)
        self._wrong = wrong

    def train_round(self, plan: Plan, given: Given, checkpoints: Path, emit: Emit, control: Control) -> LocalResult:
        return self._wrong(super().train_round(plan, given, checkpoints, emit, control))


def changed_to(change: Callable[[Adapter], Adapter]) -> Callable[[LocalResult], LocalResult]:
    def wrong(result: LocalResult) -> LocalResult:
        return replaced(result, change(Adapter.from_blob(result.blobs["adapter"])).to_blob())

    return wrong


def replaced(result: LocalResult, blob: bytes) -> LocalResult:
    part = Part(sha256=hashlib.sha256(blob).hexdigest(), size=len(blob))
    update = Update(round=result.update.round, parts={"adapter": part}, report=result.update.report)
    return LocalResult(update, {"adapter": blob}, result.evidence)


def with_nan(result: LocalResult) -> LocalResult:
    return replaced(result, result.blobs["adapter"][:-4] + np.float32("nan").tobytes())


WRONG = {
    "lora.tensor_not_finite": with_nan,
    "update.foreign_module": lambda r: changed_to(lambda a: Adapter({**a, **renamed(a)}))(r),
    "update.missing_module": changed_to(without_one),
    "update.wrong_shape": changed_to(reshaped),
    "update.wrong_rank": changed_to(reranked),
    "update.wrong_scale": changed_to(rescaled),
    "update.wrong_norm": lambda r: with_notes(r, update_norm=r.update.report.update_norm * 1.01),
    "lora.file_header": lambda r: replaced(r, (2).to_bytes(8, "little") + b"[]"),
    "update.too_large": lambda r: replaced(r, b"x" * 2_000_000),
}


@pytest.mark.parametrize("code", WRONG)
async def test_that_a_wrong_update_is_refused_in_words_and_the_others_go_on(
    code: str, tmp_path: Path, jobs: Jobs
) -> None:
    spec = small_spec(rounds=1, sites=2, quorum=1)
    seen: list[events.Event] = []
    async with coordinator(tmp_path / "c", spec, seen) as (host, port):
        wrong, right = [], []
        agents = [
            agent(tmp_path, "A", port, jobs, wrong, WrongTrainer(WRONG[code])),
            agent(tmp_path, "B", port, jobs, right),
        ]
        async with running(*agents) as tasks:
            finals = await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
        assert len(set(finals)) == 1 and host.rounds.state.phase == "finished"
        record = host.rounds.state.history[0]
        assert sorted(record.sites) == ["B"] and record.declined == {"A": "failed"}
    (refusal,) = all_of(wrong, events.UpdateRefused)
    assert refusal.code == code
    assert str(UserFacingError(refusal.code, **refusal.params))
    assert [event.code for event in all_of(seen, events.UpdateRefused)] == [code]
    decisions = [d.decision for d in agents[0].decisions if d.sha256 == refusal.update]
    assert decisions == ["approved", "released", "refused"]
    assert not list((tmp_path / "c" / "blobs" / "parts").iterdir())


async def asked(site: RawSite) -> LocalResult:
    """Joins, and makes an update for what it was asked."""
    await site.join()
    plan = await site.plan()
    return result_of(plan, INITIAL, moved(INITIAL, plan.seed % 2**32))


async def test_that_bytes_that_are_not_what_was_offered_are_fetched_again_and_then_refused(tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []) as (host, port), RawSite(port) as site:
        result = await asked(site)
        blob = result.blobs["adapter"]
        wrong = blob[:-1] + bytes([blob[-1] ^ 1])
        await site.offer(result, wrong)
        for _ in range(MOST_FETCHES - 1):
            want = await site.hear(Want)
            assert want.offset == 0
            await site.send(want.sha256, wrong)
        assert (await site.hear(Refused)).code == "update.wrong_hash"
        # damaged once only, it counts
        await site.offer(result, wrong)
        await site.send((await site.hear(Want)).sha256, blob)
        assert (await site.hear(Receipt)).update == result.update.sha256
        assert host.rounds.state.updates.keys() == {"raw"} or host.rounds.state.history


async def test_that_a_sender_that_changes_its_mind_about_the_length_is_heard_again_and_then_refused(
    tmp_path: Path,
) -> None:
    async with coordinator(tmp_path, ONE, []) as (_, port):
        for attempt in range(MOST_FETCHES):
            async with RawSite(port) as site:
                await site.join()
                plan = await site.plan()
                result = result_of(plan, INITIAL, moved(INITIAL, 1))
                blob = result.blobs["adapter"]
                await site.say(site.offered(result.update))
                want = await site.hear(Want)
                await site.say(Chunk(want.sha256, 0, len(blob) + 1, blob[:10]).encode())
                if attempt < MOST_FETCHES - 1:
                    assert (await site.hear(Goodbye)).code == "protocol.bad_chunk"
                else:
                    assert (await site.hear(Refused)).code == "protocol.bad_chunk"
                    await site.offer(result)
                    await site.hear(Receipt)


async def test_that_the_same_update_twice_counts_once_and_another_one_not_at_all(tmp_path: Path) -> None:
    spec = small_spec(rounds=1, sites=2, quorum=2)
    async with (
        coordinator(tmp_path, spec, []) as (host, port),
        RawSite(port, "one", "1" * 64) as one,
        RawSite(port, "two", "2" * 64) as two,
    ):
        await one.join()
        await two.join()
        plan = await one.plan()
        result = result_of(plan, INITIAL, moved(INITIAL, 1))
        await one.offer(result)
        first = await one.hear(Receipt)
        await one.say(one.offered(result.update))
        assert (await one.hear(Receipt)).update == first.update
        await one.say(one.offered(result_of(plan, INITIAL, moved(INITIAL, 2)).update))
        assert (await one.hear(Refused)).code == "update.second"
        # another site hands in the very same bytes: checked all the same, and counted for itself
        await two.plan()
        await two.say(two.offered(with_notes(result, update_norm=99.0).update))
        assert (await two.hear(Refused)).code == "update.wrong_norm"
        await two.say(two.offered(result.update))
        await two.hear(Receipt)
        await until(lambda: host.rounds.state.round == 2)
        assert sorted(host.rounds.state.history[0].sites) == ["one", "two"]


async def test_that_naming_the_global_adapter_as_ones_update_does_not_get_past_the_checks(tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []) as (_, port), RawSite(port) as site:
        result = await asked(site)
        part = Part(sha256=INITIAL.sha256, size=len(INITIAL.to_blob()))
        lie = Update(round=1, parts={"adapter": part}, report=result.update.report)
        await site.say(site.offered(lie))
        assert (await site.hear(Refused)).code == "update.wrong_norm"


async def test_that_a_site_that_has_lost_its_blob_says_so_and_is_not_thrown_out(tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []) as (_, port), RawSite(port) as site:
        result = await asked(site)
        await site.say(site.offered(result.update))
        want = await site.hear(Want)
        await site.say(Missing(sha256=want.sha256))
        assert (await site.hear(Refused)).code == "update.not_here"
        await site.offer(result)
        await site.hear(Receipt)


# -- who may connect ---------------------------------------------------------------------------------------------------


async def test_that_the_newest_connection_of_a_site_wins_and_the_older_is_told(tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []) as (_, port), RawSite(port) as old:
        result = await asked(old)
        await old.say(old.offered(result.update))
        want = await old.hear(Want)
        data = result.blobs["adapter"]
        await old.say(Chunk(want.sha256, 0, len(data), data[:200]).encode())
        async with RawSite(port) as new:
            await new.join()
            goodbye = await old.hear(Goodbye)
            assert goodbye.code == "join.replaced" and goodbye.final
            await old.line.wait_closed()
            assert old.line.close_code == 4401
            assert await new.plan()
            await new.offer(result)
            await new.hear(Receipt)


async def test_that_many_connections_of_one_site_leave_exactly_one_that_works(tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []) as (host, port):
        sites = [RawSite(port) for _ in range(6)]
        for site in sites:
            await site.__aenter__()
        for site in sites:
            await site.greet()
        await until(lambda: sum(site.line.close_code is None for site in sites) == 1)
        (left,) = [site for site in sites if site.line.close_code is None]
        assert await left.plan()
        result = result_of(host.rounds.state.plans["raw"], INITIAL, moved(INITIAL, 1))
        await left.offer(result)
        await left.hear(Receipt)
        for site in sites:
            await site.line.close()
        await until(lambda: not host.sessions)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"token": "x" * 64}, "join.name_taken"),
        ({"base": "00" * 32}, "join.other_base"),
        ({"version": 99}, "join.version"),
    ],
)
async def test_that_who_may_not_join_is_told_why_for_good(change: dict[str, object], code: str, tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []) as (host, port):
        async with RawSite(port) as first:
            await first.join()
        async with RawSite(port, token=str(change.pop("token", "t" * 64))) as site:
            await site.greet(**change)
            goodbye = await site.hear(Goodbye)
            assert (goodbye.code, goodbye.final) == (code, True)
            await site.line.wait_closed()
            assert site.line.close_code == 4401
        assert host.rounds.state.sites == ["raw"]


async def test_that_an_agent_that_is_refused_ends_with_that_sentence(tmp_path: Path, jobs: Jobs) -> None:
    async with coordinator(tmp_path / "c", small_spec(), []) as (_, port):
        with pytest.raises(UserFacingError) as caught:
            await asyncio.wait_for(agent(tmp_path, "A", port, jobs, [], base="00" * 32).run(), PATIENCE)
        assert caught.value.code == "join.other_base"
        async with running(agent(tmp_path, "B", port, jobs, [])):
            await asyncio.sleep(0.3)
            with pytest.raises(UserFacingError) as caught:
                await asyncio.wait_for(agent(tmp_path / "elsewhere", "B", port, jobs, []).run(), PATIENCE)
            assert caught.value.code == "join.name_taken"
    shutil.copytree(tmp_path / "c", tmp_path / "d", ignore=shutil.ignore_patterns("*.sqlite*", "blobs"))
    async with coordinator(tmp_path / "d", small_spec(seed=9), []) as (_, port):
        with pytest.raises(UserFacingError) as caught:
            await asyncio.wait_for(agent(tmp_path, "B", port, jobs, []).run(), PATIENCE)
        assert caught.value.code == "join.other_federation"


# -- peers that do not speak the protocol ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frames",
    [
        ["hello?"],
        [b"\x00" * 50],
        ["{}"],
        [json.dumps({"type": "want", "sha256": "ab" * 32})],
        ["[" * 4000],
        ["JOIN", "{}"],
        ["JOIN", b"\x00" * 10],
        ["JOIN", json.dumps({"type": "finished", "adapter": "ab" * 32, "size": 1})],
        ["JOIN", "JOIN"],
    ],
)
async def test_that_nonsense_costs_its_sender_the_connection_and_nobody_else(
    frames: list[str | bytes], tmp_path: Path
) -> None:
    spec = small_spec(rounds=1, sites=2, quorum=1)
    async with coordinator(tmp_path, spec, []) as (_, port), RawSite(port, "good", "g" * 64) as good:
        await good.join()
        async with RawSite(port) as bad:
            for frame in frames:
                if frame == "JOIN" and bad.bond.coordinator == "0" * 64:
                    await bad.greet()
                else:
                    await bad.say(bad.hello if frame == "JOIN" else frame)
            goodbye = await bad.hear(Goodbye)
            assert goodbye.code.startswith("protocol.")
            await bad.line.wait_closed()
            assert bad.line.close_code == 4400
        if "JOIN" in frames:
            plan = await good.plan()
            await good.offer(result_of(plan, INITIAL, moved(INITIAL, 1)))
            await good.hear(Receipt)


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("kind", ["text", "bytes"])
async def test_that_a_frame_too_large_closes_the_line_before_it_is_held(
    kind: str, joined: bool, tmp_path: Path
) -> None:
    async with coordinator(tmp_path, small_spec(), []) as (_, port), RawSite(port) as site:
        if joined:
            await site.join()
        size = MAX_FRAME_BYTES + 1
        await site.say("x" * size if kind == "text" else b"x" * size)
        await site.line.wait_closed()
        assert site.line.close_code in ((1009,) if joined else (1006, 1009))  # a stranger may be told nothing
        async with RawSite(port) as again:
            await again.join()


async def test_that_bytes_that_are_no_websocket_at_all_do_no_harm(tmp_path: Path) -> None:
    async with coordinator(tmp_path, small_spec(), []) as (_, port):
        for data in (b"\x16\x03\x01\x02\x00\x01", b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", b"\x00" * 100_000, b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            writer.write_eof()
            async with asyncio.timeout(PATIENCE):
                while await reader.read(1000):
                    pass
            writer.close()
        async with RawSite(port) as site:
            await site.join()


async def test_that_a_site_that_asks_without_listening_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "CLOSE_TIMEOUT", 0.5)  # it never answers a goodbye
    async with coordinator(tmp_path, small_spec(), []) as (host, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        site = RawSite(port)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
        given = decode((await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))).decode())
        assert isinstance(given, Challenge)
        writer.write(frame(encode(answered(site.key, given, site.hello))))
        del reader  # from here on nobody reads: the coordinator's answers pile up
        await until(lambda: "raw" in host.sessions)
        want = frame(Want(sha256="ab" * 32).model_dump_json())
        async with asyncio.timeout(PATIENCE):
            try:
                while host.sessions:
                    writer.write(want * 1000)
                    await asyncio.wait_for(writer.drain(), 1)
            except (OSError, TimeoutError):
                pass
        await until(lambda: not host.sessions)
        writer.transport.abort()


def frame(text: str) -> bytes:
    """A masked websocket text frame (RFC 6455, 5.2) with mask 0."""
    data = text.encode()
    length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + data


# -- what sites may fetch ----------------------------------------------------------------------------------------------


async def test_that_only_global_adapters_can_be_fetched(tmp_path: Path) -> None:
    spec = small_spec(rounds=1, sites=2, quorum=2)
    async with (
        coordinator(tmp_path, spec, []) as (host, port),
        RawSite(port, "one", "1" * 64) as one,
        RawSite(port, "two", "2" * 64) as two,
    ):
        await one.join()
        await two.join()
        result = result_of(await one.plan(), INITIAL, moved(INITIAL, 1))
        await one.offer(result)
        await one.hear(Receipt)
        theirs = result.update.parts["adapter"].sha256
        assert theirs in host.blobs
        for sha256 in (theirs, "00" * 32):
            await two.say(Want(sha256=sha256))
            assert (await two.hear(Missing)).sha256 == sha256
        await two.say(Want(sha256=INITIAL.sha256, offset=10))
        while not isinstance(got := await two.next(), bytes):
            pass
        chunk = decode_chunk(got)
        assert (chunk.offset, chunk.data) == (10, INITIAL.to_blob()[10:])


@pytest.mark.parametrize("address", ["ws://10.1.2.3:8765", "ws://hospital.example:8765", "ws://0.0.0.0:8765"])
def test_that_an_address_elsewhere_is_refused_by_both_ends(address: str, tmp_path: Path) -> None:
    jobs = Jobs()
    try:
        with pytest.raises(UserFacingError) as caught:
            SiteAgent(
                name="A",
                address=address,
                data_dir=tmp_path / "A",
                base_fingerprint="00" * 32,
                make_trainer=lambda spec: NumpyTrainer(),
                approver=RuleApprover("test rule"),
                jobs=jobs,
                emit=lambda event: None,
            )
        assert caught.value.code == "link.not_loopback"
    finally:
        jobs.close()
    BlobStore(tmp_path / "c" / "blobs").write(INITIAL.to_blob())
    host = Host(ONE, tmp_path / "c", lambda event: None)
    try:
        with pytest.raises(UserFacingError) as caught:
            CoordinatorServer(host, address.removeprefix("ws://").partition(":")[0], 0, lambda event: None)
        assert caught.value.code == "coordinator.not_loopback"
    finally:
        asyncio.run(host.stop())


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1", "wss://127.0.0.1", "127.0.0.1:1", "ws://127.0.0.1", "ws://[::1"]
)
def test_that_what_is_no_address_is_refused_with_an_example(address: str) -> None:
    from fedmed_desktop.site.link import check_address

    with told_as(r"such as wss://federation\.example\.org:8765"):
        check_address(address)


async def test_that_a_port_in_use_is_named(tmp_path: Path) -> None:
    async with coordinator(tmp_path / "c", ONE, []) as (_, port):
        with told_as(str(port)) as caught:
            async with coordinator(tmp_path / "d", ONE, [], port):
                pass
        assert caught.value.code == "coordinator.port"
        with pytest.raises(UserFacingError) as caught:
            async with coordinator(tmp_path / "c", ONE, []):
                pass
        assert caught.value.code == "storage.in_use"


async def test_that_health_and_status_answer_on_the_same_port(tmp_path: Path) -> None:
    async def get(port: int, path: str) -> tuple[bytes, dict[str, object]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = json.loads(await reader.readexactly(length))
        writer.close()
        return head.split(b"\r\n")[0], body

    spec = small_spec(rounds=1, sites=2, quorum=2)
    async with coordinator(tmp_path, spec, []) as (_, port), RawSite(port) as site:
        status_line, health = await get(port, "/healthz")
        assert status_line == b"HTTP/1.1 200 OK" and health["status"] == "ok"
        assert (await get(port, "/status"))[1]["phase"] == "gathering"
        await site.join()
        async with RawSite(port, "two", "2" * 64) as two:
            await two.join()
            await site.plan()
            await site.say(Progress(round=1, phase="approval"))
            await two.plan()
            await two.say(Decline(round=1, code="kept"))
            await asyncio.sleep(0.2)
            _, status = await get(port, "/status?x=1")
        assert (status["phase"], status["round"], status["attempt"]) == ("open", 1, 1)
        sites = status["sites"]
        assert isinstance(sites, dict)
        assert sites["raw"]["awaits_approval"] and sites["raw"]["connected"]
        assert sites["two"]["declined"] == "kept"


async def test_that_a_finished_federation_says_so_to_whoever_comes(tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []) as (host, port):
        async with RawSite(port) as site:
            await site.offer(await asked(site))
            await site.hear(Receipt)
            ask = await site.hear(Ask)
            assert ask.plan.kind == "evaluate"
            await site.say(Decline(round=2, code="kept"))
            finished = await site.hear(Finished)
            assert finished.adapter == host.rounds.state.start
        async with RawSite(port) as site:
            await site.join()
            assert await site.hear(Finished) == finished


async def test_that_a_round_that_closes_while_the_coordinator_still_starts_is_combined_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sites come back as soon as the port is open; two combinations of one round would write to the same files."""
    combined, combine_stored = list[int](), combining.combine_stored

    def counted(*given: Any) -> Any:
        combined.append(given[0].round)
        return combine_stored(*given)

    monkeypatch.setattr(combining, "combine_stored", counted)
    BlobStore(tmp_path / "blobs").write(INITIAL.to_blob())
    host = Host(ONE, tmp_path, lambda event: None)
    await host.apply(SiteJoined(site="A"))
    result = result_of(host.rounds.state.plans["A"], INITIAL, moved(INITIAL, 1))
    host.blobs.write(result.blobs["adapter"])
    await host.apply(UpdateArrived(site="A", update=result.update))
    await host.start()
    await until(lambda: host.rounds.state.round == 2)
    await host.combining.caught_up()
    await host.stop()
    assert combined == [1]
