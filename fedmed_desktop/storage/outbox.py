# SPDX-License-Identifier: Apache-2.0
"""Outbox of a site: updates that wait for a decision, the decisions, and the only way a blob can leave.

    pending --approve--> approved --(effective time reached while running)--> released --> acknowledged | refused
       |  ^--take back / restart before effective--|
       |--keep--> kept --asked again--> pending          |--round closed--> expired

Every decision is a row that is never changed (`decisions`), written before its effect. `open_released` is the transfer
code's only access to blobs: it answers for nothing but parts of updates whose approval is recorded and in effect.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from ..errors import UserFacingError
from ..federation import FederationSpec, LocalResult, Plan, Update
from ..federation import part_actions as do
from ..federation.evidence import Evidence
from ..federation.work import Entry, State
from .audit import Audit
from .audit_row import AuditEntry
from .blobs import BlobStore
from .chain import Chain, broken, damaged_row, encodable
from .database import Database, Migrations
from .decision_audit import DecisionAudit
from .reading import moment, parsed

_LOG = logging.getLogger(__name__)

_COLUMNS: Final = "time, sha256, round, decision, by, reason, content"
_DECISIONS_OF_2: Final = Chain("decisions", _COLUMNS)
_DECISIONS: Final = Chain("decisions", f"{_COLUMNS}, rule, policy")
_PLAN, _UPDATE, _EVIDENCE = TypeAdapter(Plan), TypeAdapter(Update), TypeAdapter(Evidence)
_SPEC: Final = TypeAdapter(FederationSpec)


def _check_before_linking_anew(connection: sqlite3.Connection) -> None:
    """Raises UserFacingError where a row is damaged: new hashes would hide that."""
    rows = connection.execute(f"SELECT seq, {_COLUMNS}, hash FROM decisions ORDER BY seq").fetchall()
    given = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'decisions'").fetchone()
    if wrong := broken(rows, "", given[0] if given else len(rows)):
        ((_, _, path), *_) = connection.execute("PRAGMA database_list")
        raise damaged_row(Path(path), "decisions", *wrong)


_MIGRATIONS: Final[Migrations] = (
    (
        "CREATE TABLE IF NOT EXISTS outbox (sha256 TEXT PRIMARY KEY, round INTEGER NOT NULL, plan TEXT NOT NULL, "
        "body TEXT NOT NULL, evidence TEXT NOT NULL, state TEXT NOT NULL, effective TEXT, made TEXT NOT NULL, "
        "code TEXT NOT NULL DEFAULT '')",
        "CREATE TABLE IF NOT EXISTS decisions (seq INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, "
        "sha256 TEXT NOT NULL, round INTEGER NOT NULL, decision TEXT NOT NULL, by TEXT NOT NULL, "
        "reason TEXT NOT NULL, content TEXT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, body TEXT NOT NULL)",
    ),
    ("ALTER TABLE decisions ADD COLUMN hash TEXT NOT NULL DEFAULT ''", _DECISIONS_OF_2.link_all),
    (
        _check_before_linking_anew,
        "ALTER TABLE decisions ADD COLUMN rule TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE decisions ADD COLUMN policy TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE outbox ADD COLUMN first_by TEXT NOT NULL DEFAULT ''",
        _DECISIONS.link_all,
    ),
)


# States in which a decision can be taken; one whose result already holds changes nothing.
_ALLOWED: Final[Mapping[do.Decision, frozenset[State]]] = {
    "first_approved": frozenset({"pending"}),
    "approved": frozenset({"pending"}),
    "taken_back": frozenset({"approved"}),
    "released": frozenset({"approved"}),
    "kept": frozenset({"pending", "approved"}),
    "expired": frozenset({"pending", "approved"}),
    "asked_again": frozenset({"kept"}),
    "acknowledged": frozenset({"released"}),
    "refused": frozenset({"released"}),
}


def _state_after(decision: str) -> str:
    """State that a decision puts an update in."""
    return "pending" if decision in ("taken_back", "asked_again", "first_approved") else decision


def _warn(fault: UserFacingError) -> None:
    _LOG.warning("%s", fault)


@dataclass(frozen=True)
class Decision:
    """One row of the record of decisions; `content` is the sha256 of all that was decided on, scalars included.

    `rule`: that of the site's policy by which it was taken, and `policy` the sha256 of the file; "" without a policy.
    """

    time: datetime
    sha256: str
    round: int
    decision: str
    by: str
    reason: str
    content: str
    rule: str = ""
    policy: str = ""


@dataclass(frozen=True)
class Record:
    """Snapshot of a site's outbox: the federation it has joined, its updates, its decisions in order.

    `final` is the sha256 of the federation's final adapter once it is on this disk, and `final_frozen` that of its
    frozen companion, if there is one. A face that shows a Record shows the same after a restart.
    """

    spec: FederationSpec | None
    entries: tuple[Entry, ...]
    decisions: tuple[Decision, ...]
    final: str | None
    final_frozen: str | None = None


class Outbox:
    """Durable state of a site, except blobs and checkpoints. Any thread; every change is durable on return.

    Parsed rows are cached: only the state, effective time and code of an update ever change, and nothing of a decision.
    So a query costs what is new, and unchanged entries are the same objects as before.
    """

    def __init__(self, path: Path, blobs: BlobStore) -> None:
        """Opens or creates an outbox. Raises UserFacingError if it is damaged, lost or in use, or the disk fails."""
        self._database = Database(path, _MIGRATIONS)
        self._path = path
        self._blobs = blobs
        self._parsed: dict[str, Entry] = {}
        self._audit: DecisionAudit | None = None
        self._decided: tuple[int, tuple[Decision, ...]] = 0, ()  # number of the last one, and all; replaced as a whole
        try:
            self._check()
        except BaseException:
            self._database.close()
            raise

    def _check(self) -> None:
        """Checks that every update is in the state that its last decision put it in: a damaged row approves nothing."""
        decided = {row[2]: (row[4], row[5]) for row in _DECISIONS.rows(self._database)}
        found = self._database.rows("SELECT rowid, sha256, state, first_by FROM outbox ORDER BY rowid")
        for row, sha256, state, first_by in found:
            decision, by = decided.pop(sha256, ("asked_again", ""))
            if state != _state_after(decision) or first_by != (by if decision == "first_approved" else ""):
                raise damaged_row(self._path, "outbox", row, f"says {state}, but the last decision was {decision}")
        if decided:
            reason = f"is missing: the decisions name an update {next(iter(decided))[:12]} that is not there"
            raise damaged_row(self._path, "outbox", len(found) + 1, reason)
        if not found and not self._database.rows("SELECT 1 FROM facts") and not self._blobs.is_empty():
            raise UserFacingError("storage.lost", path=str(self._path), folder=str(self._path.parent))

    def close(self) -> None:
        """Closes the file, and the audit chain with it."""
        self._database.close()
        if self._audit:
            self._audit.audit.close()

    def keep_audit(self, audit: Audit, now: datetime) -> None:
        """Writes all decisions to this chain from now on, and lets no update leave of which it has no intent.

        Raises UserFacingError("storage.lost") where there was a chain, and this one is empty.
        """
        kept, started = DecisionAudit(audit), AuditEntry(action_code="started", role="agent", object_type="program")
        self._audit, is_new = kept, self.recall("audit") is None
        if not is_new and not audit.head():
            raise UserFacingError("storage.lost", path=str(audit.path), folder=str(audit.path.parent))
        kept.begin(self.entries(), is_new, now)
        if is_new:
            audit.append(started, now=now)
            self.remember("audit", "kept")
        else:
            audit.note(started, now=now)

    # -- updates -------------------------------------------------------------------------------------------------

    def put(self, plan: Plan, result: LocalResult, now: datetime) -> Entry:
        """Stores the blobs, then the row that names them, as pending: nothing may leave yet. Safe to repeat."""
        for name, part in result.update.parts.items():
            if (found := self._blobs.write(result.blobs[name])) != part.sha256:
                raise UserFacingError("update.wrong_hash", found=found, expected=part.sha256)
        sha256 = result.update.sha256
        bodies = (one.model_dump_json() for one in (plan, result.update, result.evidence))
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO outbox (sha256, round, plan, body, evidence, state, made) "
                "VALUES (?, ?, ?, ?, ?, 'pending', ?)",
                (sha256, plan.round, *bodies, now.isoformat()),
            )
        return self.entry(sha256)

    def entry(self, sha256: str) -> Entry:
        """Entry of this update; raises UserFacingError("storage.no_update") if there is none."""
        found = self._entries("sha256 = ?", sha256)
        if not found:
            raise UserFacingError("storage.no_update", sha256=sha256)
        return found[0]

    def entries(self) -> list[Entry]:
        return self._entries("1 = 1")

    def in_state(self, *states: State) -> list[Entry]:
        """Entries in one of these states, in order of their rounds."""
        return self._entries(f"state IN ({','.join('?' * len(states))})", *states)

    def _entries(self, where: str, *values: object) -> list[Entry]:
        rows = self._database.rows(
            f"SELECT rowid, sha256, state, effective, code, first_by FROM outbox WHERE {where} ORDER BY round, made",
            *values,
        )
        return [self._entry(*row) for row in rows]

    def _entry(self, row: int, sha256: str, state: State, effective: str | None, code: str, first_by: str) -> Entry:
        """Turns a row into an entry; another thread that does so at the same moment gets an equal one."""
        at = moment(effective, self._path, "outbox", row) if effective else None
        known = self._parsed.get(sha256) or self._parse(row, sha256, state, at, code)
        if (known.state, known.effective, known.code, known.first_by) != (state, at, code, first_by):
            known = replace(known, state=state, effective=at, code=code, first_by=first_by)
        self._parsed[sha256] = known
        return known

    def _parse(self, row: int, sha256: str, state: State, effective: datetime | None, code: str) -> Entry:
        ((plan, body, evidence),) = self._database.rows(
            "SELECT plan, body, evidence FROM outbox WHERE sha256 = ?", sha256
        )
        return Entry(
            sha256=sha256,
            plan=parsed(_PLAN, plan, self._path, "outbox", row, _warn),
            update=parsed(_UPDATE, body, self._path, "outbox", row, _warn),
            evidence=parsed(_EVIDENCE, evidence, self._path, "outbox", row, _warn),
            state=state,
            effective=effective,
            code=code,
        )

    # -- decisions -----------------------------------------------------------------------------------------------

    def decide(self, given: do.Record, now: datetime) -> Entry:
        """Records a decision; one that already holds changes nothing. An approval is in effect after its delay.

        Raises UserFacingError("storage.not_possible_now") where the update's state does not allow it, and
        ("storage.not_released") for a release that was not approved, or is not yet in effect.
        """
        given = replace(given, by=encodable(given.by), reason=encodable(given.reason))
        with self._database.transaction() as connection:
            # Looked at inside the transaction: of two threads that decide at once, one is told that it is too late.
            entry = self.entry(given.sha256)
            releases, after = given.decision == "released", _state_after(given.decision)
            if releases and (entry.state != "approved" or entry.effective is None or now < entry.effective):
                raise UserFacingError("storage.not_released", sha256=given.sha256)
            is_first = given.decision == "first_approved"
            if entry.state == after and (not is_first or entry.first_by):
                return entry
            if entry.state not in _ALLOWED[given.decision]:
                raise UserFacingError("storage.not_possible_now", decision=given.decision, state=entry.state)
            about = given.decision, given.by, given.reason, entry.update.content_sha256, given.rule, given.policy
            _DECISIONS.append(connection, now.astimezone(UTC).isoformat(), entry.sha256, entry.plan.round, *about)
            effective = now + given.delay if given.decision == "approved" else entry.effective if releases else None
            if self._audit:  # in a file of its own, so it stays if this transaction fails: it was meant to be
                self._audit.intend(given, entry, after, now)
            connection.execute(
                "UPDATE outbox SET state = ?, effective = ?, code = ?, first_by = ? WHERE sha256 = ?",
                (
                    after,
                    effective.isoformat() if effective else None,
                    given.code,
                    given.by if is_first else "",
                    entry.sha256,
                ),
            )
        if self._audit:
            self._audit.result(given, entry, after, now)
        return self.entry(given.sha256)

    def decisions(self) -> tuple[Decision, ...]:
        """The decisions in order."""
        last, known = self._decided
        rows = self._database.rows(
            f"SELECT seq, {_COLUMNS}, rule, policy FROM decisions WHERE seq > ? ORDER BY seq",
            last,
        )
        if rows:
            known += tuple(Decision(moment(row[1], self._path, "decisions", row[0]), *row[2:]) for row in rows)
            self._decided = rows[-1][0], known
        return known

    def approval(self, sha256: str) -> str:
        """Hash of the row that approved this update. Raises UserFacingError where there is none."""
        rows = self._database.rows(
            "SELECT hash FROM decisions WHERE sha256 = ? AND decision = 'approved' ORDER BY seq DESC LIMIT 1", sha256
        )
        if not rows:
            raise UserFacingError("storage.not_released", sha256=sha256)
        return str(rows[0][0])

    # -- the only door -------------------------------------------------------------------------------------------

    def round_of(self, sha256: str) -> int:
        """Round of the update that has this part; 0 if there is none."""
        found = [e.plan.round for e in self.entries() if any(p.sha256 == sha256 for p in e.update.parts.values())]
        return found[-1] if found else 0

    def open_released(self, sha256: str, now: datetime | None = None) -> Path:
        """Path of a blob that may leave; raises UserFacingError for any other, including one that does not exist."""
        for entry in self.in_state("released", "acknowledged"):
            if any(part.sha256 == sha256 for part in entry.update.parts.values()):
                if self._audit:
                    self._audit.check_release(entry.sha256, entry.plan.round, now or datetime.now(UTC))
                if not self._blobs.is_whole(sha256):  # other bytes than the approved ones never leave
                    self._blobs.put_aside(sha256)
                return self._blobs.path(sha256)
        raise UserFacingError("storage.not_released", sha256=sha256)

    # -- facts ---------------------------------------------------------------------------------------------------

    def remember(self, name: str, body: str) -> None:
        """Stores a small fact of the agent, such as the specification it joined, under a name."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, body))

    def recall(self, name: str) -> str | None:
        rows = self._database.rows("SELECT body FROM facts WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def record(self) -> Record:
        """Snapshot of everything; no decision of another thread comes in between."""
        with self._database.transaction():
            spec = self.recall("spec")
            return Record(
                spec=parsed(_SPEC, spec, self._path, "facts", 1, _warn) if spec else None,
                entries=tuple(self.entries()),
                decisions=self.decisions(),
                final=self.recall("final"),
                final_frozen=self.recall("final frozen") or None,
            )
