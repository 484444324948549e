# SPDX-License-Identifier: Apache-2.0
"""Result rows made of the measurements on every site's notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..scores import Scores, pool
from ..storage.results import ResultRow
from .by_task import task_measures
from .cells import Cell
from .engines import Measured
from .simulate import Snapshot


def row_of(cell: Cell, snapshot: Snapshot, scored: bool, clients: int | None = None, seconds: float = 0.0) -> ResultRow:
    """A snapshot as a row; F1 only where answers were `scored`."""
    record = snapshot.record
    measures = dict(record.measures) | {"norm": record.norm, "effective_rank": record.effective_rank} if record else {}
    f1s = [one.scores.headline for one in snapshot.measured.values()]
    return ResultRow(
        cell=cell.id,
        label=cell.label,
        method=cell.method,
        combine=cell.choice.combine if cell.choice else "",
        kind=cell.kind,
        sites_count=cell.sites,
        clients=clients,
        seed=cell.seed,
        round=snapshot.round,
        split=snapshot.split,
        loss=pooled_loss(snapshot.measured),
        f1=pooled_f1(snapshot.measured) if scored else None,
        worst_loss=max(one.loss for one in snapshot.measured.values()),
        worst_f1=min(f1s) if scored else None,
        bytes=snapshot.traffic,
        residual=record.residual if record else None,
        measures=measures | (task_measures(pooled(snapshot.measured)) if scored else {}),
        adapter=snapshot.adapter,
        seconds=round(seconds, 3),
        sites=snapshot.sites,
    )


def pooled_loss(measured: Mapping[str, Measured]) -> float:
    """Nats per supervised token over all sites' notes."""
    tokens = sum(one.tokens for one in measured.values())
    return sum(measured[site].loss * measured[site].tokens for site in sorted(measured)) / max(1, tokens)


def pooled_f1(measured: Mapping[str, Measured]) -> float:
    return pooled(measured).headline


def pooled(measured: Mapping[str, Measured]) -> Scores:
    """Scores over all sites' notes."""
    return pool(measured[site].scores for site in sorted(measured))


def together(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Federations of one site each, after the same round, as one: nothing has moved between them."""
    measured = {site: found for one in snapshots for site, found in one.measured.items()}
    still = {"bytes_up": 0, "bytes_down": 0}
    sites = tuple(site.model_copy(update=still) for one in snapshots for site in one.sites)
    return replace(snapshots[0], measured=measured, record=None, adapter=None, traffic=0, sites=sites)


def on_all_notes(models: Sequence[Mapping[str, Measured]], scored: bool) -> dict[str, float]:
    """Mean and best of the sites' own models, each measured on the notes of all sites; with several tasks, by task."""
    told: dict[str, float] = {}
    for name, values in _by_measure(models, scored).items():
        told |= {f"{name}_on_all_notes": sum(values) / len(values)}
        told |= {f"best_{name}_on_all_notes": min(values) if name == "loss" else max(values)}
    return told


def _by_measure(models: Sequence[Mapping[str, Measured]], scored: bool) -> dict[str, list[float]]:
    found = {"loss": [pooled_loss(one) for one in models]}
    if scored:
        found["f1"] = [pooled_f1(one) for one in models]
        scores = [pooled(one) for one in models]
        tasks = scores[0].scored if len(scores[0].scored) > 1 else ()
        found |= {task: [one[task].headline for one in scores] for task in tasks}
    return found
