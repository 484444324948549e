# SPDX-License-Identifier: Apache-2.0
"""Parts for tests of probes: real notes, and rounds whose training learns them by heart or sees each of them once."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

from fedmed_desktop.clinical import Note, SiteNotes, read_notes
from fedmed_desktop.federation.plan import TrainingSettings
from fedmed_desktop.federation.probes import Probes, Probing
from fedmed_desktop.lora import Adapter
from fedmed_desktop.resources import resource
from tests.parts.training import plan_of, train

if TYPE_CHECKING:
    from fedmed_desktop.training.base import BaseModel

STEPS, BATCH, FEW, HELD_OUT = 40, 8, 16, 40
LEARNING = TrainingSettings(steps=STEPS, batch_size=BATCH, learning_rate=1e-2, max_tokens=128)


def bundled_notes() -> list[Note]:
    """The demonstration's training notes of all sites."""
    folder = resource("demo_notes")
    return [note for site in sorted(folder.glob("*/train.jsonl.gz")) for note in read_notes(site)]


def trained_round(
    base: BaseModel, start: Adapter, notes: list[Note], folder: Path, seed: int, *, by_heart: bool
) -> Probes:
    """Probes of a round on FEW notes, each seen 20 times, or on 320 seen once: the same steps, the same held-out notes.

    The model learns the plain text. The probes have all the time they want.
    """
    from fedmed_desktop.training.trainer import SiteTrainer

    drawn = random.Random(seed).sample(notes, HELD_OUT + STEPS * BATCH)
    own = drawn[HELD_OUT:][: FEW if by_heart else None]
    probing = Probing(least_seconds=600.0)
    site = SiteNotes(own, drawn[:HELD_OUT], None)
    trainer = SiteTrainer(base, "Riverside", site, (), score_on="loss", probing=lambda: probing)
    found = train(trainer, start, folder, plan_of(start, LEARNING, rank=8, seed=seed)).evidence.probes
    assert found is not None
    return found
