# SPDX-License-Identifier: Apache-2.0
"""Audit chain of a site or a coordinator: an append-only record of what was meant to be done, and of what was.

An entry that tells an intent is durable before its effect, the one that tells the result comes after it. The file may
be open in several processes, such as a coordinator and a host's `--invite`. Offline checks and exports: `audit_file`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from .. import __version__
from ..errors import UserFacingError
from ..federation.names import PROGRAMS
from .audit_row import COLUMNS, Action, AuditEntry, AuditRow, Side
from .chain import Chain, broken, damaged_row
from .database import Database, Migrations

if sys.platform != "win32":
    import pwd

FILE: Final = "audit.sqlite"
TABLE: Final = "entries"

_MOST_OWED: Final = 1000
_PAGE: Final = 500

_NUMBERS: Final = frozenset({"round"})
_ENTRIES: Final = Chain(TABLE, ", ".join(COLUMNS))
_TYPES: Final = ", ".join(f"{name} {'INTEGER' if name in _NUMBERS else 'TEXT'} NOT NULL" for name in COLUMNS)
_MIGRATIONS: Final[Migrations] = (
    (
        f"CREATE TABLE {TABLE} (seq INTEGER PRIMARY KEY AUTOINCREMENT, {_TYPES}, hash TEXT NOT NULL)",
        f"CREATE INDEX by_object ON {TABLE} (object_hash, action_code)",
        f"CREATE INDEX intents ON {TABLE} (stage)",
    ),
)
SCHEMA: Final = len(_MIGRATIONS)
_ALL: Final = f"SELECT seq, {', '.join(COLUMNS)}, hash FROM {TABLE}"


class Audit:
    """One chain. Any thread, several processes; every method blocks on the disk, and `append` is durable on return.

    `owner`: the site's name, or the federation's; `host_id`: fingerprint of the owner's key. Both may be set later.

    Raises UserFacingError: damaged (with the first row that is wrong), a full or read-only disk.
    """

    def __init__(self, path: Path, side: Side, owner: str, host_id: str = "") -> None:
        self.host_id = host_id
        self.path = path
        self._side: Side = side
        self.owner = owner
        self._os_user = operating_user()
        self._lock = threading.Lock()
        self._owed: list[AuditRow] = []  # results that the disk did not take
        self._database = Database(path, _MIGRATIONS, shared=True)
        try:
            self.verify()
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        with self._lock, contextlib.suppress(UserFacingError):
            if self._owed:
                self._write(self._owed)
        self._database.close()

    def append(self, *entries: AuditEntry, now: datetime) -> str:
        """Adds entries, in order and all or none; returns the chain's head, the hash of its last row."""
        rows = [self._row(entry, now) for entry in entries]
        with self._lock:
            head = self._write([*self._owed, *rows])
            self._owed.clear()
            return head

    def note(self, *entries: AuditEntry, now: datetime) -> None:
        """Adds results of what has been done already: where the disk takes none, they come before the next entries.

        Raises UserFacingError only where very many wait.
        """
        rows = [self._row(entry, now) for entry in entries]
        with self._lock:
            self._owed += rows
            try:
                self._write(self._owed)
            except UserFacingError:
                if len(self._owed) > _MOST_OWED:
                    del self._owed[-len(rows) :]
                    raise
                return
            self._owed.clear()

    def _write(self, rows: list[AuditRow]) -> str:
        with self._database.transaction() as connection:
            for row in rows:
                content = row.model_dump(mode="json")
                _ENTRIES.append(connection, *(content[name] for name in COLUMNS))
            return self.head()

    def _row(self, entry: AuditEntry, now: datetime) -> AuditRow:
        offset = f"{now.astimezone():%z}"
        return AuditRow(
            **entry.model_dump(),
            time_utc=now.astimezone(UTC),
            tz=f"{offset[:3]}:{offset[3:5]}",
            actor_os_user=self._os_user,
            side=self._side,
            owner=self.owner,
            app_version=__version__,
            host_id=self.host_id,
        )

    def head(self) -> str:
        """Hash of the last row; empty while there is none."""
        found = self._database.rows(f"SELECT hash FROM {TABLE} ORDER BY seq DESC LIMIT 1")
        return str(found[0][0]) if found else ""

    def verify(self) -> None:
        """Reads and checks the whole chain; raises UserFacingError naming the first row that is wrong."""
        with self._database.snapshot():
            found = self._database.rows("SELECT seq FROM sqlite_sequence WHERE name = ?", TABLE)
            ((rows,),) = found or self._database.rows(f"SELECT COUNT(*) FROM {TABLE}")
            if wrong := broken(self._pages(), "", rows):
                raise damaged_row(self.path, TABLE, *wrong)

    def _pages(self) -> Iterator[tuple[Any, ...]]:
        """All rows; of years of rounds, a page at a time is in memory."""
        last = -(2**63)
        while page := self._database.rows(f"{_ALL} WHERE seq > ? ORDER BY seq LIMIT {_PAGE}", last):
            yield from page
            last = page[-1][0]

    def entries(self, after: int = 0, most: int = _PAGE) -> list[AuditRow]:
        """The next entries after this number, in order."""
        return self._rows("seq > ? ORDER BY seq LIMIT ?", after, most)

    def has(self, action: Action, object_hash: str, *stages: str) -> bool:
        """Tells whether this was written of this object, in one of these stages."""
        marks = ",".join("?" * len(stages))
        query = f"SELECT 1 FROM {TABLE} WHERE object_hash = ? AND action_code = ? AND stage IN ({marks}) LIMIT 1"
        return bool(self._database.rows(query, object_hash, action, *stages))

    def open_intents(self) -> list[AuditRow]:
        """Intents that no result has followed: the program ended, or the disk took no more, in between."""
        later = f"SELECT 1 FROM {TABLE} AS later WHERE later.object_hash = {TABLE}.object_hash"
        later += f" AND later.action_code = {TABLE}.action_code AND later.seq > {TABLE}.seq"
        return self._rows(f"stage = 'intent' AND NOT EXISTS ({later}) ORDER BY seq")

    def _rows(self, where: str, *values: object) -> list[AuditRow]:
        return [self._parsed(row) for row in self._database.rows(f"{_ALL} WHERE {where}", *values)]

    def _parsed(self, row: tuple[Any, ...]) -> AuditRow:
        try:
            return AuditRow(**dict(zip(("seq", *COLUMNS, "hash"), row, strict=True)))
        except ValidationError as error:
            raise damaged_row(self.path, TABLE, row[0], "cannot be read") from error


def operating_user() -> str:
    """Name of the account that the program runs under; its number if it has no name, as in a container.

    The system is asked, not the environment: there anybody can write another's name, and `su` leaves an earlier one.
    """
    try:
        if sys.platform == "win32":
            name = os.getlogin()
        else:
            name = pwd.getpwuid(os.geteuid()).pw_name
    except (KeyError, OSError):
        return f"uid {os.geteuid()}" if hasattr(os, "geteuid") else "unknown"
    return f"account {name}" if name.casefold() in PROGRAMS else name
