# SPDX-License-Identifier: Apache-2.0
"""A page of the guide as it is read: spaced for the window, its pictures as wide as it, found words marked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from PySide6.QtCore import QRegularExpression, Qt, QUrl, Signal, Slot
from PySide6.QtGui import (
    QFont,
    QImageReader,
    QPainter,
    QPixmap,
    QResizeEvent,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextFragment,
    QTextImageFormat,
)
from PySide6.QtWidgets import QFrame, QTextBrowser, QTextEdit, QWidget

from ..look import theme
from .files import guide_picture, guide_text, guide_title
from .search import anchor

_LINE_PERCENT: Final = 125
_HEADINGS: Final = {1: 20, 2: 16}  # px by level
_MARGIN: Final = 16
_WIDEST: Final = 900  # px of a picture at text scale 1: larger ones would be seen to be made of pixels


class PageView(QTextBrowser):
    """`picture_opened` carries a picture's name in the guide and what it shows. Links are the owner's."""

    picture_opened = Signal(str, str)
    place_changed = Signal(int, int)  # which of the found words is shown, counted from 1 (0: none), and of how many

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("guide")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setOpenExternalLinks(False)
        self.anchorClicked.connect(self._clicked)
        self._page = ""
        self._words: frozenset[str] = frozenset()
        self._places: list[QTextCursor] = []
        self._at = -1
        self._width = 0  # that pictures were made for

    def show_page(self, page: str) -> None:
        """Shows a page from its beginning; found words stay marked."""
        self._page, self._width = page, 0
        self.setAccessibleName(self.tr("Guide: {page}").format(page=guide_title(page)))
        document = self.document()
        document.setDefaultFont(self.font())
        document.setDocumentMargin(theme.gap(_MARGIN))
        document.setIndentWidth(theme.px(20))
        self.setMarkdown(guide_text(page))
        block = document.begin()
        while block.isValid():
            _space(block, self.font())
            block = block.next()
        self._fit_pictures()
        self.moveCursor(QTextCursor.MoveOperation.Start)
        self._look()

    def go_to(self, heading: str) -> None:
        """Scrolls to a heading; where there is none of that name, nothing happens."""
        block = self.document().begin()
        while block.isValid():
            if block.blockFormat().headingLevel() and anchor(block.text()) == heading:
                self.verticalScrollBar().setValue(round(self._top(block)))
                return
            block = block.next()

    def _top(self, block: QTextBlock) -> float:
        return self.document().documentLayout().blockBoundingRect(block).top()

    # -- found words -------------------------------------------------------------------------------------------------

    def mark(self, words: frozenset[str]) -> None:
        """Marks these words, on this page and those that are turned to; none for an empty set."""
        self._words = words
        self._look()

    def _look(self) -> None:
        self._places, self._at = [], -1
        if self._words:
            one_of = "|".join(map(re.escape, sorted(self._words)))
            wanted = QRegularExpression(
                rf"(?<![^\W_])(?:{one_of})(?![^\W_])",
                QRegularExpression.PatternOption.CaseInsensitiveOption
                | QRegularExpression.PatternOption.UseUnicodePropertiesOption,
            )
            found = self.document().find(wanted)
            while not found.isNull():
                self._places.append(found)
                found = self.document().find(wanted, found)
        self._show_marks()

    @Slot()
    def next_place(self) -> None:
        self._step(1)

    @Slot()
    def previous_place(self) -> None:
        self._step(-1)

    def _step(self, by: int) -> None:
        """The next found word in sight, or the one before; after the last comes the first."""
        if not self._places:
            return
        self._at = (self._at + by) % len(self._places) if self._at >= 0 or by > 0 else len(self._places) - 1
        place = QTextCursor(self._places[self._at])
        place.clearSelection()  # the mark shows it, and a selection would hide the mark
        self.setTextCursor(place)
        self.ensureCursorVisible()
        self._show_marks()

    def _show_marks(self) -> None:
        look = theme.active()
        marks = []
        for number, place in enumerate(self._places):
            mark = QTextEdit.ExtraSelection()
            here = number == self._at
            mark.format.setBackground(look.color("accent" if here else "warn_soft"))
            mark.format.setForeground(look.color("on_accent" if here else "ink"))
            mark.format.setUnderlineStyle(QTextCharFormat.UnderlineStyle.SingleUnderline)  # not by colour alone
            mark.format.setUnderlineColor(look.color("on_accent" if here else "warn"))
            mark.cursor = place
            marks.append(mark)
        self.setExtraSelections(marks)
        self.place_changed.emit(self._at + 1, len(self._places))

    # -- pictures ----------------------------------------------------------------------------------------------------

    def _fit_pictures(self) -> None:
        """Draws pictures as wide as the page: a document that shrinks a picture does so coarsely."""
        width = min(self.viewport().width() - 2 * theme.gap(_MARGIN), theme.px(_WIDEST))
        if width == self._width or width < 1:
            return
        self._width = width
        for cursor, form in list(_pictures(self.document())):
            path = guide_picture(form.name())
            reader = QImageReader(str(path))
            size = reader.size().scaled(width, 100 * width, Qt.AspectRatioMode.KeepAspectRatio)
            sharp = size * self.devicePixelRatioF()
            shown = _framed(
                QPixmap.fromImageReader(reader).scaled(
                    sharp, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
                )
            )
            self.document().addResource(QTextDocument.ResourceType.ImageResource.value, QUrl(form.name()), shown)
            form.setWidth(size.width())
            form.setHeight(size.height())
            form.setAnchor(True)  # a press opens it larger, and so does Enter: Tab comes by as at a link
            form.setAnchorHref(form.name())
            form.setToolTip(self.tr("Open this picture larger: {what}").format(what=_told(form)))
            cursor.setCharFormat(form)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_pictures()

    @Slot(QUrl)
    def _clicked(self, link: QUrl) -> None:
        for _, form in _pictures(self.document()):
            if form.name() == link.toString():
                self.picture_opened.emit(form.name(), _told(form))
                return


def _framed(picture: QPixmap) -> QPixmap:
    """Draws a line around a picture: its ground may be the page's."""
    painter = QPainter(picture)
    painter.setPen(theme.active().color("edge"))
    painter.drawRect(picture.rect().adjusted(0, 0, -1, -1))
    painter.end()
    return picture


def _told(form: QTextImageFormat) -> str:
    return str(form.property(QTextFormat.Property.ImageAltText.value) or "")


def _pictures(document: QTextDocument) -> Iterator[tuple[QTextCursor, QTextImageFormat]]:
    """Each picture with a cursor that selects it."""
    block = document.begin()
    while block.isValid():
        for fragment in _fragments(block):
            form = fragment.charFormat()
            if form.isImageFormat():
                cursor = QTextCursor(document)
                cursor.setPosition(fragment.position())
                cursor.setPosition(fragment.position() + fragment.length(), QTextCursor.MoveMode.KeepAnchor)
                yield cursor, form.toImageFormat()
        block = block.next()


def _fragments(block: QTextBlock) -> Iterable[QTextFragment]:
    pieces = block.begin()
    while not pieces.atEnd():
        yield pieces.fragment()
        pieces += 1


def _is_picture(block: QTextBlock) -> bool:
    return any(fragment.charFormat().isImageFormat() for fragment in _fragments(block))


def _is_code(block: QTextBlock) -> bool:
    """Tells whether a block is a line between fences: of a formula."""
    return block.isValid() and block.blockFormat().hasProperty(QTextFormat.Property.BlockCodeFence.value)


def _space(block: QTextBlock, font: QFont) -> None:
    """Markdown's own sizes and margins are a web page's; these are the window's."""
    level = block.blockFormat().headingLevel()
    cursor = QTextCursor(block)
    form = QTextBlockFormat()
    if not _is_picture(block):  # whose height would grow with the line's
        form.setLineHeight(_LINE_PERCENT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
    form.setNonBreakableLines(False)  # of a formula: its end must be seen with large letters too
    form.setTopMargin(theme.gap(16) if level > 1 else 0)
    close = level or block.textList()
    form.setBottomMargin(0 if _is_code(block.next()) and _is_code(block) else theme.gap(4 if close else 8))
    cursor.mergeBlockFormat(form)
    if level:
        letters = QTextCharFormat()
        letters.setFont(theme.sized(font, _HEADINGS.get(level, theme.TEXT_PX), QFont.Weight.DemiBold))
        cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
        cursor.setCharFormat(letters)
