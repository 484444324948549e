# SPDX-License-Identifier: Apache-2.0
"""The cells of an experiment: one method (or baseline), one count of sites, one seed, on its own."""

from __future__ import annotations

from dataclasses import dataclass

from ..storage.results import Kind
from .choices import ENCODER_LABELS, EncoderKind, MethodChoice
from .experiment import BASELINES, Experiment


@dataclass(frozen=True)
class Cell:
    """`choice` is the method of a federation; a baseline (see `kind`) has none, and its label is its kind.

    Of the baseline "encoder", `way` says who trains, the label too, and `described` which model it is.
    """

    kind: Kind
    label: str
    sites: int
    seed: int
    choice: MethodChoice | None = None
    way: EncoderKind | None = None
    described: str = ""

    @property
    def method(self) -> str:
        """Name of its method in results."""
        return self.choice.method.name if self.choice else self.described or self.kind

    @property
    def id(self) -> str:
        """The cell's name: the same in every run, and unique in its experiment."""
        return f"{self.label}, {self.sites} sites, seed {self.seed}"


def cells(experiment: Experiment, tuning: bool = False) -> list[Cell]:
    """All cells, seed after seed, so that a comparison is whole as early as can be; `tuning`: on the seeds for that."""
    seeds = experiment.tuning_seeds if tuning else experiment.seeds
    return [cell for seed in seeds for sites in experiment.sites for cell in _side_by_side(experiment, sites, seed)]


def _side_by_side(experiment: Experiment, sites: int, seed: int) -> list[Cell]:
    plain = [kind for kind in BASELINES if kind in experiment.baselines and kind != "encoder"]
    baselines = [Cell(kind, kind, sites, seed) for kind in plain]
    if "encoder" in experiment.baselines:
        ways = [way for way in ENCODER_LABELS if way in experiment.encoder.kinds]
        described = experiment.encoder.described
        baselines += [Cell("encoder", ENCODER_LABELS[way], sites, seed, None, way, described) for way in ways]
    return baselines + [Cell("federation", choice.label, sites, seed, choice) for choice in experiment.methods]
