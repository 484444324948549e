# SPDX-License-Identifier: Apache-2.0
"""State of the desktop in one place, folded from events of other threads. Pages read this and nothing else.

What was decided and sent is never counted up from events: it is the site's own record (`Record`, read from its
outbox), so that a restarted desktop shows the same state as one that was there all the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ... import events
from ...federation import FederationSpec
from ...federation.fitted import Outcome
from ...federation.work import Entry
from ...storage.outbox import Record
from .curves import Curves
from .news import (
    AgreementAsked,
    DemoScored,
    EvaluationShown,
    FittingShown,
    Item,
    KeptAwake,
    Load,
    Measured,
    Paused,
    Problem,
    ReadingShown,
    SessionEnded,
    SessionStarted,
    Side,
)
from .progress import Work

# A paused site tells "paused" in place of these; its other phases go on.
_COMPUTING = ("waiting", "scoring_before", "training", "scoring_after", "measuring", "evaluating")
_NOT_AWAKE = KeptAwake("off")
_NOTHING = Record(spec=None, entries=(), decisions=(), final=None)


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Desk:
    """The state of the desktop. Changed by `fold` only, in the GUI thread.

    `asked`: sha256 of the update that the agent waits for an answer to; a pending one that is not asked for waits for
    the coordinator. `fetched`: what the latest plan begins with. `others`: work of other sites in this process (a
    demonstration). `fitted`: what came of the last fitting that was done, also where a later one was stopped.
    """

    session: SessionStarted | None = None
    ended: SessionEnded | None = None
    connection: events.ConnectionChanged | None = None
    identity: events.IdentityShown | None = None
    joined: events.Joined | None = None
    prepared: events.Prepared | None = None
    phase: events.PhaseChanged | None = None
    fetched: events.PlanFetched | None = None
    standing: events.StandingChanged | None = None
    record: Record = _NOTHING
    asked: str | None = None
    policies: dict[str, events.PolicySaid] = field(default_factory=dict)  # of this site, by update
    failure: events.Failed | events.UpdateRefused | None = None
    paused: bool = False
    asks_agreement: bool = False
    closing: bool = False
    work: Work = field(default_factory=Work)
    others: dict[str, Work] = field(default_factory=dict)
    curves: Curves = field(default_factory=Curves)
    problems: list[Problem] = field(default_factory=list)
    scored: DemoScored | None = None
    readings: dict[Side, ReadingShown] = field(default_factory=dict)
    evaluation: EvaluationShown | None = None
    fitting: FittingShown | None = None
    fitted: Outcome | None = None
    awake: KeptAwake = _NOT_AWAKE
    load: Load | None = None

    def fold(self, items: Iterable[Item]) -> None:
        for item in items:
            self._take(item)

    def _take(self, item: Item) -> None:
        match item:
            case SessionStarted():
                self._begin(item)
            case Paused():
                self.paused = item.value
                if self.paused:
                    self.work.rest()
            case AgreementAsked():
                self.asks_agreement, self.paused = item.value, False
            case SessionEnded():
                self.ended, self.asked, self.connection = item, None, None
                self.paused = False
                self.work, self.others, self.load = Work(), {}, None
            case Measured():
                self.curves.fold_many(item.events)
            case Record():
                self._recorded(item)
            case Problem():
                self.problems.append(item)
            case ReadingShown():
                self.readings[item.side] = item
            case EvaluationShown():
                self.evaluation = item
            case FittingShown():
                self.fitting, self.fitted = item, item.outcome or self.fitted
            case DemoScored():
                self.scored = item
            case KeptAwake():
                self.awake = item
            case Load():
                self.load = item
            case _:
                self._happened(item)

    def _begin(self, started: SessionStarted) -> None:
        """A session starts from nothing; what the person tries out beside it stays, what is evaluated goes on, and what
        was told stays too.
        """
        fresh = Desk(session=started, readings=self.readings, problems=self.problems, closing=self.closing)
        fresh.awake = self.awake
        fresh.evaluation = self.evaluation if self.evaluation and self.evaluation.runs else None
        self.__dict__.update(fresh.__dict__)

    def _recorded(self, record: Record) -> None:
        self.record = record
        self.curves.fold_record(record)
        if self.asked and self.entry(self.asked) is None:
            self.asked = None

    def _happened(self, event: events.Event) -> None:
        site = getattr(event, "site", "")
        if self.session is None or site != self.session.site:
            if site and self.session and site in self.session.sites:
                self.others.setdefault(site, Work()).fold(event)
            elif isinstance(event, events.PhaseChanged | events.GenerationProgress):
                self.work.fold(event)  # the scoring at a demonstration's end belongs to no site
            return
        self.curves.fold(event)
        match event:
            case events.ConnectionChanged():
                self.connection = event
                if event.state == "lost":
                    self.standing = None if self.standing is None else self.standing.model_copy(update={"sites": {}})
            case events.IdentityShown():
                self.identity = event
            case events.Joined():
                self.joined = event
            case events.Prepared():
                self.prepared = event
            case events.StandingChanged():
                self.standing = event
                self.curves.fold_standing(event)
            case events.PhaseChanged():
                self._entered(event)
            case events.PlanFetched():
                self.fetched = event
            case events.PolicySaid():
                self.policies[event.update] = event
            case events.UpdatePending():
                self.asked = event.update
            case events.DecisionRecorded(decision="kept" | "expired" | "approved", update=self.asked):
                self.asked = self.failure = None
            case events.Failed() | events.UpdateRefused():
                self.failure, self.work = event, Work()
            case _:
                self.work.fold(event)

    def _entered(self, event: events.PhaseChanged) -> None:
        if event.phase == "paused":
            if not self.asks_agreement:  # which holds the work as a pause does
                self._take(Paused(True))
            return
        if event.phase in _COMPUTING:
            self.paused = False
        if event.phase == "uploading":  # what the policy holds back is told after it
            self.policies = {sha256: one for sha256, one in self.policies.items() if one.round != event.round}
        if event.phase in (
            "downloading",
            "not_asked",
            "training",
            "scoring_before",
            "evaluating",
            "approval",
            "uploading",
        ):
            self.failure = None
        self.phase = event
        self.work.fold(event)

    # -- what pages ask for ------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self.session is not None and self.ended is None

    @property
    def fatal(self) -> Problem | None:
        """The problem that has ended this session; None where none has."""
        if self.ended is None or self.ended.reason != "failed":
            return None
        return next((problem for problem in reversed(self.problems) if problem.fatal), None)

    @property
    def looked(self) -> bool:
        """Tells whether the site's own record has been read, so that "nothing" means nothing."""
        return self.record is not _NOTHING

    @property
    def is_demo(self) -> bool:
        return self.session is not None and self.session.kind == "demo"

    @property
    def spec(self) -> FederationSpec | None:
        return self.record.spec

    @property
    def federation(self) -> str:
        """Name of the federation, or "" while that is not known."""
        return self.record.spec.name if self.record.spec else ""

    @property
    def connected(self) -> bool:
        return self.connection is not None and self.connection.state == "connected"

    @property
    def round(self) -> int:
        """The round that is on, as far as this site knows; 0 before the first."""
        known = [entry.plan.round for entry in self.record.entries]
        known.append(self.phase.round if self.phase else 0)
        if self.standing:  # told once a second at most, so that the site's own plan may be ahead of it
            known = [self.standing.round, *(number for number in known if number <= self.standing.rounds)]
        return max(known)

    @property
    def queue(self) -> list[Entry]:
        """Updates that wait for a decision, or whose approval can still be taken back; the oldest first."""
        return [entry for entry in self.record.entries if entry.state in ("pending", "approved")]

    @property
    def pending(self) -> Entry | None:
        return next((entry for entry in self.queue if entry.state == "pending"), None)

    @property
    def counting_down(self) -> Entry | None:
        return next((entry for entry in self.queue if entry.state == "approved"), None)

    def entry(self, sha256: str) -> Entry | None:
        return next((entry for entry in self.record.entries if entry.sha256 == sha256), None)

    @property
    def last_entry(self) -> Entry | None:
        return self.record.entries[-1] if self.record.entries else None

    @property
    def has_own(self) -> bool:
        """Tells whether this site keeps a part of the model for itself, and has trained one."""
        plans = [entry.plan for entry in self.record.entries if entry.plan.kind == "train"]
        return any(plan.own or plan.orthogonal for plan in plans)

    @property
    def fits(self) -> bool:
        """Tells whether a model is being fitted to this site's notes, or waits for that."""
        return self.fitting is not None and self.fitting.runs

    @property
    def computing(self) -> Work:
        """The work that this computer is busy with: its own site's, else that of another site in this process."""
        if self.work.busy:
            return self.work
        return next((work for work in self.others.values() if work.busy), self.work)
