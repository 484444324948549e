# SPDX-License-Identifier: Apache-2.0
"""Parts for tests of the federation: a small specification and a trainer that stands in for a GPU."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fedmed_desktop.federation import Control, FederationSpec, LocalResult, Part, Plan, Report, TrainingSettings, Update
from fedmed_desktop.federation.evidence import Evidence
from fedmed_desktop.federation.spec import BaseModelSpec, LoraSettings, RoundSettings
from fedmed_desktop.federation.work import Emit, Given
from fedmed_desktop.lora import Adapter, Module, algebra
from fedmed_desktop.scores import Counts, Scores, TaskScores

SHAPES = {"model.layers.0.self_attn.q_proj": (12, 8), "model.layers.0.mlp.up_proj": (16, 8)}
FINGERPRINT = hashlib.sha256(b"base").hexdigest()
LORA = LoraSettings(rank=2, alpha=4)
INITIAL = Adapter.initial(SHAPES, LORA.rank, LORA.scale, seed=0)


def small_spec(rounds: int = 3, sites: int = 3, quorum: int = 2, **changes: object) -> FederationSpec:
    values: dict[str, object] = {
        "name": "Test federation",
        "types": ("drug", "problem"),
        "rounds": rounds,
        "base": BaseModelSpec(fingerprint=FINGERPRINT, initial=INITIAL.sha256, modules=SHAPES),
        "lora": LORA,
        "training": TrainingSettings(steps=4),
        "shared_notes": ({"text": "A note that everybody may read."},),
        "round": RoundSettings(sites=sites, quorum=quorum, training_minutes=10, approval_minutes=60),
    }
    return FederationSpec.model_validate(values | changes)


def moved(start: Adapter, seed: int, size: float = 0.1) -> Adapter:
    """The start adapter after a deterministic step."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return Adapter(
        {
            name: Module(
                module.B + size * rng.standard_normal(module.B.shape, dtype=np.float32),
                module.A + size * rng.standard_normal(module.A.shape, dtype=np.float32),
                module.scale,
            )
            for name, module in start.items()
        }
    )


def result_of(plan: Plan, start: Adapter, after: Adapter, notes: int = 10) -> LocalResult:
    blob = after.to_blob()
    scores = Scores.of_entities(
        TaskScores(strict={"drug": Counts(tp=notes)}, lenient={"drug": Counts(tp=notes)}, unified=Counts(tp=notes))
    )
    report = Report(
        notes=notes,
        supervised_tokens=7 * notes,
        steps=4,
        loss_before=1.0,
        loss_after=0.5,
        shared_loss=0.75,
        scores_before=scores,
        scores_after=scores,
        start_norm=algebra.norm(start),
        update_norm=algebra.distance(after, start),
        effective_rank=1.5,
        epsilon_spent=0.5,
        epsilon_left=2.5,
        importance=_importance(start) if plan.importance else {},
        seconds=time.monotonic() % 1,
    )
    part = Part(sha256=hashlib.sha256(blob).hexdigest(), size=len(blob))
    update = Update(round=plan.round, parts={"adapter": part}, report=report)
    return LocalResult(update, {"adapter": blob}, Evidence(rank=plan.rank))


def _importance(adapter: Adapter) -> dict[str, float]:
    """The more, the later in the alphabet."""
    shares = {name: 4.0**place for place, name in enumerate(adapter)}
    return {name: share / sum(shares.values()) for name, share in shares.items()}


class NumpyTrainer:
    """Stands in for a GPU: moves the adapter by the plan's seed. `hold` lets a test stop the world inside a round."""

    def __init__(self, notes: int = 10, change: Callable[[Adapter], Adapter] | None = None) -> None:
        self.notes = notes
        self.change = change
        self.hold = threading.Event()
        self.hold.set()
        self.trained: list[int] = []

    def train_round(self, plan: Plan, given: Given, checkpoints: Path, emit: Emit, control: Control) -> LocalResult:
        while not self.hold.wait(0.01):
            control.check()
        self.trained.append(plan.round)
        after = moved(given.start, plan.seed % 2**32)
        return result_of(plan, given.start, self.change(after) if self.change else after, self.notes)

    def evaluate(self, plan: Plan, given: Given, emit: Emit, control: Control) -> LocalResult:
        report = Report(
            kind="evaluate", notes=self.notes, scores_after=Scores.of_entities(TaskScores(unified=Counts(tp=1)))
        )
        return LocalResult(Update(round=plan.round, parts={}, report=report), {}, Evidence(rank=plan.rank))
