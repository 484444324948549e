# SPDX-License-Identifier: Apache-2.0
"""The secret that proves this site is the one that joined."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def own_token(path: Path) -> str:
    """The site's token; made at the first start, readable by its owner only."""
    if path.exists():
        return path.read_text().strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(32)
    # Under its name only once it is whole: a site that lost its token could never join under its name again.
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return token
