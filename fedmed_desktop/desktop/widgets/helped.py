# SPDX-License-Identifier: Apache-2.0
"""Cards with a "?" beside the title, and such a one on work of minutes that a person starts."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from ..look.runs import RunView
from .buttons import Button, HelpLink
from .flow import Flow
from .folded import Folded
from .labels import Overline, Sentence, StateLabel
from .layout import Card
from .stepper import Progress
from .table import Table, TextTable
from .verdict import VerdictLine


class HelpedCard(Card):
    """A card whose title has a "?" beside it: what its words mean is at this place in the guide."""

    def __init__(self, title: str, parent: QWidget | None, place: str) -> None:
        super().__init__(least=320, parent=parent)
        self.setAccessibleName(title)
        self.help = HelpLink(self.tr("What this means"), place)
        self.help.setAccessibleName(self.tr("What this means: {title}").format(title=title))
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(Overline(title))
        head.addWidget(self.help)
        head.addStretch(1)
        self.content.addLayout(head)
        self._lay(self.content, (20, 12, 20, 16), 8)


class RunCard(HelpedCard):
    """Work of minutes: what it is, a button to start it, progress, the verdict in a sentence, a table.

    `wanted` and `stop_wanted` are what the person wants. `progress` and `table` are what a screen reader calls these
    two. `folded`: the link behind which the table is; "" where everybody sees it.
    """

    wanted = Signal()
    stop_wanted = Signal()

    def __init__(
        self, title: str, parent: QWidget | None, place: str, progress: str, table: str, folded: str = ""
    ) -> None:
        super().__init__(title, parent, place)
        self.hint = Sentence()
        self.verdict = VerdictLine()
        self.state = StateLabel()
        self.sentence = Sentence()
        self.progress = Progress(progress)
        self.model = TextTable(self)
        self.table = Table(table, most_rows=40)
        self.table.setModel(self.model)
        self.results: QWidget = Folded(folded, self.table) if folded else self.table
        self.run = Button(icon="play")
        self.stop = Button(self.tr("Stop"), "stop")
        self.run.clicked.connect(self.wanted)
        self.stop.clicked.connect(self.stop_wanted)
        for part in (self.hint, self.verdict, self.state, self.sentence, self.progress, self.results):
            self.add(part)
        self.buttons = Flow(self.run, self.stop)
        self.add(self.buttons)

    def show_view(self, view: RunView | None, *, runs: bool, start: str) -> None:
        """`view` None: nothing was started yet. `start`: what the button says that starts it."""
        has_result = view is not None and bool(view.rows)
        self.hint.setVisible(view is None)
        self.run.setVisible(not runs)
        self.run.setText(start)
        self.stop.setVisible(runs)
        self.verdict.show_verdict(view.verdict if view and has_result else "", view.tone if view else "dim")
        self.state.setVisible(view is not None and not has_result)
        if view:
            self.state.show_state(view.verdict, view.tone)
            self.sentence.setText(view.sentence)
            self.model.show_texts(view.headings, view.rows)
            if view.share is not None:
                self.progress.set_share(view.share)
        self.sentence.setVisible(view is not None and bool(view.sentence))
        self.progress.setVisible(view is not None and view.share is not None)
        self.results.setVisible(has_result)
