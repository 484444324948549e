# SPDX-License-Identifier: Apache-2.0
"""What a person sees of an update before deciding: what leaves, what it is worth, how it differs, what it may reveal.

Everything is read off the outbox's entry: the very bytes and numbers that an approval would let out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from ...federation import Evidence, Report, scalars
from ...scores import Scores
from ...storage import Entry
from .desk import Desk
from .progress import duration, megabytes

# An update so many times as large as the site's last one must be acknowledged by itself; inferred.
NORM_FAR_OUT: Final = 3.0
# Scores are compared as they are shown: what differs in a later digit is no difference to a person; inferred.
DIGITS: Final = 2

NOT_MEASURED: Final = "not measured"
NO_REFERENCE: Final = "first round: no reference yet"
MAY_REVEAL: Final = (
    "Not measured in this version. An adapter can tell something about the notes that it was trained on."
)
SCORES_REVEAL: Final = "Counts and a loss over all these notes together. No adapter leaves."

Tone = Literal["", "ok", "warn"]
Word = Literal["", "better", "same", "worse"]


@dataclass(frozen=True)
class Line:
    """One row of a card: `value`, or `before` -> `value` with a word for the change. `full` is the value unabridged."""

    name: str
    value: str
    before: str = ""
    word: Word = ""
    full: str = ""

    @property
    def tone(self) -> Tone:
        tones: dict[Word, Tone] = {"better": "ok", "worse": "warn"}
        return tones.get(self.word, "")

    @property
    def spoken(self) -> str:
        """The row as one phrase, for whoever does not see it."""
        change = f"{self.before}, now {self.value}, {self.word}" if self.before else self.full or self.value
        return f"{self.name}: {change}"


@dataclass(frozen=True)
class Finding:
    """Something that must be acknowledged by itself before the update can be sent."""

    code: Literal["norm_far_out", "scores_worse"]
    sentence: str


@dataclass(frozen=True)
class Sheet:
    """One update as it is shown. `numbers` is all that leaves, name by name; `worth_on` says on which notes."""

    sha256: str
    title: str
    destination: str
    environment: str
    hash: str
    leaves: tuple[Line, ...]
    worth_on: str
    worth: tuple[Line, ...]
    differs: tuple[Line, ...]
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
    return Sheet(
        sha256=entry.sha256,
        title=title(entry),
        destination=desk.session.address if desk.session else "the coordinator",
        environment=desk.spec.environment.upper() if desk.spec else "",
        hash=shown_hash(entry),
        leaves=_leaves(entry, desk),
        worth_on=f"your {report.notes:,} test notes" if scored else "your validation notes",
        worth=_worth(report, entry.evidence),
        differs=() if scored else _differs(report, entry.evidence, last),
        reveals=SCORES_REVEAL if scored else MAY_REVEAL,
        numbers=_numbers(entry),
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


def grouped(sha256: str) -> str:
    """The first 16 digits in groups of four: short enough to be read out on the telephone."""
    return " ".join(sha256[at : at + 4] for at in range(0, 16, 4))


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


def _leaves(entry: Entry, desk: Desk) -> tuple[Line, ...]:
    update = entry.update
    address = desk.session.address if desk.session else "the coordinator"
    lines = [Line("To", _host(address), full=address)]
    if update.parts:
        rank = f"{entry.evidence.rank}"
        if desk.spec:
            rank += f" · {len(desk.spec.base.modules):,} matrices"
        lines += [
            Line("Rank", rank),
            Line("Size", megabytes(update.size), full=f"{update.size:,} bytes"),
        ]
        lines += [
            Line("sha256" if len(update.parts) == 1 else f"sha256 of {name}", grouped(part.sha256), full=part.sha256)
            for name, part in sorted(update.parts.items())
        ]
    else:
        lines.append(Line("Adapter", "none, scores only"))
    return (*lines, Line("Note text", "none"), Line("Your reason", "never sent"))


def _host(address: str) -> str:
    """Without the scheme, which says nothing to most people; the whole address stands in the sheet's head."""
    return address.partition("://")[2] or address


def _worth(report: Report, evidence: Evidence) -> tuple[Line, ...]:
    """Scores come from the evidence, which has them also where the federation does not share them."""
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


def _differs(report: Report, evidence: Evidence, last: float | None) -> tuple[Line, ...]:
    return (
        Line("Model drift", _measured(evidence.model_drift)),
        Line("Performance drift", _measured(evidence.performance_drift)),
        Line("Semantic drift", NOT_MEASURED),
        Line("Cosine to the group", NOT_MEASURED),
        Line("Norm", NO_REFERENCE if last is None else f"{report.update_norm / last:.1f}x your last"),
    )


def _measured(value: float | None) -> str:
    return NO_REFERENCE if value is None else f"{value:.{DIGITS}f}"


def _numbers(entry: Entry) -> tuple[tuple[str, str], ...]:
    rows = [("update", entry.sha256), ("round", str(entry.update.round))]
    for name, part in sorted(entry.update.parts.items()):
        rows += [(f"{name}, bytes", f"{part.size:,}"), (f"{name}, sha256", part.sha256)]
    return (*rows, *scalars(entry.update.report))


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
