# SPDX-License-Identifier: Apache-2.0
"""The demonstration's settings, chosen on validation notes only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UserFacingError
from ..federation import TrainingSettings
from ..federation.spec import LoraSettings
from ..resources import resource
from ..scores import TaskName

DEMO_RULE = "demo rule: partners approve everything at once"
TASKS: tuple[TaskName, ...] = ("entities", "relations")
TYPES = ("drug", "problem")
MODIFIERS = ("dosage", "duration", "frequency", "route", "temporal")  # one of the three sites has them
# Notes that all sites measure their models on, where the method weighs by that (5 in Fed-MedLoRA+, arXiv 2601.22124).
SHARED_NOTES = 5
LORA = LoraSettings(rank=16, alpha=32)
# With a rate that falls in each round, 3e-3 made sites without relations teach the others to forget theirs. A mark that
# counts twice, and moments that go on, make up for half of the steps (packaging/benchmarks/results/demonstration.md).
TRAINING = TrainingSettings(
    steps=20,
    batch_size=8,
    learning_rate=5e-3,
    schedule="federation",
    keep_moments=True,
    mention_weight=2.0,
    warmup_share=0.05,
    max_tokens=384,
    max_new_tokens=192,
    checkpoint_steps=50,
)
# The usual length shows every step of a federation in a few minutes, while a site alone still learns nearly as fast as
# all together. Of two rates, that with less loss on validation notes (packaging/benchmarks/results/demonstration.md).
LONGER = TRAINING.model_copy(update={"steps": 120, "learning_rate": 4e-3})
# Bundled validation notes on which each site scores its model, twice a round: enough to tell better from worse.
# What the demonstration tells at its end is measured on all test notes.
SCORED_NOTES = 50
# Trained on some 13 times each in every round, which a round's probes then see.
OVERFITTED_NOTES = 12


@dataclass(frozen=True)
class DemoOptions:
    """Settings of a demonstration. `notes` has one folder per site; the first `sites` of them, by name, take part.

    With the bundled model it begins with an adapter that was taught on public texts, as a host's may be; with another
    one, with an untrained adapter. `overfitted`: the first site, whose updates a person decides about, has so few notes
    that it learns them by heart. `longer`: each round has six times as many steps.
    """

    rounds: int = 3
    sites: int | None = None
    seed: int = 0
    method: str = "fed_medlora"
    model: Path = field(default_factory=lambda: resource("demo_model"))
    notes: Path = field(default_factory=lambda: resource("demo_notes"))
    report: Path = Path("demo-report")
    compare: bool = False
    overfitted: bool = False
    longer: bool = False
    threads: int | None = None

    @property
    def training(self) -> TrainingSettings:
        return LONGER if self.longer else TRAINING

    @property
    def begins_with(self) -> Path | None:
        """Folder of the federation's starting adapter; None for an untrained one."""
        return resource("demo_adapter") if self.model == resource("demo_model") else None


def site_folders(options: DemoOptions) -> list[Path]:
    """The notes folder of each site, by name; raises UserFacingError where there are too few. Reads no note."""
    if not options.notes.is_dir():
        raise UserFacingError("demo.no_notes", path=str(options.notes))
    folders = sorted(p for p in options.notes.iterdir() if p.is_dir() and not p.name.startswith("."))
    wanted = options.sites or len(folders)
    if len(folders) < max(wanted, 1):
        raise UserFacingError("demo.too_few_sites", path=str(options.notes), found=len(folders), wanted=wanted)
    return folders[:wanted]
