# SPDX-License-Identifier: Apache-2.0
"""Sites one after the other in this process: a base that is loaded once, and the open federation's trainers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Final, TypeVar

from ...federation import Control, FederationSpec, LocalResult, TrainingSettings
from ...federation.work import Emit
from ...training.batches import Examples
from ...training.evaluation import Evaluation
from ...training.loading import LoadedBase
from ...training.remembered import Remembered
from ...training.trainer import SiteTrainer
from ...training.trainer import Split as TrainerSplit
from ..partition import EVERYBODY, LabSite, pooled_site
from . import SPLITS, Measured, SiteJob, Size, Split

T = TypeVar("T", bound=SiteTrainer)

MOST_BYTES: Final = 2**28
"""Of first rounds kept (inferred); bundled adapters take half a megabyte, and what a site keeps about as much."""


class LocalEngine:
    """Implements Engine on the calling thread. `emit` gets the sites' events.

    Methods begin with the same model, and some do the same in their first round: what was evaluated in one cell is not
    evaluated again in the next, and what was trained in a first round is not trained again.
    """

    def __init__(self, model: Path, threads: int, emit: Emit = lambda event: None) -> None:
        self._base = LoadedBase(model, threads=threads)
        self.remembered: Remembered[Evaluation] = Remembered()
        self.first_rounds: Remembered[LocalResult] = Remembered(MOST_BYTES, _bytes)
        self._emit = emit
        self._trainers: dict[str, SiteTrainer] = {}
        self._sizes: dict[str, Size] = {}
        self._spec: FederationSpec | None = None
        self._sites: dict[str, LabSite] = {}
        self._members: list[str] = []

    def open(self, spec: FederationSpec, sites: Sequence[LabSite], elsewhere: Sequence[LabSite] = ()) -> None:
        """Forgets the federation before. Notes become tokens when they are first needed."""
        self._members = [site.name for site in sites]
        self._sites = {site.name: site for site in (*sites, *elsewhere)}
        self._spec = spec
        self._trainers, self._sizes = {}, {}

    def train(self, jobs: Sequence[SiteJob]) -> list[LocalResult]:
        return [self._train(job) for job in jobs]

    def measure(self, jobs: Sequence[SiteJob], split: Split) -> list[Measured]:
        found = [self._trainer(job.site).measure(job.plan, job.given, split, Control()) for job in jobs]
        tokens = [self.size(job.site).supervised[split] for job in jobs]
        return [Measured(one.loss, one.scores, count) for one, count in zip(found, tokens, strict=True)]

    def close(self) -> None:
        """Nothing is open."""

    def _train(self, job: SiteJob) -> LocalResult:
        if job.plan.round > 1 or job.plan.training.privacy:  # the noise of privacy is never the same
            return self._trained(job)
        return self.first_rounds.get(self._trainer(job.site).identity(job.plan, job.given), lambda: self._trained(job))

    def _trained(self, job: SiteJob) -> LocalResult:
        with tempfile.TemporaryDirectory(prefix="fedmed-lab-") as checkpoints:
            return self._trainer(job.site).train_round(job.plan, job.given, Path(checkpoints), self._emit, Control())

    def size(self, site: str) -> Size:
        """Encoded once; a federation asks often."""
        if site not in self._sizes:
            assert self._spec is not None
            training, trainer = self._spec.training, self._trainer(site)
            train = trainer.examples("train", training)
            supervised: dict[Split, int] = {
                split: trainer.examples(split, training).supervised(training.loss_on) for split in SPLITS
            }
            self._sizes[site] = Size(len(train.items), sum(map(len, train.items)), supervised)
        return self._sizes[site]

    def _trainer(self, name: str) -> SiteTrainer:
        if name not in self._trainers:
            self._trainers[name] = (
                self._everybody() if name == EVERYBODY else self._made(SiteTrainer, self._sites[name])
            )
        return self._trainers[name]

    def _everybody(self) -> SiteTrainer:
        trainer = self._made(_Everybody, pooled_site([self._sites[name] for name in self._members]))
        trainer.members = [self._trainer(name) for name in self._members]
        return trainer

    def _made(self, kind: type[T], site: LabSite) -> T:
        assert self._spec is not None
        base = self._base.get()
        base.remembered = self.remembered
        trainer = kind.for_spec(self._spec, base, site.name, site.notes, site.types, site.modifiers)
        assert isinstance(trainer, kind)
        trainer.scores_update = False  # no row is about the model of a site before it is combined
        return trainer


def _bytes(result: LocalResult) -> int:
    return sum(map(len, result.blobs.values())) * (1 + len(result.own))


class _Everybody(SiteTrainer):
    """Trains on the sites' notes as each site encodes them, which is by the types that it annotates."""

    members: Sequence[SiteTrainer] = ()

    def examples(self, split: TrainerSplit, settings: TrainingSettings) -> Examples:
        if split != "train":
            return super().examples(split, settings)
        found = [member.examples(split, settings) for member in self.members]
        firsts = accumulate((len(one.items) for one in found), initial=0)
        return Examples(
            tuple(item for one in found for item in one.items),
            notes=sum(one.notes for one in found),
            sources=tuple(
                replace(source, start=first + source.start, stop=first + source.stop)
                for one, first in zip(found, firsts, strict=False)
                for source in one.sources
            ),
            split=sum(one.split for one in found),
            shortened=sum(one.shortened for one in found),
            left_out=tuple(note for one in found for note in one.left_out),
        )
