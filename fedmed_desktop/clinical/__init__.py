# SPDX-License-Identifier: Apache-2.0
"""Clinical notes: reading them, a federation's entity types, prompts, answers and scores."""

from __future__ import annotations

from fedmed_desktop.clinical.answers import parse_answer
from fedmed_desktop.clinical.examples import Example, examples
from fedmed_desktop.clinical.histogram import histogram
from fedmed_desktop.clinical.notes import Entity, Note, Relation, Span
from fedmed_desktop.clinical.prompts import AnswerForm, Window, build_answer, build_prompt, split_note
from fedmed_desktop.clinical.reader import SiteNotes, read_notes, read_notes_folder
from fedmed_desktop.clinical.reading import Reading, ReadingSettings
from fedmed_desktop.clinical.scoring import score
from fedmed_desktop.clinical.types import NotesReport, apply_types, read_types_map

__all__ = [
    "AnswerForm",
    "Entity",
    "Example",
    "Note",
    "NotesReport",
    "Reading",
    "ReadingSettings",
    "Relation",
    "SiteNotes",
    "Span",
    "Window",
    "apply_types",
    "build_answer",
    "build_prompt",
    "examples",
    "histogram",
    "parse_answer",
    "read_notes",
    "read_notes_folder",
    "read_types_map",
    "score",
    "split_note",
]
