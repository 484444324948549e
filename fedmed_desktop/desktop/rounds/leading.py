# SPDX-License-Identifier: Apache-2.0
"""Headline result of the Rounds page: one number, what it means, and the notes that it was measured on. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...federation.work import Entry
from ...wording import task_name, together, tr
from ..work.desk import Desk
from ..work.judgement import Judgement, hundredths, judged, judged_values, notes_of, of_hundred
from ..work.news import DemoScored
from .improvement import own_scores


@dataclass(frozen=True)
class Leading:
    """`words` is the verdict; `text` has the number, and on which and how many notes it was measured."""

    words: str
    text: str
    tone: Literal["ok", "warn", "dim"]


def leading(desk: Desk) -> Leading | None:
    """The latest measurement of what counts most: the final adapter's, else the site's own training; None before it."""
    if desk.scored and desk.scored.rows:
        return _of_demonstration(desk.scored)
    scored = [entry for entry in desk.record.entries if own_scores(entry)[1]]
    if not scored:
        return None
    final = next((entry for entry in reversed(scored) if entry.plan.kind == "evaluate"), None)
    return _of_final(final, desk) if final else _of_training(scored[-1], desk)


def _of_training(entry: Entry, desk: Desk) -> Leading:
    found = judged(*own_scores(entry), entry.evidence.validation_notes, notes_of(desk))
    on = tr("Measured on {notes} in round {round}.").format(notes=_counted(found), round=entry.plan.round)
    return Leading(found.words, together(_numbers(found), on), found.tone)


def _of_final(entry: Entry, desk: Desk) -> Leading:
    _, after = own_scores(entry)
    found = judged_values(None, after.headline, entry.update.report.notes, notes_of(desk))
    on = tr("The final adapter, on {notes} that were never used for training.").format(notes=_counted(found))
    return Leading(found.words, on, found.tone)


def _of_demonstration(scored: DemoScored) -> Leading:
    """Judges by its first task; the table below has the others."""
    task, rows = next(iter(scored.rows.items()))
    before, after = (next(iter(row.values())) for row in (next(iter(rows.values())), list(rows.values())[-1]))
    on = tr("all sites' test notes")
    found = judged_values(before if len(rows) > 1 else None, after, scored.notes or None, on)
    words = found.words
    if len(scored.rows) > 1:
        words = tr("{words} ({task})").format(task=task_name(task), words=words)
    told = tr("Measured on {notes}, which were never used for training.").format(notes=_counted(found))
    return Leading(words, together(_numbers(found), told), found.tone)


def _numbers(found: Judgement) -> str:
    """ "67 of 100 found correctly, before 56."; "" where nothing was scored."""
    if found.after is None:
        return ""
    if found.before is None:
        return f"{of_hundred(found.after)}."
    return tr("{now}; {before} before.").format(now=of_hundred(found.after), before=hundredths(found.before))


def _counted(found: Judgement) -> str:
    """ "330 of your notes"."""
    return found.on if found.notes is None else tr("{n:,} of {notes}").format(n=found.notes, notes=found.on)
