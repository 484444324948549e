# SPDX-License-Identifier: Apache-2.0
"""The guide: a short page for each page of the window and each method, in a window that may stay open beside it."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QEvent, QSignalBlocker, QSize, Qt, QUrl, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from ..look import theme
from ..widgets import Button, Row, announce
from .files import PAGES, UNDER, guide_search, guide_title
from .page_view import PageView
from .picture import PictureDialog
from .search import Found
from .search_panel import FoundNothing, Results, SearchRow

_ROWS_ABOVE: Final = 3
_SIZE: Final = (900, 660)  # at text scale 1
_RESULTS: Final = 260  # px of the list of pages that were found, at text scale 1
_ANY: Final = 16777215  # Qt's QWIDGETSIZE_MAX
_READABLE: Final = 300  # px that the text needs beside it


class GuideDialog(QDialog):
    """One per window, opened again and again. Links lead to other pages of the guide, and nowhere else. Back (Alt+Left)
    leads through the pages that were read since it was opened; Ctrl+F to the search, F3 to the next word that it found.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Guide"))
        self.setModal(False)
        self._read: list[str] = []  # before this page, the latest last
        self._sized_for = 0  # px of a letter that the window's size was made for
        self._stale = False  # made for other letters than the window's
        self._found = Found()
        self._page = ""
        self._picture: PictureDialog | None = None
        self.search = SearchRow()
        self.contents = QListWidget()
        self.contents.setAccessibleName(self.tr("Pages of the guide"))
        self.contents.setFrameShape(QFrame.Shape.NoFrame)
        self.contents.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.nothing, self.results = FoundNothing(), Results()
        self.text = PageView()
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.gap(16), theme.gap(16), theme.gap(16), theme.gap(16))
        column.setSpacing(theme.gap(8))
        column.addWidget(self.search)
        column.addWidget(self._beside(), 1)
        column.addLayout(self._buttons())
        self._connect()
        self._show_found("", self._found)

    def _beside(self) -> Row:
        """The text with the contents, or what was found, at its left; above it where large letters leave no room."""
        self._left = QWidget()
        column = QVBoxLayout(self._left)
        column.setContentsMargins(0, 0, 0, 0)
        for widget, stretch in ((self.contents, 0), (self.nothing, 0), (self.results, 1)):
            column.addWidget(widget, stretch)
        column.addStretch()
        both = Row(spacing=16)
        both.add(self._left)
        both.add(self.text, 1)
        return both

    def _buttons(self) -> QHBoxLayout:
        self.back = Button(self.tr("Back"))
        self.back.clicked.connect(self.go_back)
        self.back.setEnabled(False)
        self.close_button = Button(self.tr("Close"))
        self.close_button.clicked.connect(self.reject)
        row = QHBoxLayout()
        row.addWidget(self.back)
        row.addStretch(1)
        row.addWidget(self.close_button)
        return row

    def _connect(self) -> None:
        self.contents.currentRowChanged.connect(self._chosen)
        self.contents.itemClicked.connect(self._clicked)
        self.text.anchorClicked.connect(self._follow)
        self.text.picture_opened.connect(self._enlarge)
        self.text.place_changed.connect(self.search.show_place)
        self.search.wanted.connect(self._search)
        self.search.entered.connect(self._enter)
        self.search.line.down.connect(self._down)
        self.search.before.clicked.connect(self.text.previous_place)
        self.search.after.clicked.connect(self.text.next_place)
        self.results.opened.connect(self._open_found)
        for key in QKeySequence.keyBindings(QKeySequence.StandardKey.Back):
            QShortcut(key, self).activated.connect(self.go_back)
        for key in QKeySequence.keyBindings(QKeySequence.StandardKey.Find):
            QShortcut(key, self).activated.connect(self._ask)
        for key in QKeySequence.keyBindings(QKeySequence.StandardKey.FindNext):
            QShortcut(key, self).activated.connect(self.text.next_place)
        for key in QKeySequence.keyBindings(QKeySequence.StandardKey.FindPrevious):
            QShortcut(key, self).activated.connect(self.text.previous_place)

    @property
    def page(self) -> str:
        return self._page

    @Slot(str)
    def open_at(self, place: str) -> None:
        """Shows the window at a page, or at `page#heading`, above its parent; a page that the guide has not leads to
        its first.
        """
        page, _, heading = place.partition("#")
        if not self.contents.count():  # nothing is read before somebody wants it
            self.contents.addItems([guide_title(page) for page in PAGES])
            self._fit()
            guide_search()  # while a window opens anyway, not between two letters that somebody types
        if not self.isVisible():
            self.search.line.clear()
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
        self.text.go_to(heading)

    # -- pages -------------------------------------------------------------------------------------------------------

    @Slot(int)
    def _chosen(self, number: int) -> None:
        if number >= 0:
            self._turn(PAGES[number])

    @Slot(QListWidgetItem)
    def _clicked(self, item: QListWidgetItem) -> None:
        """Chooses a row; it may be the current one already, with one of its pages on show."""
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
        self.text.show_page(page)
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
        page = link.path().removesuffix(".md") or self._page
        if link.isRelative() and page in (*PAGES, *UNDER):
            self._turn(page)
            self.text.go_to(link.fragment())

    @Slot(str, str)
    def _enlarge(self, name: str, told: str) -> None:
        if self._picture is not None:
            self._picture.deleteLater()
        self._picture = PictureDialog(self, name, told)
        self._picture.open()

    # -- search ------------------------------------------------------------------------------------------------------

    @Slot()
    def _ask(self) -> None:
        self.search.line.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.line.selectAll()

    @Slot(str)
    def _search(self, typed: str) -> None:
        self._show_found(typed, guide_search().find(typed) if typed.strip() else Found())
        if typed.strip():
            announce(self, self.nothing.spoken(self._found))

    def _show_found(self, typed: str, found: Found) -> None:
        self._found = found
        searches = bool(typed.strip())
        self.contents.setHidden(searches)
        self.nothing.show_found(typed, found)
        self.nothing.setVisible(searches and bool(self.nothing.text()))
        self.results.show_hits(found.hits)
        self.results.setVisible(bool(found.hits))
        self.text.mark(found.words)
        self._fit_left()

    @Slot()
    def _enter(self) -> None:
        """The best page, at the first place; a page that was chosen already, at its next one."""
        if self._found.hits and self.results.currentRow() < 0:
            self.results.choose_first()
        else:
            self.text.next_place()

    @Slot()
    def _down(self) -> None:
        shown = self.contents if self.results.isHidden() else self.results
        shown.setFocus(Qt.FocusReason.TabFocusReason)
        if shown is self.results:
            self.results.choose_first()

    @Slot(str)
    def _open_found(self, page: str) -> None:
        self._turn(page)
        self.text.next_place()

    # -- sizes -------------------------------------------------------------------------------------------------------

    def _size(self) -> None:
        """Sizes the window once for each size of letters; otherwise what the person made of it stays."""
        if self._sized_for != theme.px(theme.TEXT_PX):
            self._sized_for = theme.px(theme.TEXT_PX)
            self.resize(QSize(*map(theme.px, _SIZE)).boundedTo(self.screen().availableSize() * 0.9))

    def _fit(self) -> None:
        """Fits the list to its titles; with large letters it stays short, since it is above the text then."""
        high = self._row_height()
        for number in range(self.contents.count()):
            self.contents.item(number).setSizeHint(QSize(0, high))
        rows = _ROWS_ABOVE if self._is_above() else self.contents.count()  # the others are reached by scrolling
        self.contents.setFixedSize(self._widest() + theme.gap(32), high * rows + theme.gap(8))
        self.text.setMinimumWidth(theme.px(_READABLE))
        self._fit_left()

    def _fit_left(self) -> None:
        """Snippets need more room than titles; above the text they may be as wide as that, and are fewer."""
        if not self.contents.count():
            return
        wide = max(self.contents.width(), theme.px(_RESULTS) if self.contents.isHidden() else 0)
        self._left.setMinimumWidth(self.contents.width() if self._is_above() else wide)
        self._left.setMaximumWidth(_ANY if self._is_above() else wide)
        self.results.setMaximumHeight(self._row_height() * _ROWS_ABOVE if self._is_above() else _ANY)

    def _row_height(self) -> int:
        return self.contents.fontMetrics().height() + theme.gap(12)

    def _widest(self) -> int:
        return max(self.contents.fontMetrics().horizontalAdvance(guide_title(page)) for page in PAGES)

    def _is_above(self) -> bool:
        return theme.px(10) >= 15

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
        self.text.show_page(self._page)
        if self.isVisible():
            self._size()
