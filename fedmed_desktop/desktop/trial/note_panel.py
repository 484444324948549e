# SPDX-License-Identifier: Apache-2.0
"""The note of Try it: an editor for it and for the types to look for; one line once the note is being read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QMimeData, QSize, Signal, Slot
from PySide6.QtWidgets import QLineEdit, QPlainTextEdit, QSizePolicy, QVBoxLayout, QWidget

from ...errors import UserFacingError
from ...wording import told, written
from ..look import theme
from ..widgets import Button, Caption, Card, ElidedLabel, Label, Row, Sentence, Spaced
from ..widgets.labels import set_tone
from .asked_note import Asking, asked_types, check_note
from .task_panel import TaskPanel

USUAL_TYPES = "drug, problem"
_LINES = 7
_LEAST_PX = 270  # of two lines, at text scale 1: narrower, and nothing of the words would be left
_FIRST_WORDS = 300


class NoteEditor(QPlainTextEdit):
    """Plain text, some lines high; Tab leaves it. A text file that is dropped on it is told, not inserted."""

    file_dropped = Signal(object)  # Path

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTabChangesFocus(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(theme.px(320), _LINES * self.fontMetrics().lineSpacing() + theme.gap(24))

    def minimumSizeHint(self) -> QSize:
        return QSize(theme.px(160), self.sizeHint().height())

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        return source.hasText() or bool(source.urls())

    def insertFromMimeData(self, source: QMimeData) -> None:
        files = [url.toLocalFile() for url in source.urls() if url.isLocalFile()]
        if files:
            self.file_dropped.emit(Path(files[0]))
        elif source.hasText():
            self.insertPlainText(source.text())


class TwoLines(Spaced):
    """A name and a smaller note below it, each shortened to fit."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.first = ElidedLabel()
        self.second = ElidedLabel(size=12, tone="dim")
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 2)
        column.addStretch(1)
        column.addWidget(self.first)
        column.addWidget(self.second)
        column.addStretch(1)

    def minimumSizeHint(self) -> QSize:
        return QSize(theme.px(_LEAST_PX), super().minimumSizeHint().height())


class NoteCard(Card):
    """The note to read. `show_types` takes the federation's types, which are then not the person's to choose."""

    changed = Signal()
    unfolded = Signal()
    file_dropped = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent=parent)
        self._lay(self.content, (16, 16, 16, 16), 8)
        self._given: tuple[str, ...] | None = None
        self.editor = NoteEditor()
        self.editor.setAccessibleName(self.tr("Note to read"))
        self.editor.setPlaceholderText(self.tr("Paste a note here. It is read on this computer and not stored."))
        self.editor.textChanged.connect(self._changed)
        self.editor.file_dropped.connect(self.file_dropped)
        self.fault = Sentence(tone="bad")
        self.fault.hide()
        self.types_line = QLineEdit(USUAL_TYPES)
        self.types_line.setAccessibleName(self.tr("Types to look for"))
        self.types_line.textEdited.connect(self._types_changed)
        self.types_fault = Sentence(tone="bad")
        self.types_fault.hide()
        self._given_types = Label(tone="ink", wrap=True)
        self.count = Caption()
        self.count.hide()
        self.task = TaskPanel()
        self.task.changed.connect(self._task_changed)
        self._open = self._unfolded()
        self._line = self._folded()
        self._line.hide()
        self.add(self._open)
        self.add(self._line)

    def _unfolded(self) -> Spaced:
        whole = Spaced()
        column = QVBoxLayout(whole)
        whole._lay(column, (0, 0, 0, 0), 8)
        self._ask = Label(self.tr("&Looks for"), tone="dim")
        self._ask.setBuddy(self.types_line)
        row = Row(spacing=12)
        row.add(self._ask)
        row.add(self.types_line, 1)
        row.add(self._given_types, 1)
        row.add(self.count)
        self._types_row = row
        for widget in (self.editor, self.fault, self.task, row, self.types_fault):
            column.addWidget(widget)
        self._given_types.hide()
        return whole

    def _folded(self) -> Row:
        self._words = TwoLines()
        self.edit = Button(self.tr("Change"))
        self.edit.setAccessibleName(self.tr("Change note, types or model"))
        self.edit.clicked.connect(self._edit)
        row = Row(spacing=12)
        row.add(self._words, 1)
        row.add(self.edit)
        return row

    # -- the note --------------------------------------------------------------------------------------------------

    def text(self) -> str:
        return self.editor.toPlainText()

    @Slot(str)
    def set_text(self, text: str) -> None:
        """Another note, as if typed: the person can undo it."""
        self.set_folded(False)
        cursor = self.editor.textCursor()
        cursor.select(cursor.SelectionType.Document)
        cursor.insertText(text)
        cursor.movePosition(cursor.MoveOperation.Start)
        self.editor.setTextCursor(cursor)

    def checked(self) -> Asking | None:
        """Note and task, or None; what is wrong then stands under its field, which has the focus."""
        fault = _fault_of(check_note, self.text())
        self.show_fault(fault)
        typed = self._given is None and not self._types_row.isHidden()
        types_fault = _fault_of(asked_types, self.types_line.text()) if typed else ""
        self._show(self.types_fault, self.types_line, types_fault)
        task_fault = _fault_of(lambda _: self.task.asked(), "")
        self.task.show_fault(task_fault)
        if fault or types_fault or task_fault:
            self.set_folded(False)
            (self.editor if fault else self.types_line if types_fault else self.task.at_fault).setFocus()
            return None
        types = (asked_types(self.types_line.text()) if typed else ()) if self._given is None else self._given
        return Asking(self.text(), types, self.task.task, *self.task.asked())

    def show_fault(self, sentence: str) -> None:
        """Shows a fault under the editor; empty: none."""
        self._show(self.fault, self.editor, sentence)

    def _show(self, label: Sentence, field: QWidget, sentence: str) -> None:
        label.setText(sentence)
        label.setVisible(bool(sentence))
        field.setAccessibleDescription(sentence)
        set_tone(field, "fault", bool(sentence))

    @Slot()
    def _changed(self) -> None:
        if not self.fault.isHidden():
            self.show_fault("")
        count = len(self.text())
        self.count.setText(self.tr("1 character") if count == 1 else self.tr("{n} characters").format(n=written(count)))
        self.count.setVisible(count > 0)
        self.changed.emit()

    @Slot()
    def _types_changed(self) -> None:
        """A fault goes as soon as it is mended; a new one is told when the note is read."""
        if not self.types_fault.isHidden():
            self._show(self.types_fault, self.types_line, _fault_of(asked_types, self.types_line.text()))
        self.changed.emit()

    @Slot()
    def _task_changed(self) -> None:
        """Types are looked for, and modified, by two of the tasks."""
        self._types_row.setVisible(self.task.task in ("entities", "relations"))
        self.changed.emit()

    # -- types, folding --------------------------------------------------------------------------------------------

    def show_types(self, types: Sequence[str] | None) -> None:
        """The federation's types, or None: what the person types."""
        given = tuple(types) if types else None
        if given == self._given:
            return
        self._given = given
        self.types_line.setVisible(given is None)
        self._given_types.setVisible(given is not None)
        self._given_types.setText(
            self.tr("{types} (this federation's types)").format(types=", ".join(given)) if given else ""
        )
        if given:
            self._show(self.types_fault, self.types_line, "")

    def set_folded(self, is_folded: bool, about: str = "") -> None:
        """One line with the note's first words, and `about` below it: the sides show the note whole."""
        was = self.is_folded()
        self._open.setVisible(not is_folded)
        self._line.setVisible(is_folded)
        if is_folded:
            self._words.first.setText(" ".join(self.text()[:_FIRST_WORDS].split()))
            self._words.second.setText(about)
        elif was:
            self.unfolded.emit()

    def is_folded(self) -> bool:
        return self._open.isHidden()

    @Slot()
    def _edit(self) -> None:
        self.set_folded(False)
        self.editor.setFocus()


def _fault_of(check: Callable[[str], object], text: str) -> str:
    try:
        check(text)
    except UserFacingError as error:
        return told(error)
    return ""
