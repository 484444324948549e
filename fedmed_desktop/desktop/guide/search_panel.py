# SPDX-License-Identifier: Apache-2.0
"""Search in the guide as it is seen: a field, the pages that were found, and the places on the page that is open."""

from __future__ import annotations

from html import escape
from typing import Final

from PySide6.QtCore import QEvent, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QListWidget, QListWidgetItem, QSizePolicy, QWidget

from ...wording import reads_english, tr
from ..look import theme
from ..widgets import Caption, LinkButton, Row
from ..widgets.labels import Label
from .search import Found, Hit

_PAUSE_MS: Final = 150  # after the last key: finding takes some milliseconds


class SearchLine(QLineEdit):
    """Escape empties it before it closes the window; the arrow down leads to what was found."""

    down = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        elif event.key() == Qt.Key.Key_Down:
            self.down.emit()
        else:
            super().keyPressEvent(event)


class SearchRow(Row):
    """`wanted` carries what was typed once typing pauses, at once where it is empty; `entered` comes with Enter."""

    wanted = Signal(str)
    entered = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(spacing=8, parent=parent)
        self.line = SearchLine()
        self.line.setPlaceholderText(self.tr("Search the guide (Ctrl+F)"))
        self.line.setAccessibleName(self.tr("Search the guide"))
        self.line.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.english = Caption(self.tr("The guide is in English: search for English words."))
        self.places = Caption()
        self.before, self.after = LinkButton("", "chevron_up"), LinkButton("", "chevron")
        self.clear = LinkButton("", "cross")
        self.clear.clicked.connect(self.line.clear)
        for button, name in (
            (self.clear, self.tr("End the search (Escape)")),
            (self.before, self.tr("Previous place on this page (Shift+F3)")),
            (self.after, self.tr("Next place on this page (F3)")),
        ):
            button.setToolTip(name)
            button.setAccessibleName(name)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE_MS)
        self._pause.timeout.connect(self._tell)
        self.line.textChanged.connect(self._typed)
        self.line.returnPressed.connect(self._enter)
        self._beside = QWidget()
        beside = QHBoxLayout(self._beside)
        beside.setContentsMargins(0, 0, 0, 0)
        for widget in (self.english, self.places, self.before, self.after, self.clear):
            beside.addWidget(widget)
        beside.addStretch()
        self.add(self.line, 1, 240)
        self.add(self._beside)
        self.show_place(0, 0)

    @Slot(int, int)
    def show_place(self, number: int, count: int) -> None:
        """Shows the place among the found words on the page that is open; without any, nothing of them is shown."""
        text = self.tr("{number} of {count} on this page").format(number=number, count=count) if number else ""
        self.places.setText(text or self.tr("%n on this page", "", count))
        searches = bool(self.line.text().strip())
        has_places = searches and count > 0
        for widget in (self.places, self.before, self.after):
            widget.setVisible(has_places)
        self.english.setVisible(not has_places and not reads_english())
        self.clear.setVisible(searches)
        self._beside.setVisible(searches or not reads_english())

    @Slot()
    def _typed(self) -> None:
        if self.line.text().strip():
            self._pause.start()
        else:
            self._tell()

    @Slot()
    def _tell(self) -> None:
        self._pause.stop()
        self.wanted.emit(self.line.text())

    @Slot()
    def _enter(self) -> None:
        if self._pause.isActive():
            self._tell()
        self.entered.emit()


class Results(QListWidget):
    """Pages that were found, each with the words around the find. `opened` carries a page's name."""

    opened = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(self.tr("Pages that were found"))
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self._labels: list[QLabel] = []
        self._hits: tuple[Hit, ...] = ()
        self.currentRowChanged.connect(self._open)
        self.itemClicked.connect(self._clicked)

    def show_hits(self, hits: tuple[Hit, ...]) -> None:
        """None is chosen; the same ones stay as they are."""
        if hits == self._hits:
            return
        self._hits, self._labels = hits, []
        self.blockSignals(True)
        self.clear()
        for hit in hits:
            item = QListWidgetItem(self)
            words = "".join(piece.text for piece in hit.snippet)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{hit.title}: {words}")
            label = QLabel(_as_html(hit))
            label.setTextFormat(Qt.TextFormat.RichText)
            label.setWordWrap(True)
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            label.setContentsMargins(theme.gap(4), theme.gap(6), theme.gap(4), theme.gap(6))
            self._labels.append(label)
            self.setItemWidget(item, label)
        self.blockSignals(False)
        self._fit()

    def choose_first(self) -> None:
        if self.currentRow() < 0 and self.count():
            self.setCurrentRow(0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange) and hasattr(self, "_labels"):
            for label, hit in zip(self._labels, self._hits, strict=True):
                label.setText(_as_html(hit))
            self._fit()

    def _fit(self) -> None:
        width = self.viewport().width()
        for row, label in enumerate(self._labels):
            self.item(row).setSizeHint(QSize(0, label.heightForWidth(width)))

    @Slot(int)
    def _open(self, row: int) -> None:
        if 0 <= row < len(self._hits):
            self.opened.emit(self._hits[row].page)

    @Slot(QListWidgetItem)
    def _clicked(self, item: QListWidgetItem) -> None:
        """Opens a result; its row may be the current one already, with another page on show."""
        self._open(self.row(item))


class FoundNothing(Label):
    """A sentence where no page was found, or where pages have some of the words only."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(wrap=True, tone="dim", parent=parent)

    def show_found(self, typed: str, found: Found) -> None:
        words = typed.strip()
        said = ""
        if not found.hits and found.instead:
            said = tr("Nothing found for “{words}”. Did you mean “{instead}”?")
        elif not found.hits:
            said = tr("Nothing found for “{words}”: try another word.")
        elif not found.all_words:
            said = tr("No page has all of these words. These have some:")
        self.setText(said.format(words=words, instead=found.instead))
        self.setVisible(bool(said))

    def spoken(self, found: Found) -> str:
        """Words for a screen reader: this sentence, or how many pages there are."""
        return self.text() or tr("%n page(s) found", "", len(found.hits))


def _as_html(hit: Hit) -> str:
    look = theme.active()
    words = "".join(f"<b>{escape(one.text)}</b>" if one.found else escape(one.text) for one in hit.snippet)
    title = f'<span style="color:{look.color("ink").name()};font-weight:600">{escape(hit.title)}</span>'
    return f'{title}<br><span style="color:{look.color("dim").name()}">{words}</span>'
