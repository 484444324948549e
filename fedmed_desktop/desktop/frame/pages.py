# SPDX-License-Identifier: Apache-2.0
"""Pages of the window by name: their entries at the left, and the keys that turn to them."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QWidget

from ...wording import later, tr
from ..widgets import NavigationBar

PAGES: Final = ("rounds", "monitor", "approvals", "trial", "notes", "history", "settings", "hosting")
SELDOM: Final = frozenset({"hosting"})  # with an entry only for who needs it
GUIDES: Final = {"trial": "try-it", "hosting": "host-here"}  # pages whose guide has another name
_LOOKS: Final = {
    "rounds": ("rounds", later("Rounds")),
    "monitor": ("monitor", later("Monitor")),
    "approvals": ("approvals", later("Approvals")),
    "trial": ("try", later("Try it")),
    "notes": ("notes", later("Notes")),
    "history": ("history", later("History")),
    "settings": ("settings", later("Settings")),
    "hosting": ("people", later("Hosting")),
}


class PageList(NavigationBar):
    """The list of pages. Ctrl and a page's number turn to it, in the whole window: then `keyed` comes too."""

    keyed = Signal()

    def __init__(self, window: QWidget, parent: QWidget) -> None:
        super().__init__(parent)
        self._keys: dict[str, QShortcut] = {}
        for number, page in enumerate(PAGES, 1):
            drawing, word = _LOOKS[page]
            self.add_page(drawing, tr(word))
            shortcut = QShortcut(QKeySequence(f"Ctrl+{number}"), window)
            shortcut.setProperty("page", page)
            shortcut.activated.connect(self._turn)
            self._keys[page] = shortcut
            self.show_page(page, page not in SELDOM)

    @property
    def page(self) -> str:
        return PAGES[self.current()]

    def go(self, page: str) -> None:
        """Turns to a page; an unknown one (of another version's settings) changes nothing."""
        if page in PAGES:
            self.choose(PAGES.index(page))

    def show_page(self, page: str, shown: bool) -> None:
        """Shows or hides a page's entry, with the keys that turn to it."""
        self.button(PAGES.index(page)).setVisible(shown)
        self._keys[page].setEnabled(shown)

    def count(self, page: str, waiting: int) -> None:
        """Shows how many things wait on a page."""
        self.set_count(PAGES.index(page), waiting)

    def focus(self) -> None:
        """Gives the keyboard to the entry of the page that is shown."""
        self.button(self.current()).setFocus()

    @Slot()
    def _turn(self) -> None:
        shortcut = self.sender()
        if shortcut is not None:
            self.go(str(shortcut.property("page")))
            self.keyed.emit()


def tab_before(page: QWidget, last: QWidget) -> None:
    """Tab comes to the parts of a page that was made late before it comes to those of `last`, as if made in order."""
    before = page.window().previousInFocusChain() or page
    while before is not page and not (page.isAncestorOf(before) and _takes_focus(before)):
        before = before.previousInFocusChain() or page
    for one in filter(_takes_focus, last.findChildren(QWidget)):
        QWidget.setTabOrder(before, one)
        before = one


def _takes_focus(part: QWidget) -> bool:
    """Qt leaves the order as it is where a part that it is asked about is none that Tab stops at."""
    return part.focusPolicy() != Qt.FocusPolicy.NoFocus
