# SPDX-License-Identifier: Apache-2.0
"""Comparisons for the federation on test notes: what it began with, each site alone, and what a site fits to itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import events
from ..federation import Control, FederationSpec, Given, Plan
from ..federation.fitted import FittedSettings
from ..federation.work import MOMENTS, Emit
from ..lora import Adapter
from ..scores import Scores, pool
from ..training.fitted import Fitting, fit
from ..training.preparation import LoadedBase, site_relations_map, site_types_map, trainer_factory, typed_notes
from .federation import DemoSite, Finished


@dataclass(frozen=True)
class TestScores:
    """Scores of one adapter on every site's test notes, each site asked for the types that it annotates."""

    by_site: Mapping[str, Scores]

    @property
    def pooled(self) -> Scores:
        return pool(self.by_site[site] for site in sorted(self.by_site))


class Comparison:
    """Scores adapters on test notes, and trains a site alone. On the working thread."""

    def __init__(self, spec: FederationSpec, sites: list[DemoSite], base: LoadedBase, emit: Emit) -> None:
        self._spec = spec
        self._emit = emit
        self._sites = sites
        self._trainers = {s.name: trainer_factory(base, s.name, s.notes, s.folder)(spec) for s in sites}
        typed = {
            s.name: typed_notes(spec, s.notes, site_types_map(s.folder), site_relations_map(s.folder))[0] for s in sites
        }
        self._test = {name: notes.test or notes.validation for name, notes in typed.items()}

    def score(
        self, adapter: Adapter, who: str, control: Control, at_site: Mapping[str, Adapter] | None = None
    ) -> TestScores:
        """Test scores of an adapter, or of those `at_site`; `who` names the progress."""
        found = {}
        for number, site in enumerate(self._sites, start=1):
            self._emit(events.PhaseChanged(site=who, round=self._spec.rounds + 1, phase="evaluating"))
            found[site.name] = self._trainers[site.name].score_adapter(
                (at_site or {}).get(site.name, adapter), self._test[site.name], self._spec.training, control
            )
            self._emit(events.GenerationProgress(site=who, done=number, total=len(self._sites)))
        return TestScores(found)

    def score_final(self, finished: Finished, control: Control) -> TestScores:
        """Test scores of the federation: what the sites reported last, measured here where one kept it back."""
        told = {site: report.scores_after for site, report in finished.state.evaluation.items()}
        if told.keys() == self._trainers.keys():
            return TestScores(told)
        measured = self.score(finished.adapter, "federation", control, finished.at_site)
        return TestScores({**measured.by_site, **told})

    def alone(self, site: DemoSite, initial: Adapter, folder: Path, control: Control) -> TestScores:
        """Scores of the site trained alone: the same rounds, steps, seeds and optimiser."""
        given = Given(initial)
        for number in range(1, self._spec.rounds + 1):
            plan = Plan(
                round=number,
                rounds=self._spec.rounds if self._spec.training.schedule != "round" else None,
                start=given.start.sha256,
                rank=self._spec.lora.rank,
                training=self._spec.training,
                seed=self._spec.site_seed(site.name, number),
            )
            alone = folder / f"alone-{site.name}" / f"round-{number}"
            alone.mkdir(parents=True, exist_ok=True)

            def emit(event: events.Event) -> None:
                self._emit(event.model_copy(update={"site": f"{site.name} alone"}))

            result = self._trainers[site.name].train_round(plan, given, alone, emit, control)
            moments = {name: one for name, one in result.own.items() if name in MOMENTS}
            given = Given(Adapter.from_blob(result.blobs["adapter"]), own=moments)
        return self.score(given.start, f"{site.name} alone", control)

    def fitted(self, site: DemoSite, common: Adapter, control: Control) -> TestScores:
        """Scores of the common adapter, fitted to the site's notes."""
        who, number = f"{site.name} fitted", self._spec.rounds + 1

        def tell(fitting: Fitting) -> None:
            if fitting.done <= 1:
                phase: events.Phase = "training" if fitting.part == "training" else "evaluating"
                self._emit(events.PhaseChanged(site=who, round=number, phase=phase))

        found = fit(self._trainers[site.name], self._spec, common, FittedSettings(), tell, control)
        return self.score(found.adapter, who, control)
