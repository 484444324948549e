# SPDX-License-Identifier: Apache-2.0
"""Interface between the rules of the federation and the work at a site: trainers, scorers, control of work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

from ..events import Event
from ..lora import Adapter
from .accounting import Budget, Steps
from .plan import Plan
from .update import Update

if TYPE_CHECKING:
    from .evidence import Evidence  # a coordinator does without it

Emit = Callable[[Event], None]

MOMENTS: Final = ("means", "squares", "personal_means", "personal_squares")
"""Names of what a site keeps of its optimiser: of the shared adapter's factors, and of a personal one's."""


class Stopped(Exception):
    """Raised when work ends early on request; a checkpoint is on disk."""


class Control:
    """Pause and stop flags, set from any thread and checked by the working thread at every micro-step."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._run = threading.Event()
        self._run.set()

    def stop(self) -> None:
        """Ends the work at the next micro-step, even if it is paused."""
        self._stop.set()
        self._run.set()

    def pause(self) -> None:
        self._run.clear()

    def resume(self) -> None:
        self._run.set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def check(self) -> None:
        """Blocks while paused; raises Stopped once told to stop. Called by the working thread."""
        self._run.wait()
        if self._stop.is_set():
            raise Stopped


@dataclass(frozen=True)
class Given:
    """The adapters that a plan names by hash, and those that the site kept from its last round (`own`).

    Depending on the method, `own` has "B" (the adapter with the site's own B), "control" (c_i, in the shape of an
    adapter) and "personal"; where the optimiser's moments are kept, these too (MOMENTS). None of these ever leaves the
    site. `budget`: for a plan with differential privacy.
    """

    start: Adapter
    frozen: Adapter | None = None
    control: Adapter | None = None
    own: Mapping[str, Adapter] = field(default_factory=dict)
    budget: Budget | None = None


@dataclass(frozen=True)
class LocalResult:
    """An update, the exact bytes of its parts, the evidence measured on them, and what the site keeps (`own`).

    `spent`: of its privacy, all that the site's ledger has by then; for simulations, which have no disk.
    """

    update: Update
    blobs: dict[str, bytes]
    evidence: Evidence
    own: Mapping[str, Adapter] = field(default_factory=dict)
    spent: tuple[Steps, ...] = ()


State = Literal["pending", "approved", "released", "acknowledged", "refused", "kept", "expired"]


@dataclass(frozen=True)
class Entry:
    """One update in a site's outbox. `effective`: when an approval takes effect; `code`: why it was refused.

    `first_by`: who has approved it first, where it waits for a second person.
    """

    sha256: str
    plan: Plan
    update: Update
    evidence: Evidence
    state: State
    effective: datetime | None
    code: str
    first_by: str = ""


class Scorer(Protocol):
    """A base model and notes that only the coordinator has, for methods that weigh sites by them."""

    def loss(self, adapter: Adapter, frozen: Adapter | None = None) -> float:
        """Loss of the base with these adapters, in nats per supervised token. One call at a time, on any thread.

        Raises UserFacingError.
        """


class Trainer(Protocol):
    """A base model and one site's notes. Runs on one working thread at a time; emits events from that thread."""

    def train_round(self, plan: Plan, given: Given, checkpoints: Path, emit: Emit, control: Control) -> LocalResult:
        """Trains and measures; resumes from `checkpoints` if they belong to the same plan.

        Raises Stopped, UserFacingError.
        """

    def evaluate(self, plan: Plan, given: Given, emit: Emit, control: Control) -> LocalResult:
        """Scores the adapters on the site's test notes; the result has no blobs. Raises Stopped, UserFacingError."""
