# SPDX-License-Identifier: Apache-2.0
"""Acts of a person who hosts from a desktop, carried out: on the rounds, and on who may take part.

On the rounds they are inputs like all others, and so in the ledger with the host's signature. On sites they are events
of the registry, as the commands beside the coordinator make them. Each is in the audit chain with the host's name and
key, before it is done and after, also where it is refused. Who hosts is decided by those commands alone.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from ..errors import UserFacingError
from ..federation.inputs import ClosedByHost, Decided, HostProof, PausedByHost, Published, Resumed
from ..identity import fingerprint
from ..protocol.hosting import (
    Act,
    CloseRound,
    ConfirmSite,
    Invited,
    InviteSite,
    Pause,
    Publish,
    Resume,
    RevokeSite,
)
from ..storage.audit_row import Action
from .auditing import decision
from .host import Host
from .inviting import make

_SHOWN = 16  # hex digits of a fingerprint in the registry's own record


async def carry_out(host: Host, act: Act, by: HostProof) -> Invited | None:
    """Does what a host asks; durable on return. On the event loop of `host`.

    Raises UserFacingError where it is refused, and then nothing has changed.
    """
    match act:
        case InviteSite() | ConfirmSite() | RevokeSite():
            return await asyncio.to_thread(_on_site, host, act, by)
        case Pause():
            await _on_rounds(host, PausedByHost(by=by))
        case Resume():
            await _on_rounds(host, Resumed(by=by))
        case CloseRound(round=number, attempt=attempt):
            await _on_rounds(host, ClosedByHost(round=number, attempt=attempt, by=by))
        case Publish(adapter=adapter):
            await _on_rounds(host, Published(adapter=adapter, by=by))
    return None


async def _on_rounds(host: Host, given: Decided) -> None:
    step = await host.apply(given)
    if step.objection:
        raise step.objection


def _on_site(host: Host, act: InviteSite | ConfirmSite | RevokeSite, by: HostProof) -> Invited | None:
    """Blocks on the disk."""
    registry, now, site = host.admission.registry, datetime.now(UTC), act.site
    key = fingerprint(by.key)
    actor = f"host {by.host} {key[:_SHOWN]}"
    role = registry.role_of(site, now) or "site"
    with decision(host.trail.audit, _action(act), site, by.host, key, role):
        if role == "host":  # also one who is only invited
            raise UserFacingError("hosting.not_a_site", site=site)
        match act:
            case InviteSite(minutes=minutes, rotates=rotates):
                name = registry.find(site).name if rotates else site
                valid = timedelta(minutes=minutes)
                made = make(registry, host.key.public, name, valid, now, actor, rotates=rotates)
                line = made.invitation.line()
                return Invited(line=line, file_text=made.text, until=made.until, confirms=made.confirms)
            case ConfirmSite(key=compared):
                registry.confirm(site, now, actor, compared)
            case RevokeSite():
                registry.revoke(site, now, actor)
    return None


def _action(act: InviteSite | ConfirmSite | RevokeSite) -> Action:
    match act:
        case InviteSite(rotates=rotates):
            return "rotated" if rotates else "invited"
        case ConfirmSite():
            return "confirmed"
        case RevokeSite():
            return "revoked"
