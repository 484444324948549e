# SPDX-License-Identifier: Apache-2.0
"""The guide: a short page for each page of the window and each method, in a window that may stay open beside it."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QEvent, QSignalBlocker, QSize, Qt, QUrl, Slot
from PySide6.QtGui import (
    QFont,
    QKeySequence,
    QShortcut,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextFormat,
)
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from ..look import theme
from ..widgets import Button, Row
from .files import PAGES, UNDER, guide_text, guide_title

_LINE_PERCENT: Final = 125
_ROWS_ABOVE: Final = 4
_SIZE: Final = (860, 640)  # at text scale 1
_HEADINGS: Final = {1: 20, 2: 16}  # px by level


def _is_code(block: QTextBlock) -> bool:
    """Whether it is a line between fences: of a formula."""
    return block.isValid() and block.blockFormat().hasProperty(QTextFormat.Property.BlockCodeFence.value)


class GuideDialog(QDialog):
    """One per window, opened again and again. Links lead to other pages of the guide, and nowhere else. Back (Alt+Left)
    leads through the pages that were read since it was opened.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Guide"))
        self.setModal(False)
        self._read: list[str] = []  # before this page, the latest last
        self._sized_for = 0  # px of a letter that the window's size was made for
        self._stale = False  # made for other letters than the window's
        self.contents = QListWidget()
        self.contents.setAccessibleName(self.tr("Pages of the guide"))
        self.contents.setFrameShape(QFrame.Shape.NoFrame)
        self.contents.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.text = QTextBrowser()
        self.text.setObjectName("guide")
        self.text.setFrameShape(QFrame.Shape.NoFrame)
        self.text.setOpenLinks(False)
        self.text.setOpenExternalLinks(False)
        self.text.anchorClicked.connect(self._follow)
        both = Row(spacing=16)  # one below the other where large letters leave no room
        both.add(self.contents)
        both.content.setAlignment(self.contents, Qt.AlignmentFlag.AlignTop)
        both.add(self.text, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.gap(16), theme.gap(16), theme.gap(16), theme.gap(16))
        column.setSpacing(theme.gap(8))
        column.addWidget(both, 1)
        column.addLayout(self._buttons())
        self._page = ""
        self.contents.currentRowChanged.connect(self._chosen)
        self.contents.itemClicked.connect(self._clicked)

    def _buttons(self) -> QHBoxLayout:
        self.back = Button(self.tr("Back"))
        self.back.clicked.connect(self.go_back)
        self.back.setEnabled(False)
        self.back.setAutoDefault(False)
        self.close_button = Button(self.tr("Close"))
        self.close_button.clicked.connect(self.reject)
        self.close_button.setAutoDefault(False)
        for key in QKeySequence.keyBindings(QKeySequence.StandardKey.Back):
            QShortcut(key, self).activated.connect(self.go_back)
        row = QHBoxLayout()
        row.addWidget(self.back)
        row.addStretch(1)
        row.addWidget(self.close_button)
        return row

    @property
    def page(self) -> str:
        return self._page

    @Slot(str)
    def open_at(self, page: str) -> None:
        """Shows the window at this page, above its parent; a page that the guide has not leads to its first."""
        if not self.contents.count():  # nothing is read before somebody wants it
            self.contents.addItems([guide_title(page) for page in PAGES])
            self._fit()
        self._turn(page if page in (*PAGES, *UNDER) else PAGES[0])
        if not self.isVisible():
            self._read.clear()
            self.back.setEnabled(False)
        if self._stale:
            self._restyle()
        self._size()
        self.show()
        self.activateWindow()
        self.text.setFocus()

    @Slot(int)
    def _chosen(self, number: int) -> None:
        if number >= 0:
            self._turn(PAGES[number])

    @Slot(QListWidgetItem)
    def _clicked(self, item: QListWidgetItem) -> None:
        """Its row may be the current one already, with one of its pages on show."""
        self._chosen(self.contents.row(item))

    def _turn(self, page: str) -> None:
        """Shows a page; one that is shown already stays as it is."""
        if page == self._page:
            return
        if self._page:
            self._read.append(self._page)
            self.back.setEnabled(True)
        self._show(page)

    def _show(self, page: str) -> None:
        self._page = page
        self._write()
        with QSignalBlocker(self.contents):
            self.contents.setCurrentRow(PAGES.index(UNDER.get(page, page)))

    @Slot()
    def go_back(self) -> None:
        """The page that was read before this one."""
        if not self._read:
            return
        self._show(self._read.pop())
        self.back.setEnabled(bool(self._read))
        if not self._read and not self.contents.hasFocus():
            self.text.setFocus()

    @Slot(QUrl)
    def _follow(self, link: QUrl) -> None:
        page = link.path().removesuffix(".md")
        if link.isRelative() and page in (*PAGES, *UNDER):
            self._turn(page)

    def _write(self) -> None:
        self.text.setAccessibleName(self.tr("Guide: {page}").format(page=guide_title(self._page)))
        document = self.text.document()
        document.setDefaultFont(self.font())
        document.setDocumentMargin(theme.gap(16))
        document.setIndentWidth(theme.px(20))
        self.text.setMarkdown(guide_text(self._page))
        block = document.begin()
        while block.isValid():
            self._space(block)
            block = block.next()
        self.text.moveCursor(QTextCursor.MoveOperation.Start)

    def _space(self, block: QTextBlock) -> None:
        """Markdown's own sizes and margins are a web page's; these are the window's."""
        level = block.blockFormat().headingLevel()
        cursor = QTextCursor(block)
        form = QTextBlockFormat()
        form.setLineHeight(_LINE_PERCENT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        form.setNonBreakableLines(False)  # of a formula: its end must be seen with large letters too
        form.setTopMargin(theme.gap(16) if level > 1 else 0)
        close = level or block.textList()
        form.setBottomMargin(0 if _is_code(block.next()) and _is_code(block) else theme.gap(4 if close else 8))
        cursor.mergeBlockFormat(form)
        if level:
            letters = QTextCharFormat()
            letters.setFont(theme.sized(self.font(), _HEADINGS.get(level, theme.TEXT_PX), QFont.Weight.DemiBold))
            cursor.movePosition(QTextCursor.MoveOperation.EndOfBlock, QTextCursor.MoveMode.KeepAnchor)
            cursor.setCharFormat(letters)

    def _size(self) -> None:
        """Once for each size of letters: what the person made of it else stays."""
        if self._sized_for != theme.px(theme.TEXT_PX):
            self._sized_for = theme.px(theme.TEXT_PX)
            self.resize(QSize(*map(theme.px, _SIZE)).boundedTo(self.screen().availableSize() * 0.9))

    def _fit(self) -> None:
        """Fits the list to its titles; with large letters it stays short, since it is above the text then."""
        widest = max(self.contents.fontMetrics().horizontalAdvance(guide_title(page)) for page in PAGES)
        high = self.contents.fontMetrics().height() + theme.gap(12)
        for number in range(self.contents.count()):
            self.contents.item(number).setSizeHint(QSize(0, high))
        rows = self.contents.count() if theme.px(10) < 15 else _ROWS_ABOVE  # the others are reached by scrolling
        self.contents.setFixedSize(widest + theme.gap(32), high * rows + theme.gap(8))
        self.text.setMinimumWidth(theme.px(300))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange) and hasattr(self, "_page") and self._page:
            if self.isVisible():
                self._restyle()
            else:
                self._stale = True

    def _restyle(self) -> None:
        self._stale = False
        self._fit()
        self._write()
        if self.isVisible():
            self._size()
