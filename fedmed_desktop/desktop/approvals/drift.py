# SPDX-License-Identifier: Apache-2.0
"""Drift of an update, and of the notes behind it, from the federation's, in words; unknown drift says why. No Qt."""

from __future__ import annotations

from typing import Final

from ...federation.spec import FederationSpec
from ...federation.work import Entry
from ...wording import later, tr, written
from .card_row import Line

# Model drift is the update's size against what there was and what others did: 0.5 is as large as both; inferred.
MOVES_LITTLE: Final = 0.1
MOVES_FAR: Final = 0.5
# Semantic drift is a divergence in [0, 1]. Halves against three quarters and a quarter differ by 0.05; three sites of
# one specialty each, from all of them together, by 0.46, of which 0.25 is about the half. Inferred.
DIFFER_LITTLE: Final = 0.05
DIFFER_MUCH: Final = 0.25

NOT_MEASURED: Final = later("not measured")
NO_REFERENCE: Final = later("first round: nothing to compare with yet")
NOT_SHARED: Final = later("That needs counts of specialties or types, which this federation does not share.")
NOT_NAMED: Final = later("That needs training notes with a specialty; none of yours has one.")
NONE_MARKED: Final = later("That needs marked entities; your training notes have none.")


def differs(entry: Entry, spec: FederationSpec | None) -> tuple[Line, ...]:
    """A word for each; nothing where only scores leave."""
    if entry.update.report.kind == "evaluate":
        return ()
    return (
        Line(tr("Change of the model"), _moved(entry.evidence.model_drift)),
        Line(tr("Your notes beside others'"), _notes_differ(entry, spec)),
    )


def unmeasured(entry: Entry, spec: FederationSpec | None) -> str:
    """Sentence on why the notes' difference is not measured; "" where it is, or will be in the next round."""
    if entry.update.report.kind == "evaluate" or entry.evidence.semantic_drift is not None:
        return ""
    shared = spec.share.histogram if spec else "none"
    if shared == "none":
        return tr(NOT_SHARED)
    if entry.update.report.histogram:
        return ""
    return tr(NOT_NAMED if shared == "specialties" else NONE_MARKED)


def semantic(entry: Entry, spec: FederationSpec | None) -> str:
    """The semantic drift as text, to two decimals."""
    drift = entry.evidence.semantic_drift
    if drift is None:
        return tr(NOT_MEASURED if unmeasured(entry, spec) else NO_REFERENCE)
    return written(drift, ".2f")


def _moved(model_drift: float | None) -> str:
    if model_drift is None:
        return tr(NO_REFERENCE)
    if model_drift < MOVES_LITTLE:
        return tr("small")
    return tr("as usual") if model_drift < MOVES_FAR else tr("large")


def _notes_differ(entry: Entry, spec: FederationSpec | None) -> str:
    drift = entry.evidence.semantic_drift
    if drift is None:
        return semantic(entry, spec)
    if drift < DIFFER_LITTLE:
        return tr("alike")
    return tr("somewhat different") if drift < DIFFER_MUCH else tr("very different")
