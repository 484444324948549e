# SPDX-License-Identifier: Apache-2.0
"""The site's record of decisions and receipts, as rows of a table, the latest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...federation.work import Entry
from ...storage.outbox import Decision
from ...wording import later, moment, sentence, tr
from ..work.desk import Desk
from .sheet import grouped, shown_hash

COLUMNS: Final = (
    later("Time"), later("Round"), later("Decision"), later("Who"), later("Reason"), later("Receipt"),
)  # fmt: skip
WORDS: Final[dict[str, tuple[str, str]]] = {  # decision -> (icon, words)
    "first_approved": ("check", later("First approval")),
    "approved": ("check", later("Approved")),
    "taken_back": ("history", later("Taken back")),
    "released": ("upload", later("Sending started")),
    "acknowledged": ("check", later("Received")),
    "refused": ("warning", later("Refused")),
    "kept": ("lock", later("Kept on site")),
    "expired": ("clock", later("Round closed without it")),
    "asked_again": ("refresh", later("Asked for again")),
}
# Reasons that the program writes itself; those of people stay as they wrote them.
_REASONS: Final = (
    later("round closed"), later("the program ended before the approval was in effect"), later("taken back in time"),
    later("the work was stopped"), later("the policy has changed"),
)  # fmt: skip
WHO: Final = {
    "agent": later("this program"),
    "rule": later("a rule"),
    "coordinator": later("the coordinator"),
    "policy": later("the policy"),
}


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
    reason = tr(decision.reason) if decision.reason in _REASONS else decision.reason
    if decision.decision == "refused":
        reason = sentence(decision.reason, {})
    if decision.rule and decision.by not in ("agent", "coordinator"):
        reason = tr("{reason} (policy: {rule})").format(reason=reason, rule=decision.rule)
    receipt = grouped(shown_hash(entry) if entry else decision.sha256) if decision.decision == "acknowledged" else ""
    return ReceiptRow(
        decision.sha256,
        icon,
        (
            moment(decision.time, "stamp"),
            _round(decision, entry),
            tr(words),
            tr(WHO[decision.by]) if decision.by in WHO else decision.by,
            reason,
            receipt,
        ),
    )


def _round(decision: Decision, entry: Entry | None) -> str:
    is_final = entry is not None and entry.update.report.kind == "evaluate"
    return tr("Final scores") if is_final else str(decision.round)
