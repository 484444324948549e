# SPDX-License-Identifier: Apache-2.0
"""Training notes of this site beside the federation's, by specialty or by type, as far as counts are shared. No Qt.

The federation's shares came here in the plan of a round: the mean over the sites of the round before. What one other
site has is in no plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...federation.work import Entry
from ...wording import together, tr, written
from ..work.desk import Desk

MOST_ROWS: Final = 8
CLEAR: Final = 0.05  # a smaller difference of two shares is not worth a word (inferred)


@dataclass(frozen=True)
class SharePair:
    """One specialty or type: its shares in [0, 1], here and in the federation."""

    name: str
    own: float
    federation: float

    @property
    def text(self) -> str:
        return f"{written(self.own, '.0%')} / {written(self.federation, '.0%')}"


@dataclass(frozen=True)
class SharedView:
    """`sentence` first; no `pairs` before the federation's shares are known."""

    title: str
    sentence: str
    pairs: tuple[SharePair, ...] = ()
    about: str = ""


def shared_view(desk: Desk) -> SharedView | None:
    """None where this federation shares no counts, or this site has counted nothing yet."""
    shared = desk.spec.share.histogram if desk.spec else "none"
    if shared == "none":
        return None
    counted = [entry for entry in desk.record.entries if entry.update.report.histogram]
    if not counted:
        return None
    title = tr("Training notes by specialty") if shared == "specialties" else tr("Entities in training notes by type")
    known = [entry for entry in counted if entry.plan.references and entry.plan.references.histogram]
    if not known:
        return SharedView(
            title, tr("How this site's notes compare with the federation's is known after the next round.")
        )
    return _compared(title, known[-1])


def _compared(title: str, entry: Entry) -> SharedView:
    references = entry.plan.references
    assert references is not None
    counts, federation = entry.update.report.histogram, references.histogram
    total = sum(counts.values())
    names = sorted(counts.keys() | federation.keys(), key=lambda name: (-federation.get(name, 0.0), name))
    pairs = [SharePair(_named(name), counts.get(name, 0) / total, federation.get(name, 0.0)) for name in names]
    about = tr(
        "The federation's share is the mean over the sites of round {round}, this one included, weighted by their "
        "numbers of notes. A little is added to every count, so that none is zero."
    ).format(round=entry.plan.round - 1)
    return SharedView(title, _sentence(pairs), tuple(_fewer(pairs)), about)


def _named(name: str) -> str:
    """A type as people write it."""
    return name[:1].upper() + name[1:].replace("_", " ")


def _sentence(pairs: list[SharePair]) -> str:
    """Says where this site differs most, both ways."""
    most = max(pairs, key=lambda pair: pair.own - pair.federation)
    least = min(pairs, key=lambda pair: pair.own - pair.federation)
    more, less = "", ""
    if most.own - most.federation >= CLEAR:
        more = tr("{name} is more frequent here: {own} against {federation} in the federation.")
        more = more.format(name=most.name, own=written(most.own, ".0%"), federation=written(most.federation, ".0%"))
    if least.federation - least.own >= CLEAR:
        less = tr("{name} is rarer here: {own} against {federation}.")
        less = less.format(name=least.name, own=written(least.own, ".0%"), federation=written(least.federation, ".0%"))
    return together(more, less) or tr("This site's notes are much like the federation's.")


def _fewer(pairs: list[SharePair]) -> list[SharePair]:
    """The most frequent in the federation; those behind them together."""
    if len(pairs) <= MOST_ROWS:
        return pairs
    rest = pairs[MOST_ROWS - 1 :]
    others = tr("%n other(s)", "", len(rest))
    rare = SharePair(others, sum(pair.own for pair in rest), sum(pair.federation for pair in rest))
    return [*pairs[: MOST_ROWS - 1], rare]
