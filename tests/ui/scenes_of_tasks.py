# SPDX-License-Identifier: Apache-2.0
"""Try it with other tasks than entities: modifiers, codes, a question, a summary. All answers are invented."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtWidgets import QDialog

from fedmed_desktop.clinical import Reading, Span, examples
from fedmed_desktop.clinical.modifiers import MODIFIERS
from fedmed_desktop.clinical.tasks import Link, Prediction
from fedmed_desktop.desktop.frame.window import Window
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import Answered, ReadingShown, Side
from fedmed_desktop.scores import TASKS, TaskName
from tests.ui.scenes import settle

Act = Callable[[Window, Desk], QDialog | None]
Known = tuple[Callable[[Path], Desk], Act | None]

NOTE = examples()[2].text
READ = Reading(len(NOTE), (), len(NOTE), 4, 5, 212, 4.6, 0.4, False, "finished")


def span(words: str, kind: str) -> Span:
    start = NOTE.index(words)
    return Span(start, start + len(words), kind)


def choose_task(window: Window, task: TaskName) -> None:
    note = window.trial.note
    note.set_text(NOTE)
    note.task.box.choose(task)
    note.task.box.chosen.emit()


def _answers(*told: Answered) -> Act:
    """The task is chosen and asked; then what each side answers."""

    def act(window: Window, desk: Desk) -> QDialog | None:
        choose_task(window, told[0].task)
        window.trial.beside.setChecked(True)
        window.trial.note.task.question.setText(QUESTION)
        window.trial.head.read.click()
        sides: tuple[Side, ...] = ("left", "right")
        for side, answered in zip(sides, told, strict=True):
            spans = {end for link in answered.prediction.links for end in link} or {span("lithium", "drug")}
            reading = replace(READ, spans=tuple(sorted(spans))) if answered.task == "relations" else READ
            desk.fold([ReadingShown(side, "done", reading, answered=answered)])
        return None

    return act


def _chooses_a_row(window: Window, desk: Desk) -> QDialog | None:
    """The second modifier is chosen in the table, and its line stands out in the text above."""
    _answers(*_MODIFIERS)(window, desk)
    window.trial.show_desk(desk)
    settle(window)
    right = window.trial.sides["right"]
    right.answer.links.setFocus()
    right.answer.links.selectRow(1)
    settle(window)
    window.trial.ensureWidgetVisible(right.answer.links)
    return None


def _asks_nothing(window: Window, desk: Desk) -> QDialog | None:
    """Another task is chosen, and asked without a question."""
    del desk
    choose_task(window, "questions")
    window.trial.head.read.click()
    return None


QUESTION = "Is the tremor an effect of a drug?"
SUMMARIES = (
    "The patient takes lithium.",
    "Tremor and confusion two weeks after a thiazide was added to lithium; lithium toxicity was confirmed.",
)
LINKS = (
    Link(span("lithium", "drug"), span("for many years", "duration")),
    Link(span("tremor", "problem"), span("two weeks after", "temporal")),
    Link(span("ataxia", "problem"), span("two weeks after", "temporal")),
    Link(span("Lithium toxicity", "problem"), span("confirmed", "uncertain")),
    Link(span("tremor remained", "problem"), span("mild", "severity")),
)
_MODIFIERS = (
    Answered("relations", Prediction(links=LINKS[:1])),
    Answered("relations", Prediction(links=LINKS)),
)
RANKED = (("T56.891A", 1.9), ("G25.1", 1.2), ("F31.9", 0.6), ("R41.0", -0.4), ("I10", -1.1))
NAMES = (
    "Toxic effect of other metals, accidental (unintentional), initial encounter",
    "Drug-induced tremor",
    "Bipolar disorder, unspecified",
    "Disorientation, unspecified",
    "Essential (primary) hypertension",
)
# As a person wrote it, or the model or the table of codes has it: no translator changes that.
GIVEN = (QUESTION, *SUMMARIES, *NAMES, "yes", "no", "maybe")


def of_other_tasks(joined: Callable[[Path], Desk]) -> dict[str, Known]:
    def idle(folder: Path) -> Desk:
        desk = joined(folder)
        assert desk.spec
        every = desk.spec.model_copy(update={"tasks": TASKS[:-1], "modifiers": tuple(sorted(MODIFIERS))})
        desk.record = replace(desk.record, spec=every)
        return desk

    other = Prediction(codes=(("G25.1", 1.5), ("T56.891A", 1.3), *RANKED[2:]), chosen=1)
    return {
        "modifiers": (idle, _answers(*_MODIFIERS)),
        "modifiers-chosen": (idle, _chooses_a_row),
        "codes": (
            idle,
            _answers(
                Answered("codes", other, (), (NAMES[1], NAMES[0], *NAMES[2:])),
                Answered("codes", Prediction(codes=RANKED, chosen=2), (), NAMES),
            ),
        ),
        "question": (
            idle,
            _answers(
                Answered("questions", Prediction(option=2), (-1.2, -1.1, -0.9)),
                Answered("questions", Prediction(option=0), (-0.2, -2.1, -1.6)),
            ),
        ),
        "summary": (
            idle,
            _answers(
                Answered("summaries", Prediction(text=SUMMARIES[0])),
                Answered("summaries", Prediction(text=SUMMARIES[1])),
            ),
        ),
        "asks-question": (idle, _asks_nothing),
    }
