# SPDX-License-Identifier: Apache-2.0
"""Try it: what was found as JSON and for BRAT, as it is shown; and the words that go wherever it is copied to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from fedmed_desktop.clinical import Reading, Span, read_notes
from fedmed_desktop.clinical.tasks import Link, Prediction
from fedmed_desktop.desktop.trial.copied_text import CopiedText
from fedmed_desktop.desktop.trial.page import TrialPage
from fedmed_desktop.desktop.trial.results import WATERMARK
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import Answered, ReadingShown, Side
from fedmed_desktop.scores import TaskName

TEXT = "Aspirin 100 mg for a headache 😀, then ibuprofen."


def span(words: str, kind: str) -> Span:
    start = TEXT.index(words)
    return Span(start, start + len(words), kind)


ASPIRIN, IBUPROFEN, HEADACHE = span("Aspirin", "drug"), span("ibuprofen", "drug"), span("headache", "problem")
DOSE = span("100 mg", "dosage")


class Read:
    """The page after a note was read with both sides; the base is on the left."""

    def __init__(self, qtbot: QtBot, folder: Path, task: TaskName = "entities", **answers: Answered) -> None:
        self.qtbot, self.page, self.desk = qtbot, TrialPage(), Desk()
        qtbot.addWidget(self.page)
        self.page.resize(1100, 700)
        with qtbot.waitExposed(self.page):
            self.page.show()
        self.page.offer_model(folder / "model", folder / "adapter")
        self.page.show_desk(self.desk)
        self.page.beside.setChecked(True)
        self.page.note.set_text(TEXT)
        self.page.note.task.box.choose(task)
        self.page.note.task.question.setText("Is there pain?")
        self.page.note._task_changed()
        self.page.read_note()
        self.answers = answers

    def ends(self, side: Side, *spans: Span) -> None:
        reading = Reading(len(TEXT), tuple(sorted(spans)), len(TEXT), state="finished")
        self.desk.fold([ReadingShown(side, "done", reading, answered=self.answers.get(side))])
        self.page.show_desk(self.desk)

    def save(self, kind: str, path: Path) -> None:
        button = self.page.head.save
        assert button.isVisible()
        getattr(button, kind).trigger()
        assert isinstance(button.dialog, QFileDialog) and button.dialog.isVisible()
        button.dialog.fileSelected.emit(str(path))
        button.dialog.reject()
        self.qtbot.waitUntil(lambda: bool(self.page.head.saved.text()))


@pytest.fixture
def read(qtbot: QtBot, tmp_path: Path) -> Read:
    made = Read(qtbot, tmp_path)
    assert made.page.head.save.isHidden(), "nothing was found yet"
    made.ends("left", ASPIRIN)
    assert made.page.head.save.isHidden(), "one side is still at work"
    made.ends("right", ASPIRIN, HEADACHE, IBUPROFEN)
    return made


def test_that_json_holds_what_both_sides_found_in_the_notes_own_offsets(read: Read, tmp_path: Path) -> None:
    read.save("json", path := tmp_path / "note.json")
    assert str(path) in read.page.head.saved.text() and "note's words" in read.page.head.saved.text()
    found = json.loads(path.read_text("utf-8"))
    assert found["notice"] == WATERMARK and found["text"] == TEXT and found["task"] == "entities"
    left, right = found["sides"]
    assert left["model"] == "Base model" and right["model"].startswith("Adapter ")
    assert [one["text"] for one in left["entities"]] == ["Aspirin"]
    assert [(one["text"], one["type"]) for one in right["entities"]] == [
        ("Aspirin", "drug"), ("headache", "problem"), ("ibuprofen", "drug"),
    ]  # fmt: skip
    assert all(TEXT[one["start"] : one["end"]] == one["text"] for one in right["entities"])
    assert path.stat().st_mode & 0o077 == 0, "it has a note's words: nobody else may read it"


def test_that_what_the_legend_hides_is_not_saved(read: Read, tmp_path: Path) -> None:
    read.page.legend.button("problem").click()
    read.save("json", path := tmp_path / "note.json")
    assert [one["text"] for one in json.loads(path.read_text("utf-8"))["sides"][1]["entities"]] == [
        "Aspirin", "ibuprofen",
    ]  # fmt: skip


def test_that_a_brat_folder_is_read_back_as_it_was_shown_and_nothing_is_written_over(
    read: Read, tmp_path: Path
) -> None:
    read.save("brat", folder := tmp_path / "note-brat")
    notes = sorted(read_notes(folder), key=lambda note: note.id)
    assert [note.text for note in notes] == [TEXT, TEXT]
    assert [[(e.text, e.type) for e in note.entities] for note in notes] == [
        [("Aspirin", "drug")], [("Aspirin", "drug"), ("headache", "problem"), ("ibuprofen", "drug")],
    ]  # fmt: skip
    read.page.head.saved.clear()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    read.save("brat", folder)
    assert "holds files" in read.page.head.saved.text()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_that_links_go_along_and_vanish_with_a_hidden_end(qtbot: QtBot, tmp_path: Path) -> None:
    linked = Answered("relations", Prediction(links=(Link(ASPIRIN, DOSE),)))
    read = Read(qtbot, tmp_path, "relations", left=Answered("relations", Prediction()), right=linked)
    read.ends("left", ASPIRIN)
    read.ends("right", ASPIRIN, DOSE)
    read.save("json", path := tmp_path / "note.json")
    ((head, tail),) = json.loads(path.read_text("utf-8"))["sides"][1]["links"]
    assert (head["text"], tail["text"], tail["type"]) == ("Aspirin", "100 mg", "dosage")
    read.page.legend.button("dosage").click()
    read.page.head.saved.clear()
    read.save("json", path)
    assert json.loads(path.read_text("utf-8"))["sides"][1]["links"] == []


def test_that_codes_and_answers_are_saved_as_json_alone(qtbot: QtBot, tmp_path: Path) -> None:
    ranked = Prediction(codes=(("R51.9", 1.5), ("I10", -0.5)), chosen=1)
    codes = Answered("codes", ranked, (), ("Headache, unspecified", "Essential (primary) hypertension"))
    read = Read(qtbot, tmp_path, "codes", left=codes, right=codes)
    read.ends("left")
    read.ends("right")
    assert not read.page.head.save.brat.isEnabled(), "BRAT holds marks"
    read.save("json", path := tmp_path / "note.json")
    first, second = json.loads(path.read_text("utf-8"))["sides"][0]["codes"]
    assert first == {"code": "R51.9", "description": "Headache, unspecified", "score": 1.5, "chosen": True}
    assert not second["chosen"]


def test_that_an_answer_to_a_question_is_saved_with_the_question(qtbot: QtBot, tmp_path: Path) -> None:
    said = Answered("questions", Prediction(option=0), (-0.1, -2.0, -1.5))
    read = Read(qtbot, tmp_path, "questions", left=said, right=said)
    read.ends("left")
    read.ends("right")
    read.save("json", path := tmp_path / "note.json")
    found = json.loads(path.read_text("utf-8"))
    assert (found["question"], found["sides"][0]["answer"]) == ("Is there pain?", "yes")


def test_that_another_note_takes_saving_away(read: Read) -> None:
    read.page.note.set_text("Another note.")
    assert read.page.head.save.isHidden()


def test_that_a_summary_says_what_it_is_not_for_where_it_is_copied_to(qtbot: QtBot, tmp_path: Path) -> None:
    said = Answered("summaries", Prediction(text="Aspirin for a headache."))
    read = Read(qtbot, tmp_path, "summaries", left=said, right=said)
    read.ends("left")
    read.ends("right")
    text = read.page.sides["right"].answer.text
    assert isinstance(text, CopiedText) and text.isVisible()
    text.selectAll()
    copied = text.createMimeDataFromSelection()
    assert copied.text() == f"{WATERMARK}\n\nAspirin for a headache." and not copied.hasHtml()
