# SPDX-License-Identifier: Apache-2.0
"""Makes the adapter that the demonstration begins with: packaging/demo_model/first_adapter.py --data DIR --out DIR

The bundled model learns both tasks on texts that no site of the demonstration holds: drugs and problems from Chia's
training lines, a drug's modifiers from exercises made by rules. One tenth of both is held back, and scored at the end.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import torch
from annotated_exercises import annotated_lines
from modifier_exercises import annotated_notes, drug_names, modifier_notes
from open_texts import read_texts

from fedmed_desktop import events
from fedmed_desktop.clinical import Note, SiteNotes
from fedmed_desktop.coordinator.founding import found_federation
from fedmed_desktop.demo.settings import LORA, MODIFIERS, TASKS, TRAINING, TYPES
from fedmed_desktop.federation import Control, Given, Plan
from fedmed_desktop.lora import Adapter
from fedmed_desktop.lora.peft_folder import write_peft_folder
from fedmed_desktop.resources import resource
from fedmed_desktop.training.preparation import LoadedBase
from fedmed_desktop.training.trainer import SiteTrainer

NAME: Final = "adapter"
SCORED: Final = 150  # held-back notes of each kind
ANNOTATED: Final = 3000  # lines of Chia
TURNS: Final = 3  # times that each sentence with a modifier is taught, with other words as problems


def exercises(data: Path, seed: int) -> tuple[list[Note], list[Note]]:
    """Notes to learn from and notes held back, each in an order drawn from the seed. Raises FileNotFoundError."""
    texts, _ = read_texts(data)
    names = drug_names(annotated_lines(data))
    rng = random.Random(seed)
    annotated, found = annotated_notes(data), list(modifier_notes(texts, names, rng))
    rng.shuffle(annotated)
    rng.shuffle(found)
    held = {one.text for one in (*annotated[:SCORED], *found[:SCORED])}
    again = [one for _ in range(TURNS - 1) for one in modifier_notes(texts, names, rng)]
    taught = [one for one in (*annotated[:ANNOTATED], *found, *again) if one.text not in held]
    rng.shuffle(taught)
    return taught, [*annotated[:SCORED], *found[:SCORED]]


def teach(data: Path, steps: int, rate: float, seed: int, threads: int) -> Adapter:
    """The adapter after so many steps; prints how it goes and what it scores on the exercises held back."""
    taught, held = exercises(data, seed)
    model = resource("demo_model")
    training = TRAINING.model_copy(
        update={"steps": steps, "batch_size": 8, "learning_rate": rate, "checkpoint_steps": 10**6}
        | {"schedule": "round", "keep_moments": False, "mention_weight": 1.0}
    )
    spec, initial = found_federation(
        model,
        LORA,
        seed,
        name="First adapter",
        tasks=TASKS,
        types=TYPES,
        modifiers=MODIFIERS,
        rounds=1,
        method={"name": "fedavg"},
        score_on="loss",
        training=training,
        round={"sites": 2, "quorum": 1},
    )
    trainer = SiteTrainer.for_spec(
        spec, LoadedBase(model, threads=threads).get(), "Open texts", SiteNotes(taught, held, None), TYPES
    )
    plan = Plan(round=1, start=initial.sha256, rank=LORA.rank, training=training, seed=seed)
    with TemporaryDirectory() as folder:
        result = trainer.train_round(plan, Given(initial), Path(folder), _told, Control())
    report = result.update.report
    print(f"loss on what was held back: {report.loss_before:.3f}, then {report.loss_after:.3f}")
    return Adapter.from_blob(result.blobs["adapter"])


def _told(event: events.Event) -> None:
    if isinstance(event, events.TrainingStep) and event.step % 50 == 0:
        print(f"step {event.step}: loss {event.loss:.3f}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora (gzip'd JSON lines)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the adapter, as PEFT writes it")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    adapter = teach(given.data, given.steps, given.rate, given.seed, given.threads)
    write_peft_folder(given.out, dict(adapter.items()), None)


if __name__ == "__main__":
    main(sys.argv[1:])
