# SPDX-License-Identifier: Apache-2.0
"""One sentence in a window of its own, for where the desktop could not open and there is no terminal."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QMessageBox


def show(sentence: str) -> None:
    """Returns once the person has closed the window. In the GUI thread, while no event loop runs."""
    app = QApplication.instance() or QApplication(["fedmed-desktop"])
    box = QMessageBox(QMessageBox.Icon.Warning, "fedmed-desktop", sentence)
    # plain and selectable: what it says may hold a command to copy, or a path with a < in it
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    box.finished.connect(app.quit)
    box.open()
    app.exec()
