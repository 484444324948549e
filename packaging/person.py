# SPDX-License-Identifier: Apache-2.0
"""A person before the window, for scripts: waits until something has come, then does the next thing."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

from PySide6.QtCore import QObject, QTimer, Slot

MOST_SECONDS = 120.0
Wait = Callable[[], bool]
Todo = Generator[Wait, None, None]


def seconds(count: float) -> Wait:
    """A look at what has happened takes a person a moment, and a layout too."""
    end = time.monotonic() + count
    return lambda: time.monotonic() > end


class Person(QObject):
    """Looks five times a second whether what `todo` waits for has come. `problem` says what did not, after `most`
    seconds; `gives_up` is called then. Lives in the window's thread and begins at once.
    """

    def __init__(self, todo: Todo, gives_up: Callable[[], None], most: float = MOST_SECONDS) -> None:
        super().__init__()
        self.problem = ""
        self._todo = todo
        self._gives_up = gives_up
        self._most = most
        self._wait: Wait = lambda: True
        self._since = time.monotonic()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.look)
        self._timer.start(200)

    @Slot()
    def look(self) -> None:
        try:
            if self._wait():
                self._wait, self._since = next(self._todo), time.monotonic()
            elif time.monotonic() - self._since > self._most:
                raise TimeoutError(f"in vain for {self._most:.0f} s, at line {self._todo.gi_frame.f_lineno}")
        except StopIteration:
            self._timer.stop()
        except Exception as error:
            self._timer.stop()
            self.problem = f"{type(error).__name__}: {error}"
            self._gives_up()
