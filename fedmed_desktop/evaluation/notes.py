# SPDX-License-Identifier: Apache-2.0
"""Notes to evaluate on: a site's test notes, else its validation notes, else all there are, in a federation's types."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ..clinical import MODIFIERS, Note, Unread, apply_types, read_notes, read_relations_map, read_types_map
from ..clinical.reader import split_path
from ..federation import FederationSpec


class LabelledNotes(NamedTuple):
    """Notes with the types and modifiers that they annotate."""

    notes: list[Note]
    types: tuple[str, ...] = ()
    modifiers: tuple[str, ...] = ()


def labelled_notes(
    path: Path, spec: FederationSpec | None, types_file: Path | None, unread: Unread | None = None
) -> LabelledNotes:
    """The notes at a path, in the specification's types or, without one, in their own.

    `types_file`: the site's map, if it is not the types.toml beside them. `unread` takes what nothing reads.
    Raises UserFacingError.
    """
    splits = [found for split in ("test", "validation") if path.is_dir() and (found := split_path(path, split))]
    notes = read_notes(splits[0] if splits else path, unread)
    beside = (path if path.is_dir() else path.parent) / "types.toml"
    file = types_file or (beside if beside.exists() else None)
    types_map = read_types_map(file) if file else None
    if spec is not None:
        types, modifiers = spec.types, spec.modifiers
    else:
        own = set(types_map.values()) if types_map else {entity.type for note in notes for entity in note.entities}
        types, modifiers = tuple(sorted(own - MODIFIERS)), tuple(sorted(own & MODIFIERS))
    if not types:
        return LabelledNotes(notes)
    relations_map = read_relations_map(file) if file and modifiers else None
    typed, report = apply_types(notes, types, types_map, modifiers, relations_map)
    return LabelledNotes(typed, report.annotated_types, report.annotated_modifiers)
