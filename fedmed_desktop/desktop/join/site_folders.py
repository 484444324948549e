# SPDX-License-Identifier: Apache-2.0
"""Where a site's state lies: one folder for each site at each coordinator. No Qt."""

from __future__ import annotations

import contextlib
import hashlib
import re
from pathlib import Path
from typing import Final

from ...errors import UserFacingError
from ...storage import BlobStore, Outbox

_STATE: Final = "site.sqlite"


def site_folder(root: Path, address: str, name: str) -> Path:
    """By address and name: joining under the same name again goes on where it was left."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "site"
    own = hashlib.sha256("\n".join((address, name)).encode()).hexdigest()[:12]
    return root / f"{plain}-{own}"


def carry_over(before: Path, now: Path) -> None:
    """After a try that came to nothing, the corrected one takes over its folder, so that none is left behind.

    Nothing happens where the site ever joined, or something lies there that would be lost, or the folder is in use.
    """
    if before == now or now.exists() or not (before / _STATE).is_file() or not _never_joined(before):
        return
    with contextlib.suppress(OSError):
        before.rename(now)


def _never_joined(folder: Path) -> bool:
    try:
        outbox = Outbox(folder / _STATE, BlobStore(folder / "blobs"))
    except (UserFacingError, OSError):
        return False
    try:
        return outbox.recall("spec") is None and not outbox.entries()
    except UserFacingError:
        return False
    finally:
        outbox.close()
