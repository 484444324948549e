# SPDX-License-Identifier: Apache-2.0
"""All cells of an experiment into a folder, one after the other; finished cells are not run again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import psutil

from ..clinical import Unread
from ..errors import UserFacingError
from ..lora.base_model import fingerprint, weight_count
from ..storage.results import (
    CellResult,
    Failure,
    ResultRow,
    Results,
    ResultsHead,
    append_cell,
    begin_results,
    read_results,
    write_tables,
)
from ..wording import told
from .cell import BaseFacts, CellRun
from .cells import Cell, cells
from .choices import ENCODER_LABELS
from .corpora import check_data, read_corpora
from .engines import Engine
from .experiment import Experiment

# What belongs to a cell and cannot be run again to another end; anything else ends the lab.
_RESULTS_OF_TRAINING: Final = frozenset(
    {"training.diverged", "training.no_loss", "lora.tensor_not_finite", "update.wild"}
)
_PACKAGES: Final = ("fedmed-desktop", "torch", "transformers", "peft", "numpy")


class Watcher(Protocol):
    """Observer of a lab, called on its thread."""

    def unread(self, corpus: str, unread: Unread) -> None: ...
    def cell(self, cell: Cell) -> None: ...
    def row(self, row: ResultRow) -> None: ...
    def finished(self, result: CellResult) -> None: ...


@dataclass(frozen=True)
class LabOptions:
    """Options of a run. `only`: labels of the methods and baselines to run now; empty for all.

    `tuning`: on the tuning seeds, which are never reported; such results need a folder of their own.
    """

    experiment: Experiment
    out: Path
    data: Path | None = None
    only: tuple[str, ...] = ()
    tuning: bool = False


class Lab:
    """One experiment and its folder. Raises UserFacingError where they do not belong together."""

    def __init__(self, options: LabOptions) -> None:
        experiment = options.experiment
        everything = cells(experiment, options.tuning)
        if not everything:
            raise UserFacingError("lab.no_tuning_seeds")
        labels = {cell.label for cell in everything}
        if unknown := sorted(set(options.only) - labels):
            raise UserFacingError("lab.no_such_method", label=unknown[0], known=", ".join(sorted(labels)))
        self.options = options
        check_data(experiment, options.data)
        self.base = BaseFacts.of(experiment.model_folder, experiment.adapter_folder)
        done = set(begin_results(options.out, _head(options, self.base), [cell.id for cell in everything]).done)
        chosen = [cell for cell in everything if not options.only or cell.label in options.only]
        self.total = len(chosen)
        self.left = [cell for cell in chosen if cell.id not in done]

    def run(self, engine: Engine, watcher: Watcher) -> Results:
        """Runs the remaining cells and writes the tables, even if it ends early. Ctrl-C leaves whole cells.

        Raises UserFacingError for faults of all cells, also if some cell's notes cannot become sites, before the first
        one runs; training that diverges is a cell's result.
        """
        try:
            if self.left:
                self._run_cells(engine, watcher)
        finally:
            write_tables(self.options.out)
        return read_results(self.options.out)

    def _run_cells(self, engine: Engine, watcher: Watcher) -> None:
        corpora = read_corpora(self.options.experiment, self.options.data)
        for corpus, unread in corpora.unread.items():
            watcher.unread(corpus, unread)
        run = CellRun(self.options.experiment, corpora, self.base, engine, watcher.row, tuning=self.options.tuning)
        for count, seed in dict.fromkeys((cell.sites, cell.seed) for cell in self.left):
            run.sites(count, seed)
        for cell in self.left:
            watcher.cell(cell)
            result = _result(run, cell)
            append_cell(self.options.out, result)
            watcher.finished(result)


def _result(run: CellRun, cell: Cell) -> CellResult:
    try:
        return CellResult(cell=cell.id, rows=tuple(run.run(cell)))
    except UserFacingError as error:
        if error.code not in _RESULTS_OF_TRAINING:
            raise
        return CellResult(cell=cell.id, failure=Failure(code=error.code, sentence=told(error)))


def identity(experiment: Experiment, base: BaseFacts, tuning: bool) -> str:
    """sha256 of all that decides a cell's results, besides its own method, number of sites and seed.

    So cells stay valid when an experiment gets more of these, or other words about its cost.
    """
    elsewhere = {"cost", "seeds", "tuning_seeds", "model", "begin_with", "sites", "methods", "baselines", "encoder"}
    told = experiment.model_dump(mode="json", exclude=elsewhere)
    if base.begin_with is not None:
        told |= {"begin_with": base.begin_with.sha256}
    return _sha256(told | {"base": base.fingerprint, "tuning": tuning, "set_aside": experiment.set_aside})


def _sha256(told: object) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _head(options: LabOptions, base: BaseFacts) -> ResultsHead:
    experiment = options.experiment
    return ResultsHead(
        experiment=experiment.name + (" (tuning)" if options.tuning else ""),
        sha256=identity(experiment, base, options.tuning),
        labels={choice.label: _sha256(choice.model_dump(mode="json")) for choice in experiment.methods}
        | _encoder_labels(experiment),
        threads=experiment.threads,
        machine=machine(weight_count(experiment.model_folder)),
        versions={"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in _PACKAGES},
    )


def _encoder_labels(experiment: Experiment) -> dict[str, str]:
    """The hash of the encoder's settings by its labels. Raises UserFacingError where its folder is no model folder."""
    settings = experiment.encoder
    if "encoder" not in experiment.baselines:
        return {}
    told = settings.model_dump(mode="json", exclude={"model", "kinds"})
    own = _sha256(told | {"model": fingerprint(settings.folder) if settings.folder else settings.model})
    return {ENCODER_LABELS[way]: own for way in settings.kinds}


def machine(weights: int = 0) -> dict[str, str]:
    """Facts that speed and last bits of the numbers depend on, none that names this computer. `weights`: the base's."""
    from ..training.device import choose_device

    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(psutil.cpu_count(logical=False) or psutil.cpu_count() or 0),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "device": choose_device(None, weights=weights).reason,
    }
