# SPDX-License-Identifier: Apache-2.0
"""One entry of the record beside the table: what it says in plain words, and all that it holds."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from ..widgets import Card, Heading, KeyValueRows, Sentence
from .view import HistoryView, facts, title, what_it_means


class EntryCard(Card):
    """Shows nothing but a sentence while no entry is chosen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(least=300, parent=parent)
        self.set_title(self.tr("Entry"))
        self.headline, self.meant, self.facts = Heading(level=2), Sentence(), KeyValueRows()
        for part in (self.headline, self.meant, self.facts):
            self.add(part)
        self.content.addStretch(1)
        self.number = 0
        self.show_entry(HistoryView(), 0)

    def show_entry(self, view: HistoryView, number: int) -> None:
        """0, or a number that is not in the record, for none."""
        row = view.rows.get(number)
        self.number = number if row is not None else 0
        self.headline.setVisible(row is not None)
        self.facts.setVisible(row is not None)
        if row is None:
            self.meant.setText(self.tr("Choose an entry to see everything it says."))
            return
        self.headline.setText(title(row))
        self.meant.setText(what_it_means(view, row))
        self.meant.set_tone("bad" if number == view.broken else "dim")
        self.facts.show_pairs(facts(row, view.rows.get(number - 1)))
