# SPDX-License-Identifier: Apache-2.0
"""The secret that proves this site is the one that joined."""

from __future__ import annotations

import secrets
from pathlib import Path

from ..errors import UserFacingError, disk_fault
from ..files import make_folder, write_durably


def own_token(path: Path) -> str:
    """The site's token; made at the first start, readable by its owner only. Raises UserFacingError if damaged."""
    try:
        if not path.exists():
            make_folder(path.parent)
            # Durable and whole before it is used: a site that lost its token could never join under its name again.
            write_durably(path, secrets.token_hex(32).encode())
        token = path.read_bytes().decode("ascii", "replace").strip()
    except OSError as error:
        raise disk_fault(error, path) from error
    if len(token) < 32:
        raise UserFacingError("storage.damaged", path=str(path), folder=str(path.parent), reason="no token is in it")
    return token
