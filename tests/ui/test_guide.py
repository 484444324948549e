# SPDX-License-Identifier: Apache-2.0
"""The guide: every page opens, links lead to pages that exist, and the page of the window is the page that opens."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QPoint, QRect, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QTextImageFormat
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.guide import files as guide_module
from fedmed_desktop.desktop.guide.files import PAGES, UNDER, guide_text, guide_title
from fedmed_desktop.desktop.guide.page_view import _pictures
from fedmed_desktop.desktop.guide.window import GuideDialog
from fedmed_desktop.desktop.look.theme import TEXT_PX, Appearance, px
from fedmed_desktop.federation.methods import METHODS
from fedmed_desktop.resources import resource

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#]+)[^)]*\)")


@pytest.fixture
def guide(qtbot: QtBot) -> Iterator[GuideDialog]:
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = GuideDialog(parent)
    yield dialog
    dialog.close()


@pytest.mark.parametrize("page", [*PAGES, *UNDER])
def test_that_every_page_opens(guide: GuideDialog, page: str) -> None:
    guide.open_at(page)
    assert guide.isVisible() and guide.page == page
    assert guide.contents.currentItem().text() == guide_title(UNDER.get(page, page))
    assert guide.text.toPlainText().startswith(guide_title(page))
    assert guide.text.verticalScrollBar().value() == 0
    assert guide_title(page) in guide.text.accessibleName()


def test_that_the_search_is_made_while_the_window_opens_and_not_while_somebody_types(guide: GuideDialog) -> None:
    guide_module.guide_search.cache_clear()
    guide.open_at("rounds")
    assert guide_module.guide_search.cache_info().currsize == 1


@pytest.mark.parametrize("page", [*PAGES, *UNDER])
def test_that_links_resolve_to_pages_and_pages_are_short(page: str) -> None:
    text = guide_text(page)
    assert text.startswith("# ") and len(text.splitlines()) < 60
    links = LINK.findall(text)
    assert links
    for link in links:
        assert link.removesuffix(".md") in (*PAGES, *UNDER), f"{page}.md links to {link}"


def test_that_no_page_is_left_out() -> None:
    assert {path.stem for path in resource("guide").glob("*.md")} == {*PAGES, *UNDER}


@pytest.mark.parametrize("page", ["monitor", "approvals", "privacy"])
def test_that_what_is_inferred_is_called_so(page: str) -> None:
    assert "inferred" in guide_text(page).lower()


@pytest.mark.parametrize("page", ["rounds", "join", "monitor", "approvals", "try-it"])
def test_that_pages_say_what_to_do_when_something_is_wrong(page: str) -> None:
    assert "## When something is wrong" in guide_text(page)


@pytest.mark.parametrize("name", METHODS)
def test_that_a_method_s_page_says_what_when_how_and_whence(name: str) -> None:
    text = guide_text(f"method-{name}")
    for heading in ("What it does", "When to use it", "Formula", "Source"):
        assert f"## {heading}\n" in text
    assert max(map(len, text.split("```")[1].splitlines())) <= 56, "a formula that has to be scrolled"
    settings = METHODS[name].model_fields.keys() - {"name"}
    assert {field for field in settings if f"`{field}`" not in text} == set()
    assert f"(method-{name}.md)" in guide_text("methods")


@pytest.mark.parametrize("name", ["adaptive_fedlora", "fedopal", "sa_fedlora"])
def test_that_a_method_whose_paper_gives_no_formula_is_called_a_re_design(name: str) -> None:
    text = guide_text(f"method-{name}")
    assert "**inferred**" in text and "comparable" in text


def test_that_the_contents_lead_from_a_method_back_to_all_methods(guide: GuideDialog, qtbot: QtBot) -> None:
    guide.open_at("methods")
    guide.text.anchorClicked.emit(QUrl("method-fedavg.md"))
    assert guide.page == "method-fedavg" and guide.contents.currentRow() == PAGES.index("methods")
    place = guide.contents.visualItemRect(guide.contents.currentItem()).center()
    qtbot.mouseClick(guide.contents.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert guide.page == "methods"
    guide.go_back()
    assert guide.page == "method-fedavg"


def test_that_a_link_turns_the_page(guide: GuideDialog) -> None:
    guide.open_at("rounds")
    guide.text.anchorClicked.emit(QUrl("monitor.md"))
    assert guide.page == "monitor" and guide.contents.currentRow() == PAGES.index("monitor")


def test_that_links_to_elsewhere_open_nothing(guide: GuideDialog, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[QUrl] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    guide.open_at("rounds")
    for link in ("https://example.org/monitor.md", "file:///etc/monitor.md", "secrets.md"):
        guide.text.anchorClicked.emit(QUrl(link))
    assert guide.page == "rounds" and not opened
    assert not guide.text.openExternalLinks() and not guide.text.openLinks()


def test_that_the_contents_are_reached_by_keys(guide: GuideDialog, qtbot: QtBot) -> None:
    guide.open_at("rounds")
    guide.contents.setFocus()
    qtbot.keyClick(guide.contents, Qt.Key.Key_Down)
    assert guide.page == "join"
    qtbot.keyClick(guide, Qt.Key.Key_Escape)
    assert not guide.isVisible()


def test_that_one_window_is_opened_again_without_blocking(guide: GuideDialog) -> None:
    guide.open_at("join")
    guide.close()
    guide.open_at("try-it")
    assert guide.isVisible() and not guide.isModal() and guide.page == "try-it"


def test_that_an_unknown_page_leads_to_the_first(guide: GuideDialog) -> None:
    guide.open_at("monitor")
    guide.open_at("elsewhere")
    assert guide.page == PAGES[0]


def test_that_nothing_is_read_before_it_is_wanted_and_each_page_once(
    qtbot: QtBot, qapp: QApplication, look: Appearance, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    file = guide_module.resource
    monkeypatch.setattr(guide_module, "resource", lambda name: (read.append(name), file(name))[1])
    guide_text.cache_clear()
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = GuideDialog(parent)
    look.set_text_scale(1.5)
    qapp.processEvents()
    assert read == []
    for page in (*PAGES, *UNDER, *PAGES):
        dialog.open_at(page)
    pages = [name for name in read if name.endswith(".md")]
    assert sorted(pages) == sorted(f"guide/{page}.md" for page in (*PAGES, *UNDER))
    dialog.close()
    look.set_text_scale(2.0)
    dialog.open_at("rounds")
    letters = dialog.text.document().defaultFont().pixelSize()
    assert letters == px(TEXT_PX) == 2 * TEXT_PX, "letters that changed while it was closed"
    dialog.close()


def test_that_large_letters_put_the_contents_above_the_text(
    guide: GuideDialog, qapp: QApplication, qtbot: QtBot
) -> None:
    look = Appearance(qapp, "light", 1.0)
    try:
        guide.open_at("rounds")
        guide.resize(720, 700)
        qtbot.waitUntil(lambda: guide.contents.geometry().right() < guide.text.geometry().left())
        look.set_text_scale(2.0)
        qtbot.waitUntil(lambda: guide.contents.geometry().bottom() < guide.text.geometry().top())
        qtbot.waitUntil(lambda: guide.text.height() > guide.contents.height())
        guide.open_at(PAGES[-1])
        chosen = guide.contents.visualItemRect(guide.contents.currentItem())
        assert guide.contents.viewport().rect().contains(chosen.center()), "the page's own row is out of sight"
        guide.open_at("rounds")
        assert guide.page == "rounds" and guide.text.toPlainText().startswith("Rounds")
    finally:
        look.set_text_scale(1.0)
        look.setParent(None)
        look.deleteLater()


@pytest.mark.parametrize("before", [True, False])
def test_that_at_200_percent_nothing_is_cut_off_and_it_can_be_closed(
    guide: GuideDialog, qapp: QApplication, qtbot: QtBot, before: bool
) -> None:
    look = Appearance(qapp, "light", 2.0 if before else 1.0)
    try:
        guide.open_at("rounds")
        look.set_text_scale(2.0)
        guide.resize(min(guide.width(), 860), 640)
        for part in (guide.text, guide.contents, guide.close_button, guide.back):
            qtbot.waitUntil(lambda part=part: guide.rect().contains(QRect(part.mapTo(guide, QPoint()), part.size())))  # type: ignore[misc]
        qtbot.mouseClick(guide.close_button, Qt.MouseButton.LeftButton)
        assert not guide.isVisible()
    finally:
        look.set_text_scale(1.0)
        look.setParent(None)
        look.deleteLater()


def test_that_at_200_percent_no_page_scrolls_sideways_and_hides_the_ends_of_its_formulas(
    guide: GuideDialog, look: Appearance, qtbot: QtBot
) -> None:
    look.set_text_scale(2.0)
    guide.open_at("rounds")
    guide.resize(720, 648)
    for page in (*PAGES, *UNDER):
        guide.open_at(page)
        qtbot.wait(1)
        assert guide.text.horizontalScrollBar().maximum() == 0, page


def test_that_back_leads_through_the_pages_that_were_read(guide: GuideDialog, qtbot: QtBot) -> None:
    guide.open_at("rounds")
    assert not guide.back.isEnabled()
    for link in ("join.md", "approvals.md"):
        guide.text.anchorClicked.emit(QUrl(link))
    qtbot.mouseClick(guide.back, Qt.MouseButton.LeftButton)
    assert guide.page == "join"
    guide.activateWindow()
    guide.text.setFocus()
    qtbot.waitUntil(guide.text.hasFocus)
    qtbot.keyClick(guide.text, Qt.Key.Key_Left, Qt.KeyboardModifier.AltModifier)
    assert guide.page == "rounds" and not guide.back.isEnabled()
    guide.go_back()
    assert guide.page == "rounds"


def test_that_the_guide_explains_what_people_asked() -> None:
    approvals, rounds = guide_text("approvals"), guide_text("rounds")
    for words in ("Too few to tell", "The ten seconds", "The program was closed", "*Every number*"):
        assert words in approvals
    assert "close the window" in rounds and "starts over" in rounds
    assert "What notes and models must look like" in guide_text("join")


def pictures(guide: GuideDialog) -> list[QTextImageFormat]:
    return [form for _, form in _pictures(guide.text.document())]


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_that_pictures_are_as_wide_as_the_page_and_stay_so(
    guide: GuideDialog, look: Appearance, qtbot: QtBot, scale: float
) -> None:
    look.set_text_scale(scale)
    guide.open_at("walk-join")
    for width in (900, 700):
        guide.resize(width, 660)
        qtbot.waitUntil(lambda: guide.width() == width)  # noqa: B023
        room = guide.text.viewport().width() - 2 * guide.text.document().documentMargin()
        (form,) = pictures(guide)
        assert form.width() == pytest.approx(room, abs=1) and guide.text.horizontalScrollBar().maximum() == 0
        assert 0.6 < form.height() / form.width() < 1.2


def test_that_a_picture_is_told_in_words_and_opens_larger_by_mouse_and_keys(guide: GuideDialog, qtbot: QtBot) -> None:
    guide.open_at("walk-join")
    (form,) = pictures(guide)
    assert "Join, filled in" in form.toolTip() and form.isAnchor()
    guide.text.anchorClicked.emit(QUrl(form.anchorHref()))
    larger = guide._picture
    assert larger is not None and larger.isVisible() and guide.page == "walk-join"
    assert larger.picture.pixmap().width() > 1.5 * form.width()
    assert larger.area.accessibleName().startswith("Join, filled in") == larger.windowTitle().startswith(
        "Join, filled in"
    )
    qtbot.keyClick(larger, Qt.Key.Key_Escape)
    assert not larger.isVisible() and guide.isVisible()


def test_that_tab_comes_to_a_picture(guide: GuideDialog, qtbot: QtBot) -> None:
    guide.open_at("walk-join")
    guide.activateWindow()
    qtbot.waitUntil(guide.text.hasFocus)
    for _ in range(12):
        qtbot.keyClick(guide.text, Qt.Key.Key_Tab)
        if (
            guide.text.textCursor().charFormat().isImageFormat()
            or "pictures/" in guide.text.textCursor().charFormat().anchorHref()
        ):
            break
    qtbot.keyClick(guide.text, Qt.Key.Key_Return)
    assert guide._picture is not None and guide._picture.isVisible()
    guide._picture.close()


def test_that_a_link_to_a_heading_leads_there(guide: GuideDialog, qtbot: QtBot) -> None:
    guide.open_at("monitor#rank")
    qtbot.waitUntil(lambda: guide.text.verticalScrollBar().value() > 0)
    first = guide.text.cursorForPosition(QPoint(20, 12)).block().text()
    assert first == "Rank"
    guide.open_at("monitor#no-such-heading")
    assert guide.page == "monitor"
