# SPDX-License-Identifier: Apache-2.0
"""Preparation of a trainer from a model folder and a notes folder, on the working thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from ..clinical import (
    Note,
    NotesReport,
    RelationRule,
    SiteNotes,
    apply_types,
    read_relations_map,
    read_types_map,
)
from ..errors import UserFacingError
from ..events import Prepared
from ..federation import FederationSpec
from ..federation.probes import Probing
from ..federation.work import Emit
from .loading import LoadedBase
from .scoring import without_entities
from .site_tasks import all_tasks
from .trainer import SiteTrainer

_NAMED: Final = 10  # files that nothing reads

__all__ = ["LoadedBase", "site_relations_map", "site_types_map", "trainer_factory", "typed_notes"]


def typed_notes(
    spec: FederationSpec,
    notes: SiteNotes,
    types_map: dict[str, str] | None,
    relations_map: Mapping[str, RelationRule] | None = None,
) -> tuple[SiteNotes, NotesReport]:
    """The site's notes in the federation's types (without types, without entities), and the training report.

    A site without a single entity may take part for the federation's other tasks, if its notes have labels of them.
    Modifiers and their links stay where the federation learns relations, those that the training notes annotate.
    """
    if not spec.types or _labelled_otherwise(spec, notes.train):
        splits = [without_entities(split) for split in (notes.train, notes.validation, notes.test or ())]
        return SiteNotes(splits[0], splits[1], splits[2] or None), NotesReport(notes=len(notes.train), entities={})

    train, report = apply_types(notes.train, spec.types, types_map, spec.modifiers, relations_map)
    # What training notes annotate, the others do too, also where none of them happens to hold an entity of it.
    known = {name: name for name in report.annotated_types} | (types_map or {})

    def check(found: NotesReport, split: str) -> None:
        if not found.entities:  # they would teach, or seem to show, that there is nothing to find
            unread = ", ".join(notes.unread) or "none"
            raise UserFacingError("training.no_entities", split=split, notes=found.notes, unread=unread)

    def typed(split: list[Note], name: str) -> list[Note]:
        found, of_split = apply_types(split, spec.types, known, report.annotated_modifiers, relations_map)
        check(of_split, name)
        return found

    check(report, "training")
    validation = typed(notes.validation, "validation")
    return SiteNotes(train, validation, typed(notes.test, "test") if notes.test else None), report


def _labelled_otherwise(spec: FederationSpec, notes: list[Note]) -> bool:
    others = [task for task in all_tasks(spec) if task.name not in ("entities", "relations")]
    return not any(note.entities for note in notes) and any(task.taught_by(notes) for task in others)


def site_types_map(folder: Path, types_file: Path | None = None) -> dict[str, str] | None:
    """The map of the named types file, or of `types.toml` beside the notes if there is one. Raises UserFacingError."""
    if types_file is not None:
        return read_types_map(types_file)
    path = folder / "types.toml"
    return read_types_map(path) if path.exists() else None


def site_relations_map(folder: Path, types_file: Path | None = None) -> dict[str, RelationRule] | None:
    """The relations' rules in the same file; None where there are none. Raises UserFacingError."""
    path = types_file or folder / "types.toml"
    return read_relations_map(path) if path.exists() else None


def trainer_factory(
    base: LoadedBase,
    site: str,
    notes: SiteNotes,
    folder: Path,
    emit: Emit = lambda event: None,
    types_file: Path | None = None,
    probing: Callable[[], Probing] | None = None,
) -> Callable[[FederationSpec], SiteTrainer]:
    """Makes the site's trainer for a specification; raises UserFacingError. `types_file` replaces types.toml.

    `probing`: how it looks for what an update may reveal; without it, it does not.
    """

    def make(spec: FederationSpec) -> SiteTrainer:
        types_map = None if not spec.types else site_types_map(folder, types_file)
        relations_map = site_relations_map(folder, types_file) if spec.modifiers else None
        typed, report = typed_notes(spec, notes, types_map, relations_map)
        loaded = base.get()
        emit(
            Prepared(
                site=site,
                notes=report.notes,
                entities=report.entities,
                ignored=report.unmapped,
                unread=dict(notes.unread),
                unread_files=notes.unread_files[:_NAMED],
                files_unread=len(notes.unread_files),
                dropped=report.discontinuous_dropped + report.nested_dropped + report.repeated_dropped,
                relations=report.relations,
                relations_dropped=report.relations_dropped,
                device=loaded.device.reason,
                threads=loaded.threads,
            )
        )
        modifiers = report.annotated_modifiers
        return SiteTrainer.for_spec(spec, loaded, site, typed, report.annotated_types, modifiers, probing)

    return make
