# SPDX-License-Identifier: Apache-2.0
"""The site's record of decisions and receipts, as rows of a table, the latest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...storage import Decision, Entry
from ...wording import sentence
from ..work.desk import Desk
from .sheet import grouped, shown_hash

COLUMNS: Final = ("Time", "Round", "Decision", "Who", "Reason", "Receipt")
WORDS: Final[dict[str, tuple[str, str]]] = {  # decision -> (icon, words)
    "approved": ("check", "Approved"),
    "taken_back": ("history", "Taken back"),
    "released": ("upload", "Sending began"),
    "acknowledged": ("check", "Received"),
    "refused": ("warning", "Refused"),
    "kept": ("lock", "Kept on site"),
    "expired": ("clock", "Round closed without it"),
    "asked_again": ("refresh", "Asked for again"),
}
WHO: Final = {"agent": "this program", "rule": "a rule", "coordinator": "the coordinator"}


@dataclass(frozen=True)
class ReceiptRow:
    """One decision; `cells` in the order of COLUMNS, `icon` belongs to the decision."""

    sha256: str
    icon: str
    cells: tuple[str, ...]


def receipts(desk: Desk) -> tuple[ReceiptRow, ...]:
    """Every row of the record of decisions. Time grows with the record."""
    entries = {entry.sha256: entry for entry in desk.record.entries}
    return tuple(_row(decision, entries.get(decision.sha256)) for decision in reversed(desk.record.decisions))


def _row(decision: Decision, entry: Entry | None) -> ReceiptRow:
    icon, words = WORDS.get(decision.decision, ("info", decision.decision))
    reason = sentence(decision.reason, {}) if decision.decision == "refused" else decision.reason
    receipt = grouped(shown_hash(entry) if entry else decision.sha256) if decision.decision == "acknowledged" else ""
    return ReceiptRow(
        decision.sha256,
        icon,
        (
            decision.time.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            _round(decision, entry),
            words,
            WHO.get(decision.by, decision.by),
            reason,
            receipt,
        ),
    )


def _round(decision: Decision, entry: Entry | None) -> str:
    is_final = entry is not None and entry.update.report.kind == "evaluate"
    return "Final scores" if is_final else str(decision.round)
