# SPDX-License-Identifier: Apache-2.0
"""Audit chain as a file holds it: read without writing a byte, checked alone and against the other side's, exported.

A chain finds what was changed, lost or inserted in it. Who can write the file can also write another chain, or cut off
its end; so each side keeps the last hash that the other told, and the two files are compared.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import UserFacingError, reason_of
from ..identity import PrivateKey, fingerprint, is_signed
from .audit import FILE, SCHEMA, TABLE
from .audit_row import COLUMNS
from .chain import broken

_FORMAT: Final = "fedmed-desktop audit"
_VERSION: Final = 1
_FIELDS: Final = ("seq", *COLUMNS, "hash")
# With one of these a spreadsheet would take a cell for a formula.
_FORMULA: Final = ("=", "+", "-", "@")
_WORDS: Final = ("reason", "actor_name", "actor_os_user", "owner", "object_id", "peer")

Row = dict[str, Any]


@dataclass(frozen=True)
class AuditFile:
    """A chain as it was found; `fault` names the first entry that is wrong. `signed_by`: fingerprint, of an export."""

    path: Path
    rows: tuple[Row, ...]
    fault: UserFacingError | None = None
    signed_by: str = ""

    @property
    def head(self) -> str:
        return str(self.rows[-1]["hash"]) if self.rows else ""

    @property
    def side(self) -> str:
        return str(self.rows[-1]["side"]) if self.rows else ""

    @property
    def owner(self) -> str:
        return str(self.rows[-1]["owner"]) if self.rows else ""


@dataclass(frozen=True)
class Verdict:
    """Result of a check. `compared`: heads that one side holds of the other, and that were found there."""

    file: AuditFile
    fault: UserFacingError | None
    compared: int = 0


def verify_audit(path: Path, against: Path | None = None) -> Verdict:
    """Checks a data folder's chain, an `audit.sqlite` or an export, and compares it with the other side's.

    Raises UserFacingError where there is no chain to check, or the two are not of two sides.
    """
    file = read_audit(path)
    if file.fault or against is None:
        return Verdict(file, file.fault)
    other = read_audit(against)
    if other.fault:
        return Verdict(file, other.fault)
    if file.side and file.side == other.side:
        raise UserFacingError("audit.same_side", path=str(file.path), other=str(other.path))
    site, coordinator = (other, file) if file.side == "coordinator" or other.side == "site" else (file, other)
    names = {row["owner"] for row in site.rows}
    told_by_site = [row for row in coordinator.rows if row["peer"] in names or not names]
    compared, fault = _find(told_by_site, site, coordinator)
    if fault is None:
        more, fault = _find(site.rows, coordinator, site)
        compared += more
    return Verdict(file, fault, compared)


def _find(told: Sequence[Row], owner: AuditFile, holder: AuditFile) -> tuple[int, UserFacingError | None]:
    """Looks in the owner's chain for the heads that the holder wrote down; how many are there, and the first fault."""
    numbers = {row["hash"]: row["seq"] for row in owner.rows}
    found = last = 0
    for row in told:
        head = row["peer_head"]
        if not head:
            continue
        if head not in numbers:
            where = {"path": str(owner.path), "other": str(holder.path), "held": row["seq"]}
            return found, UserFacingError("audit.cut_off", entry=last + 1, entries=len(owner.rows), **where)
        found, last = found + 1, max(last, numbers[head])
    return found, None


# -- reading ---------------------------------------------------------------------------------------------------------


def read_audit(path: Path) -> AuditFile:
    """Reads a data folder's chain, an `audit.sqlite` or a JSON export; never writes beside it."""
    file = path / FILE if path.is_dir() else path
    try:
        with file.open("rb") as opened:
            start = opened.read(16)
        return _database(file) if start == b"SQLite format 3\0" else _exported(file)
    except FileNotFoundError as error:
        raise UserFacingError("audit.none", path=str(file)) from error
    except OSError as error:
        raise UserFacingError("audit.unreadable", path=str(file), reason=reason_of(error)) from error


def _database(path: Path) -> AuditFile:
    rows: list[Row] = []
    try:
        with _opened(path) as connection:
            connection.execute("BEGIN")  # all of one moment, while others may write
            ((schema,),) = connection.execute("PRAGMA user_version").fetchall()
            if schema > SCHEMA:
                raise UserFacingError("storage.newer", path=str(path), found=schema, known=SCHEMA)
            given = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (TABLE,)).fetchall()
            for row in connection.execute(f"SELECT {', '.join(_FIELDS)} FROM {TABLE} ORDER BY seq"):
                rows.append(dict(zip(_FIELDS, row, strict=True)))
    except sqlite3.DatabaseError as error:
        return AuditFile(path, tuple(rows), _fault(path, len(rows) + 1, f"cannot be read: {error}"))
    return _checked(path, rows, given[0][0] if given else len(rows))


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, read-only. SQLite makes files beside one that nobody has open, so such a one is read as it lies."""
    log = path.with_name(f"{path.name}-wal")
    if not log.exists():
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)) as connection:
            yield connection
        return
    if path.with_name(f"{path.name}-shm").exists():  # open in a running program, or was when it was killed
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            yield connection
        return
    with tempfile.TemporaryDirectory() as folder:  # a copy of a live file
        shutil.copy(log, folder)
        copy = shutil.copy(path, folder)
        with closing(sqlite3.connect(copy)) as connection:
            yield connection


def _exported(path: Path) -> AuditFile:
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != _FORMAT or content["version"] != _VERSION:
            raise ValueError("it has another format, or is of a newer version")
        rows = [{name: _plain(entry.get(name)) for name in _FIELDS} for entry in content["entries"]]
        claim = {name: content[name] for name in ("count", "head")}
        key, signature = str(content["key"]), str(content["signature"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserFacingError("audit.no_export", path=str(path)) from error
    file = _checked(path, rows, claim["count"])
    if file.fault:
        return file
    if file.head != claim["head"]:
        return AuditFile(path, file.rows, _fault(path, len(rows), "is not the one that the file ends with"))
    return _signed(file, key, signature) if key or signature else file


def _plain(value: object) -> object:
    """The value; raises ValueError where it is none that a chain holds, such as a list or half a surrogate pair."""
    if not isinstance(value, str | int | None):
        raise ValueError("neither a text nor a number")
    str(value).encode()
    return value


def _signed(file: AuditFile, key: str, signature: str) -> AuditFile:
    if not is_signed(key, "audit", _claim(file.rows), signature):
        return AuditFile(file.path, file.rows, UserFacingError("audit.signature", path=str(file.path)))
    signer, named = fingerprint(key), str(file.rows[-1]["host_id"]) if file.rows else ""
    if named and named != signer:
        fault = UserFacingError("audit.other_signer", path=str(file.path), found=signer[:16], expected=named[:16])
        return AuditFile(file.path, file.rows, fault)
    return AuditFile(file.path, file.rows, None, signer)


def _checked(path: Path, rows: list[Row], given: object) -> AuditFile:
    ever = given if isinstance(given, int) else -1
    wrong = broken((tuple(row.values()) for row in rows), "", ever)
    return AuditFile(path, tuple(rows), _fault(path, *wrong) if wrong else None)


def _fault(path: Path, entry: int, reason: str) -> UserFacingError:
    return UserFacingError("audit.broken", path=str(path), entry=entry, reason=reason)


# -- exports ---------------------------------------------------------------------------------------------------------


def as_json(file: AuditFile, key: PrivateKey | None = None) -> bytes:
    """The chain as JSON that `verify_audit` takes; signed over its head and its count where there is a key."""
    content = {
        "format": _FORMAT,
        "version": _VERSION,
        **_claim(file.rows),
        "key": key.public if key else "",
        "signature": key.sign("audit", _claim(file.rows)) if key else "",
        "entries": list(file.rows),
    }
    # repr, as where rows are hashed: damage may make bytes of a text
    return json.dumps(content, indent=1, ensure_ascii=False, default=repr).encode() + b"\n"


def as_csv(file: AuditFile) -> bytes:
    """The chain as a table for people and spreadsheets; what proves something is the JSON."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, _FIELDS)
    table.writeheader()
    for row in file.rows:
        cells = {name: f"'{row[name]}" for name in _WORDS if str(row[name]).startswith(_FORMULA)}
        table.writerow(row | cells)
    return text.getvalue().encode("utf-8-sig")


def _claim(rows: Sequence[Row]) -> dict[str, str | int | None]:
    """Content of an export's signature."""
    return {"count": len(rows), "head": str(rows[-1]["hash"]) if rows else ""}
