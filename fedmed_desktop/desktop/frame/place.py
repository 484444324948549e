# SPDX-License-Identifier: Apache-2.0
"""The desktop's data folder: settings, log, sites. Only one running desktop at a time writes there."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QLockFile

from ...errors import UserFacingError
from ...files import make_folder
from ..work.crashes import CrashWatch
from ..work.log import log, start_log, stop_log
from .second_start import LOCK_FILE


class Place:
    """Taken until `leave`. A second desktop on the same folder works, but keeps no settings and writes no log; so does
    one whose folder cannot be written. `trouble` says which, or that the program crashed the last time.
    """

    def __init__(self, folder: Path) -> None:
        self.log_path = folder / "log" / "fedmed-desktop.log"
        self.trouble: UserFacingError | None = None
        self.is_ours = False
        self._crashes = CrashWatch(self.log_path.with_name("crash.txt"))
        self._lock = QLockFile(str(folder / LOCK_FILE))
        self._lock.setStaleLockTime(0)  # a lock is stale when its process is gone, however long it has held it
        try:
            make_folder(folder)
            if not self._lock.tryLock(0):
                raise UserFacingError("desktop.second", path=str(folder))
            self.is_ours = True
            start_log(self.log_path)
            if crash := self._crashes.begin():
                log.error("the program crashed the last time\n%s", crash)
                raise UserFacingError("desktop.crashed")
        except UserFacingError as error:
            self.trouble = error

    def leave(self) -> None:
        stop_log()
        if self.is_ours:
            self._crashes.end()
            self._lock.unlock()
