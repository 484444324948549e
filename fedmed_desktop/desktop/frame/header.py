# SPDX-License-Identifier: Apache-2.0
"""The strip at the top of the window: which federation, which environment, whether its coordinator is there, menu."""

from __future__ import annotations

from urllib.parse import urlsplit

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFocusEvent
from PySide6.QtWidgets import QMenu, QSizePolicy, QToolButton, QWidget

from ..look.icons import icon, icon_size
from ..widgets import Bar, ElidedLabel, Icon, StateLabel, Tag
from ..widgets.labels import Weight
from ..work.desk import Desk

APP_NAME = "fedmed-desktop"


_BY_KEYS = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason, Qt.FocusReason.ShortcutFocusReason)
_FOR_A_WHILE = (Qt.FocusReason.ActiveWindowFocusReason, Qt.FocusReason.PopupFocusReason)


class MenuButton(QToolButton):
    """`strayed`: the focus has come here by itself, since the part that had it is gone, as after a dialog."""

    strayed = Signal()
    _is_wanted = False

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self._is_wanted = self._is_wanted or event.reason() in _BY_KEYS
        if not self._is_wanted:
            self.strayed.emit()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._is_wanted = self._is_wanted and event.reason() in _FOR_A_WHILE


class Header(Bar):
    """Shows the desk's connection by icon and word; the environment's word stands beside the federation's name."""

    def __init__(self, menu: QMenu, parent: QWidget | None = None) -> None:
        super().__init__("bottom", parent)
        self._name = ElidedLabel(APP_NAME, weight=Weight.DemiBold)
        self._environment = Tag()
        self._state = StateLabel()
        self._state.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)  # its word is always whole
        self._address = ElidedLabel(mode=Qt.TextElideMode.ElideMiddle, size=12, tone="dim")
        self._menu = MenuButton()
        self._menu.setMenu(menu)
        self._menu.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._menu.setAccessibleName(self.tr("Menu"))
        self._menu.setToolTip(self.tr("Menu"))
        self._menu.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the focus where it is, also after a dialog
        self._menu.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.add(Icon("app", "accent", 24))
        self.add(self._name)
        self.add(self._environment)
        self.content.addStretch(1)
        self.add(self._state)
        self.add(self._address)
        self.add(self._menu)
        self.restyle()

    def show_desk(self, desk: Desk) -> None:
        joined = desk.joined.federation if desk.joined else ""
        self._name.setText(desk.federation or joined or (self.tr("Demonstration") if desk.is_demo else APP_NAME))
        self._environment.setText(self._word(desk))
        connection = desk.connection
        shown = desk.running and connection is not None
        self._state.setVisible(shown)
        self._address.setVisible(shown)
        if connection is None:
            return
        word, tone, drawing = {
            "connected": (self.tr("Connected"), "ok", "link"),
            "connecting": (self.tr("Connecting"), "dim", "refresh"),
            "lost": (self.tr("Offline"), "warn", "offline"),
            "refused": (self.tr("Refused"), "bad", "warning"),
        }[connection.state]
        self._state.show_state(word, tone, drawing)
        self._address.setText(self.tr("this computer") if desk.is_demo else urlsplit(connection.address).netloc)

    @property
    def menu(self) -> MenuButton:
        return self._menu

    def title(self, state: str) -> str:
        """State and federation in one line, for who sees no more of the window than its title."""
        return " – ".join(dict.fromkeys(part for part in (state, self._name.text(), APP_NAME) if part))

    def _word(self, desk: Desk) -> str:
        """Nothing that a demonstration makes counts either."""
        found = desk.spec.environment if desk.spec else desk.joined.environment if desk.joined else ""
        return self.tr("Test") if desk.running and (desk.is_demo or found == "test") else ""

    def restyle(self) -> None:
        super().restyle()
        self._menu.setIcon(icon("menu"))
        self._menu.setIconSize(icon_size())
