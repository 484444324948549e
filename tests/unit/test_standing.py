# SPDX-License-Identifier: Apache-2.0
"""Where a federation stands, as one site may know it: every word by its table, and nothing of other sites by name."""

from __future__ import annotations

import asyncio
from typing import Any, get_args

import pytest

from fedmed_desktop.coordinator import bulletin
from fedmed_desktop.coordinator.bulletin import MOST_ROUNDS, Bulletin, Reader, fitting
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.events import Phase
from fedmed_desktop.federation.inputs import AwaitsApproval, SiteDeclined, SiteJoined, TimePassed, UpdateArrived
from fedmed_desktop.federation.record import RoundRecord
from fedmed_desktop.federation.spec import RoundSettings, ShareSettings
from fedmed_desktop.federation.standing import closed_round, pooled_scores, site_word, standing
from fedmed_desktop.protocol.messages import Standing, decode
from fedmed_desktop.scores import Counts, Scores, TaskScores
from fedmed_desktop.standing import SiteWord
from tests.unit.test_rounds import Driver, at, combined, update

NAMES = ["A", "B", "C"]


def scored(site: str, round_number: int, before: int, after: int) -> UpdateArrived:
    def found(tp: int) -> Scores:
        return Scores.of_entities(TaskScores(strict={"drug": Counts(tp=tp, fn=1)}, unified=Counts(tp=tp, fn=1)))

    report: dict[str, Any] = {
        "scores_before": found(before),
        "scores_after": found(after),
        "supervised_tokens": 10 * ord(site),
    }
    return UpdateArrived(site=site, update=update(site, round_number, **report))


@pytest.mark.parametrize(
    ("phase", "word"),
    [
        ("joining", "waiting"),
        ("waiting", "waiting"),
        ("downloading", "waiting"),
        ("scoring_before", "training"),
        ("training", "training"),
        ("scoring_after", "training"),
        ("measuring", "training"),
        ("evaluating", "training"),
        ("approval", "approval"),
        ("uploading", "sending"),
        ("paused", "paused"),
        ("sent", "waiting"),
        ("kept", "waiting"),
        ("missed", "waiting"),
        ("not_asked", "waiting"),
        ("finished", "waiting"),
    ],
)
def test_that_what_a_site_tells_has_one_word_and_an_outcome_is_for_the_rounds_to_say(phase: Phase, word: str) -> None:
    state = Driver().opened().rounds.state
    assert site_word("A", state, (1, phase), True) == word
    assert site_word("A", state, (2, phase), True) == "waiting"  # of another round
    assert site_word("A", state, (1, phase), False) == "offline"


def test_that_every_phase_of_a_site_is_in_the_table_above() -> None:
    [marks] = test_that_what_a_site_tells_has_one_word_and_an_outcome_is_for_the_rounds_to_say.pytestmark  # type: ignore[attr-defined]
    assert {phase for phase, _ in marks.args[1]} == set(get_args(Phase))


def words(drive: Driver, connected: str = "ABCD") -> dict[str, SiteWord]:
    state = drive.rounds.state
    return {site: site_word(site, state, None, site in connected) for site in state.sites}


def test_that_the_rounds_say_who_has_sent_kept_waits_or_is_missing() -> None:
    drive = Driver()
    drive(SiteJoined(site="A"), 0)
    assert words(drive) == {"A": "waiting"} and words(drive, "") == {"A": "offline"}
    drive.opened()
    drive(SiteJoined(site="D"), 1)  # too late for round one
    drive(AwaitsApproval(site="B", round=1), 2)
    assert words(drive) == {"A": "waiting", "B": "approval", "C": "waiting", "D": "not_asked"}
    drive(scored("A", 1, 1, 2), 3)
    drive(SiteDeclined(site="B", round=1, code="kept"), 4)
    assert words(drive, "") == {"A": "sent", "B": "kept", "C": "offline", "D": "offline"}
    drive(TimePassed(), 11)  # under quorum: asked again
    assert drive.rounds.state.attempt == 2
    assert words(drive) == {"A": "sent", "B": "waiting", "C": "waiting", "D": "not_asked"}
    drive(SiteDeclined(site="C", round=1, code="failed"), 12)
    drive(TimePassed(), 22)
    assert drive.phase == "paused"
    assert words(drive, "D") == {"A": "sent", "B": "missing", "C": "missing", "D": "not_asked"}


def test_that_sites_that_a_round_goes_on_without_are_counted_apart_until_they_are_asked() -> None:
    drive = Driver(round=RoundSettings(sites=3, quorum=2, clients=2)).opened()
    left_out, asked = set(NAMES) - set(drive.rounds.state.plans), sorted(drive.rounds.state.plans)
    assert len(left_out) == 1 and words(drive) == dict.fromkeys(asked, "waiting") | dict.fromkeys(left_out, "not_asked")
    now = standing(drive.rounds.spec, drive.rounds.state, {}, NAMES)
    assert now.sites == {"waiting": 2, "not_asked": 1}
    for site in asked:
        drive(scored(site, 1, 1, 2), 1)
    assert drive.phase == "combining" and words(drive) == dict.fromkeys(asked, "sent") | dict.fromkeys(
        left_out, "not_asked"
    )


def after_two_rounds(**spec: object) -> Driver:
    drive = Driver(rounds=2, **spec).opened()
    for site, before in zip("ABC", (1, 2, 3), strict=True):
        drive(scored(site, 1, before, before + 1), 1)
    drive(combined(1), 2)
    for site in "AB":
        drive(scored(site, 2, 5, 6), 3)
    drive(SiteDeclined(site="C", round=2, code="kept"), 4)
    return drive


def test_that_a_standing_counts_sites_and_says_when_the_round_closes() -> None:
    drive = Driver(rounds=2).opened()
    now = standing(drive.rounds.spec, drive.rounds.state, {"A": (1, "training"), "B": (1, "uploading")}, {"A", "B"})
    assert (now.round, now.rounds, now.attempt, now.phase) == (1, 2, 1, "open")
    assert (now.opened, now.closes) == (at(0), at(10))
    assert now.sites == {"training": 1, "sending": 1, "offline": 1} and now.connected == 2


def test_that_no_deadline_is_told_where_none_runs_and_the_final_scoring_is_no_round_of_its_own() -> None:
    gathering = Driver()
    gathering(SiteJoined(site="A"), 0)
    now = standing(gathering.rounds.spec, gathering.rounds.state, {}, {"A"})
    assert (now.phase, now.opened, now.closes) == ("gathering", None, None)
    drive = after_two_rounds()
    assert drive.phase == "combining"
    assert standing(drive.rounds.spec, drive.rounds.state, {}, NAMES).closes is None
    drive(combined(2), 5)
    now = standing(drive.rounds.spec, drive.rounds.state, {}, NAMES)
    assert (now.phase, now.round, now.rounds) == ("evaluating", 2, 2) and now.closes is not None


def test_that_a_closed_round_has_pooled_scores_and_this_sites_own_numbers() -> None:
    drive = after_two_rounds()
    drive(combined(2), 5)
    first, second = drive.rounds.state.history
    mine = closed_round(first, "B", pooled_scores(first))
    assert (mine.round, mine.closed, mine.sent, mine.residual) == (1, at(2), 3, 0.1)
    assert mine.scores_before is not None and mine.scores_before["entities"].strict == {"drug": Counts(tp=6, fn=3)}
    assert mine.scores_after is not None and mine.scores_after["entities"].unified == Counts(tp=9, fn=3)
    assert mine.weight == first.sites["B"].weight and mine.rank == first.sites["B"].rank
    assert mine.model_drift == first.sites["B"].drift.model
    assert mine.performance_drift == first.sites["B"].drift.performance
    assert mine.other_ranks == (2, 2)
    assert mine.semantic_drift is None and mine.combined_drift is None
    told = first.model_copy(update={"measures": {"drift.B": 0.4, "drift.C": 0.9}})
    assert closed_round(told, "B", None).combined_drift == 0.4
    kept = closed_round(second, "C", pooled_scores(second))
    assert (kept.weight, kept.rank, kept.model_drift, kept.performance_drift) == (None, None, None, None)
    assert kept.sent == 2 and kept.other_ranks == (2, 2)


def test_that_other_ranks_are_in_order_of_size_not_of_sites() -> None:
    drive = after_two_rounds()
    record = drive.rounds.state.history[0]
    ranked = {
        site: part.model_copy(update={"rank": rank})
        for (site, part), rank in zip(record.sites.items(), (9, 4, 7), strict=True)
    }
    ranks = RoundRecord(**{**dict(record), "sites": ranked})
    assert closed_round(ranks, "C", None).other_ranks == (4, 9)
    assert closed_round(ranks, "elsewhere", None).other_ranks == (4, 7, 9)


def test_that_scores_that_are_not_shared_are_not_told() -> None:
    drive = after_two_rounds(share=ShareSettings(scores=False))
    told = closed_round(drive.rounds.state.history[0], "A", None)
    assert told.scores_before is None and told.scores_after is None


def long_standing(rounds: int) -> Standing:
    drive = after_two_rounds()
    record = drive.rounds.state.history[0]
    one = closed_round(record, "A", pooled_scores(record))
    history = [one.model_copy(update={"round": number}) for number in range(1, rounds + 1)]
    return Standing(**dict(standing(drive.rounds.spec, drive.rounds.state, {}, NAMES)) | {"history": tuple(history)})


def test_that_the_oldest_rounds_are_left_out_of_a_standing_that_would_be_too_long() -> None:
    told = long_standing(40)
    whole = fitting(told)
    assert decode(whole) == told
    short = fitting(told, len(whole) // 3)
    kept = decode(short)
    assert isinstance(kept, Standing) and len(short) <= len(whole) // 3
    assert kept.history and kept.history == told.history[-len(kept.history) :]
    assert fitting(told, 10) == fitting(long_standing(0), 10)  # nothing more to leave out


async def test_that_what_a_closed_round_has_for_all_sites_is_formed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """2,900 sites that came back sorted 2,900 ranks each, for each closed round."""
    formed: list[int] = []
    real = bulletin.ranks
    monkeypatch.setattr(bulletin, "ranks", lambda record: formed.append(record.round) or real(record))
    state = after_two_rounds().rounds.state

    async def settled() -> None:
        return

    telling = Bulletin(Driver().rounds.spec, lambda: state, lambda: NAMES, settled)
    for site in NAMES:
        assert (await telling.for_site(site, {})).history == tuple(
            closed_round(record, site, pooled_scores(record)) for record in state.history
        )
    assert formed == [record.round for record in state.history]


def test_that_only_the_latest_rounds_are_told() -> None:
    state = after_two_rounds().rounds.state
    history = [state.history[0].model_copy(update={"round": number}) for number in range(1, MOST_ROUNDS + 6)]
    state.history = history

    async def settled() -> None:
        return

    closed = {0: closed_round(history[0], "A", None)}  # that was told long ago

    async def told() -> Standing:
        telling = Bulletin(Driver().rounds.spec, lambda: state, lambda: NAMES, settled)
        return await telling.for_site("A", closed)

    now = asyncio.run(told())
    assert [closed.round for closed in now.history] == [record.round for record in history[-MOST_ROUNDS:]]
    assert now.history[0].scores_before is not None
    assert sorted(closed) == [record.round for record in history[-MOST_ROUNDS:]], "older ones take no memory"


async def test_that_a_line_that_does_not_take_one_standing_is_told_only_the_latest_once_it_does() -> None:
    state = Driver().opened().rounds.state
    sent: list[str] = []

    async def settled() -> None:
        return

    free = asyncio.Event()

    async def send(text: str) -> None:
        sent.append(text)
        await free.wait()

    telling = Bulletin(Driver().rounds.spec, lambda: state, lambda: NAMES, settled)
    telling.interval = 0.0
    reading = asyncio.create_task(telling.reader("A", send).run())
    for phase in ("training", "paused", "approval") * 20:
        telling.told("B", 1, phase)
        await asyncio.sleep(0)
    assert len(sent) == 1
    free.set()
    for _ in range(20):
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    telling.changed()  # nobody reads any more
    last = decode(sent[-1])
    assert len(sent) == 2 and isinstance(last, Standing) and last.sites == {"approval": 1, "waiting": 2}


async def test_that_what_cannot_be_looked_up_just_now_is_told_a_moment_later() -> None:
    """A host's overview reads the registry, which a command beside the coordinator may hold for some seconds."""
    said, faults = list[str](), [UserFacingError("storage.busy", path="registry", retryable=True)]

    async def settled() -> None:
        return

    async def look() -> str:
        if faults:
            raise faults.pop()
        return "now"

    async def send(text: str) -> None:
        said.append(text)

    telling = Bulletin(Driver().rounds.spec, lambda: Driver().rounds.state, lambda: NAMES, settled)
    telling.interval = 0.0
    reading = asyncio.create_task(Reader(telling, look, send).run())
    for _ in range(20):
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert said == ["now"]
