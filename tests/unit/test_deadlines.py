# SPDX-License-Identifier: Apache-2.0
"""The five deadlines: what each ends, that two of them count progress, and who is shown as making none."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from fedmed_desktop import events
from fedmed_desktop.coordinator.progress import Progress
from fedmed_desktop.federation import FederationSpec
from fedmed_desktop.federation.deadlines import Watch
from fedmed_desktop.federation.inputs import INPUT, AwaitsApproval, SiteJoined, TimePassed, UpdateArrived
from fedmed_desktop.federation.record import RoundsState
from fedmed_desktop.federation.spec import RoundSettings
from fedmed_desktop.federation.standing import standing
from tests.parts.federation import small_spec
from tests.unit.test_rounds import BEGIN, Driver, at, combined, update

TIMES = RoundSettings(
    sites=3, quorum=2, join_minutes=60, download_minutes=4, training_minutes=30, approval_minutes=60, upload_minutes=5
)


class Watched(Driver):
    """Rounds whose transfers are watched; `tick` tells them the time as a coordinator does."""

    def __init__(self, times: RoundSettings = TIMES) -> None:
        super().__init__(round=times)
        self.watch = Watch(self.rounds.spec, BEGIN)
        self.opened()

    def tick(self, minute: float) -> bool:
        """Whether the ledger gets a row."""
        return self(self.watch.time_passed(self.rounds.state, at(minute)), minute).changed

    @property
    def wakes(self) -> datetime | None:
        return self.watch.wake_at(self.rounds.state)

    def sent(self, *sites: str, minute: float = 1) -> Watched:
        for site in sites:
            self(UpdateArrived(site=site, update=update(site, 1)), minute)
        return self

    def closed_by(self) -> str:
        self(combined(1), 200)
        return self.rounds.state.history[0].reason


def test_that_a_specification_from_before_has_all_five_deadlines() -> None:
    spec = small_spec()
    before = spec.model_dump(mode="json")
    for key in ("download_minutes", "upload_minutes"):
        del before["round"][key]
    assert FederationSpec.model_validate(before) == spec, "or an old data folder would be another federation's"
    assert list(spec.round.deadlines) == ["join", "download", "train", "approve", "upload"]


def test_that_a_row_of_an_earlier_ledger_still_tells_the_time() -> None:
    assert INPUT.validate_json('{"input":"time"}') == TimePassed()


def test_that_a_download_that_stands_still_is_not_waited_for_once_there_is_a_quorum() -> None:
    drive = Watched().sent("A", "B")
    drive.watch.moved("C", 1, "download", at(2))
    assert drive.wakes == at(6)
    assert not drive.tick(5.9)
    assert drive.tick(6)
    assert drive.closed_by() == "download"


def test_that_without_a_quorum_or_while_others_work_a_stalled_download_ends_nothing() -> None:
    drive = Watched().sent("A")
    drive.watch.moved("C", 1, "download", at(2))
    drive.watch.moved("B", 1, "download", at(2))
    assert drive.wakes == at(30) and not drive.tick(10), "a repeated round would help nobody"
    drive = Watched().sent("A")
    drive.watch.moved("C", 1, "download", at(2))
    drive.watch.told("B", 1, "training", at(2))
    assert drive.wakes == at(30) and not drive.tick(10)


def test_that_a_site_that_has_begun_to_train_has_no_download_deadline() -> None:
    drive = Watched().sent("A", "B")
    drive.watch.moved("C", 1, "download", at(2))
    drive.watch.told("C", 1, "training", at(3))
    drive.watch.moved("C", 1, "download", at(3))  # the last piece was acknowledged late
    assert drive.wakes == at(30) and not drive.tick(20)
    assert drive.tick(30) and drive.closed_by() == "train"


def test_that_an_upload_that_moves_holds_the_round_up_and_one_that_stops_does_not() -> None:
    drive = Watched().sent("A", "B")
    drive.watch.told("C", 1, "uploading", at(27))
    for minute in (29, 31, 33):
        drive.watch.moved("C", 1, "upload", at(minute))
        assert not drive.tick(minute), "progress is not in the ledger"
    assert drive.wakes == at(38)
    assert not drive.tick(37.9)
    assert drive.tick(38) and drive.closed_by() == "upload"


def test_that_an_upload_that_arrives_after_the_time_counts() -> None:
    drive = Watched().sent("A", "B")
    drive.watch.moved("C", 1, "upload", at(29))
    assert not drive.tick(31)
    drive.sent("C", minute=32)
    assert drive.closed_by() == "answered" and sorted(drive.rounds.state.history[0].sites) == ["A", "B", "C"]


def test_that_no_trickle_of_bytes_holds_a_round_up_for_ever() -> None:
    drive = Watched().sent("A", "B")
    for minute in range(29, 60):
        drive.watch.moved("C", 1, "upload", at(minute))
        assert not drive.tick(minute)
    drive.watch.moved("C", 1, "upload", at(60))
    assert drive.wakes == at(60)
    assert drive.tick(60) and drive.closed_by() == "upload"


def test_that_a_round_says_that_it_was_an_approval_that_did_not_come() -> None:
    drive = Watched().sent("A", "B")
    drive(AwaitsApproval(site="C", round=1), 20)
    assert drive.wakes == at(80) and not drive.tick(30)
    assert drive.tick(80) and drive.closed_by() == "approve"


def test_that_the_alarm_always_lies_ahead_once_the_rounds_were_told_the_time() -> None:
    drive = Watched().sent("A")
    drive.watch.moved("B", 1, "upload", at(3))
    drive.watch.moved("C", 1, "download", at(4))
    for minute in range(120):
        if minute == 33:
            drive.watch.moved("B", 1, "upload", at(33))
        drive.tick(minute)
        assert drive.wakes is None or drive.wakes > at(minute), minute


@pytest.mark.parametrize("phase", ["approval", "paused", "waiting", "sent", "kept"])
def test_that_a_site_where_nothing_has_to_move_is_never_quiet(phase: events.Phase) -> None:
    drive = Watched()
    for site in "ABC":
        drive.watch.told(site, 1, phase, at(1))
    assert drive.watch.quiet(drive.rounds.state, at(29)) == {}


def test_that_a_site_that_gives_no_sign_is_quiet_until_it_gives_one() -> None:
    drive = Watched().sent("A")
    drive.watch.told("B", 1, "training", at(1))
    drive.watch.told("C", 1, "training", at(1))
    assert drive.watch.quiet(drive.rounds.state, at(5.9)) == {}
    drive.watch.told("C", 1, "training", at(6))  # the same phase once more: it works
    assert drive.watch.quiet(drive.rounds.state, at(8)) == {"B": at(1)}
    drive.watch.told("B", 1, "training", at(9))
    assert drive.watch.quiet(drive.rounds.state, at(10)) == {}


def test_that_saying_again_that_it_downloads_moves_no_byte() -> None:
    drive = Watched().sent("A", "B")
    drive.watch.told("C", 1, "downloading", at(1))
    for minute in (2, 3, 4):  # it comes back again and again
        drive.watch.told("C", 1, "downloading", at(minute))
    assert drive.tick(5) and drive.closed_by() == "download"


def test_that_a_coordinator_that_was_away_blames_no_site_for_it() -> None:
    drive = Watched()
    watch = Watch(drive.rounds.spec, at(20))  # started again
    assert watch.quiet(drive.rounds.state, at(24)) == {}
    assert set(watch.quiet(drive.rounds.state, at(25))) == {"A", "B", "C"}


def test_that_all_five_are_told_with_the_sites_for_which_they_run() -> None:
    drive = Watched()
    drive.watch.moved("A", 1, "download", at(2))
    drive.watch.moved("B", 1, "upload", at(3))
    drive(SiteJoined(site="D"), 4)
    found = {one.name: one for one in drive.watch.deadlines(drive.rounds.state)}
    assert list(found) == ["join", "download", "train", "approve", "upload"]
    assert (found["download"].sites, found["download"].ends) == (("A",), at(6))
    assert (found["upload"].sites, found["upload"].ends) == (("B",), at(8))
    assert (found["train"].sites, found["train"].ends) == (("C",), at(30))
    assert (found["join"].ends, found["approve"].ends, found["join"].minutes) == (None, None, 60)


def test_that_before_round_one_the_join_deadline_runs_and_is_told() -> None:
    drive = Driver(round=TIMES)
    drive(SiteJoined(site="A"), 0)
    drive(SiteJoined(site="B"), 5)
    watch = Watch(drive.rounds.spec, BEGIN)
    assert watch.deadlines(drive.rounds.state)[0].ends == watch.wake_at(drive.rounds.state) == at(60)
    assert standing(drive.rounds.spec, drive.rounds.state, {}, {"A", "B"}).joins_until == at(60)


class Face:
    """What the coordinator tells of progress, by a clock that the test sets."""

    def __init__(self, state: RoundsState, spec: FederationSpec) -> None:
        self.now = BEGIN
        self.told: list[tuple[str, datetime | None]] = []
        self.changes = 0
        self.progress = Progress(spec, lambda: state, lambda: self.now, self.emit, self.change)

    def emit(self, event: events.Event) -> None:
        assert isinstance(event, events.SiteQuiet)
        self.told.append((event.site, event.since))

    def change(self) -> None:
        self.changes += 1

    def look(self, minute: float) -> None:
        self.now = at(minute)
        self.progress.look()


def test_that_falling_quiet_and_going_on_are_told_once_each() -> None:
    drive = Watched().sent("A", "B")
    face = Face(drive.rounds.state, drive.rounds.spec)
    face.now = at(1)
    face.progress.told("C", 1, "training")
    for minute in (3, 6, 7, 8):
        face.look(minute)
    assert face.told == [("C", at(1))] and face.changes == 1
    face.progress.told("C", 1, "training")
    assert face.told == [("C", at(1)), ("C", None)] and face.changes == 2


def test_that_the_standing_counts_quiet_sites_and_names_none() -> None:
    drive = Watched()
    told = standing(drive.rounds.spec, drive.rounds.state, {}, set(), [at(3), at(5)])
    assert (told.quiet, told.quiet_since) == (2, at(5)), "both have been quiet for at least that long"
    assert standing(drive.rounds.spec, drive.rounds.state, {}, set()).quiet_since is None


def test_that_deadlines_are_dates_whatever_is_written() -> None:
    longest = RoundSettings(download_minutes=5_256_000, upload_minutes=5_256_000)
    assert longest.deadlines["upload"] == timedelta(days=3650)
