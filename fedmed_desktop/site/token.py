# SPDX-License-Identifier: Apache-2.0
"""The secret that proves this site is the one that joined."""

from __future__ import annotations

import secrets
from pathlib import Path

from ..files import make_folder, write_durably


def own_token(path: Path) -> str:
    """The site's token; made at the first start, readable by its owner only."""
    if path.exists():
        return path.read_text().strip()
    make_folder(path.parent)
    token = secrets.token_hex(32)
    # Durable and whole before it is used: a site that lost its token could never join under its name again.
    write_durably(path, token.encode())
    return token
