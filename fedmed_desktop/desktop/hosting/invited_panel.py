# SPDX-License-Identifier: Apache-2.0
"""An invitation that was made: the line, the QR code and the file to send, and what to do with them."""

from __future__ import annotations

from datetime import datetime

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QGuiApplication, QPixmap
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from ...errors import UserFacingError
from ...protocol.hosting import Invited
from ...protocol.invitation import FILE_SUFFIX
from ...wording import clock, told
from ..look import theme
from ..widgets import Banner, Button, Caption, Flow, Label, Row, Sentence, Spaced
from ..widgets.saving import ask_where
from .files import qr_png, save

# Pixels of one square of the code, on the screen at text scale 1, and in a file.
SQUARE, SQUARE_OF_FILE = 3, 8


class InvitedPanel(Spaced):
    """The invitation: what to do with it, the line, the picture, and three ways to take it along."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        self._lay(column, (0, 0, 0, 0), 12)
        self._name = self._text = ""
        self._what = Sentence(tone="ink")
        self.line = QLineEdit()
        self.line.setReadOnly(True)
        self.line.setAccessibleName(self.tr("Invitation"))
        self.picture = Label()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.copy = Button(self.tr("Copy the line"), "copy")
        self.save = Button(self.tr("Save the file…"), "download")
        self.save_picture = Button(self.tr("Save the QR code…"))
        self._then, self.banner = Caption(wrap=True), Banner()
        ways = Spaced()
        beside = QVBoxLayout(ways)
        ways._lay(beside, (0, 0, 0, 0), 8)
        for widget in (self._what, self.line, Flow(self.copy, self.save, self.save_picture), self.banner, self._then):
            beside.addWidget(widget)
        row = Row()
        row.add(ways, 1, 300)
        row.add(self.picture)
        column.addWidget(row)
        self.copy.clicked.connect(self._copy)
        self.save.clicked.connect(self._ask_file)
        self.save_picture.clicked.connect(self._ask_picture)

    def show_invited(self, name: str, invited: Invited, now: datetime) -> None:
        self._name, self._text = name, invited.file_text
        self._what.setText(
            self.tr(
                "Send the line, the file or the picture to {site}, by a way that nobody else reads: whoever has it can "
                "join as {site}. It works once, until {time}."
            ).format(site=name, time=clock(invited.until, now))
        )
        self.line.setText(invited.line)
        self.line.setCursorPosition(0)
        code = QPixmap()
        code.loadFromData(qr_png(invited.line, theme.px(SQUARE)))
        self.picture.setPixmap(code)
        self.picture.setAccessibleName(self.tr("QR code of the invitation of {site}").format(site=name))
        waits = self.tr("There they choose Join. Then they wait here, until you have compared six words and confirmed.")
        comes = self.tr("There they choose Join. Then compare six words by phone; if they differ, remove the site.")
        self._then.setText(waits if invited.confirms else comes)

    @Slot()
    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.line.text())
        self.copy.setText(self.tr("Copied"))

    @Slot()
    def _ask_file(self) -> None:
        dialog = ask_where(self, self.tr("Save the invitation"), f"{self._name}{FILE_SUFFIX}")
        dialog.fileSelected.connect(self._save)

    @Slot()
    def _ask_picture(self) -> None:
        ask_where(self, self.tr("Save the QR code"), f"{self._name}.png").fileSelected.connect(self._save_picture)

    @Slot(str)
    def _save(self, path: str) -> None:
        self._write(path, self._text.encode())

    @Slot(str)
    def _save_picture(self, path: str) -> None:
        self._write(path, qr_png(self.line.text(), SQUARE_OF_FILE))

    def _write(self, path: str, data: bytes) -> None:
        try:
            save(path, data)
        except UserFacingError as error:
            self.banner.show_message(told(error), "bad")
        else:
            self.banner.show_message(self.tr("Saved as {path}.").format(path=path), "ok")
