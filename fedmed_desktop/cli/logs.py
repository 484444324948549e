# SPDX-License-Identifier: Apache-2.0
"""The program's logs: on stderr, beside the events that faces show, and in a file of JSON lines.

Modules log by name; it is set up here only. No note's text is logged anywhere. What the file gets passes through a
filter for what must never be in one: invitations, tokens, and passwords in addresses of proxies.
"""

from __future__ import annotations

import argparse
import atexit
import json
import logging
import logging.handlers
import queue
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import disk_fault
from ..files import make_folder

if TYPE_CHECKING:
    from .. import events

LEVELS: Final = ("debug", "info", "warning", "error")

# Of the file: some weeks of a coordinator that is busy.
_MOST_BYTES: Final = 10 * 2**20
_FILES: Final = 5

# Records that wait for a slow terminal or disk; later ones are dropped.
_MOST_WAITING: Final = 1000
_LAST_SECONDS: Final = 2.0

_EVENTS: Final = "fedmed_desktop.events"
# An invitation; the password in an address; whatever follows a word for a secret, unless it is short.
_SECRETS: Final = (
    (re.compile(r"fedmed:[A-Za-z2-7=-]+"), "fedmed:…"),
    (re.compile(r"(\w://)[^/@\s]+@"), r"\1…@"),
    (re.compile(r"(?i)\b(token|code|password|secret)(['\"]?\s*[=:]\s*['\"]?)[^\s,'\"}]{8,}"), r"\1\2…"),
)


def add_logs(parser: argparse.ArgumentParser) -> None:
    """Adds the options that `log_to_stderr` takes."""
    parser.add_argument("--log-level", choices=LEVELS, default="warning", help="lowest level that is logged on stderr")
    parser.add_argument(
        "--log-file",
        type=Path,
        metavar="PATH",
        help="also keep a log there, one JSON object a line: events, and what --log-level says; at 10 MiB a new file "
        "is begun, and five are kept",
    )


def log_to_stderr(level: str, file: Path | None = None) -> None:
    """Writes records from a thread of its own: a full disk or an unread pipe costs records, but never delays work.

    With `file`, there too. Raises UserFacingError where that cannot be written.
    """
    logging.raiseExceptions = False  # else a stderr that takes nothing gets tracebacks about it
    # In more detail than this it would write down what is said on each line.
    logging.getLogger("websockets").setLevel(max(logging.INFO, logging.getLevelNamesMapping()[level.upper()]))
    written = logging.StreamHandler()
    written.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    written.addFilter(lambda record: record.name != _EVENTS)  # the face shows them
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(_MOST_WAITING)
    takers: list[logging.Handler] = [written, *([_file_handler(file)] if file else [])]
    logging.handlers.QueueListener(waiting, *takers).start()
    atexit.register(_wait_until_written, waiting)
    handlers = [logging.handlers.QueueHandler(waiting)]
    logging.basicConfig(level=level.upper(), format="%(message)s", handlers=handlers, force=True)
    logging.getLogger(_EVENTS).setLevel(logging.INFO if file else logging.CRITICAL)


def _wait_until_written(waiting: queue.Queue[logging.LogRecord]) -> None:
    """Waits for the last records, which often say why the program ends, but not for output that takes nothing."""
    with waiting.all_tasks_done:
        waiting.all_tasks_done.wait_for(lambda: not waiting.unfinished_tasks, _LAST_SECONDS)


def _file_handler(path: Path) -> logging.Handler:
    make_folder(path.absolute().parent)
    try:
        handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=_MOST_BYTES, backupCount=_FILES - 1, encoding="utf-8", errors="backslashreplace"
        )
    except OSError as error:
        raise disk_fault(error, path) from error
    handler.setFormatter(_JsonLines())
    return handler


class _JsonLines(logging.Formatter):
    """One object a line: time, level, module, message, site, round."""

    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record)
        for pattern, instead in _SECRETS:
            message = pattern.sub(instead, message)
        about = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "module": record.name,
            "message": message,
            "site": getattr(record, "site", ""),
            "round": getattr(record, "round", 0),
        }
        return json.dumps(about, ensure_ascii=False)


def logged(emit: Callable[[events.Event], None]) -> Callable[[events.Event], None]:
    """Wraps an event handler so that events with a line of text are logged too, without a person's reasons."""
    from .. import events
    from ..wording.lines import line

    log = logging.getLogger(_EVENTS)

    def take(event: events.Event) -> None:
        emit(event)
        if log.isEnabledFor(logging.INFO):
            said = event.model_copy(update={"reason": ""}) if isinstance(event, events.DecisionRecorded) else event
            if text := line(said):
                level = logging.WARNING if isinstance(event, events.Warned | events.Failed) else logging.INFO
                about = {"site": getattr(event, "site", ""), "round": getattr(event, "round", 0)}
                log.log(level, "%s", text, extra=about)

    return take
