# SPDX-License-Identifier: Apache-2.0
"""Parts for tests of approvals: a real outbox on disk, and the desk that a desktop would have made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from fedmed_desktop import events
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import SessionStarted
from fedmed_desktop.federation import LocalResult, Part, Plan, Report, TrainingSettings, Update
from fedmed_desktop.federation import part_actions as do
from fedmed_desktop.federation.evidence import Evidence, MaskedAmong, ModuleChange
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.scores import Counts, Scores, TaskScores
from fedmed_desktop.site import TAKE_BACK
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.outbox import Outbox, Record
from tests.parts.federation import INITIAL, LORA, moved, result_of, small_spec

NOW = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
ADDRESS = "ws://coordinator.riverside.example:8765"
T = TypeVar("T")
REASON = "Scores improved on both types."
BEFORE = Scores.of_entities(
    TaskScores(
        strict={"drug": Counts(tp=61, fp=39, fn=39), "problem": Counts(tp=55, fp=45, fn=45)},
        lenient={"drug": Counts(tp=70, fp=30, fn=30), "problem": Counts(tp=60, fp=40, fn=40)},
        unified=Counts(tp=120, fp=80, fn=80),
    )
)
AFTER = Scores.of_entities(
    TaskScores(
        strict={"drug": Counts(tp=74, fp=26, fn=26), "problem": Counts(tp=66, fp=34, fn=34)},
        lenient={"drug": Counts(tp=80, fp=20, fn=20), "problem": Counts(tp=70, fp=30, fn=30)},
        unified=Counts(tp=144, fp=56, fn=56),
    )
)


class Counted(tuple[T, ...]):
    """A tuple that counts how often all of it is gone through."""

    rounds = 0

    def __iter__(self) -> Iterator[T]:
        self.rounds += 1
        return super().__iter__()


class Site:
    """A site's outbox on disk, and the desk as it would stand after all that was done to it."""

    def __init__(self, folder: Path) -> None:
        self.outbox = Outbox(folder / "site.sqlite", BlobStore(folder / "blobs"))
        self.spec = small_spec(name="Riverside federation", environment="test")
        self.desk = Desk()
        self.desk.fold([SessionStarted("site", "north", ADDRESS, ("north",), folder / "notes", folder / "model")])
        self.desk.fold([events.ConnectionChanged(site="north", state="connected", address=ADDRESS)])
        self.refresh()

    def refresh(self) -> Desk:
        """What the agent does after every change: the face is handed the record."""
        record = Record(self.spec, tuple(self.outbox.entries()), self.outbox.decisions(), None)
        self.desk.fold([record])
        return self.desk

    def trained(
        self,
        round_number: int = 3,
        *,
        norm: float | None = None,
        before: Scores = BEFORE,
        after: Scores = AFTER,
        ask: bool = True,
        drift: float | None = 0.22,
        notes: int | None = 330,
        histogram: dict[str, int] | None = None,
        semantic: float | None = None,
        masked: MaskedAmong | None = None,
        modules: Mapping[str, ModuleChange] | None = None,
        **plan_has: object,
    ) -> Entry:
        """A training's update comes into the outbox, and the agent asks about it; `plan_has` more than a usual plan."""
        plan = plan_of(round_number).model_copy(update=plan_has)
        made = result_of(plan, INITIAL, moved(INITIAL, round_number))
        report = made.update.report.model_copy(
            update={
                "notes": 2310, "histogram": histogram or {}, "train_loss": 1.21, "loss_before": 1.42,
                "loss_after": 1.07, "scores_before": before, "scores_after": after,
            }
            | ({} if norm is None else {"update_norm": norm})
        )  # fmt: skip
        evidence = Evidence(
            rank=plan.rank, model_drift=drift, performance_drift=drift, semantic_drift=semantic, scores_before=before,
            scores_after=after, validation_notes=notes, masked=masked, modules=dict(modules or {}),
        )  # fmt: skip
        blobs = {name: made.blobs["adapter"] + name.encode() * (name != "adapter") for name in plan.parts}
        parts = {n: Part(sha256=hashlib.sha256(blob).hexdigest(), size=len(blob)) for n, blob in blobs.items()}
        update = Update(round=round_number, parts=parts, report=report)
        return self.put(plan, LocalResult(update, blobs, evidence), ask=ask)

    def shares(self, histogram: str) -> None:
        """The federation's specification lets sites count their notes, or its entities, and share that."""
        share = self.spec.share.model_copy(update={"histogram": histogram})
        self.spec = self.spec.model_copy(update={"share": share})
        self.refresh()

    def scored(self, round_number: int = 4, *, ask: bool = True) -> Entry:
        """The last plan of a federation: a report without blobs."""
        plan = plan_of(round_number).model_copy(update={"kind": "evaluate"})
        report = Report(kind="evaluate", notes=120, supervised_tokens=900, loss_after=1.0, scores_after=AFTER)
        update = Update(round=round_number, parts={}, report=report)
        return self.put(plan, LocalResult(update, {}, Evidence(rank=plan.rank, scores_after=AFTER)), ask=ask)

    def put(self, plan: Plan, result: LocalResult, *, ask: bool) -> Entry:
        entry = self.outbox.put(plan, result, NOW)
        self.refresh()
        if ask:
            self.ask(entry)
        return entry

    def ask(self, entry: Entry) -> None:
        self.desk.fold(
            [events.UpdatePending(site="north", round=entry.plan.round, update=entry.sha256, bytes=entry.update.size)]
        )

    def approve(self, entry: Entry, now: datetime = NOW, delay: timedelta = TAKE_BACK) -> Entry:
        approved = self.outbox.decide(do.Record(entry.sha256, "approved", "ada", REASON, delay), now)
        self.refresh()
        self._told(entry, "approved")
        return approved

    def take_back(self, entry: Entry, now: datetime = NOW, reason: str = "taken back in time") -> None:
        self.outbox.decide(do.Record(entry.sha256, "taken_back", "ada", reason), now)
        self.refresh()
        self.ask(entry)

    def release(self, entry: Entry, now: datetime = NOW + TAKE_BACK) -> None:
        self.outbox.decide(do.Record(entry.sha256, "released", "agent"), now)
        self.refresh()

    def keep(self, entry: Entry, reason: str = REASON, now: datetime = NOW) -> None:
        self.outbox.decide(do.Record(entry.sha256, "kept", "ada", reason), now)
        self.refresh()
        self._told(entry, "kept")

    def expire(self, entry: Entry) -> None:
        self.outbox.decide(do.Record(entry.sha256, "expired", "agent", "round closed"), NOW)
        self.refresh()
        self._told(entry, "expired")

    def receive(self, entry: Entry) -> None:
        self.outbox.decide(do.Record(entry.sha256, "acknowledged", "coordinator"), NOW + 2 * TAKE_BACK)
        self.refresh()

    def refuse(self, entry: Entry, code: str = "update.round_closed") -> None:
        self.outbox.decide(do.Record(entry.sha256, "refused", "coordinator", code, code=code), NOW + 2 * TAKE_BACK)
        self.refresh()

    def restart(self) -> None:
        """The program starts again: what it takes back by itself, and nobody asks until the coordinator does."""
        for entry in self.outbox.in_state("approved"):
            reason = "the program ended before the approval was in effect"
            self.outbox.decide(do.Record(entry.sha256, "taken_back", "agent", reason), NOW)
        self.refresh()
        self.desk.asked = None

    def disconnect(self, *, is_asked: bool = False) -> None:
        """The program starts again, or the line is down: nobody asks, or the agent still waits for an answer."""
        if not is_asked:
            self.desk.asked = None
        self.desk.fold(
            [events.ConnectionChanged(site="north", state="lost", address=ADDRESS, code="link.closed", params={})]
        )

    def stands(self, round_number: int, closes: datetime | None, sites: Mapping[str, int] | None = None) -> None:
        self.desk.fold(
            [
                events.StandingChanged(
                    site="north", round=round_number, rounds=10, attempt=1, phase="open", opened=NOW, closes=closes,
                    sites=dict(sites or {}), connected=3, history=(),
                )
            ]
        )  # fmt: skip

    def _told(self, entry: Entry, decision: str) -> None:
        self.desk.fold(
            [
                events.DecisionRecorded.model_validate(
                    {
                        "site": "north", "round": entry.plan.round, "update": entry.sha256, "decision": decision,
                        "by": "ada", "reason": REASON,
                    }
                )
            ]
        )  # fmt: skip


def plan_of(round_number: int) -> Plan:
    return Plan(
        round=round_number, start=INITIAL.sha256, rank=LORA.rank, training=TrainingSettings(steps=4), seed=round_number
    )


@contextmanager
def site_in(folder: Path) -> Iterator[Site]:
    site = Site(folder)
    try:
        yield site
    finally:
        site.outbox.close()
