# SPDX-License-Identifier: Apache-2.0
"""A window of its own above another one."""

from __future__ import annotations

from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QDialog, QVBoxLayout, QWidget

from ...wording import tr
from ..look import theme
from .buttons import PrimaryButton
from .labels import Heading, Sentence


class Dialog(QDialog):
    """A title and sentences, at least `least` px wide at text scale 1; more is added to `column`."""

    def __init__(self, parent: QWidget, title: str, *sentences: str, least: int = 420) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(*[theme.gap(24)] * 4)
        self.column.setSpacing(theme.gap(12))
        self.column.addWidget(Heading(title, 2))
        for text in sentences:
            sentence = Sentence(text)
            sentence.setMinimumWidth(theme.px(least))
            self.column.addWidget(sentence)

    def event(self, event: QEvent) -> bool:
        """A window of its own would keep the height that it opened with, however its words wrap or grow later."""
        handled = super().event(event)
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize) and (layout := self.layout()):
            self._fit(layout.totalHeightForWidth(self.width()))
        return handled

    def _fit(self, height: int) -> None:
        """Keeps the dialog from being lower than its words need; a person may make it higher."""
        self.setMinimumHeight(height)

    def closing_button(self) -> PrimaryButton:
        button = PrimaryButton(tr("Close"))
        button.setDefault(True)
        button.clicked.connect(self.accept)
        return button


class FittedDialog(Dialog):
    """Dialog as tall as its words, and lower again where a part is hidden."""

    def _fit(self, height: int) -> None:
        self.setFixedHeight(height)
