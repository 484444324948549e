# SPDX-License-Identifier: Apache-2.0
"""The types that are marked in a text, each with its colour and count; pressing one shows or hides its marks."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QWidget

from ..look import theme
from ..look.icons import paint_icon


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
        self.setText(f"{self.type_name} {count:,}")
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


class EntityLegend(QWidget):
    """One button per type, breaking into lines where there is no room. `hidden_changed(frozenset of types)`."""

    hidden_changed = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._buttons: dict[str, TypeButton] = {}
        self.setAccessibleName(self.tr("Types of entities"))
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_types(self, counts: Mapping[str, int], colors: Mapping[str, str]) -> None:
        """Counts and tokens by type; buttons that are there keep whether they are pressed."""
        for name in [name for name in self._buttons if name not in counts]:
            button = self._buttons.pop(name)
            button.hide()
            button.deleteLater()
        for name, count in counts.items():
            if name not in self._buttons:
                button = self._buttons[name] = TypeButton(name, self)
                button.toggled.connect(self._tell)
                button.show()
            self._buttons[name].show_type(count, colors[name])
        self.setVisible(bool(counts))
        self.updateGeometry()
        self._place(self.width())

    def hidden(self) -> frozenset[str]:
        return frozenset(name for name, button in self._buttons.items() if not button.isChecked())

    def button(self, type_name: str) -> TypeButton:
        return self._buttons[type_name]

    @Slot()
    def _tell(self) -> None:
        self.hidden_changed.emit(self.hidden())

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._place(width, move=False)

    def sizeHint(self) -> QSize:
        space = theme.gap(8)
        wide = sum(button.sizeHint().width() + space for button in self._buttons.values())
        return QSize(wide, self.heightForWidth(max(self.width(), 1) if self.isVisible() else wide))

    def minimumSizeHint(self) -> QSize:
        widest = max((button.sizeHint().width() for button in self._buttons.values()), default=0)
        return QSize(widest, 0)

    def _place(self, width: int, move: bool = True) -> int:
        """Puts the buttons into lines; returns the height that they take."""
        x = y = height = 0
        for button in self._buttons.values():
            size = button.sizeHint()
            if x and x + size.width() > width:
                x, y = 0, y + height + theme.gap(8)
            if move:
                button.setGeometry(x, y, size.width(), size.height())
            height = size.height()
            x += size.width() + theme.gap(8)
        return y + height

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place(self.width())

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange) and hasattr(self, "_buttons"):
            self.updateGeometry()
            self._place(self.width())
