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
                    "This computer must be on, and sites must reach it, whenever a round goes on. It needs no GPU "
                    "and no notes."
                ),
            ),
            (
                "people",
                "dim",
                self.tr("You invite each site, by a line, a file or a QR code. Nobody else can come in."),
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
                    "same files as by fedmed-desktop --new-federation. You can read the first one, and move both to a "
                    "server."
                ),
                "ink",
            )
        )
