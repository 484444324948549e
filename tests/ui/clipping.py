# SPDX-License-Identifier: Apache-2.0
"""What of a window cannot be seen whole: words that are cut off, parts that stick out, pages that scroll sideways."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QRect, Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QComboBox,
    QLabel,
    QLineEdit,
    QScrollArea,
    QTableView,
    QWidget,
)

from fedmed_desktop.desktop.widgets import ElidedLabel

SHORTEST_ELIDED = 8  # characters that remain of a line that is shortened


def seen(front: QWidget, kind: type[QWidget] = QWidget) -> list[QWidget]:
    """All parts of a window that are shown; the insides of lists and fields are theirs."""
    return [widget for widget in front.findChildren(kind) if widget.isVisible() and widget.window() is front]


def told(widget: QWidget) -> str:
    text = widget.text() if isinstance(widget, QLabel | QAbstractButton) else ""
    return f"{type(widget).__name__} {text or widget.accessibleName()!r} {widget.width()} x {widget.height()}"


def cut(label: QLabel) -> bool:
    """Whether some of its words cannot be seen."""
    inside = label.contentsRect()
    if isinstance(label, ElidedLabel):
        is_whole = not label.toolTip()
        room = 0 if is_whole else label.fontMetrics().averageCharWidth() * SHORTEST_ELIDED
        return inside.height() < label.fontMetrics().height() or inside.width() < room
    if label.textFormat() == Qt.TextFormat.RichText:  # whose markup is not seen
        return label.heightForWidth(label.width()) > label.height() + 1
    if label.wordWrap():
        flags = int(Qt.TextFlag.TextWordWrap) | int(label.alignment())
        words = label.fontMetrics().boundingRect(QRect(0, 0, inside.width(), 10_000), flags, label.text())
        return words.height() > inside.height() + 1 or words.width() > inside.width() + 1
    return label.width() < label.sizeHint().width() - 1 or label.height() < label.sizeHint().height() - 1


def outside(widget: QWidget) -> bool:
    """Whether it sticks out of what holds it; the ground of what scrolls may, downwards."""
    parent = widget.parentWidget()
    if parent is None or isinstance(parent.parentWidget(), QAbstractScrollArea):
        return False
    return not parent.rect().adjusted(-1, -1, 1, 1).contains(widget.geometry())


def overlaps(button: QWidget) -> bool:
    """Whether it shares room with something beside it that is clicked or read too."""
    parent, kinds = button.parentWidget(), (QAbstractButton, QAbstractScrollArea, QComboBox, QLabel, QLineEdit)
    if parent is None:
        return False
    beside = [one for one in parent.children() if isinstance(one, kinds) and one is not button and one.isVisible()]
    solid = [one for one in beside if not one.testAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)]
    return any(one.geometry().adjusted(1, 1, -1, -1).intersects(button.geometry()) for one in solid)


def clipped(front: QWidget) -> list[str]:
    """Everything of a window that is shown and cannot be seen whole, with why; GUI thread, after it has settled."""
    return list(_clipped(front))


def _clipped(front: QWidget) -> Iterator[str]:
    labels = [label for label in seen(front, QLabel) if isinstance(label, QLabel) and label.text()]
    yield from (f"words are cut off: {told(label)}" for label in labels if cut(label))
    yield from (f"words stick out: {told(label)}" for label in labels if outside(label))
    buttons = seen(front, QAbstractButton) + seen(front, QComboBox)
    small = [b for b in buttons if b.width() < b.minimumSizeHint().width() or b.height() < b.minimumSizeHint().height()]
    yield from (f"a button is squashed: {told(button)}" for button in small)
    yield from (f"a button sticks out: {told(button)}" for button in buttons if outside(button))
    yield from (f"a button lies over another part: {told(button)}" for button in buttons if overlaps(button))
    for area in seen(front, QScrollArea):
        assert isinstance(area, QScrollArea)
        if area.horizontalScrollBar().maximum() or area.widget().width() > area.viewport().width():
            yield f"the page is wider than the window: {told(area)}"
    for table in seen(front, QTableView):
        assert isinstance(table, QTableView)
        shows_all = table.verticalHeader().length() + table.horizontalHeader().height() <= table.height()
        if shows_all and table.verticalScrollBar().maximum():
            yield f"a bar hides a row: {told(table)}"
