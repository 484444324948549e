# SPDX-License-Identifier: Apache-2.0
"""Shows all that a support bundle would hold, to the last letter, before it is saved."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QDir, Qt, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QDialogButtonBox, QFileDialog, QPlainTextEdit, QWidget

from ...wording import tr
from ..look import theme
from ..widgets import Button, Dialog, Flow, PrimaryButton
from .support import preview


class SupportDialog(Dialog):
    """`open` it; `named(parts, path)` once the person has said where it goes. Parts can be left out."""

    named = Signal(object, str)

    def __init__(self, parent: QWidget, parts: Mapping[str, str]) -> None:
        super().__init__(
            parent,
            tr("Support bundle"),
            tr("This is everything in it: no notes, no keys, no passwords, no names of files. It is saved on this "
            "computer, and is sent nowhere."),
            least=560,
        )  # fmt: skip
        self._parts = dict(parts)
        words = {"about.txt": tr("Versions"), "settings.txt": tr("Settings"), "log.txt": tr("End of the log")}
        self.boxes = {name: QCheckBox(words.get(name, name)) for name in parts}
        for part in self.boxes.values():
            part.setChecked(True)
            part.toggled.connect(self._show)
        self.column.addWidget(Flow(*self.boxes.values()))
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setAccessibleName(self.tr("Content of the support bundle"))
        self.text.setMinimumHeight(theme.px(180))
        self.column.addWidget(self.text, 1)
        box = QDialogButtonBox()
        self.save, self.cancel = PrimaryButton(self.tr("Save…")), Button(self.tr("Cancel"))
        box.addButton(self.save, QDialogButtonBox.ButtonRole.ActionRole)
        box.addButton(self.cancel, QDialogButtonBox.ButtonRole.RejectRole)
        self.column.addWidget(box)
        self.save.clicked.connect(self._ask)
        box.rejected.connect(self.reject)
        self._show()

    def chosen(self) -> dict[str, str]:
        return {name: text for name, text in self._parts.items() if self.boxes[name].isChecked()}

    @Slot()
    def _show(self) -> None:
        self.text.setPlainText(preview(self.chosen()))
        self.save.setEnabled(bool(self.chosen()))

    @Slot()
    def _ask(self) -> None:
        dialog = QFileDialog(self, self.tr("Save the support bundle"), QDir.homePath())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilter("*.zip")
        dialog.setDefaultSuffix("zip")
        dialog.selectFile("fedmed-support.zip")
        dialog.fileSelected.connect(self.take)
        dialog.open()

    @Slot(str)
    def take(self, path: str) -> None:
        self.named.emit(self.chosen(), path)
        self.accept()
