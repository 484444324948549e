# SPDX-License-Identifier: Apache-2.0
"""The first notes of a file or folder, for weighing updates: the coordinator's own, or public ones for all sites."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserFacingError
from ..federation.spec import SharedNote, shared_note

# The readers of notes are loaded by who reads some: a coordinator seldom does, and is small without them.
if TYPE_CHECKING:
    from ..clinical import Note


def public_notes(path: Path, types: tuple[str, ...], most: int) -> tuple[SharedNote, ...]:
    """The first `most` notes in the federation's types, or their texts alone where there are no types.

    Raises UserFacingError.
    """
    if not types:
        return tuple(SharedNote(text=note.text) for note in plain(path, most))
    return tuple(shared_note(note) for note in typed(path, types, most)[0])


def typed(
    path: Path, types: Collection[str], most: int, modifiers: Collection[str] = ()
) -> tuple[list[Note], tuple[str, ...]]:
    """The first `most` notes in these types, and those of the types that they annotate. Raises UserFacingError.

    `path`: a file of notes, or a folder with validation notes; `types.toml` beside them maps their types and relations.
    """
    from ..clinical import Unread, apply_types, read_notes, read_relations_map, read_types_map

    file = _file(path)
    unread = Unread()
    notes = read_notes(file, unread)[:most]
    map_file = file.parent / "types.toml"
    types_map = read_types_map(map_file) if map_file.exists() else None
    relations_map = read_relations_map(map_file) if map_file.exists() and modifiers else None
    found, report = apply_types(notes, types, types_map, modifiers, relations_map)
    if not report.entities:
        keys = ", ".join(unread.keys) or "none"
        raise UserFacingError("training.no_entities", notes=len(notes), split="first", unread=keys)
    return found, tuple(report.annotated_types)


def plain(path: Path, most: int) -> list[Note]:
    """The first `most` notes as texts, for federations that learn from the text itself."""
    from ..clinical import read_notes

    return read_notes(_file(path))[:most]


def _file(path: Path) -> Path:
    from ..clinical.reader import split_path

    if not path.is_dir():
        return path
    return split_path(path, "validation") or path / "validation.jsonl"
