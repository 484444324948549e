# SPDX-License-Identifier: Apache-2.0
"""Roll of a federation: the events that decide who may take part, and what they add up to. No file, no clock.

A site is its key; its name is bound to one key at a time. So is a person who hosts from a desktop. A name and a key are
of one role for good: the code that bound them decides it, never what comes to the door. A code is known by its hash
alone. Hashing it once is enough: a code is 16 random bytes, so nobody can try them all, as they could with a password.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, TypeAdapter

from ..errors import UserFacingError
from ..federation.names import alike
from ..federation.values import Frozen, Sha256
from ..identity import PublicKey, fingerprint

State = Literal["waiting", "admitted", "revoked"]
Role = Literal["site", "host"]

MOST_LETTERS_OF_A_REASON: Final = 500
_LEAST_OF_A_FINGERPRINT: Final = 4


@dataclass(frozen=True)
class Member:
    """A site that has joined, or a host. It may take part while it is `admitted`; `waiting` is to be confirmed.

    `key` is None for a site of an earlier version until it has joined with its token again.
    """

    name: str
    key: str | None
    state: State
    joined: datetime
    role: Role = "site"

    @property
    def fingerprint(self) -> str | None:
        return None if self.key is None else fingerprint(self.key)


@dataclass(frozen=True)
class OpenInvitation:
    """A code that has not been used; `rotates`: for a site that has joined, to bind another key to its name."""

    site: str
    until: datetime
    rotates: bool
    role: Role = "site"


def _of_site(role: Role) -> bool:
    """Events of sites are written as they were before there were hosts."""
    return role == "site"


class Invited(Frozen):
    """The host made a code for a name; an earlier one for it no longer counts."""

    event: Literal["invited"] = "invited"
    site: str
    code_sha256: Sha256
    until: AwareDatetime
    role: Role = Field("site", exclude_if=_of_site)


class Rotated(Frozen):
    """The host made a code for a site that has joined: the key that comes with it replaces the one before."""

    event: Literal["rotated"] = "rotated"
    site: str
    code_sha256: Sha256
    until: AwareDatetime


class Joined(Frozen):
    """A key was bound to a name, with a code, with the token of an earlier version, or where all may come in."""

    event: Literal["joined"] = "joined"
    site: str
    key: PublicKey
    waits: bool
    code_sha256: Sha256 | None = None
    role: Role = Field("site", exclude_if=_of_site)


class Imported(Frozen):
    """A site that an earlier version knew by the hash of its token."""

    event: Literal["imported"] = "imported"
    site: str
    token_sha256: Sha256
    joined: AwareDatetime


class Confirmed(Frozen):
    event: Literal["confirmed"] = "confirmed"
    site: str


class Revoked(Frozen):
    """The host shut a site out, or took back an invitation that nobody had used."""

    event: Literal["revoked"] = "revoked"
    site: str
    reason: str = Field(max_length=MOST_LETTERS_OF_A_REASON)


Event = Invited | Rotated | Joined | Imported | Confirmed | Revoked
EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


@dataclass(frozen=True)
class Presented:
    """A site that asks to join: its proven key, the name that it gives itself, and hashes of what it brings.

    `role`: what it asks to be; the door is opened in the role of its key or code, or not at all.
    """

    key: str
    site: str
    code_sha256: str | None = None
    token_sha256: str | None = None
    role: Role = "site"


@dataclass
class _Code:
    site: str
    until: datetime
    rotates: bool
    role: Role
    user: str | None = None  # the key that came with it
    withdrawn: bool = False

    def counts(self, now: datetime) -> bool:
        return self.user is None and not self.withdrawn and now < self.until


def code_hash(code: bytes) -> str:
    return hashlib.sha256(b"fedmed-desktop invitation code\0" + code).hexdigest()


def token_hash(token: str) -> str:
    """The hash by which earlier versions knew a site's token."""
    return hashlib.sha256(token.encode()).hexdigest()


class Roll:
    """Record of who may take part, after all events up to now."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.has_invited = False
        self._codes: dict[str, _Code] = {}
        self._tokens: dict[str, str] = {}  # name -> hash
        self._owners: dict[str, str] = {}  # every key that was ever bound -> name
        self._alike: defaultdict[str, list[str]] = defaultdict(list)

    def apply(self, event: Event, time: datetime) -> None:
        """Takes in the next event."""
        match event:
            case Invited() | Rotated():
                self._withdraw(event.site)
                role = event.role if isinstance(event, Invited) else self.members[event.site].role
                self._codes[event.code_sha256] = _Code(event.site, event.until, isinstance(event, Rotated), role)
                self.has_invited |= role == "site"
            case Joined():
                if event.code_sha256 in self._codes:
                    self._codes[event.code_sha256].user = event.key
                self._owners[event.key] = event.site
                before = self.members.get(event.site)
                joined = before.joined if before else time
                state: State = "waiting" if event.waits else "admitted"
                self._enter(Member(event.site, event.key, state, joined, event.role))
            case Imported():
                self._tokens[event.site] = event.token_sha256
                self._enter(Member(event.site, None, "admitted", event.joined))
            case Confirmed():
                self._change(event.site, "admitted")
            case Revoked():
                self._withdraw(event.site)
                self._change(event.site, "revoked")

    def _enter(self, member: Member) -> None:
        if member.name not in self.members:
            self._alike[alike(member.name)].append(member.name)
        self.members[member.name] = member

    def _change(self, site: str, state: State) -> None:
        if site in self.members:
            self.members[site] = replace(self.members[site], state=state)

    def _withdraw(self, site: str) -> None:
        for code in self._codes.values():
            code.withdrawn |= code.site == site and code.user is None

    def invitations(self, now: datetime) -> tuple[OpenInvitation, ...]:
        """Invitations that can still be used."""
        live = (code for code in self._codes.values() if code.counts(now))
        return tuple(OpenInvitation(code.site, code.until, code.rotates, code.role) for code in live)

    def namesake(self, site: str, now: datetime) -> str | None:
        """The name of a member or of a live invitation that is this one, or looks like it."""
        if site in self.members:
            return site
        like = alike(site)
        invited = [one.site for one in self.invitations(now) if alike(one.site) == like]
        return next(iter([*self._alike.get(like, ()), *invited]), None)

    def member_of(self, key: str) -> Member | None:
        """The member whose key this is now."""
        member = self.members.get(self._owners.get(key, ""))
        return member if member is not None and member.key == key else None

    def find(self, who: str) -> Member:
        """The member with this name, or whose fingerprint begins so. Raises UserFacingError unless there is one."""
        found = self.members.get(who) or self._only(self._named(who), who) or self._only(self._beginning(who), who)
        if found is None:
            raise UserFacingError("registry.unknown_site", site=who)
        return found

    def _named(self, who: str) -> list[Member]:
        return [self.members[name] for name in self._alike.get(alike(who), ())]

    def _beginning(self, who: str) -> list[Member]:
        start = "".join(who.split()).replace(":", "").lower()
        if len(start) < _LEAST_OF_A_FINGERPRINT:
            return []
        return [member for member in self.members.values() if (member.fingerprint or "").startswith(start)]

    def _only(self, found: list[Member], who: str) -> Member | None:
        if len(found) > 1:
            raise UserFacingError("registry.ambiguous", site=who, names=", ".join(member.name for member in found))
        return found[0] if found else None

    # -- at the door ---------------------------------------------------------------------------------------------------

    def admit(self, who: Presented, now: datetime, open_to_all: bool, confirm: bool) -> Member | Joined:
        """The member whose key it is, or the event that makes it one. Raises UserFacingError where it may not come in.

        `open_to_all`: a new key may take a free name; `confirm`: a newly bound key waits for the host.
        """
        known = self.member_of(who.key)
        code = self._codes.get(who.code_sha256 or "")
        self._check_role(who, known, code)
        if code is not None and code.counts(now) and (known is None or known.name == code.site):
            proven = known is not None and known.state == "admitted"  # the host asked for a new key and gets the same
            waits = confirm and not proven
            return Joined(site=code.site, key=who.key, waits=waits, code_sha256=who.code_sha256, role=code.role)
        if known is not None and known.state != "revoked":
            return known
        if who.key in self._owners:
            raise UserFacingError("join.revoked", site=self._owners[who.key])
        if who.code_sha256 is not None:
            raise self._refusal(code, now)
        if who.role == "host":  # only a code makes one
            raise UserFacingError("join.not_host", site=who.site)
        if owner := self._owner(who):
            return Joined(site=owner, key=who.key, waits=confirm)
        if self.namesake(who.site, now) is not None and (open_to_all or who.token_sha256 is not None):
            raise UserFacingError("join.name_taken", site=who.site)
        if open_to_all:
            return Joined(site=who.site, key=who.key, waits=confirm)
        raise UserFacingError("join.no_invitation", site=who.site)

    def _check_role(self, who: Presented, known: Member | None, code: _Code | None) -> None:
        """Raises UserFacingError for a key or a code of the other role; the code stays good."""
        if known is not None and known.role != who.role:
            code_of_refusal = "join.not_host" if known.role == "site" else "join.is_host"
            raise UserFacingError(code_of_refusal, site=known.name)
        if code is not None and code.role != who.role:
            raise UserFacingError("join.code_of_other_role")

    def _refusal(self, code: _Code | None, now: datetime) -> UserFacingError:
        if code is not None and code.user is not None:
            return UserFacingError("join.code_used", site=code.site)
        if code is None or code.withdrawn:
            return UserFacingError("join.code_unknown")
        return UserFacingError("join.code_expired", site=code.site, until=f"{code.until:%Y-%m-%d %H:%M} UTC")

    def _owner(self, who: Presented) -> str | None:
        """The name that an earlier version gave to the owner of this token, if no key is bound to it yet."""
        for name in self._alike.get(alike(who.site), ()):
            if self.members[name].key is None and self._tokens.get(name) == who.token_sha256:
                if self.members[name].state == "revoked":
                    raise UserFacingError("join.revoked", site=name)
                return name
        return None
