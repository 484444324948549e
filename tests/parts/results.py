# SPDX-License-Identifier: Apache-2.0
"""A plausible experiment as the lab leaves it on disk. All numbers are invented, and the same every time."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from fedmed_desktop.scores import Counts
from fedmed_desktop.storage.results import (
    CellResult,
    Failure,
    ResultRow,
    ResultsHead,
    SiteRow,
    append_cell,
    begin_results,
)

ROUNDS: Final = 8
# final loss above the least, speed, rank of the first and last round
METHODS: Final[dict[str, tuple[float, float, int, int]]] = {
    "fedavg": (0.20, 2.6, 16, 16),
    "fedprox": (0.19, 2.8, 16, 16),
    "scaffold": (0.15, 2.3, 16, 16),
    "sa_fedlora": (0.13, 2.2, 24, 8),
    "fedsa": (0.24, 2.9, 16, 16),
    "adaptive_fedlora": (0.05, 2.0, 8, 20),
}
LEAST_LOSS: Final = 0.95
SITES: Final = ("Harbor", "Lakeview", "Mesa", "Northgate", "Riverside")


def write_experiment(
    folder: Path,
    *,
    sites: tuple[int, ...] = (2, 3, 5),
    seeds: int = 3,
    scored: bool = True,
    methods: tuple[str, ...] = tuple(METHODS),
    references: bool = True,
    failed: int = 0,
    missing: int = 0,
    tasks: tuple[str, ...] = (),
) -> Path:
    """`failed`: cells that say why they have no result; `missing`: cells that are still to come; `tasks`: several, over
    which the score is a mean.
    """
    cells: list[CellResult] = []
    for count in sites:
        for seed in range(seeds):
            cells += [_federated(name, count, seed, scored) for name in methods]
            if references:
                cells += [_reference(name, count, seed, scored) for name in ("centralised", "alone", "base")]
    if tasks:
        own = {f"{task}: strict F1": 0.5 for task in tasks}
        scored_by_task = [tuple(row.model_copy(update={"measures": own}) for row in cell.rows) for cell in cells]
        cells = [cell.model_copy(update={"rows": rows}) for cell, rows in zip(cells, scored_by_task, strict=True)]
    for number in range(failed):
        why = Failure(code="lab.diverged", sentence="The loss was no number in round 2. Lower the learning rate.")
        cells.append(CellResult(cell=f"fedrot-{number}", failure=why))
    head = ResultsHead(
        experiment="adaptive",
        sha256="0" * 64,
        cells=len(cells) + missing,
        threads=1,
        machine={"processor": "x86_64", "cores": "2", "memory": "8 GB", "device": "cpu"},
        versions={"fedmed-desktop": "0.1.0", "torch": "2.13.0"},
    )
    begin_results(folder, head)
    for cell in cells:
        append_cell(folder, cell)
    return folder


def _federated(name: str, count: int, seed: int, scored: bool) -> CellResult:
    above, speed, first, last = METHODS[name]
    random = np.random.default_rng([seed, count, list(METHODS).index(name)])
    easy = 0.04 * np.random.default_rng([seed, count]).normal()
    moved, rows = 0, []
    for number in range(ROUNDS + 1):
        left = 1.4 * np.exp(-number / speed) + above + 0.01 * count + easy + 0.01 * random.normal()
        rank = round(first + (last - first) * max(0, number - 1) / (ROUNDS - 1))
        moved += 2 * count * rank * 62_000 if number else 0
        parts = tuple(
            _site(place, number, LEAST_LOSS + left + 0.06 * (place - (count - 1) / 2), rank, scored, random)
            for place in range(count)
        )
        rows.append(_row(name, name, "federation", count, seed, number, parts, moved))
    rows.append(
        rows[-1].model_copy(update={"split": "test", "loss": rows[-1].loss + 0.04, "worst_loss": rows[-1].loss + 0.12})
    )
    return CellResult(cell=f"{name}-{count}-{seed}", rows=tuple(rows))


def _reference(name: str, count: int, seed: int, scored: bool) -> CellResult:
    random = np.random.default_rng([seed, count, 99])
    easy = 0.04 * np.random.default_rng([seed, count]).normal()
    level = {"centralised": 0.0, "alone": 0.45, "base": 1.45}[name]
    parts = tuple(
        _site(place, 0, LEAST_LOSS + level + easy + 0.06 * (place - (count - 1) / 2), None, scored, random)
        for place in range(count)
    )
    number = 0 if name == "base" else ROUNDS
    row = _row(name, "fedavg", name, count, seed, number, parts, 0)
    return CellResult(cell=f"{name}-{count}-{seed}", rows=(row,))


def _site(place: int, number: int, loss: float, rank: int | None, scored: bool, random: np.random.Generator) -> SiteRow:
    found = round(100 * float(np.clip(1.35 - 0.5 * loss, 0.05, 0.95)))
    trained = bool(number) and rank is not None
    drift = 0.6 * float(np.exp(-number / 4)) + 0.05 * float(random.random())
    return SiteRow(
        site=SITES[place],
        notes=300 + 40 * place,
        loss=loss,
        counts=Counts(tp=found, fp=100 - found, fn=100 - found) if scored else None,
        steps=40 if trained else 0,
        model_drift=drift if trained else None,
        performance_drift=0.7 * drift if trained else None,
        semantic_drift=0.2 if trained else None,
        rank=rank if trained else None,
    )


def _row(
    label: str, method: str, kind: str, count: int, seed: int, number: int, parts: tuple[SiteRow, ...], moved: int
) -> ResultRow:
    f1 = [site.f1 for site in parts if site.f1 is not None]
    return ResultRow(
        cell=f"{label}-{count}-{seed}",
        label=label,
        method=method,
        combine="product" if kind == "federation" else "",
        kind=kind,  # type: ignore[arg-type]
        sites_count=count,
        seed=seed,
        round=number,
        loss=float(np.mean([site.loss for site in parts])),
        f1=float(np.mean(f1)) if f1 else None,
        worst_loss=max(site.loss for site in parts),
        worst_f1=min(f1) if f1 else None,
        bytes=moved,
        sites=parts,
    )
