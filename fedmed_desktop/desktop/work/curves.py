# SPDX-License-Identifier: Apache-2.0
"""Numbers of the training: what was measured step by step, and what is known of each round.

Steps are counted through all rounds (`index`); a training that is resumed repeats steps, and what comes later holds.
Of a closed round with many steps an even selection is kept (MOST_STEPS, as in the site's journal).
What nobody has measured is NaN. One thread, that of `Desk`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from ... import events
from ...federation.work import Entry
from ...scores import TASKS, Scores, TaskName
from ...storage.journal import MOST_STEPS, stride_of
from ...storage.outbox import Record
from ..charts.columns import Columns, Numbers
from .layers import layer_norms, layer_ranks
from .steps import Steps

DRIFTS: Final = ("model", "performance", "semantic", "combined")

_SITE_EVENTS = (events.TrainingStep, events.Evaluated, events.TransferProgress)


def score_of(task: TaskName, moment: str) -> str:
    """Column of `rounds` with the task's score before or after training."""
    return f"{task} {moment}"


class Curves:
    """Folded by `Desk`. `version` rises with every change, so that a page need not draw what it has drawn.

    `thresholds`: drifts at which the federation's method changes a rank; empty while no method has them.
    `shares_counts`: whether sites tell what their notes are about, without which nobody can measure semantic drift.
    `has_several_tasks`: of the federation; this site may have labels of one of them only.
    `rank_follows`: what the method changes a site's rank with. `layers`: norm of each layer's change, by round;
    `layer_ranks`: smallest and largest rank there, where not all are alike.
    `current`: (round, step, steps) of the last training step, None before the first. `rounds`: a row for each round;
    `steps` before each of them are counted by `round_starts`. `moved`: bytes by direction and blob.
    """

    def __init__(self) -> None:
        self.version = 0
        self.thresholds: tuple[float, ...] = ()
        self.rank_follows: Literal["nothing", "drift", "schedule"] = "nothing"
        self.shares_counts = self.has_several_tasks = False
        self.current: tuple[int, int, int] | None = None
        self.steps = Steps()
        self.rounds = Columns(
            "round", "steps", "began", "ended", "loss_before", "loss_after", "rank",
            *(score_of(task, moment) for task in TASKS for moment in ("before", "after")),
            *DRIFTS, *(f"own {name}" for name in DRIFTS),
        )  # fmt: skip
        self.other_ranks: dict[int, tuple[int, ...]] = {}
        self.scores: dict[int, dict[str, Scores]] = {}
        self.moved: dict[str, dict[str, int]] = {"up": {}, "down": {}}
        self.layers: dict[int, dict[int, float]] = {}
        self.layer_ranks: dict[int, dict[int, tuple[int, int]]] = {}
        self._layers_of: dict[int, str] = {}  # the update that a round's layers are of

    # -- folding -----------------------------------------------------------------------------------------------------

    def fold(self, event: events.Event) -> None:
        match event:
            case events.TrainingStep():
                self._step(event)
            case events.Evaluated(moment="before" | "after"):
                self._evaluated(event)
            case events.TransferProgress():
                self.moved[event.direction][event.blob] = event.bytes
            case _:
                return
        self.version += 1

    def fold_many(self, told: Sequence[events.Event]) -> None:
        """Folds one event after the other, as `fold` would; rising steps of one round go in at once.

        Of closed rounds it is the selection that counts, also in what is smoothed. Measured on two shared cores: 91 ms
        for 100 rounds of 1,000 steps.
        """
        newest = max((event.round for event in told[-1:] if isinstance(event, _SITE_EVENTS)), default=0)
        rising: list[events.TrainingStep] = []
        number, step = 0, 0
        for event in told:
            if isinstance(event, events.TrainingStep) and event.round == number and event.step > step:
                rising.append(event)
                step = event.step
                continue
            self._take_steps(rising, newest)
            rising, number = [], 0
            if isinstance(event, events.TrainingStep):
                rising, number, step = [event], event.round, event.step
            else:
                self.fold(event)
        self._take_steps(rising, newest)
        self.version += 1

    def fold_record(self, record: Record) -> None:
        """Folds the site's own outbox: evidence of each training, and what was really sent."""
        self.shares_counts = record.spec is not None and record.spec.share.histogram != "none"
        self.has_several_tasks = record.spec is not None and len(record.spec.tasks) > 1
        if record.spec is not None:
            self.thresholds, self.rank_follows = record.spec.method.rank_levels, record.spec.method.rank_follows
        for entry in record.entries:
            if entry.update.report.kind == "train":
                self._evidence(entry)
            if entry.state == "acknowledged":
                for part in entry.update.parts.values():
                    self.moved["up"][part.sha256] = part.size
        self.version += 1

    def fold_standing(self, event: events.StandingChanged) -> None:
        """Folds the coordinator's record of closed rounds, which overrides what the site measured itself."""
        for closed in event.history:
            self.other_ranks[closed.round] = closed.other_ranks
            row = self._row(closed.round)
            if np.isnan(self.rounds["ended"][row]):
                self._saw(row, closed.closed.timestamp())
            drifts = (closed.model_drift, closed.performance_drift, closed.semantic_drift, closed.combined_drift)
            known = dict(zip(DRIFTS, drifts, strict=True)) | {"rank": closed.rank}
            self.rounds.set(row, **{name: value for name, value in known.items() if value is not None})
        self.version += 1

    def _step(self, event: events.TrainingStep) -> None:
        row = self._make_room(event, event)
        self.steps.append(event, float(self.round_starts()[row]))

    def _take_steps(self, rising: list[events.TrainingStep], newest: int) -> None:
        """Steps of one round, each later than the one before; rounds before the newest are closed."""
        if not rising:
            return
        if rising[0].round < newest and len(rising) > MOST_STEPS:
            stride, last = stride_of(rising[-1].step), len(rising) - 1
            rising = [e for place, e in enumerate(rising) if e.step % stride == 0 or place in (0, last)]
        row = self._make_room(rising[0], rising[-1])
        self.steps.extend(rising, float(self.round_starts()[row]))

    def _make_room(self, first: events.TrainingStep, last: events.TrainingStep) -> int:
        """Makes room for steps from the first to the last of one round; returns the row of that round."""
        if self.current is not None and first.round > self.current[0]:
            self.steps.thin(self.current[0])
        self.steps.forget_from(first.round, first.step)
        row = self._row(first.round)
        self.rounds["steps"][row + 1 :] = 0  # the coordinator may have restarted from an earlier round
        self._lengthen(row, last.step)
        for event in (first, last):
            self._saw(row, event.time.timestamp())
        self.current = (last.round, last.step, last.steps)
        return row

    def _evaluated(self, event: events.Evaluated) -> None:
        row = self._row(event.round)
        self._saw(row, event.time.timestamp())
        self.rounds.set(row, **{f"loss_{event.moment}": event.loss})
        self._scored(row, event.moment, event.scores)

    def _evidence(self, entry: Entry) -> None:
        report, evidence = entry.update.report, entry.evidence
        row = self._row(entry.plan.round)
        self._lengthen(row, max(report.steps, self._length(row)))
        known = {
            "own model": evidence.model_drift, "own performance": evidence.performance_drift,
            "own semantic": evidence.semantic_drift, "rank": evidence.rank,
            "loss_before": report.loss_before, "loss_after": report.loss_after,
        }  # fmt: skip
        for moment, scores in (("before", evidence.scores_before), ("after", evidence.scores_after)):
            if scores != Scores():
                self._scored(row, moment, scores)
        self.rounds.set(row, **{name: value for name, value in known.items() if value is not None})
        if evidence.modules and self._layers_of.get(entry.plan.round) != entry.sha256:
            self._layers_of[entry.plan.round] = entry.sha256
            self.layers = {**self.layers, entry.plan.round: layer_norms(evidence.modules)}
            self.layer_ranks[entry.plan.round] = layer_ranks(evidence.modules)

    def _scored(self, row: int, moment: str, scores: Scores) -> None:
        self.scores.setdefault(int(self.rounds["round"][row]), {})[moment] = scores
        self.rounds.set(row, **{score_of(task, moment): scores[task].headline for task in scores.scored})

    def _row(self, round_number: int) -> int:
        """The row of a round, which is made where it is missing."""
        found = int(np.searchsorted(self.rounds["round"], round_number))
        if found == len(self.rounds) or self.rounds["round"][found] != round_number:
            self.rounds.insert(found, round=round_number, steps=0)
        return found

    def _length(self, row: int) -> int:
        return int(self.rounds["steps"][row])

    def _lengthen(self, row: int, steps: int) -> None:
        """A round's number of steps as known now; later rounds move along."""
        grown = steps - self._length(row)
        if not grown:
            return
        self.rounds.set(row, steps=steps)
        if row + 1 < len(self.rounds):
            self.steps.move_from(int(self.rounds["round"][row]) + 1, grown)

    def _saw(self, row: int, time: float) -> None:
        began, ended = self.rounds["began"][row], self.rounds["ended"][row]
        self.rounds.set(row, began=np.fmin(began, time), ended=np.fmax(ended, time))

    # -- reading -----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Number of training steps that are known, gaps included."""
        return len(self.steps)

    @property
    def is_empty(self) -> bool:
        """Tells whether there is nothing to draw."""
        names = ("loss_before", "loss_after", "rank", *DRIFTS, *(f"own {name}" for name in DRIFTS))
        return not len(self.steps) and not any(np.isfinite(self.rounds[name]).any() for name in names)

    def scored_tasks(self) -> tuple[TaskName, ...]:
        """Tasks that have a score of any round, in the order in which they are shown."""
        known = {task for moments in self.scores.values() for scores in moments.values() for task in scores.tasks}
        return tuple(task for task in TASKS if task in known)

    def round_starts(self) -> Numbers:
        """The number of steps before each round, shape (rounds,)."""
        steps = self.rounds["steps"]
        return np.cumsum(steps) - steps

    def drift(self, name: str) -> Numbers:
        """Drift of each round, shape (rounds,): as the coordinator recorded it, else as this site measured it."""
        recorded = self.rounds[name]
        return np.where(np.isnan(recorded), self.rounds[f"own {name}"], recorded)
