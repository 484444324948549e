# SPDX-License-Identifier: Apache-2.0
"""The head of Try it: where a note comes from, a file or an example, and the button that reads it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QKeyCombination, Qt, Signal, Slot
from PySide6.QtGui import QAction, QKeySequence, QShortcut
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from ...clinical import Example, examples
from ..widgets import Button, Flow, Heading, PrimaryButton
from .save_results import SavedLine, SaveResults


class TrialHead(Flow):
    """`file_chosen` carries a Path, `example_chosen` a note's text; `read` is connected by the page."""

    file_chosen = Signal(object)
    example_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(spacing=8, parent=parent)
        self._examples: list[Example] = []
        self.dialog: QFileDialog | None = None
        self.open, self.examples = Button(self.tr("Open note…")), Button(self.tr("Examples"))
        self.open.clicked.connect(self._open)
        self.menu = QMenu(self.examples)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.menu.triggered.connect(self._take_example)
        self.examples.setMenu(self.menu)
        self.read = PrimaryButton(self.tr("Read note"))
        self.read.setToolTip(self.tr("Ctrl+Enter"))
        self.save = SaveResults()
        self.saved = SavedLine(self.save)
        heading = Heading(self.tr("Try it"))
        heading.setWordWrap(False)
        self.add(heading)
        self.push()
        for button in (self.open, self.examples, self.save, self.read):
            self.add(button)

    def show_reading(self, runs: bool, *, stopping: bool) -> None:
        """Shows whether a note is read: then the button that reads stops it, and no other note can be taken."""
        self.read.setMinimumWidth(self.read.width() if runs and self.read.isVisible() else 0)
        words = self.tr("Stopping…") if stopping else self.tr("Stop") if runs else self.tr("Read note")
        self.read.setText(words)
        self.read.setEnabled(not stopping)
        self.read.setToolTip(self.tr("Escape") if runs else self.tr("Ctrl+Enter"))
        for button in (self.open, self.examples):
            button.setEnabled(not runs)

    @Slot()
    def _open(self) -> None:
        if self.dialog:
            self.dialog.deleteLater()
        self.dialog = QFileDialog(self, self.tr("Open a note"))
        self.dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        self.dialog.setNameFilters([self.tr("Text files (*.txt *.text *.md)"), self.tr("All files (*)")])
        self.dialog.fileSelected.connect(self._chosen)
        self.dialog.open()

    @Slot(str)
    def _chosen(self, path: str) -> None:
        self.file_chosen.emit(Path(path))

    @Slot()
    def _fill_menu(self) -> None:
        if not self._examples:
            self._examples = examples()
            for number, example in enumerate(self._examples):
                self.menu.addAction(example.title).setData(number)

    @Slot(QAction)
    def _take_example(self, action: QAction) -> None:
        self.example_chosen.emit(self._examples[action.data()].text)


def shortcuts(page: QWidget) -> tuple[QShortcut, QShortcut, QShortcut]:
    """Ctrl+Return, Ctrl+Enter and Escape, wherever on the page the focus is."""
    control = Qt.KeyboardModifier.ControlModifier
    enter, keypad = (
        QShortcut(QKeySequence(QKeyCombination(control, key)), page) for key in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
    )
    found = enter, keypad, QShortcut(QKeySequence(Qt.Key.Key_Escape), page)
    for shortcut in found:
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    return found
