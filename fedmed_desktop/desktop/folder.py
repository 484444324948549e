# SPDX-License-Identifier: Apache-2.0
"""The program's names for the system, and the folder that the system keeps for it under these."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QCoreApplication, QStandardPaths

from .. import __version__
from .options import DesktopOptions

NAME = "fedmed-desktop"


def give_names() -> None:
    """Gives Qt the program's name and version, before or after there is an application."""
    QCoreApplication.setApplicationName(NAME)
    QCoreApplication.setApplicationVersion(__version__)


def data_folder(options: DesktopOptions) -> Path:
    """Settings, log and sites' folders: where the person said, else where the system keeps such things."""
    give_names()
    place = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppDataLocation)
    return options.data_dir or Path(place)
