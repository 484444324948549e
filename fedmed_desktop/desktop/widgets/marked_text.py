# SPDX-License-Identifier: Apache-2.0
"""A note with its entities marked: ground, underline and the type's word, so that no colour has to be told apart."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from PySide6.QtCore import QEvent, QMimeData, QPointF, QRectF, QSize, Qt, Slot
from PySide6.QtGui import (
    QFont,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextOption,
)
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextEdit, QWidget

from ...clinical import Span
from ...clinical.tasks import Link
from ..look import theme
from ..look.entities import Piece, colors, in_words, pieces
from ..look.links import Place
from .link_lines import LinkLines

LABEL_PX = 11
LINE_PERCENT = 150  # room for the grounds of two lines, one above the other
_NO_BREAK = "\u00a0"


@dataclass(frozen=True)
class _Shown:
    """A piece as it lies in the document, in Qt's positions (UTF-16 units); `label` is where its type's word begins."""

    piece: Piece
    start: int
    label: int
    end: int


class MarkedText(QTextEdit):
    """Read-only text for `show_text`; mouse and keyboard select, and what is copied is the note without type words.
    Where `grows`, it is as high as its text and the page scrolls; otherwise it scrolls itself.
    """

    def __init__(self, name: str, grows: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = ""
        self._spans: tuple[Span, ...] = ()
        self._hidden: frozenset[str] = frozenset()
        self._colors: dict[str, str] = {}
        self._shown: list[_Shown] = []
        self._lines = LinkLines()
        self._spacing = LINE_PERCENT
        self._grows = grows
        self.setObjectName("marked")
        self.setAccessibleName(name)
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setTabChangesFocus(True)
        self.setAcceptDrops(False)
        flags = Qt.TextInteractionFlag
        self.setTextInteractionFlags(flags.TextSelectableByMouse | flags.TextSelectableByKeyboard)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.document().setDocumentMargin(theme.px(2))
        if grows:
            self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
            self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            self.document().documentLayout().documentSizeChanged.connect(self._grow)

    # -- what is shown ---------------------------------------------------------------------------------------------

    def show_text(self, text: str, spans: Sequence[Span] = ()) -> None:
        """Shows the note; offsets are Python's. Cheap to call for every token: only what changed is laid out again."""
        if (text, tuple(spans)) != (self._text, self._spans):
            self._text, self._spans = text, tuple(spans)
            self._colors = colors((span.type for span in spans), self._colors)
            self._lay_out()

    def show_links(self, links: Sequence[Link], chosen: Link | None = None) -> None:
        """Draws a line from each modifier to its mention, both of them marked; the chosen one stands out."""
        if self._lines.show(links, chosen):
            self._make_room()
            self._route()

    def set_colors(self, known: Mapping[str, str]) -> None:
        """Type -> token, such as another text's `type_colors`."""
        given = colors((span.type for span in self._spans), known)
        if given != self._colors:
            self._colors = given
            self._lay_out(anew=True)

    @property
    def type_colors(self) -> dict[str, str]:
        return dict(self._colors)

    @Slot(object)
    def set_hidden(self, types: Collection[str]) -> None:
        """Leaves these types without marks. A legend's `hidden_changed` leads here."""
        if frozenset(types) != self._hidden:
            self._hidden = frozenset(types)
            self._lay_out()

    def marked(self) -> list[tuple[str, str]]:
        """(words, type) of every entity that is marked now, in the order of the text."""
        return [(shown.piece.text, shown.piece.type) for shown in self._shown if shown.piece.type]

    def _lay_out(self, anew: bool = False) -> None:
        wanted = pieces(self._text, self._spans, self._hidden)
        same = 0 if anew else sum(1 for _ in takewhile(_equal, zip(self._shown, wanted, strict=False)))
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        cursor.setPosition(self._shown[same].start if same < len(self._shown) else self._end())
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        self._shown = self._shown[:same]
        if not same:
            spacing = QTextBlockFormat()
            spacing.setLineHeight(self._spacing, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
            cursor.setBlockFormat(spacing)
        for piece in wanted[same:]:
            self._insert(cursor, piece)
        cursor.endEditBlock()
        self._route()
        hidden = [span for span in self._spans if span.type not in self._hidden]
        self.setAccessibleDescription(in_words(self._text, hidden))
        self.viewport().update()

    def _end(self) -> int:
        return self._shown[-1].end if self._shown else 0

    def _insert(self, cursor: QTextCursor, piece: Piece) -> None:
        start = cursor.position()
        ink = QTextCharFormat()
        ink.setForeground(theme.active().color("ink"))
        cursor.insertText(piece.text, ink)
        label = cursor.position()
        if piece.type:
            word = QTextCharFormat()
            word.setFont(theme.sized(self.font(), LABEL_PX, QFont.Weight.DemiBold))
            word.setForeground(theme.active().color(self._colors[piece.type]))
            cursor.insertText(_NO_BREAK + piece.type[:-1], word)
            word.setFontLetterSpacingType(QFont.SpacingType.AbsoluteSpacing)
            word.setFontLetterSpacing(theme.px(3))  # within the ground, before the next word
            cursor.insertText(piece.type[-1], word)
        self._shown.append(_Shown(piece, start, label, cursor.position()))

    # -- grounds and underlines ------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(-self.horizontalScrollBar().value(), -self.verticalScrollBar().value())
        seen = QRectF(event.rect()).translated(0, self.verticalScrollBar().value())
        for shown in self._shown:
            if shown.piece.type:
                for place in self._places(shown.start, shown.end):
                    if place.intersects(seen):
                        self._paint_mark(painter, place, self._colors[shown.piece.type])
        self._lines.paint(painter, self._colors)
        painter.end()
        super().paintEvent(event)

    def _paint_mark(self, painter: QPainter, place: QRectF, token: str) -> None:
        look = theme.active()
        line = max(2.0, theme.px(2))
        painter.setPen(Qt.PenStyle.NoPen)
        for color, top in ((look.entity_fill(token), place.top()), (look.color(token), place.bottom() - line)):
            painter.setClipRect(QRectF(place.left(), top, place.width(), place.bottom() - top))
            painter.setBrush(color)
            painter.drawRoundedRect(place, 3, 3)
        painter.setClipping(False)

    def _places(self, start: int, end: int) -> list[QRectF]:
        """One rectangle for each line that the stretch touches, in the document's coordinates."""
        places: list[QRectF] = []
        block = self.document().findBlock(start)
        while block.isValid() and block.position() < end:
            places += self._in_block(block, start - block.position(), end - block.position())
            block = block.next()
        return places

    def _in_block(self, block: QTextBlock, start: int, end: int) -> list[QRectF]:
        layout = block.layout()
        corner = self.document().documentLayout().blockBoundingRect(block).topLeft()
        places = []
        for number in range(layout.lineCount()):
            line = layout.lineAt(number)
            first, last = line.textStart(), line.textStart() + line.textLength()
            if first >= end or last <= start:
                continue
            if end > last:  # it goes on in the next line; the blank at which it breaks is not marked
                last = first + len(block.text()[first:last].rstrip())
            left, right = _x(line, max(start, first)), _x(line, min(end, last))
            bottom = line.y() + line.ascent() + line.descent()
            pad = theme.px(2)
            top = QPointF(left - pad, bottom - self.fontMetrics().height() - pad / 2)
            inside = 0 if end <= last else pad  # the type's word has its own space after it
            places.append(QRectF(corner + top, corner + QPointF(right + inside, bottom + 1.5 * pad)))
        return places

    # -- lines of links --------------------------------------------------------------------------------------------

    def _route(self) -> None:
        """Places of the lines, and room for them between the lines of text. Where a line breaks depends on neither."""
        lanes = self._lines.route(self._ends, self._hidden)
        room = math.ceil(100 * self._lines.room(lanes) / self.fontMetrics().height())
        spacing = max(LINE_PERCENT, 100 + room)
        if spacing != self._spacing:
            self._spacing = spacing
            self._make_room()
            self._space_lines()
            self._lines.route(self._ends, self._hidden)
        self.viewport().update()

    def _make_room(self) -> None:
        """Left of the text and above its first line: Qt puts a line's spacing below it."""
        frame = self.document().rootFrame().frameFormat()
        margin = self.document().documentMargin()
        frame.setLeftMargin(margin + self._lines.edge)
        frame.setTopMargin(margin + (self._room() if self._spacing > LINE_PERCENT else 0))
        if frame != self.document().rootFrame().frameFormat():
            self.document().rootFrame().setFrameFormat(frame)

    def _room(self) -> float:
        """Pixels between a line's words and those above it."""
        return self.fontMetrics().height() * (self._spacing / 100 - 1)

    def _space_lines(self) -> None:
        cursor = QTextCursor(self.document())
        cursor.select(QTextCursor.SelectionType.Document)
        spacing = QTextBlockFormat()
        spacing.setLineHeight(self._spacing, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        cursor.mergeBlockFormat(spacing)

    def _ends(self, span: Span) -> list[Place]:
        """Places of the span's words: the whole of its mark, or the words alone where another mark lies over them."""
        start = at = 0
        for shown in self._shown:
            if (at, at + len(shown.piece.text)) == (span.start, span.end):
                start, end = shown.start, shown.label
                break
            if at <= span.start < at + len(shown.piece.text):
                start = shown.start + _units(shown.piece.text[: span.start - at])
                end = start + _units(self._text[span.start : span.end])
                break
            at += len(shown.piece.text)
        else:
            return []
        return [Place(at.left(), at.right(), at.top(), at.top() - self._room()) for at in self._places(start, end)]

    # -- copying, size, look ---------------------------------------------------------------------------------------

    def createMimeDataFromSelection(self) -> QMimeData:
        """The note's own words: the type words that stand between them are ours."""
        chosen = self.textCursor()
        words = []
        for shown in self._shown:
            start, end = max(shown.start, chosen.selectionStart()), min(shown.label, chosen.selectionEnd())
            if start < end:
                part = QTextCursor(self.document())
                part.setPosition(start)
                part.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
                words.append(part.selectedText().replace("\u2029", "\n"))
        data = QMimeData()
        data.setText("".join(words))
        return data

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._route()

    @Slot()
    def _grow(self) -> None:
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        if not self._grows:
            return super().sizeHint()
        margins = self.contentsMargins()
        frame = self.height() - self.viewport().height() if self.isVisible() else margins.top() + margins.bottom()
        return QSize(super().sizeHint().width(), math.ceil(self.document().size().height()) + max(frame, 0))

    def minimumSizeHint(self) -> QSize:
        return QSize(theme.px(160), self.sizeHint().height() if self._grows else super().minimumSizeHint().height())

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange) and hasattr(self, "_shown"):
            self.document().setDefaultFont(self.font())
            self.document().setDocumentMargin(theme.px(2))
            self._make_room()
            self._lay_out(anew=True)


def _units(text: str) -> int:
    """Length as Qt counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _equal(pair: tuple[_Shown, Piece]) -> bool:
    return pair[0].piece == pair[1]


def _x(line: object, position: int) -> float:
    """QTextLine.cursorToX gives the position back as well, in some versions of the binding."""
    found = line.cursorToX(position)  # type: ignore[attr-defined]
    return float(found[0] if isinstance(found, tuple) else found)
