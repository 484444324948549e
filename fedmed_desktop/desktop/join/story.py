# SPDX-License-Identifier: Apache-2.0
"""Explanation before joining: the three steps, and what is shared and what never is."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QWidget

from ..widgets import Card, Icon, Label, Row, Sentence, Spaced
from ..widgets.labels import Weight

_LEAST = 220  # px at text scale 1 that a step needs beside others


class StoryRow(Row):
    """Invite, paste, compare: each step a number and a sentence."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(spacing=16, parent=parent)
        steps = (
            self.tr("The host invites you: with one line, a file, or a QR code. It works once."),
            self.tr("You enter it here, with the model and your notes, and join."),
            self.tr(
                "You compare six words with the host by phone. If they match, nobody is intercepting the connection."
            ),
        )
        for number, words in enumerate(steps, 1):
            self.add(_Step(number, words), 1, _LEAST)


class _Step(Spaced):
    def __init__(self, number: int, words: str) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        self._lay(row, (0, 0, 0, 0), 10)
        row.addWidget(Label(str(number), size=20, weight=Weight.DemiBold, tone="accent"), 0, Qt.AlignmentFlag.AlignTop)
        sentence = Sentence(words, "ink")
        sentence.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        row.addWidget(sentence, 1)


class SharedCard(Card):
    """The guide's page on what leaves the hospital (guide/leaves.md), in three sentences."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("What is shared"), parent=parent)
        for name, tone, words in (
            (
                "upload",
                "accent",
                self.tr("Only after you approve, round by round: the adapter, and numbers such as counts and scores."),
            ),
            (
                "link",
                "dim",
                self.tr(
                    "While you take part: this site's name and public key, the model's fingerprint, and how far a "
                    "round is here."
                ),
            ),
            ("lock", "ok", self.tr("Never: words of notes, labels, names of files, your name or your reasons.")),
        ):
            row = QHBoxLayout()
            row.setSpacing(10)
            row.addWidget(Icon(name, tone), 0, Qt.AlignmentFlag.AlignTop)
            row.addWidget(Sentence(words, "ink"), 1)
            self.content.addLayout(row)
