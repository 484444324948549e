# SPDX-License-Identifier: Apache-2.0
"""Further tables of an experiment: every model on each cohort that took no part, a newcomer by the number of its notes,
and sites alone on everybody's notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from ..scores import TASKS, TaskName
from ..storage.results import ResultRow
from .compare import Setting, Split, labels_of
from .differences import Measure, site_pairs

FULL: Final = "the sites' test notes, annotated in full"
"""The name, among cohorts, of the sites' own test notes with the labels that sites lack; the same in experiments that
differ in what is lacking alone."""

_NAMES: Final[dict[Measure, str]] = {"f1": "F1", "loss": "loss"}

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Headings and rows."""


def cohort_tables(rows: Iterable[ResultRow], setting: Setting) -> dict[str, Table]:
    """Tables by cohort: the models' scores on it, mean and standard deviation over seeds, and what lies above the base.

    Differences are of the same seed. "alone" is the mean of the sites' own models.
    """
    here = [row for row in rows if row.split == "cohort" and setting.holds(row)]
    return {
        name: _cohort([row for row in here if row.elsewhere == name])
        for name in dict.fromkeys(row.elsewhere for row in here)
    }


def newcomer_table(rows: Iterable[ResultRow], setting: Setting) -> Table | None:
    """A newcomer's F1 (or loss) by the number of its notes, a line for each start; None where there is no newcomer."""
    here = [row for row in rows if row.split == "newcomer" and setting.holds(row)]
    sizes = sorted({_size(row) for row in here})
    if not sizes:
        return None
    lines: list[tuple[str, ...]] = []
    for label in labels_of(here):
        own = [row for row in here if row.label == label]
        for start in dict.fromkeys(_start(row) for row in own):
            cells = [[row for row in own if (_size(row), _start(row)) == (size, start)] for size in sizes]
            lines.append((_begun(label, start), *(mean_and_spread([_score(row) for row in cell]) for cell in cells)))
    return ("begins from", *(f"{size} notes" for size in sizes)), lines


def fitted_table(rows: Iterable[ResultRow], setting: Setting) -> Table | None:
    """Models fitted to each site beside the common one and the sites' own, on each site's own test notes.

    A site is worse off where its loss, or its F1, is worse than that of its own model with the same seed.
    """
    here = [row for row in rows if setting.holds(row)]
    fitted = [row for row in here if row.split == "fitted"]
    if not fitted:
        return None
    last = {(row.label, row.seed): row for row in sorted(here, key=lambda row: row.round) if row.split == "test"}
    alone = {row.seed: row for row in last.values() if row.kind == "alone"}
    measures: tuple[Measure, ...] = ("loss",) if fitted[0].f1 is None else ("f1", "loss")
    lines: list[tuple[str, ...]] = []
    for label in labels_of(fitted):
        own = [row for row in fitted if row.label == label]
        common = [last[label, row.seed] for row in own if (label, row.seed) in last]
        beside = [(row, alone[row.seed]) for row in own if row.seed in alone]
        told = [mean_and_spread([_score(row) for row in found]) for found in (own, common, [one for _, one in beside])]
        shares = [value for row in own for name, value in row.measures.items() if name.startswith("share.")]
        worse = [_worse(beside, measure) for measure in measures]
        lines.append((label, *told, f"{np.mean(shares):.2f}", *worse))
    worse_by = (f"worse than alone by {_NAMES[measure]}" for measure in measures)
    return (f"{_NAMES[measures[0]]} of", "fitted", "common", "alone", "mean share of its own", *worse_by), lines


def _worse(pairs: Iterable[tuple[ResultRow, ResultRow]], measure: Measure) -> str:
    sites = [pair for own, alone in pairs for pair in site_pairs(own, alone, measure)]
    worse = sum(own < alone if measure == "f1" else own > alone for own, alone in sites)
    return f"{worse} of {len(sites)} sites" if sites else "–"


def alone_on_all_notes(rows: Iterable[ResultRow], setting: Setting, split: Split) -> list[str]:
    """A sentence for each way in which sites train alone: their models on the notes of all sites, mean and best.

    In the tables they are on their own notes. The best one is chosen by these very scores, for each task anew.
    """
    told = []
    here = [
        row for row in rows if row.split == split and setting.holds(row) and "best_loss_on_all_notes" in row.measures
    ]
    for label in labels_of(here):
        own = [row.measures for row in here if row.label == label]
        name, words = ("f1", "F1") if "f1_on_all_notes" in own[0] else ("loss", "loss")
        by_task = "".join(f"; of {task}, {_mean_and_best(own, task)}" for task in _tasks_on_all_notes(own[0]))
        told.append(
            f'"{label}" is each site on its own notes; on the notes of all, their {words} is '
            f"{_mean_and_best(own, name)}{by_task}."
        )
    return told


def _mean_and_best(measures: Sequence[Mapping[str, float]], name: str) -> str:
    mean, best = (mean_and_spread([one[f"{kind}{name}_on_all_notes"] for one in measures]) for kind in ("", "best_"))
    return f"{mean}, the best {best}"


def _tasks_on_all_notes(measures: Mapping[str, float]) -> list[TaskName]:
    return [task for task in TASKS if f"{task}_on_all_notes" in measures]


def _cohort(rows: Sequence[ResultRow]) -> Table:
    is_f1 = bool(rows) and rows[0].f1 is not None
    base = {row.seed: _score(row) for row in rows if row.kind == "base"}
    lines: list[tuple[str, ...]] = []
    for label in labels_of(rows):
        own = {row.seed: _score(row) for row in rows if row.label == label}
        above = [own[seed] - base[seed] for seed in own.keys() & base.keys()]
        beside = "" if label == "base" else _points(above) if is_f1 else _difference(above)
        lines.append((label, mean_and_spread(list(own.values())), beside))
    headings = ("F1", "points above the base") if is_f1 else ("loss", "difference to the base (lower is better)")
    return ("model", *headings), lines


def _size(row: ResultRow) -> int:
    return int(row.measures["notes"])


def _start(row: ResultRow) -> str:
    return row.elsewhere.rpartition(", ")[2]


def _begun(label: str, start: str) -> str:
    return {"base": "the base", "personal": f"{label}, in an adapter of its own"}.get(start, label)


def _score(row: ResultRow) -> float:
    return row.loss if row.f1 is None else row.f1


def mean_and_spread(values: Sequence[float]) -> str:
    """A cell of a table: the mean, and the standard deviation where there are several."""
    if not values:
        return "–"
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def _points(values: Sequence[float]) -> str:
    return f"{100 * np.mean(values):+.1f}" if values else "–"


def _difference(values: Sequence[float]) -> str:
    return f"{np.mean(values):+.3f}" if values else "–"
