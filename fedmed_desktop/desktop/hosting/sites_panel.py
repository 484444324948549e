# SPDX-License-Identifier: Apache-2.0
"""The federation and its sites as a host sees them: the verdict, what can be done, and one line for each site."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ...overview import ActName, Overview, SiteRow
from ...wording import sentence, tr
from ..widgets import Banner, Button, Caption, Card, Flow, PrimaryButton, Sentence, Spaced, Table, TextTable
from ..widgets.verdict import VerdictLine
from ..work.desk import utc_now
from .acts import Wish, on_federation
from .sites import COLUMNS, INVITED, Connection, invitation_texts, lines, ordered, verdict

MOST_ROWS = 12


class SitesPanel(Spaced):
    """`wished` carries a Wish that nothing was asked about yet; `invite_requested` and `confirm_requested` (a SiteRow)
    open dialogs of their own.
    """

    wished = Signal(object)
    invite_requested = Signal(str)  # for the name of a site that is to get another key; "" for a new one
    confirm_requested = Signal(object)

    def __init__(self, clock: Callable[[], datetime] = utc_now, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._clock = clock
        self._seen: Overview | None = None
        self._connection: Connection = "connecting"
        self.verdict, self.sentence = VerdictLine(), Sentence()
        self.banner = Banner()
        self.invite = PrimaryButton(self.tr("Invite a site…"))
        self.pause, self.resume = Button(self.tr("Pause…"), "pause"), Button(self.tr("Resume"), "play")
        self.close_round = Button(self.tr("Close the round…"))
        self.publish = Button(self.tr("End and publish…"))
        self._why = Caption(wrap=True)
        self.table, self.model = Table(self.tr("Sites"), MOST_ROWS), TextTable(self, marked=1)
        self.confirm = Button(self.tr("Confirm…"), "check")
        self.rotate, self.remove = Button(self.tr("Invite anew…")), Button(self.tr("Remove…"))
        self._chosen = Caption(wrap=True)
        self.invited, self.invited_model = Table(self.tr("Open invitations"), MOST_ROWS), TextTable(self)
        self.take_back = Button(self.tr("Take back…"))
        self._arrange()
        self._connect()
        self.show_overview(None, "connecting")

    def _arrange(self) -> None:
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 16)
        head = Card(least=300)
        head.setAccessibleName(self.tr("Federation"))
        for widget in (self.verdict, self.sentence, self.banner):
            head.add(widget)
        head.add(Flow(self.invite, self.pause, self.resume, self.close_round, self.publish))
        head.add(self._why)
        self.sites = Card(self.tr("Sites"))
        self.sites.add(self.table)
        self.sites.add(Flow(self.confirm, self.rotate, self.remove))
        self.sites.add(self._chosen)
        self.invitations = Card(self.tr("Open invitations"))
        self.invitations.add(self.invited)
        self.invitations.content.addWidget(self.take_back, 0, Qt.AlignmentFlag.AlignLeft)
        for card in (head, self.sites, self.invitations):
            column.addWidget(card)
        self.table.setModel(self.model)
        self.invited.setModel(self.invited_model)

    def _connect(self) -> None:
        self.invite.clicked.connect(self._invite)
        self.rotate.clicked.connect(self._rotate)
        self.pause.clicked.connect(self._pause)
        self.resume.clicked.connect(self._resume)
        self.close_round.clicked.connect(self._close)
        self.publish.clicked.connect(self._publish)
        self.confirm.clicked.connect(self._confirm)
        self.remove.clicked.connect(self._remove)
        self.take_back.clicked.connect(self._take_back)
        for table in (self.table, self.invited):
            table.selectionModel().selectionChanged.connect(self._weigh)
        self.table.doubleClicked.connect(self._confirm)

    # -- showing -------------------------------------------------------------------------------------------------------

    def show_overview(self, seen: Overview | None, connection: Connection, problem: str = "") -> None:
        """Keeps the chosen site and invitation chosen, whatever place they have now."""
        now = self._clock()
        chosen, invitation = self.chosen(), self._invitation()
        self._seen, self._connection = seen, connection
        told = verdict(seen, connection, now, problem)
        self.verdict.show_verdict(told.words, told.tone)
        self.sentence.setText(told.sentence)
        self.sentence.setVisible(bool(told.sentence))
        rows = lines(seen, now) if seen else []
        icons = [(row.icon, row.tone) for row in rows]
        self.model.show_texts([tr(name) for name in COLUMNS], [row.texts for row in rows], icons)
        self.sites.setVisible(bool(rows))
        open_ = seen.invitations if seen else ()
        self.invited_model.show_texts([tr(name) for name in INVITED], [invitation_texts(one, now) for one in open_])
        self.invitations.setVisible(bool(open_))
        names, invited = self._names(), [one.name for one in open_]
        if chosen and chosen.name in names:
            self.table.choose_again(names.index(chosen.name))
        if invitation in invited:
            self.invited.choose_again(invited.index(invitation))
        self._weigh()

    def say(self, words: str, kind: str = "info") -> None:
        """Tells what became of an act; a refusal in words."""
        self.banner.show_message(words, kind)

    def chosen(self) -> SiteRow | None:
        """The site whose line is chosen."""
        at = self.table.currentIndex().row() if self.table.selectionModel().hasSelection() else -1
        return ordered(self._seen)[at] if self._seen and 0 <= at < len(self._seen.sites) else None

    def choose(self, name: str) -> None:
        """Chooses the line of a site, as a click does."""
        if name in (names := self._names()):
            self.table.selectRow(names.index(name))
        self._weigh()

    def _names(self) -> list[str]:
        return [site.name for site in ordered(self._seen)] if self._seen else []

    @Slot()
    def _weigh(self) -> None:
        """Offers what the coordinator would do now."""
        seen, is_there = self._seen, self._connection == "connected" and self._seen is not None
        refusals = seen.refusals if seen else {}
        stands = seen is not None and (seen.paused_by_host or seen.phase == "paused")
        is_over = seen is not None and seen.phase == "finished"
        for button, act in ((self.close_round, "close"), (self.publish, "publish"), (self.pause, "pause")):
            button.setEnabled(is_there and act not in refusals)
            button.setVisible(not is_over)
        self.pause.setVisible(not stands and not is_over)
        self.resume.setVisible(stands and not is_over)
        self.resume.setEnabled(is_there and "resume" not in refusals)
        self.invite.setEnabled(is_there and bool(seen and seen.invites) and not is_over)
        self.close_round.setText(self._closing_word())
        self._why.setText(self._what_keeps(refusals) if is_there and not is_over else "")
        self._why.setVisible(bool(self._why.text()))
        site = self.chosen()
        self.confirm.setVisible(seen is not None and any(one.state == "waiting" for one in seen.sites))
        self.confirm.setEnabled(is_there and site is not None and site.state == "waiting" and site.key is not None)
        self.remove.setEnabled(is_there and site is not None and site.state != "revoked")
        self.rotate.setEnabled(is_there and site is not None and bool(seen and seen.invites))
        self._chosen.setText("" if site else self.tr("Choose a site in the table first."))
        self._chosen.setVisible(site is None)
        self.take_back.setEnabled(is_there and self._invitation() is not None)

    def _closing_word(self) -> str:
        phase = self._seen.phase if self._seen else "open"
        words = {"gathering": self.tr("Begin without the others…"), "evaluating": self.tr("Wait no longer…")}
        return words.get(phase, self.tr("Close the round…"))

    def _what_keeps(self, refusals: dict[ActName, str]) -> str:
        """Says why the round cannot be closed yet, in words."""
        seen, code = self._seen, refusals.get("close", "")
        if seen is None or code not in ("hosting.no_quorum", "hosting.too_few_sites"):
            return ""
        joined = sum(site.word is not None for site in seen.sites)
        known = {"round": seen.round, "updates": seen.updates, "quorum": seen.quorum, "sites": joined}
        return sentence(code, known)

    def _invitation(self) -> str | None:
        at = self.invited.currentIndex().row() if self.invited.selectionModel().hasSelection() else -1
        return self._seen.invitations[at].name if self._seen and 0 <= at < len(self._seen.invitations) else None

    # -- what is wished ------------------------------------------------------------------------------------------------

    def _wish(self, act: ActName) -> None:
        if self._seen is not None:
            self.wished.emit(on_federation(act, self._seen))

    @Slot()
    def _invite(self) -> None:
        self.invite_requested.emit("")

    @Slot()
    def _rotate(self) -> None:
        if site := self.chosen():
            self.invite_requested.emit(site.name)

    @Slot()
    def _pause(self) -> None:
        self._wish("pause")

    @Slot()
    def _resume(self) -> None:
        self._wish("resume")

    @Slot()
    def _close(self) -> None:
        self._wish("close")

    @Slot()
    def _publish(self) -> None:
        self._wish("publish")

    @Slot()
    def _confirm(self) -> None:
        site = self.chosen()
        if site is not None and self.confirm.isEnabled():
            self.confirm_requested.emit(site)

    @Slot()
    def _remove(self) -> None:
        if site := self.chosen():
            self.wished.emit(Wish("revoke", site=site.name))

    @Slot()
    def _take_back(self) -> None:
        if name := self._invitation():
            self.wished.emit(Wish("revoke", site=name))
