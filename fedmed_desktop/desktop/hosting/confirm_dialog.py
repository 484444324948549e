# SPDX-License-Identifier: Apache-2.0
"""Six words to compare with a site that waits, and the two answers to that."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QDialogButtonBox, QWidget

from ...overview import SiteRow
from ...wording import tr
from ..widgets import Button, Dialog, Label, Sentence
from ..widgets.labels import Weight
from .acts import Wish


class ConfirmDialog(Dialog):
    """`wished` carries the Wish that follows from the comparison; Escape decides nothing."""

    wished = Signal(object)

    def __init__(self, parent: QWidget, site: SiteRow) -> None:
        super().__init__(
            parent,
            tr("Compare six words with {site}").format(site=site.name),
            tr(
                "Call them at a number that you already have, not one from an e-mail. Their page Rounds shows six "
                "words; read these out to each other:"
            ),
        )
        self._site = site
        self.words = Label(site.words or "", size=20, weight=Weight.DemiBold, wrap=True)
        flags = Qt.TextInteractionFlag
        self.words.setTextInteractionFlags(flags.TextSelectableByMouse | flags.TextSelectableByKeyboard)
        self.words.setAccessibleName((site.words or "").replace("-", " "))
        self.same = Button(self.tr("They are the same: admit"), "check")
        self.other = Button(self.tr("They differ: shut it out"))
        self.later = Button(self.tr("Not now"))
        box = QDialogButtonBox()
        box.addButton(self.same, QDialogButtonBox.ButtonRole.AcceptRole)
        box.addButton(self.other, QDialogButtonBox.ButtonRole.DestructiveRole)
        box.addButton(self.later, QDialogButtonBox.ButtonRole.RejectRole)
        self.later.setDefault(True)
        self.later.setFocus()
        for widget in (
            self.words,
            Sentence(tr("If they differ, somebody is in between, or it is another computer. Then let nobody in.")),
            box,
        ):
            self.column.addWidget(widget)
        self.same.clicked.connect(self._admit)
        self.other.clicked.connect(self._shut_out)
        box.rejected.connect(self.reject)

    @Slot()
    def _admit(self) -> None:
        self.wished.emit(Wish("confirm", site=self._site.name, key=self._site.key or ""))
        self.accept()

    @Slot()
    def _shut_out(self) -> None:
        self.wished.emit(Wish("revoke", site=self._site.name))
        self.accept()
