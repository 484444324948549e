# SPDX-License-Identifier: Apache-2.0
"""Values that are shown of a check of notes: the verdict first, then numbers, then rows to look at. No Qt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from ...clinical.checking import NotesCheck, Spread
from ...clinical.readers import REFUSALS, Remark
from ...scores import TASKS
from ...wording import task_name, tr, written
from ...wording.notes_check import amount, identifier_name, point_line, verdict, where
from ...wording.remarks import remark_sentence

Tone = Literal["ok", "warn", "bad", "dim"]

_MOST_BARS: Final = 12
_MOST_ROWS: Final = 8  # of unusable rows; --check-notes --json names more


@dataclass(frozen=True)
class Told:
    """A sentence with its tone, and where it holds."""

    sentence: str
    where: str = ""
    tone: Tone = "dim"


@dataclass(frozen=True)
class Bar:
    """A name, a number and its share of the largest."""

    name: str
    text: str
    share: float


@dataclass(frozen=True)
class Split:
    """The split that is proposed, in a sentence, and its numbers."""

    sentence: str
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class NotesView:
    """Empty parts are not shown."""

    verdict: str
    tone: Tone
    amount: str
    points: tuple[Told, ...]
    facts: tuple[tuple[str, str], ...]
    unusable: tuple[Told, ...]
    seen: tuple[Told, ...]
    identifiers: tuple[Told, ...]
    alike: tuple[Told, ...]
    labels: tuple[tuple[str, tuple[Bar, ...]], ...]
    length_of: str
    lengths: tuple[Bar, ...]
    fitting: tuple[Told, ...]
    columns: tuple[tuple[str, str], ...]
    split: Split | None


def view_of(check: NotesCheck) -> NotesView:
    tone: Tone = "bad" if not check.usable else "warn" if check.points else "ok"
    return NotesView(
        verdict=verdict(check),
        tone=tone,
        amount=amount(check),
        points=tuple(_points(check)),
        facts=tuple(_facts(check)),
        unusable=tuple(_unusable(check)),
        seen=tuple(_seen(check)),
        identifiers=tuple(
            Told(f"{identifier_name(one.kind)}: {_notes(one.notes)}", where(one.places, one.notes), "warn")
            for one in check.identifiers
        ),
        alike=tuple(Told(" = ".join(where([place]) for place in pair)) for pair in check.alike.pairs[:_MOST_ROWS]),
        labels=tuple(_labels(check)),
        length_of=tr("Notes by number of tokens, the pieces of words that a model reads")
        if check.fitting
        else tr("Notes by number of characters"),
        lengths=_spread_bars(check.fitting.tokens if check.fitting else check.characters),
        fitting=tuple(_fitting(check)),
        columns=tuple((use.column, use.became or tr("not read")) for use in check.columns),
        split=_split(check),
    )


def _notes(count: int) -> str:
    return tr("%n note(s)", "", count)


def _points(check: NotesCheck) -> Iterator[Told]:
    for point in check.points:
        if point.code == "notes_check.no_split":  # the command line's sentence names its own option
            sentence = tr("The notes are not split into train, validation and test. A split is proposed below.")
        else:
            sentence = point_line(point)
        yield Told(sentence, tone="bad" if point.level == "wrong" else "warn")


def _facts(check: NotesCheck) -> Iterator[tuple[str, str]]:
    labels = check.labels
    for split, count in check.splits.items():
        yield (
            {"train": tr("To train on"), "validation": tr("To score rounds with"), "test": tr("To test with")}[split],
            written(count),
        )
    worth = check.federation
    for task in TASKS:
        if worth and task in worth.tasks:
            yield tr("{task}, for the federation").format(task=task_name(task)), _notes(worth.tasks[task])
        elif count := labels.notes.get(task, 0):
            yield task_name(task), _notes(count)
    if labels.unlabelled:
        yield tr("Without labels"), _notes(labels.unlabelled)
    if labels.codes_in_all:
        yield tr("Codes / different codes"), f"{written(labels.codes_in_all)} / {written(labels.different_codes)}"
    if labels.patients:
        yield tr("Patients"), written(labels.patients)
    if check.passed_over:
        yield tr("Left out, as marked by the annotators"), written(check.passed_over)
    yield tr("Characters per note: half have up to / nine in ten up to"), _middle(check.characters)
    if labels.mentions.total:
        yield tr("Mentions per note: half have up to / nine in ten up to"), _middle(labels.mentions)
    if worth and worth.types:
        for local, count in worth.types.unmapped.items():
            yield tr("{type}, not part of the federation").format(type=local), written(count)


def _middle(spread: Spread) -> str:
    return f"{written(spread.median)} / {written(spread.ninety)}"


def _unusable(check: NotesCheck) -> Iterator[Told]:
    left = check.refused
    shown = 0
    for one in check.remarks:
        for place in one.places if one.code in REFUSALS else ():
            if shown == _MOST_ROWS:
                break
            yield Told(remark_sentence(Remark(one.code, place.what)), where([place]), "bad")
            shown += 1
    if left > shown:
        yield Told(tr("And %n more row(s).", "", left - shown))


def _seen(check: NotesCheck) -> Iterator[Told]:
    for one in check.remarks:
        if one.code not in REFUSALS:
            remark = Remark(one.code, one.what or one.places[0].what, one.count)
            yield Told(remark_sentence(remark), where(one.places, one.rows))


def _labels(check: NotesCheck) -> Iterator[tuple[str, tuple[Bar, ...]]]:
    labels = check.labels
    for title, counts in (
        (tr("Entities by type"), labels.entities),
        (tr("Modifiers and relations by type"), labels.relations),
        (tr("Most frequent codes"), labels.codes),
        (tr("Specialties"), labels.specialties),
    ):
        if counts:
            yield title, _bars(counts)


def _bars(counts: Mapping[str, int]) -> tuple[Bar, ...]:
    most = max(counts.values())
    listed = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:_MOST_BARS]
    return tuple(Bar(name, written(count), count / most) for name, count in listed)


def _spread_bars(spread: Spread) -> tuple[Bar, ...]:
    most = max((count for *_, count in spread.bars), default=0)
    return tuple(
        Bar(written(low) if low == high else _range(low, high), written(count), count / most)
        for low, high, count in spread.bars
    )  # fmt: skip


def _range(low: int, high: int) -> str:
    return tr("{low} to {high}").format(low=written(low), high=written(high))


def _fitting(check: NotesCheck) -> Iterator[Told]:
    fit = check.fitting
    if fit is None:
        return
    yield Told(tr("%n note(s) are read whole.", "", fit.whole), tone="ok")
    if fit.windowed:
        said = tr("%n note(s) are read in parts that overlap, {windows} in all; nothing is left out.", "", fit.windowed)
        yield Told(said.format(windows=written(fit.windows - fit.whole)), tone="ok")
    if fit.cut:
        cut = tr("%n note(s) stay too long for {most} tokens in some part.", "", fit.cut)
        yield Told(cut.format(most=written(fit.max_tokens)), where(fit.cut_places, fit.cut), "warn")


def _split(check: NotesCheck) -> Split | None:
    found = check.proposed
    if found is None or found.groups < 2:
        return None
    kept = {
        "patient": tr("Notes of one patient stay together."),
        "document": tr("Parts of one document stay together."),
        "note": tr("Notes that are nearly the same stay together."),
    }[found.by]
    sentence = tr("These notes have no split yet. {kept} Rows that cannot be used are left out.").format(kept=kept)
    parts = (
        (tr("To train on"), written(found.train)),
        (tr("To score rounds with"), written(found.validation)),
        (tr("To test with"), written(found.test)),
    )
    return Split(sentence, parts)
