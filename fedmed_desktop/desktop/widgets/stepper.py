# SPDX-License-Identifier: Apache-2.0
"""Widgets that show how far something is: the steps of a round in one line, and a thin line that fills."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QProgressBar, QSizePolicy, QWidget

from ..look import theme
from ..look.icons import paint_icon

CIRCLE_PX = 20


class StepState(Enum):
    """State of one step."""

    DONE = "done"
    CURRENT = "current"
    AHEAD = "ahead"
    FAILED = "failed"


class Stepper(QWidget):
    """Circles with a word each and lines between. Where there is no room, only the step that is on (or the last that is
    done) keeps its word; the tool tip has them all.
    """

    def __init__(self, steps: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._steps = tuple(steps)
        self._at, self._failed = 0, False
        self.setAccessibleName(self.tr("Steps of this round"))
        self.setToolTip(" · ".join(self._steps))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.show_step(0)

    def show_step(self, at: int, failed: bool = False) -> None:
        """Step `at` (from 0) is on, or has failed; those before are done. `at` = number of steps: all are done."""
        self._at, self._failed = min(max(at, 0), len(self._steps)), failed
        self.setAccessibleDescription(self.sentence())
        self.update()

    def state(self, step: int) -> StepState:
        if step < self._at:
            return StepState.DONE
        if step > self._at:
            return StepState.AHEAD
        return StepState.FAILED if self._failed else StepState.CURRENT

    def sentence(self) -> str:
        """The drawing in words: "Step 3 of 5: Your approval"."""
        count = len(self._steps)
        if self._at >= count:
            return self.tr("All {count} steps are done").format(count=count)
        text = self.tr("Step {n} of {count} failed: {word}") if self._failed else self.tr("Step {n} of {count}: {word}")
        return text.format(n=self._at + 1, count=count, word=self._steps[self._at])

    def sizeHint(self) -> QSize:
        return QSize(self._full_width(), self._height())

    def minimumSizeHint(self) -> QSize:
        words = max((self._advance(step) for step in range(len(self._steps))), default=0)
        return QSize(words + len(self._steps) * theme.px(CIRCLE_PX + 12), self._height())

    def _height(self) -> int:
        return max(theme.px(CIRCLE_PX), self.fontMetrics().height()) + theme.gap(4)

    def _font(self, step: int) -> QFont:
        on = step == self._at
        return theme.sized(self.font(), theme.TEXT_PX, QFont.Weight.DemiBold if on else QFont.Weight.Normal)

    def _advance(self, step: int) -> int:
        return QFontMetrics(self._font(step)).horizontalAdvance(self._steps[step]) + theme.gap(8)

    def _full_width(self) -> int:
        words = sum(self._advance(step) for step in range(len(self._steps)))
        return words + len(self._steps) * theme.px(CIRCLE_PX) + (len(self._steps) - 1) * (2 * theme.gap(12) + 16)

    def _widths(self) -> list[int]:
        """Width of each step's circle and word, words left out where they do not fit."""
        all_fit, last = self._full_width() <= self.width(), len(self._steps) - 1
        return [
            theme.px(CIRCLE_PX) + (self._advance(step) if all_fit or step == min(self._at, last) else 0)
            for step in range(len(self._steps))
        ]

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        widths = self._widths()
        between = (self.width() - sum(widths)) / max(1, len(widths) - 1)
        space = min(theme.gap(12), between / 4)
        left, middle = 0.0, self.height() / 2
        for step, width in enumerate(widths):
            self._paint_step(painter, step, left, width)
            if step + 1 < len(widths):
                painter.setPen(QPen(theme.active().color("line"), 1))
                start = left + width + space
                painter.drawLine(QPointF(start, middle), QPointF(left + width + between - space, middle))
            left += width + between

    def _paint_step(self, painter: QPainter, step: int, left: float, width: int) -> None:
        state, color = self.state(step), theme.active().color
        side = theme.px(CIRCLE_PX)
        circle = QRectF(left, (self.height() - side) / 2, side, side)
        self._paint_circle(painter, step, state, circle)
        if width > side:
            painter.setFont(self._font(step))
            painter.setPen(color({StepState.CURRENT: "ink", StepState.FAILED: "bad"}.get(state, "dim")))
            words = QRectF(left + side + theme.gap(8), 0, width - side + 2, self.height())
            painter.drawText(words, Qt.AlignmentFlag.AlignVCenter, self._steps[step])

    def _paint_circle(self, painter: QPainter, step: int, state: StepState, circle: QRectF) -> None:
        color = theme.active().color
        fill: QColor | None = {StepState.DONE: color("ok"), StepState.FAILED: color("bad")}.get(state)
        edge = fill or color("accent" if state is StepState.CURRENT else "edge")
        painter.setPen(QPen(edge, 1.5 if state is StepState.CURRENT else 1))
        painter.setBrush(fill or color("soft" if state is StepState.CURRENT else "bg"))
        painter.drawEllipse(circle.adjusted(0.75, 0.75, -0.75, -0.75))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if fill:
            inner = circle.width() * 0.18
            name = "check" if state is StepState.DONE else "cross"
            paint_icon(painter, circle.adjusted(inner, inner, -inner, -inner), name, color("card"))
            return
        painter.setFont(theme.sized(self.font(), 11, QFont.Weight.DemiBold))
        painter.setPen(color("accent" if state is StepState.CURRENT else "dim"))
        painter.drawText(circle, Qt.AlignmentFlag.AlignCenter, str(step + 1))


class Progress(QProgressBar):
    """0 to 1 of something, 4 px high. `name` is what a screen reader calls it. Nothing moves unless a share is set."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setRange(0, 1000)
        self.setTextVisible(False)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_share(self, share: float) -> None:
        """Part that is done; values outside 0 to 1 are brought inside."""
        self.setValue(round(1000 * min(max(share, 0.0), 1.0)))

    def sizeHint(self) -> QSize:
        return QSize(theme.px(220), theme.px(4))

    def minimumSizeHint(self) -> QSize:
        return QSize(48, theme.px(4))
