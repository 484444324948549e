# SPDX-License-Identifier: Apache-2.0
"""Card on what an update may reveal: one verdict, a sentence for each probe with its light, the numbers behind."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from ...federation.probes import Light
from ...wording.probes import Revealed
from ..widgets import Caption, Card, Icon, Label, LinkButton, Row, Sentence, Spaced
from ..widgets.buttons import HelpLink
from ..widgets.layout import fit_rows

NAME_PX = 210  # beside the sentence; at large text it stands above it
_MARKS: dict[Light | None, tuple[str, str]] = {
    "green": ("check", "ok"),
    "amber": ("warning", "warn"),
    "red": ("warning", "bad"),
    None: ("info", "dim"),
}


class RevealedRow(Spaced):
    """One probe: its light as an icon and a word, its sentence, and the numbers where they are asked for."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        self._lay(column, (0, 6, 0, 6), 2)
        self.name = Label(weight=QFont.Weight.DemiBold, wrap=True)
        self.word = Caption()
        self._icon = Icon("info", "dim", 16)
        self.sentence = Sentence(tone="ink")
        self.numbers = Caption(wrap=True)
        head = QWidget()
        line = QHBoxLayout(head)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(8)
        line.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        names = QVBoxLayout()
        names.setSpacing(0)
        names.addWidget(self.name)
        names.addWidget(self.word)
        line.addLayout(names, 1)
        head.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        told = QWidget()
        texts = QVBoxLayout(told)
        texts.setContentsMargins(0, 0, 0, 0)
        texts.setSpacing(2)
        texts.addWidget(self.sentence)
        texts.addWidget(self.numbers)
        texts.addStretch(1)  # at the top, beside the name
        row = Row(spacing=16)
        row.add(head, 1, NAME_PX)
        row.add(told, 4, 2 * NAME_PX)
        row.content.setAlignment(head, Qt.AlignmentFlag.AlignTop)
        column.addWidget(row)

    def show_row(self, row: Revealed, *, with_numbers: bool) -> None:
        icon, tone = _MARKS[row.light]
        self._icon.show_icon(icon, tone)
        self.name.setText(row.name)
        self.word.setText(row.word)
        self.word.set_tone(tone)
        self.sentence.setText(row.sentence)
        self.numbers.setText(row.numbers)
        self.numbers.setVisible(with_numbers and bool(row.numbers))
        self.setAccessibleName(f"{row.name}: {row.word}. {row.sentence}")


class RevealsCard(Card):
    """Findings of attacks on the adapter, with the numbers behind a link."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("What it may reveal"), parent=parent)
        self._lay(self.content, (20, 14, 20, 14), 8)
        self.title.setWordWrap(True)
        self.title.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.more = LinkButton("", "chevron")
        self.more.clicked.connect(self._toggle)
        self.help = HelpLink(self.tr("What each of these means, and what it does not"), "reveals#the-numbers")
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.more)
        head.addWidget(self.help)
        self.content.insertLayout(0, head)
        self.text = Sentence(tone="ink")
        self.add(self.text)
        self.rows: list[RevealedRow] = []
        self._shown: tuple[Revealed, ...] = ()
        self._with_numbers = False

    def show_reveals(self, words: str, rows: Sequence[Revealed]) -> None:
        self.text.setText(words)
        self._shown = tuple(rows)
        fit_rows(self.rows, len(rows), self.content, RevealedRow)
        self._show_rows()
        self.setVisible(bool(words))

    def _show_rows(self) -> None:
        for widget, row in zip(self.rows, self._shown, strict=True):
            widget.show_row(row, with_numbers=self._with_numbers)
        self.more.setVisible(any(row.numbers for row in self._shown))
        self.more.set_icon("chevron_up" if self._with_numbers else "chevron")
        self.more.setText(self.tr("Hide numbers") if self._with_numbers else self.tr("Numbers"))

    @Slot()
    def _toggle(self) -> None:
        """Stays as it is for the updates that follow."""
        self._with_numbers = not self._with_numbers
        self._show_rows()
