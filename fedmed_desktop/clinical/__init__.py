# SPDX-License-Identifier: Apache-2.0
"""Clinical notes: reading them, a federation's entity types, prompts, answers and scores."""

from __future__ import annotations

from fedmed_desktop.clinical.notes import Entity, Note, Relation, Span
from fedmed_desktop.clinical.reader import SiteNotes, read_notes, read_notes_folder
from fedmed_desktop.clinical.types import NotesReport, apply_types, read_types_map

__all__ = [
    "Entity",
    "Note",
    "NotesReport",
    "Relation",
    "SiteNotes",
    "Span",
    "apply_types",
    "read_notes",
    "read_notes_folder",
    "read_types_map",
]
