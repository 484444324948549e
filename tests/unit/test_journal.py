# SPDX-License-Identifier: Apache-2.0
"""The journal of measured events: in order, seldom written, and never in the way of the work."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import Control, Given, LocalResult, Plan
from fedmed_desktop.federation.work import Emit
from fedmed_desktop.scores import Counts, Scores, TaskScores
from fedmed_desktop.site import Jobs
from fedmed_desktop.storage.journal import MOST_STEPS, Journal, Measured
from tests.parts.federation import NumpyTrainer, small_spec
from tests.parts.loopback import agent, all_of, coordinator


def step(number: int, round_number: int = 1, loss: float = 0.5) -> events.TrainingStep:
    return events.TrainingStep(
        site="A",
        round=round_number,
        step=number,
        steps=200,
        loss=loss,
        learning_rate=1e-3,
        tokens_per_second=900.5,
        memory_mib=100,
    )


EVALUATED = events.Evaluated(
    site="A", round=2, moment="after", loss=0.25, scores=Scores.of_entities(TaskScores(unified=Counts(tp=3)))
)


FETCHED = events.TransferProgress(site="A", round=1, direction="down", blob="ab" * 32, bytes=700, total=700)


def is_fetched(event: events.Event) -> bool:
    return isinstance(event, events.TransferProgress) and event.direction == "down" and event.bytes == event.total


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def faults() -> list[UserFacingError]:
    return []


def stored(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])


def test_that_events_are_read_back_in_order_also_after_closing_and_after_a_restart(
    tmp_path: Path, faults: list[UserFacingError]
) -> None:
    path = tmp_path / "m.sqlite"
    journal = Journal(path, faults.append)
    given: list[Measured] = [step(1), step(2, loss=float("inf")), EVALUATED]
    for event in given:
        journal.append(event)
    assert journal.events() == given
    journal.close()
    assert journal.events() == given
    again = Journal(path, faults.append)
    again.append(step(3))
    assert again.events() == [*given, again.events()[-1]] and len(again.events()) == 4
    again.close()
    assert not faults and path.stat().st_mode & 0o777 == 0o600


def test_that_a_second_is_one_transaction_and_a_flush_leaves_nothing_in_memory(
    tmp_path: Path, faults: list[UserFacingError]
) -> None:
    clock = Clock()
    journal = Journal(tmp_path / "m.sqlite", faults.append, clock)
    for number in range(30):
        journal.append(step(number))
        clock.now += 0.1
    journal._let_go()  # as a crash would
    assert 10 <= stored(tmp_path / "m.sqlite") < 30
    journal.flush()
    journal._let_go()
    assert stored(tmp_path / "m.sqlite") == 30


def test_that_many_threads_lose_no_event(tmp_path: Path, faults: list[UserFacingError]) -> None:
    journal = Journal(tmp_path / "m.sqlite", faults.append, clock=iter(range(10**6)).__next__)

    def work(round_number: int) -> None:
        for number in range(50):
            journal.append(step(number, round_number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = journal.events()
    journal.close()
    for round_number in range(4):
        steps = [e.step for e in found if isinstance(e, events.TrainingStep) and e.round == round_number]
        assert steps == list(range(50))


def test_that_a_full_disk_is_told_once_and_costs_nothing_that_fits_later(
    tmp_path: Path, faults: list[UserFacingError]
) -> None:
    journal = Journal(tmp_path / "m.sqlite", faults.append)
    journal.append(step(0))
    journal.flush()
    assert journal._database is not None
    with journal._database.transaction() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    for number in range(1, 101):
        journal.append(step(number))
        journal.flush()
    assert [fault.code for fault in faults] == ["storage.disk_full"]
    assert [e.step for e in journal.events() if isinstance(e, events.TrainingStep)] == list(range(101))
    with journal._database.transaction() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    journal.close()
    assert stored(tmp_path / "m.sqlite") == 101


def test_that_memory_is_bounded_while_nothing_can_be_written(
    tmp_path: Path, faults: list[UserFacingError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedmed_desktop.storage.journal._MOST_WAITING", 10)
    (tmp_path / "m.sqlite").mkdir()
    journal = Journal(tmp_path / "m.sqlite", faults.append)
    for number in range(50):
        journal.append(step(number))
        journal.flush()
    assert [e.step for e in journal.events() if isinstance(e, events.TrainingStep)] == list(range(40, 50))
    journal.close()
    assert [fault.code for fault in faults] == ["storage.fault"]


def test_that_of_closed_rounds_an_even_selection_of_the_steps_that_hold_is_kept(
    tmp_path: Path, faults: list[UserFacingError]
) -> None:
    journal = Journal(tmp_path / "m.sqlite", faults.append)
    told: list[Measured] = [
        step(n, 1) for n in (*range(1, 1801), *range(1201, 2001))
    ]  # resumed from a checkpoint at step 1,200
    for event in (*told[:1000], EVALUATED, *told[1000:], *(step(n, 2) for n in range(1, 2001))):
        journal.append(event)
    resumed = step(1600, loss=0.125)
    told_later = [step(n, 1) for n in range(1601, 2002)]
    for event in (resumed, *told_later):
        journal.append(event)
    journal.thin_before(2)
    steps = [e for e in journal.events() if isinstance(e, events.TrainingStep)]
    kept = [e.step for e in steps if e.round == 1]
    assert kept == sorted({1, *range(5, 2001, 5), 2001}) and resumed in steps
    assert len([e for e in steps if e.round == 2]) == 2000, "this round is still on"
    assert EVALUATED in journal.events()
    journal.thin_before(2)
    assert len([e for e in journal.events() if e.round == 1]) == len(kept), "once more changes nothing"
    journal.close()
    assert stored(tmp_path / "m.sqlite") == len(kept) + 2001 and not faults


def test_that_a_short_round_is_kept_whole(tmp_path: Path, faults: list[UserFacingError]) -> None:
    journal = Journal(tmp_path / "m.sqlite", faults.append)
    for number in range(1, MOST_STEPS + 1):
        journal.append(step(number))
    journal.thin_before(2)
    assert len(journal.events()) == MOST_STEPS
    journal.close()
    journal.thin_before(2)
    assert len(journal.events()) == MOST_STEPS and not faults


def test_that_a_row_of_another_version_is_passed_over(tmp_path: Path, faults: list[UserFacingError]) -> None:
    journal = Journal(tmp_path / "m.sqlite", faults.append)
    journal.append(EVALUATED)
    journal.close()
    with closing(sqlite3.connect(tmp_path / "m.sqlite")) as connection, connection:
        connection.execute('INSERT INTO events (round, body) VALUES (1, \'{"type": "of the future"}\')')
    assert journal.events() == [EVALUATED] and not faults


class Measures(NumpyTrainer):
    def train_round(self, plan: Plan, given: Given, checkpoints: Path, emit: Emit, control: Control) -> LocalResult:
        emit(events.PhaseChanged(site="A", round=plan.round, phase="training"))
        for number in range(1, 5):
            emit(step(number, plan.round))
        emit(EVALUATED.model_copy(update={"round": plan.round}))
        return super().train_round(plan, given, checkpoints, emit, control)


@pytest.mark.parametrize("writable", [True, False])
def test_that_a_site_keeps_what_it_measured_and_finishes_where_it_cannot(writable: bool, tmp_path: Path) -> None:
    async def federate() -> tuple[list[events.Event], list[events.Event], list[events.Event]]:
        seen: list[events.Event] = []
        jobs = Jobs()
        if not writable:
            (tmp_path / "A" / "metrics.sqlite").mkdir(parents=True)
        async with coordinator(tmp_path / "c", small_spec(rounds=2, sites=1, quorum=1), []) as (_, port):
            site = agent(tmp_path, "A", port, jobs, seen, Measures(3))
            async with asyncio.timeout(20):
                await site.run()
        again = agent(tmp_path, "A", 1, jobs, [])
        later = again.measured()
        again.close()
        jobs.close()
        return seen, site.measured(), later

    seen, ended, later = asyncio.run(federate())
    emitted = [e for e in seen if isinstance(e, events.TrainingStep | events.Evaluated) or is_fetched(e)]
    assert len(emitted) == 10 + 1 and ended == emitted
    warned = all_of(seen, events.Warned)
    if writable:
        assert later == emitted and not warned
    else:
        assert later == [] and [w.code for w in warned] == ["storage.fault"]
    assert not all_of(seen, events.Failed) and all_of(seen, events.FederationFinished)


class MeasuresLong(NumpyTrainer):
    def train_round(self, plan: Plan, given: Given, checkpoints: Path, emit: Emit, control: Control) -> LocalResult:
        for number in range(1, 1001):
            emit(step(number, plan.round))
        return super().train_round(plan, given, checkpoints, emit, control)


def test_that_a_site_keeps_of_long_rounds_that_have_closed_a_selection(tmp_path: Path) -> None:
    async def federate() -> list[events.Event]:
        jobs = Jobs()
        async with coordinator(tmp_path / "c", small_spec(rounds=2, sites=1, quorum=1), []) as (_, port):
            site = agent(tmp_path, "A", port, jobs, [], MeasuresLong(3))
            async with asyncio.timeout(20):
                await site.run()
        jobs.close()
        return site.measured()

    kept = [(e.round, e.step) for e in asyncio.run(federate()) if isinstance(e, events.TrainingStep)]
    assert kept == [(number, at) for number in (1, 2) for at in (1, *range(2, 1001, 2))]


@pytest.mark.parametrize("damage", ["garbage", "a page"])
def test_that_a_damaged_file_is_put_aside_and_new_values_are_kept(
    damage: str, tmp_path: Path, faults: list[UserFacingError]
) -> None:
    path = tmp_path / "m.sqlite"
    journal = Journal(path, faults.append)
    for number in range(200):
        journal.append(step(number))
    journal.close()
    data = path.read_bytes()
    before = b"garbage" * 900 if damage == "garbage" else data[:4096] + b"\x7f" * (len(data) - 4096)
    path.write_bytes(before)
    again = Journal(path, faults.append)
    assert again.events() == []
    for number in range(3):
        again.append(step(number, 2))
    again.close()
    assert [fault.code for fault in faults] == ["storage.journal_damaged"]
    assert path.with_name("m.sqlite.damaged").read_bytes() == before
    assert [(e.round, e.step) for e in again.events() if isinstance(e, events.TrainingStep)] == [(2, 0), (2, 1), (2, 2)]


def test_that_what_was_fetched_outlasts_thinning_and_a_restart(tmp_path: Path, faults: list[UserFacingError]) -> None:
    journal = Journal(tmp_path / "metrics.sqlite", faults.append)
    journal.append(FETCHED)
    for number in range(1, MOST_STEPS + 20):
        journal.append(step(number))
    journal.thin_before(2)
    journal.close()
    again = Journal(tmp_path / "metrics.sqlite", faults.append)
    assert [event for event in again.events() if event.type == "transfer"] == [FETCHED]
    again.close()
    assert faults == []
