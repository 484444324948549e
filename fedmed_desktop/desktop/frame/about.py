# SPDX-License-Identifier: Apache-2.0
"""About: which version this is, what it is not, and under which licences it and its parts may be used."""

from __future__ import annotations

import platform
from importlib import metadata

import PySide6
from PySide6.QtCore import Qt, qVersion
from PySide6.QtWidgets import QDialog, QVBoxLayout, QWidget

from ... import __version__
from ..look import theme
from ..widgets import Heading, PrimaryButton, Sentence

SOURCES = "https://code.qt.io/cgit/pyside/pyside-setup.git/"


class AboutDialog(QDialog):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("About fedmed-desktop"))
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.gap(24), theme.gap(24), theme.gap(24), theme.gap(24))
        column.setSpacing(theme.gap(12))
        column.addWidget(Heading(f"fedmed-desktop {__version__}", 2))
        for text in (
            self.tr(
                "Research software under the Apache License 2.0. Not a medical device; it makes no medical claims."
            ),
            self.tr(
                "Qt {qt} and PySide6 {pyside}: GNU LGPL 3, as shared libraries that you may replace; their sources are "
                "at\n{sources}"
            ).format(qt=qVersion(), pyside=PySide6.__version__, sources=SOURCES),
            self.tr("pyqtgraph {pyqtgraph}: MIT licence. Python {python}.").format(
                pyqtgraph=metadata.version("pyqtgraph"), python=platform.python_version()
            ),
        ):
            sentence = Sentence(text)
            sentence.setMinimumWidth(theme.px(420))
            column.addWidget(sentence)
        close = PrimaryButton(self.tr("Close"))
        close.setDefault(True)
        close.clicked.connect(self.accept)
        column.addWidget(close, 0, Qt.AlignmentFlag.AlignRight)
