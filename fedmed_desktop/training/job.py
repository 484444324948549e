# SPDX-License-Identifier: Apache-2.0
"""Context of one job at a site: its events, its clock, and how to stop it."""

from __future__ import annotations

import time
from typing import TypedDict

from ..events import Phase, PhaseChanged, TrainingStep
from ..federation.plan import Plan
from ..federation.work import Control, Emit
from .loop import StepDone


class _Where(TypedDict):
    site: str
    round: int


class Job:
    """One call: where its events come from, its clock, and a pause that can be seen."""

    def __init__(self, site: str, plan: Plan, emit: Emit, control: Control) -> None:
        self.plan, self.emit, self.control = plan, emit, control
        self._site = site
        self._started = time.monotonic()

    @property
    def where(self) -> _Where:
        return {"site": self._site, "round": self.plan.round}

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def enter(self, phase: Phase) -> None:
        self.control.check()
        self.emit(PhaseChanged(phase=phase, **self.where))

    def step(self, done: StepDone, steps: int, memory_mib: float) -> None:
        self.emit(
            TrainingStep(
                step=done.step,
                steps=steps,
                loss=done.loss,
                learning_rate=done.learning_rate,
                tokens_per_second=done.tokens / max(done.seconds, 1e-9),
                memory_mib=memory_mib,
                **self.where,
            )
        )
