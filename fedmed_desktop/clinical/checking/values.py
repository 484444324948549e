# SPDX-License-Identifier: Apache-2.0
"""The outcome of a check of notes as one immutable object that can be written as JSON.

Notes are named by file and row. No field holds a note's words; names of types, codes, specialties and columns are the
annotators'.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from ...bounds import Count, PositiveInt
from ...scores import TaskName
from ..readers.record import RemarkCode
from ..types import NotesReport
from .identifiers import IdentifierKind

SHOWN: Final = 20
"""Places that are named of each kind of thing; the counts are of all."""

Split = Literal["train", "validation", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Place(Frozen):
    """Place of a note; `row` is None where the file is the note. `what` completes a remark's sentence."""

    file: str
    row: PositiveInt | None = None
    what: str = ""


class Spread(Frozen):
    """The spread of some numbers. `bars`: (least, most, how many) of each doubling: 1, 2 to 3, 4 to 7, ..."""

    least: Count = 0
    median: Count = 0
    ninety: Count = 0
    """Nine of ten are not larger."""
    most: Count = 0
    total: Count = 0
    bars: tuple[tuple[Count, Count, Count], ...] = ()


class Labels(Frozen):
    """Labels in all notes. `notes`: how many have labels of each task; `unlabelled`: those without any label.

    Of `codes` and `specialties` the most frequent are listed. `mentions`: entities in a note.
    """

    notes: dict[TaskName, Count] = {}
    unlabelled: Count = 0
    entities: dict[str, Count] = {}
    relations: dict[str, Count] = {}
    codes: dict[str, Count] = {}
    codes_in_all: Count = 0
    different_codes: Count = 0
    questions: Count = 0
    summaries: Count = 0
    specialties: dict[str, Count] = {}
    patients: Count = 0
    documents: Count = 0
    mentions: Spread = Spread()


class Remarked(Frozen):
    """One kind of remark of the readers: `rows` that have the remark, and how many times in all.

    `what` completes the sentence, where it is the same in all rows.
    """

    code: RemarkCode
    what: str = ""
    rows: PositiveInt
    count: PositiveInt
    places: tuple[Place, ...]


class Suspected(Frozen):
    """One kind of what looks like an identifier: in how many notes, how many times, and where."""

    kind: IdentifierKind
    notes: PositiveInt
    count: PositiveInt
    places: tuple[Place, ...]


class Alike(Frozen):
    """Near-duplicates: notes that have one, their groups, and how many groups are in more than one split."""

    notes: Count = 0
    groups: Count = 0
    largest: Count = 0
    across_splits: Count = 0
    pairs: tuple[tuple[Place, Place], ...] = ()


class Fitting(Frozen):
    """Notes at the base model's length: read whole, in windows, or in part, where even a window does not fit."""

    max_tokens: PositiveInt
    whole: Count = 0
    windowed: Count = 0
    windows: Count = 0
    cut: Count = 0
    cut_places: tuple[Place, ...] = ()
    tokens: Spread = Spread()


class ColumnUse(Frozen):
    """A column of a table and what it became; None: it is not read."""

    file: str
    column: str
    became: str | None


class ForFederation(Frozen):
    """Worth of the notes to one federation. `tasks`: notes with labels for each of its tasks.

    `types`: what the types map gives, None where the federation has no types or the notes none of them.
    `missing_types`: those of the federation that the notes do not annotate.
    """

    name: str
    tasks: dict[TaskName, Count]
    types: NotesReport | None = None
    missing_types: tuple[str, ...] = ()


class ProposedSplit(Frozen):
    """A split into train, validation and test by patients, documents or single notes, where the notes have none."""

    by: Literal["patient", "document", "note"]
    groups: Count
    train: Count
    validation: Count
    test: Count


class Point(Frozen):
    """One point of the verdict: a sentence's code and parameters. Notes with a "wrong" one cannot be used yet."""

    level: Literal["warning", "wrong"]
    code: str
    params: dict[str, str | int] = {}


class NotesCheck(Frozen):
    """Everything that the check of some notes found; the same object on the command line and in the desktop.

    `formats`: rows by format. `passed_over`: rows that are meant to be left out. `remarks` begin with the refusals.
    """

    format: Literal[1] = 1
    path: str
    files: Count
    formats: dict[str, Count]
    notes: Count
    refused: Count
    passed_over: Count = 0
    splits: dict[Split, Count] = {}
    characters: Spread
    labels: Labels
    alike: Alike
    remarks: tuple[Remarked, ...] = ()
    identifiers: tuple[Suspected, ...] = ()
    fitting: Fitting | None = None
    columns: tuple[ColumnUse, ...] = ()
    federation: ForFederation | None = None
    proposed: ProposedSplit | None = None
    points: tuple[Point, ...] = ()

    @property
    def usable(self) -> bool:
        """True if the notes can be trained on as they are."""
        return not any(point.level == "wrong" for point in self.points)
