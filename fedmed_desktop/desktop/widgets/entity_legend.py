# SPDX-License-Identifier: Apache-2.0
"""The types that are marked in a text, each with its colour and count; pressing one shows or hides its marks."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from ...wording import written
from ..look import theme
from ..look.icons import paint_icon
from .flow import Flow


class TypeButton(QAbstractButton):
    """One type: pressed in means marked. A tick says so as well as the colour."""

    def __init__(self, type_name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.type_name = type_name
        self._count, self._token = 0, "entity_1"
        self.setCheckable(True)
        self.setChecked(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def show_type(self, count: int, token: str) -> None:
        self._count, self._token = count, token
        self.setText(f"{self.type_name} {written(count)}")
        self.setAccessibleName(self.tr("{type}, {count} marked").format(type=self.type_name, count=count))
        self.setToolTip(self.tr("Show or hide these marks"))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        words = self.fontMetrics().horizontalAdvance(self.text())
        return QSize(words + theme.px(14) + 3 * theme.gap(8), self.fontMetrics().height() + theme.gap(8))

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        look = theme.active()
        place = self.rect().toRectF().adjusted(1, 1, -1, -1)
        color = look.color(self._token if self.isChecked() else "edge")
        pen = painter.pen()
        pen.setColor(look.color("focus") if self.hasFocus() else color)
        pen.setWidthF(2.0 if self.hasFocus() else 1.0)
        painter.setPen(pen)
        painter.setBrush(look.entity_fill(self._token) if self.isChecked() else look.color("card"))
        painter.drawRoundedRect(place, 6, 6)
        side = theme.px(14)
        left = theme.gap(8)
        if self.isChecked():
            square = QRect(left, (self.height() - side) // 2, side, side)
            paint_icon(painter, square.toRectF(), "check", look.color(self._token))
        painter.setPen(look.color(self._token if self.isChecked() else "dim"))
        words = self.rect().adjusted(left + side + theme.gap(4), 0, 0, 0)
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter, self.text())


class EntityLegend(Flow):
    """One button per type, breaking into lines where there is no room. `hidden_changed(frozenset of types)`."""

    hidden_changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._buttons: dict[str, TypeButton] = {}
        self.setAccessibleName(self.tr("Types of entities"))

    def show_types(self, counts: Mapping[str, int], colors: Mapping[str, str]) -> None:
        """Counts and tokens by type; buttons that are there keep whether they are pressed."""
        for name in self._buttons.keys() - counts.keys():
            self.remove(self._buttons.pop(name))
        for name, count in counts.items():
            if name not in self._buttons:
                self._buttons[name] = TypeButton(name)
                self._buttons[name].toggled.connect(self._tell)
                self.add(self._buttons[name])
            self._buttons[name].show_type(count, colors[name])
        self.setVisible(bool(counts))
        self._lines.activate()  # at once: new buttons lie one over the other until then

    def hidden(self) -> frozenset[str]:
        return frozenset(name for name, button in self._buttons.items() if not button.isChecked())

    def button(self, type_name: str) -> TypeButton:
        return self._buttons[type_name]

    @Slot()
    def _tell(self) -> None:
        self.hidden_changed.emit(self.hidden())
