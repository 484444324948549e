# SPDX-License-Identifier: Apache-2.0
"""Home: the round that is on, the one next step, what has improved, and the rounds before."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ...storage.outbox import Record
from ...wording import together, tr
from ..guide.files import UNDER, guide_title
from ..widgets import (
    Caption,
    Card,
    EmptyState,
    Flow,
    Heading,
    LinkButton,
    PageBase,
    Row,
    Sentence,
    Spaced,
    Stepper,
    Table,
    TextTable,
)
from ..work.desk import Desk, utc_now
from ..work.progress import elapsed
from .agreement import agreement
from .agreement_card import AgreementCard
from .cards import ImprovedCard, SitesCard, StatusCard
from .deadlines import deadline_rows, quiet_line
from .deadlines_dialog import DeadlinesDialog
from .fitting_card import FittingCard
from .heading import caption, method, sites_line, steps, title
from .history import COLUMNS, past_rounds, score_table
from .identity import six_words
from .identity_card import IdentityCard
from .improvement import improved
from .leading import leading
from .screened import screened_line
from .status import LAST_STEPS, STEPS, Status, status


class RoundsPage(PageBase):
    """Shows a Desk. `action_requested` carries the status's NextStep, `guide_requested` the page about the method; the
    others are what there is before a session.
    """

    action_requested = Signal(str)
    join_requested = Signal()
    demo_requested = Signal()
    try_requested = Signal()
    host_requested = Signal()
    guide_requested = Signal(str)  # a page of the guide

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.empty = EmptyState(
            "rounds",
            self.tr("No federation yet"),
            self.tr("Train one model together with other sites. Your notes stay on this computer."),
            primary=self.tr("Join a federation"),
            secondary=(self.tr("See a demonstration"), self.tr("Try a model"), self.tr("Host a federation")),
        )
        self.empty.chosen.connect(self._chosen)
        self._session = _Session()
        self._session.status.chosen.connect(self.action_requested)
        self._session.join.clicked.connect(self.join_requested)
        self._session.demo.clicked.connect(self.demo_requested)
        self._session.method.clicked.connect(self._explain)
        self.add(self.empty)
        self.add(self._session)
        self.finish()
        self.show_desk(Desk())

    def show_desk(self, desk: Desk, now: datetime | None = None, shown: Status | None = None) -> None:
        """Sets texts only, so that it may be called ten times a second."""
        self.empty.setVisible(desk.session is None)
        self._session.setVisible(desk.session is not None)
        if desk.session is not None:
            now = now or utc_now()
            self._session.show_desk(desk, shown or status(desk, now), now)

    @property
    def session(self) -> _Session:
        return self._session

    @Slot()
    def _explain(self) -> None:
        self.guide_requested.emit(self._session.method_page)

    @Slot(int)
    def _chosen(self, number: int) -> None:
        (self.join_requested, self.demo_requested, self.try_requested, self.host_requested)[number].emit()


def _method_name(name: str) -> str:
    """The method as its page in the guide is called, where there is one."""
    return guide_title(f"method-{name}") if f"method-{name}" in UNDER else name


class _Session(Spaced):
    """All that there is to see while a site takes part, or a demonstration runs."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 16)
        self.deadlines_dialog: DeadlinesDialog | None = None
        self.title = Heading()
        column.addLayout(self._head())
        self.identity = IdentityCard()
        self.six_words.clicked.connect(self.identity.ask)
        self.identity.compared.connect(self.six_words.show)
        column.addWidget(self.identity)
        self.steppers = {words: Stepper([tr(word) for word in words]) for words in (STEPS, LAST_STEPS)}
        for stepper in self.steppers.values():
            column.addWidget(stepper)
        self.agreement = AgreementCard()
        self.status: StatusCard = StatusCard()
        self.improved = ImprovedCard()
        cards = Row()
        cards.add(self.status, 11)
        cards.add(self.improved, 9)
        column.addWidget(cards)
        column.addWidget(self.agreement)
        self.fitting = FittingCard()
        column.addWidget(self.fitting)
        column.addWidget(self._elsewhere())
        self.sites = SitesCard()
        column.addWidget(self.sites)
        self._add_scores(column)
        self._add_past(column)

    def _head(self) -> QVBoxLayout:
        """The title with links beside it, and below it when the round closes."""
        self.caption = Sentence()
        self.method, self.method_page = LinkButton(), ""
        self.deadlines = LinkButton(self.tr("Deadlines"))
        self.deadlines.clicked.connect(self._open_deadlines)
        self._rows: list[tuple[str, ...]] = []
        line = Row(spacing=16)
        line.add(self.title, 1)
        self.six_words = LinkButton(self.tr("Six words"))
        line.add(Flow(self.six_words, self.deadlines, self.method, spacing=16))
        head = QVBoxLayout()
        head.setSpacing(4)
        head.addWidget(line)
        head.addWidget(self.caption)
        return head

    def _elsewhere(self) -> QWidget:
        """Links to what else can be done once a session is over; the card has the one button."""
        self.over = QWidget()
        row = QHBoxLayout(self.over)
        row.setContentsMargins(0, 0, 0, 0)
        self.join = LinkButton(self.tr("Join a federation"))
        self.demo = LinkButton(self.tr("See a demonstration"))
        row.addWidget(self.join)
        row.addWidget(self.demo)
        row.addStretch(1)
        return self.over

    def _add_scores(self, column: QVBoxLayout) -> None:
        self.scores = Card(self.tr("Results"))
        self.scores_model = TextTable(self)
        self.scores_table = Table(self.tr("Scores of the demonstration"))
        self.scores_table.setModel(self.scores_model)
        self._scores_words = Sentence(
            self.tr(
                "Each model's score, out of 100, on test notes that were never trained on: all sites' notes "
                "together, and each site's own."
            )
        )
        self._scores_from = Caption(wrap=True)
        for widget in (self._scores_words, self.scores_table, self._scores_from):
            self.scores.add(widget)
        column.addWidget(self.scores)

    def _add_past(self, column: QVBoxLayout) -> None:
        self.past = Card(self.tr("Your rounds so far"))
        self.past_model = TextTable(self, marked=COLUMNS.index("Your part"))
        self.past_table = Table(self.tr("Your rounds so far"), most_rows=20)
        self.past_table.setModel(self.past_model)
        self.past.add(self.past_table)
        self.past.hide()
        self._record: Record | None = None  # what the table shows
        column.addWidget(self.past)

    def show_desk(self, desk: Desk, shown: Status, now: datetime) -> None:
        self.title.setText(title(desk))
        when = caption(desk, now)
        self.caption.setText(when)
        self.caption.setVisible(bool(when))
        self._show_method(method(desk))
        self.identity.show_words(six_words(desk))
        self.six_words.setVisible(self.identity.is_done)
        words, at, failed = steps(desk, shown.state)
        for own, stepper in self.steppers.items():
            stepper.setVisible(own == words and at >= 0)
            stepper.show_step(at, failed)
        self.status.show_status(shown)
        self.agreement.show_agreement(agreement(desk, _method_name))
        self.improved.setVisible(shown.state != "agreement")
        self.improved.show_improved(improved(desk), leading(desk))
        self.fitting.show_desk(desk)
        self.over.setVisible(desk.ended is not None)
        sites = ("", "") if desk.ended else sites_line(desk, shown.state)
        self.sites.show_sites(*sites, together(quiet_line(desk, now), screened_line(desk)))
        self._rows = deadline_rows(desk, now)
        self.deadlines.setVisible(bool(self._rows))
        self._show_past(desk.record)
        self._show_scores(desk)

    @Slot()
    def _open_deadlines(self) -> None:
        if self.deadlines_dialog is None:
            self.deadlines_dialog = DeadlinesDialog(self)
        self.deadlines_dialog.show_deadlines(self._rows)

    def _show_method(self, name: str) -> None:
        """Nothing of one that this version's guide does not know."""
        page = f"method-{name}"
        self.method.setVisible(page in UNDER)
        if page in UNDER and page != self.method_page:
            self.method_page = page
            self.method.setText(self.tr("About {method}").format(method=guide_title(page)))

    def _show_past(self, record: Record) -> None:
        """A record never changes, and there may be hundreds of rounds in it: read once."""
        if record is self._record:
            return
        self._record = record
        rounds = past_rounds(record)
        icons = [(row.icon, row.tone or "dim") for row in rounds]
        self.past_model.show_texts([tr(name) for name in COLUMNS], [row.texts for row in rounds], icons)
        self.past.setVisible(bool(rounds))

    def _show_scores(self, desk: Desk) -> None:
        self.scores.setVisible(desk.scored is not None)
        if desk.scored:
            self.scores_model.show_texts(*score_table(desk.scored))
            self._scores_from.setText(
                self.tr("It took {time}. The full report is {path}.").format(
                    time=elapsed(desk.scored.seconds), path=desk.scored.report
                )
            )
