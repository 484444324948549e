# SPDX-License-Identifier: Apache-2.0
"""Horizontal bars: a name, a bar as long as its share, a number. A chart for few values, read like a list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from ...wording import tr
from ..look import theme
from .labels import Label, Weight
from .layout import Spaced, fit_rows

HEIGHT_PX = 8
NAME_TENTHS: Final = 4  # of the width, for names; longer ones take more lines
# A word that is as long as "history_of_present_illness" may break at these places; "G25.1" never does.
_LONG_WORD: Final = re.compile(r"\S{21,}")
_MAY_BREAK: Final = re.compile(r"(?<=[_/.\-])(?=\w)|(?<=\w{20})(?=\w)")
_BREAK: Final = "\u200b"
_WRAP: Final = int(Qt.TextFlag.TextWordWrap)


class BarValue(NamedTuple):
    """`share` is between 0 and 1. Where one is `chosen`, its name is bold and the others' bars are quiet."""

    name: str
    text: str
    share: float
    chosen: bool = False


class _Line(QWidget):
    """The bar itself, on a quiet ground of full length."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._share, self._quiet = 0.0, False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_share(self, share: float, quiet: bool) -> None:
        self._share, self._quiet = min(max(share, 0.0), 1.0), quiet
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(theme.px(80), theme.px(HEIGHT_PX))

    def minimumSizeHint(self) -> QSize:
        return QSize(theme.px(40), theme.px(HEIGHT_PX))

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        round_px = self.height() / 2
        painter.setBrush(theme.active().color("line"))
        painter.drawRoundedRect(QRectF(self.rect()), round_px, round_px)
        if self._share > 0:
            painter.setBrush(theme.active().color("edge" if self._quiet else "accent"))
            width = max(self._share * self.width(), float(self.height()))
            painter.drawRoundedRect(QRectF(0, 0, width, self.height()), round_px, round_px)


class BarName(Label):
    """The name beside a bar, whole: a long one takes more lines."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(wrap=True, parent=parent)
        self._words: frozenset[str] = frozenset()

    def setText(self, text: str) -> None:
        super().setText(_LONG_WORD.sub(lambda word: _MAY_BREAK.sub(_BREAK, word[0]), text))

    def words(self) -> list[str]:
        """Pieces that stay on one line."""
        return self.text().replace(_BREAK, " ").split()

    def keep_room(self, words: frozenset[str]) -> None:
        if words != self._words:
            self._words = words
            self.updateGeometry()

    def minimumSizeHint(self) -> QSize:
        hint, metrics = super().minimumSizeHint(), self.fontMetrics()
        widest = max((metrics.boundingRect(0, 0, 0, 0, _WRAP, word).width() for word in self._words), default=0)
        return QSize(max(hint.width(), widest), hint.height())


def line_up(names: Sequence[BarName]) -> None:
    """Each name of a chart takes the room of the longest word of all, so that bars begin below each other."""
    words = frozenset(word for name in names for word in name.words())
    for name in names:
        name.keep_room(words)


class BarRow(Spaced):
    """One bar with its name and number."""

    def __init__(self, name_tenths: int = NAME_TENTHS, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        self._lay(row, (0, 5, 0, 5), 12)
        self.name = BarName()
        self._line = _Line()
        self.value = Label(tone="dim")
        self.value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.name, name_tenths)
        row.addWidget(self._line, 10 - name_tenths)
        row.addWidget(self.value)
        self.restyle()

    def show_bar(self, bar: BarValue, quiet: bool = False) -> None:
        self.name.setText(bar.name)
        self.name._weight = Weight.DemiBold if bar.chosen else Weight.Normal
        self.name.restyle()
        self._line.show_share(bar.share, quiet)
        self.value.setText(bar.text)
        self.value.setVisible(bool(bar.text))
        said = ", ".join(part for part in (bar.text, tr("chosen") if bar.chosen else "") if part)
        self.setAccessibleName(f"{bar.name}: {said}" if said else bar.name)

    def restyle(self) -> None:
        super().restyle()
        if hasattr(self, "value"):
            self.value.setMinimumWidth(self.value.fontMetrics().horizontalAdvance("000,000"))


class Bars(QWidget):
    """Bars one below the other."""

    def __init__(self, name_tenths: int = NAME_TENTHS, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name_tenths = name_tenths
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self.rows: list[BarRow] = []

    def show_bars(self, bars: Sequence[BarValue]) -> None:
        fit_rows(self.rows, len(bars), self._column, lambda: BarRow(self._name_tenths))
        has_choice = any(bar.chosen for bar in bars)
        for row, bar in zip(self.rows, bars, strict=True):
            row.show_bar(bar, quiet=has_choice and not bar.chosen)
        line_up([row.name for row in self.rows])

    def texts(self) -> list[str]:
        return [row.accessibleName() for row in self.rows]
