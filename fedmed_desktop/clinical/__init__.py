# SPDX-License-Identifier: Apache-2.0
"""Clinical notes: reading them, a federation's entity types, prompts, answers and scores."""

from __future__ import annotations

from .answers import parse_answer
from .examples import Example, examples
from .histogram import histogram
from .modifiers import MODIFIERS, RelationRule, read_relations_map
from .notes import Entity, Note, Relation, Span
from .prompts import AnswerForm, build_answer, build_prompt, mention_starts
from .reader import SiteNotes, Unread, read_notes, read_notes_folder
from .reading import Reading, ReadingSettings
from .scoring import score
from .types import NotesReport, apply_types, read_types_map
from .windows import Window, merged, split_note

__all__ = [
    "MODIFIERS",
    "AnswerForm",
    "Entity",
    "Example",
    "Note",
    "NotesReport",
    "Reading",
    "ReadingSettings",
    "Relation",
    "RelationRule",
    "SiteNotes",
    "Span",
    "Unread",
    "Window",
    "apply_types",
    "build_answer",
    "build_prompt",
    "examples",
    "histogram",
    "mention_starts",
    "merged",
    "parse_answer",
    "read_notes",
    "read_notes_folder",
    "read_relations_map",
    "read_types_map",
    "score",
    "split_note",
]
