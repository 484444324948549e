# SPDX-License-Identifier: Apache-2.0
"""One SQLite file per site or coordinator, opened for durability: what was acknowledged survives a power cut."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from ..errors import UserFacingError, disk_fault
from ..files import is_read_only, make_folder

_LOG = logging.getLogger(__name__)

Step = str | Callable[[sqlite3.Connection], None]
Migrations = Sequence[Sequence[Step]]
"""The steps (statements or functions) that lead to schema 1, from there to schema 2, and so on. Append only: files of
every earlier schema are out there. Files from before schemas were numbered count as 0 and have the tables of 1."""

_SECONDS_TO_WAIT: Final = 5.0  # for another process that writes; a transaction takes milliseconds


class Database:
    """SQLite file in WAL mode, locked for this process: two agents on one folder would mix their states.

    With `synchronous="NORMAL"` commits do not wait for the disk, and a power cut may lose the last ones. A `shared`
    file may be open in several processes; one writes at a time, and the others wait for it some seconds. Any thread may
    use it; a lock lets in one at a time.

    Raises UserFacingError for a file that is damaged, newer or held by another process, and a full or read-only disk.
    """

    def __init__(
        self,
        path: Path,
        migrations: Migrations,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        shared: bool = False,
    ) -> None:
        self.path = path
        self._shared = shared
        self._lock = threading.RLock()
        make_folder(path.parent)
        wait = _SECONDS_TO_WAIT if shared else 0.0
        with self._faults():
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=wait)
            try:
                self._prepare(synchronous)
                self._migrate(migrations)
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self, synchronous: str) -> None:
        try:
            self.path.chmod(0o600)
        except OSError as error:
            raise disk_fault(error, self.path) from error
        mode = self._connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise UserFacingError("storage.no_wal", path=str(self.path))
        self._connection.execute(f"PRAGMA synchronous={synchronous}")
        if synchronous == "FULL":  # each commit reaches the database itself, so that a damaged WAL file costs none
            self._connection.execute("PRAGMA wal_autocheckpoint=1")
        if self._shared:
            return
        self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._connection.execute("BEGIN EXCLUSIVE")
        self._connection.execute("COMMIT")

    def _migrate(self, migrations: Migrations) -> None:
        """Brings the file to the newest schema, one transaction for each."""
        ((found,),) = self.rows("PRAGMA user_version")
        if found > len(migrations):
            raise UserFacingError("storage.newer", path=str(self.path), found=found, known=len(migrations))
        for version, steps in enumerate(migrations[found:], found + 1):
            with self.transaction() as connection:
                if connection.execute("PRAGMA user_version").fetchone()[0] >= version:
                    continue  # another process that shares the file was first
                for step in steps:
                    if isinstance(step, str):
                        connection.execute(step)
                    else:
                        step(connection)
                connection.execute(f"PRAGMA user_version = {version}")
            _LOG.info("%s now has schema %d", self.path, version)

    def copy_to(self, path: Path) -> None:
        """Writes all that is committed to a new file, as of one moment; durable on return."""
        with self._lock, self._faults():
            _copy(self._connection, path)

    def close(self) -> None:
        """Closes the file, after a transaction of another thread has ended."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Makes the block atomic, and durable once it has ended."""
        with self._lock, self._faults():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite rolls back by itself after some faults
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Lets all that the block reads be of one moment, whatever another process writes meanwhile."""
        with self._lock, self._faults():
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")  # nothing was written

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, self._faults():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise _fault(error, self.path, self._shared) from error


def copy_database(source: Path, target: Path) -> None:
    """Copies a file that other processes may be using, as of one moment. Raises UserFacingError; "storage.in_use" for a
    file that one process has to itself."""
    try:
        with closing(
            sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=1)
        ) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM sqlite_master").fetchall()  # a backup would wait for a lock for ever
            _copy(connection, target)
    except sqlite3.DatabaseError as error:
        full = _name(error).startswith("SQLITE_FULL")
        raise _fault(error, target if full else source) from error


def _fault(error: sqlite3.DatabaseError, file: Path, shared: bool = False) -> UserFacingError:
    name, path = _name(error), str(file)
    if name.startswith("SQLITE_FULL"):
        return UserFacingError("storage.disk_full", path=path, retryable=True)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        if shared:
            return UserFacingError("storage.busy", path=path, retryable=True)
        return UserFacingError("storage.in_use", path=str(file.parent))
    if name.startswith("SQLITE_READONLY") or (name.startswith("SQLITE_CANTOPEN") and is_read_only(file)):
        return UserFacingError("storage.read_only", path=path, retryable=True)
    undecodable = isinstance(error, sqlite3.OperationalError) and not name  # a text that is not UTF-8
    if undecodable or name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return UserFacingError("storage.damaged", path=path, folder=str(file.parent), reason=str(error))
    retryable = name.startswith("SQLITE_IOERR")  # a disk that failed once may be there again
    return UserFacingError("storage.fault", path=path, reason=str(error), retryable=retryable)


def _name(error: sqlite3.DatabaseError) -> str:
    """SQLite's name of the fault; empty for one of Python's own."""
    return getattr(error, "sqlite_errorname", "")


def _copy(connection: sqlite3.Connection, target: Path) -> None:
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(target)) as copy:
        connection.backup(copy)
