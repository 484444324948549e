# SPDX-License-Identifier: Apache-2.0
"""The History page: the record as a table, one entry in words, verify, compare, mark as reviewed, export."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtWidgets import QWidget
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.history import files
from fedmed_desktop.desktop.history.model import EntriesModel
from fedmed_desktop.desktop.history.page import HistoryPage
from fedmed_desktop.desktop.history.view import Wanted, history_view, matching
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.requests import JoinRequest
from fedmed_desktop.storage.audit import Audit
from fedmed_desktop.storage.audit_file import AuditFile, read_audit, verify_audit
from fedmed_desktop.storage.outbox import Record
from fedmed_desktop.storage.secrets import load_key
from tests.parts.record import OPERATOR, entry, write_record
from tests.parts.scene import NOW
from tests.parts.ui import Desktop, words
from tests.ui.scenes import Scene, shown
from tests.ui.scenes_of_rounds import nobody

Opened = Callable[..., Desktop]
MANY = 10_000


@pytest.fixture
def page(qtbot: QtBot, tmp_path: Path) -> HistoryPage:
    """Shown, and filled from a record of three rounds."""
    page = HistoryPage(lambda: NOW)
    qtbot.addWidget(page)
    page.resize(1100, 700)
    write_record(tmp_path / "site")
    page.folder_of = lambda: tmp_path / "site"
    page.name_of = lambda: OPERATOR
    page.show()
    page.show_desk(Desk())
    qtbot.waitUntil(lambda: page.model.rowCount() == 27)
    return page


def test_that_the_model_keeps_qts_rules_while_lines_come_and_go(
    qtmodeltester: ModelTester, tmp_path: Path, qtbot: QtBot
) -> None:
    view = history_view(read_audit(write_record(tmp_path)))
    model = EntriesModel()
    qtmodeltester.check(model)
    for wanted in (Wanted(), Wanted("trouble"), Wanted(text="nobody"), Wanted()):
        model.show_lines(matching(view, wanted, NOW))
    qtmodeltester.check(model, force_py=True)
    assert model.rowCount() == 27 and model.number_at(0) == 27 and model.row_of(27) == 0


def test_that_the_newest_entry_comes_first_and_is_told_beside_the_table(page: HistoryPage) -> None:
    assert page.model.index(0, 1).data() == "Update refused"
    assert page.card.number == 27 and "already closed" in words(page.card)
    assert "27 entries, none changed" in page.verdict.text()


def test_that_the_keys_walk_through_the_entries(page: HistoryPage, qtbot: QtBot) -> None:

    page.table.setFocus()
    qtbot.keyClick(page.table, Qt.Key.Key_Down)
    assert page.card.number == 26 and page.card.headline.text() == "Upload started"


def test_that_an_entry_stays_chosen_while_others_are_hidden_and_shown_again(page: HistoryPage, qtbot: QtBot) -> None:
    page.table.selectRow(page.model.row_of(23))
    qtbot.keyClicks(page.search.line, "ruth intended")
    qtbot.waitUntil(lambda: page.model.rowCount() == 3)
    assert page.card.number == 23 and page.count.text() == "3 of 27 entries match."
    qtbot.keyClicks(page.search.line, " and no more")
    qtbot.waitUntil(lambda: page.model.rowCount() == 0)
    assert page.count.text() == "None of 27 entries match." and not page.table.isVisible()
    page.everything.click()
    assert page.model.rowCount() == 27 and not page.search.line.text()


def test_that_who_reads_further_down_is_not_taken_back_up_by_a_new_entry(
    qtbot: QtBot, page: HistoryPage, tmp_path: Path
) -> None:
    folder = write_record(tmp_path / "many", rounds=40)
    page.folder_of = lambda: folder
    page.read()
    qtbot.waitUntil(lambda: page.model.rowCount() == 323)
    assert page.card.number == 323, "not the number that was chosen in another site's record"
    bar = page.table.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    at = bar.value()
    with closing(Audit(folder / "audit.sqlite", "site", "Lakeview")) as audit:
        audit.append(entry("started", object_type="program"), now=NOW)
    page.read()
    qtbot.waitUntil(lambda: page.model.rowCount() == 324)
    assert bar.value() == at > 100 and page.card.number == 323


def test_that_verify_reads_the_file_again_and_says_where_it_breaks(page: HistoryPage, qtbot: QtBot) -> None:
    page.verify.click()
    qtbot.waitUntil(lambda: "is whole" in page.banner.text())
    folder = page.folder_of()
    assert folder is not None
    with closing(sqlite3.connect(folder / "audit.sqlite")) as file, file:
        file.execute("DELETE FROM entries WHERE seq = 9")
    page.verify.click()
    qtbot.waitUntil(lambda: "is broken" in page.banner.text())
    assert page.verdict.text() == "The record is broken: entry 9 cannot be trusted." and not page.mark.isEnabled()
    assert "Keep the file as it is" in page.explained.text()


def coordinator(folder: Path, head: str) -> Path:
    folder.mkdir()
    with closing(Audit(folder / "audit.sqlite", "coordinator", "Riverside")) as audit:
        told = entry("update_accepted", role="coordinator", object_type="update", peer="Lakeview", peer_head=head)
        audit.append(told, now=NOW)
    return folder / "audit.sqlite"


def test_that_a_comparison_says_whether_both_records_fit(page: HistoryPage, qtbot: QtBot, tmp_path: Path) -> None:
    head = str(page.view.rows[20]["hash"])
    page.compare_with(str(coordinator(tmp_path / "fits", head)))
    qtbot.waitUntil(lambda: "The two records match" in page.banner.text())
    page.compare_with(str(coordinator(tmp_path / "other", "0" * 64)))
    qtbot.waitUntil(lambda: "entry 1 cannot be trusted" in page.banner.text())
    (tmp_path / "note.json").write_text("{}")
    page.compare_with(str(tmp_path / "note.json"))
    qtbot.waitUntil(lambda: "neither an audit file nor an export" in page.banner.text())
    assert page.model.rowCount() == 27, "what is shown stays"


def test_that_a_broken_record_of_the_other_side_is_not_called_our_own(
    page: HistoryPage, qtbot: QtBot, tmp_path: Path
) -> None:
    other = coordinator(tmp_path / "other", str(page.view.rows[20]["hash"]))
    with closing(sqlite3.connect(other)) as file, file:
        file.execute("UPDATE entries SET owner = 'Nobody'")
    page.compare_with(str(other))
    qtbot.waitUntil(lambda: str(other) in page.banner.text())
    assert "is whole" in page.verdict.text() and page.mark.isEnabled()


def test_that_a_review_needs_a_name_and_becomes_an_entry(page: HistoryPage, qtbot: QtBot) -> None:
    page.mark.click()
    dialog = page.dialog
    assert dialog is not None and dialog.name.text() == OPERATOR and "up to number 27" in words(dialog)
    dialog.name.line.clear()
    assert not dialog.yes.isEnabled()
    qtbot.keyClicks(dialog.name.line, "Ada Novak")
    qtbot.keyClicks(dialog.remark.line, "Monthly")
    dialog.yes.click()
    qtbot.waitUntil(lambda: page.model.rowCount() == 28)
    assert page.model.index(0, 1).data() == "Record reviewed"
    assert "Reviewed up to entry 28 by Ada Novak" in page.reviewed.text()


def test_that_a_review_covers_what_was_seen_and_not_what_came_while_it_was_asked(
    page: HistoryPage, qtbot: QtBot
) -> None:
    folder = page.folder_of()
    assert folder is not None
    page.ask_mark()
    assert page.dialog is not None and "up to number 27" in words(page.dialog)
    with closing(Audit(folder / "audit.sqlite", "site", "Lakeview")) as audit:
        audit.append(entry("started", object_type="program"), now=NOW)
    page.read()
    qtbot.waitUntil(lambda: page.model.rowCount() == 28)
    page.dialog.yes.click()
    qtbot.waitUntil(lambda: page.model.rowCount() == 29)
    assert (page.view.rows[29]["object_id"], page.view.reviewed) == ("27", 27)


def test_that_what_a_person_asked_for_is_done_also_where_the_record_changes_meanwhile(
    page: HistoryPage, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, looked_at, look = threading.Event(), [], files.look

    def slow(folder: Path, against: Path | None = None) -> files.Looked:
        looked_at.append(against)
        hold.wait(10)
        return look(folder, against)

    monkeypatch.setattr(files, "look", slow)
    other = write_record(tmp_path / "other") / "audit.sqlite"
    page.compare_with(str(other))
    page.show_desk(Desk(record=Record(spec=None, entries=(), decisions=(), final=None)))
    hold.set()
    qtbot.waitUntil(lambda: page.banner.text() != "")
    assert looked_at[0] == other and "come from the same side" in page.banner.text()
    qtbot.waitUntil(lambda: page._task is None)


def test_that_marking_a_record_that_was_changed_meanwhile_says_so(page: HistoryPage, qtbot: QtBot) -> None:
    folder = page.folder_of()
    assert folder is not None
    (folder / "audit.sqlite").unlink()
    write_record(folder, owner="Elsewhere")
    page.ask_mark()
    assert page.dialog is not None
    page.dialog.yes.click()
    qtbot.waitUntil(lambda: "nothing was marked" in page.banner.text())


def test_that_each_export_holds_every_entry_and_the_json_is_signed(page: HistoryPage, qtbot: QtBot) -> None:
    folder = page.folder_of()
    assert folder is not None
    key = load_key(folder, "site", in_file=True)[0]
    with closing(Audit(folder / "audit.sqlite", "site", "Lakeview", key.fingerprint)) as audit:
        audit.append(entry("stopped", object_type="program"), now=NOW)
    page.check()
    qtbot.waitUntil(lambda: page.model.rowCount() == 28)
    page.search.line.setText("nobody")
    for ending in files.ENDINGS:
        page.write(str(folder / f"history.{ending}"))
        qtbot.waitUntil(lambda ending=ending: f"Saved as {folder / 'history'}.{ending}" in page.banner.text())
    assert f"--verify-audit {folder / 'history.json'}" in page.banner.text()
    verdict = verify_audit(folder / "history.json")
    assert verdict.fault is None and verdict.file.signed_by == key.fingerprint and len(verdict.file.rows) == 28
    assert (folder / "history.csv").read_text("utf-8-sig").count("\n") == 29
    assert (folder / "history.pdf").read_bytes().startswith(b"%PDF-")
    content = json.loads((folder / "history.json").read_text())
    content["entries"][3]["reason"] = "another"
    (folder / "changed.json").write_text(json.dumps(content))
    assert verify_audit(folder / "changed.json").fault is not None


@pytest.mark.parametrize("ending", files.ENDINGS)
def test_that_an_export_that_cannot_be_written_says_so(page: HistoryPage, qtbot: QtBot, ending: str) -> None:
    page.write(f"/nowhere/at/all/history.{ending}")
    qtbot.waitUntil(lambda: "/nowhere/at/all" in page.banner.text())
    assert "Saved" not in page.banner.text()


def test_that_the_page_says_why_there_is_nothing(qtbot: QtBot, tmp_path: Path) -> None:
    page = HistoryPage(lambda: NOW)
    qtbot.addWidget(page)
    page.show()
    page.show_desk(Desk())
    assert page.empty.isVisible() and not page.state.isVisible()
    page.folder_of = lambda: tmp_path
    page.show_desk(Desk())
    qtbot.waitUntil(lambda: page._task is None)
    assert page.empty.isVisible()
    (tmp_path / "audit.sqlite").write_text("no record")
    page.hide()
    page.show()
    page.show_desk(Desk())
    qtbot.waitUntil(lambda: "neither an audit file" in page.verdict.text())
    shutil.copy(write_record(tmp_path / "site") / "audit.sqlite", tmp_path)
    page.verify.click()
    qtbot.waitUntil(lambda: page.model.rowCount() == 27)


def test_that_the_page_is_reached_by_its_key_and_follows_the_record(qtbot: QtBot, tmp_path: Path) -> None:
    folder = write_record(tmp_path / "site")
    with shown(Scene("rounds", "key", nobody), tmp_path, (1280, 720)) as stage:
        window = stage.window
        window.pages.record_folder = lambda: folder
        qtbot.keyClick(window, Qt.Key.Key_6, Qt.KeyboardModifier.ControlModifier)
        assert window.page == "history"
        qtbot.waitUntil(lambda: window.history.model.rowCount() == 27)
        with closing(Audit(folder / "audit.sqlite", "site", "Lakeview")) as audit:
            audit.append(entry("stopped", object_type="program"), now=NOW)
        window.show_desk(replace(Desk(), record=Record(None, (), (), None)), NOW)
        qtbot.waitUntil(lambda: window.history.model.rowCount() == 28)


def test_that_a_site_that_was_joined_earlier_has_its_record_though_it_does_not_run(
    desktop: Opened, tmp_path: Path
) -> None:
    one = desktop().begin()
    assert one.window.pages.record_folder() is None
    folder = write_record(tmp_path / "site")
    values = {"address": "ws://127.0.0.1:1", "name": "North", "model": "m", "notes": "n", "data_dir": str(folder)}
    one.program.settings.values.joined = JoinRequest.model_validate(values)
    assert one.window.pages.record_folder() == folder


class Ticks(QTimer):
    """Notes how long the GUI thread computed at most between two ticks, in seconds; others' load does not count."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.worst, self._last = 0.0, time.thread_time()
        self.timeout.connect(self._tick)
        self.start(1)

    @Slot()
    def _tick(self) -> None:
        now = time.thread_time()
        self.worst, self._last = max(self.worst, now - self._last), now


@pytest.mark.slow
def test_that_ten_thousand_entries_stay_smooth(qtbot: QtBot, tmp_path: Path) -> None:
    """Scrolling, walking and searching: generous (0.25 s), where Qt's usual columns take more than a second."""
    rows = tuple(dict(zip(("seq", "hash"), (n, f"{n:064x}"), strict=True)) for n in range(1, MANY + 1))
    pattern = read_audit(write_record(tmp_path)).rows[22]
    looked = files.Looked(tmp_path, AuditFile(tmp_path, tuple(pattern | row for row in rows)))
    assert looked.file is not None
    looked = files.Looked(tmp_path, looked.file, history_view(looked.file))
    page = HistoryPage(lambda: NOW)
    qtbot.addWidget(page)
    page.resize(1100, 700)
    page.show()
    page.show_looked(looked)
    qtbot.wait(100)
    ticks = Ticks(page)
    for step in range(60):
        page.table.verticalScrollBar().setValue(step * 160)
        page.table.selectRow(step * 160)
        qtbot.wait(5)
    for text in ("okafor", "okafor 9", "okafor 99", "none such", ""):
        page.search.line.setText(text)
        page.search.changed.emit()
        qtbot.wait(20)
    ticks.stop()
    assert page.model.rowCount() == MANY and ticks.worst < 0.25, f"{ticks.worst:.3f} s"
