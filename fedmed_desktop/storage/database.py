# SPDX-License-Identifier: Apache-2.0
"""One SQLite file per site or coordinator, opened for durability: what was acknowledged survives a power cut."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from ..errors import UserFacingError, disk_fault
from ..files import make_folder


class Database:
    """WAL with synchronous=FULL, and the file locked for this process: two agents on one folder would mix their states.

    `synchronous="NORMAL"`: a power cut may cost the last commits, and none of them waits for the disk.
    One connection, usable from any thread by one at a time (a lock sees to it).

    Raises UserFacingError where the file is no database, is held by another process, or the disk is full.
    """

    def __init__(self, path: Path, schema: str, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> None:
        self.path = path
        self._lock = threading.RLock()
        make_folder(path.parent)
        with self._faults():
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.0)
            try:
                self._prepare(schema, synchronous)
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self, schema: str, synchronous: str) -> None:
        try:
            self.path.chmod(0o600)
        except OSError as error:
            raise disk_fault(error, self.path) from error
        mode = self._connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise UserFacingError("storage.no_wal", path=str(self.path))
        self._connection.execute(f"PRAGMA synchronous={synchronous}")
        self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._connection.execute("BEGIN EXCLUSIVE")
        self._connection.execute("COMMIT")
        self._connection.executescript(schema)

    def close(self) -> None:
        """Waits for a transaction of another thread."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing of it; durable once the block has ended."""
        with self._lock, self._faults():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite rolls back by itself after some faults
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, self._faults():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorname", "")
            if code.startswith("SQLITE_FULL"):
                raise UserFacingError("storage.disk_full", path=str(self.path), retryable=True) from error
            if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise UserFacingError("storage.in_use", path=str(self.path.parent)) from error
            raise UserFacingError("storage.fault", path=str(self.path), reason=str(error)) from error
        except sqlite3.DatabaseError as error:
            raise UserFacingError("storage.fault", path=str(self.path), reason=str(error)) from error
