# SPDX-License-Identifier: Apache-2.0
"""Scalars of a report in words: the list that every face shows before an approval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ..scores import Counts, Scores, TaskScores
from .update import Report

_IN_A_ROW: Final = 8  # values of four digits, as wide as a sha256


def scalars(report: Report) -> Iterator[tuple[str, str]]:
    """(name, value) of everything that leaves beside blobs, in the report's order; values not given are left out.

    Iterates over the report itself, so that a new field cannot be forgotten.
    """
    for name, value in report:
        words = name.replace("_", " ")
        if isinstance(value, Scores):
            for task in value.scored:
                # One task needs no name: it is the federation's.
                yield from _of_task(words if len(value.tasks) == 1 else f"{words}, {task}", value[task])
        elif name == "importance":
            yield from _of_modules(words, value)
        elif isinstance(value, dict):
            for kind, number in sorted(value.items()):
                yield f"{words}, {kind}", str(number)
        elif value is not None:
            yield words, f"{value:.4f}" if isinstance(value, float) else str(value)


def _of_task(words: str, scores: TaskScores) -> Iterator[tuple[str, str]]:
    for sort, counts in (("strict", scores.strict), ("lenient", scores.lenient)):
        for kind, count in sorted(counts.items()):
            yield f"{words}, {sort}, {kind}", _counted(count)
    if scores.strict:
        yield f"{words}, any type", _counted(scores.unified)
    for name, mean in sorted(scores.means.items()):
        yield f"{words}, {name}", f"{mean.value:.4f}, mean of {mean.of}"


def _of_modules(words: str, values: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Rows for each kind of module, with the values of eight layers in order: hundreds of rows would not be read."""
    rows: dict[str, list[tuple[list[int], str]]] = {}
    for module, value in values.items():
        layers = [int(part) for part in module.split(".") if part.isdigit()]
        rows.setdefault(module.rpartition(".")[2], []).append((layers, f"{value:.4g}"))
    for kind, found in sorted(rows.items()):
        told = [value for _, value in sorted(found)]
        for first in range(0, len(told), _IN_A_ROW):
            some = told[first : first + _IN_A_ROW]
            which = f" {first + 1}–{first + len(some)}" if len(told) > _IN_A_ROW else ""
            yield f"{words} by layer, {kind}{which}", "  ".join(some)


def _counted(counts: Counts) -> str:
    return f"{counts.tp} found, {counts.fp} invented, {counts.fn} missed"
