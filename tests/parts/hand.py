# SPDX-License-Identifier: Apache-2.0
"""A person's hand on a window: it scrolls until a thing is in sight, and clicks and types where that lies.

Events go to the window (QWindow), not to the widget: what lies under the pointer gets them, as with a real mouse.
"""

from __future__ import annotations

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QKeySequence, QWindow
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QScrollArea, QWidget

_NOTCH = 120  # of a wheel, in eighths of a degree
_MOST_NOTCHES = 200


class Hand:
    """Use in the GUI thread. Raises AssertionError where a person could not do it either."""

    def click(self, widget: QWidget, at: QPoint | None = None) -> None:
        """One press of the left button on the widget's centre, or on a point of it."""
        assert widget.isEnabled(), f"{_told(widget)} is disabled"
        _bring_to_front(widget.window())
        self.scroll_to(widget)
        here = at or widget.rect().center()
        under = widget.window().childAt(widget.mapTo(widget.window(), here))
        assert under is not None and (under is widget or widget.isAncestorOf(under)), (
            f"{_told(widget)} lies under {_told(under)}"
        )
        QTest.mouseClick(_handle(widget), Qt.MouseButton.LeftButton, pos=widget.mapTo(widget.window(), here))
        QApplication.processEvents()

    def scroll_to(self, widget: QWidget) -> None:
        """Turns the wheel over the page until the widget is whole, or its centre at least, in sight."""
        assert widget.isVisible(), f"{_told(widget)} is not shown"
        area = _page_of(widget)
        for _ in range(_MOST_NOTCHES):
            QApplication.processEvents()
            middle = widget.visibleRegion().contains(widget.rect().center())
            if middle or area is None:
                break
            centre = widget.mapTo(area.viewport(), widget.rect().center()).y()
            self._turn(area, down=centre > area.viewport().height() // 2)
        assert widget.visibleRegion().contains(widget.rect().center()), f"{_told(widget)} cannot be scrolled to"

    def _turn(self, area: QScrollArea, *, down: bool) -> None:
        """One notch with the pointer at the page's left edge, where no list or chart takes it."""
        here = area.viewport().mapTo(area.window(), QPoint(3, area.viewport().height() // 2))
        QTest.wheelEvent(_handle(area), QPointF(here), QPoint(0, -_NOTCH if down else _NOTCH))

    def type(self, text: str) -> None:
        """Into what has the focus."""
        focus = QApplication.focusWidget()
        assert focus is not None, "nothing has the focus"
        QTest.keyClicks(focus, text)

    def press(self, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """A key of the window that is in front."""
        window = QApplication.focusWindow()
        assert window is not None, "no window has the focus"
        QTest.keyClick(window, key, modifier)
        QApplication.processEvents()

    def keys(self, sequence: str | QKeySequence.StandardKey) -> None:
        """One combination, such as "Ctrl+4"."""
        combination = QKeySequence(sequence)[0]
        self.press(combination.key(), combination.keyboardModifiers())

    def tab_to(self, widget: QWidget, most: int = 60) -> None:
        """Goes on with Tab until the widget has the focus."""
        for _ in range(most):
            if QApplication.focusWidget() is widget:
                return
            self.press(Qt.Key.Key_Tab)
        raise AssertionError(f"Tab does not come to {_told(widget)}")

    def paste(self, widget: QWidget, text: str) -> None:
        """From the clipboard, into a field that is clicked on."""
        QApplication.clipboard().setText(text)
        self.click(widget)
        self.keys(QKeySequence.StandardKey.SelectAll)
        self.keys(QKeySequence.StandardKey.Paste)


def _bring_to_front(window: QWidget) -> None:
    """As a window manager does with the window that is clicked on."""
    if QApplication.activeWindow() is not window:
        QTest.qWaitForWindowExposed(window)
        window.activateWindow()
        assert QTest.qWaitForWindowActive(window), "the window does not come to the front"


def _handle(widget: QWidget) -> QWindow:
    handle = widget.window().windowHandle()
    assert handle is not None
    return handle


def _page_of(widget: QWidget) -> QScrollArea | None:
    """The outermost area that scrolls with the widget in it."""
    found, parent = None, widget.parentWidget()
    while parent is not None and not parent.isWindow():
        if isinstance(parent, QScrollArea):
            found = parent
        parent = parent.parentWidget()
    return found


def _told(widget: QWidget | None) -> str:
    text = getattr(widget, "text", None)
    words = text() if callable(text) else ""
    name = widget.accessibleName() if widget is not None else ""
    return f"{type(widget).__name__} {words or name!r}"
