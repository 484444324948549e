# SPDX-License-Identifier: Apache-2.0
"""Try it with other tasks than entities: what is asked, what is answered, and a real model that answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from fedmed_desktop.clinical import Reading, Span
from fedmed_desktop.clinical.reading import ReadingSettings
from fedmed_desktop.clinical.tasks import Link, Prediction
from fedmed_desktop.demo import settings as demo
from fedmed_desktop.desktop.app import Workshop
from fedmed_desktop.desktop.trial.answers import answer_view
from fedmed_desktop.desktop.trial.choices import TrialWish, request_for
from fedmed_desktop.desktop.trial.page import TrialPage
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import Answered, Item, ReadingShown
from fedmed_desktop.federation import Control
from fedmed_desktop.scores import TaskName
from tests.parts.told import told_as

TEXT = "Given aspirin 100 mg daily for chest pain. No fever."


def ask(page: TrialPage, task: TaskName, question: str = "") -> list[TrialWish]:
    wishes: list[TrialWish] = []
    page.read_requested.connect(wishes.append)
    page.note.set_text(TEXT)
    page.note.task.box.choose(task)
    page.note.task.box.chosen.emit()
    page.note.task.question.setText(question)
    page.head.read.click()
    return wishes


@pytest.fixture
def page(qtbot: QtBot) -> TrialPage:
    made = TrialPage()
    qtbot.addWidget(made)
    made.resize(1100, 700)
    made.show()
    made.show_desk(Desk())
    return made


def test_that_entities_are_asked_for_unless_another_task_is_chosen(page: TrialPage) -> None:
    assert page.note.task.task == "entities" and page.note.types_line.isVisible()
    page.note.task.box.choose("codes")
    page.note.task.box.chosen.emit()
    assert not page.note.types_line.isVisible() and not page.note.task.question.isVisible()


def test_that_a_question_is_asked_with_its_answers(page: TrialPage) -> None:
    assert ask(page, "questions") == []
    assert "There is no question" in page.note.task.fault.text() and page.note.task.question.hasFocus()
    wish = ask(page, "questions", "Is there fever?")[-1]
    assert (wish.task, wish.question, wish.options) == ("questions", "Is there fever?", ("yes", "no", "maybe"))
    desk = Desk()
    answered = Answered("questions", Prediction(option=1), (-2.0, -0.1, -1.5))
    desk.fold([ReadingShown("right", "done", Reading(len(TEXT), state="finished"), answered=answered)])
    page.show_desk(desk)
    right = page.sides["right"]
    assert right.answer.sentence.text() == "Its answer: no" and not right.text.isVisible()
    assert right.answer.bars.texts()[1].startswith("no: 7")


def test_that_what_a_question_lacks_is_said_and_has_the_focus(page: TrialPage) -> None:
    page.note.task.options.setText("yes")
    assert ask(page, "questions", "Is there fever?") == []
    assert (
        page.note.task.options.hasFocus()
        and page.note.task.fault.text() == page.note.task.at_fault.accessibleDescription()
    )
    page.note.task.options.setText("yes | no")
    assert len(ask(page, "questions", "Is there fever?")) == 1
    assert page.note.task.fault.isHidden() and not page.note.task.options.accessibleDescription()


@pytest.mark.parametrize("task", ["relations", "codes", "questions", "summaries"])
def test_that_no_task_is_asked_about_an_empty_note_or_one_of_two_megabytes(page: TrialPage, task: TaskName) -> None:
    wishes = ask(page, task, "Is there fever?")
    wishes.clear()
    for text, told in (("", "There is no text to read"), ("fever " * 350_000, "20000")):
        page.stop()
        page._drop_run()
        page.note.editor.setPlainText(text)
        page.read_note()
        assert not wishes and told in page.note.fault.text() and page.note.editor.hasFocus()


def test_that_codes_without_their_table_are_told_as_what_they_are(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise FileNotFoundError("icd10cm")

    monkeypatch.setattr("fedmed_desktop.clinical.tasks.codes.bundled_index", gone)
    wish = TrialWish(TEXT, (), "base", None, tiny_model, "codes")
    with told_as("table of ICD-10-CM .* Install"):
        Workshop().read(request_for(wish, Desk(), tiny_model, lambda sha256: None), lambda item: None, Control())


def test_that_a_modifier_is_told_with_its_mention() -> None:
    drug, dose = Span(6, 13, "drug"), Span(14, 20, "dosage")
    view = answer_view(Answered("relations", Prediction(links=(Link(drug, dose),))), TEXT)
    assert [row.texts for row in view.links] == [("aspirin (drug)", "dosage", "100 mg")]
    assert view.sentence == "1 modifier linked."


def test_that_nothing_to_modify_is_another_answer_than_no_modifier() -> None:
    nothing = Answered("relations", Prediction())
    assert answer_view(nothing, TEXT, found=2).sentence == "No modifiers found."
    assert "none was found" in answer_view(nothing, TEXT, found=0).sentence


def test_that_links_are_drawn_listed_and_told(page: TrialPage) -> None:
    ask(page, "relations")
    drug, dose, daily = Span(6, 13, "drug"), Span(14, 20, "dosage"), Span(21, 26, "frequency")
    links = (Link(drug, dose), Link(drug, daily))
    reading = Reading(len(TEXT), (drug, dose, daily), len(TEXT), state="finished")
    desk = Desk()
    desk.fold([ReadingShown("right", "done", reading, answered=Answered("relations", Prediction(links=links)))])
    page.show_desk(desk)
    left = page.sides["right"]
    assert left.sentence.text() == "1 entity found." and left.answer.links.isVisible()
    assert left.text._lines.drawn == list(links)
    said = left.text.accessibleDescription()
    assert said.endswith("2 modifiers: 100 mg, dosage of aspirin; daily, frequency of aspirin")
    left.answer.links.setFocus()
    left.answer.links.selectRow(1)
    page.show_desk(desk)
    assert left.text._lines._chosen == links[1]
    page.legend.button("dosage").click()
    assert left.text._lines.drawn == [links[1]]
    assert left.text.accessibleDescription().endswith("1 modifier: daily, frequency of aspirin")


def test_that_a_link_which_the_other_side_lacks_is_marked() -> None:
    drug, dose, daily = Span(6, 13, "drug"), Span(14, 20, "dosage"), Span(21, 26, "frequency")
    here = Answered("relations", Prediction(links=(Link(drug, dose), Link(drug, daily))))
    there = Answered("relations", Prediction(links=(Link(drug, dose),)))
    kinds = [row.texts[1] for row in answer_view(here, TEXT, (), there).links]
    assert kinds == ["dosage", "frequency\N{NO-BREAK SPACE}+"]


def test_that_codes_are_ranked_and_the_chosen_ones_marked() -> None:
    ranked = Prediction(codes=(("R07.9", 2.0), ("I10", 1.0)), chosen=1)
    view = answer_view(Answered("codes", ranked, (), ("Chest pain, unspecified", "Hypertension")), TEXT)
    assert [bar.chosen for bar in view.bars] == [True, False]
    assert view.bars[0].name == "R07.9  Chest pain, unspecified" and view.bars[0].share == 1.0


@pytest.mark.parametrize("task", ["relations", "codes", "questions", "summaries"])
def test_that_a_real_model_answers_each_task(task: TaskName, tiny_model: Path) -> None:
    told: list[Item] = []
    wish = TrialWish(TEXT, ("drug",), "base", None, tiny_model, task, "Is there fever?", ("yes", "no"))
    request = request_for(wish, Desk(), tiny_model, lambda sha256: None)
    assert request.lengths == ReadingSettings(1024, 256)
    Workshop().read(request, told.append, Control())
    last = told[-1]
    assert isinstance(last, ReadingShown) and last.state == "done" and last.reading is not None
    assert last.answered is not None and last.answered.task == task and last.reading.length == len(TEXT)
    if task == "questions":
        assert last.answered.prediction.option in (0, 1) and len(last.answered.likelihoods) == 2
    if task == "codes":
        assert len(last.answered.descriptions) == len(last.answered.prediction.codes) > 0
    if task == "summaries":
        assert last.answered.prediction.text is not None


def test_that_the_bundled_model_is_asked_for_the_modifiers_that_a_demonstration_teaches() -> None:
    wish = TrialWish(TEXT, ("drug",), "base", None, None, "relations")
    assert request_for(wish, Desk(), Path("bundled"), lambda sha256: None).modifiers == demo.MODIFIERS
    other = replace(wish, model=Path("another"))
    assert len(request_for(other, Desk(), Path("bundled"), lambda sha256: None).modifiers) == 16


def test_that_a_stop_ends_it_without_an_answer(tiny_model: Path) -> None:
    told: list[Item] = []
    control = Control()
    control.stop()
    wish = TrialWish(TEXT, (), "base", None, tiny_model, "summaries")
    Workshop().read(request_for(wish, Desk(), tiny_model, lambda sha256: None), told.append, control)
    last = told[-1]
    assert isinstance(last, ReadingShown) and last.state == "stopped" and last.answered is None
