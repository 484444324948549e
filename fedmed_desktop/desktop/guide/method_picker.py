# SPDX-License-Identifier: Apache-2.0
"""Choice of a method of combining: its name, the sentence that its page of the guide begins with, a link to that."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ...federation.methods import METHODS
from ..look.fields import Choice
from ..widgets import Caption, Label, LinkButton, Spaced
from ..widgets.field import ChoiceBox
from ..widgets.labels import Weight
from .files import guide_text, guide_title


class MethodPicker(Spaced):
    """`chosen` when another one is; `guide_requested` carries the page of the guide about the one that is."""

    chosen = Signal()
    guide_requested = Signal(str)

    def __init__(self, method: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 4)
        self.box = ChoiceBox(self.tr("Method"))
        label = Label(self.tr("Method"), weight=Weight.Medium)
        label.setBuddy(self.box)
        choices = [Choice(name, guide_title(f"method-{name}")) for name in METHODS]
        self.box.show_choices(sorted(choices, key=lambda choice: choice.label.lower()), method)
        self.summary = Caption(wrap=True)
        self.about = LinkButton(self.tr("About this method"))
        for widget in (label, self.box, self.summary):
            column.addWidget(widget)
        column.addWidget(self.about, 0, Qt.AlignmentFlag.AlignLeft)
        self.box.currentIndexChanged.connect(self._turn)
        self.about.clicked.connect(self._explain)
        self._summarise()

    def key(self) -> str:
        return self.box.key()

    @Slot()
    def _turn(self) -> None:
        self._summarise()
        self.chosen.emit()

    def _summarise(self) -> None:
        self.summary.setText(guide_text(f"method-{self.key()}").split("\n\n")[1].replace("\n", " "))

    @Slot()
    def _explain(self) -> None:
        self.guide_requested.emit(f"method-{self.key()}")
