# SPDX-License-Identifier: Apache-2.0
"""Cards of the Rounds page: what is going on and the next step; what has improved; the sites of this round."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ..widgets import Caption, Card, Heading, Icon, Label, LinkButton, PrimaryButton, Sentence, Spaced
from ..widgets.buttons import HelpLink
from ..widgets.labels import set_tone
from ..widgets.layout import fit_rows
from ..widgets.notices import announce
from ..widgets.verdict import VerdictLine
from .improvement import Change, Improved
from .leading import Leading
from .status import Status


class StatusCard(Card):
    """The one answer to "what is going on, and what do I do now?"; `chosen` carries the status's next step."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._action = ""
        self._announced = ""
        self._icon = Icon("clock", "dim", 20)
        self.headline = Heading(level=2)
        self.text = Sentence()
        self.button = PrimaryButton()
        self.button.clicked.connect(self._press)
        head = QHBoxLayout()
        head.setSpacing(10)
        head.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignVCenter)
        head.addWidget(self.headline, 1)
        self.content.addLayout(head)
        self.add(self.text)
        self.content.addSpacing(4)
        self.add(self.button)
        self.content.addStretch(1)

    def show_status(self, status: Status) -> None:
        self._action = status.action or ""
        self._icon.show_icon(status.icon, status.tone or "dim")
        self.headline.setText(status.headline)
        self.text.setText(status.text)
        self.button.setText(status.action_label)
        self.button.setVisible(bool(status.action))
        self.setAccessibleName(status.headline)
        self.setAccessibleDescription(status.text)
        if status.headline != self._announced and announce(self, status.headline):
            self._announced = status.headline

    @Slot()
    def _press(self) -> None:
        self.chosen.emit(self._action)


class ChangeRow(Spaced):
    """One line: what, before and after, by how much."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        self._lay(row, (0, 7, 0, 7), 16)
        self._what = Label(wrap=True)
        self._scores = Label()
        self._delta = Label()
        for label in (self._scores, self._delta):
            label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._what, 1)
        row.addWidget(self._scores)
        row.addWidget(self._delta)
        self.restyle()

    def show_change(self, change: Change, last: bool) -> None:
        before, after, delta = change.texts
        self._what.setText(change.label)
        self._scores.setText(f"{before}  →  {after}")
        self._delta.setText(delta)
        self._delta.set_tone(change.way or "dim")
        self.setAccessibleName(
            self.tr("{what}: from {before} to {after}, {delta}").format(
                what=change.label, before=before, after=after, delta=delta
            )
        )
        set_tone(self, "last", last)

    def restyle(self) -> None:
        """Differences stand below each other, whatever their sign."""
        super().restyle()
        self._delta.setMinimumWidth(self._delta.fontMetrics().horizontalAdvance("±100"))


class ImprovedCard(Card):
    """A verdict with the one number that leads, and behind a link scores by type and of all sites."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("How well it works"), parent=parent)
        self._rows: list[ChangeRow] = []
        self._column = QVBoxLayout()
        self._column.setSpacing(0)
        self.help = HelpLink(self.tr("What these numbers mean"), "rounds#the-numbers")
        self.verdict, self.text = VerdictLine(self.help), Sentence()
        self.details = LinkButton(self.tr("By type and for all sites"), "chevron")
        self.details.clicked.connect(self._toggle)
        self._are_shown = False
        self._more = Caption(wrap=True)
        for widget in (self.verdict, self.text, self.details):
            self.add(widget)
        self.content.addLayout(self._column)
        self.add(self._more)
        self.content.addStretch(1)

    def show_improved(self, found: Improved, lead: Leading | None) -> None:
        unknown = self.tr("Not known yet: scores appear here once this round's adapter has been trained.")
        self.verdict.show_verdict(*(lead.words, lead.tone) if lead else ("", "dim"))
        self.text.setText(lead.text if lead else unknown)
        changes = (*found.own, *found.federation)
        self._fill(changes)
        words = [self.tr("Found correctly, of 100.") if found.is_f1 else self.tr("Points, of 100.")]
        if found.more_types:
            more = self.tr("1 more type is in Monitor."), self.tr("{n} more types are in Monitor.")
            words.append(more[found.more_types > 1].format(n=found.more_types))
        self._more.setText(" ".join(words))
        self.details.setVisible(bool(changes))
        self._show_rows()

    @Slot()
    def _toggle(self) -> None:
        self._are_shown = not self._are_shown
        self._show_rows()

    def _show_rows(self) -> None:
        for row in self._rows:
            row.setVisible(self._are_shown)
        self._more.setVisible(self._are_shown and bool(self._rows) and bool(self._more.text()))
        self.details.set_icon("chevron_up" if self._are_shown else "chevron")

    def rows(self) -> list[str]:
        return [row.accessibleName() for row in self._rows]

    def _fill(self, changes: Sequence[Change]) -> None:
        fit_rows(self._rows, len(changes), self._column, ChangeRow)
        for number, (row, change) in enumerate(zip(self._rows, changes, strict=True)):
            row.show_change(change, number == len(changes) - 1)


class SitesCard(Card):
    """The sites of this round in one line."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._lay(self.content, (20, 14, 20, 14), 0)
        self._how_many = Label()
        self._words = Sentence()
        row = QHBoxLayout()
        row.setSpacing(0)
        row.addWidget(self._how_many, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._words, 1)
        self.content.addLayout(row)
        self.remarks = Sentence()
        self.add(self.remarks)

    def show_sites(self, how_many: str, words: str, remarks: str = "") -> None:
        """Hidden where nothing is known. `remarks`: sentences about what is unusual."""
        self.setVisible(bool(how_many))
        self._how_many.setText(how_many)
        self._words.setText(f" · {words}" if words else "")
        self.remarks.setText(remarks)
        self.remarks.setVisible(bool(remarks))
        self.setAccessibleName(f"{self.text()}. {remarks}" if remarks else self.text())

    def text(self) -> str:
        return self._how_many.text() + self._words.text()
