# SPDX-License-Identifier: Apache-2.0
"""Parts for tests on a CUDA device: rounds of the bundled model on long examples, and a card that is made small."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fedmed_desktop.clinical.tasks import Asked
from fedmed_desktop.federation.plan import TrainingSettings
from fedmed_desktop.federation.work import Control
from fedmed_desktop.lora import Adapter
from fedmed_desktop.resources import resource
from tests.parts.training import NOTES, plan_of

if TYPE_CHECKING:
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Examples
    from fedmed_desktop.training.device import Device

MODEL = resource("demo_model")
RANK = 4


def base_on(device: Device) -> BaseModel:
    from fedmed_desktop.training.base import BaseModel

    return BaseModel.load(MODEL, device, threads=1)


def start_on_model() -> Adapter:
    from fedmed_desktop.training.outline import adaptable_linears

    return Adapter.initial(adaptable_linears(MODEL), RANK, 2.0, 0)


def long_examples(count: int, tokens: int) -> Examples:
    """Examples of so many tokens each, every one of them but the first a label."""
    from fedmed_desktop.training.batches import Example, Examples

    rows = [tuple(6 + (7 * row + place) % 4000 for place in range(tokens - 1)) for row in range(count)]
    return Examples(tuple(Example(Asked(NOTES.train[0], ""), (5,), answer) for answer in rows))


def round_on(
    base: BaseModel, examples: Examples, folder: Path, settings: TrainingSettings
) -> tuple[Adapter, list[float]]:
    """A round from the usual start: the adapter, and each step's loss."""
    from fedmed_desktop.training.checkpoints import Checkpoint
    from fedmed_desktop.training.loop import Training

    start, losses = start_on_model(), list[float]()
    base.lora.attach(start)
    plan = plan_of(start, settings)
    training = Training(base, examples, plan, start, Checkpoint(folder, "training", "key"))
    training.run(lambda step: losses.append(step.loss), Control())
    return base.lora.read(), losses


def allow(more: float) -> None:
    """Lets torch have so many bytes beyond what it holds now, and no more of the card."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + more) / total))


def far(one: Adapter, other: Adapter) -> float:
    """Distance of the B factors. Those of A begin with gradients of 0, whose rounding AdamW makes as large as steps."""
    return float(np.sqrt(sum(np.square(module.B - other[name].B).sum() for name, module in one.items())))
