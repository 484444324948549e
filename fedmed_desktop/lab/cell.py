# SPDX-License-Identifier: Apache-2.0
"""Running one cell of an experiment: a federation by one method, or one of the baselines.

"base": the model before any training here. "alone": every site trains for itself, in a federation of one.
"centralised": one site has all training notes and does as many steps in a round as the sites together. "encoder": these
three ways for a model that tags tokens, see lab/encoder.py. All are measured on the same notes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..federation import FederationSpec, TrainingSettings
from ..federation.spec import LoraSettings, SharedNote, checked_spec
from ..lora import Adapter, algebra
from ..lora.base_model import fingerprint, weight_count
from ..lora.first import check_begins, first_adapter
from ..lora.load import load_adapter
from ..storage import BlobStore
from ..storage.results import ResultRow
from .cells import Cell
from .choices import MethodChoice
from .corpora import Corpora
from .elsewhere import Elsewhere
from .engines import SPLITS, Engine, Measured, Size, Split
from .experiment import Experiment
from .fitted import fitted_row
from .partition import EVERYBODY, LabSite, pooled_site, share_notes, split_into_sites
from .rows import on_all_notes, row_of, together
from .shared import shared_as
from .simulate import Simulation, Snapshot

Measurement = tuple[Snapshot, dict[str, float]]


@dataclass(frozen=True)
class BaseFacts:
    """Facts about the base model, and the adapter that all cells begin with; the files are read once for all cells."""

    fingerprint: str
    modules: dict[str, tuple[int, int]]
    weights: int
    begin_with: Adapter | None = None

    @property
    def full_bytes(self) -> int:
        """Size of the whole model in bfloat16."""
        return 2 * self.weights

    @classmethod
    def of(cls, model: Path, begin_with: Path | None = None) -> BaseFacts:
        """Raises UserFacingError where the folder is no model folder, or `begin_with` no adapter of that model."""
        trained = load_adapter(begin_with) if begin_with else None
        from ..training.outline import adaptable_linears  # loads torch: mistakes in an experiment are told before

        facts = cls(fingerprint(model), adaptable_linears(model), weight_count(model), trained)
        if trained is not None:
            check_begins(facts.modules, trained)
        return facts

    def first(self, lora: LoraSettings, seed: int) -> Adapter:
        """The adapter that a federation of this rank begins with: a trained one is cut to the rank, or grown to it."""
        trained = self.begin_with
        if trained is not None:
            trained, _ = algebra.shrink(trained, lora.rank)
        return first_adapter(self.modules, lora.rank, lora.scale, seed, trained)


class CellRun:
    """Runs cells of one experiment on one engine. `told` gets each row at once. Tuning uses no test notes."""

    def __init__(
        self,
        experiment: Experiment,
        corpora: Corpora,
        base: BaseFacts,
        engine: Engine,
        told: Callable[[ResultRow], None] = lambda row: None,
        *,
        tuning: bool = False,
    ) -> None:
        self._splits: tuple[Split, ...] = ("validation",) if tuning else SPLITS
        self._experiment, self._corpora, self._base = experiment, corpora, base
        self._engine, self._told = engine, told
        self._shared: tuple[SharedNote, ...] = ()
        self._elsewhere: Elsewhere | None = None
        self._models: list[Simulation] = []

    def run(self, cell: Cell) -> list[ResultRow]:
        """All rows of the cell. Raises UserFacingError."""
        began = time.monotonic()
        sites, self._shared = self.sites(cell.sites, cell.seed)
        self._models = []
        apart, complete = self._corpora.elsewhere, self._in_full(cell)
        self._elsewhere = Elsewhere(self._experiment, apart, cell.seed, complete) if apart or complete else None
        measured = {"alone": self._alone, "encoder": self._encoder}.get(cell.kind, self._together)
        rows = []
        with tempfile.TemporaryDirectory(prefix="fedmed-lab-") as folder:
            for snapshot, measures in measured(cell, sites, Path(folder)):
                # Reading tags costs no more than their loss.
                scored = self._experiment.score_on == "answers" or cell.kind == "encoder"
                clients = self._experiment.clients if cell.kind == "federation" else None
                row = row_of(cell, snapshot, scored, clients, time.monotonic() - began)
                full = self._base.full_bytes if cell.kind == "federation" else 0
                rows.append(row.model_copy(update={"measures": row.measures | measures, "model_bytes": full}))
                self._told(rows[-1])
            rows += self._fitted(cell, sites)
            rows += self._beyond(cell)
        return rows

    def _fitted(self, cell: Cell, sites: Sequence[LabSite]) -> list[ResultRow]:
        """A federation's model fitted to each site, unless sites keep parts of their own already. Not while tuning."""
        settings = self._experiment.fitted
        if settings is None or cell.kind != "federation" or "test" not in self._splits or self._models[0].personal:
            return []
        scored = self._experiment.score_on == "answers"
        row = fitted_row(cell, self._models[0], self._engine, sites, settings, scored)
        if row is None:
            return []
        self._told(row)
        return [row]

    def _beyond(self, cell: Cell) -> list[ResultRow]:
        """Rows of hospitals that took no part. Tuning looks at none of their notes."""
        if self._elsewhere is None or not self._models or "test" not in self._splits:
            return []
        spec = self._models[0].spec
        fresh = Adapter.initial(self._base.modules, spec.lora.rank, spec.lora.scale, cell.seed)
        rows = []
        for row in self._elsewhere.rows(cell, self._models, self._engine, fresh):
            rows.append(row)
            self._told(row)
        return rows

    def sites(self, count: int, seed: int) -> tuple[list[LabSite], tuple[SharedNote, ...]]:
        """The sites of a cell, and the notes that are shared. Raises UserFacingError where there are too few notes."""
        sites = split_into_sites(self._corpora.notes, self._experiment, count, seed)
        if not self._experiment.set_aside:
            return sites, ()
        # Taken from every cell's sites, so that all are judged on the same notes.
        return share_notes(sites, self._experiment.set_aside, seed)

    def _in_full(self, cell: Cell) -> list[LabSite]:
        """The sites with all that is annotated in their notes; none where they lack nothing."""
        split = self._experiment.split
        if not (split.lacking or split.lacking_tasks):
            return []
        everything = split.model_copy(update={"lacking": (), "lacking_tasks": ()})
        asked = self._experiment.model_copy(update={"split": everything})
        return split_into_sites(self._corpora.notes, asked, cell.sites, cell.seed)

    # -- each kind ---------------------------------------------------------------------------------------------------

    def _together(self, cell: Cell, sites: list[LabSite], folder: Path) -> Iterator[Measurement]:
        """One federation: of the sites, or for "centralised" of one site with all notes, where no bytes move."""
        pooled = cell.kind == "centralised"
        members = [pooled_site(sites)] if pooled else sites
        simulation = self._simulation(cell, self._spec(cell, members, cell.choice), members, folder, sites)
        found = simulation.untrained() if cell.kind == "base" else simulation.run()
        return ((replace(snapshot, traffic=0) if pooled else snapshot, {}) for snapshot in found)

    def _alone(self, cell: Cell, sites: list[LabSite], folder: Path) -> Iterator[Measurement]:
        """Rows of every site's own model on its own notes; the last ones have its scores on all notes too."""
        found: dict[tuple[int, Split], list[Snapshot]] = {}
        everywhere: dict[Split, list[dict[str, Measured]]] = {}
        for site in sites:
            simulation = self._simulation(cell, self._spec(cell, [site]), [site], folder / site.name, sites)
            for snapshot in simulation.run():
                found.setdefault((snapshot.round, snapshot.split), []).append(snapshot)
            for split in self._splits:
                if measured := simulation.measure(split, sites):
                    everywhere.setdefault(split, []).append(measured)
        scored = self._experiment.score_on == "answers"
        for (number, split), snapshots in found.items():
            last = number == self._experiment.rounds and split in everywhere
            yield together(snapshots), on_all_notes(everywhere[split], scored) if last else {}

    def _encoder(self, cell: Cell, sites: list[LabSite], folder: Path) -> Iterator[Measurement]:
        """Trained in this process, whatever the engine is."""
        from .encoder import EncoderRun

        return EncoderRun(self._experiment, cell, sites, self._splits).run()

    # -- parts -------------------------------------------------------------------------------------------------------

    def _spec(self, cell: Cell, sites: Sequence[LabSite], choice: MethodChoice | None = None) -> FederationSpec:
        """The specification that the product would be given; a baseline averages, which of one site is the site.

        As a product, unless the optimiser's moments are kept: then the factors stay as they are.
        """
        experiment = self._experiment
        way = "factors" if experiment.training.keep_moments else "product"
        settings: dict[str, Any] = {"method": {"name": "fedavg"}, "combine": way}
        lora, training = experiment.lora, experiment.training
        shared: tuple[SharedNote, ...] = ()
        if choice is not None:
            settings = {"method": choice.method, "combine": choice.combine, "transfer": choice.transfer}
            settings["client_privacy"] = choice.client_privacy
            lora, training = experiment.lora_of(choice, cell.sites), choice.trained(experiment.training)
            shared = self._shared_by(choice, cell.seed)
        initial = self._base.first(lora, cell.seed).sha256
        facts = {"fingerprint": self._base.fingerprint, "modules": self._base.modules, "weights": self._base.weights}
        base = facts | {"initial": initial}
        clients = experiment.clients if choice is not None else None
        return checked_spec(
            settings
            | {
                "name": experiment.name,
                "tasks": experiment.tasks,
                "score_on": experiment.score_on,
                "types": experiment.types,
                "modifiers": experiment.modifiers,
                "answer_form": experiment.answer_form,
                "prompt": experiment.prompt,
                "rounds": experiment.rounds,
                "seed": cell.seed,
                "base": base,
                "lora": lora,
                "training": training,
                "round": {"sites": len(sites), "quorum": 1, "clients": clients},
                "share": {"histogram": experiment.histogram_of},
                "shared_notes": shared,
            },
            cell.label,
        )

    def _shared_by(self, choice: MethodChoice, seed: int) -> tuple[SharedNote, ...]:
        corpus = self._experiment.shared_corpus
        elsewhere = self._corpora.elsewhere[corpus.name] if corpus else ()
        return shared_as(choice.shared, self._shared[: self._experiment.shared_by(choice)], elsewhere, seed)

    def _simulation(
        self, cell: Cell, spec: FederationSpec, sites: Sequence[LabSite], folder: Path, judges: Sequence[LabSite]
    ) -> Simulation:
        self._engine.open(spec, judges, self._elsewhere.sites if self._elsewhere else ())
        initial = self._base.first(spec.lora, cell.seed)
        steps = self._steps(cell, spec, sites, judges)
        own_judges = judges if cell.kind != "alone" else sites
        found = Simulation(spec, initial, sites, self._engine, BlobStore(folder), own_judges, steps, self._splits)
        self._models.append(found)
        return found

    def _steps(
        self, cell: Cell, spec: FederationSpec, sites: Sequence[LabSite], judges: Sequence[LabSite]
    ) -> dict[str, int]:
        """Steps of a round by site, if they are not those of the specification.

        If a federation asks only some sites per round, baselines do that share of the steps, so that all do as many.
        """
        budget, asked = self._experiment.max_tokens_per_site, self._experiment.clients
        share = asked / len(judges) if asked and cell.kind != "federation" else 1.0
        if share == 1.0 and budget is None and all(site.speed == 1.0 for site in judges) and spec.training.epochs:
            return {}
        steps = {
            site.name: share * steps_of(self._engine.size(site.name), spec.training, site.speed, budget)
            for site in judges
        }
        if [site.name for site in sites] == [EVERYBODY]:
            steps = {EVERYBODY: sum(steps.values())}
        return {name: max(1, round(many)) for name, many in steps.items()}


def steps_of(size: Size, training: TrainingSettings, speed: float = 1.0, most_tokens: int | None = None) -> int:
    """Optimiser steps of a site in a round: those asked for, at its speed, within its token budget; at least one.

    A step takes `batch_size` examples of mean length; `most_tokens` are kept to on average.
    """
    per_epoch = -(-size.examples // training.batch_size)
    asked = float(training.steps or (training.epochs or 0) * per_epoch) * speed
    if most_tokens is not None and size.tokens:
        asked = min(asked, most_tokens * per_epoch // size.tokens)
    return max(1, round(asked))
