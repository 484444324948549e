# SPDX-License-Identifier: Apache-2.0
"""Ledger of the coordinator: accepted inputs in order, and a dump of the rounds at each close.

Inputs are chained rows; so are the sites that joined before there was a registry. Dumps only save time: after a restart
the last undamaged one is loaded and the inputs after it are replayed, which gives the same state to the last bit.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from ..errors import UserFacingError
from ..federation import FederationSpec, Rounds
from ..federation.inputs import INPUT, Input
from ..federation.record import RoundsState
from .chain import Chain, damaged_row, linked
from .database import Database, Migrations
from .reading import moment, parsed

_LOG = logging.getLogger(__name__)

FILE: Final = "coordinator.sqlite"  # in the coordinator's data folder
# Dumps that are kept: the last one, and some for the case that it is damaged. All inputs are kept.
KEPT_DUMPS: Final = 3

_SPEC: Final = TypeAdapter(FederationSpec)
_STATE: Final = TypeAdapter(RoundsState)


def _sites_and_chains(connection: sqlite3.Connection) -> None:
    """Brings schema 1 to 2: chained rows, starting from the specification; a dump's hash covers its input."""
    sites = connection.execute("SELECT name, token_sha256, joined FROM sites ORDER BY rowid").fetchall()
    connection.execute("DROP TABLE sites")
    connection.execute(
        "CREATE TABLE sites (seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, "
        "token_sha256 TEXT NOT NULL, joined TEXT NOT NULL, hash TEXT NOT NULL)"
    )
    spec = connection.execute("SELECT body FROM spec").fetchone()
    if spec is None:
        return
    inputs, admitted = _chains(spec[0])
    inputs.link_all(connection)
    for site in sites:
        admitted.append(connection, *site)
    for seq, body in connection.execute("SELECT seq, body FROM dumps").fetchall():
        connection.execute("UPDATE dumps SET hash = ? WHERE seq = ?", (_dump_hash(connection, seq, body), seq))


_MIGRATIONS: Final[Migrations] = (
    (
        "CREATE TABLE IF NOT EXISTS spec (body TEXT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS inputs "
        "(seq INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, body TEXT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS dumps (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS sites (name TEXT PRIMARY KEY, token_sha256 TEXT NOT NULL, joined TEXT NOT NULL)",
    ),
    (
        "ALTER TABLE inputs ADD COLUMN hash TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE dumps ADD COLUMN hash TEXT NOT NULL DEFAULT ''",
        _sites_and_chains,
    ),
    ("CREATE TABLE registry (began TEXT NOT NULL)",),
    ("CREATE TABLE pruned (round INTEGER NOT NULL, time TEXT NOT NULL)",),
)


def _chains(spec: str) -> tuple[Chain, Chain]:
    """Chains of inputs and of sites; both start from the specification."""
    first = hashlib.sha256(spec.encode()).hexdigest()
    return Chain("inputs", "time, body", first), Chain("sites", "name, token_sha256, joined", first)


def _dump_hash(connection: sqlite3.Connection, seq: int, body: str) -> str:
    row = connection.execute("SELECT hash FROM inputs WHERE seq = ?", (seq,)).fetchone()
    return linked(row[0] if row else "", body)


def stored_spec(path: Path) -> FederationSpec:
    """The specification of a ledger that nobody has open. Raises UserFacingError (in use, damaged, none there)."""
    if not path.is_file():
        raise UserFacingError("registry.no_coordinator", path=str(path.parent))
    database = Database(path, _MIGRATIONS)
    try:
        found = database.rows("SELECT body FROM spec")
        if not found:
            raise UserFacingError("storage.lost", path=str(path), folder=str(path.parent))
        return parsed(_SPEC, found[0][0], path, "spec", 1)
    finally:
        database.close()


@dataclass(frozen=True)
class LegacySite:
    """A site as an earlier version let it in, by a token."""

    name: str
    token_sha256: str
    joined: datetime


class Ledger:
    """Durable state of a coordinator, except its blobs. Methods block on the disk; any thread."""

    def __init__(
        self,
        path: Path,
        spec: FederationSpec,
        warn: Callable[[UserFacingError], None] = lambda fault: None,
        under_way: bool = False,
    ) -> None:
        """Opens or creates a ledger. `warn` is told of values that had to be brought within bounds.

        `under_way`: there are adapters of a federation that has started, so an empty ledger means a lost one.

        Raises UserFacingError if it is damaged, lost, or belongs to another specification.
        """
        self._database = Database(path, _MIGRATIONS)
        self._path = path
        self._warn = warn
        try:
            stored = self._stored_spec(spec, under_way)
            self._inputs, self._sites = _chains(stored)
            self._sites.rows(self._database)
        except BaseException:
            self._database.close()
            raise
        self.federation = hashlib.sha256(stored.encode()).hexdigest()  # as it was founded, whatever later versions add

    def _stored_spec(self, spec: FederationSpec, under_way: bool) -> str:
        stored = self._database.rows("SELECT body FROM spec")
        if stored:
            body = str(stored[0][0])
            if parsed(_SPEC, body, self._path, "spec", 1) != spec:
                raise UserFacingError("storage.other_spec", path=str(self._path.parent))
            return body
        rows = self._database.rows("SELECT (SELECT COUNT(*) FROM inputs) + (SELECT COUNT(*) FROM sites)")
        if under_way or rows != [(0,)]:
            raise UserFacingError("storage.lost", path=str(self._path), folder=str(self._path.parent))
        body = spec.model_dump_json()
        with self._database.transaction() as connection:
            connection.execute("INSERT INTO spec VALUES (?)", (body,))
        _LOG.info("%s: a new ledger for %s", self._path, spec.name)
        return body

    def close(self) -> None:
        self._database.close()

    def append(self, given: Input, now: datetime, dump: str | None = None) -> None:
        """Adds an input, durable on return; only then may it be acknowledged.

        `dump` is the state after it, if it is to be saved, so that a restart need not replay from the first input.
        """
        with self._database.transaction() as connection:
            self._inputs.append(connection, now.astimezone(UTC).isoformat(), given.model_dump_json())
            if dump is not None:
                ((seq,),) = connection.execute("SELECT MAX(seq) FROM inputs").fetchall()
                values = (seq, dump, _dump_hash(connection, seq, dump))
                connection.execute("INSERT INTO dumps (seq, body, hash) VALUES (?, ?, ?)", values)
                newest = "SELECT seq FROM dumps ORDER BY seq DESC LIMIT ?"
                connection.execute(f"DELETE FROM dumps WHERE seq NOT IN ({newest})", (KEPT_DUMPS,))

    def load_rounds(self, spec: FederationSpec) -> Rounds:
        """Restores the rounds as they were after the last accepted input. Raises UserFacingError (damaged)."""
        rows = self._inputs.rows(self._database)
        rounds = Rounds(spec)
        seq, state = self._last_dump(rows)
        if state is not None:
            rounds.state = state
        for number, time, body, _ in rows[seq:]:
            given = parsed(INPUT, body, self._path, "inputs", number, self._warn)
            rounds.handle(given, moment(time, self._path, "inputs", number))
        return rounds

    def _last_dump(self, inputs: list[tuple[Any, ...]]) -> tuple[int, RoundsState | None]:
        """Last undamaged dump, and the number of the input before it; a damaged one costs time, nothing else."""
        for seq, body, digest in self._database.rows("SELECT seq, body, hash FROM dumps ORDER BY seq DESC"):
            if seq in range(len(inputs) + 1) and digest == linked(inputs[seq - 1][-1] if seq else "", body):
                return seq, parsed(_STATE, body, self._path, "dumps", seq, self._warn)
            _LOG.warning("%s: dump %s is damaged and is passed over", self._path, seq)
        return 0, None

    def entries(self) -> list[tuple[int, str, str]]:
        """All inputs in order, as (number, time, body). Raises UserFacingError for a damaged row."""
        return [(seq, time, body) for seq, time, body, _ in self._inputs.rows(self._database)]

    def dumps(self) -> dict[int, str]:
        """All dumps by the number of the input before each. Raises UserFacingError for a damaged one."""
        inputs = {0: "", **{row[0]: row[-1] for row in self._inputs.rows(self._database)}}
        found = dict[int, str]()
        for seq, body, digest in self._database.rows("SELECT seq, body, hash FROM dumps ORDER BY seq"):
            if seq not in inputs or digest != linked(inputs[seq], body):
                raise damaged_row(self._path, "dumps", seq, "is not as it was written")
            found[seq] = body
        return found

    def has_registry(self) -> bool:
        """Tells whether a registry was ever opened beside this ledger: a missing one is lost then, not new."""
        return bool(self._database.rows("SELECT 1 FROM registry"))

    def registry_began(self, now: datetime) -> None:
        """Notes that there is a registry now; repeating changes nothing."""
        if not self.has_registry():
            with self._database.transaction() as connection:
                connection.execute("INSERT INTO registry VALUES (?)", (now.astimezone(UTC).isoformat(),))

    def pruned_to(self) -> int:
        """The last round whose updates may have been deleted; 0 for none."""
        return int(self._database.rows("SELECT COALESCE(MAX(round), 0) FROM pruned")[0][0])

    def prune_to(self, round_number: int, now: datetime) -> None:
        """Notes that the updates of closed rounds up to this one may be deleted, before any is."""
        if self.pruned_to() < round_number:
            with self._database.transaction() as connection:
                connection.execute("INSERT INTO pruned VALUES (?, ?)", (round_number, now.astimezone(UTC).isoformat()))

    def copy_to(self, path: Path) -> None:
        """Writes the ledger as it is now to another file; durable on return. Raises UserFacingError."""
        self._database.copy_to(path)

    def legacy_sites(self) -> tuple[LegacySite, ...]:
        """Sites that an earlier version let in by a token; who may take part is in the registry since."""
        rows = self._sites.rows(self._database)
        return tuple(
            LegacySite(name, digest, moment(joined, self._path, "sites", seq)) for seq, name, digest, joined, _ in rows
        )
