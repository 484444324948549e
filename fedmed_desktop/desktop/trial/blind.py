# SPDX-License-Identifier: Apache-2.0
"""Blind comparison in Try it: two models in an order that nobody knows, the better one, and only then their names."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from ...errors import UserFacingError
from ...scores import TaskName
from ...wording import told, tr
from ..widgets import Button, Flow, Sentence, Spaced
from ..work.desk import utc_now
from ..work.news import Side
from ..work.tasks import run_task
from .files import preferences_of, write_preference
from .preferences import Preference, tally, tally_words
from .reading_state import SIDES, Run
from .side_panel import SideCard


class BlindPanel(Spaced):
    """The choice to compare blind, the question, and what came of it. `path`: where preferences are kept, None for
    nowhere. `revealed`: the names may be shown now.
    """

    revealed = Signal()

    def __init__(self, sides: Mapping[Side, SideCard], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sides = sides
        self.path: Path | None = None
        self.clock: Callable[[], datetime] = utc_now
        self.toss: Callable[[], bool] = partial(random.choice, (False, True))
        self._swapped = self._asks = False
        self._task: TaskName = "entities"
        self.wanted = QCheckBox(self.tr("Hide which is which, and ask me which one is better"))
        self.sentence = Sentence(tone="ink")
        self.answers: dict[Side | None, Button] = {
            "left": Button(self.tr("The left one")),
            "right": Button(self.tr("The right one")),
            None: Button(self.tr("No difference")),
        }
        self._row = Flow(*self.answers.values(), spacing=8)
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 8)
        for widget in (self.wanted, self.sentence, self._row):
            column.addWidget(widget)
        self.answers["left"].clicked.connect(self._left)
        self.answers["right"].clicked.connect(self._right)
        self.answers[None].clicked.connect(self._neither)
        self._say("")

    @property
    def hides(self) -> bool:
        """Tells whether nobody may see yet which side is which."""
        return self._asks

    # -- one comparison ------------------------------------------------------------------------------------------------

    def begin(self, task: TaskName) -> None:
        """Puts each model where chance wants it, before a note is read with both sides."""
        self.end()
        if not self.wanted.isChecked() or self._names()["left"] == self._names()["right"]:
            return
        self._asks, self._task = True, task
        if self.toss():
            self._swap()
        for side, name in zip(SIDES, (self.tr("Model A"), self.tr("Model B")), strict=True):
            self._sides[side].show_alias(name)

    def show_run(self, run: Run | None) -> None:
        """Asks once both have been read; a comparison that was stopped or has failed is none."""
        if not self._asks or run is None:
            return
        done = all(run.states.get(side) == "done" for side in SIDES)
        if run.is_over and not done:
            self._reveal(self.tr("Not both could be read to the end: this is no comparison."))
            return
        asks, waits = self.tr("Which one is better?"), self.tr("You are asked once both have been read.")
        self._say(asks if done else waits, asks=done)

    def end(self) -> None:
        """Each model back to its own side, as for the next note."""
        self._asks = False
        if self._swapped:
            self._swap()
        for card in self._sides.values():
            card.show_alias("")
        self._say("")

    def _swap(self) -> None:
        self._swapped = not self._swapped
        left, right = (self._sides[side].box for side in SIDES)
        found = (left.choice(), right.choice())
        for box, choice in ((left, found[1]), (right, found[0])):
            if choice is not None and not box.choose(choice.key):
                box.addItem(choice.label, choice.key)
                box.choose(choice.key)

    def _names(self) -> dict[Side, str]:
        return {side: choice.label if (choice := card.box.choice()) else "" for side, card in self._sides.items()}

    def _say(self, words: str, asks: bool = False) -> None:
        self.sentence.setText(words)
        self.sentence.setVisible(bool(words))
        self._row.setVisible(asks)

    # -- the answer ----------------------------------------------------------------------------------------------------

    @Slot()
    def _left(self) -> None:
        self._answer("left")

    @Slot()
    def _right(self) -> None:
        self._answer("right")

    @Slot()
    def _neither(self) -> None:
        self._answer(None)

    def _answer(self, side: Side | None) -> None:
        names = self._names()
        better = names[side] if side else ""
        self._reveal(tr("You found no difference.") if not better else tr("You preferred {name}.").format(name=better))
        one = Preference(
            time=self.clock(), task=self._task, first=names["left"], second=names["right"], better=better
        )  # fmt: skip
        if self.path is not None:
            run_task(self, partial(_kept, one, self.path), self._counted, self._not_kept)

    def _reveal(self, words: str) -> None:
        self._asks = False
        for card in self._sides.values():
            card.show_alias("")
        self._say(words)
        self.revealed.emit()

    def _counted(self, found: tuple[Preference, list[Preference]]) -> None:
        one, known = found
        words = tally_words(tally(known, one.first, one.second, one.task), one.first, one.second)
        if not self._asks and self.sentence.text():
            self._say(f"{self.sentence.text()} {words}")

    def _not_kept(self, error: BaseException) -> None:
        if not isinstance(error, UserFacingError):
            raise error
        self._say(told(error))


def _kept(one: Preference, path: Path) -> tuple[Preference, list[Preference]]:
    """Writes a preference and reads all there are; not in the GUI thread."""
    write_preference(one, path)
    return one, preferences_of(path)
