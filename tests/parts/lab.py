# SPDX-License-Identifier: Apache-2.0
"""Experiments and notes for the lab's tests, made up."""

from __future__ import annotations

from typing import Any

from fedmed_desktop.clinical import Note
from fedmed_desktop.lab.corpora import LabNote, Split
from fedmed_desktop.lab.experiment import Experiment


def experiment(**changes: Any) -> Experiment:
    """A small one on the bundled notes, checked like one from a file."""
    usual: dict[str, Any] = {"name": "Test", "types": ["drug", "problem"], "methods": [{"method": {"name": "fedavg"}}]}
    return Experiment.model_validate(usual | changes)


def text_experiment(**changes: Any) -> Experiment:
    """One on notes with specialties and without entities."""
    usual: dict[str, Any] = {"task": "text", "types": [], "corpora": [{"name": "mtsamples"}]}
    return experiment(**usual | changes)


def lab_note(
    number: int,
    group: str | None = None,
    specialty: str | None = None,
    corpus: str = "mtsamples",
    split: Split | None = None,
    types: tuple[str, ...] = (),
    entities: tuple[dict[str, Any], ...] = (),
) -> LabNote:
    text = f"Note {number}: aspirin for pain."
    note = Note.model_validate({"id": f"n{number}", "text": text, "entities": entities, "specialty": specialty})
    return LabNote(note, corpus, group or f"g{number}", types, split, chapter=specialty)
