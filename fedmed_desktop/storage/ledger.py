# SPDX-License-Identifier: Apache-2.0
"""The coordinator's ledger: accepted inputs in order, a dump of the rounds at each close, and the known sites.

Append-only but for what is derived (dumps). After a restart the last dump is loaded and the inputs after it are fed
again, which gives the same state to the last bit.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from pathlib import Path

from ..errors import UserFacingError
from ..federation import FederationSpec, Rounds
from ..federation.inputs import INPUT, Input
from .database import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spec (body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS inputs (seq INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS dumps (seq INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sites (name TEXT PRIMARY KEY, token_sha256 TEXT NOT NULL, joined TEXT NOT NULL);
"""


class Ledger:
    """All of a coordinator's durable state but its blobs."""

    def __init__(self, path: Path, spec: FederationSpec) -> None:
        """Opens or begins a ledger; raises UserFacingError if it belongs to another specification."""
        self._database = Database(path, _SCHEMA)
        body = spec.model_dump_json()
        stored = self._database.rows("SELECT body FROM spec")
        if not stored:
            with self._database.transaction() as connection:
                connection.execute("INSERT INTO spec VALUES (?)", (body,))
        elif FederationSpec.model_validate_json(stored[0][0]) != spec:
            self._database.close()
            raise UserFacingError("storage.other_spec", path=str(path.parent))

    def close(self) -> None:
        self._database.close()

    def append(self, given: Input, now: datetime) -> None:
        """Durable on return; only then may the input be acknowledged."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO inputs (time, body) VALUES (?, ?)",
                (now.astimezone(UTC).isoformat(), given.model_dump_json()),
            )

    def save_dump(self, rounds: Rounds) -> None:
        """Keeps the state after the last input, so that a restart need not begin at the first."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO dumps SELECT COALESCE(MAX(seq), 0), ? FROM inputs", (rounds.dump(),)
            )

    def load_rounds(self, spec: FederationSpec) -> Rounds:
        """The rounds as they stood after the last accepted input."""
        last = self._database.rows("SELECT seq, body FROM dumps ORDER BY seq DESC LIMIT 1")
        seq, dump = last[0] if last else (0, None)
        rounds = Rounds(spec, dump)
        for time, body in self._database.rows("SELECT time, body FROM inputs WHERE seq > ? ORDER BY seq", seq):
            rounds.handle(INPUT.validate_json(body), datetime.fromisoformat(time))
        return rounds

    def admit(self, site: str, token: str, now: datetime) -> bool:
        """True for a new name, which the token then owns, or for the owner's token; False for any other token."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        with self._database.transaction() as connection:
            # One statement decides who was first, also when two come at once.
            connection.execute("INSERT OR IGNORE INTO sites VALUES (?, ?, ?)", (site, digest, now.isoformat()))
            owner = connection.execute("SELECT token_sha256 FROM sites WHERE name = ?", (site,)).fetchone()[0]
        return hmac.compare_digest(str(owner), digest)
