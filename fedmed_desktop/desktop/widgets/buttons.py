# SPDX-License-Identifier: Apache-2.0
"""Buttons: one filled at most per page, plain ones, and links."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QRectF, Qt, Signal, Slot
from PySide6.QtGui import QIcon, QKeyEvent, QPainter, QPaintEvent, QPen, QWhatsThisClickedEvent
from PySide6.QtWidgets import QMenu, QPushButton, QSizePolicy, QWidget

from ..look import theme
from ..look.icons import icon as drawn
from ..look.icons import icon_size
from .icon import Restyled
from .labels import set_tone

ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class Button(Restyled, QPushButton):
    """A plain button; Enter presses it only while it has the focus. Its text is its accessible name."""

    ink = "ink"

    def __init__(self, text: str = "", icon: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self._drawing = icon
        self.setAutoDefault(False)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.restyle()

    def setText(self, text: str) -> None:
        had = bool(self.text())
        super().setText(text)
        if had != bool(text):
            self.restyle()  # a drawing without a word beside it has no space there

    def set_icon(self, name: str) -> None:
        """Another drawing before the word; empty for none."""
        if name != self._drawing:
            self._drawing = name
            self.restyle()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter presses what has the focus, once however long it is held down."""
        if event.key() not in ENTER:
            super().keyPressEvent(event)
            return
        event.accept()
        if not event.isAutoRepeat():
            self._on_enter()

    def _on_enter(self) -> None:
        if self.menu() is not None:
            self.showMenu()
        else:
            self.click()

    def setMenu(self, menu: QMenu | None) -> None:
        super().setMenu(menu)  # type: ignore[arg-type]  # Qt takes a null pointer, the stub forgets it
        set_tone(self, "menu", menu is not None)

    def restyle(self) -> None:
        space = theme.gap(4) if self.text() else 0
        self.setIconSize(icon_size(space))
        self.setIcon(drawn(self._drawing, self.ink, space=space) if self._drawing else QIcon())


class PrimaryButton(Button):
    """The page's one next step, filled with the accent. The focus ring lies inside, since outside it would not show."""

    ink = "on_accent"

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.hasFocus():
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(theme.active().color("on_accent"), 2))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(4, 4, -4, -4), 3, 3)


class WaryButton(PrimaryButton):
    """Button for what cannot be undone: the mouse and the space bar press it, Enter never does, but it says so."""

    enter_refused = Signal()

    def _on_enter(self) -> None:
        self.enter_refused.emit()


class LinkButton(Button):
    """A button that reads as a link: it goes somewhere and changes nothing."""

    ink = "accent"

    def __init__(self, text: str = "", icon: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, icon, parent)
        self.setCursor(Qt.CursorShape.PointingHandCursor)


class HelpLink(LinkButton):
    """The "?" beside words that not everybody knows. `about` is its name and tool tip; a press asks the window for
    `place` in the guide, a page or `page#heading`, by the event that Qt has for it.
    """

    def __init__(self, about: str, place: str, parent: QWidget | None = None) -> None:
        super().__init__("", "help", parent)
        self.place = place
        self.setToolTip(about)
        self.setAccessibleName(about)
        self.clicked.connect(self._ask)

    @Slot()
    def _ask(self) -> None:
        QCoreApplication.sendEvent(self, QWhatsThisClickedEvent(self.place))
