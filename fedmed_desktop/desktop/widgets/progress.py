# SPDX-License-Identifier: Apache-2.0
"""A thin line that fills."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QProgressBar, QSizePolicy, QWidget

from ..look import theme


class Progress(QProgressBar):
    """0 to 1 of something, 4 px high. `name` is what a screen reader calls it. Nothing moves unless a share is set."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setRange(0, 1000)
        self.setTextVisible(False)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_share(self, share: float) -> None:
        """Part that is done; values outside 0 to 1 are brought inside."""
        self.setValue(round(1000 * min(max(share, 0.0), 1.0)))

    def sizeHint(self) -> QSize:
        return QSize(theme.px(220), theme.px(4))

    def minimumSizeHint(self) -> QSize:
        return QSize(48, theme.px(4))
