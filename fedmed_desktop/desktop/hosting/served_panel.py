# SPDX-License-Identifier: Apache-2.0
"""The coordinator that runs on this computer: whether it serves, where, and the button that stops or starts it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from ..widgets import Button, Card, Flow, KeyValueRows, LinkButton, Sentence
from ..widgets.verdict import VerdictLine
from ..work.hosted import Hosted
from .served import State, facts, verdict


class ServedPanel(Card):
    """`stop_requested` before anything was asked; `start_requested`; `found_requested`: another federation."""

    stop_requested = Signal()
    start_requested = Signal()
    found_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(least=300, parent=parent)
        self.state: State = "stopped"
        self.verdict, self.sentence = VerdictLine(), Sentence()
        self.stop, self.start = Button(self.tr("Stop serving…"), "stop"), Button(self.tr("Serve it again"), "play")
        self.another = LinkButton(self.tr("Host another federation"))
        self.setAccessibleName(self.tr("Coordinator"))
        self.add(self.verdict)
        self.add(self.sentence)
        self.add(Flow(self.stop, self.start, self.another))
        self.content.addStretch(1)
        self.stop.clicked.connect(self.stop_requested)
        self.start.clicked.connect(self.start_requested)
        self.another.clicked.connect(self.found_requested)

    def show_state(self, hosted: Hosted, state: State, fault: str = "") -> None:
        self.state = state
        shown = verdict(hosted, state, fault)
        self.verdict.show_verdict(shown.words, shown.tone)
        self.sentence.setText(shown.sentence)
        is_off = state in ("stopped", "failed")
        self.stop.setVisible(not is_off)
        self.stop.setEnabled(state in ("starting", "serving"))
        self.start.setVisible(is_off)
        self.another.setVisible(is_off)


class FactsCard(Card):
    """Address, folder and what else a host may be asked for."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("This coordinator"), parent=parent)
        self._rows = KeyValueRows()
        self.add(self._rows)

    def show_hosted(self, hosted: Hosted) -> None:
        self._rows.show_pairs(facts(hosted))
