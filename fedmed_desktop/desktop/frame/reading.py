# SPDX-License-Identifier: Apache-2.0
"""Wishes to a model on this computer, beside any federation: to read a note, to be evaluated, fitted, exported."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot

from ...demo.settings import DemoOptions
from ...errors import UserFacingError
from ...wording import told, tr
from ..notes.files import Wish
from ..rounds.fitting import fitting_for
from ..trial.choices import BASE, TrialWish, evaluation_for, in_plain_words, request_for
from ..trial.export import Merge, export_adapter
from ..work.desk import Desk
from ..work.engine import Engine
from ..work.tasks import run_task
from .window import Window

if TYPE_CHECKING:
    from ..notes.page import NotesPage
    from ..trial.page import TrialPage


class Reading(QObject):
    """Turns the pages' wishes into the engine's commands. `failed` is told why an evaluation cannot begin."""

    def __init__(self, window: Window, engine: Engine, desk: Desk, failed: Callable[[UserFacingError], None]) -> None:
        super().__init__(window)
        self._engine, self._desk, self._failed, self._window = engine, desk, failed, window
        self.merge: Merge | None = None
        window.pages.trial.then(self._connect_trial)
        window.pages.notes.then(self._connect_notes)
        window.rounds.session.fitting.wanted.connect(self._fit)
        window.rounds.session.fitting.stop_wanted.connect(engine.stop_fitting)

    def _connect_trial(self, page: TrialPage) -> None:
        page.read_requested.connect(self._read)
        page.stop_requested.connect(self._engine.stop_reading)
        page.head.save.export_wanted.connect(self._export)

    def _connect_notes(self, page: NotesPage) -> None:
        page.evaluation_requested.connect(self._evaluate)
        page.evaluation.stop_wanted.connect(self._engine.stop_evaluating)

    @Slot(object)
    def _read(self, wish: TrialWish) -> None:
        try:
            model, engine = DemoOptions().model, self._engine
            engine.read_note(request_for(wish, self._desk, model, engine.blob, engine.own()))
        except UserFacingError as error:  # the chosen adapter is no longer here; the left side is hardly ever one
            self._engine.failed_to_read(wish.sides, error)

    @Slot(str, bool)
    def _export(self, folder: str, is_merged: bool) -> None:
        """The adapter that the note was read with: the right side's, where that has one."""
        page, save = self._window.trial, self._window.trial.head.save
        chosen = next((choice for choice in page.read_with() if choice.key != BASE), None)
        merge = self.merge if is_merged else None
        if chosen is None or (is_merged and merge is None):
            return
        model = page.model.model if self._desk.session is None else None
        try:
            wish = TrialWish("", (), None, chosen.key, model)
            found = request_for(wish, self._desk, DemoOptions().model, self._engine.blob, self._engine.own())
        except UserFacingError as error:
            self._not_exported(error)
            return
        if (files := found.sides["right"]) is not None:
            work = partial(export_adapter, files, found.model, chosen.label, Path(folder), merge)
            save.saved_as.emit(tr("Saving…"), "info")
            run_task(self, work, self._exported, self._not_exported)

    def _exported(self, folder: Path) -> None:
        words = tr("Saved as {path}. It learned from patients' notes: keep it where such a model may be.")
        self._window.trial.head.save.saved_as.emit(words.format(path=folder), "ok")

    def _not_exported(self, error: BaseException) -> None:
        if not isinstance(error, UserFacingError):
            raise error
        self._window.trial.head.save.saved_as.emit(told(in_plain_words(error)), "bad")

    @Slot(object)
    def _evaluate(self, wish: Wish) -> None:
        """The notes that are shown, with the federation's adapter where there is one."""
        notes, types_map = Path(wish.notes), Path(wish.types_map) if wish.types_map else None
        try:
            held = self._engine.blob, self._engine.own()
            self._engine.evaluate(evaluation_for(notes, types_map, self._desk, DemoOptions().model, *held))
        except UserFacingError as error:
            self._failed(error)

    @Slot()
    def _fit(self) -> None:
        """The common model, to this site's own notes."""
        if wanted := fitting_for(self._desk):
            self._engine.fit(wanted)
