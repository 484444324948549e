# SPDX-License-Identifier: Apache-2.0
"""A host's work on a federation: the connection, what it shows, and a question before what cannot be taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QDialog, QVBoxLayout, QWidget

from ...overview import SiteRow
from ...protocol.invitation import Invitation
from ..widgets import Spaced
from ..widgets.question import Question
from ..work.desk import utc_now
from .acts import Wish, done, question
from .confirm_dialog import ConfirmDialog
from .invite_dialog import InviteDialog
from .line import Answer, HostLine
from .sites_panel import SitesPanel


class Oversight(Spaced):
    """`changed`: the connection or what it shows is another. One dialog at a time."""

    changed = Signal()

    def __init__(self, clock: Callable[[], datetime] = utc_now, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._clock = clock
        self.line, self.panel = HostLine(self), SitesPanel(clock)
        self.dialog: QDialog | None = None
        self._wish: Wish | None = None  # that a question is open about
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 0)
        column.addWidget(self.panel)
        self.line.changed.connect(self._show)
        self.line.answered.connect(self._answered)
        self.line.faulted.connect(self._fault)
        self.panel.wished.connect(self._wished)
        self.panel.invite_requested.connect(self._invite)
        self.panel.confirm_requested.connect(self._confirm)

    def begin(self, folder: Path, invitation: Invitation | None, address: str = "", proxy: str = "system") -> None:
        """Connects as the host that this folder is, or becomes by the invitation. Raises UserFacingError."""
        self.panel.say("")
        self.line.begin(folder, invitation, address, proxy)

    def end(self) -> None:
        """Disconnects; returns once nothing runs any more."""
        self.line.end()

    @Slot()
    def _show(self) -> None:
        self.panel.show_overview(self.line.overview, self.line.connection, self.line.problem)
        self.changed.emit()

    # -- acts ----------------------------------------------------------------------------------------------------------

    @Slot(object)
    def _wished(self, wish: Wish) -> None:
        """Asks first, where a person would be surprised."""
        seen = self.line.overview
        asked = question(wish, seen) if seen else None
        if asked is None:
            self._ask(wish)
            return
        dialog = Question(self, asked)
        self._wish = wish
        dialog.confirmed.connect(self._confirmed)
        self._open(dialog)

    @Slot()
    def _confirmed(self) -> None:
        if self._wish is not None:
            self._ask(self._wish)

    @Slot(object)
    def _ask(self, wish: Wish) -> None:
        self.panel.say("")
        self.line.ask(wish)

    @Slot(str)
    def _invite(self, name: str) -> None:
        dialog = InviteDialog(self, name)
        dialog.wished.connect(self._ask)
        self._open(dialog)

    @Slot(object)
    def _confirm(self, site: SiteRow) -> None:
        dialog = ConfirmDialog(self, site)
        dialog.wished.connect(self._ask)
        self._open(dialog)

    @Slot(object)
    def _answered(self, answer: Answer) -> None:
        """Tells it in the dialog that asked, else on the page: another one may stand there since."""
        if isinstance(self.dialog, InviteDialog) and self.dialog.wish is answer.wish:
            if answer.invited is not None:
                self.dialog.show_invited(answer.invited, self._clock())
            else:
                self.dialog.show_refusal(answer.refusal)
        elif answer.refusal:
            self.panel.say(answer.refusal, "bad")
        else:
            self.panel.say(done(answer.wish), "ok")

    @Slot(object)
    def _fault(self, error: BaseException) -> None:
        """Raises a fault of the program, which a dialog then shows."""
        raise error

    def _open(self, dialog: QDialog) -> None:
        self.dialog = dialog
        dialog.finished.connect(self._closed)
        dialog.open()

    @Slot()
    def _closed(self) -> None:
        if self.dialog is not None:
            self.dialog.deleteLater()
            self.dialog = None
