# SPDX-License-Identifier: Apache-2.0
"""Roles for screen readers where Qt's own do not say what a part is: headings, and the list of pages.

Qt would call a heading plain text, so that nobody can jump from one to the next, and a page's button a check box.
"""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import QAbstractButton, QAccessibleWidget, QLabel, QWidget

from .labels import Heading, Overline
from .navigation import NavigationBar, NavigationButton

Role = QAccessible.Role


class _Spoken(QAccessibleWidget):
    """A widget under another role, by the words that stand on it now."""

    def __init__(self, widget: QWidget, role: Role) -> None:
        super().__init__(widget, role)
        self._part = widget

    def text(self, kind: QAccessible.Text) -> str:
        if kind != QAccessible.Text.Name:
            return super().text(kind)
        written = self._part.text() if isinstance(self._part, QLabel | QAbstractButton) else ""
        return self._part.accessibleName() or written


class _Page(_Spoken):
    """A page of the window: chosen or not, and to be chosen by a screen reader too."""

    def __init__(self, button: NavigationButton) -> None:
        super().__init__(button, Role.PageTab)
        self._button = button

    def state(self) -> QAccessible.State:
        state = super().state()
        state.selectable, state.selected = True, self._button.isChecked()
        return state

    def actionNames(self) -> list[str]:
        return [self.pressAction(), *super().actionNames()]

    def doAction(self, name: str) -> None:
        if name == self.pressAction():
            self._button.click()
        else:
            super().doAction(name)


def _spoken(_name: str, part: QObject) -> QAccessibleWidget | None:
    """Called by Qt for each part that is asked for; None leaves it to Qt."""
    if isinstance(part, NavigationButton):
        return _Page(part)
    if isinstance(part, NavigationBar):
        return _Spoken(part, Role.PageTabList)
    if isinstance(part, Heading | Overline):
        return _Spoken(part, Role.Heading)
    return None


_installed: list[bool] = []


def install_roles() -> None:
    """Installs the roles once per process; does nothing where this Qt has no way to."""
    if not _installed and hasattr(QAccessible, "installFactory"):
        _installed.append(True)
        QAccessible.installFactory(_spoken)
