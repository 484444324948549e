# SPDX-License-Identifier: Apache-2.0
"""Joining by invitation: pasted, opened, dropped or read from a picture, and told at once where it is mistyped."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import segno
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage, QTransform
from PySide6.QtWidgets import QApplication, QFileDialog, QLabel
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.checks import findings
from fedmed_desktop.desktop.join.files import open_invitation
from fedmed_desktop.desktop.join.page import JoinPage
from fedmed_desktop.desktop.join.picture import text_in_picture
from fedmed_desktop.desktop.work import tasks
from fedmed_desktop.desktop.work.requests import JoinRequest
from fedmed_desktop.protocol.invitation import Invitation, file_text, read_invitation
from fedmed_desktop.resources import resource
from fedmed_desktop.site.findings import Finding
from fedmed_desktop.site.folder import STATE
from fedmed_desktop.site.preflight import Asked, Sizes, Takes
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.outbox import Outbox
from tests.parts.scene import spec
from tests.parts.told import told_as
from tests.parts.ui import words

MODEL, NOTES = resource("demo_model"), resource("demo_notes") / "Lakeview"
LEFT = Qt.MouseButton.LeftButton
ONE = Invitation("federation.example.org:8765", "ab" * 32, bytes(range(16)), "Universitätsklinikum Köln")
LINE = ONE.line()


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


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Köln.fedmed"
    path.write_text(file_text(ONE, "Riverside federation", datetime(2026, 5, 4, tzinfo=UTC)), "utf-8")
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "code.png"
    segno.make_qr(LINE.upper(), error="l").save(str(path), scale=3)
    return path


def paste(qtbot: QtBot, page: JoinPage, text: str) -> None:
    """As by Ctrl+V: line breaks become blanks."""
    QApplication.clipboard().setText(text)
    line = page.fields["invitation"].line
    line.selectAll()
    line.paste()
    qtbot.waitUntil(lambda: not page.fields["invitation"].waiting)


def drop(page: JoinPage, data: QMimeData) -> bool:
    """Drags something over the page and lets it go there, where the page takes it."""
    copy, buttons, none = Qt.DropAction.CopyAction, LEFT, Qt.KeyboardModifier.NoModifier
    entered = QDragEnterEvent(QPointF(50, 50).toPoint(), copy, data, buttons, none)
    entered.ignore()
    QApplication.sendEvent(page.viewport(), entered)
    if entered.isAccepted():
        QApplication.sendEvent(page.viewport(), QDropEvent(QPointF(50, 50), copy, data, buttons, none))
    return entered.isAccepted()


def shown(qtbot: QtBot, page: JoinPage) -> list[str]:
    qtbot.waitUntil(lambda: page.fields["invitation"].verdict.state == "right")
    return page.where.facts.values()


def fill_rest(qtbot: QtBot, page: JoinPage) -> None:
    page.fields["model"].line.setText(str(MODEL))
    page.fields["notes"].line.setText(str(NOTES))
    qtbot.waitUntil(page.join.isEnabled)


def test_that_the_page_tells_the_three_steps_and_asks_for_the_invitation_first(page: JoinPage) -> None:
    said = words(page)
    steps = ("The host invites you", "You enter it here", "compare six words")
    places = [said.index(step) for step in steps]
    assert places == sorted(places)
    assert page.fields["invitation"].isVisible() and not page.fields["address"].isVisible()
    page.begin()
    assert page.focusWidget() is page.fields["invitation"].line


def test_that_a_pasted_email_shows_who_hosts_and_what_comes_next(qtbot: QtBot, page: JoinPage) -> None:
    paste(qtbot, page, f"Dear colleague,\n{LINE[:70]}\n{LINE[70:]}\nBest wishes")
    assert shown(qtbot, page) == ["federation.example.org:8765", ONE.site, "\u00a0".join(["abab"] * 4)]
    assert page.fields["invitation"].text() == LINE, "the line alone is left"
    assert page.where.six_words.isVisible() and "by phone" in page.where.six_words.text()


@pytest.mark.parametrize(
    ("pasted", "word"),
    [
        (LINE[:-1], "mistyped or incomplete"),
        (LINE.replace("fedmed:a", "fedmed:b"), "mistyped or incomplete"),
        ("ws://127.0.0.1:8765", "No invitation was found"),
    ],
)
def test_that_a_wrong_line_is_told_in_place_and_nobody_can_join(
    qtbot: QtBot, page: JoinPage, pasted: str, word: str
) -> None:
    paste(qtbot, page, LINE)
    fill_rest(qtbot, page)
    paste(qtbot, page, pasted)
    assert word in page.fields["invitation"].sentence() and not page.join.isEnabled()
    assert not page.where.facts.isVisible() and not page.where.six_words.isVisible()


def test_that_join_hands_over_what_the_invitation_says(qtbot: QtBot, page: JoinPage, tmp_path: Path) -> None:
    paste(qtbot, page, LINE.upper())
    fill_rest(qtbot, page)
    with qtbot.waitSignal(page.join_requested) as asked:
        qtbot.mouseClick(page.join, LEFT)
    request = asked.args[0]
    assert isinstance(request, JoinRequest)
    assert (request.address, request.name) == ("wss://federation.example.org:8765", ONE.site)
    assert read_invitation(request.invitation) == ONE
    assert request.data_dir.parent == tmp_path / "sites"
    assert LINE not in repr(request), "the code in it is secret"


def test_that_a_coordinator_that_has_moved_keeps_the_folder(qtbot: QtBot, page: JoinPage) -> None:
    folders = set()
    for address in ("a.example.org:1", "b.example.org:2"):
        page.where.give(Invitation(address, ONE.fingerprint, bytes(16), ONE.site).line())
        folders.add(page.form().request(Path("sites")).data_dir)
    page.where.give(Invitation("a.example.org:1", "cd" * 32, bytes(16), ONE.site).line())
    assert len(folders) == 1 and page.form().request(Path("sites")).data_dir not in folders


def test_that_the_file_can_be_opened(qtbot: QtBot, page: JoinPage, file: Path) -> None:
    qtbot.mouseClick(page.where.open_file, LEFT)
    (dialog,) = page.where.findChildren(QFileDialog)
    assert "*.fedmed" in dialog.nameFilters()[0]
    dialog.fileSelected.emit(str(file))
    dialog.reject()
    assert shown(qtbot, page)[1] == ONE.site


def test_that_a_picture_of_the_code_can_be_opened(qtbot: QtBot, page: JoinPage, picture: Path) -> None:
    qtbot.mouseClick(page.where.open_picture, LEFT)
    (dialog,) = page.where.findChildren(QFileDialog)
    assert "*.png" in dialog.nameFilters()[0] and "*.jpg" in dialog.nameFilters()[0]
    dialog.fileSelected.emit(str(picture))
    dialog.reject()
    assert shown(qtbot, page)[1] == ONE.site


@pytest.mark.parametrize("dropped", ["file", "picture", "text"])
def test_that_what_is_dropped_on_the_page_is_taken(
    qtbot: QtBot, page: JoinPage, file: Path, picture: Path, dropped: str
) -> None:
    data = QMimeData()
    if dropped == "text":
        data.setText(f"<{LINE}>")
    else:
        data.setUrls([QUrl.fromLocalFile(str({"file": file, "picture": picture}[dropped]))])
    assert drop(page, data)
    assert shown(qtbot, page)[1] == ONE.site


def test_that_a_text_of_no_use_is_not_taken(page: JoinPage) -> None:
    data = QMimeData()
    data.setText("Aspirin was given.")
    assert not drop(page, data)


def test_that_a_file_dropped_into_the_line_is_read(qtbot: QtBot, page: JoinPage, file: Path) -> None:
    page.fields["invitation"].line.setText(QUrl.fromLocalFile(str(file)).toString())
    assert shown(qtbot, page)[1] == ONE.site
    assert page.fields["invitation"].text() == LINE


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("cut.fedmed", LINE[:60].encode(), "mistyped"),
        ("empty.fedmed", b"", "No invitation was found"),
        ("bytes.fedmed", bytes(range(256)) * 40, "No invitation was found"),
        ("broken.png", b"\x89PNG\r\n\x1a\n" + bytes(64), "cannot be read as a picture"),
        ("gone.fedmed", None, "There is no file"),
    ],
)
def test_that_a_file_without_an_invitation_says_so(
    qtbot: QtBot, page: JoinPage, tmp_path: Path, name: str, content: bytes | None, word: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    page.where.open(str(tmp_path / name))
    qtbot.waitUntil(lambda: page.fields["invitation"].verdict.state == "wrong")
    assert word in page.fields["invitation"].sentence() and not page.join.isEnabled()


def test_that_a_page_left_while_it_reads_a_file_asks_again(qtbot: QtBot, page: JoinPage, file: Path) -> None:
    page.where.open(str(file))
    assert page.fields["invitation"].verdict.state == "checking"
    qtbot.mouseClick(page.back, LEFT)
    assert page.fields["invitation"].verdict.state == "empty"


@pytest.mark.parametrize("given", ["line", "file", "picture", "address"])
def test_that_the_command_line_opens_the_page_filled_in(
    qtbot: QtBot, page: JoinPage, file: Path, picture: Path, given: str
) -> None:
    if given == "address":
        page.prefill("ws://127.0.0.1:9")
        assert page.fields["address"].isVisible() and page.fields["address"].text() == "ws://127.0.0.1:9"
        return
    page.prefill({"line": LINE, "file": str(file), "picture": str(picture)}[given])
    assert shown(qtbot, page)[1] == ONE.site


def test_that_the_other_way_keeps_what_was_given(qtbot: QtBot, page: JoinPage) -> None:
    paste(qtbot, page, LINE)
    fill_rest(qtbot, page)
    qtbot.mouseClick(page.where.turn, LEFT)
    assert page.fields["address"].isVisible() and page.fields["name"].isVisible() and not page.join.isEnabled()
    assert page.fields["address"].line.hasFocus()
    qtbot.mouseClick(page.where.turn, LEFT)
    assert page.fields["invitation"].text() == LINE and page.join.isEnabled()


def test_that_a_site_that_used_its_invitation_needs_no_new_one(qtbot: QtBot, page: JoinPage, tmp_path: Path) -> None:
    used = JoinRequest(address=ONE.url, name=ONE.site, model=MODEL, notes=NOTES, data_dir=tmp_path / "sites" / "köln")
    page.prefill_request(used, "The base model is another one.")
    assert shown(qtbot, page) == ["federation.example.org:8765", ONE.site]
    assert "needs no new one" in page.fields["invitation"].sentence()
    qtbot.waitUntil(page.join.isEnabled)
    with qtbot.waitSignal(page.join_requested) as asked:
        qtbot.mouseClick(page.join, LEFT)
    assert asked.args[0] == used


def test_that_a_try_that_failed_has_its_invitation_again(qtbot: QtBot, page: JoinPage, tmp_path: Path) -> None:
    tried = JoinRequest(
        address=ONE.url, name=ONE.site, model=MODEL, notes=NOTES, data_dir=tmp_path / "sites" / "a", invitation=LINE
    )
    page.prefill_request(tried)
    qtbot.waitUntil(page.join.isEnabled)
    assert page.fields["invitation"].text() == LINE
    assert page.form().request(tmp_path / "sites", tried) == tried


def test_that_the_check_before_joining_asks_about_this_coordinator_and_this_computer(
    qtbot: QtBot, page: JoinPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Asked] = []

    def look(what: Asked) -> list[Finding]:
        asked.append(what)
        return [Finding("disk", "wrong", "check.disk_full", {"path": "here", "free": "1 MB", "needed": "1 GB"})]

    monkeypatch.setattr(findings, "findings", look)
    qtbot.mouseClick(page.findings.button, LEFT)
    assert "Enter the invitation first" in page.findings.summary.text() and not asked
    paste(qtbot, page, LINE)
    fill_rest(qtbot, page)
    page.proxy = "none"
    qtbot.mouseClick(page.findings.button, LEFT)
    qtbot.waitUntil(lambda: len(page.findings.rows) == 1)
    assert asked[0].target and asked[0].target.address == ONE.url
    assert (asked[0].target.expected, asked[0].target.proxy, asked[0].model) == (ONE.fingerprint, "none", MODEL)
    assert "One thing" in page.findings.summary.text()
    page.where.give(Invitation("b.example.org:1", "cd" * 32, bytes(16), "Lakeview").line())
    assert not page.findings.rows, "what was found is about another coordinator"


def test_that_torch_is_asked_what_training_takes_beside_the_screens_thread(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    asked: list[Asked] = []

    def weighed(what: Asked) -> Asked:
        threads.append(threading.current_thread())
        return replace(what, takes=Takes(3, 2))

    def look(what: Asked) -> list[Finding]:
        asked.append(what)
        return []

    monkeypatch.setattr(findings, "findings", look)
    card = findings.FindingsCard("Check", "Nothing is joined.", weighed)
    qtbot.addWidget(card)
    card.look(Asked(model=MODEL))
    qtbot.waitUntil(lambda: bool(asked))
    qtbot.waitUntil(card.button.isEnabled)
    assert asked[0].takes == Takes(3, 2) and threads[0] is not threading.main_thread()


def test_that_memory_is_counted_for_the_federation_that_this_site_joined_before(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox(tmp_path / STATE, BlobStore(tmp_path / "blobs"))
    outbox.remember("spec", spec().model_dump_json())
    outbox.close()
    asked: list[Asked] = []
    monkeypatch.setattr(findings, "findings", lambda what: [])
    card = findings.FindingsCard("Check", "Nothing is joined.", lambda what: asked.append(what) or what)
    qtbot.addWidget(card)
    for folder in (tmp_path, tmp_path / "new"):
        card.look(Asked(model=MODEL, data_dir=folder))
        qtbot.waitUntil(card.button.isEnabled)
    assert [one.sizes for one in asked] == [Sizes.of(spec()), Sizes()]


def test_that_what_leaves_and_what_never_does_stands_beside_it(page: JoinPage) -> None:
    said = " ".join(label.text() for label in page.findChildren(QLabel))
    assert "name and public key" in said and "Never: words of notes" in said


# -- pictures ----------------------------------------------------------------------------------------------------------


def image(scale: int = 3, dark: str = "black", light: str | None = "white") -> QImage:
    data = io.BytesIO()
    segno.make_qr(LINE.upper(), error="l").save(data, kind="png", scale=scale, dark=dark, light=light)
    return QImage.fromData(data.getvalue())


def saved(path: Path, made: QImage) -> Path:
    assert made.save(str(path))
    return path


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda: image().transformed(QTransform().rotate(90)), id="on its side"),
        pytest.param(lambda: image(6).transformed(QTransform().rotate(17)), id="askew"),
        pytest.param(lambda: image(8).scaled(300, 300), id="made smaller"),
        pytest.param(lambda: image(60), id="larger than what is looked at"),
        pytest.param(lambda: image(dark="white", light="black"), id="light on dark, as in a terminal"),
        pytest.param(lambda: image(light=None), id="transparent"),
        pytest.param(lambda: image().transformed(QTransform().scale(-1, 1)), id="in a mirror"),
    ],
)
def test_that_a_code_is_read_however_it_lies(tmp_path: Path, made: object) -> None:
    assert callable(made)
    line, _ = open_invitation(str(saved(tmp_path / "code.png", made())))
    assert line == LINE


def test_that_a_photograph_is_read(tmp_path: Path) -> None:
    path = tmp_path / "code.jpg"
    assert image(5).save(str(path), "JPEG", 60)
    assert open_invitation(str(path))[0] == LINE


def test_that_a_picture_with_another_code_or_none_says_so(tmp_path: Path) -> None:
    blank = QImage(200, 200, QImage.Format.Format_RGB32)
    blank.fill(Qt.GlobalColor.gray)
    with told_as("No QR code can be made out"):
        text_in_picture(saved(tmp_path / "blank.png", blank))
    segno.make_qr("https://example.org").save(str(tmp_path / "other.png"), scale=4)
    with told_as("not an invitation's"):
        text_in_picture(tmp_path / "other.png")
    cut = image(4).copy(0, 0, 120, 400)
    with told_as("No QR code"):
        text_in_picture(saved(tmp_path / "cut.png", cut))
