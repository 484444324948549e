# SPDX-License-Identifier: Apache-2.0
"""An invitation for a site: asked for by its name, then shown as a line, a QR code and a file to send."""

from __future__ import annotations

from datetime import datetime, timedelta

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QDialogButtonBox, QWidget

from ...errors import UserFacingError
from ...federation.names import site_name
from ...protocol.hosting import Invited
from ...wording import told, tr
from ..look import theme
from ..look.fields import EMPTY, Verdict
from ..widgets import Banner, Button, PrimaryButton
from ..widgets.dialog import FittedDialog
from ..widgets.field import Field
from .acts import VALID_DAYS, Wish
from .invited_panel import InvitedPanel
from .parts import NamedChoice


class InviteDialog(FittedDialog):
    """`wished` carries the Wish; the owner answers with `show_invited` or `show_refusal`. `name`: of a site that is to
    come with another key.
    """

    wished = Signal(object)

    def __init__(self, parent: QWidget, name: str = "") -> None:
        title = tr("Invite {site} anew").format(site=name) if name else tr("Invite a site")
        why = tr("It can come with another key then: from another computer, or after it lost its folder.")
        super().__init__(parent, title, *([why] if name else []), least=440)
        self._rotates = bool(name)
        self.wish: Wish | None = None  # that waits for its answer
        self.name = Field(
            self.tr("Name of the site"), self.tr("All numbers of this site stand under it."), self.tr("Mercy General")
        )
        self.name.fill(name)
        self.setMinimumWidth(theme.px(520))
        self.valid = NamedChoice(self.tr("It can be used for"), VALID_DAYS)
        self.banner = Banner()
        self.make, self.cancel = PrimaryButton(self.tr("Make the invitation")), Button(self.tr("Cancel"))
        self.shown = InvitedPanel()
        self._asked = (self.name, self.valid)
        box = QDialogButtonBox()
        box.addButton(self.make, QDialogButtonBox.ButtonRole.ActionRole)
        box.addButton(self.cancel, QDialogButtonBox.ButtonRole.RejectRole)
        self.done_ = self.closing_button()
        for widget in (*self._asked, self.banner, self.shown, box):
            self.column.addWidget(widget)
        self.name.setVisible(not name)
        self.column.addWidget(self.done_, 0, Qt.AlignmentFlag.AlignRight)
        self._box = box
        self.shown.hide()
        self.done_.hide()
        self.make.clicked.connect(self._make)
        box.rejected.connect(self.reject)
        self.name.touched.connect(self._weigh)
        self._weigh()
        self.name.line.setFocus()

    @Slot()
    def _weigh(self) -> None:
        typed = self.name.text()
        try:
            verdict = Verdict("right") if typed and site_name(typed) else EMPTY
        except UserFacingError as error:
            verdict = Verdict("wrong", told(error))
        self.name.show_verdict(verdict)
        self.make.setEnabled(verdict.state == "right")

    @Slot()
    def _make(self) -> None:
        self.make.setEnabled(False)
        self.banner.show_message("")
        valid = timedelta(days=int(self.valid.key()))
        self.wish = Wish("invite", site=site_name(self.name.text()), valid=valid, rotates=self._rotates)
        self.wished.emit(self.wish)

    def show_refusal(self, words: str) -> None:
        self.banner.show_message(words, "bad")
        self._weigh()

    def show_invited(self, invited: Invited, now: datetime) -> None:
        for widget in (*self._asked, self._box):
            widget.hide()
        self.shown.show_invited(site_name(self.name.text()), invited, now)
        self.shown.show()
        self.done_.show()
        self.shown.copy.setFocus()
