# SPDX-License-Identifier: Apache-2.0
"""Tables of the Rounds page: earlier rounds as the site's own record has them, and a demonstration's scores. No Qt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ...federation.work import Entry
from ...storage.outbox import Decision, Record
from ...wording import amount, later, task_name, tr, written
from ..work.judgement import change_of_hundred
from ..work.news import DemoScored
from ..work.progress import elapsed
from .improvement import own_scores
from .status import LOOKS, Tone

# A pending or approved update is the card's matter, not the past's.
_PARTS: Final[dict[str, tuple[str, str, Tone]]] = {
    "acknowledged": LOOKS["sent"],
    "released": LOOKS["uploading"],
    "kept": LOOKS["kept"],
    "expired": ("clock", later("Missed"), "warn"),
    "refused": ("warning", later("Refused"), "bad"),
}
COLUMNS: Final = (
    later("Round"), later("Your part"), later("Decided by"), later("Score on your notes"), later("Rank"), later("Sent"),
    later("Duration"),
)  # fmt: skip


@dataclass(frozen=True)
class PastRound:
    """One row; `texts` in the order of COLUMNS. `icon` and `tone` go with the site's part."""

    sha256: str
    round: int
    icon: str
    tone: Tone
    texts: tuple[str, ...]


def past_rounds(record: Record) -> list[PastRound]:
    """Every update that was decided on or that ran out of time; the newest first. Time grows with the record."""
    answers = _answers(record.decisions)
    rows = [_row(entry, answers) for entry in record.entries if entry.state in _PARTS]
    return rows[::-1]


def _answers(decisions: Iterable[Decision]) -> dict[str, Decision]:
    """The last answer to each update: approved, kept or taken back; the program itself is no decider."""
    return {d.sha256: d for d in decisions if d.decision in ("approved", "kept", "taken_back")}


def _row(entry: Entry, answers: Mapping[str, Decision]) -> PastRound:
    icon, part, tone = _PARTS[entry.state]
    report = entry.update.report
    final = entry.plan.kind == "evaluate"
    before, after = own_scores(entry)
    scores = change_of_hundred(None if final else before.headline, after.headline)
    if len(after.scored) > 1:
        scores = tr("{scores}, mean of {n} tasks").format(scores=scores, n=len(after.scored))
    texts = (
        tr("Final scores") if final else str(entry.plan.round),
        tr(part),
        _decided_by(entry, answers.get(entry.sha256)),
        scores if after else "–",
        "–" if final else str(entry.plan.rank),
        (amount(entry.update.size) if entry.update.parts else tr("scores only"))
        if entry.state == "acknowledged"
        else "–",
        elapsed(report.seconds) if report.seconds else "–",
    )
    return PastRound(entry.sha256, entry.plan.round, icon, tone, texts)


def _decided_by(entry: Entry, answer: Decision | None) -> str:
    """Name of who approved or kept it."""
    if answer is None or answer.decision == "taken_back":
        return tr("nobody in time") if entry.state == "expired" else "–"
    return tr("a rule") if answer.by == "rule" else answer.by


def score_table(scored: DemoScored) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Headings and rows: one line for each model, one column for all sites and each of them; task by task."""
    several = len(scored.rows) > 1
    columns = list(dict.fromkeys(column for rows in scored.rows.values() for row in rows.values() for column in row))
    told = [
        (*([task_name(task)] if several else []), name,
         *(written(100 * row[column], ".1f") if column in row else "–" for column in columns))
        for task, rows in scored.rows.items()
        for name, row in rows.items()
    ]  # fmt: skip
    return (*([tr("Task")] if several else []), tr("Model"), *columns), told
