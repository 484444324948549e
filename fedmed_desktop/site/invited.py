# SPDX-License-Identifier: Apache-2.0
"""An invitation as a person gives it: the line itself, or a file that it is in."""

from __future__ import annotations

from ..errors import UserFacingError, disk_fault
from ..files import from_home
from ..protocol.invitation import MOST_TEXT, SCHEME, Invitation, read_invitation


def read_given(line_or_file: str) -> Invitation:
    """Raises UserFacingError: neither an invitation nor a file with one, or one that cannot be read."""
    if SCHEME in line_or_file.lower():
        return read_invitation(line_or_file)
    path = from_home(line_or_file)
    try:
        with path.open("rb") as file:
            data = file.read(4 * MOST_TEXT + 1)  # of at most four bytes a sign
    except FileNotFoundError:
        raise UserFacingError("invitation.no_file", path=line_or_file) from None
    except OSError as error:
        raise disk_fault(error, path) from error
    return read_invitation(data.decode("utf-8", "replace"))
