# SPDX-License-Identifier: Apache-2.0
"""Wishes to a model on this computer, beside any federation: to read a note, or to be evaluated on notes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Slot

from ...demo.settings import DemoOptions
from ...errors import UserFacingError
from ..notes.files import Wish
from ..trial.choices import TrialWish, evaluation_for, request_for
from ..work.desk import Desk
from ..work.engine import Engine
from .window import Window


class Reading(QObject):
    """From the pages' wishes to the engine's commands. `failed` is told why an evaluation cannot begin."""

    def __init__(self, window: Window, engine: Engine, desk: Desk, failed: Callable[[UserFacingError], None]) -> None:
        super().__init__(window)
        self._engine, self._desk, self._failed = engine, desk, failed
        window.trial.read_requested.connect(self._read)
        window.trial.stop_requested.connect(engine.stop_reading)
        window.notes.evaluation_requested.connect(self._evaluate)
        window.notes.evaluation.stop_wanted.connect(engine.stop_evaluating)

    @Slot(object)
    def _read(self, wish: TrialWish) -> None:
        try:
            model, engine = DemoOptions().model, self._engine
            engine.read_note(request_for(wish, self._desk, model, engine.blob, engine.own()))
        except UserFacingError as error:  # the chosen adapter is no longer here; the left side is hardly ever one
            self._engine.failed_to_read(wish.sides, error)

    @Slot(object)
    def _evaluate(self, wish: Wish) -> None:
        """The notes that are shown, with the federation's adapter where there is one."""
        notes, types_map = Path(wish.notes), Path(wish.types_map) if wish.types_map else None
        try:
            held = self._engine.blob, self._engine.own()
            self._engine.evaluate(evaluation_for(notes, types_map, self._desk, DemoOptions().model, *held))
        except UserFacingError as error:
            self._failed(error)
