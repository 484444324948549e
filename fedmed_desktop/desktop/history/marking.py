# SPDX-License-Identifier: Apache-2.0
"""Asks who has looked through the record, before that is written into it."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDialogButtonBox, QWidget

from ...wording import tr, written
from ..widgets import Button, Dialog, PrimaryButton
from ..widgets.field import Field

MOST_NAME = 60


class MarkDialog(Dialog):
    """`open` it; `marked(name, remark)` once the person has said so. Escape changes nothing."""

    marked = Signal(str, str)

    def __init__(self, parent: QWidget, entries: int, name: str) -> None:
        super().__init__(
            parent,
            tr("Mark as reviewed"),
            tr("You confirm that you have looked through all entries up to number {number}.").format(
                number=written(entries)
            ),
            tr("This becomes an entry of the record too, with your name and the time. It cannot be taken out again."),
        )
        self.name = Field(self.tr("Your name"), self.tr("As it should appear in the record."))
        self.name.line.setMaxLength(MOST_NAME)
        self.remark = Field(self.tr("Remark"), self.tr("Not needed. It stays on this computer, as the record does."))
        self.column.addWidget(self.name)
        self.column.addWidget(self.remark)
        box = QDialogButtonBox()
        self.yes, self.no = PrimaryButton(self.tr("Mark as reviewed")), Button(self.tr("Cancel"))
        box.addButton(self.yes, QDialogButtonBox.ButtonRole.AcceptRole)
        box.addButton(self.no, QDialogButtonBox.ButtonRole.RejectRole)
        self.column.addWidget(box)
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        self.accepted.connect(self._say)
        self.name.touched.connect(self._weigh)
        self.name.fill(name)
        self._weigh()

    def showEvent(self, event: QShowEvent) -> None:
        """Qt opens it at most two thirds as high as the screen, whatever its sentences need at this width."""
        super().showEvent(event)
        self.setMinimumHeight(self.column.totalHeightForWidth(self.width()))

    @Slot()
    def _weigh(self) -> None:
        self.yes.setEnabled(bool(self.name.text()))

    @Slot()
    def _say(self) -> None:
        self.marked.emit(self.name.text(), self.remark.text())
