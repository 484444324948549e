# SPDX-License-Identifier: Apache-2.0
"""What goes on around the window: a computer that stays awake, staying in the tray, an earlier federation behind."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import cast

from PySide6.QtWidgets import QDialog

from fedmed_desktop import events
from fedmed_desktop.clinical import Reading, Span, examples
from fedmed_desktop.desktop.frame.questions import about_staying
from fedmed_desktop.desktop.frame.window import Window
from fedmed_desktop.desktop.monitor.comparing import EarlierDialog
from fedmed_desktop.desktop.monitor.earlier import EarlierRun
from fedmed_desktop.desktop.widgets.question import Question
from fedmed_desktop.desktop.work.curves import Curves
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import KeptAwake, ReadingShown, Side
from fedmed_desktop.site.earlier import Earlier
from tests.parts.scene import NOW, course, evaluated, phase, scores, steps
from tests.ui.scenes import Scene
from tests.ui.scenes_of_rounds import told, training

FOUND = (("lithium", "drug"), ("tremor", "problem"))


def _sleepy(folder: Path) -> Desk:
    desk = training(folder)
    desk.fold((KeptAwake("refused"),))
    return desk


def _asks_to_stay(window: Window, desk: Desk) -> QDialog:
    del desk
    question = Question(window, about_staying())
    question.open()
    return question


def _live(folder: Path) -> Desk:
    return told(phase("training"), *course())(folder)


def _worse(event: events.Event) -> events.Event:
    """The same course, a little less good."""
    if isinstance(event, events.TrainingStep):
        return event.model_copy(update={"loss": 1.15 * event.loss + 0.1})
    if isinstance(event, events.Evaluated):
        return event.model_copy(update={"loss": 1.15 * event.loss + 0.1, "scores": scores((0.52, 0.44, 0.38))})
    return event


def _compared(window: Window, desk: Desk) -> QDialog | None:
    del desk
    curves = Curves()
    curves.fold_many([_worse(event) for event in (*course(), *steps(3), evaluated(3, "after"))])
    comparing = window.monitor.comparing
    comparing.run = EarlierRun("Lakes federation 2025", curves, {1: 400, 2: 400, 3: 400})
    comparing.changed.emit()
    return None


def _asks_which(window: Window, desk: Desk) -> QDialog:
    del desk
    dialog = EarlierDialog(window)
    then = NOW - timedelta(days=200)
    dialog.show_found([Earlier(Path("lakes"), "Lakes federation 2025", 8, then)], None)
    dialog.open()
    return dialog


def _asks_blind(window: Window, desk: Desk) -> QDialog | None:
    """Both have read the note, and nobody knows which is which."""
    page, note = window.trial, examples()[2].text
    page.beside.setChecked(True)
    page.blind.wanted.setChecked(True)
    page.blind.toss = lambda: True
    page.note.set_text(note)
    page.read_note()
    lithium, tremor = (Span(at := note.index(word), at + len(word), kind) for word, kind in FOUND)
    for side, spans in (("right", (lithium,)), ("left", (lithium, tremor))):
        reading = Reading(len(note), spans, len(note), 1, 1, 86, 2.0, 0.4, state="finished")
        desk.fold([ReadingShown(cast(Side, side), "done", reading)])
    page.show_desk(desk)
    return None


def background() -> list[Scene]:
    return [
        Scene("trial", "blind", training, _asks_blind),
        Scene("rounds", "not-kept-awake", _sleepy),
        Scene("rounds", "asks-to-stay", training, _asks_to_stay),
        Scene("monitor", "compared", _live, _compared),
        Scene("monitor", "asks-earlier", _live, _asks_which),
    ]
