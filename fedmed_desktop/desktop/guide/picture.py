# SPDX-License-Identifier: Apache-2.0
"""A picture of the guide in a window of its own, in its full size as far as the screen has room."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from ..look import theme
from ..widgets import Button
from .files import guide_picture

_SHARE: Final = 0.92  # of the screen


class PictureDialog(QDialog):
    """Escape closes it. Where the picture is larger than the screen, arrow keys and the wheel move it."""

    def __init__(self, parent: QWidget, name: str, told: str) -> None:
        super().__init__(parent)
        self.setWindowTitle(told)
        self.picture = QLabel()
        self.picture.setPixmap(QPixmap(str(guide_picture(name))))
        self.picture.setAccessibleName(told)
        self.area = QScrollArea()
        self.area.setAccessibleName(told)
        self.area.setWidget(self.picture)
        self.area.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.area.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.close_button = Button(self.tr("Close"))
        self.close_button.clicked.connect(self.reject)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self.close_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(*[theme.gap(8)] * 4)
        column.addWidget(self.area, 1)
        column.addLayout(row)
        self.area.setFocus()
        beside = QSize(theme.gap(24), self.close_button.sizeHint().height() + theme.gap(40))
        self.resize((self.picture.sizeHint() + beside).boundedTo(parent.screen().availableSize() * _SHARE))
