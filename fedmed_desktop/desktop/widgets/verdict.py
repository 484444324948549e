# SPDX-License-Identifier: Apache-2.0
"""A verdict in plain words: an icon and a heading that wraps, before the numbers that it comes from."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from .icon import Icon
from .labels import TONE_ICONS, Heading
from .layout import Spaced


class _Words(Heading):
    """Heading as wide as its one line where there is room; it wraps where there is not."""

    def __init__(self) -> None:
        super().__init__(level=2)
        policy = QSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def sizeHint(self) -> QSize:
        margins = self.contentsMargins()
        width = self.fontMetrics().horizontalAdvance(self.text()) + margins.left() + margins.right() + 2
        return QSize(width, super().sizeHint().height())


class VerdictLine(Spaced):
    """Hidden while there are no words. Tones as of a StateLabel. `beside` stands right behind the words."""

    def __init__(self, beside: QWidget | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon, self._words = Icon("info", "dim", 20), _Words()
        row = QHBoxLayout(self)
        self._lay(row, (0, 0, 0, 0), 10)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._words)
        if beside:
            row.addWidget(beside, 0, Qt.AlignmentFlag.AlignTop)
        row.addStretch(1)
        self.show_verdict("")

    def show_verdict(self, words: str, tone: str = "dim") -> None:
        self._icon.show_icon("info" if tone == "dim" else TONE_ICONS[tone], tone)
        if self._words.text() != words:
            self._words.setText(words)
        self.setVisible(bool(words))

    def text(self) -> str:
        return self._words.text()
