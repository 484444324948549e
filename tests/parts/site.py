# SPDX-License-Identifier: Apache-2.0
"""A site's part driven by hand: its real outbox on disk, no line, no thread, and a clock that the test sets."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fedmed_desktop import events
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import FederationSpec, LocalResult, Plan, Rounds
from fedmed_desktop.federation import part_actions as do
from fedmed_desktop.federation.inputs import SiteJoined
from fedmed_desktop.federation.policy import InForce, Layer
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.site.deciding import part_of, record
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.outbox import Outbox
from tests.parts.federation import INITIAL, moved, result_of, small_spec

START = datetime(2026, 1, 1, tzinfo=UTC)
DELAY = timedelta(seconds=10)
SPEC = small_spec(rounds=3, sites=1, quorum=1)


def plan(number: int = 1, spec: FederationSpec = SPEC, seed: int = 1) -> Plan:
    """The plan of a round for this site, as its method makes it."""
    rounds = Rounds(spec)
    rounds.handle(SiteJoined(site="A"), START)
    found = rounds.state.plans["A"].model_copy(update={"round": number, "seed": seed})
    return found.evaluation() if number > spec.rounds else found


def result(of: Plan) -> LocalResult:
    """The update that this site makes for the plan: the same one each time."""
    return _result(of.model_dump_json())


@functools.cache
def _result(written: str) -> LocalResult:
    of = Plan.model_validate_json(written)
    return result_of(of, INITIAL, moved(INITIAL, of.round * 100 + of.seed))


class Site:
    """Does what the part asks for as the site's program does; what takes long waits in `under_way` for the test.

    `fault`: what the disk answers to every write, while set. `sent` is what the coordinator hears.
    """

    def __init__(self, folder: Path, spec: FederationSpec = SPEC, welcomed: bool = True) -> None:
        self._folder = folder
        self.spec = spec
        self.now = START
        self.fault: UserFacingError | None = None
        self.policy = InForce()
        self.told: list[events.Event] = []
        self.sent: list[do.Offer | do.Decline | do.Tell] = []
        self.final: do.Conclude | None = None
        self.fetched: list[str] = []
        self.trained: list[Plan] = []
        self._open()
        if welcomed:
            self.welcome()

    def _open(self) -> None:
        self.outbox = Outbox(self._folder / "site.sqlite", BlobStore(self._folder / "blobs"))
        self.outbox.remember("spec", self.spec.model_dump_json())
        self.part = part_of(self.outbox, "A", None)
        self.under_way: do.Fetch | do.Train | do.AskPerson | None = None
        self.give(lambda: self.part.policy_is(self.policy))
        self.give(self.part.restarted)

    def set_policy(self, *layers: Layer) -> None:
        """The site's policy from now on; its hours are by UTC."""
        self.policy = InForce(layers, UTC)
        self.give(lambda: self.part.policy_is(self.policy))

    def close(self) -> None:
        self.outbox.close()

    def crash(self) -> None:
        """All that is not on disk is lost; the program starts again, without a line."""
        self.close()
        self._open()

    def give(self, given: Callable[[], None]) -> None:
        """Hands in an input, and does all that comes of it at once."""
        given()
        for item in self.part.take():
            self._do(item)

    def _do(self, item: do.Action | do.Tell | events.Event) -> None:
        match item:
            case do.Fetch() | do.Train() | do.AskPerson():
                assert self.under_way is None, "two things are done at once"
                self.under_way = item
            case do.Stop():
                self.under_way = None
            case do.Store() | do.Record() | do.Conclude():
                self._write(item)
            case do.Offer(update):
                assert self.entry(update.sha256).state in ("released", "acknowledged"), "as Outbox.open_released says"
                may = self.part.may_send(update.sha256, self.now)
                self.sent += [item] if may else []
                self.give(lambda: None)  # what it tells of that
            case do.Decline() | do.Tell():
                self.sent.append(item)
            case _:
                self.told.append(item)

    def _write(self, item: do.Store | do.Record | do.Conclude) -> None:
        if self.fault is not None:
            if item is self.part.due:
                fault = self.fault
                self.give(lambda: self.part.failed(item, fault, self.now))
            return
        match item:
            case do.Store():
                entry = self.outbox.put(item.plan, item.result, self.now)
                self.give(lambda: self.part.recorded(item, entry))
            case do.Record():
                entry = record(self.outbox, item, self.now)
                self.give(lambda: self.part.recorded(item, entry))
            case do.Conclude():
                self.final = item
                self.give(lambda: self.part.done(item))

    # -- what tests say ----------------------------------------------------------------------------------------------

    def welcome(self) -> None:
        self.give(lambda: self.part.welcomed(self.spec, 1))

    def ask(self, of: Plan, attempt: int = 1) -> None:
        self.give(lambda: self.part.asked(of, attempt))

    def work(self) -> None:
        """What is under way comes to its end: blobs are fetched, the plan is trained."""
        action, self.under_way = self.under_way, None
        match action:
            case do.Fetch():
                self.fetched += action.blobs
                self.give(lambda: self.part.done(action))
            case do.Train():
                self.trained.append(action.plan)
                self.give(lambda: self.part.trained(action, result(action.plan)))
            case _:
                raise AssertionError(action)

    def until_asked(self, of: Plan, attempt: int = 1) -> Entry:
        """A plan is asked for and carried out; the update about which the person is asked."""
        self.ask(of, attempt)
        while isinstance(self.under_way, do.Fetch | do.Train):
            self.work()
        assert isinstance(self.under_way, do.AskPerson)
        return self.under_way.entry

    def decide(self, approve: bool = True, by: str = "ann") -> None:
        action, self.under_way = self.under_way, None
        assert isinstance(action, do.AskPerson)
        self.give(lambda: self.part.decided(action, approve, by, "read it", DELAY))

    def wait(self, time: timedelta = DELAY) -> None:
        self.now += time
        self.give(lambda: self.part.time_passed(self.now))

    def take_back(self, sha256: str) -> None:
        """Raises UserFacingError where it is too late."""
        action = do.Record(sha256, "taken_back", "ann", "no")
        entry = self.outbox.decide(action, self.now)
        self.give(lambda: self.part.recorded(action, entry))

    def fail(self, error: UserFacingError) -> None:
        action, self.under_way = self.under_way, None
        assert action is not None
        self.give(lambda: self.part.failed(action, error, self.now))

    def entry(self, sha256: str) -> Entry:
        return self.outbox.entry(sha256)

    @property
    def offered(self) -> list[str]:
        return [one.update.sha256 for one in self.sent if isinstance(one, do.Offer)]

    @property
    def declined(self) -> list[tuple[int, str]]:
        return [(one.round, one.code) for one in self.sent if isinstance(one, do.Decline)]

    @property
    def phases(self) -> list[tuple[int, str]]:
        return [(one.round, one.phase) for one in self.told if isinstance(one, events.PhaseChanged)]

    @property
    def decided(self) -> list[str]:
        return [one.decision for one in self.told if isinstance(one, events.DecisionRecorded)]

    @property
    def states(self) -> list[str]:
        return [entry.state for entry in self.outbox.entries()]
