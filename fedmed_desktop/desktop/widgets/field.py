# SPDX-License-Identifier: Apache-2.0
"""Fields of a form: a line to type in with a verdict below it, and one of several things by key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import Qt, QTimer, QUrl, Signal, Slot
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QVBoxLayout,
    QWidget,
)

from ...files import from_home
from ..look.fields import EMPTY, Choice, Verdict
from .buttons import Button
from .icon import Icon
from .labels import Caption, Label, Weight, set_tone
from .layout import Spaced

PAUSE_MS = 300  # after the last key, before what was typed is looked at
_ICONS = {"wrong": ("warning", "bad"), "right": ("check", "ok"), "checking": ("clock", "dim")}
_WARNING = ("warning", "warn")


class Field(Spaced):
    """`touched` with every key; `edited(text)` once the typing has paused. The owner then shows a verdict."""

    touched = Signal()
    edited = Signal(str)

    def __init__(
        self,
        name: str,
        hint: str,
        example: str = "",
        browse: Literal["", "folder", "file"] = "",
        files: str = "",
        parent: QWidget | None = None,
    ) -> None:
        """`files`: which ones a browser of files shows, as a name filter of Qt; all of them unless told."""
        super().__init__(parent)
        self._name, self._hint, self._browse, self._files = name, hint, browse, files
        self.verdict = EMPTY
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self._look)
        self.line = QLineEdit()
        self.line.setPlaceholderText(example)
        self.line.setAccessibleName(name)
        self.line.textChanged.connect(self._typed)
        self.line.returnPressed.connect(self._look)
        self._icon = Icon("clock", "dim", 16)
        self._sentence = Caption(wrap=True)
        self.button = Button(self.tr("Browse…"))
        self.button.setAccessibleName(self.tr("Browse: {name}").format(name=name))
        self.button.clicked.connect(self._open)
        self._arrange()
        self.button.setVisible(bool(browse))  # not before it has its place: it would be a window of its own
        self.show_verdict(EMPTY)

    def _arrange(self) -> None:
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 4)
        label = Label(self._name, weight=Weight.Medium)
        label.setBuddy(self.line)
        row, below = QHBoxLayout(), QHBoxLayout()
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        row.setSpacing(8)
        below.setSpacing(6)
        below.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        below.addWidget(self._sentence, 1)
        column.addWidget(label)
        column.addLayout(row)
        column.addLayout(below)
        self.restyle()

    def restyle(self) -> None:
        super().restyle()
        self.line.setMinimumHeight(self.button.sizeHint().height())

    def text(self) -> str:
        return self.line.text().strip()

    def fill(self, text: str) -> None:
        """Sets the text without waiting for a pause of typing; the owner looks at it."""
        self.line.setText(text)
        self._pause.stop()

    @property
    def waiting(self) -> bool:
        """Tells whether something was typed that nobody has looked at yet."""
        return self._pause.isActive()

    def show_verdict(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self._sentence.setText(verdict.sentence or self._hint)
        self._sentence.set_tone("bad" if verdict.state == "wrong" else "warn" if verdict.warns else "dim")
        self._icon.setVisible(verdict.state != "empty")
        if verdict.state != "empty":
            self._icon.show_icon(*(_WARNING if verdict.warns else _ICONS[verdict.state]))
        set_tone(self.line, "fault", verdict.state == "wrong")
        self.line.setAccessibleDescription(self._sentence.text())

    def sentence(self) -> str:
        return self._sentence.text()

    @Slot()
    def _typed(self) -> None:
        if self.line.text().startswith("file:"):  # a folder that was dropped into the line
            self.line.setText(QUrl(self.line.text().strip()).toLocalFile())
            return
        self._pause.start()
        self.touched.emit()

    @Slot()
    def _look(self) -> None:
        self._pause.stop()
        self.edited.emit(self.text())

    @Slot()
    def _open(self) -> None:
        dialog = QFileDialog(self, self._name)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        folder = self._browse == "folder"
        dialog.setFileMode(QFileDialog.FileMode.Directory if folder else QFileDialog.FileMode.ExistingFile)
        if self._files:
            dialog.setNameFilter(self._files)
        here = from_home(self.text() or "~")
        dialog.setDirectory(str(here if here.is_dir() else here.parent))
        dialog.fileSelected.connect(self._chosen)
        dialog.open()

    @Slot(str)
    def _chosen(self, path: str) -> None:
        self.fill(path)
        self.touched.emit()
        self._look()


class ChoiceBox(QComboBox):
    """Things to choose from by key. What is chosen stays chosen while the list changes; the wheel scrolls the page."""

    chosen = Signal()

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choices: tuple[Choice, ...] = ()
        self.setAccessibleName(name)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(18)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.activated.connect(self.chosen)

    def show_choices(self, choices: Sequence[Choice], default: str) -> None:
        """`default` is chosen where nothing was, or what was has gone. A list that is open at this moment stays so."""
        if tuple(choices) == self._choices or self.view().isVisible():
            return
        kept = self.key()
        self._choices = tuple(choices)
        self.clear()
        for choice in choices:
            self.addItem(choice.label, choice.key)
        if not kept or not self.choose(kept):
            self.choose(default)

    def choose(self, key: str) -> bool:
        """False where there is no such choice."""
        place = self.findData(key)
        if place >= 0:
            self.setCurrentIndex(place)
        return place >= 0

    def key(self) -> str:
        """Key of what is chosen; "" for nothing."""
        return str(self.currentData() or "")

    def choice(self) -> Choice | None:
        return next((choice for choice in self._choices if choice.key == self.key()), None)

    def initStyleOption(self, option: QStyleOptionComboBox) -> None:
        """Ends with an ellipsis what does not fit; Qt would cut it off in the middle of a letter."""
        super().initStyleOption(option)
        field = QStyle.SubControl.SC_ComboBoxEditField
        room = self.style().subControlRect(QStyle.ComplexControl.CC_ComboBox, option, field, self).width()
        option.currentText = self.fontMetrics().elidedText(option.currentText, Qt.TextElideMode.ElideRight, room)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()
