# SPDX-License-Identifier: Apache-2.0
"""Curves of an experiment over rounds: mean and spread over seeds, for plots and the desktop's charts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from ..storage.results import ResultRow
from .compare import NAN, Setting, drift_of, labels_of, rank_of
from .differences import Numbers

Quantity = Literal["loss", "f1", "drift", "rank", "bytes"]

_QUANTITIES: Final[Mapping[Quantity, Callable[[ResultRow], float | None]]] = {
    "loss": lambda row: row.loss,
    "f1": lambda row: row.f1,
    "drift": lambda row: drift_of(row.sites),
    "rank": lambda row: rank_of(row.sites),
    "bytes": lambda row: float(row.bytes),
}


@dataclass(frozen=True)
class Curve:
    """Mean and standard deviation over seeds (NaN of a single one) by measured round, ascending; shapes (rounds,)."""

    label: str
    kind: str
    rounds: Numbers
    mean: Numbers
    sd: Numbers

    @property
    def last(self) -> float:
        return float(self.mean[-1])


def curves_of(rows: Iterable[ResultRow], setting: Setting, quantity: Quantity) -> list[Curve]:
    """Curves on the validation notes, in the order of `labels_of`; a method of which it was never measured has none.

    An encoder has no curve of its loss, which is of tags and not of tokens.
    """
    here = [row for row in rows if row.split == "validation" and setting.holds(row)]
    if quantity == "loss":
        here = [row for row in here if row.kind != "encoder"]
    found = []
    for label in labels_of(here):
        own = [row for row in here if row.label == label]
        by_round: dict[int, list[float]] = {}
        for row in own:
            if (value := _QUANTITIES[quantity](row)) is not None:
                by_round.setdefault(row.round, []).append(value)
        if by_round:
            rounds = sorted(by_round)
            values = [np.array(by_round[number], np.float64) for number in rounds]
            sd = np.array([v.std(ddof=1) if len(v) > 1 else NAN for v in values])
            mean = np.array([v.mean() for v in values])
            found.append(Curve(label, own[0].kind, np.array(rounds, np.float64), mean, sd))
    return found
