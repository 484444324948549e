# SPDX-License-Identifier: Apache-2.0
"""An update layer by layer: which modules changed, how much, and against the round before. No Qt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...federation.work import Entry
from ...wording import later, together, tr, written
from ..work.desk import Desk
from ..work.layers import by_layer, last_trained, place, shares, where

COLUMNS: Final = (
    later("Layer"), later("Module"), later("Rank"), later("Update norm"), later("Share of the change"),
    later("Against last round"),
)  # fmt: skip


@dataclass(frozen=True)
class LayerRow:
    """One module. `layer` counts from 1, 0 for none; `share` is of the squared norm; `against`: this norm over the last
    round's, None where that is not known or was 0.
    """

    name: str
    layer: int
    module: str
    rank: int
    norm: float
    share: float
    against: float | None

    @property
    def values(self) -> tuple[float | str, ...]:
        """Values in the order of COLUMNS, to sort by; what is not known comes first."""
        return self.layer, self.module, self.rank, self.norm, self.share, -1.0 if self.against is None else self.against

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts in the order of COLUMNS, to read."""
        return (
            str(self.layer) if self.layer else "–",
            self.module,
            str(self.rank),
            written(self.norm, "#.3g"),
            f"{written(100 * self.share, '.1f')} %",
            "–" if self.against is None else tr("{times:.2f} times").format(times=self.against),
        )


@dataclass(frozen=True)
class Layers:
    """Rows in order of the layers, and what they say in a sentence or two; no rows where nothing was measured."""

    sentence: str
    rows: tuple[LayerRow, ...]


def layers(entry: Entry, desk: Desk) -> Layers:
    """Layers of this entry as its training measured them, beside the site's last update."""
    changes = entry.evidence.modules
    if not changes:
        return Layers("", ())
    earlier = last_trained(entry, desk.record)
    before = earlier.evidence.modules if earlier else {}
    share = shares(changes)
    rows = []
    for name, change in changes.items():
        last = before[name].norm if name in before else 0.0
        against = change.norm / last if last > 0 else None
        rows.append(LayerRow(name, *place(name), change.rank, change.norm, share.get(name, 0.0), against))
    rows.sort(key=lambda row: (row.layer, row.module))
    sizes = [math.hypot(*(change.norm for change in them.values())) for them in (changes, before)]
    return Layers(together(where(by_layer(share)), _times(*sizes)), tuple(rows))


def summed(rows: Sequence[LayerRow]) -> tuple[LayerRow, ...]:
    """A row for each layer, of all its modules together: as many as a sheet of paper has room for."""
    found: dict[int, list[LayerRow]] = {}
    for row in rows:
        found.setdefault(row.layer, []).append(row)
    return tuple(_summed(layer, own) for layer, own in found.items())


def _summed(layer: int, rows: Sequence[LayerRow]) -> LayerRow:
    norm = math.hypot(*(row.norm for row in rows))
    last = math.hypot(*(row.norm / row.against for row in rows if row.against))
    against = norm / last if last and all(row.against is not None for row in rows) else None
    name = rows[0].module if len(rows) == 1 else tr("%n module(s)", "", len(rows))
    return LayerRow(name, layer, name, max(row.rank for row in rows), norm, sum(row.share for row in rows), against)


def _times(now: float, before: float) -> str:
    if not before:
        return ""
    return tr("The whole update is {times:.1f} times as large as your last one.").format(times=now / before)
