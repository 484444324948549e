# SPDX-License-Identifier: Apache-2.0
"""Sentences about checked notes: the verdict and its points, and names of what looks like an identifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from .figures import written
from .translation import later, together, tr

if TYPE_CHECKING:
    from ..clinical.checking import IdentifierKind, NotesCheck, Place, Point

_SHOWN: Final = 5  # places of each kind

SENTENCES: Final = {
    "clinical.split_there": "The folder {name} already has a {file}. Choose an empty folder for the notes.",
    "notes_check.alike": "Nearly identical notes: {count}, in {groups} groups. They count more than once in "
    "training; keep each group in one split.",
    "notes_check.alike_across": "Groups of nearly identical notes that are in more than one split: {count}. A model "
    "is then tested on what it was trained on, and its scores look too good. Move each group into one split.",
    "notes_check.cut": "Notes with a part that is too long for {most} tokens and is left out: {count}. Ask the host "
    "for a larger max_tokens, or shorten the longest mentions.",
    "notes_check.files_not_read": "Files in the folder that are not read as notes: {count} ({names}). If they are "
    "notes, put them into a format that is read, or into a separate folder.",
    "notes_check.identifiers": "Notes with something that looks like an identifier of a patient: {count}. Look at "
    "the rows listed here, and remove what does not belong there.",
    "notes_check.no_notes": "There are no notes that can be used.",
    "notes_check.no_split": "The notes are not split into train, validation and test. A split that keeps patients, "
    "documents and near-duplicates together is proposed; --split-into FOLDER writes it.",
    "notes_check.no_task": "The notes have labels for none of the tasks of {name}: {tasks}. Annotate them, or check "
    "that the labels are where the program looks for them.",
    "notes_check.one_group": "All notes belong together, so they cannot be split into train and validation. Add notes "
    "of other patients or documents.",
    "notes_check.refused": "Rows that cannot be used: {count}. Correct or remove them; training stops at the first.",
    "notes_check.split_missing": "There are no {split} notes. Add some; or remove the split from all notes, and a "
    "new one is proposed.",
    "notes_check.task_missing": "The notes have no labels for the task {task}. This site takes part without it.",
    "notes_check.types_missing": "Types of the federation that the notes do not annotate: {types}. This site is "
    "neither trained nor scored on them.",
    "notes_check.unlabelled": "Notes without any label: {count}. A task learns from them only if they were annotated "
    "for it and nothing was found.",
}

_KINDS: Final[Mapping[IdentifierKind, str]] = {
    "phone": later("phone numbers"),
    "record_number": later("record numbers"),
    "email": later("e-mail addresses"),
    "social_security": later("social security numbers"),
    "birth_date": later("dates of birth"),
    "name_header": later("names in headers"),
    "address": later("addresses"),
    "postcode": later("postcodes"),
}


def identifier_name(kind: IdentifierKind) -> str:
    """The plural of a kind, in the reader's language."""
    return tr(_KINDS[kind])


def verdict(check: NotesCheck) -> str:
    """The check in one sentence."""
    if not check.usable:
        return tr("These notes cannot be used yet.")
    if check.points:
        return tr("These notes can be used. Look at the points below first.")
    return tr("These notes can be used as they are.")


def amount(check: NotesCheck) -> str:
    """Says how many notes of which format, and how many rows are none."""
    formats = ", ".join(check.formats)
    usable = tr("%n note(s), {format}.", "", check.notes) if formats else tr("%n note(s).", "", check.notes)
    unusable = tr("%n row(s) cannot be used.", "", check.refused) if check.refused else ""
    return together(usable.format(format=formats), unusable)


def where(places: Sequence[Place], rows: int = 1) -> str:
    """Says where something is: some places by file and row, and how many more there are."""
    shown = [
        place.file if place.row is None else tr("{file}, row {row}").format(file=place.file, row=written(place.row))
        for place in places[:_SHOWN]
    ]
    if rows > len(shown):
        shown.append(tr("and {n} more").format(n=written(rows - len(shown))))
    return "; ".join(shown)


def point_line(point: Point) -> str:
    """The sentence of one point."""
    from . import sentence, task_name

    named = {"task": task_name(point.params["task"])} if point.code == "notes_check.task_missing" else {}  # type: ignore[arg-type]
    return sentence(point.code, {**point.params, **named})
