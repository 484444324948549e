# SPDX-License-Identifier: Apache-2.0
"""Token by which versions before site keys knew a site: sent once more, so that the key replaces it."""

from __future__ import annotations

from pathlib import Path

from ..errors import disk_fault


def old_token(path: Path) -> str | None:
    """The token in a folder of an earlier version; None where there is none, or no whole one."""
    try:
        token = path.read_bytes().decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_fault(error, path) from error
    return token if 32 <= len(token) <= 128 else None


def forget_token(path: Path) -> None:
    """Deletes the token: the coordinator knows the site's key now. Raises UserFacingError where the disk does not."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise disk_fault(error, path) from error
