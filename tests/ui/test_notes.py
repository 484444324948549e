# SPDX-License-Identifier: Apache-2.0
"""The check of notes on the Join and Notes pages: told beside the GUI thread, stopped by another choice."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot

from fedmed_desktop.clinical import read_notes_folder, readers
from fedmed_desktop.clinical.checking import Tokens
from fedmed_desktop.clinical.readers.cache import LEAST_BYTES
from fedmed_desktop.clinical.readers.shape import JsonReader
from fedmed_desktop.desktop.join.page import JoinPage
from fedmed_desktop.desktop.notes import files
from fedmed_desktop.desktop.notes.files import Looked, Progress, Stopped, Wish, look_through
from fedmed_desktop.desktop.notes.page import NotesPage
from fedmed_desktop.desktop.work import tasks
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import SessionStarted
from fedmed_desktop.resources import resource
from fedmed_desktop.storage.outbox import Record
from tests.parts.scene import spec
from tests.ui.scenes_of_notes import write_troubled

LEFT = Qt.MouseButton.LeftButton
DEMO = resource("demo_notes") / "Lakeview"


@pytest.fixture
def page(qtbot: QtBot) -> Iterator[NotesPage]:
    made = NotesPage()
    qtbot.addWidget(made)
    made.resize(1100, 700)
    made.show()
    yield made
    made.report.stop()
    qtbot.waitUntil(lambda: not tasks._running)


def looked(qtbot: QtBot, page: NotesPage | JoinPage) -> None:
    qtbot.waitUntil(lambda: not page.report.busy, timeout=20_000)


def joined(notes: Path) -> Desk:
    desk = Desk()
    started = SessionStarted("site", "Lakeview", "ws://127.0.0.1:1", ("Lakeview",), notes, resource("demo_model"))
    desk.fold([started, Record(spec=spec(), entries=(), decisions=(), final=None)])
    return desk


def test_that_the_page_offers_to_choose_notes_while_there_are_none(qtbot: QtBot, page: NotesPage) -> None:
    assert page.empty.isVisible() and not page.report.isVisible()
    qtbot.mouseClick(page.empty.buttons[0], LEFT)
    dialog = page.findChild(QFileDialog)
    assert dialog is not None and dialog.fileMode() == QFileDialog.FileMode.Directory
    dialog.close()


def test_that_the_verdict_comes_with_what_cannot_be_used_and_where(
    qtbot: QtBot, page: NotesPage, tmp_path: Path
) -> None:
    page.look_at(str(write_troubled(tmp_path)))
    assert page.report.verdict.headline.text() == "Looking through the notes…"
    looked(qtbot, page)
    report = page.report
    assert report.verdict.headline.text() == "These notes cannot be used yet."
    assert report.verdict.amount.text() == "57 notes, JSON lines. 3 rows cannot be used."
    rows = report.unusable.rows.texts()
    assert len(rows) == 3 and rows[0].endswith("ward_7.jsonl, row 21") and "JSON" in rows[0]
    assert report.identifiers.rows.texts() == [
        "phone numbers: 2 notes · ward_7.jsonl, row 8; ward_7.jsonl, row 32",
        "record numbers: 1 note · ward_7.jsonl, row 13",
    ]
    shown = " ".join([*rows, *report.identifiers.rows.texts(), *report.verdict.points.texts()])
    assert "617-555" not in shown and "aspirin" not in shown, "words of notes are never shown"


def test_that_the_proposed_split_is_written_and_looked_at(qtbot: QtBot, page: NotesPage, tmp_path: Path) -> None:
    page.look_at(str(write_troubled(tmp_path)))
    looked(qtbot, page)
    assert page.report.split.isVisible()
    folder = tmp_path / "split"
    with qtbot.waitSignal(page.report.split_written):
        page.report.write_split(str(folder))
    looked(qtbot, page)
    assert page.report.wish == Wish(str(folder)) and not page.report.split.isVisible()
    assert page.report.verdict.headline.text().startswith("These notes can be used")
    assert sum(map(len, (read_notes_folder(folder).train, read_notes_folder(folder).validation))) == 51


def test_that_a_folder_that_has_notes_is_not_written_over(qtbot: QtBot, page: NotesPage, tmp_path: Path) -> None:
    page.look_at(str(write_troubled(tmp_path)))
    looked(qtbot, page)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "train.jsonl").write_text("", "utf-8")
    page.report.write_split(str(tmp_path / "full"))
    qtbot.waitUntil(page.report.split.button.isEnabled)
    assert "Choose an empty folder" in page.report.split.said.text()
    assert (tmp_path / "full" / "train.jsonl").read_text("utf-8") == ""


def test_that_another_choice_stops_the_look_that_goes_on(
    qtbot: QtBot, page: NotesPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look waits in its thread until it is stopped: it can end in no other way."""
    ended = threading.Event()

    def look(wish: Wish, progress: Progress, tokens_of: object) -> Looked:
        if wish.notes == "first":
            try:
                while True:
                    progress.tell(progress.rows + 1)
                    threading.Event().wait(0.001)
            finally:
                ended.set()
        return look_through(wish, progress)

    monkeypatch.setattr(files, "look_through", look)
    page.look_at("first")
    qtbot.waitUntil(lambda: "rows so far" in page.report.verdict.amount.text())
    page.look_at(str(write_troubled(tmp_path)))
    looked(qtbot, page)
    assert ended.wait(5)
    assert page.report.verdict.amount.text().startswith("57 notes")


def test_that_a_stopped_look_reads_no_further(tmp_path: Path) -> None:
    progress = Progress()
    progress.stop()
    with pytest.raises(Stopped):
        look_through(Wish(str(write_troubled(tmp_path))), progress)


def test_that_the_sites_own_notes_are_looked_at_once_for_its_federation(qtbot: QtBot, page: NotesPage) -> None:
    desk = joined(DEMO)
    page.show_desk(desk)
    first = page.report._task
    page.show_desk(desk)
    assert page.report._task is first, "ten times a second, but one look"
    looked(qtbot, page)
    assert "as Riverside federation would use them" in page.source.text()
    assert "Entities, for the federation" in [fact._name.text() for fact in page.report.facts.facts]
    page.look_at(str(DEMO / "train.jsonl"))
    looked(qtbot, page)
    assert page.own.isVisible()
    qtbot.mouseClick(page.own, LEFT)
    looked(qtbot, page)
    assert page.report.wish is not None and page.report.wish.notes == str(DEMO)


def test_that_tokens_are_counted_as_the_base_model_does(qtbot: QtBot, page: NotesPage) -> None:
    asked: list[Path] = []

    def tokens_of(model: Path) -> Tokens:
        asked.append(model)
        return lambda text: 3000 if "pneumonia" in text else len(text.split())

    page.report.tokens_of = tokens_of
    page.show_desk(joined(DEMO))
    looked(qtbot, page)
    assert asked == [resource("demo_model")]
    assert any("too long" in said for said in page.report.fitting.texts())


def test_that_help_leads_to_the_guide(qtbot: QtBot, page: NotesPage, tmp_path: Path) -> None:
    page.look_at(str(write_troubled(tmp_path)))
    looked(qtbot, page)
    assert page.report.identifiers.help.place.startswith("notes#")


def test_that_notes_that_cannot_be_read_say_why(qtbot: QtBot, page: NotesPage, tmp_path: Path) -> None:
    page.look_at(str(tmp_path / "nowhere"))
    looked(qtbot, page)
    assert page.report.verdict.headline.text() == "Nothing could be read."
    assert "nowhere" in page.report.verdict.amount.text()


# -- joining -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def form(qtbot: QtBot, tmp_path: Path) -> Iterator[JoinPage]:
    made = JoinPage(tmp_path / "sites")
    qtbot.addWidget(made)
    made.resize(1100, 700)
    made.show()
    yield made
    made.report.stop()
    qtbot.waitUntil(lambda: not tasks._running)


def test_that_the_join_form_shows_the_check_of_the_chosen_notes(qtbot: QtBot, form: JoinPage, tmp_path: Path) -> None:
    assert not form.report.verdict.isVisible()
    form.fields["notes"].line.setText(str(write_troubled(tmp_path)))
    qtbot.waitUntil(lambda: form.report.wish is not None)
    looked(qtbot, form)
    assert form.report.verdict.isVisible() and form.report.unusable.isVisible()
    assert form.report.verdict.headline.text() == "These notes cannot be used yet."
    form.fields["notes"].line.setText("")
    qtbot.waitUntil(lambda: form.report.wish is None)
    assert not form.report.verdict.isVisible() and not form.report.unusable.isVisible()


def test_that_large_notes_are_read_once_for_the_form_and_for_the_check(
    qtbot: QtBot, form: JoinPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split, count in (("train", 300), ("validation", 2)):
        rows = [{"id": f"{split}{n}", "text": f"Note {n}. " + "No pain. " * 500, "codes": []} for n in range(count)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    read, reading = Counter[str](), JsonReader.read

    def counted(reader: JsonReader, path: Path) -> Iterator[readers.Record]:
        read[path.name] += 1
        return reading(reader, path)

    monkeypatch.setattr(JsonReader, "read", counted)
    form.fields["notes"].line.setText(str(tmp_path))
    qtbot.waitUntil(lambda: form.report.wish is not None)
    looked(qtbot, form)
    assert form.report.verdict.amount.text() == "302 notes, JSON lines."
    assert read["train.jsonl"] == 1 and (tmp_path / "train.jsonl").stat().st_size > LEAST_BYTES


def test_that_a_split_that_was_written_is_what_the_site_joins_with(
    qtbot: QtBot, form: JoinPage, tmp_path: Path
) -> None:
    form.fields["notes"].line.setText(str(write_troubled(tmp_path)))
    qtbot.waitUntil(lambda: form.report.wish is not None)
    looked(qtbot, form)
    with qtbot.waitSignal(form.report.split_written):
        form.report.write_split(str(tmp_path / "split"))
    qtbot.waitUntil(lambda: form.fields["notes"].verdict.state == "right")
    assert form.fields["notes"].text() == str(tmp_path / "split")
    looked(qtbot, form)


def test_that_leaving_the_form_stops_the_look(
    qtbot: QtBot, form: JoinPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()

    def look(wish: Wish, progress: Progress, tokens_of: object) -> Looked:
        try:
            while True:
                progress.tell(1)
                threading.Event().wait(0.001)
        finally:
            stopped.set()

    monkeypatch.setattr(files, "look_through", look)
    form.fields["notes"].line.setText(str(write_troubled(tmp_path)))
    qtbot.waitUntil(lambda: form.report.wish is not None)
    qtbot.mouseClick(form.back, LEFT)
    assert stopped.wait(5) and not form.report.verdict.isVisible()
    QApplication.processEvents()


def test_that_the_federations_notes_stand_beside_this_sites_own_only(
    qtbot: QtBot, page: NotesPage, tmp_path: Path
) -> None:
    from fedmed_desktop.federation.methods import AdaptiveFedLora
    from tests.parts.scene import Lakeview

    page.show_desk(Lakeview(tmp_path, method=AdaptiveFedLora(), histogram="specialties").close())
    assert page.shared.isVisible() and len(page.shared.rows) == 8
    assert page.shared.rows[0].accessibleName() == "General medicine: this site 30%, federation 24%"
    page.look_at(str(DEMO))
    assert not page.shared.isVisible()
    page.show_own()
    assert page.shared.isVisible()
