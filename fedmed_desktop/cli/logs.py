# SPDX-License-Identifier: Apache-2.0
"""The program's log on stderr, beside the events that faces show. Modules log by name; it is set up here only."""

from __future__ import annotations

import argparse
import logging
import logging.handlers
import queue
from typing import Final

LEVELS: Final = ("debug", "info", "warning", "error")

# Records that wait for a slow terminal; later ones are dropped.
_MOST_WAITING: Final = 1000


def add_log_level(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log-level", choices=LEVELS, default="warning", help="least level logged on stderr")


def log_to_stderr(level: str) -> None:
    """Writes records from a thread of its own: a full disk or an unread pipe costs records, but never delays work."""
    logging.raiseExceptions = False  # else a stderr that takes nothing gets tracebacks about it
    written = logging.StreamHandler()
    written.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(_MOST_WAITING)
    logging.handlers.QueueListener(waiting, written).start()
    handlers = [logging.handlers.QueueHandler(waiting)]
    logging.basicConfig(level=level.upper(), format="%(message)s", handlers=handlers, force=True)
