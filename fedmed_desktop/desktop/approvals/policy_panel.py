# SPDX-License-Identifier: Apache-2.0
"""The policy's line on the form, and the second person's name where two must approve at one account."""

from __future__ import annotations

from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from ..widgets import Caption, Label, Row, Spaced

MOST_NAME = 80


class PolicyLine(Spaced):
    """Hidden where there is no policy."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 6)
        self.text = Caption(wrap=True)
        self.second = QLineEdit()
        self.second.setMaxLength(MOST_NAME)
        self.second.setAccessibleName(self.tr("Second person"))
        label = Label(self.tr("Second &person (the name of their account)"))
        label.setBuddy(self.second)
        self._row = Row(label, spacing=12)
        self._row.add(self.second, 1)
        column.addWidget(self.text)
        column.addWidget(self._row)
        self.hide()

    def show_policy(self, line: str, tone: str, *, asks_name: bool) -> None:
        self.text.set_tone(tone)
        if self.text.text() != line:
            self.text.setText(line)
        self._row.setVisible(asks_name)
        self.setVisible(bool(line))
