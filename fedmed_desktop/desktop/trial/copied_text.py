# SPDX-License-Identifier: Apache-2.0
"""Text of a model that says what it is not for wherever it is copied to."""

from __future__ import annotations

from PySide6.QtCore import QMimeData

from ...wording import tr
from ..widgets.marked_text import MarkedText
from .results import WATERMARK


class CopiedText(MarkedText):
    """Copies of it begin with the watermark, and are plain text."""

    def createMimeDataFromSelection(self) -> QMimeData:
        data = QMimeData()
        data.setText(f"{tr(WATERMARK)}\n\n{super().createMimeDataFromSelection().text()}")
        return data
