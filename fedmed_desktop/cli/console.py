# SPDX-License-Identifier: Apache-2.0
"""Events as lines for logs and pipes; on a terminal they are a live table, see table.py."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from .. import events
from ..wording.lines import line

if TYPE_CHECKING:
    from .table import TableFace

_SHOWN_AS_A_TERMINAL: Final = {"FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}  # what rich looks at


class BufferedFace:
    """Another face on a thread of its own, so that slow or broken output never holds up the work.

    `emit` and `say` never wait, from any thread. A full buffer drops its oldest lines and counts them; a full disk or a
    missing reader costs lines, and nothing else.
    """

    def __init__(self, face: LineFace | TableFace, most: int = 1000) -> None:
        self._face = face
        self._waiting: deque[events.Event | str] = deque()
        self._most = most
        self._left_out = 0
        self._busy = False
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="printing", daemon=True).start()

    def emit(self, event: events.Event) -> None:
        self._put(event)

    def say(self, text: str) -> None:
        """Prints a line that is not an event."""
        self._put(text)

    def flush(self, seconds: float = 2.0) -> None:
        """Waits until everything is printed, or for this long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._busy, seconds)

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._face.shown():
            try:
                yield
            finally:
                self.flush()

    @contextmanager
    def question(self) -> Iterator[None]:
        self.flush()
        with self._face.question():
            yield

    def _put(self, item: events.Event | str) -> None:
        with self._changed:
            if len(self._waiting) == self._most:
                self._waiting.popleft()
                self._left_out += 1
            self._waiting.append(item)
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                item, left_out, self._left_out, self._busy = self._waiting.popleft(), self._left_out, 0, True
            try:
                if left_out:
                    self._face.say(f"{left_out} lines were left out: the output was too slow")
                self._face.say(item) if isinstance(item, str) else self._face.emit(item)
            except (OSError, ValueError):  # a full disk, a pipe without a reader, a closed stream
                continue


class LineFace:
    """Lines with the UTC time, for logs and pipes."""

    def emit(self, event: events.Event) -> None:
        if text := line(event):
            self.say(f"{event.time:%Y-%m-%dT%H:%M:%SZ} {text}")

    def say(self, text: str) -> None:
        """Writes past Python's buffer: a write that blocks would hold its lock and keep the program from ending."""
        raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
        if raw is None:
            print(text, flush=True)
            return
        rest: int | None = 1
        data = memoryview(f"{text}\n".encode(sys.stdout.encoding, "backslashreplace"))
        while data and rest:
            rest = raw.write(data)
            data = data[rest or 0 :]

    def shown(self) -> AbstractContextManager[None]:
        return nullcontext()

    def question(self) -> AbstractContextManager[None]:
        return nullcontext()


def face_for(title: str) -> BufferedFace:
    """The live table where a person looks at a terminal, plain lines elsewhere."""
    out = sys.stdout
    # Asked before rich is loaded, which a service without a terminal would only hold in its memory.
    if out is None or not (out.isatty() or _SHOWN_AS_A_TERMINAL & os.environ.keys()):
        return BufferedFace(LineFace())
    from rich.console import Console

    from .table import TableFace

    console = Console()
    return BufferedFace(TableFace(title, console) if console.is_terminal else LineFace())
