# SPDX-License-Identifier: Apache-2.0
"""Things to know before hosting: what this computer must be able to do, and what arrives here."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QWidget

from ..widgets import Card, Icon, Sentence


class HostStoryCard(Card):
    """Three sentences, each with a drawing."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("What hosting means"), parent=parent)
        for name, tone, words in (
            (
                "device",
                "accent",
                self.tr(
                    "While a round is running, this computer must be switched on and sites must be able to reach it. "
                    "It needs no GPU and no notes."
                ),
            ),
            (
                "people",
                "dim",
                self.tr("You invite each site with a line of text, a file or a QR code. Nobody else can join."),
            ),
            (
                "lock",
                "ok",
                self.tr(
                    "What arrives here is what each site has approved: adapters, counts and scores. Never the words "
                    "of notes."
                ),
            ),
        ):
            row = QHBoxLayout()
            row.setSpacing(10)
            row.addWidget(Icon(name, tone), 0, Qt.AlignmentFlag.AlignTop)
            row.addWidget(Sentence(words, "ink"), 1)
            self.content.addLayout(row)


class FilesCard(Card):
    """The files that founding writes, for who takes them elsewhere."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("What is written"), parent=parent)
        self.add(
            Sentence(
                self.tr(
                    "federation.toml, which all sites agree on, and the adapter that the first round begins with: the "
                    "same files that fedmed-desktop --new-federation writes. You can read the first one, and move both "
                    "to a server."
                ),
                "ink",
            )
        )
