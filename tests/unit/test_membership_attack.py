# SPDX-License-Identifier: Apache-2.0
"""The attack that differential privacy is there for: telling from the loss whose notes were learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.clinical import Note
from fedmed_desktop.federation.accounting import Budget, SpendingInMemory
from fedmed_desktop.federation.plan import PrivacySettings, TrainingSettings
from fedmed_desktop.federation.work import Control
from fedmed_desktop.lora import Adapter
from tests.parts.training import DRUGS, PROBLEMS, plan_of

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch

    from fedmed_desktop.training import private
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder, Examples, collate
    from fedmed_desktop.training.checkpoints import Checkpoint
    from fedmed_desktop.training.label_loss import label_losses
    from fedmed_desktop.training.loop import Training
    from fedmed_desktop.training.secret_random import SecretRandom

pytestmark = pytest.mark.slow

# Far more steps than anybody should take on so few notes, each of which is seen dozens of times.
OVERFITTED = TrainingSettings(
    steps=300, batch_size=16, learning_rate=1e-2, warmup_share=0.0, loss_on="all", checkpoint_steps=1000
)
NOTES = 80


def notes(count: int) -> list[Note]:
    """Notes of random words, in which nothing can be learned but themselves."""
    rng = np.random.Generator(np.random.PCG64(7))
    words = [*DRUGS, *PROBLEMS, "took", "had", "again", "daily", "left", "right", "none", "mild", "severe", "stopped"]
    return [Note(id=f"n{i}", text=" ".join(rng.choice(words, 14))) for i in range(count)]


def losses(base: BaseModel, examples: Examples) -> np.ndarray:
    with torch.no_grad():
        batches = (collate([one], "all", base.device.torch) for one in examples.items)
        return np.array([float(label_losses(base, batch)) / len(batch.labels) for batch in batches])


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Share of pairs in which the member has the lower loss."""
    lower = members[:, None] < others[None, :]
    return float(lower.mean() + 0.5 * (members[:, None] == others[None, :]).mean())


class Attacked:
    """A model, notes it learns, and as many others that are as hard for it at the start."""

    def __init__(self, base: BaseModel, shapes: dict[str, tuple[int, int]], folder: Path) -> None:
        self.base, self.folder = base, folder
        self.start = Adapter.initial(shapes, 16, 2.0, 5)
        base.lora.attach(self.start)
        encoder = Encoder(base.tokenizer, [])
        every = notes(2 * NOTES)
        order = np.argsort(losses(base, encoder.encode(every, 200)))
        # In turn from easy to hard, a pair at a time, so that an attack finds nothing before training.
        inside = [order[2 * pair + (pair % 2)] for pair in range(NOTES)]
        self.members = encoder.encode([every[at] for at in inside], 200)
        self.others = encoder.encode([every[at] for at in order if at not in set(inside)], 200)

    def found(self) -> float:
        return auc(losses(self.base, self.members), losses(self.base, self.others))

    def train(self, name: str, privacy: PrivacySettings | None = None) -> Budget | None:
        plan = plan_of(self.start, OVERFITTED.model_copy(update={"privacy": privacy}), freeze=("A",))
        budget = Budget(privacy, SpendingInMemory()) if privacy else None
        self.base.lora.attach(self.start)
        checkpoint = Checkpoint(self.folder / name, "training", "key")
        Training(self.base, self.members, plan, self.start, checkpoint, budget=budget).run(lambda _: None, Control())
        return budget


def test_that_at_epsilon_1_a_loss_tells_nothing_about_who_was_there_and_without_it_much(
    base: BaseModel, shapes: dict[str, tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = bytes(range(32))  # the same noise at every run of this test, and in it alone
    monkeypatch.setattr(private, "SecretRandom", lambda: SecretRandom(key))
    attacked = Attacked(base, shapes, tmp_path)
    assert attacked.found() == pytest.approx(0.5, abs=0.01)
    attacked.train("public")
    without = attacked.found()
    budget = attacked.train("private", PrivacySettings(epsilon=1, delta=1e-3, unit="note", clip_norm=0.5))
    assert budget is not None and 0.9 < budget.told()["epsilon_spent"] <= 1
    assert without > 0.7 and attacked.found() == pytest.approx(0.5, abs=0.05), (without, attacked.found())
