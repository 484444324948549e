# SPDX-License-Identifier: Apache-2.0
"""The seam between the rules of the federation and the work at a site: what a trainer is, and how work is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..events import Event
from ..lora import Adapter
from ..scores import Scores
from .plan import Frozen, Plan
from .update import Update

Emit = Callable[[Event], None]


class Stopped(Exception):
    """Work ended early because it was told to; a checkpoint lies on disk."""


class Control:
    """Pause and stop, set from any thread and looked at by the working thread at every micro-step."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._run = threading.Event()
        self._run.set()

    def stop(self) -> None:
        """Ends the work at the next micro-step, also when paused."""
        self._stop.set()
        self._run.set()

    def pause(self) -> None:
        self._run.clear()

    def resume(self) -> None:
        self._run.set()

    @property
    def paused(self) -> bool:
        return not self._run.is_set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def check(self) -> None:
        """Blocks while paused; raises Stopped once told to stop. Called by the working thread."""
        self._run.wait()
        if self._stop.is_set():
            raise Stopped


class Evidence(Frozen):
    """What the site's operator sees and what never leaves: how this update differs from what came before.

    A value is None where there is nothing to compare with yet ("first round: no reference yet"). `validation_notes` is
    the number of notes behind the scores of a training; None in records that do not tell it.
    """

    model_drift: float | None = None
    performance_drift: float | None = None
    semantic_drift: float | None = None
    rank: int
    scores_before: Scores = Scores()
    scores_after: Scores = Scores()
    validation_notes: int | None = None


@dataclass(frozen=True)
class Given:
    """The adapters that a plan names by hash, and what the site kept of its last round under `own`.

    `own` holds, where a method has use for them, "B" (the adapter with the site's own B), "control" (c_i, in the shape
    of an adapter) and "personal". None of these ever leaves the site.
    """

    start: Adapter
    frozen: Adapter | None = None
    control: Adapter | None = None
    own: Mapping[str, Adapter] = field(default_factory=dict)


@dataclass(frozen=True)
class LocalResult:
    """An update, the exact bytes of its parts, the evidence measured on those bytes, and what the site itself keeps."""

    update: Update
    blobs: dict[str, bytes]
    evidence: Evidence
    own: Mapping[str, Adapter] = field(default_factory=dict)


class Scorer(Protocol):
    """Notes that the coordinator alone has, and a base model: for methods that weigh sites by them. One at a time."""

    def loss(self, adapter: Adapter, frozen: Adapter | None = None) -> float:
        """Nats per supervised token of the base with these adapters. On any thread. Raises UserFacingError."""


class Trainer(Protocol):
    """A base model and one site's notes. Runs on one working thread at a time; emits events from that thread."""

    def train_round(self, plan: Plan, given: Given, checkpoints: Path, emit: Emit, control: Control) -> LocalResult:
        """Trains and measures; resumes from `checkpoints` if they are of the same plan.

        Raises Stopped, UserFacingError.
        """

    def evaluate(self, plan: Plan, given: Given, emit: Emit, control: Control) -> LocalResult:
        """Scores what is given on the site's test notes; the result has no blobs. Raises Stopped, UserFacingError."""
