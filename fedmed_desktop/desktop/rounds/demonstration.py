# SPDX-License-Identifier: Apache-2.0
"""Dialog before a demonstration: what it is, how long it takes and, under Advanced, the method of combining."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QDialogButtonBox, QWidget

from ...federation.methods import METHODS
from ...wording import tr
from ..guide.files import guide_text, guide_title
from ..look.fields import Choice
from ..widgets import Button, Caption, Dialog, Label, LinkButton, PrimaryButton
from ..widgets.field import ChoiceBox
from .duration import DEMO_MINUTES, FIRST_MINUTES


class DemonstrationDialog(Dialog):
    """`started` carries the method's name, and whether your site is to learn few notes by heart; `guide_requested` the
    page of the guide about the method."""

    started = Signal(str, bool)
    guide_requested = Signal(str)

    def __init__(self, parent: QWidget, method: str) -> None:
        super().__init__(
            parent,
            tr("See a demonstration"),
            tr(
                "Three sites learn together on this computer, from example notes that come with the program. You "
                "decide about the updates of one of them. It takes about {minutes} minutes in all; your first "
                "decision comes after about {first}."
            ).format(minutes=DEMO_MINUTES, first=FIRST_MINUTES),
        )
        self.advanced = LinkButton(self.tr("Advanced"), "chevron")
        self.advanced.clicked.connect(self._toggle)
        label = Label(self.tr("Method"))
        self.methods = ChoiceBox(self.tr("Method"))
        label.setBuddy(self.methods)
        choices = [Choice(name, guide_title(f"method-{name}")) for name in METHODS]
        self.methods.show_choices(sorted(choices, key=lambda choice: choice.label.lower()), method)
        self.summary = Caption(wrap=True)
        self.about = LinkButton(self.tr("About this method"))
        self.overfitted = QCheckBox(self.tr("Make my site memorise a few notes, to see a warning"))
        self._behind = (label, self.methods, self.summary, self.about, self.overfitted)
        for widget in (self.advanced, *self._behind, self._buttons()):
            self.column.addWidget(widget)
        for widget in self._behind:
            widget.hide()
        self.methods.currentIndexChanged.connect(self._summarise)
        self.about.clicked.connect(self._explain)
        self._summarise()
        self.start.setFocus()

    def _buttons(self) -> QDialogButtonBox:
        box = QDialogButtonBox()
        self.start, self.cancel = PrimaryButton(self.tr("Start")), Button(self.tr("Cancel"))
        box.addButton(self.start, QDialogButtonBox.ButtonRole.AcceptRole)
        box.addButton(self.cancel, QDialogButtonBox.ButtonRole.RejectRole)
        self.start.setDefault(True)
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        self.accepted.connect(self._begin)
        return box

    @Slot()
    def _toggle(self) -> None:
        """The usual method is chosen; others are for who knows why."""
        shown = self.methods.isHidden()
        for widget in self._behind:
            widget.setVisible(shown)
        self.advanced.set_icon("chevron_up" if shown else "chevron")

    @Slot()
    def _summarise(self) -> None:
        self.summary.setText(guide_text(f"method-{self.methods.key()}").split("\n\n")[1].replace("\n", " "))

    def _fit(self, height: int) -> None:
        """Lower again, too, where a part is folded."""
        self.setFixedHeight(height)

    @Slot()
    def _explain(self) -> None:
        self.guide_requested.emit(f"method-{self.methods.key()}")

    @Slot()
    def _begin(self) -> None:
        self.started.emit(self.methods.key(), self.overfitted.isChecked())
