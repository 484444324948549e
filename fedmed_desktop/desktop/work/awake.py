# SPDX-License-Identifier: Apache-2.0
"""The computer kept from falling asleep while it trains. wakepy asks the system for that in the system's own way: the
desktop's session on Linux, SetThreadExecutionState on Windows, caffeinate on macOS. The screen may still turn off.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from .log import log
from .news import KeptAwake

END_S = 3.0  # the system is given this long to hear that it may sleep; wakepy's own calls give up after two


@contextmanager
def kept_awake() -> Iterator[bool]:
    """Yields whether the system has agreed to stay awake until the end; why not is in the log. From one thread."""
    try:
        from wakepy import keep
    except ImportError as error:
        log.warning("this computer could not be kept awake: %s", error)
        yield False
        return
    with keep.running(on_fail="pass") as mode:
        if not mode.active:
            log.warning("this computer could not be kept awake: %s", mode.result.get_failure_text(style="inline"))
        yield mode.active


class Awake:
    """Wanted and let go of in the GUI thread, and at once: a thread of its own talks to the system, which may take
    seconds. `tell` hears there what came of it.
    """

    def __init__(
        self, tell: Callable[[KeptAwake], None], hold: Callable[[], AbstractContextManager[bool]] = kept_awake
    ) -> None:
        self._tell, self._hold = tell, hold
        self._lock = threading.Lock()
        self._release: threading.Event | None = None
        self._thread: threading.Thread | None = None

    def want(self, wanted: bool) -> None:
        """Sets whether to stay awake, as often as one likes; only a change does something."""
        if wanted == (self._release is not None):
            return
        with self._lock:
            if self._release is not None:
                self._release.set()
                self._release = None
                self._tell(KeptAwake("off"))
                return
            release = self._release = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(release,), name="awake", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Lets the computer sleep again; a system that does not answer is not waited for longer than that."""
        self.want(False)
        if self._thread is not None:
            self._thread.join(END_S)

    def _run(self, release: threading.Event) -> None:
        try:
            with self._hold() as agreed:
                self._say(release, KeptAwake("on" if agreed else "refused"))
                release.wait()
        except Exception as error:  # the system's own services may fail in any way; training goes on without them
            log.warning("this computer could not be kept awake: %r", error)
            self._say(release, KeptAwake("refused"))

    def _say(self, release: threading.Event, told: KeptAwake) -> None:
        """Tells how it went, unless that is no longer wanted: then that has been told."""
        with self._lock:
            if self._release is release:
                self._tell(told)
