# SPDX-License-Identifier: Apache-2.0
"""Search in the guide's window: typed, found, marked on the page, and all of it by keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.guide.window import GuideDialog
from fedmed_desktop.desktop.look.theme import Appearance
from fedmed_desktop.wording import install
from fedmed_desktop.wording.catalogue import Catalogue

KEY = Qt.Key
CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def guide(qtbot: QtBot) -> Iterator[GuideDialog]:
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = GuideDialog(parent)
    dialog.open_at("rounds")
    qtbot.waitUntil(dialog.text.hasFocus)
    yield dialog
    dialog.close()


def search(qtbot: QtBot, guide: GuideDialog, words: str) -> None:
    qtbot.keyClick(guide.text, KEY.Key_F, CTRL)
    qtbot.waitUntil(guide.search.line.hasFocus)
    with qtbot.waitSignal(guide.search.wanted):
        qtbot.keyClicks(guide.search.line, words)


def titles(guide: GuideDialog) -> list[str]:
    role = Qt.ItemDataRole.AccessibleTextRole
    return [guide.results.item(row).data(role).partition(":")[0] for row in range(guide.results.count())]


def test_that_typing_shows_pages_in_place_of_the_contents_and_marks_the_open_one(
    guide: GuideDialog, qtbot: QtBot
) -> None:
    search(qtbot, guide, "approval")
    assert titles(guide)[0] == "Approvals" and guide.results.isVisible() and guide.contents.isHidden()
    assert guide.page == "rounds", "what is read stays until somebody chooses"
    marked = {mark.cursor.selectedText().lower() for mark in guide.text.extraSelections()}
    assert marked == {"approval", "approvals", "approve", "approved"}


def test_that_enter_opens_the_best_page_and_goes_on_through_its_places(guide: GuideDialog, qtbot: QtBot) -> None:
    search(qtbot, guide, "approve")
    qtbot.keyClick(guide.search.line, KEY.Key_Return)
    assert guide.page == "approvals"
    count = len(guide.text.extraSelections())
    assert guide.search.places.text() == f"1 of {count} on this page" and count > 1
    qtbot.keyClick(guide.search.line, KEY.Key_Return)
    assert guide.search.places.text() == f"2 of {count} on this page"
    qtbot.keyClick(guide.search.line, KEY.Key_F3)
    qtbot.keyClick(guide.search.line, KEY.Key_F3, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(guide.search.line, KEY.Key_F3, Qt.KeyboardModifier.ShiftModifier)
    assert guide.search.places.text() == f"1 of {count} on this page"
    qtbot.keyClick(guide.search.line, KEY.Key_F3, Qt.KeyboardModifier.ShiftModifier)
    assert guide.search.places.text() == f"{count} of {count} on this page", "before the first comes the last"
    qtbot.keyClick(guide.search.line, KEY.Key_Left, Qt.KeyboardModifier.AltModifier)
    assert guide.page == "rounds"


def test_that_the_found_place_is_in_sight_and_stands_out(guide: GuideDialog, qtbot: QtBot) -> None:
    search(qtbot, guide, "telemetry")
    guide.results.setCurrentRow(next(row for row, title in enumerate(titles(guide)) if title == "Settings"))
    assert guide.page == "settings" and guide.text.viewport().rect().contains(guide.text.cursorRect().center())
    here, *others = guide.text.extraSelections()
    assert all(here.format.background() != other.format.background() for other in others)
    assert here.format.fontUnderline() or here.format.underlineStyle() != here.format.UnderlineStyle.NoUnderline


def test_that_the_arrow_keys_lead_through_what_was_found(guide: GuideDialog, qtbot: QtBot) -> None:
    search(qtbot, guide, "drift")
    qtbot.keyClick(guide.search.line, KEY.Key_Down)
    qtbot.waitUntil(guide.results.hasFocus)
    first = guide.page
    qtbot.keyClick(guide.results, KEY.Key_Down)
    assert guide.results.currentRow() == 1 and guide.page != first


def test_that_escape_brings_the_contents_back_before_it_closes_the_guide(guide: GuideDialog, qtbot: QtBot) -> None:
    search(qtbot, guide, "epsilon")
    qtbot.keyClick(guide.search.line, KEY.Key_Escape)
    assert guide.isVisible() and guide.contents.isVisible() and guide.results.isHidden()
    assert guide.text.extraSelections() == [] and not guide.search.places.isVisible()
    qtbot.keyClick(guide.search.line, KEY.Key_Escape)
    assert not guide.isVisible()


def test_that_nothing_found_says_so_and_what_to_do(guide: GuideDialog, qtbot: QtBot) -> None:
    search(qtbot, guide, "xylophone")
    assert guide.nothing.text() == "Nothing found for “xylophone”: try another word." and guide.nothing.isVisible()
    assert guide.results.isHidden() and guide.contents.isHidden()
    search(qtbot, guide, "epsillon")
    assert guide.nothing.text() == "Nothing found for “epsillon”. Did you mean “epsilon”?"
    search(qtbot, guide, "xylophone epsilon")
    assert guide.nothing.text().startswith("No page has all of these words") and titles(guide)


def test_that_what_is_typed_is_no_markup_and_no_pattern(guide: GuideDialog, qtbot: QtBot) -> None:
    search(qtbot, guide, "<b>.*(x{0}")
    assert "<b>.*(x{0}" in guide.nothing.text() or titles(guide)


def test_that_the_guide_opens_on_its_contents_again(guide: GuideDialog, qtbot: QtBot) -> None:
    search(qtbot, guide, "epsilon")
    guide.close()
    guide.open_at("join")
    assert guide.search.line.text() == "" and guide.contents.isVisible() and guide.text.extraSelections() == []


def test_that_everything_that_can_be_reached_has_a_name(guide: GuideDialog, qtbot: QtBot) -> None:
    search(qtbot, guide, "approve")
    for part in (guide.search.line, guide.search.before, guide.search.after, guide.results, guide.text):
        assert part.accessibleName(), part
    role = Qt.ItemDataRole.AccessibleTextRole
    assert all(len(guide.results.item(row).data(role)) > 20 for row in range(guide.results.count()))


def test_that_in_another_language_the_search_says_that_pages_are_english(qtbot: QtBot) -> None:
    install(Catalogue("de", {}))
    try:
        parent = QWidget()
        qtbot.addWidget(parent)
        german = GuideDialog(parent)
        german.open_at("rounds")
        assert german.search.english.isVisible() and "English" in german.search.english.text()
        german.close()
    finally:
        install(None)


def test_that_in_english_it_does_not(guide: GuideDialog) -> None:
    assert guide.search.english.isHidden()


def test_that_results_are_read_whole_at_twice_the_size_of_text(
    guide: GuideDialog, look: Appearance, qtbot: QtBot
) -> None:
    look.set_text_scale(2.0)
    guide.resize(720, 690)
    search(qtbot, guide, "secure aggregation")
    label = guide.results._labels[0]
    qtbot.waitUntil(lambda: label.height() >= label.heightForWidth(label.width()))
    assert guide.results.horizontalScrollBar().maximum() == 0
    qtbot.waitUntil(lambda: guide.text.height() > 2 * guide.fontMetrics().height())
