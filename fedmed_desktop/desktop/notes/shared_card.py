# SPDX-License-Identifier: Apache-2.0
"""A card on the Notes page with this site's notes beside the federation's: a sentence, and two bars for each name."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from ...wording import written
from ..look import theme
from ..widgets import Caption, Label, Overline, Row, Sentence, Spaced
from ..widgets.bars import NAME_TENTHS, BarName, line_up
from ..widgets.layout import fit_rows
from .parts import NotesCard
from .shared import SharedView, SharePair

BAR_PX, BETWEEN_PX = 6, 2


class TwoBars(QWidget):
    """One share over the other, each as a part of the longest of the card. The lower one has an outline only."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shares = (0.0, 0.0)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_shares(self, own: float, federation: float) -> None:
        self._shares = own, federation
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(theme.px(80), 2 * theme.px(BAR_PX) + theme.px(BETWEEN_PX))

    def minimumSizeHint(self) -> QSize:
        return QSize(theme.px(40), self.sizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        high = theme.px(BAR_PX)
        for number, share in enumerate(self._shares):
            paint_bar(
                painter, QRectF(0, number * (high + theme.px(BETWEEN_PX)), share * self.width(), high), number == 0
            )


def paint_bar(painter: QPainter, place: QRectF, is_own: bool) -> None:
    """Full for this site, an outline for the federation: told apart without colour."""
    look = theme.active()
    painter.setPen(Qt.PenStyle.NoPen if is_own else look.color("edge"))
    painter.setBrush(look.color("accent") if is_own else Qt.BrushStyle.NoBrush)
    inner = place if is_own else place.adjusted(0.5, 0.5, -0.5, -0.5)
    if inner.width() > 0.5:
        painter.drawRoundedRect(inner, 2, 2)


class PairRow(Spaced):
    """A name, its two bars, and both shares in words."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        self._lay(row, (0, 4, 0, 4), 12)
        self.name = BarName()
        self.bars = TwoBars()
        self.value = Label(tone="dim")
        self.value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.name, NAME_TENTHS)
        row.addWidget(self.bars, 10 - NAME_TENTHS)
        row.addWidget(self.value)
        self.restyle()

    def show_pair(self, pair: SharePair, longest: float) -> None:
        self.name.setText(pair.name)
        self.bars.show_shares(pair.own / longest, pair.federation / longest)
        self.value.setText(pair.text)
        said = self.tr("{name}: this site {own}, federation {federation}")
        self.setAccessibleName(
            said.format(name=pair.name, own=written(pair.own, ".0%"), federation=written(pair.federation, ".0%"))
        )

    def restyle(self) -> None:
        super().restyle()
        if hasattr(self, "value"):
            self.value.setMinimumWidth(self.value.fontMetrics().horizontalAdvance("100% / 100%"))


class _Sample(QWidget):
    """A short bar that says which is which."""

    def __init__(self, is_own: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._is_own = is_own
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(theme.px(24), theme.px(BAR_PX))

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_bar(painter, QRectF(self.rect()), self._is_own)


class SharedCard(NotesCard):
    """Hidden where the federation shares no counts."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(self.tr("This site compared with the federation"), parent)
        self.sentence = Sentence(tone="ink")
        self._title = Overline()
        self._legend = Row(spacing=8)
        for is_own, words in ((True, self.tr("This site")), (False, self.tr("Federation"))):
            self._legend.add(_Sample(is_own))
            self._legend.add(Caption(words))
        self._legend.content.addStretch(1)
        self.rows: list[PairRow] = []
        self._column = QVBoxLayout()
        self._column.setSpacing(0)
        self.about = Caption(wrap=True)
        for part in (self.sentence, self._title, self._legend):
            self.add(part)
        self.content.addLayout(self._column)
        self.add(self.about)
        self._shown: SharedView | None = None
        self.hide()

    def show_shared(self, view: SharedView | None) -> None:
        if view == self._shown:
            return
        self._shown = view
        self.setVisible(view is not None)
        self._show_pairs(view.pairs if view else ())
        if view:
            self.sentence.setText(view.sentence)
            self._title.setText(view.title)
            self.about.setText(view.about)

    def _show_pairs(self, pairs: Sequence[SharePair]) -> None:
        fit_rows(self.rows, len(pairs), self._column, PairRow)
        longest = max((max(pair.own, pair.federation) for pair in pairs), default=1.0) or 1.0
        for row, pair in zip(self.rows, pairs, strict=True):
            row.show_pair(pair, longest)
        line_up([row.name for row in self.rows])
        for part in (self._legend, self.about):
            part.setVisible(bool(pairs))
