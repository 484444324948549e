# SPDX-License-Identifier: Apache-2.0
"""Everything that goes wrong between a coordinator and its sites, over real sockets: a clear word, and nothing lost."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from fedmed_desktop import events
from fedmed_desktop.coordinator import CoordinatorServer, Host
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import Control, FederationSpec, Given, LocalResult, Part, Plan, Report, Rounds, Update
from fedmed_desktop.federation.combine import Term, combine_factors
from fedmed_desktop.federation.inputs import Input, SiteJoined, UpdateArrived
from fedmed_desktop.federation.spec import BaseModelSpec, LoraSettings, RoundSettings
from fedmed_desktop.federation.work import Emit
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.protocol.messages import (
    Ask,
    Decline,
    Finished,
    Goodbye,
    Missing,
    OfferUpdate,
    Progress,
    Receipt,
    Refused,
    Want,
    Welcome,
)
from fedmed_desktop.protocol.transfer import MAX_FRAME_BYTES, MOST_FETCHES, Chunk, decode_chunk
from fedmed_desktop.site import Jobs, RuleApprover, SiteAgent, Verdict
from fedmed_desktop.storage import BlobStore, Entry, Ledger
from tests.parts.federation import INITIAL, NumpyTrainer, moved, result_of, small_spec
from tests.parts.loopback import (
    PATIENCE,
    QUICK,
    CuttingProxy,
    RawSite,
    agent,
    all_of,
    coordinator,
    running,
    stop,
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
                await site.say(OfferUpdate(update=result.update))
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
        await one.say(OfferUpdate(update=result.update))
        assert (await one.hear(Receipt)).update == first.update
        await one.say(OfferUpdate(update=result_of(plan, INITIAL, moved(INITIAL, 2)).update))
        assert (await one.hear(Refused)).code == "update.second"
        # another site hands in the very same bytes: checked all the same, and counted for itself
        await two.say(OfferUpdate(update=with_notes(result, update_norm=99.0).update))
        assert (await two.hear(Refused)).code == "update.wrong_norm"
        await two.say(OfferUpdate(update=result.update))
        await two.hear(Receipt)
        await until(lambda: host.rounds.state.round == 2)
        assert sorted(host.rounds.state.history[0].sites) == ["one", "two"]


async def test_that_naming_the_global_adapter_as_ones_update_does_not_get_past_the_checks(tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []) as (_, port), RawSite(port) as site:
        result = await asked(site)
        part = Part(sha256=INITIAL.sha256, size=len(INITIAL.to_blob()))
        lie = Update(round=1, parts={"adapter": part}, report=result.update.report)
        await site.say(OfferUpdate(update=lie))
        assert (await site.hear(Refused)).code == "update.wrong_norm"


async def test_that_a_site_that_has_lost_its_blob_says_so_and_is_not_thrown_out(tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []) as (_, port), RawSite(port) as site:
        result = await asked(site)
        await site.say(OfferUpdate(update=result.update))
        want = await site.hear(Want)
        await site.say(Missing(sha256=want.sha256))
        assert (await site.hear(Refused)).code == "update.not_here"
        await site.offer(result)
        await site.hear(Receipt)


# -- who may connect ---------------------------------------------------------------------------------------------------


async def test_that_the_newest_connection_of_a_site_wins_and_the_older_is_told(tmp_path: Path) -> None:
    async with coordinator(tmp_path, ONE, []) as (_, port), RawSite(port) as old:
        result = await asked(old)
        await old.say(OfferUpdate(update=result.update))
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
            await site.say(site.hello)
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
        async with RawSite(port) as site:
            site.hello = site.hello.model_copy(update=change)
            await site.say(site.hello)
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
        ["[" * 100_000],
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
        assert site.line.close_code == 1009
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


async def test_that_a_site_that_asks_without_listening_is_cut_off(tmp_path: Path) -> None:
    async with coordinator(tmp_path, small_spec(), []) as (host, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        del reader  # from here on nobody reads: the coordinator's answers pile up
        site = RawSite(port)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        writer.write(frame(site.hello.model_dump_json()))
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


# -- a coordinator that is not there, or hostile -----------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_that_a_site_keeps_trying_and_says_so_until_the_coordinator_is_there(tmp_path: Path, jobs: Jobs) -> None:
    port, seen = free_port(), list[events.Event]()
    async with running(agent(tmp_path, "A", port, jobs, seen)) as (task,):
        await until(lambda: len(lost(seen)) >= 3)
        assert not task.done()
        event = lost(seen)[0]
        assert event.code == "link.unreachable" and event.retry_seconds is not None
        assert f"127.0.0.1:{port}" in str(UserFacingError(event.code, **event.params))
        async with coordinator(tmp_path / "c", ONE, [], port):
            assert await asyncio.wait_for(task, PATIENCE)


def lost(seen: list[events.Event]) -> list[events.ConnectionChanged]:
    return [event for event in all_of(seen, events.ConnectionChanged) if event.state == "lost"]


HOSTILE = [
    "not json",
    '{"type": "newer"}',
    b"\x00" * 60,
    b"",
    '{"type": "ask"}',
    json.dumps({"type": "receipt", "round": 1, "update": "ab" * 32, "time": "2026-01-01T00:00:00Z"}),
    json.dumps({"type": "refused", "round": 1, "update": "ab" * 32, "code": "update.wrong_rank", "params": {}}),
    json.dumps({"type": "missing", "sha256": "ab" * 32}),
    json.dumps({"type": "want", "sha256": "ab" * 32, "offset": 7}),
    Chunk("ab" * 32, 0, 5, b"abc").encode(),
    json.dumps({"type": "goodbye", "code": "update.wrong_rank", "params": {"code": 1, "retryable": 2}, "final": False}),
    "CLOSE",
    "ABORT",
]


async def test_that_nothing_a_coordinator_says_wrongly_ends_a_site(tmp_path: Path, jobs: Jobs) -> None:
    """One connection after the other says something wrong, before its welcome and after it."""
    from websockets.asyncio.server import ServerConnection, serve

    script = [(frame, welcomed) for frame in HOSTILE for welcomed in (False, True)]
    said: list[str | bytes] = []

    async def misbehave(connection: ServerConnection) -> None:
        wrong, welcomed = script.pop(0) if script else ("CLOSE", False)
        said.append(wrong)
        if wrong == "ABORT" and not welcomed:
            connection.transport.abort()
            return
        await connection.recv()
        if welcomed:
            await connection.send(Welcome(version=1, spec=ONE, round=1, phase="open").model_dump_json())
        if wrong == "ABORT":
            connection.transport.abort()
        elif wrong != "CLOSE":
            await connection.send(wrong)
            await asyncio.sleep(0.05)

    seen: list[events.Event] = []
    async with serve(misbehave, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with running(agent(tmp_path, "A", port, jobs, seen)) as (task,):
            await until(lambda: task.done() or len(said) > 2 * len(HOSTILE))
            assert not task.done(), task.exception()
    codes = {event.code for event in lost(seen)}
    assert {"protocol.not_understood", "protocol.bad_chunk", "link.closed", "update.wrong_rank"} <= codes
    async with coordinator(tmp_path / "c", ONE, []) as (_, port):
        await asyncio.wait_for(agent(tmp_path, "A", port, jobs, []).run(), PATIENCE)


async def test_that_a_redirect_is_never_followed(tmp_path: Path, jobs: Jobs) -> None:
    visited = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visited.append(await reader.read(100))
        writer.close()

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:{target}/\r\n\r\n".encode())
        writer.close()

    async with (
        await asyncio.start_server(elsewhere, "127.0.0.1", 0) as far,
        await asyncio.start_server(redirect, "127.0.0.1", 0) as near,
    ):
        target = far.sockets[0].getsockname()[1]
        seen: list[events.Event] = []
        async with running(agent(tmp_path, "A", near.sockets[0].getsockname()[1], jobs, seen)) as (task,):
            await until(lambda: len(lost(seen)) >= 2)
            assert not task.done()
    assert visited == []


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
                approver=Person(),
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
    "address", ["http://127.0.0.1:1", "wss://127.0.0.1:1", "127.0.0.1:1", "ws://127.0.0.1", "ws://[::1"]
)
def test_that_what_is_no_address_is_refused_with_an_example(address: str) -> None:
    from fedmed_desktop.site.link import check_address

    with told_as(r"such as ws://127\.0\.0\.1:8765"):
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


# -- cut lines ---------------------------------------------------------------------------------------------------------

WIDE = {"model.layers.0.mlp.up_proj": (60_000, 8)}
WIDE_INITIAL = Adapter.initial(WIDE, 4, 2.0, seed=0)


def wide_spec() -> FederationSpec:
    return small_spec(
        rounds=1,
        sites=1,
        quorum=1,
        base=BaseModelSpec(fingerprint=small_spec().base.fingerprint, initial=WIDE_INITIAL.sha256, modules=WIDE),
        lora=LoraSettings(rank=4, alpha=8),
    )


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_that_a_cut_transfer_resumes_by_offset(direction: str, tmp_path: Path, jobs: Jobs) -> None:
    size = len(WIDE_INITIAL.to_blob())
    seen: list[events.Event] = []
    cuts = (size // 3, size // 2, int(size * 0.9))
    async with (
        coordinator(tmp_path / "c", wide_spec(), [], initial=WIDE_INITIAL) as (host, port),
        CuttingProxy(port, **{f"cuts_{direction}": cuts}) as proxy,
    ):
        async with running(agent(tmp_path, "A", proxy.port, jobs, seen)) as (task,):
            final = await asyncio.wait_for(task, PATIENCE)
        assert host.rounds.state.history[0].adapter == final
        assert proxy.connections == 4
        # once in each direction (alone, a site's own update is the next global adapter); frames that a cut hit
        # come twice
        assert size <= proxy.bytes[direction] < size + 3 * MAX_FRAME_BYTES + 100_000
    sent = [e for e in all_of(seen, events.TransferProgress) if e.direction == direction]
    assert sent[-1].bytes == sent[-1].total == size
    assert len(all_of(seen, events.ReceiptReceived)) == 2


def test_that_a_download_whose_last_byte_was_written_before_a_crash_is_finished(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "A" / "blobs")
    blobs.part_file(INITIAL.sha256, "coordinator").write_bytes(INITIAL.to_blob())
    assert asyncio.run(finish_alone(tmp_path)) == 1, "its end is told, and nothing is fetched again"


def test_that_a_part_file_with_holes_is_fetched_once_more(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "A" / "blobs")
    blobs.part_file(INITIAL.sha256, "coordinator").write_bytes(bytes(300))
    assert asyncio.run(finish_alone(tmp_path)) == 2


def test_that_a_part_file_that_is_too_long_is_fetched_once_more(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "A" / "blobs")
    blobs.part_file(INITIAL.sha256, "coordinator").write_bytes(INITIAL.to_blob() + b"x")
    assert asyncio.run(finish_alone(tmp_path)) == 1, "the first piece shows that it is too long, and begins it anew"


async def finish_alone(tmp_path: Path) -> int:
    """A federation of one site, to its end; how many pieces of the first adapter the site was sent."""
    jobs, seen = Jobs(), list[events.Event]()
    try:
        async with coordinator(tmp_path / "c", ONE, []) as (host, port):
            await asyncio.wait_for(agent(tmp_path, "A", port, jobs, seen).run(), PATIENCE)
            assert sorted(host.rounds.state.history[0].sites) == ["A"]
            assert not all_of(seen, events.Failed)
            return [e.blob for e in all_of(seen, events.TransferProgress)].count(INITIAL.sha256)
    finally:
        jobs.close()


# -- restarts ----------------------------------------------------------------------------------------------------------


class Person:
    """An operator who decides when the test says so."""

    def __init__(self, delay: float = 0.0) -> None:
        self.asked: list[Entry] = []
        self.verdicts: asyncio.Queue[bool] = asyncio.Queue()
        self._delay = timedelta(seconds=delay)

    async def decide(self, entry: Entry) -> Verdict:
        self.asked.append(entry)
        return Verdict(approve=await self.verdicts.get(), by="ann", reason="read it", delay=self._delay)


async def undisturbed(folder: Path, spec: FederationSpec, jobs: Jobs) -> str:
    async with coordinator(folder / "c", spec, []) as (_, port):
        agents = [agent(folder, name, port, jobs, []) for name in "AB"]
        async with running(*agents) as tasks:
            return (await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE))[0]


TWO = small_spec(rounds=2, sites=2, quorum=2)


@pytest.mark.parametrize("phase", ["gathering", "training", "approval", "one update", "evaluating"])
async def test_that_a_coordinator_that_stops_and_starts_changes_nothing(
    phase: str, tmp_path: Path, jobs: Jobs, other: Jobs
) -> None:
    expected = await undisturbed(tmp_path / "calm", TWO, jobs)
    port, seen = free_port(), list[events.Event]()
    trainers = {"A": NumpyTrainer(ord("A")), "B": NumpyTrainer(ord("B"))}
    person = Person()
    agents = {
        "A": agent(tmp_path, "A", port, jobs, seen, trainers["A"], person if phase == "approval" else None),
        "B": agent(tmp_path, "B", port, other, seen, trainers["B"]),
    }
    if phase in ("training", "one update"):
        trainers["B"].hold.clear()
    tasks = [asyncio.create_task(agents["A"].run())]
    if phase != "gathering":
        tasks.append(asyncio.create_task(agents["B"].run()))
    try:
        async with coordinator(tmp_path / "c", TWO, seen, port) as (host, _):
            state = lambda: host.rounds.state  # noqa: E731
            reached = {
                "gathering": lambda: state().sites == ["A"],
                "training": lambda: state().phase == "open" and bool(trainers["A"].trained),
                "approval": lambda: "A" in state().awaiting and "B" in state().updates,
                "one update": lambda: sorted(state().updates) == ["A"],
                "evaluating": lambda: state().round == 2,
            }[phase]
            await until(reached)
            before = host.rounds.dump()
        async with coordinator(tmp_path / "c", TWO, seen, port) as (host, _):
            if phase in ("gathering", "approval", "one update"):
                assert host.rounds.dump() == before
            trainers["B"].hold.set()
            if phase == "gathering":
                tasks.append(asyncio.create_task(agents["B"].run()))
            for _ in range(3):
                person.verdicts.put_nowait(True)
            assert set(await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)) == {expected}
            assert [sorted(record.sites) for record in host.rounds.state.history] == [["A", "B"]] * 2
    finally:
        await stop(*tasks)
    assert [trainers[name].trained for name in "AB"] == [[1, 2], [1, 2]]


@pytest.mark.parametrize("phase", ["training", "approval", "countdown", "uploading"])
async def test_that_a_site_that_ends_and_starts_changes_nothing(
    phase: str, tmp_path: Path, jobs: Jobs, other: Jobs
) -> None:
    expected = await undisturbed(tmp_path / "calm", TWO, jobs)
    seen: list[events.Event] = []
    trainer, person = NumpyTrainer(ord("A")), Person(delay=3600 if phase == "countdown" else 0)
    async with (
        coordinator(tmp_path / "c", TWO, []) as (host, port),
        CuttingProxy(port, cuts_up=(1500,) if phase == "uploading" else ()) as proxy,
        running(agent(tmp_path, "B", port, other, [])) as (companion,),
    ):
        if phase == "training":
            trainer.hold.clear()
        first = agent(tmp_path, "A", proxy.port, jobs, seen, trainer, person)
        task = asyncio.create_task(first.run())
        if phase != "training":
            await until(lambda: bool(person.asked))
        if phase in ("countdown", "uploading"):
            person.verdicts.put_nowait(True)
            kind = "approved" if phase == "countdown" else "released"
            await until(lambda: kind in [e.decision for e in all_of(seen, events.DecisionRecorded)])
        else:
            await until(lambda: any(e.phase == "waiting" for e in all_of(seen, events.PhaseChanged)))
        await stop(task)
        if phase == "countdown":
            assert [d.decision for d in first.decisions] == ["approved", "taken_back"]
        assert first.decisions == [] or first.decisions[-1].decision in ("taken_back", "released", "acknowledged")
        trainer.hold.set()
        second_person = Person()
        for _ in range(3):
            second_person.verdicts.put_nowait(True)
        second = agent(tmp_path, "A", proxy.port, jobs, seen, trainer, second_person)
        assert await asyncio.wait_for(second.run(), PATIENCE) == expected
        assert await asyncio.wait_for(companion, PATIENCE) == expected
        assert [sorted(record.sites) for record in host.rounds.state.history] == [["A", "B"]] * 2
        decisions = [d.decision for d in second.decisions if d.round == 1]
        if phase == "countdown":
            assert decisions[:3] == ["approved", "taken_back", "approved"]
            assert second_person.asked[0].sha256 == person.asked[0].sha256
        assert decisions[-3:] == ["approved", "released", "acknowledged"]
        assert trainer.trained[-1] == 2 and (phase == "training" or trainer.trained == [1, 2])


async def test_that_a_combination_that_a_crash_cut_off_is_done_at_the_next_start(tmp_path: Path) -> None:
    """What a crash between the last receipt and the combination leaves: the ledger, the updates, half a blob."""
    results = {}
    rounds, ledger = Rounds(TWO), Ledger(tmp_path / "coordinator.sqlite", TWO)
    blobs = BlobStore(tmp_path / "blobs")
    now = datetime.now(UTC)
    inputs: list[Input] = [SiteJoined(site="A"), SiteJoined(site="B")]
    for given in inputs:
        rounds.handle(given, now)
    for site in "AB":
        results[site] = result_of(rounds.state.plans[site], INITIAL, moved(INITIAL, ord(site)))
        blobs.write(results[site].blobs["adapter"])
        inputs.append(UpdateArrived(site=site, update=results[site].update))
    for given in inputs:
        ledger.append(given, now)
    ledger.close()
    terms = [Term(r.update.sha256, 0.5, Adapter.from_blob(r.blobs["adapter"])) for r in results.values()]
    expected = combine_factors(terms).adapter
    (tmp_path / "blobs" / "parts" / f"{expected.sha256}.new").write_bytes(expected.to_blob()[:100])
    async with coordinator(tmp_path, TWO, []) as (host, port):
        await until(lambda: host.rounds.state.round == 2)
        assert host.rounds.state.start == expected.sha256
        async with RawSite(port, "A", "a" * 64) as site:
            await site.join()
            assert (await site.plan()).start == expected.sha256
            await site.say(OfferUpdate(update=results["A"].update))
            assert (await site.hear(Receipt)).update == results["A"].update.sha256


# -- the operator ------------------------------------------------------------------------------------------------------


async def test_that_what_the_operator_keeps_stays_and_the_round_goes_on_without_it(
    tmp_path: Path, jobs: Jobs, other: Jobs
) -> None:
    spec = small_spec(rounds=1, sites=2, quorum=1)
    async with coordinator(tmp_path / "c", spec, []) as (host, port), CuttingProxy(port) as proxy:
        person, seen = Person(), list[events.Event]()
        one = agent(tmp_path, "A", proxy.port, jobs, seen, approver=person)
        async with running(one, agent(tmp_path, "B", port, other, [])) as tasks:
            await until(lambda: bool(person.asked))
            person.verdicts.put_nowait(False)
            await until(lambda: host.rounds.state.round == 2)
            assert host.rounds.state.history[0].declined == {"A": "kept"}
            person.verdicts.put_nowait(True)
            await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
        assert not [e for e in all_of(seen, events.TransferProgress) if e.direction == "up"]
        assert one.decisions[0].decision == "kept"
        assert proxy.bytes["up"] < len(person.asked[0].update.model_dump_json()) + 5000


async def test_that_an_approval_can_be_taken_back_before_it_is_in_effect_and_not_after(
    tmp_path: Path, jobs: Jobs
) -> None:
    async with coordinator(tmp_path / "c", ONE, []) as (host, port):
        person, seen = Person(delay=0.6), list[events.Event]()
        one = agent(tmp_path, "A", port, jobs, seen, approver=person)
        async with running(one) as (task,):
            person.verdicts.put_nowait(True)
            await until(lambda: "approved" in decided(seen))
            sha256 = person.asked[0].sha256
            one.take_back(sha256, "ann", "not this one")
            await until(lambda: len(person.asked) == 2)
            await asyncio.sleep(0.8)
            assert host.rounds.state.updates == {} and decided(seen) == ["approved", "taken_back"]
            began = time.monotonic()
            person.verdicts.put_nowait(True)
            await until(lambda: "released" in decided(seen))
            assert time.monotonic() - began >= 0.6
            with told_as("cannot be taken_back any more"):
                one.take_back(sha256, "ann", "too late")
            person.verdicts.put_nowait(True)
            await asyncio.wait_for(task, PATIENCE)


def decided(seen: list[events.Event]) -> list[str]:
    return [event.decision for event in all_of(seen, events.DecisionRecorded)]


async def test_that_a_round_that_closes_while_waiting_expires_the_update_and_nothing_is_sent(
    tmp_path: Path, jobs: Jobs, other: Jobs
) -> None:
    seconds = 1 / 60
    quick = RoundSettings(
        sites=2, quorum=1, training_minutes=0.7 * seconds, approval_minutes=1.2 * seconds, join_minutes=1
    )
    spec = small_spec(rounds=1, round=quick)
    async with coordinator(tmp_path / "c", spec, []) as (host, port):
        person, seen = Person(), list[events.Event]()
        one = agent(tmp_path, "A", port, jobs, seen, approver=person)
        async with running(one, agent(tmp_path, "B", port, other, [])) as tasks:
            await until(lambda: len(person.asked) == 2)
            assert host.rounds.state.history[0].missing == ("A",)
            assert decided(seen) == ["expired"]
            await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
        assert not [e for e in all_of(seen, events.TransferProgress) if e.direction == "up"]
        assert {d.decision for d in one.decisions} == {"expired"}


async def test_that_a_round_that_closes_while_the_base_model_loads_does_not_cost_the_site_the_next_one(
    tmp_path: Path, jobs: Jobs, other: Jobs
) -> None:
    quick = RoundSettings(sites=2, quorum=1, training_minutes=0.5 / 60, approval_minutes=1, join_minutes=1)
    spec = small_spec(rounds=2, round=quick)
    loaded, seen = threading.Event(), list[events.Event]()

    def load(spec: FederationSpec) -> NumpyTrainer:
        loaded.wait(PATIENCE)
        return NumpyTrainer()

    async with coordinator(tmp_path / "c", spec, []) as (host, port):
        slow = SiteAgent(
            name="A",
            address=f"ws://127.0.0.1:{port}",
            data_dir=tmp_path / "A",
            base_fingerprint=spec.base.fingerprint,
            make_trainer=load,
            approver=RuleApprover("test rule"),
            jobs=jobs,
            emit=seen.append,
            backoff=QUICK,
        )
        async with running(slow, agent(tmp_path, "B", port, other, [])) as tasks:
            await until(lambda: host.rounds.state.round == 2 and "A" in host.rounds.state.plans)
            await until(lambda: any(e.round == 2 for e in all_of(seen, events.PhaseChanged)))
            loaded.set()
            await until(lambda: any(e.phase == "sent" for e in all_of(seen, events.PhaseChanged)))
            await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)


async def test_that_a_coordinator_that_missed_the_waiting_learns_of_it_when_the_line_is_back(
    tmp_path: Path, jobs: Jobs
) -> None:
    """The operator's clock at the coordinator depends on it."""
    person = Person()
    port = free_port()
    trainer = NumpyTrainer()
    trainer.hold.clear()
    task = asyncio.create_task(agent(tmp_path, "A", port, jobs, [], trainer, person).run())
    try:
        async with coordinator(tmp_path / "c", ONE, [], port):
            await until(lambda: trainer_runs(tmp_path))
        trainer.hold.set()
        await until(lambda: bool(person.asked))  # no line now: nobody hears that the operator is asked
        async with coordinator(tmp_path / "c", ONE, [], port) as (host, _):
            await until(lambda: "A" in host.rounds.state.awaiting)
            for _ in range(2):
                person.verdicts.put_nowait(True)
            await asyncio.wait_for(task, PATIENCE)
    finally:
        await stop(task)


def trainer_runs(tmp_path: Path) -> bool:
    return (tmp_path / "A" / "checkpoints" / "round-1").is_dir()


# -- a disk that takes nothing -------------------------------------------------------------------------------------


def lock_disk(site: SiteAgent, locked: bool) -> None:
    """The site's disk takes not one row more, as a file system that was mounted read-only after a fault."""
    site.outbox._database.rows(f"PRAGMA query_only={'ON' if locked else 'OFF'}")


@pytest.mark.parametrize("moment", ["put", "approve"])
async def test_that_a_site_whose_disk_takes_nothing_for_a_while_says_so_and_then_goes_on_by_itself(
    moment: str, tmp_path: Path, jobs: Jobs, other: Jobs
) -> None:
    class Approver(RuleApprover):
        async def decide(self, entry: Entry) -> Verdict:
            if moment == "approve" and entry.plan.round == 1:
                lock_disk(one, True)
            return await super().decide(entry)

    def trained(after: Adapter) -> Adapter:
        if moment == "put" and len(trainer.trained) == 1:
            lock_disk(one, True)
        return after

    trainer, seen = NumpyTrainer(5, trained), list[events.Event]()
    spec = small_spec(rounds=2, sites=2, quorum=1)
    async with coordinator(tmp_path / "c", spec, []) as (host, port):
        one = agent(tmp_path, "A", port, jobs, seen, trainer, approver=Approver("rule"))
        two = NumpyTrainer(6)
        two.hold.clear()
        async with running(one, agent(tmp_path, "B", port, other, [], two)) as tasks:
            await until(lambda: bool(all_of(seen, events.Failed)))
            assert not tasks[0].done()
            lock_disk(one, False)
            two.hold.set()
            await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
        assert [e.code for e in all_of(seen, events.Failed)] == ["storage.read_only"]
        assert all(event.retry_seconds for event in all_of(seen, events.Failed))
        assert all(sorted(record.sites) == ["A", "B"] for record in host.rounds.state.history)
        assert trainer.trained == [1, 2], "what was trained is not trained again"
        assert {e.round for e in all_of(seen, events.ReceiptReceived)} == {1, 2, 3}, "and the scores at the end"


async def test_that_an_approval_that_is_being_written_when_the_site_ends_is_told_and_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: Jobs
) -> None:
    async with coordinator(tmp_path / "c", ONE, []) as (_, port):
        person, seen = Person(delay=60), list[events.Event]()
        one = agent(tmp_path, "A", port, jobs, seen, approver=person)
        write, entered, go = one.outbox.approve, threading.Event(), threading.Event()

        def slowly(*given: object) -> Entry:
            entered.set()
            assert go.wait(PATIENCE)
            return write(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(one.outbox, "approve", slowly)
        async with running(one) as (task,):
            person.verdicts.put_nowait(True)
            await until(entered.is_set)
            task.cancel()
            await asyncio.sleep(0.05)
            go.set()
            await asyncio.wait([task], timeout=PATIENCE)
        assert decided(seen) == [d.decision for d in one.decisions] == ["approved", "taken_back"]
        assert [e.state for e in one.record().entries] == ["pending"]


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
