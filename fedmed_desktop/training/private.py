# SPDX-License-Identifier: Apache-2.0
"""DP-SGD (Abadi et al. 2016, arXiv 1607.00133, algorithm 1) on the adapters' factors: its units, draws and noise.

A step is written to the site's ledger, then draws each unit by itself with the same probability (Poisson sampling, not
a shuffled pass: only that gives the amplification which the accountant counts), sums their clipped gradients and adds
noise. What is done with the sum afterwards (moments, schedule, clipping, penalties of the factors) costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch
from torch import nn

from ..clinical import Note, SiteNotes
from ..errors import UserFacingError
from ..federation.accounting import Budget
from ..federation.objectives import Orthogonal
from ..federation.plan import Plan, PrivacySettings
from ..federation.secret_random import SecretRandom
from .base import BaseModel
from .batches import Examples
from .gradients import Work
from .unit_gradients import ClippedSum

MOST_EXAMPLES: Final = 32
"""Of a unit with more, so many are drawn anew in each step: a patient with hundreds of notes fits in memory, and weighs
as much as any other in any case. Inferred."""


class PrivateSteps:
    """Draws, gradients and noise of one training. `begin` first; then for each step `draw`, `add`, `finish`.

    Raises UserFacingError where the promise would not hold: several processes, float16, notes without patients, a
    delta that lets a whole unit out.
    """

    def __init__(
        self,
        base: BaseModel,
        examples: Examples,
        plan: Plan,
        trained: Mapping[str, nn.Parameter],
        budget: Budget,
        random: SecretRandom | None = None,
    ) -> None:
        assert plan.training.privacy is not None
        self._settings = plan.training.privacy
        _check(base, plan)
        self.units = units_of(examples, self._settings)
        if self._settings.delta * len(self.units) >= 1:
            raise UserFacingError("privacy.delta", delta=self._settings.delta, units=len(self.units))
        self._base, self._trained, self._budget = base, trained, budget
        self._items, self._loss_on, self._round = examples.items, plan.training.loss_on, plan.round
        self._random = random or SecretRandom()
        self._expected = min(plan.training.batch_size, len(self.units))
        self.rate = self._expected / len(self.units)
        self._noise = 0.0
        self._sum: ClippedSum | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which each unit is expected once."""
        return -(-len(self.units) // self._expected)

    def begin(self, done: int, steps: int) -> None:
        """Chooses the noise for the rest of `steps`. Raises UserFacingError where the budget has no room for them."""
        self._noise = self._budget.grant(self.rate, steps - done, steps)

    def draw(self) -> list[tuple[int, int]]:
        """Spends, then draws: (example, unit) of a step, units together and the longest first; maybe none at all.

        Raises UserFacingError where the ledger cannot be written, or nothing more was granted.
        """
        self._budget.spend(self._round)
        chosen = [unit for unit, u in enumerate(self._random.uniforms(len(self.units))) if u < self.rate]
        drawn = {unit: self._some(self.units[unit]) for unit in chosen}
        longest = {unit: max(len(self._items[at]) for at in drawn[unit]) for unit in chosen}
        order = sorted(chosen, key=lambda unit: (-longest[unit], unit))
        return [(at, unit) for unit in order for at in drawn[unit]]

    def add(self, work: Work, drawn: Sequence[tuple[int, int]], look: Callable[[], None]) -> float:
        """Sums the clipped gradients of a draw, whose micro-batches `work` has; the loss over its labels.

        A repeated call begins anew. Raises Stopped, torch.OutOfMemoryError.
        """
        labels: dict[int, int] = {}
        for at, unit in drawn:
            labels[unit] = labels.get(unit, 0) + self._items[at].labels(self._loss_on)
        self._sum = ClippedSum(self._base, self._trained, self._settings.clip_norm)
        total, first = 0.0, 0
        for placed in work.batches:
            look()
            rows = [unit for _, unit in drawn[first : first + len(placed.lengths)]]
            loss = self._sum.add(placed.on(self._base.device.torch), rows, [labels[unit] for unit in rows])
            total += loss if math.isfinite(loss) else 0.0
            first += len(rows)
        return total

    @torch.no_grad()
    def finish(self) -> None:
        """Puts the noised mean on the parameters: (sum + noise x clip_norm x N(0, I)) / expected units."""
        sums = (self._sum or ClippedSum(self._base, self._trained, self._settings.clip_norm)).end()
        self._sum = None
        for name, parameter in self._trained.items():
            normals = torch.from_numpy(self._random.normals(parameter.numel())).to(torch.float32)
            noise = normals.view_as(parameter).to(parameter.device) * (self._noise * self._settings.clip_norm)
            parameter.grad = (sums[name] + noise).div_(self._expected).to(parameter.dtype)

    def _some(self, unit: Sequence[int]) -> list[int]:
        if len(unit) <= MOST_EXAMPLES:
            return list(unit)
        order = self._random.uniforms(len(unit)).argsort()
        return [unit[at] for at in sorted(order[:MOST_EXAMPLES])]


def units_of(examples: Examples, settings: PrivacySettings) -> list[list[int]]:
    """Numbers of the examples of each unit. Raises UserFacingError where a note does not say which patient it is of."""
    notes: list[Note] = [item.asked.note for item in examples.items]
    for source in examples.sources:  # a window has another id than its note
        notes[source.start : source.stop] = [source.note] * (source.stop - source.start)
    found: dict[str, list[int]] = {}
    for at, note in enumerate(notes):
        found.setdefault(_unit(note, settings), []).append(at)
    return list(found.values())


def check_splits(notes: SiteNotes, settings: PrivacySettings) -> None:
    """Raises UserFacingError where a patient, or a document, is in training and in the notes that are scored: what is
    measured there has no noise."""

    def named(*some: Note) -> set[str | None]:
        return {note.patient if settings.unit == "patient" else note.document for note in some}

    if both := named(*notes.train) & named(*notes.validation, *(notes.test or ())) - {None}:
        raise UserFacingError("privacy.in_both", count=len(both))


def _unit(note: Note, settings: PrivacySettings) -> str:
    if settings.unit == "note":
        return f"d {note.document}" if note.document is not None else f"n {note.id}"
    if note.patient is None:
        raise UserFacingError("privacy.no_patient")
    return note.patient


def _check(base: BaseModel, plan: Plan) -> None:
    if base.processes:
        raise UserFacingError("privacy.processes")
    if base.device.dtype == torch.float16:
        raise UserFacingError("privacy.float16")
    if plan.variate:
        raise UserFacingError("privacy.scaffold", path="the plan")
    if any(isinstance(term, Orthogonal) and term.on == "outputs" for term in plan.objective):
        raise UserFacingError("privacy.outputs", path="the plan")
