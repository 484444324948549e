# SPDX-License-Identifier: Apache-2.0
"""Approvals: what waits for a decision, everything about it, the decision, and the record of earlier ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from PySide6.QtCore import Qt, Signal, SignalInstance, Slot
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import QWidget

from ...federation.work import Entry
from ...site import operating_user
from ...storage.outbox import Decision, Record
from ...wording import tr
from ..widgets import Banner, Card, EmptyState, PageBase, Table, TextTable
from ..work.desk import Desk, utc_now
from . import decision as deciding
from .decision_panel import DecisionCard
from .policy import asks_name, policy_line, signs_by_account, waits_for_hours, why_not_send
from .queue import LASTING, Queue, listed, to_show
from .receipts import COLUMNS, receipts
from .sheet import Sheet, expiry, sheet
from .sheet_panel import SheetView


class ApprovalsPage(PageBase):
    """Reads a Desk, says by signals what the person wants. What was typed is kept for each update until it has left."""

    send_requested = Signal(str, str, str)  # sha256, reason, who decides
    second_requested = Signal(str, str, str)  # sha256, reason, the second person's name
    keep_requested = Signal(str, str, str)
    named = Signal(str)  # the person has written who they are
    take_back_requested = Signal(str, str)
    held = Signal(str)
    try_requested = Signal(str)

    def __init__(
        self, clock: Callable[[], datetime] = utc_now, parent: QWidget | None = None, user: str | None = None
    ) -> None:
        """`user`: whose account this is."""
        super().__init__(parent)
        self.setAccessibleName(self.tr("Approvals"))
        self._clock = clock
        self._user = user or operating_user()
        self._desk = Desk()
        self._selected = ""
        self._sheet: Sheet | None = None
        self._reasons: dict[str, str] = {}
        self._seen: dict[str, set[str]] = {}
        self._held: set[str] = set()
        self._answering: tuple[str, Record] | None = None  # sha256, and the record that was shown when it was answered
        self.name = ""  # whom the record is to have
        self._wants_reason = self._enter_was_refused = False
        self._scrolls = 0  # at the next turns, while the decision's new part comes to its size
        self._told_of: tuple[Record, str] | None = None  # what `_back` was made of
        self._back = ""
        self._decisions: tuple[Decision, ...] = ()
        self._build()
        self._connect()

    def _build(self) -> None:
        self.ended = Banner()
        self.queue = Queue()
        self._nothing = (
            self.tr("Nothing is waiting for you"),
            self.tr("Once an adapter is trained, it is shown here first; nothing leaves this computer without you."),
        )
        self.empty = EmptyState("approvals", *self._nothing)
        self.view = SheetView()
        self.decision = DecisionCard()
        self.history_model = TextTable(self, marked=COLUMNS.index("Decision"))
        self.history = Table(self.tr("Decisions and receipts"), most_rows=10)
        self.history.setModel(self.history_model)
        self._history_card = Card(self.tr("Decisions and receipts"))
        self._history_card.add(self.history)
        for widget in (self.ended, self.queue, self.empty, self.view, self.decision, self._history_card):
            self.add(widget)
        self.finish()
        self._show_nothing()

    def _connect(self) -> None:
        form = self.decision.form
        self.queue.chosen.connect(self.select)
        form.reason.textChanged.connect(self._reason_typed)
        form.name.textEdited.connect(self._name_typed)
        form.policy.second.textChanged.connect(self._again)
        form.finding_seen.connect(self._finding_seen)
        form.try_out.clicked.connect(self._try)
        form.hold.clicked.connect(self._hold)
        form.keep.clicked.connect(self._keep)
        form.send.clicked.connect(self._send)
        form.send.enter_refused.connect(self._refuse_enter)
        self.ended.acted.connect(self._read)
        self.view.head.decide.clicked.connect(self._to_decision)
        self.decision.countdown.take_back.clicked.connect(self._take_back)

    # -- what is shown -----------------------------------------------------------------------------------------------

    def show_desk(self, desk: Desk) -> None:
        """Ten times a second while the page is seen; sets only what has changed."""
        self._desk = desk
        if self._scrolls:
            self._scrolls -= 1
            back = self.decision.countdown.take_back
            self.ensureWidgetVisible(back if back.isVisible() else self.decision)
        self._show_history(desk)
        entries = listed(desk, self._selected)
        entry = to_show(entries, self._selected)
        self.queue.show_entries(entries, entry.sha256 if entry else "")
        if entry is None:
            self._show_nothing()
            return
        is_new = entry.sha256 != self._selected
        if is_new:
            self._tell_ended(desk.entry(self._selected))
            self._open(entry)
        self._show_entry(entry)
        if is_new and entry.state == "pending" and self.isVisible():
            self.decision.form.hold.setFocus(Qt.FocusReason.OtherFocusReason)
        if is_new:
            self.verticalScrollBar().setValue(0)  # to be read before it is decided on

    @Slot(str)
    def select(self, sha256: str) -> None:
        """Shows another update of the queue; what was typed for this one is kept."""
        entry = self._desk.entry(sha256)
        if entry is not None and sha256 != self._selected:
            self._read()
            self._open(entry)
            self.show_desk(self._desk)

    def _open(self, entry: Entry) -> None:
        self._selected = entry.sha256
        self._wants_reason = self._enter_was_refused = False
        self.decision.form.policy.second.clear()
        reason = self._reasons.get(entry.sha256) or deciding.last_reason(entry, self._desk)
        self.decision.form.show_reason(reason)

    def _tell_ended(self, entry: Entry | None) -> None:
        """The next one opens by itself; what has become of this one stays in sight above it."""
        self.ended.show_message(deciding.ended(entry, self._desk) if entry else "", "ok", self.tr("Close"))

    def _show_nothing(self) -> None:
        self._selected = ""
        if self._desk.running and not self._desk.looked:
            self.empty.show_words(self.tr("Looking…"), self.tr("This site's record is being read."))
        else:
            self.empty.show_words(*self._nothing)
        self.empty.show()
        self.view.hide()
        self.decision.hide()

    def _show_entry(self, entry: Entry) -> None:
        now = self._clock()
        self._sheet = sheet(entry, self._desk)
        self.view.show_entry(self._sheet, entry, self._desk)
        self.view.head.show_expiry(expiry(entry, self._desk, now))
        if self._answering and (self._answering[0] != entry.sha256 or self._answering[1] is not self._desk.record):
            if self._answering[0] == entry.sha256:
                self._scrolls = 3
            self._answering = None
        self._show_decision(entry, now)
        self.empty.hide()
        self.view.show()
        self.decision.show()

    def _show_decision(self, entry: Entry, now: datetime) -> None:
        stage = deciding.stage(entry)
        if stage == "decide":
            self._show_form(entry)
            self.decision.show_part(self.decision.form)
        elif stage == "countdown":
            self.decision.countdown.show_entry(
                entry,
                now,
                is_answering=self._answering is not None,
                connected=self._desk.connected,
                waits=waits_for_hours(entry, self._desk, now),
            )
            self.decision.show_part(self.decision.countdown)
        else:
            self.decision.outcome.show_outcome(deciding.outcome(entry, self._desk))
            self.decision.show_part(self.decision.outcome)

    def _show_form(self, entry: Entry) -> None:
        assert self._sheet is not None
        form, seen = self.decision.form, self._seen.get(entry.sha256, set())
        form.show_findings(self._sheet.findings, seen)
        form.usual.show_reasons(deciding.usual_reasons(self._sheet.verdict))
        form.show_name(self.name, asks=not signs_by_account(entry, self._desk))
        not_now = deciding.why_not_now(entry, self._desk)
        unseen = any(finding.code not in seen for finding in self._sheet.findings)
        can_answer = not not_now and self._answering is None
        form.policy.show_policy(*policy_line(entry, self._desk), asks_name=asks_name(entry, self._desk, self._user))
        barred = not_now or why_not_send(entry, self._desk, self._user, self._second)
        form.enable(keep=can_answer, send=can_answer and not unseen and not barred)
        form.send.setText(self.tr("Send adapter") if entry.update.parts else self.tr("Send scores"))
        form.try_out.setVisible(bool(entry.update.parts))
        form.show_message(*self._message(entry, barred, unseen))

    def _message(self, entry: Entry, barred: str, unseen: bool) -> tuple[str, str]:
        """The sentence above the buttons, and its tone."""
        if self._answering:
            return tr(deciding.ANSWERING), "dim"
        if self._wants_reason and (missing := self._missing(entry)):
            return missing, "bad"
        if self._enter_was_refused:
            return tr(deciding.ENTER_NEVER_SENDS), "ink"
        held = tr(deciding.HELD) if entry.sha256 in self._held else self._taken_back(entry)
        rest = barred or (tr(deciding.TICK_FIRST) if unseen else "" if self._desk.connected else tr(deciding.AWAY))
        said = " ".join(part for part in (held, rest) if part)
        return said or tr(deciding.CONSEQUENCES), "ink" if said else "dim"

    def _taken_back(self, entry: Entry) -> str:
        """Read once for each record."""
        if self._told_of is None or self._told_of[0] is not self._desk.record or self._told_of[1] != entry.sha256:
            self._told_of = (self._desk.record, entry.sha256)
            self._back = deciding.taken_back(entry, self._desk)
        return self._back

    def _show_history(self, desk: Desk) -> None:
        if desk.record.decisions is not self._decisions:
            self._decisions = desk.record.decisions
            rows = receipts(desk)
            icons = [(row.icon, "dim") for row in rows]
            self.history_model.show_texts([tr(name) for name in COLUMNS], [row.cells for row in rows], icons)
        self._history_card.setVisible(bool(desk.record.decisions))

    def hideEvent(self, event: QHideEvent) -> None:
        """Forgets an update that has ended: who comes back later sees what waits."""
        super().hideEvent(event)
        entry = self._desk.entry(self._selected)
        if not event.spontaneous():
            self._read()
        if not event.spontaneous() and entry is not None and entry.state not in LASTING:
            self._selected = ""

    # -- what the person does ----------------------------------------------------------------------------------------

    def _reason(self) -> str:
        return self.decision.form.reason.text().strip()

    @Slot(str)
    def _reason_typed(self, text: str) -> None:
        self._enter_was_refused = False
        if self._selected:
            self._reasons[self._selected] = text

    @Slot(str)
    def _name_typed(self, name: str) -> None:
        self.name = name
        self.named.emit(name.strip())

    @Slot(str, bool)
    def _finding_seen(self, code: str, is_seen: bool) -> None:
        seen = self._seen.setdefault(self._selected, set())
        (seen.add if is_seen else seen.discard)(code)
        self._again()

    @Slot()
    def _try(self) -> None:
        self.try_requested.emit(self._selected)

    @Slot()
    def _hold(self) -> None:
        if self._answering:
            return
        self._held.add(self._selected)
        self._wants_reason = self._enter_was_refused = False
        self.held.emit(self._selected)
        self._again()

    @Slot()
    def _keep(self) -> None:
        """One press, as sending takes: declining is no harder."""
        entry = self._desk.entry(self._selected)
        if entry is not None and self._is_complete(entry):
            self._decide(self.keep_requested, self._by(entry))

    @Slot()
    def _send(self) -> None:
        entry = self._desk.entry(self._selected)
        if entry is not None and self._is_complete(entry):
            if asks_name(entry, self._desk, self._user):
                self._decide(self.second_requested, self._second)
            else:
                self._decide(self.send_requested, self._by(entry))
            if (said := self._desk.policies.get(entry.sha256)) and said.people > 1 and not entry.first_by:
                self._forget(entry.sha256)

    def _forget(self, sha256: str) -> None:
        """The second person reads it for themselves, and writes a reason of their own."""
        self._reasons.pop(sha256, None)
        self._seen.pop(sha256, None)
        self.decision.form.show_reason("")

    @property
    def _second(self) -> str:
        return self.decision.form.policy.second.text().strip()

    @Slot()
    def _refuse_enter(self) -> None:
        self._enter_was_refused = True
        self._again()

    def _by(self, entry: Entry) -> str:
        """Name of the person who decides: the account where the policy goes by it, else the name that was chosen."""
        return self._user if signs_by_account(entry, self._desk) else self.name.strip()

    def _missing(self, entry: Entry) -> str:
        return deciding.missing_reason(self._reason()) or deciding.missing_name(self._by(entry))

    def _is_complete(self, entry: Entry) -> bool:
        """Tells whether there are a reason and a name; what is missing is asked for."""
        self._enter_was_refused = False
        if not self._missing(entry):
            return True
        self._wants_reason = True
        form = self.decision.form
        (form.name if self._reason() else form.reason).setFocus(Qt.FocusReason.OtherFocusReason)
        self._again()
        return False

    def _decide(self, signal: SignalInstance, *names: str) -> None:
        self._read()
        self._held.discard(self._selected)
        self._answering = (self._selected, self._desk.record)
        signal.emit(self._selected, self._reason(), *names)
        self._again()

    @Slot()
    def _to_decision(self) -> None:
        self.ensureWidgetVisible(self.decision)
        self.decision.form.hold.setFocus(Qt.FocusReason.OtherFocusReason)

    @Slot()
    def _take_back(self) -> None:
        self._answering = (self._selected, self._desk.record)
        self.take_back_requested.emit(self._selected, self.name.strip() or self._user)
        self._again()

    @Slot()
    def _read(self) -> None:
        self.ended.show_message("")  # about what ended before

    @Slot()
    def _again(self) -> None:
        self.show_desk(self._desk)
