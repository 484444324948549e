# SPDX-License-Identifier: Apache-2.0
"""Words: headings, captions, running sentences, lines that are shortened to fit, small marks with a number or word."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QLabel, QSizePolicy, QWidget

from ..look import theme
from .icon import Icon, Restyled

Weight = QFont.Weight
TONE_ICONS = {"ok": "check", "warn": "warning", "bad": "warning", "dim": "clock", "accent": "info", "ink": "info"}


def set_tone(widget: QWidget, name: str, value: object) -> None:
    """Sets a property that the style sheet selects by, and has the sheet read again if it changed."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        widget.style().unpolish(widget)
        widget.style().polish(widget)
        widget.update()


def plain_tip(text: str) -> str:
    """Tool tip that shows these words as they are: one with a tag in it is markup to Qt."""
    return f"<p>{escape(text)}</p>" if "<" in text else text


class OwnFont(Restyled):
    """Mixed into a widget, before Qt's class: a font of its own, which `_shaped` makes for the present text size."""

    _is_shaping = False

    def _shaped(self) -> QFont:
        return theme.sized(QApplication.font(), theme.TEXT_PX)

    def restyle(self) -> None:
        font = self._shaped()
        if font != self.font():
            self.setFont(font)

    def changeEvent(self, event: QEvent) -> None:
        """Keeps the font: whenever the style sheet is read again, Qt puts back the one of the first reading."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange) and not self._is_shaping:
            self._is_shaping = True
            OwnFont.restyle(self)
            self._is_shaping = False


class Label(OwnFont, QLabel):
    """Plain text in one of the three sizes; never read as markup. Tones: ink, dim, ok, warn, bad, accent."""

    def __init__(
        self,
        text: str = "",
        *,
        size: float = theme.TEXT_PX,
        weight: Weight = Weight.Normal,
        tone: str = "ink",
        wrap: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(text, parent)
        self._size, self._weight = size, weight
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(wrap)
        self.setProperty("tone", tone)
        self.restyle()

    def set_tone(self, tone: str) -> None:
        set_tone(self, "tone", tone)

    def _shaped(self) -> QFont:
        return theme.sized(QApplication.font(), self._size, self._weight)


class Heading(Label):
    """Level 1: a page's name, 20 px. Level 2: what a card says first, 16 px. Level 3: 14 px."""

    def __init__(self, text: str = "", level: int = 1, parent: QWidget | None = None) -> None:
        super().__init__(size={1: 20, 2: 16, 3: 14}[level], weight=Weight.DemiBold, wrap=True, parent=parent)
        self.setText(text)

    def setText(self, text: str) -> None:
        super().setText(text)
        self._keep_whole()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._keep_whole()

    def _keep_whole(self) -> None:
        """Room for what the first letter has to the left of where it begins: a bold J would lose its foot."""
        text = self.text()
        reach = self.fontMetrics().leftBearing(text[0]) if text else 0
        self.setContentsMargins(max(0, -reach), 0, 0, 0)


class Overline(Label):
    """The small name above a card's content, in capitals (only drawn so; screen readers get the words)."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, size=11, weight=Weight.DemiBold, tone="dim", parent=parent)

    def _shaped(self) -> QFont:
        font = super()._shaped()
        font.setCapitalization(QFont.Capitalization.AllUppercase)
        font.setLetterSpacing(QFont.SpacingType.PercentageSpacing, 106)
        return font


class Caption(Label):
    """Small dim words, 12 px."""

    def __init__(self, text: str = "", wrap: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(text, size=12, tone="dim", wrap=wrap, parent=parent)


class Sentence(Label):
    """Running text that wraps, dim unless another tone is given."""

    def __init__(self, text: str = "", tone: str = "dim", parent: QWidget | None = None) -> None:
        super().__init__(text, tone=tone, wrap=True, parent=parent)


class ElidedLabel(Label):
    """One line, shortened with an ellipsis where there is no room; the tool tip then has it whole."""

    def __init__(
        self,
        text: str = "",
        *,
        mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight,
        size: float = theme.TEXT_PX,
        weight: Weight = Weight.Normal,
        tone: str = "ink",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(text, size=size, weight=weight, tone=tone, parent=parent)
        self._mode = mode
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def minimumSizeHint(self) -> QSize:
        hint = super().minimumSizeHint()
        return QSize(min(hint.width(), self.fontMetrics().averageCharWidth() * 8), hint.height())

    def setText(self, text: str) -> None:
        super().setText(text)
        self._tell()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._tell()

    def _tell(self) -> None:
        self.setToolTip(plain_tip(self.text()) if self._shown() != self.text() else "")

    def _shown(self) -> str:
        return QFontMetrics(self.font()).elidedText(self.text(), self._mode, self.contentsRect().width())

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        self.style().drawItemText(
            painter, self.contentsRect(), int(self.alignment() | Qt.AlignmentFlag.AlignVCenter),
            self.palette(), self.isEnabled(), self._shown(), self.foregroundRole(),
        )  # fmt: skip


class Badge(Label):
    """A number on the accent colour; hidden at zero."""

    def __init__(self, count: int = 0, parent: QWidget | None = None) -> None:
        super().__init__(size=11, weight=Weight.DemiBold, parent=parent)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.set_count(count)

    def set_count(self, count: int) -> None:
        self.setText("99+" if count > 99 else str(count))
        self.setVisible(count > 0)

    def sizeHint(self) -> QSize:
        return QSize(max(theme.px(20), self.fontMetrics().horizontalAdvance(self.text()) + theme.px(12)), theme.px(16))

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(theme.active().color("accent"))
        painter.drawRoundedRect(self.rect(), self.height() / 2, self.height() / 2)
        painter.end()
        super().paintEvent(event)


class Tag(Label):
    """One outlined word, such as the environment's. Hidden while empty."""

    def __init__(self, text: str = "", tone: str = "warn", parent: QWidget | None = None) -> None:
        super().__init__(text, size=11, weight=Weight.DemiBold, tone=tone, parent=parent)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setText(text)

    def setText(self, text: str) -> None:
        super().setText(text)
        self.setVisible(bool(text))

    def _shaped(self) -> QFont:
        font = super()._shaped()
        font.setCapitalization(QFont.Capitalization.AllUppercase)
        font.setLetterSpacing(QFont.SpacingType.PercentageSpacing, 106)
        return font


class StateLabel(Restyled, QWidget):
    """An icon and a word for a state: never the colour alone. Tones: ok, warn, bad, dim, accent, ink. Only the icon has
    the colour, and the word too where something is wrong.
    """

    def __init__(self, word: str = "", tone: str = "dim", icon: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon = Icon("clock", tone, 16)
        self._word = ElidedLabel(word, tone=tone)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.addWidget(self._icon)
        self._row.addWidget(self._word, 1)
        self.restyle()
        self.show_state(word, tone, icon)

    def show_state(self, word: str, tone: str = "dim", icon: str = "") -> None:
        """`icon` is a drawing's name; empty takes the tone's usual one."""
        self._icon.show_icon(icon or TONE_ICONS[tone], tone)
        self._word.setText(word)
        self._word.set_tone(tone if tone in ("warn", "bad", "dim") else "ink")
        self.setAccessibleName(word)

    def word(self) -> str:
        return self._word.text()

    def restyle(self) -> None:
        self._row.setSpacing(theme.gap(8))
