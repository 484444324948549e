# SPDX-License-Identifier: Apache-2.0
"""The list of pages at the left of the window."""

from __future__ import annotations

from PySide6.QtCore import QSize, Signal, Slot
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from ..look import theme
from ..look.icons import icon as drawn
from ..look.icons import icon_size
from .icon import Restyled
from .labels import Badge
from .layout import Spaced


class NavigationButton(Restyled, QPushButton):
    """One page's icon and word, with a number where something waits there."""

    def __init__(self, icon: str, word: str, parent: QWidget | None = None) -> None:
        super().__init__(word, parent)
        self._drawing, self._word = icon, word
        self.setCheckable(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._badge = Badge()
        self._row = QHBoxLayout(self)
        self._row.addStretch(1)
        self._row.addWidget(self._badge)
        self.toggled.connect(self.restyle)
        self.set_count(0)
        self.restyle()

    def set_count(self, count: int) -> None:
        self._badge.set_count(count)
        self.setAccessibleName(
            self.tr("{page}, {count} waiting").format(page=self._word, count=count) if count else self._word
        )

    def sizeHint(self) -> QSize:
        hint = super().sizeHint()
        return QSize(hint.width() + theme.px(36), hint.height())

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    @Slot()
    def restyle(self) -> None:
        self._row.setContentsMargins(0, 0, theme.gap(12), 0)
        self.setIconSize(icon_size(theme.gap(6)))
        self.setIcon(drawn(self._drawing, "ink" if self.isChecked() else "dim", space=theme.gap(6)))


class NavigationBar(Spaced):
    """Pages by icon and word; one is chosen. Arrow keys walk, Tab leaves. Pages are numbered as they were added."""

    chosen = Signal(int)  # also when the window chose by `choose`

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Pages"))
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        self._group.idToggled.connect(self._toggled)
        self._column = QVBoxLayout(self)
        self._lay(self._column, (8, 16, 8, 16), 2)
        self._column.addStretch(1)

    def add_page(self, icon: str, word: str) -> int:
        """Adds a page below the others and returns its number, from 0. The first one is chosen (without a signal)."""
        number = len(self._group.buttons())
        button = NavigationButton(icon, word)
        self._column.insertWidget(number, button)
        self._group.addButton(button, number)
        if number == 0:
            self.blockSignals(True)
            button.setChecked(True)
            self.blockSignals(False)
        return number

    def choose(self, number: int) -> None:
        """Raises IndexError for a page that was not added."""
        self.button(number).setChecked(True)

    def current(self) -> int:
        return self._group.checkedId()

    def set_count(self, number: int, count: int) -> None:
        """Shows how many things wait on a page; zero shows nothing."""
        self.button(number).set_count(count)

    def button(self, number: int) -> NavigationButton:
        button = self._group.button(number)
        if not isinstance(button, NavigationButton):
            raise IndexError(f"no page {number}")
        return button

    @Slot(int, bool)
    def _toggled(self, number: int, checked: bool) -> None:
        if checked:
            self.chosen.emit(number)

    def sizeHint(self) -> QSize:
        hint = super().sizeHint()
        return QSize(max(hint.width(), theme.gap(176)), hint.height())
