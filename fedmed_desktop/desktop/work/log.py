# SPDX-License-Identifier: Apache-2.0
"""The log file: one line per event, as a headless site prints them, and the program's own faults with traceback."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

from ... import events
from ...files import make_folder
from ...wording import in_english
from ...wording.lines import line

# Some months of rounds; a support request needs the last days of them.
MAX_BYTES = 2_000_000
BACKUPS = 3

log = logging.getLogger("fedmed_desktop")


def start_log(path: Path) -> None:
    """Opens the log, private to this user, times in UTC. Raises UserFacingError where its folder cannot be written."""
    make_folder(path.parent)
    handler = RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8", delay=True)
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def stop_log() -> None:
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()


def log_event(event: events.Event) -> None:
    """Steps and progress say nothing here: a log is read by people, and by those who help them."""
    with in_english():
        text = line(event)
    if text:
        log.info("%s", text)


Told = Callable[[BaseException, TracebackType | None], None]


def catch_faults(tell: Told) -> Callable[[], None]:
    """Sends every uncaught error, on any thread, to `tell` (from that thread); returns a function that undoes this."""
    before = sys.excepthook, threading.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            before[0](kind, error, trace)
            return
        tell(error, trace)

    def thread_hook(given: threading.ExceptHookArgs) -> None:
        if given.exc_value is not None:
            tell(given.exc_value, given.exc_traceback)

    def undo() -> None:
        sys.excepthook, threading.excepthook = before

    sys.excepthook, threading.excepthook = hook, thread_hook
    return undo
