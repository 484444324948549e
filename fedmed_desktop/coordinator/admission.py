# SPDX-License-Identifier: Apache-2.0
"""Admission of sites: a proved key is looked up in the registry, which the host's commands change while this runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ..errors import UserFacingError
from ..federation.names import alike
from ..protocol.hosting import HostHello
from ..protocol.messages import Hello
from ..storage import Ledger
from ..storage.audit import Audit
from ..storage.registry import REGISTRY_FILE, Registry
from ..storage.roll import Member, OpenInvitation

_LOG = logging.getLogger(__name__)

# How soon a revocation or confirmation by another process is noticed. It is promised within a second.
_LOOK_SECONDS: Final = 0.25
# Until it is tried again after a fault. Inferred: where the ledger takes nothing, each try reads it from its start.
_RETRY_SECONDS: Final = 2.0


class Admission:
    """Registry of one coordinator as its server sees it. `join` blocks on the disk; the rest is for its event loop."""

    def __init__(self, data_dir: Path, ledger: Ledger, confirm_sites: bool) -> None:
        """Raises UserFacingError if the registry is damaged or lost."""
        path = data_dir / REGISTRY_FILE
        if ledger.has_registry() and not path.exists():
            raise UserFacingError("storage.lost", path=str(path), folder=str(data_dir))
        self.registry = Registry(path, ledger.legacy_sites())
        try:
            if ledger.has_registry() and self.registry.recall("began") is None:  # --invite has made one anew meanwhile
                raise UserFacingError("storage.lost", path=str(path), folder=str(data_dir))
            self.registry.remember("began", "yes")
            ledger.registry_began(datetime.now(UTC))
        except BaseException:
            self.registry.close()
            raise
        self._confirm = confirm_sites
        self.on_this_computer = True  # only a plain socket listens, and nobody else has been told an address

    def close(self) -> None:
        self.registry.close()

    def keep_audit(self, audit: Audit) -> None:
        """Raises UserFacingError("storage.lost") where there was an audit chain, and this one is empty."""
        known = self.registry.recall("audit")
        if known and not audit.head():
            raise UserFacingError("storage.lost", path=str(audit.path), folder=str(audit.path.parent))
        if audit.head() and not known:
            self.registry.remember("audit", "kept")

    def announce(self, address: str, fingerprint: str, roots: bool, federation: str) -> None:
        """Leaves what an invitation must say for the commands that make one."""
        for name, value in (
            ("address", address),
            ("fingerprint", fingerprint),
            ("roots", "yes" if roots else ""),
            ("federation", federation),
            ("confirm", "yes" if self._confirm else ""),
        ):
            self.registry.remember(name, value)

    def join(self, hello: Hello | HostHello, invited_only: bool = False) -> Member:
        """Lets in the owner of a proved key. Without an invitation only a site, and where only this computer can come.

        `invited_only`: not even there. Raises UserFacingError (join.*).
        """
        code = bytes.fromhex(hello.code) if hello.code else None
        if isinstance(hello, HostHello):
            now, confirm = datetime.now(UTC), self._confirm
            return self.registry.join(hello.key, site=hello.name, now=now, code=code, confirm=confirm, role="host")
        return self.registry.join(
            hello.key,
            site=hello.site,
            now=datetime.now(UTC),
            code=code,
            token=hello.token,
            open_to_all=not invited_only and self.on_this_computer and not self.registry.has_invited,
            confirm=self._confirm,
        )

    def whom(self, site: str) -> tuple[str, Member | None]:
        """The exact name of a site, and the member that it is; None for one whose invitation is still to be used.

        Raises UserFacingError where no such site may take part.
        """
        for invitation in self.registry.invitations(datetime.now(UTC)):
            if alike(invitation.site) == alike(site) and invitation.role == "site":
                return invitation.site, None
        member = self.registry.find(site)
        if member.role == "host":
            raise UserFacingError("hosting.not_a_site", site=member.name)
        if member.state == "revoked":
            raise UserFacingError("registry.is_revoked", site=member.name)
        return member.name, member

    def everybody(self) -> tuple[tuple[Member, ...], tuple[OpenInvitation, ...]]:
        """All who ever joined, hosts too, and the invitations that can still be used."""
        return self.registry.members(), self.registry.invitations(datetime.now(UTC))

    @property
    def confirms(self) -> bool:
        """Tells whether those who join wait until they are confirmed."""
        return self._confirm

    def member(self, site: str) -> Member | None:
        return self.registry.member(site)

    async def watch(self, look: Callable[[Mapping[str, Member]], Awaitable[None]]) -> None:
        """Hands all who ever joined to `look`, now and after each change by whichever process. Never returns.

        What cannot be read, or looked at to its end, is tried again: a revocation must not get lost.
        """
        seen, told = -1, ""
        while True:
            try:
                found = await asyncio.to_thread(self.registry.version)
                if found != seen:
                    members = await asyncio.to_thread(self.registry.members)
                    await look({member.name: member for member in members})
                    seen = found
                told = ""
            except UserFacingError as error:  # locked for long, or damaged: who is in stays in, nobody new is let in
                if error.code != told:
                    told = error.code
                    _LOG.warning("the registry cannot be looked at: %s", error)
            await asyncio.sleep(_RETRY_SECONDS if told else _LOOK_SECONDS)
