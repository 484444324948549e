# SPDX-License-Identifier: Apache-2.0
"""Try it: every state of the page, what it asks for, and a note read by a real model."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLineEdit, QTextEdit, QWidget
from pytestqt.qtbot import QtBot

from fedmed_desktop import events
from fedmed_desktop.clinical import Reading, Span, examples
from fedmed_desktop.desktop.look.fields import Choice
from fedmed_desktop.desktop.look.theme import Appearance
from fedmed_desktop.desktop.trial.asked_note import MOST_CHARACTERS
from fedmed_desktop.desktop.trial.choices import BLOB, FOLDER, TrialWish, choices, request_for
from fedmed_desktop.desktop.trial.page import TrialPage
from fedmed_desktop.desktop.trial.results import WATERMARK
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import Item, ReadingShown, SessionStarted
from fedmed_desktop.federation import Control
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.lora.base_model import decoder_linears
from fedmed_desktop.resources import resource
from fedmed_desktop.site import Record
from tests.parts.approval import Site

TEXT = "Warfarin and ciprofloxacin caused melena. 😀 Endoscopy was normal; warfarin was stopped."
N = len(TEXT)


def span(words: str, kind: str) -> Span:
    start = TEXT.index(words)
    return Span(start, start + len(words), kind)


WARFARIN, CIPRO = span("Warfarin", "drug"), span("ciprofloxacin", "drug")
MELENA, ENDOSCOPY = span("melena", "problem"), span("Endoscopy", "problem")
OTHER_ENDOSCOPY = ENDOSCOPY._replace(type="drug")


def read(*spans: Span, state: str = "finished", characters: int = N, tokens: int = 86, cut: bool = False) -> Reading:
    return Reading(N, tuple(sorted(spans)), characters, 1, 1, tokens, 2.0, 0.4, cut, state)  # type: ignore[arg-type]


LEFT = read(WARFARIN, MELENA, ENDOSCOPY)
RIGHT = read(WARFARIN, CIPRO, MELENA, OTHER_ENDOSCOPY)


class Scene:
    """A page on a desk, and what the page asked for."""

    def __init__(self, page: TrialPage) -> None:
        self.page, self.desk = page, Desk()
        self.wishes: list[TrialWish] = []
        self.stops: list[bool] = []
        page.read_requested.connect(self.wishes.append)
        page.stop_requested.connect(self._stopped)

    def _stopped(self) -> None:
        self.stops.append(True)

    def come(self, *items: Item) -> None:
        self.desk.fold(items)
        self.page.show_desk(self.desk)

    def ask(self, text: str = TEXT) -> None:
        self.page.note.set_text(text)
        self.page.head.read.click()


@pytest.fixture
def scene(qtbot: QtBot, tmp_path: Path) -> Scene:
    page = TrialPage()
    qtbot.addWidget(page)
    page.resize(1104, 628)
    page.show()
    page.offer_model(tmp_path / "model", tmp_path / "adapter")
    page.beside.setChecked(True)
    made = Scene(page)
    made.come()
    return made


@pytest.fixture
def alone(qtbot: QtBot) -> Scene:
    page = TrialPage()
    qtbot.addWidget(page)
    page.show()
    made = Scene(page)
    made.come()
    return made


# -- before anything is read -----------------------------------------------------------------------------------------


def test_that_the_page_says_what_it_is_not_for(scene: Scene) -> None:
    from fedmed_desktop.desktop.widgets import Banner

    said = [banner.text() for banner in scene.page.findChildren(Banner) if banner.isVisible()]
    assert said == ["Research demonstration. Not for diagnosis or treatment."]


def test_that_the_bundled_model_reads_with_the_adapter_that_comes_with_it(alone: Scene) -> None:
    assert "comes with this program" in alone.page.model.words.first.text()
    assert not alone.page.sides["left"].isVisible() and alone.page.beside.isVisible()
    alone.ask()
    bundled = f"{FOLDER}{resource('demo_adapter')}"
    assert alone.wishes == [TrialWish(TEXT, ("drug", "problem"), None, bundled, None)]


def test_that_the_base_is_read_beside_it_on_request_and_then_at_once(alone: Scene) -> None:
    alone.ask()
    alone.come(ReadingShown("right", "done", RIGHT))
    alone.page.beside.click()
    assert alone.page.sides["left"].isVisible()
    assert alone.wishes[-1] == TrialWish(TEXT, ("drug", "problem"), "base", None, None)
    alone.come(ReadingShown("left", "done", LEFT))
    assert [side.state.word() for side in alone.page.sides.values()] == ["Done", "Done"]
    alone.page.head.read.click()
    assert alone.wishes[-1].right and alone.wishes[-1].left == "base"
    request = request_for(alone.wishes[-1], alone.desk, resource("demo_model"), dict[str, Path]().get)
    assert list(request.sides) == ["right", "left"], "the adapter first"


def test_that_a_model_without_an_adapter_has_one_side_and_says_how_to_get_the_other(
    alone: Scene, tiny_model: Path
) -> None:
    alone.page.offer_model(tiny_model, None)
    alone.come()
    assert alone.page.sides["right"].box.isHidden() and not alone.page.beside.isVisible()
    assert "adapter" in alone.page.sides["right"].sentence.text()
    alone.ask()
    assert alone.wishes == [TrialWish(TEXT, ("drug", "problem"), "base", None, tiny_model)]


def test_that_what_the_note_denies_is_marked_as_denied(scene: Scene) -> None:
    text = "No fever. Chest pain since Monday."
    scene.ask(text)
    fever, pain = Span(3, 8, "problem"), Span(10, 20, "problem")
    scene.come(ReadingShown("right", "done", Reading(len(text), (fever, pain), len(text), state="finished")))
    shown = scene.page.sides["right"].text
    assert [kind.replace("\N{NO-BREAK SPACE}", " ") for _, kind in shown.marked()] == ["not: problem", "problem"]
    assert "the note denies it" in shown.accessibleDescription()


def test_that_an_offered_model_and_adapter_are_compared(scene: Scene, tmp_path: Path) -> None:
    scene.ask()
    key = f"{FOLDER}{tmp_path / 'adapter'}"
    assert scene.wishes == [TrialWish(TEXT, ("drug", "problem"), "base", key, tmp_path / "model")]


def test_that_another_offered_adapter_takes_the_place_of_the_first(scene: Scene, tmp_path: Path) -> None:
    """As where a second start names another one."""
    scene.page.offer_model(tmp_path / "model", tmp_path / "other")
    scene.ask()
    assert scene.wishes[0].right == f"{FOLDER}{tmp_path / 'other'}"


def test_that_an_empty_note_is_a_sentence_under_the_editor(scene: Scene) -> None:
    scene.ask("  \n")
    assert not scene.wishes
    assert scene.page.note.fault.isVisible() and "Paste or open a note" in scene.page.note.fault.text()
    assert scene.page.note.editor.accessibleDescription() == scene.page.note.fault.text()
    scene.page.note.editor.insertPlainText("x")
    assert not scene.page.note.fault.isVisible()


def test_that_a_note_without_end_is_a_sentence(scene: Scene) -> None:
    scene.ask("a" * (MOST_CHARACTERS + 1))
    assert not scene.wishes and f"{MOST_CHARACTERS}" in scene.page.note.fault.text()


def test_that_types_are_checked_and_mended(scene: Scene) -> None:
    line = scene.page.note.types_line
    line.setText("drug, 5-HT")
    scene.ask()
    assert not scene.wishes and "5-ht cannot be a type" in scene.page.note.types_fault.text()
    line.clear()
    line.textEdited.emit("")
    assert "No type" in scene.page.note.types_fault.text()
    line.setText("Drug, side effect")
    line.textEdited.emit(line.text())
    assert scene.page.note.types_fault.isHidden()
    scene.page.head.read.click()
    assert scene.wishes[0].types == ("drug", "side_effect")


def test_that_the_federations_types_are_not_the_persons_to_choose(alone: Scene, tmp_path: Path) -> None:
    site = Site(tmp_path)
    try:
        alone.desk = site.desk
        alone.come()
        assert not alone.page.note.types_line.isVisible() and not alone.page.model.isVisible()
        alone.ask()
        assert alone.wishes == [TrialWish(TEXT, tuple(site.spec.types), "base", None, None)]
        assert "no adapter yet" in alone.page.sides["right"].sentence.text()
    finally:
        site.outbox.close()


def test_that_examples_are_notes_to_take(scene: Scene) -> None:
    scene.page.head.menu.aboutToShow.emit()
    actions = scene.page.head.menu.actions()
    assert [action.text() for action in actions] == [example.title for example in examples()]
    actions[2].trigger()
    assert scene.page.note.text() == examples()[2].text
    scene.page.note.editor.undo()
    assert scene.page.note.text() == ""


# -- files -----------------------------------------------------------------------------------------------------------


def test_that_a_file_becomes_the_note(scene: Scene, qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text(TEXT, "utf-8")
    scene.page.open_file(path)
    qtbot.waitUntil(lambda: scene.page.note.text() == TEXT)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x89PNG\x00\x01", "not a text file"),
        (b"na\xefve", "not in UTF-8"),
        (b"a" * 200_000, "more than 20000 characters"),
    ],
)
def test_that_a_wrong_file_is_a_sentence(scene: Scene, qtbot: QtBot, tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(data)
    scene.page.note.set_text("typed")
    scene.page.open_file(path)
    qtbot.waitUntil(lambda: said in scene.page.note.fault.text())
    assert scene.page.note.text() == "typed"


def test_that_the_dialogs_are_opened_and_tell_their_file(scene: Scene, qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text(TEXT, "utf-8")
    scene.page.head.open.click()
    dialog = scene.page.head.dialog
    assert dialog is not None and dialog.isVisible()
    dialog.fileSelected.emit(str(path))
    qtbot.waitUntil(lambda: scene.page.note.text() == TEXT)
    dialog.close()


def test_that_a_dropped_file_is_opened(scene: Scene, qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text(TEXT, "utf-8")
    dropped = QMimeData()
    dropped.setUrls([QUrl.fromLocalFile(str(path))])
    assert scene.page.note.editor.canInsertFromMimeData(dropped)
    scene.page.note.editor.insertFromMimeData(dropped)
    qtbot.waitUntil(lambda: scene.page.note.text() == TEXT)


def test_that_a_chosen_folder_is_looked_into(scene: Scene, qtbot: QtBot, tmp_path: Path, tiny_model: Path) -> None:
    card = scene.page.model
    card.take_model(str(tmp_path))
    qtbot.waitUntil(lambda: card.fault.isVisible())
    assert card.model == tmp_path / "model"
    card.take_model(str(tiny_model))
    qtbot.waitUntil(lambda: card.model == tiny_model)
    assert not card.fault.isVisible() and card.adapter is None and scene.page.sides["right"].box.isHidden()
    card.take_adapter(str(tiny_model))
    qtbot.waitUntil(lambda: "whole model" in card.fault.text())
    assert card.adapter is None


# -- adapters of folders ---------------------------------------------------------------------------------------------


def adapter_for(model: Path, folder: Path) -> Path:
    """Random numbers that fit the model."""
    rng = np.random.default_rng(0)
    modules = {
        name: Module(rng.normal(0, 0.3, (d, 2)).astype(np.float32), rng.normal(0, 0.3, (2, k)).astype(np.float32), 1.0)
        for name, (d, k) in decoder_linears(model).items()
    }
    Adapter(modules).save_peft(folder, str(model))
    return folder


OTHER_MODEL = "This adapter was made for another model. Choose one that was made for this model."


def test_that_an_adapter_of_another_model_is_told_when_it_is_chosen(
    alone: Scene, qtbot: QtBot, tmp_path: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = alone.page.model
    card.take_adapter(str(adapter_for(tiny_model, tmp_path / "adapter")))
    qtbot.waitUntil(card.fault.isVisible)
    assert card.fault.text() == OTHER_MODEL and card.adapter is None
    assert not alone.page.sides["right"].fault.isVisible()
    assert "model.layers.0" in caplog.text, "which layer it was is for the log"


def test_that_an_offered_adapter_of_another_model_is_told_too(
    alone: Scene, qtbot: QtBot, tmp_path: Path, tiny_model: Path
) -> None:
    alone.page.offer_model(resource("demo_model"), adapter_for(tiny_model, tmp_path / "adapter"))
    qtbot.waitUntil(lambda: alone.page.model.fault.text() == OTHER_MODEL)
    assert alone.page.sides["right"].box.isHidden()


def test_that_an_adapter_can_be_chosen_beside_what_the_base_has_found(
    alone: Scene, qtbot: QtBot, tmp_path: Path, tiny_model: Path
) -> None:
    right = alone.page.sides["right"]
    alone.page.offer_model(tiny_model, None)
    alone.come()
    assert not right.choose.isVisible() and "above" in right.sentence.text(), "the row above offers it"
    alone.ask()
    alone.come(ReadingShown("left", "done", read()))
    left = alone.page.sides["left"].sentence.text()
    assert left.endswith("has not learned these types. Run the demonstration or choose an adapter.")
    assert right.choose.isVisible() and right.choose.isEnabled() and "above" not in right.sentence.text()
    other = tmp_path / "other" / "adapter"
    alone.page.model.take_adapter(str(adapter_for(resource("demo_model"), other)))
    qtbot.waitUntil(right.fault.isVisible)
    assert right.fault.text() == OTHER_MODEL
    folder = adapter_for(tiny_model, tmp_path / "adapter")
    alone.page.model.take_adapter(str(folder))
    qtbot.waitUntil(right.box.isVisible)
    assert right.box.key() == f"{FOLDER}{folder}" and not right.fault.isVisible()
    alone.page.beside.click()
    assert alone.page.sides["left"].state.word() == "Done", "what was found stays"
    alone.page.head.read.click()
    assert alone.wishes[-1].right == f"{FOLDER}{folder}"


def test_that_an_adapter_of_a_folder_can_be_tried_within_a_federation(
    alone: Scene, qtbot: QtBot, tmp_path: Path, tiny_model: Path
) -> None:
    alone.come(SessionStarted("site", "Riverside", "here", ("Riverside",), tmp_path, tiny_model))
    right = alone.page.sides["right"]
    assert right.choose.isVisible() and alone.page.model.isHidden()
    qtbot.mouseClick(right.choose, Qt.MouseButton.LeftButton)
    dialog = alone.page.model.dialog
    assert dialog is not None and dialog.isVisible()
    folder = adapter_for(tiny_model, tmp_path / "adapter")
    dialog.fileSelected.emit(str(folder))
    dialog.close()
    qtbot.waitUntil(lambda: right.box.key() == f"{FOLDER}{folder}")
    alone.come(SessionStarted("site", "Riverside", "here", ("Riverside",), tmp_path, resource("demo_model")))
    assert alone.page.model.adapter is None, "it was made for the model of the session before"


def test_that_the_adapter_of_the_round_before_is_offered_once_it_is_here(alone: Scene, tmp_path: Path) -> None:
    def phase(name: events.Phase, number: int = 2) -> events.PhaseChanged:
        return events.PhaseChanged(site="Riverside", round=number, phase=name)

    def coming(sha256: str, done: int, number: int) -> events.TransferProgress:
        return events.TransferProgress(
            site="Riverside", round=number, direction="down", blob=sha256, bytes=done, total=9
        )

    def fetched(sha256: str, number: int) -> events.PlanFetched:
        return events.PlanFetched(site="Riverside", round=number, start=sha256)

    def offered() -> list[tuple[str, str]]:
        return [(choice.key, choice.label) for choice in choices(alone.desk)][1:]

    alone.come(SessionStarted("site", "Riverside", "here", ("Riverside",), tmp_path, tmp_path))
    alone.come(phase("downloading", 1), coming("a" * 64, 9, 1), fetched("a" * 64, 1), phase("training", 1))
    assert offered() == [], "what round one starts from has learned nothing"
    alone.come(phase("downloading"), coming("b" * 64, 4, 2))
    assert offered() == []
    alone.come(coming("b" * 64, 9, 2))
    assert offered() == [], "its file is not checked yet"
    alone.come(fetched("b" * 64, 2))
    assert offered() == [(f"{BLOB}{'b' * 64}", "Federation, round 1")]
    assert alone.page.sides["right"].box.key() == f"{BLOB}{'b' * 64}"


# -- states ----------------------------------------------------------------------------------------------------------


def test_that_waiting_says_what_goes_first(scene: Scene) -> None:
    scene.ask()
    step = events.TrainingStep(
        site="Lakeview",
        round=1,
        step=812,
        steps=1240,
        loss=1.0,
        learning_rate=1e-3,
        tokens_per_second=9.0,
        memory_mib=1,
    )
    scene.come(
        SessionStarted("demo", "Riverside", "here", ("Riverside", "Lakeview"), Path("n"), Path("m")),
        ReadingShown("left", "waiting"), ReadingShown("right", "waiting"),
        events.PhaseChanged(site="Lakeview", round=1, phase="training"), step,
    )  # fmt: skip
    assert scene.page.waits.isVisible()
    assert "read when that is done" in scene.page.waits.text()
    assert "Now (Lakeview): Training · step 812 of 1,240" in scene.page.waits.text()
    assert [side.state.word() for side in scene.page.sides.values()] == ["Waiting", "Waiting"]
    assert scene.page.head.read.text() == "Stop" and scene.page.note.editor.isReadOnly()
    scene.come(ReadingShown("left", "loading"))
    assert not scene.page.waits.isVisible()


def test_that_both_sides_grow_side_by_side(scene: Scene) -> None:
    scene.ask()
    scene.come(ReadingShown("right", "loading"), ReadingShown("left", "loading"))
    left, right = scene.page.sides.values()
    assert left.state.word() == right.state.word() == "Loading"
    scene.come(ReadingShown("right", "reading", read(state="reading", characters=N // 4, tokens=8)))
    scene.come(ReadingShown("left", "reading", read(WARFARIN, state="reading", characters=N // 2, tokens=8)))
    assert left.state.word() == right.state.word() == "Reading"
    assert left.progress.isVisible() and right.progress.isVisible()
    scene.come(ReadingShown("left", "done", read(WARFARIN)))
    assert left.state.word() == "Done" and right.state.word() == "Reading"


def test_that_loading_is_told_and_the_base_comes_next(scene: Scene) -> None:
    scene.ask()
    scene.come(ReadingShown("right", "loading"), ReadingShown("left", "waiting"))
    left, right = scene.page.sides.values()
    assert right.state.word() == "Loading"
    assert left.state.word() == "Next" and "after the other side" in left.sentence.text()


def test_that_reading_fills_in_as_tokens_come(scene: Scene) -> None:
    scene.ask()
    scene.come(ReadingShown("left", "reading", read(WARFARIN, state="reading", characters=N // 2, tokens=40)))
    left = scene.page.sides["left"]
    assert left.text.marked() == [("Warfarin", "drug")]
    assert left.progress.isVisible() and left.progress.value() == round(1000 * (N // 2) / N)
    assert left.numbers.text() == "40 tokens · 24 tokens per second · first token after 0.40 s"
    scene.come(ReadingShown("left", "reading", read(WARFARIN, MELENA, state="reading", characters=N // 2)))
    assert left.text.marked() == [("Warfarin", "drug"), ("melena", "problem")]


def test_that_done_shows_both_sides_and_where_they_differ(scene: Scene) -> None:
    scene.ask()
    scene.come(ReadingShown("left", "done", LEFT), ReadingShown("right", "done", RIGHT))
    left, right = scene.page.sides.values()
    assert left.text.marked() == [("Warfarin", "drug"), ("melena", "problem"), ("Endoscopy", "problem\u00a0≠")]
    assert right.text.marked() == [
        ("Warfarin", "drug"), ("ciprofloxacin", "drug\u00a0+"), ("melena", "problem"), ("Endoscopy", "drug\u00a0≠"),
    ]  # fmt: skip
    assert right.differs.text() == (
        "+ Only here: ciprofloxacin (drug)\n≠ Another type on the other side: Endoscopy (drug)"
    )
    assert "ciprofloxacin, drug, only here" in right.text.accessibleDescription()
    assert right.sentence.text() == "4 entities found." and right.numbers.text().endswith("2.0 s in total")
    assert scene.page.head.read.text() == "Read note" and not left.progress.isVisible()


def test_that_what_the_other_side_has_not_come_to_is_no_difference(scene: Scene) -> None:
    scene.ask()
    half = read(WARFARIN, state="reading", characters=CIPRO.end)
    scene.come(ReadingShown("left", "done", RIGHT), ReadingShown("right", "reading", half))
    marks = dict(scene.page.sides["left"].text.marked())
    assert marks["ciprofloxacin"] == "drug\u00a0+" and marks["melena"] == "problem"


def test_that_nothing_found_and_a_cut_answer_are_told(scene: Scene) -> None:
    scene.ask()
    scene.come(ReadingShown("left", "done", read()), ReadingShown("right", "done", read(WARFARIN, cut=True)))
    said = "No entities found. The base model has not learned these types."
    assert scene.page.sides["left"].sentence.text() == said
    assert "cut off: some may be missing" in scene.page.sides["right"].sentence.text()
    assert not scene.page.sides["left"].differs.isVisible()


def test_that_stopping_waits_for_the_last_token_and_keeps_what_was_found(scene: Scene) -> None:
    scene.ask()
    scene.come(ReadingShown("left", "reading", read(WARFARIN, state="reading")), ReadingShown("right", "waiting"))
    scene.page.head.read.click()
    assert scene.stops == [True]
    assert scene.page.head.read.text() == "Stopping…" and not scene.page.head.read.isEnabled()
    scene.come(ReadingShown("left", "stopped", read(WARFARIN, state="stopped")))
    left, right = scene.page.sides.values()
    assert left.state.word() == right.state.word() == "Stopped"
    assert left.sentence.text() == "1 entity found before you stopped it."
    assert scene.page.head.read.text() == "Read note" and scene.page.head.read.isEnabled()


def test_that_a_note_that_still_waits_is_stopped_at_once(scene: Scene) -> None:
    scene.ask()
    scene.come(ReadingShown("left", "waiting"), ReadingShown("right", "waiting"))
    scene.page.head.read.click()
    assert scene.stops == [True] and scene.page.head.read.text() == "Read note"
    # Its job comes to its turn only now, while the next one already waits.
    scene.page.head.read.click()
    scene.come(ReadingShown("left", "loading"), ReadingShown("left", "stopped", read(state="stopped", tokens=0)))
    assert scene.page.head.read.text() == "Stop"
    scene.come(ReadingShown("left", "done", LEFT), ReadingShown("right", "done", RIGHT))
    assert [side.state.word() for side in scene.page.sides.values()] == ["Done", "Done"]


def test_that_a_failure_says_why_and_keeps_the_other_sides_result(scene: Scene) -> None:
    scene.ask()
    scene.come(ReadingShown("left", "done", LEFT))
    scene.come(ReadingShown("right", "failed", sentence="No such layer."))
    left, right = scene.page.sides.values()
    assert right.state.word() == "Failed" and right.sentence.text() == "No such layer."
    assert left.state.word() == "Done" and len(left.text.marked()) == 3
    assert scene.page.head.read.isEnabled() and scene.page.head.read.text() == "Read note"


def test_that_an_earlier_result_is_not_taken_for_the_new_one(scene: Scene) -> None:
    scene.ask()
    scene.come(ReadingShown("left", "done", LEFT), ReadingShown("right", "done", RIGHT))
    scene.page.head.read.click()
    scene.come()
    assert [side.state.word() for side in scene.page.sides.values()] == ["Waiting", "Waiting"]
    assert scene.page.sides["left"].text.marked() == []


def test_that_another_note_takes_the_results_away(scene: Scene) -> None:
    scene.ask()
    scene.come(ReadingShown("left", "done", LEFT), ReadingShown("right", "done", RIGHT))
    assert scene.page.note.is_folded() and not scene.page.legend.isHidden()
    scene.page.note.edit.click()
    assert scene.page.note.editor.isVisible() and scene.page.sides["left"].text.isVisible()
    scene.page.note.editor.insertPlainText("x")
    assert not scene.page.sides["left"].text.isVisible() and scene.page.legend.isHidden()


# -- what is compared ------------------------------------------------------------------------------------------------


def test_that_another_choice_is_not_shown_as_read(scene: Scene) -> None:
    scene.ask()
    scene.come(ReadingShown("left", "done", LEFT), ReadingShown("right", "done", RIGHT))
    box = scene.page.sides["right"].box
    adapter = box.key()
    box.choose("base")
    box.activated.emit(box.currentIndex())
    assert scene.page.sides["right"].sentence.text() == "The note has not been read with this one yet."
    assert scene.page.sides["right"].text.marked() == []
    assert not scene.page.sides["left"].differs.isVisible()
    box.choose(adapter)
    box.activated.emit(box.currentIndex())
    assert len(scene.page.sides["right"].text.marked()) == 4


def test_that_the_waiting_adapter_is_tried_from_its_approval(alone: Scene, tmp_path: Path) -> None:
    site = Site(tmp_path)
    try:
        entry = site.trained(1)
        key = f"{BLOB}{entry.update.parts['adapter'].sha256}"
        alone.page.choose(key)  # the window turns the page before the page has seen the desk
        alone.desk = site.refresh()
        alone.come()
        box = alone.page.sides["right"].box
        assert box.isVisible() and box.key() == key
        alone.ask()
        assert alone.wishes[0].right == key
        alone.come(ReadingShown("left", "done", LEFT), ReadingShown("right", "done", RIGHT))
        alone.desk.fold([Record(site.spec, (), (), None)])  # sent meanwhile: its result stays
        alone.come()
        assert box.key() == key and len(alone.page.sides["right"].text.marked()) == 4
    finally:
        site.outbox.close()


def test_that_choices_stay_while_the_list_changes(scene: Scene, tmp_path: Path) -> None:
    left = scene.page.sides["left"].box
    left.choose(f"{FOLDER}{tmp_path / 'adapter'}")
    scene.page.offer_model(tmp_path / "model", tmp_path / "adapter")
    scene.come()
    assert left.key() == f"{FOLDER}{tmp_path / 'adapter'}"


# -- everyday use ----------------------------------------------------------------------------------------------------


def test_that_the_pump_moves_neither_caret_nor_text(scene: Scene, qtbot: QtBot) -> None:
    editor = scene.page.note.editor
    editor.setFocus()
    qtbot.keyClicks(editor, "Given lithium.")
    cursor = editor.textCursor()
    cursor.setPosition(5)
    editor.setTextCursor(cursor)
    for _ in range(20):
        scene.come(ReadingShown("left", "done", LEFT))
    assert editor.toPlainText() == "Given lithium." and editor.textCursor().position() == 5


def test_that_a_result_can_be_selected_while_nothing_changes(scene: Scene) -> None:
    scene.ask()
    scene.come(ReadingShown("left", "done", LEFT), ReadingShown("right", "done", RIGHT))
    text = scene.page.sides["right"].text
    text.selectAll()
    scene.come()
    assert text.textCursor().hasSelection()
    copied = text.createMimeDataFromSelection().text()
    assert copied == f"{WATERMARK}\n\n{TEXT}"


def test_that_the_legend_hides_a_type_on_both_sides(scene: Scene) -> None:
    scene.ask()
    scene.come(ReadingShown("left", "done", LEFT), ReadingShown("right", "done", RIGHT))
    scene.page.legend.button("drug").click()
    assert [words for words, _ in scene.page.sides["right"].text.marked()] == ["melena"]
    assert [words for words, _ in scene.page.sides["left"].text.marked()] == ["melena", "Endoscopy"]
    assert "ciprofloxacin" not in scene.page.sides["right"].text.accessibleDescription()


@pytest.mark.parametrize("key", [Qt.Key.Key_Return, Qt.Key.Key_Enter])
def test_that_keys_read_and_stop(scene: Scene, qtbot: QtBot, key: Qt.Key) -> None:
    scene.page.note.set_text(TEXT)
    scene.page.activateWindow()
    scene.page.note.editor.setFocus()
    qtbot.waitUntil(scene.page.note.editor.hasFocus)
    qtbot.keyClick(scene.page.note.editor, key, Qt.KeyboardModifier.ControlModifier)
    assert len(scene.wishes) == 1 and scene.page.note.text() == TEXT
    qtbot.keyClick(scene.page.focusWidget(), Qt.Key.Key_Escape)
    assert scene.stops == [True]


def test_that_tab_leaves_the_editor(scene: Scene, qtbot: QtBot) -> None:
    scene.page.activateWindow()
    scene.page.note.editor.setFocus()
    qtbot.waitUntil(scene.page.note.editor.hasFocus)
    qtbot.keyClick(scene.page.note.editor, Qt.Key.Key_Tab)
    assert scene.page.note.task.box.hasFocus() and scene.page.note.text() == ""


def test_that_everything_with_a_focus_has_a_name(scene: Scene) -> None:
    scene.ask()
    scene.come(ReadingShown("left", "done", LEFT), ReadingShown("right", "done", RIGHT))
    scene.page.note.set_folded(False)
    fields = [
        w for w in scene.page.findChildren(QWidget) if w.focusPolicy() & Qt.FocusPolicy.TabFocus and w.isVisible()
    ]
    kinds = (QAbstractButton, QComboBox, QLineEdit, QTextEdit)
    nameless = [w for w in fields if not w.accessibleName() and not (isinstance(w, QAbstractButton) and w.text())]
    assert sum(isinstance(w, kinds) for w in fields) >= 8 and not nameless


# -- a real model ----------------------------------------------------------------------------------------------------


def test_that_a_real_model_reads_the_note_on_both_sides(scene: Scene, tiny_model: Path, tmp_path: Path) -> None:
    from fedmed_desktop.desktop.app import Workshop

    adapter_for(tiny_model, tmp_path / "adapter")
    scene.page.offer_model(tiny_model, tmp_path / "adapter")
    scene.ask("Lithium caused tremor.")
    request = request_for(scene.wishes[0], scene.desk, tiny_model, dict[str, Path]().get)
    shown: list[Item] = []
    Workshop().read(request, shown.append, Control())
    scene.come(*shown)
    for side in scene.page.sides.values():
        assert side.state.word() == "Done"
        assert "first token after" in side.numbers.text()
    states = [item.state for item in shown if isinstance(item, ReadingShown)]
    assert states[0] == "loading" and states[-1] == "done" and states.count("done") == 2


def test_that_a_wrong_adapter_fails_in_plain_words(
    scene: Scene, qtbot: QtBot, tiny_model: Path, tmp_path: Path
) -> None:
    from fedmed_desktop.desktop.app import Workshop
    from fedmed_desktop.desktop.work.engine import Engine

    scene.page.offer_model(tiny_model, adapter_for(resource("demo_model"), tmp_path / "adapter"))
    scene.ask("Lithium caused tremor.")  # before the look at it has come to its end
    request = request_for(scene.wishes[0], scene.desk, tiny_model, dict[str, Path]().get)
    engine = Engine(Workshop(), lambda items: scene.come(*items))
    engine.start()
    try:
        engine.read_note(request)
        left, right = scene.page.sides.values()
        qtbot.waitUntil(lambda: right.state.word() == "Failed", timeout=30_000)
        assert right.sentence.text() == OTHER_MODEL
        qtbot.waitUntil(lambda: left.state.word() == "Failed")
        assert left.sentence.text() == "Not read, because the other side could not be read."
        assert scene.desk.problems == [], "the page says it; no banner"
    finally:
        with qtbot.waitSignal(engine.closed, timeout=10_000):
            engine.close()


def test_that_a_reading_that_was_stopped_before_its_turn_is_no_news_of_the_next(
    scene: Scene, qtbot: QtBot, tiny_model: Path, tmp_path: Path
) -> None:
    from fedmed_desktop.desktop.app import Workshop
    from fedmed_desktop.desktop.work.engine import Engine

    """Between the two the training thread does something else, as a federation's round."""
    busy, round_ends, first_is_over = threading.Event(), threading.Event(), threading.Event()
    engine = Engine(Workshop(), lambda items: scene.come(*items))
    engine.start()
    engine._training.submit(busy.wait, 30)
    try:
        of_another = adapter_for(resource("demo_model"), tmp_path / "wrong")
        for adapter in (of_another, adapter_for(tiny_model, tmp_path / "right")):
            scene.page.offer_model(tiny_model, adapter)
            scene.ask("Lithium caused tremor.")
            engine.read_note(request_for(scene.wishes[-1], scene.desk, tiny_model, dict[str, Path]().get))
            engine._pump.empty()
            if adapter is of_another:
                scene.page.stop()
                engine.stop_reading()
                engine._training.submit(first_is_over.set)
                engine._training.submit(round_ends.wait, 30)
        busy.set()
        right = scene.page.sides["right"]
        qtbot.waitUntil(first_is_over.is_set, timeout=30_000)
        engine._pump.empty()
        assert right.state.word() == "Waiting"
        round_ends.set()
        qtbot.waitUntil(lambda: right.state.word() in ("Done", "Failed"), timeout=30_000)
        assert right.state.word() == "Done"
    finally:
        busy.set()
        round_ends.set()
        with qtbot.waitSignal(engine.closed, timeout=10_000):
            engine.close()


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # popups are not an offscreen window's matter
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_that_the_list_of_choices_shows_all_of_its_rows(
    scene: Scene, qapp: QApplication, qtbot: QtBot, scale: float
) -> None:
    look = Appearance(qapp, "light", scale)
    try:
        box = scene.page.sides["left"].box
        box.show_choices([Choice(str(number), f"Federation, round {number}") for number in range(4)], "0")
        box.showPopup()
        view = box.view()
        rows = sum(view.sizeHintForRow(number) for number in range(4))
        qtbot.waitUntil(lambda: view.isVisible() and view.viewport().height() >= rows)
        assert view.verticalScrollBar().maximum() == 0
        box.hidePopup()
    finally:
        look.set_text_scale(1.0)
        look.end()
