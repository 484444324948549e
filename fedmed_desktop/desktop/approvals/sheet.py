# SPDX-License-Identifier: Apache-2.0
"""The sheet on an update, read before deciding: what leaves, what it is worth, how it differs, what it may reveal.
Everything is read off the outbox's entry: the very bytes and numbers that an approval would let out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from ...federation import Report
from ...federation.evidence import Evidence
from ...federation.work import Entry
from ...scores import Scores, TaskName
from ...wording import clock, later, together, tr, written
from ...wording.probes import Revealed, revealed, verdict
from ...wording.protection import protection
from ..work.desk import Desk
from ..work.judgement import DIGITS, ENOUGH_NOTES, Judgement, hundredths, judged, notes_of
from ..work.progress import duration
from ..work.scored import INDENT, Key, is_f1, parts, plain_name, value
from .card_row import Line, Word
from .drift import NO_REFERENCE, NOT_MEASURED, differs, semantic, unmeasured
from .leaving import alone, few, leaves, numbers, rounding, stays
from .leaving import part_name as name_of_part

# An update so many times as large as the site's last one must be acknowledged by itself; inferred.
NORM_FAR_OUT: Final = 3.0
SUM_MAY_REVEAL: Final = later(
    "What is measured here is your adapter by itself. The sum can still reveal something about the notes."
)
SCORES_REVEAL: Final = later("Counts and a loss over all these notes together. No adapter leaves.")

_ENVIRONMENTS: Final = {"test": later("Test"), "production": later("Production")}


@dataclass(frozen=True)
class Finding:
    """Something that must be acknowledged by itself before the update can be sent."""

    code: Literal["may_reveal", "norm_far_out", "scores_worse", "nothing_found"]
    sentence: str


@dataclass(frozen=True)
class Sheet:
    """One update as it is shown. `verdict` says what the numbers say; `numbers` is all that leaves, name by name;
    `worth_on` says what `worth` is, and of which notes.

    `stays`: what the method leaves here, "" where nothing. `unmeasured`: why a line of `differs` has no word.
    `details` are for specialists, who know what they mean. `reveals`: the verdict over what the probes have `revealed`.
    """

    sha256: str
    title: str
    verdict: Judgement
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
    revealed: tuple[Revealed, ...]
    numbers: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]

    @property
    def opening(self) -> tuple[str, str]:
        """The words that a person reads first, and their tone: of the scores and, where a probe is red, of that too."""
        if any(row.light == "red" for row in self.revealed):
            words = tr("{verdict}. It reveals something about your notes: consider keeping it")
            return words.format(verdict=self.verdict.words), "bad"
        return self.verdict.advice, self.verdict.tone

    @property
    def short_hash(self) -> str:
        return grouped(self.hash)


def sheet(entry: Entry, desk: Desk) -> Sheet:
    """The sheet of an entry of the desk's record."""
    report = entry.update.report
    last = last_norm(entry, desk)
    scored = report.kind == "evaluate"
    notes = scored_on(entry)
    address = desk.session.address if desk.session else tr("the coordinator")
    found = tr(SCORES_REVEAL) if scored else verdict(entry.evidence.probes)
    in_sum = tr(SUM_MAY_REVEAL) if entry.evidence.masked and not scored else ""
    reveals = together(alone(entry), found, in_sum, protection(entry.plan, report, entry.evidence))
    return Sheet(
        sha256=entry.sha256,
        title=title(entry),
        verdict=worth_verdict(entry, desk),
        destination=address,
        environment=tr(_ENVIRONMENTS[desk.spec.environment]) if desk.spec else "",
        hash=shown_hash(entry),
        leaves=leaves(entry, desk.spec, address),
        stays=together(stays(entry.plan), rounding(entry.plan)),
        worth_on=_worth_on(entry, notes, is_demo=desk.is_demo),
        worth=_worth(report, entry.evidence, is_certain=notes is not None and notes >= ENOUGH_NOTES),
        differs=differs(entry, desk.spec),
        unmeasured=unmeasured(entry, desk.spec),
        details=_details(entry, desk, last),
        reveals=together(reveals, few(report)),
        revealed=tuple(revealed(entry)),
        numbers=numbers(entry, desk.spec),
        findings=(*_revealing(entry), *_findings(report, entry.evidence, last, notes_of(desk))),
    )


def scored_on(entry: Entry) -> int | None:
    """Number of notes that its scores were measured on; None where it is not known."""
    report = entry.update.report
    return report.notes if report.kind == "evaluate" else entry.evidence.validation_notes


def worth_verdict(entry: Entry, desk: Desk) -> Judgement:
    """Judges by the site's own scores, which it has also where the federation does not share them."""
    return judged(entry.evidence.scores_before, entry.evidence.scores_after, scored_on(entry), notes_of(desk))


def title(entry: Entry) -> str:
    if entry.update.report.kind == "evaluate":
        return tr("Scores of the final adapter")
    return tr("Adapter for round {round}").format(round=entry.plan.round)


def shown_hash(entry: Entry) -> str:
    """The sha256 that a person compares: of the one blob that leaves; where it is not one, of the update."""
    parts = list(entry.update.parts.values())
    return parts[0].sha256 if len(parts) == 1 else entry.sha256


def grouped(sha256: str, digits: int = 16) -> str:
    """The first digits in groups of four: 16 are short enough to be read out on the telephone."""
    return " ".join(sha256[at : at + 4] for at in range(0, digits, 4))


def expiry(entry: Entry, desk: Desk, now: datetime) -> str:
    """Sentence on when the decision expires."""
    if entry.state not in ("pending", "approved"):
        return ""
    standing = desk.standing
    if standing is None or standing.closes is None or standing.round != entry.plan.round:
        return tr("Expires when the round closes")
    left = (standing.closes - now).total_seconds()
    if left <= 0:
        return tr("The round is closing")
    return tr("Expires {time}, {left} left").format(time=clock(standing.closes, now), left=duration(left))


def last_norm(entry: Entry, desk: Desk) -> float | None:
    """Norm of the site's update of the latest round before this one; None where there is none."""
    earlier = [
        other.update.report.update_norm
        for other in desk.record.entries
        if other.plan.round < entry.plan.round and other.update.report.kind == "train"
    ]
    return earlier[-1] if earlier and earlier[-1] > 0 else None


def _worth_on(entry: Entry, notes: int | None, *, is_demo: bool) -> str:
    """Sentence on the card's numbers: of how many notes they are, and whether these are enough to tell anything."""
    after = entry.evidence.scores_after
    if is_demo:
        on = tr("example notes") if notes is None else tr("%n example note(s)", "", notes)
    elif entry.update.report.kind == "evaluate":
        on = tr("notes never used for training")
        on = on if notes is None else tr("%n of your notes, never used for training", "", notes)
    else:
        on = tr("your notes kept aside") if notes is None else tr("%n of your notes, kept aside", "", notes)
    said = tr("Found correctly, of 100, on {notes}.") if is_f1(after) and after else tr("Points, of 100, on {notes}.")
    if not after:
        said = tr("Measured on {notes}.")
    few = tr("Too few to tell.") if notes is not None and notes < ENOUGH_NOTES else ""
    return together(said.format(notes=on), few)


def _worth(report: Report, evidence: Evidence, *, is_certain: bool) -> tuple[Line, ...]:
    """Scores come from the evidence, which has them also where the federation does not share them. On too few notes, or
    nobody knows how many, nothing is called better.
    """
    lines = _changes(report, evidence)
    return lines if is_certain else tuple(replace(line, word="") if line.word != "worse" else line for line in lines)


def _changes(report: Report, evidence: Evidence) -> tuple[Line, ...]:
    before, after = evidence.scores_before, evidence.scores_after
    lines = []
    if after != Scores():
        compare = before != Scores()
        several = len(after.scored) > 1
        if several:
            lines.append(_score(tr("All tasks"), before.headline if compare else None, after.headline))
        for task in after.scored:
            lines += _changes_of(task, before, after, several=several)
    else:
        lines.append(Line(tr("Scores"), tr(NOT_MEASURED)))
    if report.loss_after is None:
        return (*lines, Line(tr("Loss"), tr(NOT_MEASURED)))
    return (*lines, _loss(report.loss_before, report.loss_after))


def _changes_of(task: TaskName, before: Scores, after: Scores, *, several: bool) -> Iterator[Line]:
    """A task as a whole, then its types and means; among several tasks they stand below it, a little to the right."""
    whole = Key(task, "all")
    yield _score(plain_name(whole, several=several), value(before, whole), value(after, whole) or 0.0)
    for key in parts(task, after[task]):
        name = plain_name(key, several=several)
        yield _score(f"{INDENT}{name}" if several else name, value(before, key), value(after, key) or 0.0)


def _score(name: str, before: float | None, after: float) -> Line:
    """A score in [0, 1] as so many of 100, which is how it is compared."""
    now, then = hundredths(after), None if before is None else hundredths(before)
    shown = tr("{n} of 100").format(n=now)
    return Line(name, shown) if then is None else Line(name, shown, str(then), _word(now - then))


def _loss(before: float | None, after: float) -> Line:
    name, shown = tr("Loss (lower is better)"), written(after, f".{DIGITS}f")
    if before is None:
        return Line(name, shown)
    return Line(name, shown, written(before, f".{DIGITS}f"), _word(round(before, DIGITS) - round(after, DIGITS)))


def _word(gain: float) -> Word:
    return "same" if gain == 0 else "better" if gain > 0 else "worse"


def _details(entry: Entry, desk: Desk, last: float | None) -> tuple[Line, ...]:
    """Measures with their own names, and whole fingerprints."""
    update, evidence, lines = entry.update, entry.evidence, []
    if update.report.kind == "train":
        ranks = entry.plan.ranks.values()
        rank = f"{evidence.rank} ({min(ranks)}–{max(ranks)})" if ranks else f"{evidence.rank}"
        if desk.spec:
            rank += " · " + tr("%n matrices", "", len(desk.spec.base.modules))
        norm = tr(NO_REFERENCE)
        if last is not None:
            norm = tr("{times:.1f}x your last").format(times=update.report.update_norm / last)
        lines = [
            Line(tr("Model drift"), _measured(evidence.model_drift)),
            Line(tr("Performance drift"), _measured(evidence.performance_drift)),
            Line(tr("Semantic drift"), semantic(entry, desk.spec)),
            Line(tr("Norm"), norm),
            Line(tr("Rank"), rank),
        ]
    for name, part in sorted(update.parts.items()):
        label = "sha256" if len(update.parts) == 1 else tr("sha256 of {part}").format(part=name_of_part(name))
        lines.append(Line(label, grouped(part.sha256, 64)))
    return (*lines, Line(tr("sha256 of the update"), grouped(entry.sha256, 64)))


def _measured(value: float | None) -> str:
    return tr(NO_REFERENCE) if value is None else written(value, f".{DIGITS}f")


def _revealing(entry: Entry) -> Iterator[Finding]:
    """Each red light's sentence, in one finding."""
    if red := [row.sentence for row in revealed(entry) if row.light == "red"]:
        yield Finding("may_reveal", " ".join(red))


def _findings(report: Report, evidence: Evidence, last: float | None, on: str) -> list[Finding]:
    found = []
    if last is not None and report.update_norm > NORM_FAR_OUT * last:
        text = tr(
            "This update is {times:.1f} times as large as your last one. An error in the notes or a learning rate that "
            "is too high can cause this."
        )
        found.append(Finding("norm_far_out", text.format(times=report.update_norm / last)))
    before, after = evidence.scores_before, evidence.scores_after
    if nothing := [task for task in after.scored if round(after[task].headline, DIGITS) == 0]:
        found.append(Finding("nothing_found", _nothing(nothing, after, on)))
    if before != Scores() and after != Scores() and 0 < round(after.headline, DIGITS) < round(before.headline, DIGITS):
        text = tr("Training made it worse on {notes}: of 100 it found {before} correctly before, and {after} after.")
        if len(after.scored) > 1 or not is_f1(after):
            text = tr("Training made it worse on {notes}: it had {before} of 100 points before, and has {after} now.")
        text = text.format(before=hundredths(before.headline), after=hundredths(after.headline), notes=on)
        if len(after.scored) > 1:
            text = tr("Training made it worse on {notes}: {tasks}.").format(tasks=_fallen(before, after), notes=on)
        found.append(Finding("scores_worse", text))
    return found


def _nothing(tasks: list[TaskName], after: Scores, on: str) -> str:
    if len(after.scored) == 1:
        return tr("It finds nothing on {notes}, after training as well: sending it helps nobody.").format(notes=on)
    names = ", ".join(plain_name(Key(task, "all"), several=True) for task in tasks)
    text = tr("For some tasks it finds nothing on {notes}, after training as well: {tasks}.")
    return text.format(notes=on, tasks=names)


def _fallen(before: Scores, after: Scores) -> str:
    """ "Entities from 61 to 55 of 100, ...": each task that fell; a mean that falls has one at least."""
    each = tr("{task} from {before} to {after} of 100")
    told = [
        each.format(
            task=plain_name(Key(task, "all"), several=True),
            before=hundredths(before[task].headline),
            after=hundredths(after[task].headline),
        )
        for task in after.scored
        if hundredths(after[task].headline) < hundredths(before[task].headline)
    ]
    return ", ".join(told)
