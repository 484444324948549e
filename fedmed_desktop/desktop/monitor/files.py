# SPDX-License-Identifier: Apache-2.0
"""Files that the Monitor writes: its numbers and its picture. Not for the GUI thread."""

from __future__ import annotations

import csv
from pathlib import Path

from PySide6.QtGui import QImage, QImageWriter

from ...errors import UserFacingError
from .figures import Table


def write_csv(table: Table, path: Path) -> None:
    """A heading and all rows. Raises UserFacingError("desktop.not_written")."""
    try:
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(table.heading())
            writer.writerows(table.as_rows())
    except OSError as error:
        raise UserFacingError("desktop.not_written", path=str(path), reason=error.strerror or str(error)) from error


def write_picture(image: QImage, path: Path) -> None:
    """Writes a picture as PNG; any thread. Raises UserFacingError("desktop.not_written")."""
    writer = QImageWriter(str(path), b"png")
    if not writer.write(image):
        raise UserFacingError("desktop.not_written", path=str(path), reason=writer.errorString())
