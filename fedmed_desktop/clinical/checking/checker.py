# SPDX-License-Identifier: Apache-2.0
"""The check itself: every record is looked at once, and what is kept of it does not hold its text."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...errors import UserFacingError
from ...scores import TaskName
from ..duplicates import Runs, joined_by
from ..modifiers import RelationRule
from ..notes import Note
from ..prompts import AnswerForm
from ..readers import Record, Remark
from ..readers.cache import NotesCache
from ..tasks import Task, made_tasks
from ..types import NotesReport, TypesApplied
from .counting import IdentifierCounts, LabelCounts, Numbers, RemarkCounts, labelled, shown_name
from .fitting import DEFAULT_TOKENS, Fit, Tokens
from .points import points
from .sources import Source, sources, types_file
from .splitting import assigned, write_split
from .values import SHOWN, SPLITS, Alike, ColumnUse, Fitting, ForFederation, NotesCheck, Place, ProposedSplit, Split


class Wanted(Protocol):
    """Wishes of a federation for notes; its specification has them all."""

    @property
    def name(self) -> str: ...
    @property
    def tasks(self) -> tuple[TaskName, ...]: ...
    @property
    def types(self) -> tuple[str, ...]: ...
    @property
    def modifiers(self) -> tuple[str, ...]: ...
    @property
    def answer_form(self) -> AnswerForm: ...


@dataclass(frozen=True)
class Checked:
    """A check with the split of each note in the order in which notes are read: its own, or the proposed one."""

    check: NotesCheck
    splits: Sequence[Split]
    types_file: Path | None
    _sources: Sequence[Source]

    def write_split(self, folder: Path, cache: NotesCache | None = None) -> dict[Split, int]:
        """Writes the notes as a site's folder of JSON lines, with the types map that is beside them, and returns the
        numbers; see splitting.write_split."""
        records = (record for source in self._sources for record in source.records(cache))
        return write_split(records, self.splits, folder, self.types_file)


def check_notes(
    path: Path,
    *,
    wanted: Wanted | None = None,
    types_map: Mapping[str, str] | None = None,
    relations_map: Mapping[str, RelationRule] | None = None,
    tokens: Tokens | None = None,
    max_tokens: int = DEFAULT_TOKENS,
    cache: NotesCache | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> Checked:
    """Looks at all notes at a path, whatever is wrong with some. `tokens` counts those of the base model.

    Memory does not grow with the notes' text. `progress` is called with the number of rows so far. Raises
    UserFacingError where nothing can be read at all, and where the types map names a type that `wanted` does not have.
    """
    found = sources(path)
    worth = _Worth(wanted, types_map, relations_map) if wanted else None
    checker = _Checker(worth, Fit(tokens, max_tokens, _asked(wanted)) if tokens else None, max_tokens)
    formats: Counter[str] = Counter()
    for source in found.read:
        for record in source.records(cache):
            checker.take(record)
            formats[source.reader.name] += 1
            progress(formats.total())
    checker.pass_over(found.unread)
    columns = tuple(use for source in found.read for use in source.columns())
    return Checked(*checker.result(path.name, dict(formats), columns), types_file(path), found.read)


def _asked(wanted: Wanted | None) -> tuple[Task, ...]:
    return made_tasks(wanted.tasks, wanted.types, wanted.modifiers, wanted.answer_form) if wanted else ()


class _Checker:
    def __init__(self, worth: _Worth | None, fit: Fit | None, max_tokens: int) -> None:
        self._worth = worth
        self._fit = _Fits(fit, max_tokens) if fit else None
        self._labels, self._remarks, self._identifiers = LabelCounts(), RemarkCounts(), IdentifierCounts()
        self._characters, self._runs = Numbers(), Runs()
        self._refused = self._passed_over = 0
        self._files: dict[str, int] = {}
        # Of each note: its file, row (0: none), group and own split.
        self._file_of, self._rows, self._splits = array("L"), array("L"), bytearray()
        self._groups: list[str] = []
        self._labelled: list[frozenset[TaskName]] = []
        self._kinds: dict[frozenset[TaskName], frozenset[TaskName]] = {}  # few, each kept once

    def take(self, record: Record) -> None:
        self._files.setdefault(record.file, len(self._files))
        self._remarks.take(record)
        note = record.note
        if note is None:
            self._refused += record.refusal is not None
            self._passed_over += record.refusal is None
            return
        place = Place(file=shown_name(record.file), row=record.row)
        number = len(self._groups)
        self._file_of.append(self._files[record.file])
        self._rows.append(record.row or 0)
        self._splits.append(SPLITS.index(record.split) + 1 if record.split else 0)
        self._groups.append(_group(note, number))
        self._characters.add(len(note.text))
        self._runs.add(note.text)
        self._labels.take(note)
        self._identifiers.take(note, place)
        typed, tasks = self._worth.take(note) if self._worth else (note, frozenset(labelled(note)))
        self._labelled.append(self._kinds.setdefault(tasks, tasks))
        if self._fit:
            self._fit.take(typed, place)

    def pass_over(self, files: Sequence[str]) -> None:
        """Takes note of files that are not read."""
        for name in files:
            self._remarks.take(Record(name, None, None, (Remark("file_not_read"),)))

    def result(
        self, name: str, formats: dict[str, int], columns: tuple[ColumnUse, ...]
    ) -> tuple[NotesCheck, Sequence[Split]]:
        pairs = sorted(self._runs.near_duplicates())
        groups = joined_by(self._groups, pairs)
        own = Counter(SPLITS[one - 1] for one in self._splits if one)
        proposed = None
        if own:
            splits: list[Split] = [SPLITS[max(one - 1, 0)] for one in self._splits]
        else:
            splits = assigned(groups, self._labelled)
            proposed = self._proposed(splits, groups)
        check = NotesCheck(
            path=shown_name(name),
            files=len(self._files),
            formats=formats,
            notes=len(groups),
            refused=self._refused,
            passed_over=self._passed_over,
            splits={split: own[split] for split in SPLITS if own[split]},
            characters=self._characters.spread(),
            labels=self._labels.labels(),
            alike=self._alike(pairs),
            remarks=self._remarks.remarked(),
            identifiers=self._identifiers.suspected(),
            fitting=self._fit.fitting() if self._fit else None,
            columns=columns,
            federation=self._worth.result() if self._worth else None,
            proposed=proposed,
        )
        unknown = self._worth.unknown if self._worth else None
        return check.model_copy(update={"points": points(check, self._identifiers.notes, unknown)}), splits

    def _proposed(self, splits: Sequence[Split], groups: Sequence[str]) -> ProposedSplit | None:
        if not groups:
            return None
        counts = Counter(splits)
        kinds = {group[0] for group in self._groups}
        return ProposedSplit(
            by="patient" if "p" in kinds else "document" if "d" in kinds else "note",
            groups=len(set(groups)),
            train=counts["train"],
            validation=counts["validation"],
            test=counts["test"],
        )

    def _alike(self, pairs: Sequence[tuple[int, int]]) -> Alike:
        having = {place for pair in pairs for place in pair}
        names = joined_by([str(number) for number in range(len(self._groups))], pairs)
        sizes = Counter(names[place] for place in having)
        splits = {(names[place], self._splits[place]) for place in having if self._splits[place]}
        across = Counter(group for group, _ in splits)
        files = list(self._files)
        return Alike(
            notes=len(having),
            groups=len(sizes),
            largest=max(sizes.values(), default=0),
            across_splits=sum(1 for count in across.values() if count > 1),
            pairs=tuple((self._place(one, files), self._place(other, files)) for one, other in pairs[:SHOWN]),
        )

    def _place(self, number: int, files: Sequence[str]) -> Place:
        return Place(file=shown_name(files[self._file_of[number]]), row=self._rows[number] or None)


def _group(note: Note, number: int) -> str:
    """Name of what must not part: a patient's notes, else a document's, else the note alone."""
    if note.patient is not None:
        return f"p {note.patient}"
    if note.document is not None:
        return f"d {note.document}"
    return f"n {number} {note.id}"


class _Fits:
    def __init__(self, fit: Fit, max_tokens: int) -> None:
        self._fit, self._max = fit, max_tokens
        self._tokens = Numbers()
        self._whole = self._windowed = self._windows = self._cut = 0
        self._places: list[Place] = []

    def take(self, note: Note, place: Place) -> None:
        self._tokens.add(self._fit.length(note))
        windows, fits = self._fit.windows(note)
        self._windows += windows
        self._whole += windows == 1 and fits
        self._windowed += windows > 1 and fits
        self._cut += not fits
        if not fits and len(self._places) < SHOWN:
            self._places.append(place)

    def fitting(self) -> Fitting:
        return Fitting(
            max_tokens=self._max,
            whole=self._whole,
            windowed=self._windowed,
            windows=self._windows,
            cut=self._cut,
            cut_places=tuple(self._places),
            tokens=self._tokens.spread(),
        )


class _Worth:
    """Worth of the notes to a federation: its types and modifiers, and the labels for its tasks."""

    def __init__(
        self,
        wanted: Wanted,
        types_map: Mapping[str, str] | None,
        relations_map: Mapping[str, RelationRule] | None,
    ) -> None:
        self._wanted = wanted
        # Relations count only with links, so the maps say the same here as where the notes are trained on.
        self._applied = TypesApplied(wanted.types, types_map, wanted.modifiers, relations_map) if wanted.types else None
        self._tasks: Counter[TaskName] = Counter()
        self._report: NotesReport | None = None
        self.unknown: UserFacingError | None = None

    def take(self, note: Note) -> tuple[Note, frozenset[TaskName]]:
        """The note in the federation's types, and those of its tasks that it has labels for."""
        typed = (
            self._applied.typed(note) if self._applied else note.model_copy(update={"entities": (), "relations": ()})
        )
        there, types = labelled(note), self._wanted.types
        has: dict[TaskName, bool] = {
            "entities": any(one.type in types for one in typed.entities) or "entities" in (note.tasks or ()),
            "relations": bool(self._wanted.modifiers and typed.relations) or "relations" in (note.tasks or ()),
            "text": True,
        }
        found = frozenset(task for task in self._wanted.tasks if has.get(task, task in there))
        self._tasks.update(found)
        return typed, found

    def result(self) -> ForFederation:
        missing: tuple[str, ...] = ()
        if self._applied:
            try:
                self._report = self._applied.report()
            except UserFacingError as error:
                self.unknown = error
            annotated = self._report.annotated_types if self._report else ()
            missing = tuple(sorted(set(self._wanted.types) - set(annotated)))
        return ForFederation(
            name=self._wanted.name,
            tasks={task: self._tasks[task] for task in self._wanted.tasks},
            types=self._report,
            missing_types=missing,
        )
