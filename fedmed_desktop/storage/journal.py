# SPDX-License-Identifier: Apache-2.0
"""Measured events of a site (training steps, evaluations, what was fetched) on disk, so that a face can draw its curves
and count bytes after a restart.

A closed round with more than MOST_STEPS steps is thinned to an even selection and all else, so that the number
of rounds bounds what a face reads when it starts. These rows matter less than the outbox: they are buffered, a power
cut may lose the last second, and a full disk costs rows, never a round.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..errors import UserFacingError, disk_fault
from ..events import Evaluated, Event, TrainingStep, TransferProgress, parse_event
from .database import Database, Migrations

Measured = TrainingStep | Evaluated | TransferProgress

_MIGRATIONS: Final[Migrations] = (
    (
        "CREATE TABLE IF NOT EXISTS events "
        "(seq INTEGER PRIMARY KEY AUTOINCREMENT, round INTEGER NOT NULL, body TEXT NOT NULL)",
    ),
)
# Seconds between two transactions (design, section 5).
_INTERVAL = 1.0
# Rows that wait for a disk that takes none; the oldest are given up beyond it.
_MOST_WAITING = 10_000
# Steps of a closed round that are kept: as many as a chart has columns of pixels. Inferred.
MOST_STEPS = 500


def stride_of(last_step: int) -> int:
    """Distance between the steps that are kept of a closed round, beside its first and its last."""
    return max(1, -(-last_step // MOST_STEPS))


class Journal:
    """Append-only record of events, in order; any thread. Writes at most once a second and at each `flush`, and does
    not wait for the disk (WAL, synchronous=NORMAL).

    Never raises for the disk: a fault is passed to `warn` once, and rows wait in memory for a later try. `warn` is
    called on the writing thread, with no lock held.
    """

    def __init__(
        self, path: Path, warn: Callable[[UserFacingError], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._warn = warn
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[Measured] = []
        self._wrote = clock()
        self._database: Database | None = None
        self._closed = False
        self._warned = False
        self._lost: UserFacingError | None = None

    def append(self, event: Measured) -> None:
        """Adds a row in memory, and writes the waiting ones once a second has passed. Cheap."""
        with self._lock:
            self._waiting.append(event)
            fault = self._write() if self._clock() - self._wrote >= _INTERVAL else None
        self._tell(fault)

    def flush(self) -> None:
        with self._lock:
            fault = self._write()
        self._tell(fault)

    def thin_before(self, round_number: int) -> None:
        """Thins the closed rounds before this one to an even selection of their steps, and all evaluations.

        Reads a file and may take a second: not on an event loop. One transaction; safe to repeat.
        """
        try:
            with self._lock:
                fault = self._write()
                long = [] if self._closed else self._long_rounds(round_number)
            gone = [seq for rows in map(self._rows_of, long) for seq in _dispensable(rows)]
            with self._lock:
                if gone and not self._closed:
                    with self._opened().transaction() as connection:
                        connection.executemany("DELETE FROM events WHERE seq = ?", [(seq,) for seq in gone])
        except UserFacingError as error:
            fault = error
        self._tell(fault)

    def _long_rounds(self, before: int) -> list[int]:
        query = "SELECT round FROM events WHERE round < ? GROUP BY round HAVING COUNT(*) > ?"
        return [number for (number,) in self._opened().rows(query, before, MOST_STEPS)]

    def _rows_of(self, round_number: int) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._closed:
                return []
            return self._opened().rows("SELECT seq, body FROM events WHERE round = ? ORDER BY seq", round_number)

    def close(self) -> None:
        """Writes the waiting rows and closes the file. `events` still works afterwards."""
        with self._lock:
            fault = self._write()
            self._let_go()
            self._closed = True
        self._tell(fault)

    def events(self) -> list[Event]:
        """All events in order. Steps that a training repeated after a checkpoint are in it twice.

        If the file cannot be read, only those that are still in memory.
        """
        with self._lock:
            rows, fault = self._rows()
            waiting = list(self._waiting)
            if self._closed:
                self._let_go()
        self._tell(fault)
        # A row of another version of this program may not be understood: that costs the row, no more.
        return [event for body in rows if (event := _understood(body)) is not None] + waiting

    def _rows(self) -> tuple[list[str], UserFacingError | None]:
        if self._closed and not self._path.is_file():  # looking must not create a folder that is gone
            return [], None
        try:
            return [body for (body,) in self._opened().rows("SELECT body FROM events ORDER BY seq")], None
        except UserFacingError as error:
            return [], self._put_aside(error) if error.code == "storage.damaged" else error

    def _write(self) -> UserFacingError | None:
        self._wrote = self._clock()
        if not self._waiting or self._closed:
            return None
        rows = [(event.round, event.model_dump_json()) for event in self._waiting]
        try:
            with self._opened().transaction() as connection:
                connection.executemany("INSERT INTO events (round, body) VALUES (?, ?)", rows)
        except UserFacingError as error:
            del self._waiting[:-_MOST_WAITING]
            return error
        self._waiting.clear()
        return None

    def _opened(self) -> Database:
        if self._database is None:
            try:
                self._database = Database(self._path, _MIGRATIONS, synchronous="NORMAL")
            except UserFacingError as error:
                if error.code != "storage.damaged":
                    raise
                self._put_aside(error)
                self._database = Database(self._path, _MIGRATIONS, synchronous="NORMAL")
        return self._database

    def _put_aside(self, fault: UserFacingError) -> UserFacingError:
        """Renames a damaged file, so that a new one takes what is measured from now on; returns what to tell."""
        self._let_go()
        aside = self._path.with_name(f"{self._path.name}.damaged")
        try:
            self._path.replace(aside)
            self._path.with_name(f"{self._path.name}-wal").unlink(missing_ok=True)
        except OSError as error:
            raise disk_fault(error, self._path) from fault
        self._lost = UserFacingError("storage.journal_damaged", path=str(self._path), aside=str(aside))
        return self._lost

    def _let_go(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _tell(self, fault: UserFacingError | None) -> None:
        fault = fault or self._lost
        if fault is not None and not self._warned:
            self._warned = True
            self._warn(fault)


def _dispensable(rows: list[tuple[Any, ...]]) -> list[int]:
    """Selects the rows (number, event) of a closed round to delete: steps that were repeated later, and most others."""
    steps = [(seq, event.step) for seq, body in rows if isinstance(event := _understood(body), TrainingStep)]
    holding: list[tuple[int, int]] = []
    for seq, step in reversed(steps):
        if not holding or step < holding[-1][1]:
            holding.append((seq, step))
    kept = {seq for seq, step in holding if step % stride_of(holding[0][1]) == 0}
    kept |= {seq for seq, _ in (*holding[:1], *holding[-1:])}
    return [seq for seq, _ in steps if seq not in kept]


def _understood(body: str) -> Event | None:
    try:
        return parse_event(body)
    except ValueError:
        return None
