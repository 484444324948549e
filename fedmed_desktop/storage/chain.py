# SPDX-License-Identifier: Apache-2.0
"""Append-only tables with chained rows: a row that was changed, lost or inserted is noticed when they are read."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserFacingError
from .database import Database


def linked(before: str, *content: object) -> str:
    """Hash of a row: sha256 over the hash of the row before and its own content."""
    text = json.dumps([before, *content], separators=(",", ":"), default=repr)  # repr: damage may make bytes of a text
    return hashlib.sha256(text.encode()).hexdigest()


def encodable(text: str) -> str:
    """The text as a row can hold it: what a terminal or an account's name says need not be Unicode."""
    return text.encode("utf-8", "replace").decode()


def broken(rows: Iterable[Sequence[Any]], first: str, given: int, after: int = 0) -> tuple[int, str] | None:
    """The first wrong one of chained rows (seq, *columns, hash), and what is wrong with it; None where all are whole.

    `given`: how many rows were ever written, so that those missing at the end are noticed. The rows are those `after`
    this number, the hash of which is `first`.
    """
    before, number = first, after
    for number, (seq, *values, digest) in enumerate(rows, after + 1):
        if seq != number:
            return number, "is missing"
        if digest != linked(before, *values):
            return number, "is not as it was written"
        before = digest
    return None if number == given else (number + 1, "is missing")


class Chain:
    """Table with `seq INTEGER PRIMARY KEY AUTOINCREMENT`, these columns, and `hash`.

    Each row's hash covers the hash of the row before it (`first` for row 1) and its own content. SQLite remembers the
    highest number that AUTOINCREMENT gave, so rows missing at the end are noticed too. This finds damage and lost rows;
    anyone who can write the file can also write a new chain.
    """

    def __init__(self, table: str, columns: str, first: str = "") -> None:
        self._table = table
        self._columns = columns
        self._first = first

    def append(self, connection: sqlite3.Connection, *values: object) -> str:
        """Adds a row inside the caller's transaction; returns its hash."""
        values = tuple(encodable(one) if isinstance(one, str) else one for one in values)
        last = connection.execute(f"SELECT hash FROM {self._table} ORDER BY seq DESC LIMIT 1").fetchone()
        digest = linked(last[0] if last else self._first, *values)
        marks = ",".join("?" * (len(values) + 1))
        connection.execute(f"INSERT INTO {self._table} ({self._columns}, hash) VALUES ({marks})", (*values, digest))
        return digest

    def link_all(self, connection: sqlite3.Connection) -> None:
        """Adds the hashes to the rows of an older schema, taking them as they are."""
        before = self._first
        query = f"SELECT seq, {self._columns} FROM {self._table} ORDER BY seq"
        for seq, *values in connection.execute(query).fetchall():
            before = linked(before, *values)
            connection.execute(f"UPDATE {self._table} SET hash = ? WHERE seq = ?", (before, seq))

    def rows(self, database: Database, after: int = 0, digest: str = "") -> list[tuple[Any, ...]]:
        """Reads and checks all rows as (seq, *columns, hash); raises UserFacingError naming the first that is wrong.

        With `after` and that row's hash, only the rows after it.
        """
        query = f"SELECT seq, {self._columns}, hash FROM {self._table} WHERE seq > ? ORDER BY seq"
        with database.snapshot():
            found = database.rows(query, after)
            given = database.rows("SELECT seq FROM sqlite_sequence WHERE name = ?", self._table)
        first = digest if after else self._first
        if wrong := broken(found, first, given[0][0] if given else after + len(found), after):
            raise damaged_row(database.path, self._table, *wrong)
        return found


def damaged_row(path: Path, table: str, row: int, reason: str) -> UserFacingError:
    """Makes the error that names a row that cannot be used."""
    return UserFacingError(
        "storage.damaged_row", path=str(path), folder=str(path.parent), table=table, row=row, reason=reason
    )
