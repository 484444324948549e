# SPDX-License-Identifier: Apache-2.0
"""Two lines, a name and a smaller note below it, each shortened to fit."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ..look import theme
from ..widgets import ElidedLabel, Spaced

_LEAST = 270  # px at text scale 1: narrower, and nothing of the words would be left


class TwoLines(Spaced):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.first = ElidedLabel()
        self.second = ElidedLabel(size=12, tone="dim")
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 2)
        column.addStretch(1)
        column.addWidget(self.first)
        column.addWidget(self.second)
        column.addStretch(1)

    def minimumSizeHint(self) -> QSize:
        return QSize(theme.px(_LEAST), super().minimumSizeHint().height())
