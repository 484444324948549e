# SPDX-License-Identifier: Apache-2.0
"""The parts of pages: named for screen readers, reached by keys, whole at 200 % text, and showing what they say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QHelpEvent, QImage, QStandardItem, QStandardItemModel, QTextDocument
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QPushButton, QToolTip, QWidget
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.look.theme import Appearance, active, px
from fedmed_desktop.desktop.look.tokens import THEMES, contrast
from fedmed_desktop.desktop.notes.shared import SharedView, SharePair
from fedmed_desktop.desktop.notes.shared_card import SharedCard
from fedmed_desktop.desktop.widgets import (
    Badge,
    Banner,
    Button,
    Caption,
    Card,
    ElidedLabel,
    EmptyState,
    Flow,
    Heading,
    KeyValueRows,
    LinkButton,
    NavigationBar,
    PageBase,
    Pair,
    PrimaryButton,
    Progress,
    Row,
    Sentence,
    StateLabel,
    Stepper,
    StepState,
    Table,
    Tag,
    TextTable,
)
from fedmed_desktop.desktop.widgets.bars import Bars, BarValue
from fedmed_desktop.desktop.widgets.card_columns import CardColumns
from fedmed_desktop.desktop.widgets.icon import Restyled
from fedmed_desktop.desktop.widgets.layout import MAX_WIDTH, SHARE
from fedmed_desktop.desktop.widgets.table import shortened

STEPS = ("Download", "Train", "Your approval", "Upload", "Combine")


@pytest.fixture
def appearance(qapp: QApplication) -> Iterator[Appearance]:
    made = Appearance(qapp, "light")
    yield made
    made.choose("light")
    made.set_text_scale(1.0)
    made.end()


class EveryPart(PageBase):
    """A page with one of everything."""

    def __init__(self) -> None:
        super().__init__()
        self.add(Heading("Round 3 of 10"))
        self.add(Banner("The connection was lost. It is tried again.", "warn", "Try now"))
        self.stepper = Stepper(STEPS)
        self.add(self.stepper)
        decision, worth = Card(), Card("What has improved")
        decision.add(Heading("Ready for your decision", 2))
        decision.add(Sentence("The adapter trained on your 2,310 notes is waiting. Nothing has left this computer."))
        decision.add(PrimaryButton("Review and decide"))
        self.pairs = KeyValueRows([Pair("Drug", "0.61 → 0.74"), Pair("Verbatim recall", "0 of 200", "ok")])
        worth.add(self.pairs)
        self.row = Row(decision, worth)
        self.add(self.row)
        buttons = Row(Button("Hold", "pause"), LinkButton("Layer by layer", "external"), StateLabel("Failed", "bad"))
        self.add(buttons)
        self.add(table_of_rounds())
        self.add(Caption("Kept in History"))
        self.add(EmptyState("people", "You have not joined a federation", "Join one.", "Join", ["See a demonstration"]))
        self.add(Progress("Training"))
        self.finish()


def table_of_rounds() -> Table:
    table = Table("Earlier rounds")
    model = QStandardItemModel(0, 3, table)
    model.setHorizontalHeaderLabels(["Round", "Decided by", "Sent"])
    for number in ("2", "1"):
        model.appendRow([QStandardItem(number), QStandardItem("M. Okafor"), QStandardItem("20.2 MB")])
    table.setModel(model)
    return table


@pytest.fixture
def page(appearance: Appearance, qtbot: QtBot) -> EveryPart:
    made = EveryPart()
    qtbot.addWidget(made)
    made.resize(1000, 700)
    made.show()
    return made


def shown_parts(widget: QWidget) -> list[QWidget]:
    return [child for child in widget.findChildren(QWidget) if child.isVisible()]


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0])
def test_that_nothing_is_clipped_at_any_text_scale(
    appearance: Appearance, page: EveryPart, qapp: QApplication, scale: float
) -> None:
    appearance.set_text_scale(scale)
    for _ in range(3):  # rows turn, then their page is laid out again
        qapp.processEvents()
    assert page.widget().width() <= page.viewport().width(), "the page scrolls sideways"
    for part in shown_parts(page.column):
        if isinstance(part, QPushButton) or (isinstance(part, QLabel) and not isinstance(part, ElidedLabel)):
            high = part.heightForWidth(part.width()) if part.hasHeightForWidth() else part.sizeHint().height()
            assert part.height() >= high, f"{part.text()!r} is cut off below"
        if isinstance(part, QPushButton) or (isinstance(part, QLabel) and not part.wordWrap()):
            assert part.width() >= part.minimumSizeHint().width(), f"{part.text()!r} is cut off at the side"


def test_that_every_part_with_the_focus_has_a_name(page: EveryPart, qapp: QApplication) -> None:
    reachable = [part for part in shown_parts(page.column) if part.focusPolicy() != Qt.FocusPolicy.NoFocus]
    assert len(reachable) >= 8
    nameless = [part for part in reachable if not (part.accessibleName() or getattr(part, "text", str)())]
    assert not nameless


@pytest.mark.parametrize("name", THEMES)
@pytest.mark.parametrize("kind", [Button, PrimaryButton, LinkButton, QLineEdit])
def test_that_the_focus_ring_is_seen_in_every_theme(
    appearance: Appearance, qtbot: QtBot, qapp: QApplication, name: str, kind: type[QWidget]
) -> None:
    appearance.choose(name)
    ground = Card()
    qtbot.addWidget(ground)
    part, other = kind(), Button("other")
    ground.add(part)
    ground.add(other)
    with qtbot.waitExposed(ground):
        ground.show()
    ground.activateWindow()
    qtbot.waitUntil(ground.isActiveWindow)
    other.setFocus()
    qapp.processEvents()
    without = part.grab().toImage()
    part.setFocus()
    qtbot.waitUntil(part.hasFocus)
    assert changed_share(without, part.grab().toImage()) > 0.02


def changed_share(before: QImage, after: QImage) -> float:
    """Share of pixels that differ from what they were by 3:1 or more."""
    places = [(x, y) for x in range(before.width()) for y in range(before.height())]
    changed = [place for place in places if before.pixelColor(*place) != after.pixelColor(*place)]
    seen = [p for p in changed if contrast(before.pixelColor(*p).name(), after.pixelColor(*p).name()) >= 3]
    return len(seen) / len(places)


@pytest.mark.parametrize("name", THEMES)
def test_that_icons_on_buttons_follow_the_theme(appearance: Appearance, qtbot: QtBot, name: str) -> None:
    plain, filled = Button("Pause", "pause"), PrimaryButton("Send", "upload")
    for part, token in ((plain, "ink"), (filled, "on_accent")):
        qtbot.addWidget(part)
        part.show()
        appearance.choose("dark" if name == "light" else "light")
        appearance.choose(name)
        image = part.icon().pixmap(part.iconSize(), 4.0).toImage()
        opaque = (image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height()))
        assert {pixel.name() for pixel in opaque if pixel.alpha() == 255} == {active().color(token).name()}


# Words


def test_that_a_long_line_is_shortened_and_told_whole_in_its_tip(appearance: Appearance, qtbot: QtBot) -> None:
    label = ElidedLabel("coordinator.riverside.example")
    qtbot.addWidget(label)
    label.resize(60, 20)
    label.show()
    assert label.toolTip() == "coordinator.riverside.example"
    label.resize(label.sizeHint())
    assert label.toolTip() == ""


def test_that_a_name_with_markup_in_it_is_shown_as_it_is_in_tool_tips_too(qtbot: QtBot, read_tip: list[str]) -> None:
    name = "<b>St. Mary</b> & <img src='file:///x'>, North"
    label, table = ElidedLabel(name), Table("Sites")
    model = TextTable(table)
    model.show_texts(("Site",), [(name,)])
    table.setModel(model)
    for widget in (label, table):
        qtbot.addWidget(widget)
        widget.resize(60, 90)
        widget.show()
    table.setColumnWidth(0, 40)
    place = table.visualRect(model.index(0, 0)).center()
    table.viewportEvent(QHelpEvent(QEvent.Type.ToolTip, place, table.viewport().mapToGlobal(place)))
    for tip in (label.toolTip(), *read_tip):
        document = QTextDocument()
        document.setHtml(tip)
        assert document.toPlainText() == name
    assert len(read_tip) == 1


@pytest.fixture
def read_tip(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tool tips that tables show."""
    read: list[str] = []
    monkeypatch.setattr(QToolTip, "showText", lambda place, text, widget: read.append(text))
    return read


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_that_names_beside_bars_are_never_cut_and_bars_begin_below_each_other(
    appearance: Appearance, qtbot: QtBot, qapp: QApplication, scale: float
) -> None:
    appearance.set_text_scale(scale)
    names = (
        "Eye",
        "General internal medicine",
        "Gastroenterology",
        "history_of_present_illness_and_its_course",
        "G25.1",
    )
    bars, shared = Bars(), SharedCard()
    bars.show_bars([BarValue(name, "12", 0.5) for name in names])
    shared.show_shared(SharedView("Training notes", "Alike.", tuple(SharePair(name, 0.5, 0.4) for name in names)))
    for chart in (bars, shared):
        qtbot.addWidget(chart)
        chart.resize(round(340 * scale), 900)
        chart.show()
        qapp.processEvents()
        labels = [row.name for row in chart.rows]
        assert [label.text().replace("\u200b", "") for label in labels] == list(names)
        assert labels[4].text() == names[4], "a code is never broken"
        for label in labels:
            how = int(Qt.TextFlag.TextWordWrap) if label.wordWrap() else 0
            words = label.fontMetrics().boundingRect(0, 0, label.width(), 900, how, label.text())
            assert words.height() <= label.height(), f"{label.text()!r} is cut off below"
            assert words.width() <= label.width(), f"{label.text()!r} is cut off at the side"
        assert len({label.width() for label in labels}) == 1, "bars begin at different places"
        assert chart.minimumSizeHint().width() <= chart.width()


def test_that_a_value_stands_on_one_line_where_there_is_room_and_on_several_where_there_is_none(
    qtbot: QtBot, look: Appearance
) -> None:
    rows = KeyValueRows([Pair("Who can reach it", "Other computers, encrypted")])
    qtbot.addWidget(rows)
    value = rows.facts[0].value
    line = value.fontMetrics().height()
    rows.resize(460, 200)
    rows.show()
    qtbot.waitUntil(lambda: value.heightForWidth(value.width()) < 2 * line)
    rows.resize(200, 200)
    qtbot.waitUntil(lambda: value.heightForWidth(value.width()) >= 2 * line)


def test_that_a_part_of_the_line_above_stands_to_the_right_in_all_its_lines(
    appearance: Appearance, qtbot: QtBot, qapp: QApplication
) -> None:
    rows = KeyValueRows([Pair("Drugs", "0.61"), Pair("\u2003Recall@10, by category of code", "0.61")])
    qtbot.addWidget(rows)
    rows.resize(160, 300)
    rows.show()
    qapp.processEvents()
    name = rows.facts[1]._name
    assert name.height() > 2 * name.fontMetrics().height(), "it does not wrap"
    image = name.grab().toImage()
    ground = image.pixelColor(0, 0)
    inked = [
        min((x for x in range(image.width()) if image.pixelColor(x, y) != ground), default=image.width())
        for y in range(image.height())
    ]
    upper, lower = min(inked[: image.height() // 3]), min(inked[image.height() // 3 :])
    indent = name.fontMetrics().horizontalAdvance("\u2003")
    assert upper >= indent and lower >= indent
    assert rows.facts[1].value.accessibleName() == "Recall@10, by category of code: 0.61"


def test_that_badges_and_tags_are_hidden_while_they_have_nothing_to_say(page: EveryPart, qtbot: QtBot) -> None:
    badge, tag = Badge(), Tag()
    page.add(badge)
    page.add(tag)
    assert badge.isHidden() and tag.isHidden()
    badge.set_count(3)
    tag.setText("test")
    assert not badge.isHidden() and not tag.isHidden()
    badge.set_count(250)
    assert badge.text() == "99+"


def test_that_a_state_is_an_icon_and_a_word(page: EveryPart, qapp: QApplication) -> None:
    label = StateLabel()
    page.add(label)
    qapp.processEvents()
    label.show_state("Offline", "bad", "offline")
    assert (label.word(), label.accessibleName()) == ("Offline", "Offline")
    shown = {part.metaObject().className() for part in shown_parts(label)}
    assert shown == {"Icon", "ElidedLabel"}


def test_that_text_is_never_read_as_markup(page: EveryPart) -> None:
    label = Sentence("<b>Site</b> <img src='x'>")
    page.add(label)
    assert label.textFormat() is Qt.TextFormat.PlainText


# Stepper


def test_that_the_stepper_says_where_the_round_stands(page: EveryPart) -> None:
    stepper = page.stepper
    stepper.show_step(2)
    assert stepper.accessibleDescription() == "Step 3 of 5: Your approval"
    assert [stepper.state(step) for step in range(5)] == [
        StepState.DONE, StepState.DONE, StepState.CURRENT, StepState.AHEAD, StepState.AHEAD,
    ]  # fmt: skip
    stepper.show_step(3, failed=True)
    assert stepper.accessibleDescription() == "Step 4 of 5 failed: Upload"
    assert stepper.state(3) is StepState.FAILED
    stepper.show_step(5)
    assert stepper.accessibleDescription() == "All 5 steps are done"
    assert stepper.state(4) is StepState.DONE


def test_that_the_steppers_colours_follow_the_theme(appearance: Appearance, page: EveryPart) -> None:
    page.stepper.show_step(5)
    for name in THEMES:
        appearance.choose(name)
        image = page.stepper.grab().toImage()
        seen = {image.pixelColor(x, image.height() // 2).name() for x in range(px(20))}
        assert active().color("ok").name() in seen


# Notices


def test_that_a_banner_is_there_only_with_a_sentence_and_tells_of_its_button(page: EveryPart, qtbot: QtBot) -> None:
    banner = Banner()
    page.add(banner)
    assert banner.isHidden()
    banner.show_message("The disk is full. Free 2 GB and continue.", "bad", "Continue")
    assert not banner.isHidden()
    assert banner.accessibleName() == "The disk is full. Free 2 GB and continue."
    with qtbot.waitSignal(banner.acted):
        qtbot.mouseClick(banner.button, Qt.MouseButton.LeftButton)
    banner.show_message("Sent.", "ok")
    assert banner.button.isHidden()


def test_that_an_empty_state_tells_which_button_was_chosen(page: EveryPart, qtbot: QtBot) -> None:
    state = EmptyState("people", "Nothing here", "", "Join", ["Demonstration", "Try a model"])
    page.add(state)
    chosen: list[int] = []
    state.chosen.connect(chosen.append)
    for button in state.buttons:
        qtbot.keyClick(button, Qt.Key.Key_Space)
    assert chosen == [0, 1, 2]
    assert [type(button) for button in state.buttons] == [PrimaryButton, Button, Button]


# Names and values


def test_that_values_are_walked_and_copied_by_keys(page: EveryPart, qtbot: QtBot, qapp: QApplication) -> None:
    page.activateWindow()
    qtbot.waitUntil(page.isActiveWindow)
    first, second = (row.value for row in page.pairs.facts)
    first.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(first.hasFocus)
    assert first.selectedText() == "0.61 → 0.74"
    qtbot.keyClick(first, Qt.Key.Key_Down)
    qtbot.waitUntil(second.hasFocus)
    qtbot.keyClick(second, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert qapp.clipboard().text() == "0 of 200"
    assert second.accessibleName() == "Verbatim recall: 0 of 200"


def test_that_showing_other_pairs_keeps_what_is_still_there(page: EveryPart) -> None:
    row = page.pairs.facts[0]
    page.pairs.show_pairs([("Loss", "1.07")])
    assert page.pairs.values() == ["1.07"]
    assert page.pairs.facts == [row]
    page.pairs.show_pairs([("Loss", "1.07"), ("Size", "20.2 MB"), ("Rank", "16")])
    assert page.pairs.values() == ["1.07", "20.2 MB", "16"]


# Room


def test_that_a_row_breaks_where_it_has_no_room(page: EveryPart, qapp: QApplication) -> None:
    qapp.processEvents()
    assert not page.row.is_stacked()
    page.resize(500, 700)
    qapp.processEvents()
    assert page.row.is_stacked()
    page.resize(1000, 700)
    qapp.processEvents()
    assert not page.row.is_stacked()


def test_that_content_stays_readable_on_a_wide_screen(page: EveryPart, qapp: QApplication) -> None:
    page.resize(2000, 900)
    qapp.processEvents()
    assert page.column.width() == MAX_WIDTH
    left, right = page.column.x(), page.widget().width() - page.column.geometry().right() - 1
    assert left > 0 and abs(left - right) <= 1, "in the middle"


def test_that_content_takes_half_of_a_screen_that_is_very_wide(page: EveryPart, qapp: QApplication) -> None:
    page.resize(3840, 900)
    qapp.processEvents()
    assert page.column.width() == round(SHARE * page.viewport().width())


def test_that_a_bold_j_at_the_beginning_of_a_heading_is_whole(appearance: Appearance, qtbot: QtBot) -> None:
    heading = Heading("Join a federation")
    qtbot.addWidget(heading)
    for scale in (1.0, 2.0):
        appearance.set_text_scale(scale)
        assert heading.contentsMargins().left() >= -heading.fontMetrics().leftBearing("J")
    heading.setText("Monitor")
    assert heading.contentsMargins().left() == max(0, -heading.fontMetrics().leftBearing("M"))


@pytest.mark.parametrize(("width", "columns"), [(1000, 3), (640, 2), (300, 1)])
def test_that_three_cards_stand_in_as_many_columns_as_there_is_room_for(
    appearance: Appearance, qtbot: QtBot, qapp: QApplication, width: int, columns: int
) -> None:
    del appearance
    cards = CardColumns(*(Card(name, least=240) for name in ("What leaves", "How well it works", "How it differs")))
    window = QWidget()  # a window would be as wide as what its layout asks for
    qtbot.addWidget(window)
    cards.setParent(window)
    cards.resize(width, 400)
    window.show()
    qapp.processEvents()
    assert cards.columns == columns


def test_that_a_time_is_never_shortened(appearance: Appearance, qtbot: QtBot, qapp: QApplication) -> None:
    appearance.set_text_scale(2.0)
    table = Table("Decisions")
    model = TextTable(table)
    table.setModel(model)
    qtbot.addWidget(table)
    time = "2026-05-04 09:47:52"
    model.show_texts(("Time", "Decision", "Reason"), [(time, "Taken back", "A reason that goes on and on " * 9)])
    table.resize(700, 300)
    table.show()
    qapp.processEvents()
    assert table.columnWidth(0) >= table.fontMetrics().horizontalAdvance(time) + 6


def test_that_columns_share_what_is_left_and_the_widest_give_way_first() -> None:
    assert shortened([300, 200, 60], 100, 120) == [200, 200, 60]
    assert shortened([300, 200, 60], 150, 120) == [175, 175, 60]
    assert shortened([300, 200, 60], 900, 120) == [120, 120, 60]


def test_that_a_table_is_as_high_as_its_rows_and_fills_its_width(page: EveryPart, qtbot: QtBot) -> None:
    table = page.findChild(Table)
    assert table is not None
    qtbot.waitUntil(lambda: table.height() == table.sizeHint().height())
    assert sum(table.columnWidth(column) for column in range(3)) == table.viewport().width()
    before = table.height()
    model = table.model()
    assert isinstance(model, QStandardItemModel)
    model.appendRow([QStandardItem("0"), QStandardItem("M. Okafor"), QStandardItem("10 MB")])
    qtbot.waitUntil(lambda: table.height() == before + table.rowHeight(0))


# Navigation


def test_that_pages_are_walked_by_arrow_keys_and_named_with_what_waits(appearance: Appearance, qtbot: QtBot) -> None:
    bar = NavigationBar()
    qtbot.addWidget(bar)
    for drawing, word in (("rounds", "Rounds"), ("monitor", "Monitor"), ("approvals", "Approvals")):
        bar.add_page(drawing, word)
    bar.show()
    bar.activateWindow()
    qtbot.waitUntil(bar.isActiveWindow)
    bar.button(0).setFocus()
    qtbot.waitUntil(bar.button(0).hasFocus)
    assert bar.current() == 0
    with qtbot.waitSignal(bar.chosen, check_params_cb=lambda number: number == 1):
        qtbot.keyClick(bar.button(0), Qt.Key.Key_Down)
    with qtbot.waitSignal(bar.chosen, check_params_cb=lambda number: number == 2):
        bar.choose(2)
    bar.set_count(2, 1)
    assert bar.button(2).accessibleName() == "Approvals, 1 waiting"
    bar.set_count(2, 0)
    assert bar.button(2).accessibleName() == "Approvals"
    with pytest.raises(IndexError):
        bar.choose(7)


def test_that_progress_stays_within_its_line(page: EveryPart) -> None:
    line = page.findChild(Progress)
    assert line is not None
    line.set_share(0.655)
    assert line.value() == 655
    line.set_share(1.7)
    assert line.value() == line.maximum()


def test_that_buttons_go_on_in_the_next_line_and_keep_to_their_end(appearance: Appearance, qtbot: QtBot) -> None:
    one, two, last = Button("Try it on a note"), Button("Save evidence"), PrimaryButton("Send adapter")
    flow = Flow(one, two)
    flow.push()
    flow.add(last)
    qtbot.addWidget(flow)
    flow.resize(900, flow.heightForWidth(900))
    flow.show()
    assert one.y() == two.y() == last.y()
    assert last.geometry().right() == flow.width() - 1
    assert two.x() == one.geometry().right() + 1 + 8
    two_lines = one.width() + two.width() + 20
    flow.resize(two_lines, flow.heightForWidth(two_lines))
    assert one.y() == two.y() < last.y()
    narrow = one.width() + 4
    flow.resize(narrow, flow.heightForWidth(narrow))
    assert one.y() < two.y() < last.y()
    assert last.geometry().bottom() < flow.height()
    assert last.geometry().right() == flow.width() - 1
    two.hide()
    assert flow.heightForWidth(900) == one.height()


class Counted(Restyled, QWidget):
    """Says how often it was set."""

    times = 0

    def restyle(self) -> None:
        self.times += 1


def test_that_a_part_is_set_once_for_each_look_however_often_it_is_put_into_another(
    appearance: Appearance, qtbot: QtBot
) -> None:
    part = Counted()
    inner: QWidget = part
    for _ in range(4):
        outer = QWidget()
        inner.setParent(outer)
        inner = outer
    qtbot.addWidget(inner)
    inner.show()
    assert part.times == 1
    appearance.choose("dark")
    appearance.set_text_scale(2.0)
    assert part.times == 3


def test_that_a_drawing_keeps_its_distance_from_a_word_that_comes_later(appearance: Appearance, qtbot: QtBot) -> None:
    later, at_once = LinkButton("", "chevron"), LinkButton("Every number", "chevron")
    for button in (later, at_once):
        qtbot.addWidget(button)
    assert later.iconSize() != at_once.iconSize()
    later.setText("Every number")
    assert later.iconSize() == at_once.iconSize()
