# SPDX-License-Identifier: Apache-2.0
"""`--sites`, `--confirm NAME` and `--revoke NAME`: who takes part in a federation or hosts it, and who may."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .parser import Parser

if TYPE_CHECKING:
    from ..storage.roll import Member, OpenInvitation

    Sites = Sequence[tuple[Member, str | None]]
    """Members with their six words, where the key is known."""

_SIGNS_OF_A_FINGERPRINT: Final = 16  # enough to tell sites apart; the words are for comparing keys
_STATES: Final = {"waiting": "waits for --confirm", "admitted": "admitted", "revoked": "revoked"}


def show(argv: list[str]) -> int:
    """Prints the members and the invitations that can still be used."""
    parser = _parser("--sites", "List the sites and hosts of a federation, with the six words to compare by phone.")
    parser.add_argument("--json", action="store_true", help="as JSON, with whole fingerprints")
    options = parser.parse_args(argv)
    from ..coordinator.inviting import open_registry, six_words

    with closing(open_registry(options.data_dir)) as registry:
        members = [(member, six_words(options.data_dir, member)) for member in registry.members()]
        invitations = registry.invitations(datetime.now(UTC))
    if options.json:
        print(json.dumps(_as_json(members, invitations), indent=2))
    else:
        print("\n".join(_lines(members, invitations)))
    return 0


def confirm(argv: list[str]) -> int:
    """Admits a site that waits."""
    what = "Admit a site or a host that waits, once you have read out the same six words by phone."
    parser = _parser("--confirm", what, True)
    options = parser.parse_args(argv)
    from ..coordinator.auditing import decided
    from ..coordinator.inviting import open_registry
    from ..site import operating_user

    by = operating_user()
    with (
        closing(open_registry(options.data_dir)) as registry,
        decided(options.data_dir, registry, "confirmed", options.name, by),
    ):
        member = registry.confirm(options.name, datetime.now(UTC), by)
    print(f"{member.name} is admitted.")
    return 0


def revoke(argv: list[str]) -> int:
    """Shuts a site out."""
    parser = _parser(
        "--revoke", "Shut a site or a host out at once, or take back an invitation that nobody has used.", True
    )
    parser.add_argument("--reason", default="", metavar="TEXT", help="for the record; no patient's data")
    options = parser.parse_args(argv)
    from ..coordinator.auditing import decided
    from ..coordinator.inviting import open_registry
    from ..site import operating_user
    from ..storage.roll import OpenInvitation

    by = operating_user()
    with (
        closing(open_registry(options.data_dir)) as registry,
        decided(options.data_dir, registry, "revoked", options.name, by),
    ):
        found = registry.revoke(options.name, datetime.now(UTC), by, options.reason)
    if isinstance(found, OpenInvitation):
        print(f"The invitation of {found.site} is taken back.")
    else:
        print(f"{found.name} is shut out. A coordinator that runs ends its connection within a second.")
    return 0


def _lines(members: Sites, invitations: Sequence[OpenInvitation]) -> Iterator[str]:
    sites = sum(member.role == "site" for member, _ in members)
    yield f"{sites} {'site' if sites == 1 else 'sites'}"
    yield from _people([one for one in members if one[0].role == "site"])
    if hosts := [one for one in members if one[0].role == "host"]:
        yield f"{len(hosts)} {'host' if len(hosts) == 1 else 'hosts'}"
        yield from _people(hosts)
    if invitations:
        yield f"{len(invitations)} open {'invitation' if len(invitations) == 1 else 'invitations'}"
    for one in invitations:
        what = ("for a new key, " if one.rotates else "") + ("as a host, " if one.role == "host" else "")
        yield f"  {one.site}: {what}valid until {one.until:%Y-%m-%d %H:%M} UTC"


def _people(members: Sites) -> Iterator[str]:
    for member, words in members:
        key = (member.fingerprint or "")[:_SIGNS_OF_A_FINGERPRINT]
        known = f"fingerprint {key}" if key else "no key yet, joined with an earlier version"
        yield f"  {member.name}: {_STATES[member.state]}, {known}, joined {member.joined:%Y-%m-%d}"
        if words:
            yield f"    {words}"


def _as_json(members: Sites, invitations: Sequence[OpenInvitation]) -> dict[str, Any]:
    people = [
        (
            member.role,
            {
                "name": member.name,
                "state": member.state,
                "fingerprint": member.fingerprint,
                "words": words,
                "joined": member.joined.isoformat(),
            },
        )
        for member, words in members
    ]
    return {
        "sites": [row for role, row in people if role == "site"],
        "hosts": [row for role, row in people if role == "host"],
        "invitations": [
            {"name": one.site, "until": one.until.isoformat(), "rotates": one.rotates, "role": one.role}
            for one in invitations
        ],
    }


def _parser(flag: str, description: str, named: bool = False) -> argparse.ArgumentParser:
    parser = Parser(prog=f"fedmed-desktop {flag}", description=description)
    if named:
        parser.add_argument("name", metavar="NAME", help="the site's name, or the start of its fingerprint")
    parser.add_argument("--data-dir", type=Path, required=True, metavar="DIR", help="the coordinator's data folder")
    return parser
