# SPDX-License-Identifier: Apache-2.0
"""Losses as they are evaluated, beside the plain way: all notes in one batch, adapters beside the base."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.federation.work import Control, Given
from fedmed_desktop.lora import Adapter
from tests.parts.training import NOTES, SETTINGS, TYPES, plan_of, train

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.training.base import BaseModel

TOLERANCE = 1e-6
"""Relative, in float32: folded adapters and batches without much padding change a loss's last digits alone."""


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> BaseModel:
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.device import choose_device

    return BaseModel.load(tiny_model, choose_device(prefer="cpu"), 1)


def attach(base: BaseModel, folder: Path, adapters: int) -> Adapter:
    """As many adapters as asked for on the base, with factors that change its answers; the shared one is returned."""
    from fedmed_desktop.training.outline import adaptable_linears

    shapes = adaptable_linears(folder)
    rng = np.random.Generator(np.random.PCG64(adapters))
    made = [
        Adapter.initial(shapes, rank, 0.5, rank).map(
            lambda one: type(one)(rng.normal(0, 0.05, one.B.shape).astype("<f4"), one.A, one.scale)
        )
        for rank in (4, 3, 2)
    ]
    base.lora.attach(*made[:adapters])
    return made[0]


@pytest.mark.parametrize("adapters", [1, 3])
@pytest.mark.parametrize("loss_on", ["answer", "all"])
def test_that_a_loss_is_that_of_the_plain_way(base: BaseModel, tiny_model: Path, adapters: int, loss_on: str) -> None:
    import torch

    from fedmed_desktop.training.batches import Encoder, collate
    from fedmed_desktop.training.evaluation import Evaluator
    from fedmed_desktop.training.label_loss import label_losses

    encoder = Encoder(base.tokenizer, [Entities(TYPES)])
    examples = encoder.encode([*NOTES.train, *NOTES.validation], base.room(SETTINGS.max_tokens))
    shared = attach(base, tiny_model, adapters)
    found = Evaluator(base, encoder).loss(examples, loss_on, lambda: None)  # type: ignore[arg-type]
    with torch.inference_mode():
        batch = collate(examples.items, loss_on, torch.device("cpu"))  # type: ignore[arg-type]
        plain = float(label_losses(base, batch)) / len(batch.labels)
    assert found == pytest.approx(plain, rel=TOLERANCE, abs=0)
    assert base.lora.read() == shared and all(one.requires_grad for one in base.lora.parameters().values())


def test_that_a_trainer_scores_its_own_model_only_where_somebody_reads_it(base: BaseModel, tmp_path: Path) -> None:
    from fedmed_desktop.training.outline import adaptable_linears
    from fedmed_desktop.training.trainer import SiteTrainer

    trainer = SiteTrainer(base, "A", NOTES, [Entities(TYPES)], score_on="loss")
    start = Adapter.initial(adaptable_linears(base.folder), 4, 1.0, 1)
    read = train(trainer, start, tmp_path / "read")
    trainer.scores_update = False
    unread = train(trainer, start, tmp_path / "unread")
    assert read.update.report.loss_after is not None and unread.update.report.loss_after is None
    assert unread.blobs == read.blobs and unread.own == read.own
    assert trainer.measure(plan_of(start), Given(start), "validation", Control()).loss == read.update.report.loss_before
    seconds = {"seconds": 0.0, "loss_after": None}
    assert unread.update.report.model_copy(update=seconds) == read.update.report.model_copy(update=seconds)
