# SPDX-License-Identifier: Apache-2.0
"""The four pages of the first run: what for, this computer, the invitation, the notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QButtonGroup, QVBoxLayout, QWidget

from ...files import from_home
from ...site.findings import Finding
from ...wording import later, tr
from ..checks.findings import FindingRow
from ..join.story import SharedCard
from ..join.where import WherePanel
from ..look.fields import EMPTY, Verdict
from ..notes.checking import CheckedNotes
from ..notes.files import Wish
from ..widgets import Button, Card, Heading, Icon, PrimaryButton, Row, Sentence
from ..widgets.field import Field
from ..widgets.layout import add_column, fit_rows
from .steps import Purpose

_PURPOSES: Final[dict[Purpose, tuple[str, str, str, str]]] = {
    "join": (
        "people",
        later("Join a federation"),
        later("You have an invitation, and notes that may be learned from. They stay on this computer."),
        later("Join"),
    ),
    "try": (
        "try",
        later("Try a model"),
        later("See what a model finds in a note on this computer. Nothing is sent anywhere."),
        later("Try it"),
    ),
    "demo": (
        "play",
        later("See a demonstration"),
        later("Three invented sites train together on this computer, with bundled notes. You approve for one of them."),
        later("Show me"),
    ),
    "host": (
        "device",
        later("Host a federation"),
        later("Found one of your own, let this computer serve it, and invite other hospitals."),
        later("Host"),
    ),
}


class PurposePage(Row):
    """Four cards, each with one button. `chosen` carries a Purpose."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.buttons: dict[Purpose, Button] = {}
        self._group = QButtonGroup(self)
        for number, (purpose, (drawing, title, words, verb)) in enumerate(_PURPOSES.items()):
            card, button = Card(least=200), PrimaryButton(tr(verb)) if purpose == "join" else Button(tr(verb))
            card.content.addWidget(Icon(drawing, "accent", 32), 0, Qt.AlignmentFlag.AlignLeft)
            card.add(Heading(tr(title), 2))
            card.add(Sentence(tr(words)))
            card.content.addStretch(1)
            card.content.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
            card.setAccessibleName(tr(title))
            self.add(card, 1)
            self.buttons[purpose] = button
            self._group.addButton(button, number)
        self._group.idClicked.connect(self._clicked)

    @Slot(int)
    def _clicked(self, number: int) -> None:
        self.chosen.emit(tuple(_PURPOSES)[number])


class ComputerPage(Card):
    """Sentences on what this computer has and can train."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(least=300, parent=parent)
        self.state = Sentence()
        self.rows: list[FindingRow] = []
        self._column = QVBoxLayout()
        self._column.setSpacing(0)
        self.add(self.state)
        self.content.addLayout(self._column)

    def show_looking(self) -> None:
        fit_rows(self.rows, 0, self._column, FindingRow)
        self.state.setText(self.tr("Looking… This takes some seconds."))
        self.state.show()

    def show_findings(self, found: Sequence[Finding]) -> None:
        self.state.hide()
        fit_rows(self.rows, len(found), self._column, FindingRow)
        for row, finding in zip(self.rows, found, strict=True):
            row.show_finding(finding)


class InvitationPage(Row):
    """The same fields as on Join, with what is shared and what never is beside them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self.where = WherePanel()
        form = Card(least=300)
        form.add(self.where)
        for card in (form, SharedCard()):
            add_column(self, (card,))

    @property
    def given(self) -> str:
        """The invitation or the address, if it is right; else nothing."""
        field = self.where.fields[self.where.needed[0]]
        return field.text() if field.verdict.state == "right" else ""


class NotesChoice(QWidget):
    """A folder of notes. `report`, the check of it as on Notes, is put below the buttons: it is long."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(16)
        self.field = Field(
            self.tr("Notes folder"),
            self.tr("Your annotated notes. They are only read, and stay there."),
            browse="folder",
        )
        self.report = CheckedNotes()
        self.report.lay_beside()
        card = Card()
        card.add(self.field)
        column.addWidget(card)
        self.field.edited.connect(self.look)

    @Slot(str)
    def look(self, typed: str) -> None:
        if not typed:
            self.field.show_verdict(EMPTY)
            self.report.forget()
        elif from_home(typed).exists():
            self.field.show_verdict(EMPTY)
            self.report.look(Wish(typed))
        else:
            self.report.forget()
            self.field.show_verdict(Verdict("wrong", self.tr("There is no such folder on this computer.")))

    @property
    def given(self) -> str:
        return self.field.text() if self.report.has_notes else ""
