# SPDX-License-Identifier: Apache-2.0
"""Registry of a coordinator: who was invited, joined, confirmed and shut out, and which key stands for which name.

Several processes open it at once: the coordinator that runs, and the commands that invite and revoke beside it.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from ..errors import UserFacingError
from ..federation.names import alike, site_name
from .chain import Chain, encodable
from .database import Database, Migrations
from .ledger import LegacySite
from .reading import moment, parsed
from .roll import (
    EVENT,
    MOST_LETTERS_OF_A_REASON,
    Confirmed,
    Event,
    Imported,
    Invited,
    Member,
    OpenInvitation,
    Presented,
    Revoked,
    Role,
    Roll,
    Rotated,
    code_hash,
    token_hash,
)

_LOG = logging.getLogger(__name__)

REGISTRY_FILE: Final = "registry.sqlite"  # in the coordinator's data folder
COORDINATOR: Final = "coordinator"
CODE_BYTES: Final = 16

_MIGRATIONS: Final[Migrations] = (
    (
        "CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, actor TEXT NOT NULL, "
        "body TEXT NOT NULL, hash TEXT NOT NULL)",
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    ),
)


class Registry:
    """Durable answer to who may take part. Methods block on the disk, for some seconds at worst; any thread.

    State is what the chained events add up to; when another process has added some, those are read.
    """

    def __init__(self, path: Path, legacy_sites: Iterable[LegacySite] = ()) -> None:
        """Opens or creates it; `legacy_sites` that it does not know yet become members.

        Raises UserFacingError if it is damaged, newer, or on a full or read-only disk.
        """
        self._database = Database(path, _MIGRATIONS, shared=True)
        self._chain = Chain("events", "time, actor, body")
        self._path = path
        self._roll = Roll()
        self._last = (0, "")  # number and hash of the last event in the roll
        self._seen: int | None = None  # the file's data_version when it was last read; None after a change of our own
        self._version = 0
        try:
            self._import(legacy_sites)
            self.version()
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        self._database.close()

    def version(self) -> int:
        """A number that grows whenever who may take part changed, by whichever process. Cheap enough to poll."""
        with self._database.snapshot():
            self._now()
            return self._version

    def _now(self) -> Roll:
        """The roll as of the caller's transaction, for use within it and before anything is added in it."""
        ((found,),) = self._database.rows("PRAGMA data_version")
        if found != self._seen:
            for seq, time, _, body, digest in self._chain.rows(self._database, *self._last):
                event = parsed(EVENT, body, self._path, "events", seq)
                self._roll.apply(event, moment(time, self._path, "events", seq))
                self._last = (seq, digest)
            self._seen = found
            self._version += 1
        return self._roll

    def _add(self, connection: sqlite3.Connection, event: Event, now: datetime, by: str) -> None:
        time = now.astimezone(UTC).isoformat()
        self._seen = None  # read again once the transaction has ended, in whichever way
        self._chain.append(connection, time, by, event.model_dump_json())
        _LOG.info("%s: %s is %s", encodable(by), event.site, event.event)

    def _import(self, sites: Iterable[LegacySite]) -> None:
        sites = tuple(sites)
        with self._read() as roll:
            if roll.members.keys() >= {site.name for site in sites}:
                return
        with self._database.transaction() as connection:
            known = self._now().members
            for site in sites:
                if site.name not in known:
                    event = Imported(site=site.name, token_sha256=site.token_sha256, joined=site.joined)
                    self._add(connection, event, site.joined, COORDINATOR)

    @contextmanager
    def _read(self) -> Iterator[Roll]:
        with self._database.snapshot():
            yield self._now()

    # -- a site comes --------------------------------------------------------------------------------------------------

    def join(
        self,
        key: str,
        *,
        site: str,
        now: datetime,
        code: bytes | None = None,
        token: str | None = None,
        open_to_all: bool = False,
        confirm: bool = False,
        role: Role = "site",
    ) -> Member:
        """Lets in the site that has proved this key: one that is known, is invited, or has the token of its name.

        `role`: what it asks to be; a key or a code of the other role is refused.

        A known key keeps its registered name, whatever `site` says; a code gives the invited name. `open_to_all`: a new
        key may take a free name without a code. With `confirm` a newly bound key waits for the host's confirmation.
        Of two who come with one code, one is let in. Raises UserFacingError (join.*).
        """
        who = Presented(
            key,
            site_name(site),
            None if code is None else code_hash(code),
            None if token is None else token_hash(token),
            role,
        )
        with self._read() as roll:
            found = roll.admit(who, now, open_to_all, confirm)
        if isinstance(found, Member):
            return found
        with self._database.transaction() as connection:
            found = self._now().admit(who, now, open_to_all, confirm)
            if isinstance(found, Member):
                return found
            self._add(connection, found, now, COORDINATOR)
        return self.find(found.site)

    def member(self, site: str) -> Member | None:
        """The member with exactly this name."""
        with self._read() as roll:
            return roll.members.get(site)

    def find(self, site: str) -> Member:
        """The member with this name, or one that looks like it, or whose fingerprint begins so.

        Raises UserFacingError unless there is exactly one.
        """
        with self._read() as roll:
            return _found(roll, site, datetime.now(UTC))

    def role_of(self, who: str, now: datetime) -> Role | None:
        """Role of a member, given as `find` takes it, or of an invitation's name; None for nobody that is known."""
        with self._read() as roll:
            with contextlib.suppress(UserFacingError):
                return roll.find(who).role
            like = alike(who)
            return next((one.role for one in roll.invitations(now) if alike(one.site) == like), None)

    def members(self) -> tuple[Member, ...]:
        """All who ever joined, the revoked ones and hosts too, in the order in which they came."""
        with self._read() as roll:
            return tuple(roll.members.values())

    def invitations(self, now: datetime) -> tuple[OpenInvitation, ...]:
        """Invitations that can still be used."""
        with self._read() as roll:
            return roll.invitations(now)

    @property
    def has_invited(self) -> bool:
        """Tells whether the host ever invited a site."""
        with self._read() as roll:
            return roll.has_invited

    # -- the host decides ----------------------------------------------------------------------------------------------

    def invite(self, site: str, valid: timedelta, now: datetime, by: str, role: Role = "site") -> bytes:
        """Makes a code that lets one key in under this name, as a site or as a host; an earlier one no longer counts.

        Raises UserFacingError if somebody has the name or one that looks like it. Who was revoked may be invited again,
        in the same role.
        """
        name, code = site_name(site), secrets.token_bytes(CODE_BYTES)
        with self._database.transaction() as connection:
            roll = self._now()
            other = roll.namesake(name, now)
            if other not in (None, name):
                raise UserFacingError("registry.looks_alike", site=name, other=str(other))
            before = [one.role for one in roll.invitations(now) if one.site == name]
            before += [roll.members[name].role] if name in roll.members else []
            if any(one != role for one in before):
                raise UserFacingError("registry.other_role", site=name)
            if name in roll.members and roll.members[name].state != "revoked":
                raise UserFacingError("registry.has_joined", site=name)
            event = Invited(site=name, code_sha256=code_hash(code), until=now + valid, role=role)
            self._add(connection, event, now, by)
        return code

    def rotate(self, site: str, valid: timedelta, now: datetime, by: str) -> bytes:
        """Makes a code for a site that has joined: until then its key counts, which the next one replaces.

        Raises UserFacingError if there is no such site, or if it was revoked.
        """
        code = secrets.token_bytes(CODE_BYTES)
        with self._database.transaction() as connection:
            name = self._present(site, now).name
            self._add(connection, Rotated(site=name, code_sha256=code_hash(code), until=now + valid), now, by)
        return code

    def confirm(self, site: str, now: datetime, by: str, key: str | None = None) -> Member:
        """Admits a waiting site, given by its name or the start of its fingerprint; an admitted one stays so.

        `key`: the one whose words were compared. Raises UserFacingError("hosting.other_key") where it has another now.
        """
        with self._database.transaction() as connection:
            member = self._present(site, now)
            if key not in (None, member.key):
                raise UserFacingError("hosting.other_key", site=member.name)
            if member.state == "waiting":
                self._add(connection, Confirmed(site=member.name), now, by)
        return self.find(member.name)

    def revoke(self, site: str, now: datetime, by: str, reason: str = "") -> Member | OpenInvitation:
        """Shuts a site out, and takes back its codes; also an invitation that nobody has used yet."""
        with self._database.transaction() as connection:
            roll = self._now()
            invitation = _invited(roll, site, now)
            name = invitation.site if invitation else roll.find(site).name
            member = roll.members.get(name)
            if invitation or (member and member.state != "revoked"):
                why = encodable(reason)[:MOST_LETTERS_OF_A_REASON]
                self._add(connection, Revoked(site=name, reason=why), now, by)
        if invitation and not member:
            return invitation
        return self.find(name)

    def _present(self, site: str, now: datetime) -> Member:
        member = _found(self._now(), site, now)
        if member.state == "revoked":
            raise UserFacingError("registry.is_revoked", site=member.name)
        return member

    # -- facts that an invitation needs --------------------------------------------------------------------------------

    def remember(self, name: str, value: str) -> None:
        """Keeps what the coordinator knows of itself, such as its public address, for commands beside it."""
        if self.recall(name) != value:
            with self._database.transaction() as connection:
                connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))

    def recall(self, name: str) -> str | None:
        found = self._database.rows("SELECT value FROM facts WHERE name = ?", name)
        return str(found[0][0]) if found else None


def _invited(roll: Roll, site: str, now: datetime) -> OpenInvitation | None:
    """The invitation of that name that can still be used."""
    return next((one for one in reversed(roll.invitations(now)) if alike(one.site) == alike(site)), None)


def _found(roll: Roll, site: str, now: datetime) -> Member:
    """The member; raises UserFacingError("registry.not_joined") for one that is invited only."""
    try:
        return roll.find(site)
    except UserFacingError:
        if invitation := _invited(roll, site, now):
            raise UserFacingError("registry.not_joined", site=invitation.site) from None
        raise
