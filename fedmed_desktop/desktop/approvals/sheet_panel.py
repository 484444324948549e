# SPDX-License-Identifier: Apache-2.0
"""One update as a person sees it before deciding: head, cards, and the table of every number that leaves."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QFont, QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from ...federation.work import Entry
from ...storage.outbox import Record
from ..look import theme
from ..widgets import (
    Banner,
    Caption,
    Card,
    ElidedLabel,
    Flow,
    Heading,
    KeyValueRows,
    Label,
    LinkButton,
    Overline,
    Pair,
    Row,
    Sentence,
    Spaced,
    Table,
    Tag,
    TextTable,
)
from ..widgets.buttons import HelpLink
from ..widgets.card_columns import CardColumns
from ..widgets.verdict import VerdictLine
from ..work.desk import Desk
from .card_row import Line
from .layers import layers
from .layers_panel import LayersCard
from .reveals_card import RevealsCard
from .save_evidence import SaveEvidence
from .sheet import Sheet

CARD_PX = 240  # three fit beside the navigation of a window of 1280, also at 125 % text
ADDRESS_PX = 320  # an address may be longer than any window; from here on it is shortened
UNBROKEN = 40  # letters; a shorter value stays on one line
_NO_BREAK = "\u00a0"


def pair(line: Line) -> Pair:
    """A line of the sheet as a row of a card: what has changed says so by a word and an icon too."""
    value = f"{line.before} → {line.value} {line.change}" if line.before else line.value
    if len(value) < UNBROKEN:
        value = value.replace(" ", _NO_BREAK)
    return Pair(line.name, value, line.tone or "ink", line.spoken)


class FactsCard(Card):
    """A card of names and values; links may stand beside its title."""

    def __init__(self, title: str, *links: LinkButton) -> None:
        super().__init__(title, CARD_PX)
        self._lay(self.content, (16, 14, 16, 14), 8)
        self.title.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        for link in links:
            head.addWidget(link)
        head.addStrut(LinkButton("X", "chevron").sizeHint().height())  # titles side by side stand at one height
        self.content.insertLayout(0, head)
        self.rows = KeyValueRows()
        self.add(self.rows)
        self.content.addStretch(1)

    def show_lines(self, lines: Sequence[Line]) -> None:
        self.rows.show_pairs([pair(line) for line in lines])
        self.setVisible(bool(lines))


class SentenceCard(Card):
    """A sentence or two beside the title."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._lay(self.content, (20, 14, 20, 14), 8)
        self.text = Sentence(tone="ink")
        row = Row(spacing=24)
        row.add(Overline(title))
        row.add(self.text, 1)
        self.add(row)
        self.setAccessibleName(title)

    def show_words(self, words: str) -> None:
        """Hidden where there is nothing to say."""
        self.text.setText(words)
        self.setVisible(bool(words))


class Address(ElidedLabel):
    """Address that the update goes to; as wide as it is, unless that is very wide."""

    def minimumSizeHint(self) -> QSize:
        hint = self.sizeHint()
        return QSize(min(hint.width(), theme.px(ADDRESS_PX)), hint.height())


class SheetHead(Spaced):
    """Title, destination, deadline, and the hash that a person can compare."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 6)
        self.title = Heading()
        self.verdict = VerdictLine()
        self.decide = LinkButton(self.tr("Go to your decision"), "chevron")
        self.destination = Address(mode=Qt.TextElideMode.ElideMiddle)
        self.environment = Tag()
        self.expiry = Label(tone="dim")
        self.hash = Label(weight=QFont.Weight.DemiBold)
        self.copy = LinkButton(self.tr("Copy"), "copy")
        self.copy.setAccessibleName(self.tr("Copy the whole fingerprint (sha256)"))
        self._whole = ""
        self.copy.clicked.connect(self._copy_hash)
        self.save, self.saved = SaveEvidence(), Banner()
        self.save.told.connect(self._show_saved)
        self.saved.acted.connect(self._saved_read)
        named = Row(spacing=10)
        named.add(self.title, 1)
        named.add(self.save)
        column.addWidget(named)
        column.addWidget(self.saved)
        column.addWidget(self._line())
        column.addWidget(self._worth())

    def _worth(self) -> Row:
        """The plain verdict before the numbers, and at the end of its line the way to the decision."""
        row = Row(spacing=10)
        row.add(self.verdict, 1)
        row.add(self.decide)
        return row

    def _line(self) -> Flow:
        """Three things in as few lines as there is room for."""
        line = Flow(spacing=16)
        named_hash = (Label(self.tr("Fingerprint"), tone="dim"), self.hash, self.copy)
        for part in ((self.destination, self.environment), (self.expiry,), named_hash):
            group = QWidget()
            row = QHBoxLayout(group)
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(8)
            for widget in part:
                row.addWidget(widget)
            line.add(group)
        return line

    def show_sheet(self, sheet: Sheet) -> None:
        self._saved_read()  # it was about another one, or has another state by now
        self.title.setText(sheet.title)
        self.verdict.show_verdict(*sheet.opening)
        self.destination.setText(self.tr("To {address}").format(address=sheet.destination))
        self.environment.setText(sheet.environment)
        self.hash.setText(sheet.short_hash)
        self.hash.setToolTip(sheet.hash)
        self._whole = sheet.hash
        self.copy.setText(self.tr("Copy"))

    def show_expiry(self, text: str) -> None:
        if text != self.expiry.text():
            self.expiry.setText(text)
        if group := self.expiry.parentWidget():
            group.setVisible(bool(text))
        self.decide.setVisible(bool(text))

    @Slot(str, str)
    def _show_saved(self, words: str, kind: str) -> None:
        self.saved.show_message(words, kind, self.tr("Close"))

    @Slot()
    def _saved_read(self) -> None:
        self.saved.show_message("")

    @Slot()
    def _copy_hash(self) -> None:
        QGuiApplication.clipboard().setText(self._whole)
        self.copy.setText(self.tr("Copied"))


class SheetView(Spaced):
    """Everything about one update but the decision. `show_sheet` does nothing where nothing has changed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 16)
        self._sheet: Sheet | None = None
        self._layers_of: tuple[str, Record] | None = None  # update, and the record that it is of
        self._with_details = self._with_layers = False
        self.head = SheetHead()
        self.more = LinkButton("", "chevron")
        self.more.clicked.connect(self._toggle_numbers)
        of_leaving = HelpLink(self.tr("What these words mean"), "approvals#what-leaves")
        self.leaves = FactsCard(self.tr("What leaves"), self.more, of_leaving)
        self.help = HelpLink(self.tr("What these numbers mean"), "approvals#how-well-it-works")
        self.worth = FactsCard(self.tr("How well it works"), self.help)
        self.worth_on = Caption(wrap=True)
        self.worth.content.insertWidget(self.worth.content.indexOf(self.worth.rows), self.worth_on)
        self.specialists = LinkButton(self.tr("For specialists"), "chevron")
        self.specialists.clicked.connect(self._toggle_details)
        of_drift = HelpLink(self.tr("What drift and norm are"), "approvals#how-it-differs")
        self.differs = FactsCard(self.tr("How it differs"), self.specialists, of_drift)
        self.unmeasured = Caption(wrap=True)
        self.differs.content.insertWidget(self.differs.content.indexOf(self.differs.rows) + 1, self.unmeasured)
        self.layered = LinkButton(self.tr("Layer by layer"), "chevron")
        self.layered.clicked.connect(self._toggle_layers)
        below = self.differs.content.indexOf(self.unmeasured) + 1
        self.differs.content.insertWidget(below, self.layered, 0, Qt.AlignmentFlag.AlignLeft)
        self.layers = LayersCard()
        self.details = FactsCard(self.tr("For specialists"))
        self.details.hide()
        self.stays = SentenceCard(self.tr("What stays here"))
        self.reveals = RevealsCard()
        self.numbers = TextTable(self)
        self._numbers_card = self._table_card()
        cards = CardColumns(self.leaves, self.worth, self.differs)
        for widget in (self.head, cards, self.layers, self.details, self._numbers_card, self.stays, self.reveals):
            column.addWidget(widget)

    def _table_card(self) -> Card:
        card = Card(self.tr("Every number that leaves"))
        self.table = Table(self.tr("Every number that leaves"), most_rows=10_000)
        self.table.setModel(self.numbers)
        card.add(self.table)
        card.add(
            Caption(self.tr("Nothing else: no note text, no marked words, no person's name, no reason."), wrap=True)
        )
        card.hide()
        return card

    def show_entry(self, sheet: Sheet, entry: Entry, desk: Desk) -> None:
        """`sheet` of this entry; its layers are counted again only where the record has changed."""
        self.show_sheet(sheet)
        self.head.save.show_entry(entry, desk)
        if self._layers_of != (entry.sha256, desk.record):
            self._layers_of = entry.sha256, desk.record
            self.layers.show_layers(layers(entry, desk))
            self._show_layers()

    def show_sheet(self, sheet: Sheet) -> None:
        if sheet == self._sheet:
            return
        self._sheet = sheet
        self.head.show_sheet(sheet)
        self.leaves.show_lines(sheet.leaves)
        self.worth.show_lines(sheet.worth)
        self.worth_on.setText(sheet.worth_on)
        self.differs.show_lines(sheet.differs)
        self.unmeasured.setText(sheet.unmeasured)
        self.unmeasured.setVisible(bool(sheet.unmeasured))
        self.details.rows.show_pairs([pair(line) for line in sheet.details])
        self._show_details()
        self.stays.show_words(sheet.stays)
        self.reveals.show_reveals(sheet.reveals, sheet.revealed)
        self.numbers.show_texts((self.tr("What leaves"), self.tr("Value")), sheet.numbers)
        self._name_more()

    @Slot()
    def _toggle_numbers(self) -> None:
        self._numbers_card.setVisible(self._numbers_card.isHidden())
        self._name_more()

    @Slot()
    def _toggle_details(self) -> None:
        """Stays as it is for the updates that follow."""
        self._with_details = not self._with_details
        self._show_details()

    @Slot()
    def _toggle_layers(self) -> None:
        """Stays as it is for the updates that follow."""
        self._with_layers = not self._with_layers
        self._show_layers()

    def _show_layers(self) -> None:
        self.layered.setVisible(self.layers.has_rows)
        self.layers.setVisible(self._with_layers and self.layers.has_rows)
        self.layered.set_icon("chevron_up" if self._with_layers else "chevron")

    def _show_details(self) -> None:
        """Shows details where something can be compared; final scores have their fingerprint among every number."""
        self.details.setVisible(self._with_details and bool(self._sheet and self._sheet.differs))
        self.specialists.set_icon("chevron_up" if self._with_details else "chevron")

    def _name_more(self) -> None:
        hidden = self._numbers_card.isHidden()
        self.more.set_icon("chevron" if hidden else "chevron_up")
        self.more.setText(self.tr("Every number") if hidden else self.tr("Fewer numbers"))
        self.more.setAccessibleName(self.tr("Every number that leaves") if hidden else self.tr("Hide every number"))
