# SPDX-License-Identifier: Apache-2.0
"""Sites over real sockets and disks: lines that break, restarts, hostile coordinators, a person, a full disk."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import FederationSpec, Rounds
from fedmed_desktop.federation.combine import Term, combine_factors
from fedmed_desktop.federation.inputs import Input, SiteJoined, UpdateArrived
from fedmed_desktop.federation.part_actions import Record
from fedmed_desktop.federation.spec import BaseModelSpec, LoraSettings, RoundSettings
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.lora import Adapter
from fedmed_desktop.protocol.handshake import challenge
from fedmed_desktop.protocol.messages import (
    VERSION,
    Receipt,
    Welcome,
    encode,
)
from fedmed_desktop.protocol.transfer import MAX_FRAME_BYTES, Chunk
from fedmed_desktop.site import Jobs, RuleApprover, SiteAgent, Verdict
from fedmed_desktop.storage import BlobStore, Ledger
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


async def test_that_a_site_without_encryption_is_told_that_the_coordinator_encrypts(tmp_path: Path, jobs: Jobs) -> None:
    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()  # as a server that expects TLS does
        writer.close()

    seen = list[events.Event]()
    async with await asyncio.start_server(hangs_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with running(agent(tmp_path, "A", port, jobs, seen)):
            await until(lambda: bool(lost(seen)))
    assert lost(seen)[0].code == "link.not_plain"


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
    key = PrivateKey.new()

    async def misbehave(connection: ServerConnection) -> None:
        wrong, welcomed = script.pop(0) if script else ("CLOSE", False)
        said.append(wrong)
        if wrong == "ABORT" and not welcomed:
            connection.transport.abort()
            return
        await connection.send(encode(challenge(key, "ab" * 32, "")))
        await connection.recv()
        if welcomed:
            about = {"spec": ONE, "round": 1, "phase": "open"}
            await connection.send(encode(Welcome(version=VERSION, site="A", federation="ab" * 32, **about)))
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
        await asyncio.wait_for(agent(tmp_path / "again", "A", port, jobs, []).run(), PATIENCE)


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


@pytest.mark.parametrize(
    ("status", "code"), [(403, "link.other_name"), (503, "link.crowded"), (200, "link.no_coordinator_there")]
)
async def test_that_what_answers_in_a_coordinators_place_is_told_and_tried_again(
    status: int, code: str, tmp_path: Path, jobs: Jobs
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        seen = list[events.Event]()
        port = server.sockets[0].getsockname()[1]
        async with running(agent(tmp_path, "A", port, jobs, seen)) as (task,):
            await until(lambda: len(lost(seen)) >= 2)
            assert not task.done() and {event.code for event in lost(seen)} == {code}


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
        self.delay = timedelta(seconds=delay)

    async def decide(self, entry: Entry) -> Verdict:
        self.asked.append(entry)
        return Verdict(approve=await self.verdicts.get(), by="ann", reason="read it", delay=self.delay)


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
            await site.say(site.offered(results["A"].update))
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
        person, seen = Person(delay=60), list[events.Event]()
        one = agent(tmp_path, "A", port, jobs, seen, approver=person)
        async with running(one) as (task,):
            person.verdicts.put_nowait(True)
            await until(lambda: "approved" in decided(seen))
            sha256 = person.asked[0].sha256
            one.take_back(sha256, "ann", "not this one")
            await until(lambda: len(person.asked) == 2)
            assert host.rounds.state.updates == {} and decided(seen) == ["approved", "taken_back"]
            person.delay = timedelta(0)
            for _ in range(2):
                person.verdicts.put_nowait(True)
            await asyncio.wait_for(task, PATIENCE)
        assert decided(seen)[:4] == ["approved", "taken_back", "approved", "released"]


def decided(seen: list[events.Event]) -> list[str]:
    return [event.decision for event in all_of(seen, events.DecisionRecorded)]


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
        write, entered, go = one.outbox.decide, threading.Event(), threading.Event()

        def slowly(given: Record, now: datetime) -> Entry:
            if given.decision == "approved":
                entered.set()
                assert go.wait(PATIENCE)
            return write(given, now)

        monkeypatch.setattr(one.outbox, "decide", slowly)
        async with running(one) as (task,):
            person.verdicts.put_nowait(True)
            await until(entered.is_set)
            task.cancel()
            await asyncio.sleep(0.05)
            go.set()
            await asyncio.wait([task], timeout=PATIENCE)
        assert decided(seen) == [d.decision for d in one.decisions] == ["approved", "taken_back"]
        assert [e.state for e in one.record().entries] == ["pending"]


async def test_that_a_folder_in_use_and_a_name_that_is_taken_over_are_sentences_and_leave_nothing_behind(
    tmp_path: Path, jobs: Jobs, other: Jobs
) -> None:
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: unheard.append(context))
    async with coordinator(tmp_path / "c", ONE, []) as (host, port):
        seen, person = list[events.Event](), Person(delay=60)
        async with running(agent(tmp_path, "A", port, jobs, seen, approver=person)) as (task,):
            await until(lambda: bool(person.asked))
            with told_as("in use by another"):
                agent(tmp_path, "A", port, jobs, [])
            (tmp_path / "B" / "A").mkdir(parents=True)
            for name in ("identity.json", "identity.key"):
                shutil.copy(tmp_path / "A" / name, tmp_path / "B" / "A" / name)
            async with running(agent(tmp_path / "B", "A", port, other, [])) as (second,):
                with told_as("replaced this one"):
                    await asyncio.wait_for(task, PATIENCE)
                agent(tmp_path, "A", port, jobs, []).close()  # its folder is free again
                await asyncio.wait_for(second, PATIENCE)
            assert host.rounds.state.phase == "finished"
    del task, second
    gc.collect()
    assert not unheard


async def test_that_a_token_that_cannot_be_read_is_named_and_keeps_no_folder_in_use(tmp_path: Path, jobs: Jobs) -> None:
    path = tmp_path / "A" / "token"
    path.mkdir(parents=True)
    with told_as(f"{path}"):
        await agent(tmp_path, "A", 1, jobs, []).run()
    agent(tmp_path, "A", 1, jobs, []).close()


async def test_that_a_folder_for_checkpoints_that_cannot_be_made_is_a_sentence_and_ends_no_site(
    tmp_path: Path, jobs: Jobs
) -> None:
    seen = list[events.Event]()
    in_the_way = tmp_path / "A" / "checkpoints"
    async with coordinator(tmp_path / "c", ONE, []) as (_, port):
        one = agent(tmp_path, "A", port, jobs, seen)
        in_the_way.touch()
        async with running(one) as (task,):
            await until(lambda: bool(all_of(seen, events.Failed)))
            assert not task.done() and all_of(seen, events.Failed)[0].code == "storage.no_folder"
