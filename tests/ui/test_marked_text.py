# SPDX-License-Identifier: Apache-2.0
"""A note with its entities marked, and the legend that shows and hides them."""

from __future__ import annotations

import time

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QTextCursor
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from fedmed_desktop.clinical import Span
from fedmed_desktop.clinical.tasks import Link
from fedmed_desktop.desktop.look.entities import colors, count_types
from fedmed_desktop.desktop.look.theme import Appearance, load_theme
from fedmed_desktop.desktop.widgets.entity_legend import EntityLegend
from fedmed_desktop.desktop.widgets.marked_text import MarkedText

TEXT = "On 💊 warfarin for\natrial fibrillation.\nStopped."
SPANS = (Span(5, 13, "drug"), Span(18, 37, "problem"))


def shown(qtbot: QtBot, text: str = TEXT, spans: tuple[Span, ...] = SPANS, grows: bool = False) -> MarkedText:
    widget = MarkedText("Note", grows)
    qtbot.addWidget(widget)
    widget.resize(320, 160)
    widget.show()
    widget.show_text(text, spans)
    return widget


def select(widget: MarkedText, start: int, end: int) -> str:
    cursor = widget.textCursor()
    cursor.setPosition(start)
    cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
    widget.setTextCursor(cursor)
    return widget.createMimeDataFromSelection().text()


def test_that_entities_carry_their_types_word_and_the_rest_is_as_it_was(qtbot: QtBot) -> None:
    widget = shown(qtbot)
    assert widget.marked() == [("warfarin", "drug"), ("atrial fibrillation", "problem")]
    assert widget.toPlainText().replace("\u00a0", " ") == (
        "On 💊 warfarin drug for\natrial fibrillation problem.\nStopped."
    )
    assert widget.accessibleDescription() == "2 entities: warfarin, drug; atrial fibrillation, problem"
    assert widget.isReadOnly()


def test_that_what_is_copied_is_the_note(qtbot: QtBot) -> None:
    widget = shown(qtbot)
    assert select(widget, 0, widget.document().characterCount() - 1) == TEXT
    assert select(widget, 7, 21) == "arfarin f"
    qtbot.keyClick(widget, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(widget, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text() == TEXT


def test_that_a_mark_is_seen_by_its_ground_and_its_underline(qtbot: QtBot, qapp: QApplication) -> None:
    look = Appearance(qapp, "light")
    widget = shown(qtbot, "aaa bbb", (Span(4, 7, "drug"),))
    qtbot.waitExposed(widget)
    image = widget.viewport().grab().toImage()
    colors = {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}
    theme = load_theme("light")
    assert theme.entity_fill("entity_1").name() in colors
    assert theme.color("entity_1").name() in colors
    widget.set_hidden(frozenset({"drug"}))
    plain = widget.viewport().grab().toImage()
    assert QColor(theme.entity_fill("entity_1")).name() not in {
        plain.pixelColor(x, y).name() for x in range(plain.width()) for y in range(plain.height())
    }
    look.deleteLater()


def test_that_hidden_types_come_back(qtbot: QtBot) -> None:
    widget = shown(qtbot)
    widget.set_hidden(frozenset({"drug"}))
    assert widget.marked() == [("atrial fibrillation", "problem")]
    assert "drug" not in widget.toPlainText()
    assert widget.accessibleDescription() == "1 entity: atrial fibrillation, problem"
    widget.set_hidden(frozenset())
    assert len(widget.marked()) == 2


def test_that_streaming_lays_out_only_what_is_new(qtbot: QtBot) -> None:
    words = "word " * 2000
    spans = [Span(5 * n, 5 * n + 4, "drug") for n in range(0, 2000, 5)]
    widget = shown(qtbot, words, ())
    changed: list[tuple[int, int, int]] = []
    widget.document().contentsChange.connect(lambda *at: changed.append(at))
    widget.show_text(words, spans[:300])
    changed.clear()
    widget.show_text(words, spans[:301])
    assert changed and min(at for at, _, _ in changed) > spans[298].end
    changed.clear()
    began = time.perf_counter()
    for _ in range(1000):
        widget.show_text(words, spans[:301])
    assert changed == [] and time.perf_counter() - began < 1.0


def test_that_a_selection_before_what_is_new_stays(qtbot: QtBot) -> None:
    widget = shown(qtbot, spans=SPANS[:1])
    select(widget, 0, 5)
    widget.show_text(TEXT, SPANS)
    assert widget.createMimeDataFromSelection().text() == "On 💊"


def test_that_a_text_that_grows_needs_no_scrolling(qtbot: QtBot) -> None:
    widget = shown(qtbot, TEXT * 5, (), grows=True)
    wide = widget.sizeHint().height()
    widget.resize(160, 100)
    qtbot.waitUntil(lambda: widget.sizeHint().height() > wide)
    widget.resize(160, widget.sizeHint().height())
    assert widget.document().size().height() <= widget.viewport().height()


def test_that_tab_leaves_the_text(qtbot: QtBot) -> None:
    assert shown(qtbot).tabChangesFocus()


def test_that_types_keep_their_colour_while_others_come(qtbot: QtBot) -> None:
    widget = shown(qtbot, TEXT, (Span(18, 37, "allergy"),))
    before = widget.type_colors["allergy"]
    widget.show_text(TEXT, (Span(5, 13, "admission"), Span(18, 37, "allergy")))
    assert widget.type_colors["allergy"] == before != widget.type_colors["admission"]
    other = shown(qtbot)
    other.set_colors(colors(["allergy", "drug", "problem"]))
    assert set(other.type_colors) == {"allergy", "drug", "problem"}


def test_that_a_change_of_the_theme_changes_the_ink(qtbot: QtBot, qapp: QApplication) -> None:
    look = Appearance(qapp, "light")
    widget = shown(qtbot)
    look.choose("dark")
    cursor = widget.textCursor()
    cursor.setPosition(1)
    assert cursor.charFormat().foreground().color() == load_theme("dark").color("ink")
    assert len(widget.marked()) == 2
    look.choose("light")
    look.deleteLater()


def test_that_the_legend_shows_and_hides_by_mouse_and_key(qtbot: QtBot) -> None:
    widget, legend = shown(qtbot), EntityLegend()
    qtbot.addWidget(legend)
    legend.hidden_changed.connect(widget.set_hidden)
    legend.show_types(count_types(SPANS), widget.type_colors)
    legend.resize(400, 60)
    legend.show()
    assert legend.button("drug").accessibleName() == "drug, 1 marked"
    qtbot.mouseClick(legend.button("drug"), Qt.MouseButton.LeftButton)
    assert widget.marked() == [("atrial fibrillation", "problem")]
    qtbot.keyClick(legend.button("problem"), Qt.Key.Key_Space)
    assert widget.marked() == [] and legend.hidden() == {"drug", "problem"}
    legend.show_types({"drug": 2}, widget.type_colors)
    assert legend.hidden() == {"drug"}, "what is pressed stays so when counts change"


def test_that_the_legend_breaks_into_lines_where_it_is_narrow(qtbot: QtBot) -> None:
    legend = EntityLegend()
    qtbot.addWidget(legend)
    legend.show_types({f"type_{n}": n for n in range(6)}, {f"type_{n}": "entity_1" for n in range(6)})
    assert legend.heightForWidth(150) > legend.heightForWidth(2000)
    legend.resize(150, legend.heightForWidth(150))
    legend.show()
    assert max(button.geometry().right() for button in legend._buttons.values()) <= 150


LINKED = "Gave warfarin daily and 💊 aspirin."
DAILY = Link(Span(5, 13, "drug"), Span(14, 19, "frequency"))
ENDS = (*DAILY, Span(26, 33, "drug"))


def of_color(widget: MarkedText, type_name: str, height: int) -> int:
    """Pixels above `height` in the colour of a type, as they are on the screen."""
    color = load_theme("light").tokens[widget.type_colors[type_name]].lower()
    image = widget.viewport().grab().toImage()
    return sum(image.pixelColor(x, y).name() == color for x in range(image.width()) for y in range(height))


def test_that_a_line_leads_from_a_modifier_to_its_mention(qtbot: QtBot, qapp: QApplication) -> None:
    look = Appearance(qapp, "light")
    widget = shown(qtbot, LINKED, ENDS)
    widget.show_links([DAILY])
    above = int(widget.cursorRect(QTextCursor(widget.document())).top()) - 1
    assert above > 8 and of_color(widget, "frequency", above) > 10
    widget.set_hidden(["frequency"])
    assert of_color(widget, "frequency", above) == 0
    widget.set_hidden([])
    widget.show_links([])
    assert widget.cursorRect(QTextCursor(widget.document())).top() < 8
    look.deleteLater()


def test_that_lines_change_no_word_and_follow_the_width(qtbot: QtBot) -> None:
    widget = shown(qtbot, LINKED, ENDS, grows=True)
    before = widget.toPlainText()
    late = Link(ENDS[2], Span(14, 19, "frequency"))
    widget.show_links([DAILY, late])
    assert widget.toPlainText() == before
    assert select(widget, 0, widget.document().characterCount() - 1) == LINKED
    widget.resize(90, 400)
    assert widget._lines.drawn == [DAILY, late] and widget._lines._routes.edges > 0
    widget.resize(900, 400)
    assert widget._lines._routes.edges == 0


@pytest.mark.parametrize("scale", [1.0, 2.0])
@pytest.mark.parametrize("count", [1, 3, 4, 6])
def test_that_lines_between_two_lines_of_words_touch_no_underline(
    qtbot: QtBot, qapp: QApplication, count: int, scale: float
) -> None:
    look = Appearance(qapp, "light", scale)
    note = "Gave warfarin.\nIn all: " + ", ".join("abcdef")
    drug, *modifiers = Span(5, 13, "drug"), *(Span(23 + 3 * at, 24 + 3 * at, "dosage") for at in range(count))
    widget = shown(qtbot, note, (drug, *modifiers))
    widget.resize(1200, 400)
    widget.show_links([Link(drug, modifier) for modifier in modifiers])
    routes = widget._lines._routes.routes
    assert len(routes) == count and all(route.edge is not None for route in routes)
    (mark,) = widget._places(5, 13)
    for route in routes:
        assert mark.bottom() + 2 * scale < widget._lines._height(route.tail, route.tail_lane) < route.tail.top
    look.deleteLater()
