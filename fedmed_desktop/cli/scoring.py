# SPDX-License-Identifier: Apache-2.0
"""Notes for weighing updates: the coordinator's own (`--score-with`), or public ones (`--shared-notes`)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserFacingError

# The readers of notes are loaded by who reads some: a coordinator seldom does, and is small without them.
if TYPE_CHECKING:
    from ..clinical import Note
    from ..federation import FederationSpec, Scorer

# How many notes Fed-MedLoRA+ weighs by (arXiv 2601.22124).
DEFAULT_NOTES = 5


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


def make_scorer(spec: FederationSpec, model: str, notes: Path, most: int) -> Scorer:
    """The scorer of `--coordinator --score-with`; torch is loaded here. Raises UserFacingError."""
    from ..lora.base_model import file_state, fingerprint
    from ..training.model_folder import resolve_model

    folder = resolve_model(model)
    state = file_state(folder)
    if (found := fingerprint(folder)) != spec.base.fingerprint:
        raise UserFacingError("coordinator.other_base", found=found[:12], expected=spec.base.fingerprint[:12])
    chosen, types = typed(notes, spec.types, most, spec.modifiers) if spec.types else (plain(notes, most), ())
    from ..training.loading import LoadedBase
    from ..training.scoring import SharedNotesScorer, asked_for
    from ..training.site_tasks import site_tasks

    chosen = asked_for(chosen, types, spec.modifiers)
    settings, tasks = spec.training, site_tasks(spec, chosen, types)
    if spec.types and not tasks:
        raise UserFacingError("training.no_notes", split="first")
    return SharedNotesScorer(
        LoadedBase(folder, state=state), chosen, tasks, settings.max_tokens, settings.loss_on, spec.prompt
    )
