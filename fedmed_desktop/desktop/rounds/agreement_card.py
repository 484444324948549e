# SPDX-License-Identifier: Apache-2.0
"""Card that shows, before anything is trained, who asks this site to take part and what would be shared."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QWidget

from ..widgets import Button, Card, Heading, KeyValueRows, Sentence
from .agreement import Agreement


class AgreementCard(Card):
    """`declined`: the person does not want to take part. To agree is the page's one next step, above."""

    declined = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        title = self.tr("What you agree to")
        self.setAccessibleName(title)
        self.facts = KeyValueRows()
        self.hidden_title, self.hidden = Heading(self.tr("How your whole site is hidden"), 3), Sentence(tone="ink")
        self.shares = Sentence(tone="ink")
        self.never = Sentence(
            self.tr("Never: words of notes, labels, names of files, your name, your reasons. You approve each update.")
        )
        self.decline = Button(self.tr("Not now"))
        self.decline.clicked.connect(self.declined)
        for widget in (
            Heading(title, 2), self.facts, self.hidden_title, self.hidden,
            Heading(self.tr("Leaves with each update that you approve"), 3), self.shares, self.never,
        ):  # fmt: skip
            self.add(widget)
        self.content.addWidget(self.decline, 0, Qt.AlignmentFlag.AlignLeft)

    def show_agreement(self, found: Agreement | None) -> None:
        """Hidden while nothing is asked."""
        self.setVisible(found is not None)
        if found is None:
            return
        if self.facts.values() != [value for _, value in found.facts]:
            self.facts.show_pairs(found.facts)
        self.hidden.setText(found.hidden)
        for widget in (self.hidden_title, self.hidden):
            widget.setVisible(bool(found.hidden))
        self.shares.setText("\n".join(f"• {one}" for one in found.shares))
