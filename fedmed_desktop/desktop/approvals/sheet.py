# SPDX-License-Identifier: Apache-2.0
"""The sheet on an update, read before deciding: what leaves, what it is worth, how it differs, what it may reveal.

Everything is read off the outbox's entry: the very bytes and numbers that an approval would let out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from ...federation import Evidence, Report
from ...scores import Scores
from ...storage import Entry
from ..work.desk import Desk
from ..work.progress import duration
from .card_row import Line, Word
from .drift import NO_REFERENCE, NOT_MEASURED, differs, semantic, unmeasured
from .leaving import few, leaves, numbers, part_name, stays

# An update so many times as large as the site's last one must be acknowledged by itself; inferred.
NORM_FAR_OUT: Final = 3.0
# Scores are compared as they are shown: what differs in a later digit is no difference to a person; inferred.
DIGITS: Final = 2
# Scores on fewer notes are too uncertain to call a change one; inferred (as for a mean: about 30).
ENOUGH_NOTES: Final = 30
MAY_REVEAL: Final = (
    "Not measured in this version. An adapter can tell something about the notes that it was trained on."
)
SCORES_REVEAL: Final = "Counts and a loss over all these notes together. No adapter leaves."


@dataclass(frozen=True)
class Finding:
    """Something that must be acknowledged by itself before the update can be sent."""

    code: Literal["norm_far_out", "scores_worse"]
    sentence: str


@dataclass(frozen=True)
class Sheet:
    """One update as it is shown. `numbers` is all that leaves, name by name; `worth_on` says on which notes.

    `stays`: what the method leaves here, "" where nothing. `unmeasured`: why a line of `differs` has no word.
    `details` are for specialists, who know what they mean.
    """

    sha256: str
    title: str
    destination: str
    environment: str
    hash: str
    leaves: tuple[Line, ...]
    stays: str
    worth_on: str
    worth: tuple[Line, ...]
    differs: tuple[Line, ...]
    unmeasured: str
    details: tuple[Line, ...]
    reveals: str
    numbers: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]

    @property
    def short_hash(self) -> str:
        return grouped(self.hash)


def sheet(entry: Entry, desk: Desk) -> Sheet:
    """The sheet of an entry of the desk's record."""
    report = entry.update.report
    last = last_norm(entry, desk)
    scored = report.kind == "evaluate"
    notes = report.notes if scored else entry.evidence.validation_notes
    address = desk.session.address if desk.session else "the coordinator"
    reveals = SCORES_REVEAL if scored else MAY_REVEAL
    return Sheet(
        sha256=entry.sha256,
        title=title(entry),
        destination=address,
        environment=desk.spec.environment.upper() if desk.spec else "",
        hash=shown_hash(entry),
        leaves=leaves(entry, desk.spec, address),
        stays=stays(entry.plan),
        worth_on=_worth_on(notes, scored),
        worth=_worth(report, entry.evidence, is_certain=notes is not None and notes >= ENOUGH_NOTES),
        differs=differs(entry, desk.spec),
        unmeasured=unmeasured(entry, desk.spec),
        details=_details(entry, desk, last),
        reveals=f"{reveals} {few(report)}".strip(),
        numbers=numbers(entry, desk.spec),
        findings=tuple(_findings(report, entry.evidence, last)),
    )


def title(entry: Entry) -> str:
    if entry.update.report.kind == "evaluate":
        return "Scores of the final adapter"
    return f"Adapter for round {entry.plan.round}"


def shown_hash(entry: Entry) -> str:
    """The sha256 that a person compares: of the one blob that leaves; where it is not one, of the update."""
    parts = list(entry.update.parts.values())
    return parts[0].sha256 if len(parts) == 1 else entry.sha256


def grouped(sha256: str, digits: int = 16) -> str:
    """The first digits in groups of four: 16 are short enough to be read out on the telephone."""
    return " ".join(sha256[at : at + 4] for at in range(0, digits, 4))


def expiry(entry: Entry, desk: Desk, now: datetime) -> str:
    """Until when a decision counts."""
    if entry.state not in ("pending", "approved"):
        return ""
    standing = desk.standing
    if standing is None or standing.closes is None or standing.round != entry.plan.round:
        return "Expires when the round closes"
    left = (standing.closes - now).total_seconds()
    if left <= 0:
        return "The round is closing"
    there = standing.closes.astimezone()
    days = "%H:%M" if there.date() == now.astimezone().date() else "%a %d %b, %H:%M"
    return f"Expires {there.strftime(days)}, {duration(left)} left"


def last_norm(entry: Entry, desk: Desk) -> float | None:
    """Norm of the site's update of the latest round before this one; None where there is none."""
    earlier = [
        other.update.report.update_norm
        for other in desk.record.entries
        if other.plan.round < entry.plan.round and other.update.report.kind == "train"
    ]
    return earlier[-1] if earlier and earlier[-1] > 0 else None


def _worth_on(notes: int | None, is_final: bool) -> str:
    """How many notes the scores are of, and whether that is enough to tell anything."""
    kind = "test" if is_final else "validation"
    if notes is None:
        return f"your {kind} notes"
    if notes >= ENOUGH_NOTES:
        return f"your {notes:,} {kind} notes"
    return f"{notes} of your notes: too few to tell"


def _worth(report: Report, evidence: Evidence, *, is_certain: bool) -> tuple[Line, ...]:
    """Scores come from the evidence, which has them also where the federation does not share them.

    On too few notes, or nobody knows how many, nothing is called better.
    """
    lines = _changes(report, evidence)
    return lines if is_certain else tuple(replace(line, word="") if line.word != "worse" else line for line in lines)


def _changes(report: Report, evidence: Evidence) -> tuple[Line, ...]:
    before, after = evidence.scores_before, evidence.scores_after
    lines = []
    if after != Scores():
        compare = before != Scores()
        lines.append(_change("All types F1", before.f1_strict if compare else None, after.f1_strict))
        for kind, counts in sorted(after.strict.items()):
            earlier = before.strict.get(kind)
            lines.append(_change(f"{_capital(kind)} F1", earlier.f1 if earlier else None, counts.f1))
    else:
        lines.append(Line("F1", NOT_MEASURED))
    if report.loss_after is None:
        return (*lines, Line("Loss", NOT_MEASURED))
    return (*lines, _change("Loss", report.loss_before, report.loss_after, lower_is_better=True))


def _change(name: str, before: float | None, after: float, *, lower_is_better: bool = False) -> Line:
    value = f"{after:.{DIGITS}f}"
    if before is None:
        return Line(name, value)
    gain = round(after, DIGITS) - round(before, DIGITS)
    word: Word = "same" if gain == 0 else "better" if (gain < 0) == lower_is_better else "worse"
    return Line(name, value, f"{before:.{DIGITS}f}", word)


def _capital(kind: str) -> str:
    return kind.replace("_", " ").capitalize()


def _details(entry: Entry, desk: Desk, last: float | None) -> tuple[Line, ...]:
    """Measures with their own names, and whole fingerprints."""
    update, evidence, lines = entry.update, entry.evidence, []
    if update.report.kind == "train":
        rank = f"{evidence.rank}"
        if desk.spec:
            rank += f" · {len(desk.spec.base.modules):,} matrices"
        norm = NO_REFERENCE if last is None else f"{update.report.update_norm / last:.1f}x your last"
        lines = [
            Line("Model drift", _measured(evidence.model_drift)),
            Line("Performance drift", _measured(evidence.performance_drift)),
            Line("Semantic drift", semantic(entry, desk.spec)),
            Line("Cosine to the group", NOT_MEASURED),
            Line("Norm", norm),
            Line("Rank", rank),
        ]
    for name, part in sorted(update.parts.items()):
        of = "" if len(update.parts) == 1 else f" of {part_name(name)}"
        lines.append(Line(f"sha256{of}", grouped(part.sha256, 64)))
    return (*lines, Line("sha256 of the update", grouped(entry.sha256, 64)))


def _measured(value: float | None) -> str:
    return NO_REFERENCE if value is None else f"{value:.{DIGITS}f}"


def _findings(report: Report, evidence: Evidence, last: float | None) -> list[Finding]:
    found = []
    if last is not None and report.update_norm > NORM_FAR_OUT * last:
        times = report.update_norm / last
        found.append(
            Finding(
                "norm_far_out",
                f"This update is {times:.1f} times as large as your last one. A fault in the notes or too high a "
                "learning rate can do this.",
            )
        )
    before, after = evidence.scores_before, evidence.scores_after
    if before != Scores() and round(after.f1_strict, DIGITS) < round(before.f1_strict, DIGITS):
        found.append(
            Finding(
                "scores_worse",
                f"Training has made it worse on your notes: F1 over all types fell from {before.f1_strict:.{DIGITS}f} "
                f"to {after.f1_strict:.{DIGITS}f}.",
            )
        )
    return found
