# SPDX-License-Identifier: Apache-2.0
"""Parts behind a link, for the few who need them."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from .buttons import LinkButton
from .layout import Spaced


class Folded(Spaced):
    """`link` shows the parts and hides them again; they are hidden at first. `opened` comes before they are shown, so
    that they can be made at the first need.
    """

    opened = Signal()

    def __init__(self, name: str, *parts: QWidget, spacing: int = 16, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.link, self._behind = LinkButton(name, "chevron"), Spaced()
        column, behind = QVBoxLayout(self), QVBoxLayout(self._behind)
        self._lay(column, (0, 0, 0, 0), 8)
        self._behind._lay(behind, (0, 0, 0, 0), spacing)
        self._parts = behind
        self._behind.hide()
        column.addWidget(self.link, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self._behind)
        for part in parts:
            self.add(part)
        self.link.clicked.connect(self._toggle)

    @property
    def is_open(self) -> bool:
        return not self._behind.isHidden()

    def add(self, part: QWidget) -> None:
        self._parts.addWidget(part)

    def open(self, shown: bool = True) -> None:
        if shown and not self.is_open:
            self.opened.emit()
        self._behind.setVisible(shown)
        self.link.set_icon("chevron_up" if shown else "chevron")

    @Slot()
    def _toggle(self) -> None:
        self.open(not self.is_open)
