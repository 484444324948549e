# SPDX-License-Identifier: Apache-2.0
"""Sentences about who may take part: for a site that is not let in, and for the host who decides."""

from typing import Final

SENTENCES: Final = {
    "join.code_expired": "The invitation of {site} expired at {until}. Ask the host for a new one.",
    "join.code_unknown": "This invitation is not valid: a newer one replaced it, the host took it back, or it "
    "belongs to another federation. Ask the host for a new one.",
    "join.code_used": "The invitation of {site} has been used already; each one lets in one site, once. Join with the "
    "data folder that used it. If that was not you, tell the host at once, who can revoke {site}.",
    "join.no_invitation": "This federation does not know this site. Ask the host for an invitation, and join with it.",
    "join.revoked": "The host has shut out {site}, or has let in another key under this name. If that is a mistake, "
    "ask the host for a new invitation.",
    "registry.ambiguous": "{site} could be any of these: {names}. Give the exact name, or more of the fingerprint.",
    "registry.has_joined": "{site} has joined already. If it needs a new key (another computer, a lost data folder), "
    "use --rotate; to shut it out, --revoke.",
    "registry.is_revoked": "{site} has been revoked. To let it in again, use --invite with this name.",
    "registry.looks_alike": "{site} looks like {other}, which is a name in this federation already. Choose another "
    "name.",
    "registry.no_address": "An invitation must say where sites find this coordinator. Give --public-address HOST:PORT, "
    "here or when you start the coordinator.",
    "registry.no_coordinator": "No coordinator has run with the folder {path}. Check --data-dir; or start the "
    "coordinator with it first.",
    "registry.not_joined": "{site} has not used its invitation yet. Do this once it has joined; --sites shows when.",
    "registry.other_file": "{path} is there already and is not an earlier invitation of {site} to this federation. "
    "Move it away, or choose another folder with --out.",
    "registry.unknown_site": "No site has the name {site}, and no fingerprint begins with it. --sites lists all of "
    "them.",
}
