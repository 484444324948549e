# SPDX-License-Identifier: Apache-2.0
"""Notes beyond the sites' own: cohorts that the last models are measured on, a newcomer that begins from those models,
and the sites' test notes with the labels that sites lack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

import numpy as np

from ..clinical import SiteNotes
from ..clinical.tasks import made_tasks
from ..errors import UserFacingError
from ..federation import Given
from ..lora import Adapter
from ..storage.results import ResultRow
from .beyond import FULL
from .cells import Cell
from .choices import NewcomerSettings
from .corpora import LabNote
from .engines import Engine, Measured
from .experiment import Experiment
from .partition import LabSite, typed_in, with_labels
from .rows import row_of
from .simulate import Simulation, Snapshot
from .trained_on import scoring_job, trained_on

# A newcomer's own report needs notes to score on; what counts is measured on its test notes.
_OWN_VALIDATION: Final = 2

Start = Literal["base", "federation", "personal"]


class Elsewhere:
    """Cohorts and a newcomer as sites that no federation asks; a function of the experiment and the seed.

    `full`: the sites as they would be if none lacked a type or task; their test notes are measured together. Raises
    UserFacingError `lab.few_elsewhere` where a corpus has too few notes.
    """

    def __init__(
        self, experiment: Experiment, notes: Mapping[str, list[LabNote]], seed: int, full: Sequence[LabSite] = ()
    ) -> None:
        self._settings = experiment.newcomer
        self._scored = experiment.score_on == "answers"
        self.cohorts = {
            choice.name: _cohort(choice.name, notes[choice.name], experiment) for choice in experiment.cohorts
        }
        self.full = [_tested(site, experiment, f"{site.name} in full") for site in full if site.notes.test]
        self.newcomers: dict[int, LabSite] = {}
        if self._settings:
            self.newcomers = _newcomers(self._settings, notes[self._settings.corpus.name], seed, experiment.modifiers)

    @property
    def sites(self) -> list[LabSite]:
        """Sites for the engine, which must know them."""
        return [*self.cohorts.values(), *self.full, *self.newcomers.values()]

    def rows(self, cell: Cell, models: Sequence[Simulation], engine: Engine, fresh: Adapter) -> Iterator[ResultRow]:
        """Rows of these last models: one of a federation, one per site where each trained alone.

        `fresh`: an adapter that changes nothing. Newcomers begin from the base and from federations.
        """
        for name, site in self.cohorts.items():
            measured = {
                f"model {number}": model.measure("test", [site])[site.name] for number, model in enumerate(models)
            }
            yield self._row(cell, "cohort", name, measured)
        if self.full:
            yield self._row(cell, "cohort", FULL, _in_full(models, self.full))
        if self._settings is None or cell.kind not in ("base", "federation"):
            return
        (model,) = models
        for size in self.newcomers:
            for start, found in self._learned(cell, model, engine, fresh, size):
                row = self._row(cell, "newcomer", f"{size} notes, {start}", {"newcomer": found})
                yield row.model_copy(update={"measures": row.measures | {"notes": float(size)}})

    def _learned(
        self, cell: Cell, model: Simulation, engine: Engine, fresh: Adapter, size: int
    ) -> Iterator[tuple[Start, Measured]]:
        """The newcomer's model on its test notes after training on `size` notes, from each start that there is."""
        assert self._settings is not None
        site, (plan, last, frozen) = self.newcomers[size], model.last()
        starts: dict[Start, Given] = (
            {"base": Given(fresh)} if cell.kind == "base" else {"federation": Given(last, frozen)}
        )
        if cell.kind == "federation" and frozen is None:  # else the place of an adapter beside another is taken
            starts["personal"] = Given(fresh, last)
        for start, given in starts.items():
            after = trained_on(engine, site.name, plan, given, self._settings.steps)
            (found,) = engine.measure([scoring_job(site.name, plan, given, after)], "test")
            yield start, found

    def _row(
        self, cell: Cell, split: Literal["cohort", "newcomer"], name: str, measured: Mapping[str, Measured]
    ) -> ResultRow:
        """One row over these models on the same notes, the mean of their counts."""
        row = row_of(cell, Snapshot(0, "test", measured, None, None, 0, ()), self._scored)
        return row.model_copy(update={"split": split, "elsewhere": name})


def _tested(site: LabSite, experiment: Experiment, name: str) -> LabSite:
    """The site under a name of its own, with no more notes to train on than the engine asks for: it trains nothing.

    These are the first ones with labels of each task, without which the task would not be scored.
    """
    tasks = made_tasks(experiment.tasks, site.types, site.modifiers, experiment.answer_form)
    train = site.notes.train
    labelled = (next((at for at, note in enumerate(train) if task.taught_by([note])), 0) for task in tasks)
    few = [train[at] for at in sorted(set(labelled) or {0})]
    return replace(site, name=name, notes=SiteNotes(few, site.notes.validation[:1], site.notes.test))


def _in_full(models: Sequence[Simulation], sites: Sequence[LabSite]) -> dict[str, Measured]:
    return {
        f"model {number}, {name}": measured
        for number, model in enumerate(models)
        for name, measured in model.measure("test", sites).items()
    }


def _cohort(name: str, notes: Sequence[LabNote], experiment: Experiment) -> LabSite:
    """All notes to test on. Some of them stand for the training notes, of which there are none."""
    if not notes:
        raise UserFacingError("lab.few_elsewhere", corpus=name, found=0)
    whole = _site(name, notes, notes, notes[:1], notes, experiment.modifiers)
    return _tested(whole, experiment, f"cohort {name}")


def _newcomers(
    settings: NewcomerSettings, notes: Sequence[LabNote], seed: int, modifiers: Sequence[str]
) -> dict[int, LabSite]:
    """A site for each number of training notes; a smaller one's are the first of a larger one's."""
    rng = np.random.Generator(np.random.PCG64([seed, 5]))
    groups = list(dict.fromkeys(one.group for one in notes))
    place = {groups[at]: number for number, at in enumerate(rng.permutation(len(groups)))}
    left = sorted(notes, key=lambda one: place[one.group])
    test: list[LabNote] = []
    while left and (len(test) < settings.test_notes or left[-1].group == test[-1].group):
        test.append(left.pop())  # whole documents: training notes are of others
    most = max(settings.sizes) + _OWN_VALIDATION
    if len(left) < most:
        raise UserFacingError("lab.few_elsewhere", corpus=settings.corpus.name, found=len(notes))
    validation, train = left[:_OWN_VALIDATION], left[_OWN_VALIDATION:most]
    made = {
        size: _site(f"newcomer with {size}", notes, train[:size], validation, test, modifiers)
        for size in settings.sizes
    }
    return {size: _reporting(site) for size, site in made.items()}


def _reporting(site: LabSite) -> LabSite:
    """The site with a note to score on, be it one of those that it trains on."""
    return replace(site, notes=replace(site.notes, validation=with_labels(site.notes.validation, site.notes.train)))


def _site(
    name: str,
    corpus: Sequence[LabNote],
    train: Sequence[LabNote],
    validation: Sequence[LabNote],
    test: Sequence[LabNote],
    modifiers: Sequence[str],
) -> LabSite:
    """A site with the types and modifiers that all of the corpus annotates."""
    types = tuple(sorted(set.intersection(*(set(one.types) for one in corpus))))
    _, known = typed_in(corpus, types, modifiers)
    parts = [typed_in(part, types, known)[0] for part in (train, validation, test)]
    return LabSite(name, SiteNotes(parts[0], parts[1], parts[2]), types, known)
