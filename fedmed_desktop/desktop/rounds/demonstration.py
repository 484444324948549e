# SPDX-License-Identifier: Apache-2.0
"""Dialog before a demonstration: what it is, how long it takes and, under Advanced, the method of combining."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QDialogButtonBox, QWidget

from ...wording import tr
from ..guide.method_picker import MethodPicker
from ..widgets import Button, PrimaryButton
from ..widgets.dialog import FittedDialog
from ..widgets.folded import Folded
from .duration import DEMO_MINUTES, FIRST_MINUTES, LONGER_MINUTES


class DemonstrationDialog(FittedDialog):
    """`started` carries the method's name, whether your site is to learn few notes by heart, and whether all train
    longer; `guide_requested` the page of the guide about the method."""

    started = Signal(str, bool, bool)
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
            least=580,  # so wide that with Advanced open, and at 200 % text, it is no higher than a small screen
        )
        picker = MethodPicker(method)
        picker.guide_requested.connect(self.guide_requested)
        self.methods, self.summary, self.about = picker.box, picker.summary, picker.about
        self.overfitted = QCheckBox(self.tr("Make my site memorise a few notes, to see a warning"))
        self.longer = QCheckBox(
            tr("Train longer, for better scores (about {minutes} minutes)").format(minutes=LONGER_MINUTES)
        )
        # The usual method is chosen; others are for who knows why.
        self.advanced = Folded(self.tr("Advanced"), picker, self.overfitted, self.longer, spacing=4)
        self.column.addWidget(self.advanced)
        self.column.addWidget(self._buttons())
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
    def _begin(self) -> None:
        self.started.emit(self.methods.key(), self.overfitted.isChecked(), self.longer.isChecked())
