# SPDX-License-Identifier: Apache-2.0
"""Things that are dropped on the form: one file, or a text with an invitation in it."""

from __future__ import annotations

from PySide6.QtGui import QDropEvent

from ...protocol.invitation import SCHEME


def dropped(event: QDropEvent) -> str:
    """The path of the file, or the text; "" where it is of no use here."""
    data = event.mimeData()
    if paths := [url.toLocalFile() for url in data.urls() if url.isLocalFile()]:
        return paths[0]
    return data.text() if data.hasText() and SCHEME in data.text().lower() else ""
