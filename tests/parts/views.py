# SPDX-License-Identifier: Apache-2.0
"""Which modules of the desktop are views (values and pure functions), and a watch over files that they open."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

from tests.parts.sources import PACKAGE, source

DESKTOP = PACKAGE / "desktop"
ROOMS = sorted(path.parent for path in DESKTOP.glob("*/__init__.py"))
QT = ("PySide6", "pyqtgraph", "shiboken6")
# Without Qt and no views: what reads and writes files, asks the system, or drives the work on the network thread.
NO_VIEWS = frozenset(
    {
        *(f"work/{name}.py" for name in ("settings", "crashes", "log", "network", "sessions", "awake", "load")),
        "trial/export.py",
        "hosting/process.py",
    }
)


def imports_qt(path: Path) -> bool:
    """Parsed only where the name of such a library stands in it: every test of windows asks this of every file."""
    if not any(name in source(path).text for name in QT):
        return False
    return any(module.partition(".")[0] in QT for _, module in source(path).imports)


def is_view(path: Path) -> bool:
    """A module of a room without Qt, other than the room's files.py."""
    name = path.relative_to(DESKTOP).as_posix()
    return name not in NO_VIEWS and path.name not in ("__init__.py", "files.py") and not imports_qt(path)


VIEWS = [path for room in ROOMS for path in sorted(room.glob("*.py")) if is_view(path)]


class FileWatch:
    """Names the view that opens a file, whichever thread it is on. An audit hook stays for the whole process."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._desktop, self._views = str(DESKTOP), {str(path) for path in VIEWS}
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in ("open", "os.listdir", "os.scandir", "sqlite3.connect", "socket.connect"):
            return
        asks = self._innermost(sys._getframe(1))
        if asks in self._views:
            self.found.append(f"{Path(asks).relative_to(self._desktop)}: {event} {arguments[:1]}")

    def _innermost(self, frame: FrameType | None) -> str:
        """The file of the desktop that is at work; "" while a module is imported, whose source is read."""
        while frame is not None:
            name = frame.f_code.co_filename
            if name.startswith(("<frozen importlib", "shibokensupport")):
                return ""
            if name.startswith(self._desktop):
                return "" if frame.f_code.co_name == "<module>" else name
            frame = frame.f_back
        return ""


WATCH = FileWatch()
