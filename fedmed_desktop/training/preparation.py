# SPDX-License-Identifier: Apache-2.0
"""From a model folder and a notes folder to a trainer: one base per process, notes in the federation's types.

All of it runs on the working thread; the base is loaded at first need and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..clinical import Note, NotesReport, SiteNotes, apply_types, read_types_map
from ..errors import UserFacingError
from ..events import Prepared
from ..federation import FederationSpec
from ..federation.work import Emit
from ..lora.base_model import FileState, file_state
from .base import BaseModel
from .device import Quantization, choose_device
from .trainer import SiteTrainer


class LoadedBase:
    """A base model that is loaded when it is first asked for, then shared by all sites of the process.

    `state`: what the files must be when they are loaded; whoever took the model's fingerprint took it before.
    """

    def __init__(
        self,
        folder: Path,
        quantization: Quantization | None = None,
        threads: int | None = None,
        state: FileState | None = None,
    ) -> None:
        self.folder = folder
        self._quantization: Quantization | None = quantization
        self._threads = threads
        self._state = state
        self._base: BaseModel | None = None

    def get(self) -> BaseModel:
        """Raises UserFacingError where the model cannot be loaded, or is another by now. On the working thread."""
        if self._base is None:
            base = BaseModel.load(self.folder, choose_device(self._quantization), self._threads)
            if self._state is not None and file_state(self.folder) != self._state:
                raise UserFacingError("model.changed", path=str(self.folder))
            self._base = base
        return self._base

    def use_threads(self, threads: int) -> None:
        """How many the next job computes with, also where the model is loaded already."""
        self._threads = threads
        if self._base is not None:
            self._base.threads = threads


def typed_notes(
    spec: FederationSpec, notes: SiteNotes, types_map: dict[str, str] | None
) -> tuple[SiteNotes, NotesReport]:
    """The site's notes in the federation's types, and the report on its training notes."""

    train, report = apply_types(notes.train, spec.types, types_map)
    # What training notes annotate, the others do too, also where none of them happens to hold an entity of it.
    known = {name: name for name in report.annotated_types} | (types_map or {})

    def typed(split: list[Note]) -> list[Note]:
        return apply_types(split, spec.types, known)[0]

    return SiteNotes(train, typed(notes.validation), typed(notes.test) if notes.test else None), report


def site_types_map(folder: Path, types_file: Path | None = None) -> dict[str, str] | None:
    """The site's types file: the one named, which must be there, or `types.toml` beside its notes, if it has one.

    Raises UserFacingError where it cannot be read.
    """
    if types_file is not None:
        return read_types_map(types_file)
    path = folder / "types.toml"
    return read_types_map(path) if path.exists() else None


def trainer_factory(
    base: LoadedBase,
    site: str,
    notes: SiteNotes,
    folder: Path,
    emit: Emit = lambda event: None,
    types_file: Path | None = None,
) -> Callable[[FederationSpec], SiteTrainer]:
    """What the site agent calls once it knows the specification; raises UserFacingError (no known types).

    `types_file` replaces the `types.toml` in `folder`.
    """

    def make(spec: FederationSpec) -> SiteTrainer:
        typed, report = typed_notes(spec, notes, site_types_map(folder, types_file))
        loaded = base.get()
        emit(
            Prepared(
                site=site,
                notes=report.notes,
                entities=report.entities,
                ignored=report.unmapped,
                dropped=report.discontinuous_dropped + report.nested_dropped + report.repeated_dropped,
                device=loaded.device.reason,
                threads=loaded.threads,
            )
        )
        return SiteTrainer(loaded, site, typed, report.annotated_types, spec.answer_form, spec.share)

    return make
