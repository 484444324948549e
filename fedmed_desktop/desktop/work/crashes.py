# SPDX-License-Identifier: Apache-2.0
"""Crashes of the process itself, such as in a driver: where it was is written down as it goes, and told at the next
start. Nothing of it is sent anywhere.
"""

from __future__ import annotations

import faulthandler
from contextlib import suppress
from pathlib import Path
from typing import IO


class CrashWatch:
    """Watch for crashes from `begin` to `end`; none where something else in the process watches, as a test run does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def begin(self) -> str:
        """Starts to watch; the places of the last crash, if there was one since: Python's own words, without values."""
        before = ""
        with suppress(OSError):
            before = self._path.read_text("utf-8", "replace").strip()
        if faulthandler.is_enabled():
            return before
        with suppress(OSError):  # a folder that cannot be written is told of elsewhere
            self._file = self._path.open("w", encoding="utf-8")
            faulthandler.enable(self._file)
        return before

    def end(self) -> None:
        """Ends the watch after an orderly end: the file is deleted."""
        if self._file is None:
            return
        faulthandler.disable()
        self._file.close()
        self._file = None
        with suppress(OSError):
            self._path.unlink()
