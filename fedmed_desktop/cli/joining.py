# SPDX-License-Identifier: Apache-2.0
"""Options that say which coordinator a site joins: an invitation, an address on this computer, or none for the last."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UserFacingError

if TYPE_CHECKING:
    from ..protocol.invitation import Invitation


@dataclass(frozen=True)
class Destination:
    """Coordinator's address, and the name under which the site takes part there."""

    address: str
    name: str
    invitation: Invitation | None = None


def add_destination(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("coordinator", "for the first start; later ones remember it in --data-dir")
    where.add_argument(
        "--invitation",
        metavar="LINE_OR_FILE",
        help="what the host gave you: the line that begins with fedmed:, or a .fedmed file; - reads standard input",
    )
    where.add_argument("--join", metavar="URL", help="a coordinator on this computer, such as ws://127.0.0.1:8765")
    where.add_argument("--name", help="this site's name in the federation; with an invitation it is in there")


def destination(options: argparse.Namespace) -> Destination:
    """Reads the options that `add_destination` added. Raises UserFacingError."""
    from ..federation.names import site_name
    from ..protocol.invitation import MOST_TEXT, read_invitation
    from ..site.folder import known_coordinator
    from ..site.invited import read_given

    if options.invitation and options.join:
        raise UserFacingError("site.two_coordinators")
    if options.invitation:
        given = options.invitation
        found = read_invitation(sys.stdin.read(MOST_TEXT + 1)) if given == "-" else read_given(given)
        if options.name and site_name(options.name) != found.site:
            raise UserFacingError("site.invited_name", name=options.name, invited=found.site)
        return Destination(found.url, found.site, found)
    if options.join and options.name:
        return Destination(options.join, site_name(options.name))
    known = known_coordinator(options.data_dir)
    if known is None or options.join or options.name:
        raise UserFacingError("site.no_coordinator", path=str(options.data_dir))
    return Destination(*known)
