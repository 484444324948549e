# SPDX-License-Identifier: Apache-2.0
"""Counts that grow note by note and stay small, whatever the number of notes."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final

from ...scores import TASKS, TaskName
from ..notes import Note
from ..readers.record import REFUSALS, REMARKS, Record, Remark, RemarkCode
from .identifiers import IDENTIFIERS, IdentifierKind, identifiers
from .values import SHOWN, Labels, Place, Remarked, Spread, Suspected

_LISTED: Final = 50  # of the codes and specialties, which may be many
_BY_NAME: Final[frozenset[RemarkCode]] = frozenset(
    {"key_not_read", "sheet_not_read", "taken_as_text", "annotation_not_read", "encoding_guessed"}
)
_NAMED: Final = 100

_Kind = tuple[RemarkCode, str]


class Numbers:
    """Numbers of notes, four bytes each."""

    def __init__(self) -> None:
        self._values = array("L")

    def add(self, value: int) -> None:
        self._values.append(value)

    def spread(self) -> Spread:
        if not self._values:
            return Spread()
        values = sorted(self._values)
        bars = Counter(value.bit_length() for value in values)
        return Spread(
            least=values[0],
            median=values[(len(values) - 1) // 2],
            ninety=values[(len(values) - 1) * 9 // 10],
            most=values[-1],
            total=sum(values),
            bars=tuple((2**bits // 2, max(2**bits - 1, 0), count) for bits, count in sorted(bars.items())),
        )


class LabelCounts:
    """Labels of the notes taken so far."""

    def __init__(self) -> None:
        self._tasks: Counter[TaskName] = Counter()
        self._entities: Counter[str] = Counter()
        self._relations: Counter[str] = Counter()
        self._codes: Counter[str] = Counter()
        self._specialties: Counter[str] = Counter()
        self._patients: set[int] = set()
        self._documents: set[int] = set()
        self._mentions = Numbers()
        self._unlabelled = 0

    def take(self, note: Note) -> None:
        found = labelled(note)
        self._tasks.update(found)
        self._unlabelled += not found
        self._entities.update(entity.type for entity in note.entities)
        self._relations.update(relation.type for relation in note.relations)
        self._codes.update(note.codes or ())
        self._mentions.add(len(note.entities))
        if note.specialty is not None:
            self._specialties[note.specialty] += 1
        for name, seen in ((note.patient, self._patients), (note.document, self._documents)):
            if name is not None:
                seen.add(hash(name))

    def labels(self) -> Labels:
        return Labels(
            notes={task: self._tasks[task] for task in TASKS if self._tasks[task]},
            unlabelled=self._unlabelled,
            entities=dict(self._entities.most_common()),
            relations=dict(self._relations.most_common()),
            codes=dict(self._codes.most_common(_LISTED)),
            codes_in_all=self._codes.total(),
            different_codes=len(self._codes),
            questions=self._tasks["questions"],
            summaries=self._tasks["summaries"],
            specialties=dict(self._specialties.most_common(_LISTED)),
            patients=len(self._patients),
            documents=len(self._documents),
            mentions=self._mentions.spread(),
        )


def labelled(note: Note) -> set[TaskName]:
    """The tasks that a note has labels for, by what it says or by what it holds."""
    if note.tasks is not None:
        return set(note.tasks)
    there: Mapping[TaskName, bool] = {
        "entities": bool(note.entities),
        "relations": bool(note.relations),
        "codes": note.codes is not None,
        "questions": note.answer is not None,
        "summaries": note.summary is not None,
    }
    return {task for task, has in there.items() if has}


class RemarkCounts:
    """Remarks of the readers so far; refusals first, then in the order of REMARKS."""

    def __init__(self) -> None:
        self._rows: Counter[_Kind] = Counter()
        self._counts: Counter[_Kind] = Counter()
        self._places: defaultdict[_Kind, list[Place]] = defaultdict(list)

    def take(self, record: Record) -> None:
        seen: dict[_Kind, str] = {}
        for remark in record.remarks:
            kind = self._kind(remark)
            self._counts[kind] += remark.count
            seen.setdefault(kind, remark.what)
        for kind, what in seen.items():
            self._rows[kind] += 1
            if len(places := self._places[kind]) < SHOWN:
                places.append(Place(file=shown_name(record.file), row=record.row, what=shown_name(what)))

    def _kind(self, remark: Remark) -> _Kind:
        """Kind of a remark: its code, with the name of what is told apart; of very many names the rest is one."""
        kind = (remark.code, shown_name(remark.what) if remark.code in _BY_NAME else "")
        return kind if kind in self._rows or len(self._rows) < _NAMED else (remark.code, "")

    def remarked(self) -> tuple[Remarked, ...]:
        order = {code: (code not in REFUSALS, at) for at, code in enumerate(REMARKS)}
        return tuple(
            Remarked(code=kind[0], what=kind[1], rows=rows, count=self._counts[kind], places=tuple(self._places[kind]))
            for kind, rows in sorted(self._rows.items(), key=lambda item: (order[item[0][0]], -item[1]))
        )


class IdentifierCounts:
    """Likely identifiers in the notes taken so far; `notes` have any."""

    def __init__(self) -> None:
        self.notes = 0
        self._notes: Counter[IdentifierKind] = Counter()
        self._counts: Counter[IdentifierKind] = Counter()
        self._places: defaultdict[IdentifierKind, list[Place]] = defaultdict(list)

    def take(self, note: Note, place: Place) -> None:
        found = identifiers("\n".join(text for text in (note.text, note.question, note.summary) if text))
        self.notes += bool(found)
        self._counts.update(found)
        for kind in found:
            self._notes[kind] += 1
            if len(places := self._places[kind]) < SHOWN:
                places.append(place)

    def suspected(self) -> tuple[Suspected, ...]:
        return tuple(
            Suspected(kind=kind, notes=self._notes[kind], count=self._counts[kind], places=tuple(self._places[kind]))
            for kind in IDENTIFIERS
            if self._notes[kind]
        )


def shown_name(name: str) -> str:
    """A name as it can be shown and written: those of files and keys need not be Unicode."""
    return name.encode("utf-8", "replace").decode("utf-8")
