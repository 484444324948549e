# SPDX-License-Identifier: Apache-2.0
"""Cards of a check of notes: the verdict, what to do about it, and the numbers."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ...wording import written
from ..widgets import Button, Caption, Heading, Icon, KeyValueRows, Overline, Row, Sentence
from ..widgets.bars import Bars, BarValue
from ..widgets.layout import Card, add_column, fit_rows
from ..widgets.notices import announce
from .parts import NotesCard, ToldCard, ToldRows
from .view import Bar, NotesView, Split

_ICONS = {"ok": "check", "warn": "warning", "bad": "warning", "dim": "clock"}


class VerdictCard(Card):
    """The verdict in a sentence, the number of notes, and the points that led to it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(least=320, parent=parent)
        self.setAccessibleName(self.tr("Check of the notes"))
        self._icon = Icon("clock", "dim", 20)
        self.headline = Heading(level=2)
        self.amount = Sentence()
        self.points = ToldRows()
        head = QHBoxLayout()
        head.setSpacing(10)
        head.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        head.addWidget(self.headline, 1)
        self.content.setSpacing(8)
        self.content.addLayout(head)
        self.add(self.amount)
        self.add(self.points)

    def show_checking(self, rows: int) -> None:
        self._show("dim", self.tr("Looking through the notes…"))
        self.amount.setText(self.tr("{n} rows so far").format(n=written(rows)) if rows else "")
        self.amount.setVisible(bool(rows))
        self.points.show_told(())

    def show_view(self, view: NotesView) -> None:
        self._show(view.tone, view.verdict)
        self.amount.setText(view.amount)
        self.amount.setVisible(True)
        self.points.show_told(view.points)
        announce(self, view.verdict)

    def show_problem(self, sentence: str) -> None:
        self._show("bad", self.tr("Nothing could be read."))
        self.amount.setText(sentence)
        self.amount.setVisible(True)
        self.points.show_told(())

    def _show(self, tone: str, headline: str) -> None:
        self._icon.show_icon(_ICONS[tone], tone)
        self.headline.setText(headline)


class SplitCard(NotesCard):
    """The split that is proposed; `wanted`: it is to be written."""

    wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("Proposed split"), parent)
        self._sentence = Sentence(tone="ink")
        self.parts = KeyValueRows()
        self.button = Button(self.tr("Write the split…"), "folder")
        self.button.clicked.connect(self.wanted)
        self.said = Caption(wrap=True)
        self.add(self._sentence)
        self.add(self.parts)
        self.content.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        self.add(self.said)

    def show_split(self, split: Split | None) -> None:
        self.setVisible(split is not None)
        self.say("")
        if split:
            self._sentence.setText(split.sentence)
            self.parts.show_pairs(split.parts)

    def say(self, sentence: str) -> None:
        self.said.setText(sentence)
        self.said.setVisible(bool(sentence))
        announce(self.said, sentence)


class _Chart(QWidget):
    """Bars below their title."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 8)
        column.setSpacing(4)
        self._title = Overline()
        self.bars = Bars()
        column.addWidget(self._title)
        column.addWidget(self.bars)

    def show_chart(self, title: str, bars: tuple[Bar, ...]) -> None:
        self._title.setText(title)
        self.bars.show_bars([BarValue(bar.name, bar.text, bar.share) for bar in bars])


class NotesReport(QWidget):
    """All of a check: `cards` with what has to be done, `charts` with numbers; each hidden while it has nothing."""

    split_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.verdict, self.split = VerdictCard(), SplitCard()
        self.unusable = ToldCard(self.tr("Rows that cannot be used"))
        self.identifiers = ToldCard(self.tr("What looks like identifiers"))
        self.alike = ToldCard(self.tr("Notes that are nearly the same"))
        self.seen = ToldCard(self.tr("Noticed while reading"))
        self.numbers, self.facts = NotesCard(self.tr("Numbers")), KeyValueRows()
        self.numbers.add(self.facts)
        self.labels = NotesCard(self.tr("Labels"))
        self._charts: list[_Chart] = []
        self.length, self.lengths, self.fitting = NotesCard(self.tr("Length")), Bars(), ToldRows()
        self._length_of = Caption(wrap=True)
        for part in (self._length_of, self.lengths, self.fitting):
            self.length.add(part)
        self.table, self.columns = NotesCard(self.tr("Columns of the table")), KeyValueRows()
        self.table.add(self.columns)
        self.cards: list[Card] = [
            self.verdict, self.split, self.unusable, self.identifiers, self.alike, self.seen, self.table,
        ]  # fmt: skip
        self.charts: list[Card] = [self.numbers, self.labels, self.length]
        self._connect()

    def _connect(self) -> None:
        self.split.wanted.connect(self.split_wanted)

    def lay_beside(self) -> None:
        """Lays the cards out here, in two columns; an owner who has other cards beside them lays them out himself."""
        sides = Row(parent=self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(sides)
        for cards in (self.cards, self.charts):
            add_column(sides, cards)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def show_nothing(self) -> None:
        self.verdict.setVisible(False)
        self._show_details(None)

    def show_checking(self, rows: int) -> None:
        self.verdict.setVisible(True)
        self.verdict.show_checking(rows)
        if rows == 0:
            self._show_details(None)

    def show_problem(self, sentence: str) -> None:
        self.verdict.setVisible(True)
        self.verdict.show_problem(sentence)
        self._show_details(None)

    def show_view(self, view: NotesView) -> None:
        self.verdict.setVisible(True)
        self.verdict.show_view(view)
        self._show_details(view)

    def _show_details(self, view: NotesView | None) -> None:
        for listed, told in (
            (self.unusable, view.unusable if view else ()),
            (self.identifiers, view.identifiers if view else ()),
            (self.alike, view.alike if view else ()),
            (self.seen, view.seen if view else ()),
        ):
            listed.show_told(told)
        self.split.show_split(view.split if view else None)
        for card in (self.numbers, self.labels, self.length, self.table):
            card.setVisible(False)
        if view:
            self._show_numbers(view)

    def _show_numbers(self, view: NotesView) -> None:
        self.numbers.setVisible(bool(view.facts))
        self.facts.show_pairs(view.facts)
        fit_rows(self._charts, len(view.labels), self.labels.content, _Chart)
        for chart, (title, bars) in zip(self._charts, view.labels, strict=True):
            chart.show_chart(title, bars)
        self.labels.setVisible(bool(view.labels))
        self._length_of.setText(view.length_of)
        self.lengths.show_bars([BarValue(bar.name, bar.text, bar.share) for bar in view.lengths])
        self.fitting.show_told(view.fitting)
        self.length.setVisible(bool(view.lengths))
        self.columns.show_pairs(view.columns)
        self.table.setVisible(bool(view.columns))
