# SPDX-License-Identifier: Apache-2.0
"""The join form: every field wrong, then right; folders are looked into without holding up the window."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtWidgets import QApplication, QFileDialog, QLabel
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.join import files
from fedmed_desktop.desktop.join.form import FieldName, NotesLook
from fedmed_desktop.desktop.join.page import JoinPage
from fedmed_desktop.desktop.look.theme import Appearance
from fedmed_desktop.desktop.widgets.field import PAUSE_MS
from fedmed_desktop.desktop.work import tasks
from fedmed_desktop.desktop.work.requests import JoinRequest
from fedmed_desktop.resources import resource
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.outbox import Outbox

MODEL, NOTES = resource("demo_model"), resource("demo_notes") / "Lakeview"
LEFT = Qt.MouseButton.LeftButton
RIGHT = {"address": "ws://127.0.0.1:8765", "name": "Lakeview", "model": str(MODEL), "notes": str(NOTES)}


@pytest.fixture
def page(qtbot: QtBot, tmp_path: Path) -> Iterator[JoinPage]:
    made = JoinPage(tmp_path / "sites")
    qtbot.addWidget(made)
    made.resize(1100, 700)
    made.show()
    for field in made.fields.values():
        field._pause.setInterval(50)  # nobody is in the midst of a word here
    yield made
    qtbot.waitUntil(lambda: not tasks._running)


def settled(page: JoinPage) -> Callable[[], bool]:
    return lambda: not any(f.waiting or f.verdict.state == "checking" for f in page.fields.values())


def type_in(qtbot: QtBot, page: JoinPage, name: FieldName, text: str) -> str:
    """Types with real keys, waits for the pause and the look; returns the sentence below the field."""
    line = page.fields[name].line
    line.selectAll()
    qtbot.keyClicks(line, text) if text else line.clear()
    qtbot.waitUntil(settled(page))
    return page.fields[name].sentence()


def choose_here(qtbot: QtBot, page: JoinPage) -> None:
    """A coordinator on this computer, without an invitation."""
    if page.where.way == "invited":
        qtbot.mouseClick(page.where.turn, LEFT)


def fill(qtbot: QtBot, page: JoinPage) -> None:
    choose_here(qtbot, page)
    for name, text in RIGHT.items():
        page.fields[name].line.setText(text)  # type: ignore[index]
    qtbot.waitUntil(settled(page))


def test_that_an_empty_form_explains_each_field_and_cannot_be_sent(page: JoinPage) -> None:
    assert not page.join.isEnabled()
    for field in page.fields.values():
        assert field.sentence() and field.verdict.state == "empty"
        assert field.line.accessibleName()


@pytest.mark.parametrize(
    ("name", "wrong", "word"),
    [
        ("address", "ws://example.org:8765", "Ask the host for an invitation"),
        ("address", "wss://example.org:8765", "Ask its host for an invitation"),
        ("address", "127.0.0.1:8765", "such as wss://"),
        ("name", "-", "up to 60 letters"),
        ("model", str(NOTES), "config.json"),
        ("model", "/nowhere/model", "There is no model folder"),
        ("notes", str(MODEL), "train"),
        ("notes", "/nowhere/notes", "There is no notes folder"),
        ("types_map", str(MODEL / "config.json"), "not valid TOML"),
        ("types_map", "/nowhere/types.toml", "does not exist"),
    ],
)
def test_that_each_field_wrong_says_so_and_right_lets_join(
    qtbot: QtBot, page: JoinPage, name: FieldName, wrong: str, word: str
) -> None:
    fill(qtbot, page)
    assert page.join.isEnabled()
    assert word in type_in(qtbot, page, name, wrong)
    field = page.fields[name]
    assert field.verdict.state == "wrong" and field.line.property("fault") is True
    assert field.line.accessibleDescription() == field.sentence()
    assert not page.join.isEnabled()
    type_in(qtbot, page, name, RIGHT.get(name, ""))
    assert field.verdict.state == "right" and field.line.property("fault") is False
    assert page.join.isEnabled()


def test_that_nothing_is_looked_at_before_typing_pauses(qtbot: QtBot, page: JoinPage) -> None:
    fill(qtbot, page)
    looked: list[str] = []
    page.fields["name"]._pause.setInterval(PAUSE_MS)
    page.fields["name"].edited.connect(looked.append)
    qtbot.keyClicks(page.fields["name"].line, " 2")
    assert looked == [] and not page.join.isEnabled(), "what nobody has looked at yet is not right"
    qtbot.waitUntil(lambda: bool(looked))
    assert looked == ["Lakeview 2"] and page.join.isEnabled()


def test_that_enter_does_not_wait_for_the_pause(qtbot: QtBot, page: JoinPage) -> None:
    choose_here(qtbot, page)
    page.fields["address"]._pause.setInterval(PAUSE_MS)
    qtbot.keyClicks(page.fields["address"].line, "ws://127.0.0.1:1")
    qtbot.keyClick(page.fields["address"].line, Qt.Key.Key_Return)
    assert page.fields["address"].verdict.state == "right" and not page.fields["address"].waiting


def test_that_join_hands_over_what_was_typed(qtbot: QtBot, page: JoinPage, tmp_path: Path) -> None:
    fill(qtbot, page)
    with qtbot.waitSignal(page.join_requested) as asked:
        qtbot.mouseClick(page.join, LEFT)
    request = asked.args[0]
    assert isinstance(request, JoinRequest)
    assert (request.address, request.name, request.model, request.notes) == (
        "ws://127.0.0.1:8765", "Lakeview", MODEL, NOTES,
    )  # fmt: skip
    assert request.types_map is None and request.data_dir.parent == tmp_path / "sites"


def test_that_three_notes_are_shown_marked_with_a_legend(qtbot: QtBot, page: JoinPage) -> None:
    assert page.preview.rows == [] and page.preview.legend.isHidden()
    fill(qtbot, page)
    notes = [row.text for row in page.preview.rows]
    assert len(notes) == 3
    qtbot.waitUntil(lambda: all(note.isVisible() for note in notes))  # shown once they are laid out
    assert {kind for note in notes for _, kind in note.marked()} == {"drug", "problem"}
    assert page.preview.types.values() == ["→ drug", "→ problem"]
    qtbot.mouseClick(page.preview.legend.button("problem"), LEFT)
    assert {kind for note in notes for _, kind in note.marked()} == {"drug"}
    type_in(qtbot, page, "notes", "/nowhere")
    assert page.preview.rows == [] and page.preview.legend.isHidden()


def test_that_another_map_changes_what_the_types_become(qtbot: QtBot, page: JoinPage, tmp_path: Path) -> None:
    fill(qtbot, page)
    types_map = tmp_path / "mine.toml"
    types_map.write_text('[types.map]\nChemical = "medicine"\n', "utf-8")
    type_in(qtbot, page, "types_map", str(types_map))
    assert page.preview.types.values() == ["→ medicine", "→ ignored"]
    assert page.form().request(tmp_path).types_map == types_map


class Slow:
    """Stands between the form and the folder: holds a look until it is let go, as a far share would."""

    def __init__(self, look: Callable[..., NotesLook]) -> None:
        self._look = look
        self.gates: dict[str, threading.Event] = {}
        self.asked: list[str] = []

    def __call__(self, notes: str, types_map: str, earlier: NotesLook | None = None) -> NotesLook:
        self.asked.append(notes)
        assert self.gates.setdefault(notes, threading.Event()).wait(10)
        return self._look(notes, types_map, earlier)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    held = Slow(files.look_at_notes)
    monkeypatch.setattr(files, "look_at_notes", held)
    yield held
    for gate in held.gates.values():
        gate.set()


def test_that_a_slow_folder_holds_up_nothing(qtbot: QtBot, page: JoinPage, slow: Slow) -> None:
    choose_here(qtbot, page)
    for name, text in RIGHT.items():
        page.fields[name].line.setText(text)  # type: ignore[index]
    qtbot.waitUntil(lambda: slow.asked == [str(NOTES)])
    assert page.fields["notes"].verdict.state == "checking" and not page.join.isEnabled()
    began = time.monotonic()
    qtbot.keyClicks(page.fields["name"].line, " east")
    qtbot.keyClick(page.fields["name"].line, Qt.Key.Key_Return)
    assert page.fields["name"].verdict.state == "right" and time.monotonic() - began < 1.0
    slow.gates[str(NOTES)].set()
    qtbot.waitUntil(page.join.isEnabled)


def test_that_the_answer_on_an_earlier_folder_is_dropped(qtbot: QtBot, page: JoinPage, slow: Slow) -> None:
    first, second = str(NOTES), str(NOTES.parent / "Hillcrest")
    slow.gates[second] = threading.Event()
    slow.gates[second].set()
    notes = page.fields["notes"]
    notes.line.setText(first)
    qtbot.waitUntil(lambda: first in slow.asked)
    notes.line.setText(second)
    qtbot.waitUntil(lambda: notes.verdict.state == "right")
    shown, sentence = [row.text.toPlainText() for row in page.preview.rows], notes.sentence()
    slow.gates[first].set()
    qtbot.waitUntil(lambda: not tasks._running)
    assert [row.text.toPlainText() for row in page.preview.rows] == shown
    assert notes.sentence() == sentence


def test_that_a_form_left_while_it_looks_takes_it_up_again(qtbot: QtBot, page: JoinPage, slow: Slow) -> None:
    page.fields["notes"].line.setText(str(NOTES))
    qtbot.waitUntil(lambda: slow.asked == [str(NOTES)])
    with qtbot.waitSignal(page.cancelled):
        qtbot.mouseClick(page.back, LEFT)
    page.hide()
    slow.gates[str(NOTES)].set()
    qtbot.waitUntil(lambda: not tasks._running)
    assert page.fields["notes"].verdict.state == "checking"
    page.show()
    qtbot.waitUntil(lambda: page.fields["notes"].verdict.state == "right")


def test_that_an_address_from_the_command_line_is_there(page: JoinPage) -> None:
    page.prefill("ws://127.0.0.1:9")
    assert page.fields["address"].text() == "ws://127.0.0.1:9"
    assert page.fields["address"].verdict.state == "right"


def test_that_an_earlier_request_is_looked_at_anew(qtbot: QtBot, page: JoinPage, tmp_path: Path) -> None:
    request = JoinRequest(
        address="ws://127.0.0.1:9", name="north", model=tmp_path / "gone", notes=NOTES, data_dir=tmp_path
    )
    page.prefill_request(request, "The base model is another one.")
    assert page.banner.isVisible() and page.banner.text() == "The base model is another one."
    qtbot.waitUntil(settled(page))
    assert page.fields["model"].verdict.state == "wrong" and not page.join.isEnabled()
    type_in(qtbot, page, "model", str(MODEL))
    assert page.join.isEnabled()
    qtbot.mouseClick(page.join, LEFT)
    assert page.banner.isHidden()


def test_that_browse_opens_without_blocking_and_fills_the_field(qtbot: QtBot, page: JoinPage) -> None:
    field = page.fields["notes"]
    qtbot.mouseClick(field.button, LEFT)
    (dialog,) = field.findChildren(QFileDialog)
    assert dialog.fileMode() == QFileDialog.FileMode.Directory
    dialog.fileSelected.emit(str(NOTES))
    dialog.reject()
    assert field.text() == str(NOTES)
    qtbot.waitUntil(lambda: field.verdict.state == "right")
    assert page.fields["address"].button.isHidden()


def test_that_a_dropped_folder_is_its_path(qtbot: QtBot, page: JoinPage) -> None:
    page.fields["notes"].line.setText(QUrl.fromLocalFile(str(NOTES)).toString() + "\n")
    assert page.fields["notes"].text() == str(NOTES)
    qtbot.waitUntil(settled(page))


def test_that_the_form_fits_a_small_screen_at_200_percent(qtbot: QtBot, qapp: QApplication, page: JoinPage) -> None:
    look = Appearance(qapp, "light", 2.0)
    page.resize(960, 560)
    fill(qtbot, page)
    assert page.widget().minimumSizeHint().width() <= page.viewport().width()
    look.set_text_scale(1.0)
    look.end()


def test_that_an_address_without_an_answer_warns_and_lets_join(qtbot: QtBot, page: JoinPage) -> None:
    fill(qtbot, page)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"ws://127.0.0.1:{listening.getsockname()[1]}"
        type_in(qtbot, page, "address", address)
        qtbot.waitUntil(lambda: "something answers" in page.fields["address"].sentence())
    page.prefill(address)
    qtbot.waitUntil(lambda: page.fields["address"].verdict.warns)
    assert "this site keeps trying" in page.fields["address"].sentence() and page.join.isEnabled()
    type_in(qtbot, page, "address", "ws://example.org:1")
    assert not page.fields["address"].verdict.warns and page.fields["address"].verdict.state == "wrong"


def test_that_the_corrected_form_takes_over_the_folder_of_the_try_before(
    qtbot: QtBot, page: JoinPage, tmp_path: Path
) -> None:
    fill(qtbot, page)
    before = page.form().request(tmp_path / "sites")
    Outbox(before.data_dir / "site.sqlite", BlobStore(before.data_dir / "blobs")).close()
    page.prefill_request(before, "It did not answer.")
    type_in(qtbot, page, "address", "ws://127.0.0.1:8766")
    with qtbot.waitSignal(page.join_requested) as asked:
        qtbot.mouseClick(page.join, LEFT)
    assert list((tmp_path / "sites").iterdir()) == [asked.args[0].data_dir]


def test_that_the_form_that_has_joined_goes_on_in_the_same_folder(qtbot: QtBot, page: JoinPage, tmp_path: Path) -> None:
    """A site that has used its invitation is known by its folder alone."""
    request = JoinRequest(
        address="wss://federation.example.org:8765", name="North", model=MODEL, notes=NOTES, data_dir=tmp_path / "north"
    )
    page.prefill_request(request, "The base model is another one.")
    for _ in range(2):
        qtbot.waitUntil(page.join.isEnabled)
        with qtbot.waitSignal(page.join_requested) as asked:
            qtbot.mouseClick(page.join, LEFT)
        assert asked.args[0].data_dir == request.data_dir


def test_that_the_form_says_what_leaves_and_leads_to_the_guide(qtbot: QtBot, page: JoinPage) -> None:
    words = [label.text() for label in page.findChildren(QLabel)]
    assert any("Nothing learned from your notes leaves before you approve it." in text for text in words)
    with qtbot.waitSignal(page.guide_requested):
        qtbot.mouseClick(page.guide, LEFT)
