# SPDX-License-Identifier: Apache-2.0
"""Card with the six words to compare by phone, until the person says that they are the same."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QWidget

from ..widgets import Button, Card, Flow, Heading, Label, Sentence
from ..widgets.labels import Weight
from .identity import SixWords


class IdentityCard(Card):
    """`compared` carries the words that are the same on both sides; `differ`: they are not."""

    compared = Signal(str)
    differ = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._is_asked = False  # for, though they were compared
        self.done = ""  # words that were compared before
        self._found: SixWords | None = None
        self.words = Label(size=20, weight=Weight.DemiBold, wrap=True)
        flags = Qt.TextInteractionFlag
        self.words.setTextInteractionFlags(flags.TextSelectableByMouse | flags.TextSelectableByKeyboard)
        self._sentence = Sentence()
        self.same = Button(self.tr("They are the same"), "check")
        self.other = Button(self.tr("They differ…"))
        self.same.clicked.connect(self._same)
        self.other.clicked.connect(self.differ)
        title = self.tr("Compare these six words with the host by phone")
        self.add(Heading(title, 2))
        self.add(self.words)
        self.add(self._sentence)
        self.add(Flow(self.same, self.other))
        self.setAccessibleName(title)

    def show_words(self, found: SixWords | None) -> None:
        """Hidden once the words were compared, until they are asked for; never while the host waits for it."""
        self._found = found
        if found:
            self.words.setText(found.words)
            self.words.setAccessibleName(found.words.replace("-", " "))
            self._sentence.setText(found.sentence)
        self._show()

    @property
    def is_done(self) -> bool:
        """Tells whether there are words that need not be seen any more."""
        return self._found is not None and not self._found.waits and self._found.words == self.done

    @Slot()
    def ask(self) -> None:
        """Shows the words once more, or hides them again."""
        self._is_asked = not self._is_asked
        self._show()

    def _show(self) -> None:
        self.setVisible(self._found is not None and (not self.is_done or self._is_asked))
        self.same.setVisible(self._found is not None and not self._found.waits)

    @Slot()
    def _same(self) -> None:
        if self._found:
            self.done, self._is_asked = self._found.words, False
            self._show()
            self.compared.emit(self.done)
