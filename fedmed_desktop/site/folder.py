# SPDX-License-Identifier: Apache-2.0
"""Data folder of a site: renaming it before it has joined, and what it says of the federation once it has."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ..errors import UserFacingError
from ..federation import FederationSpec
from ..storage import BlobStore
from ..storage.outbox import Outbox

STATE = "site.sqlite"


def carry_over(before: Path, now: Path) -> None:
    """Renames the folder of a failed attempt to join for the corrected one, so that none is left behind.

    Nothing happens where the site ever joined, where `now` exists already, or where the folder is in use.
    """
    if before == now or now.exists() or not (before / STATE).is_file() or not _never_joined(before):
        return
    with contextlib.suppress(OSError):
        before.rename(now)


def known_coordinator(folder: Path) -> tuple[str, str] | None:
    """The coordinator's address and the site's name, as the site in this folder joined; None where none has.

    Raises UserFacingError where the folder is in use or damaged.
    """
    if not (folder / STATE).is_file():
        return None
    outbox = Outbox(folder / STATE, BlobStore(folder / "blobs"))
    try:
        address, name = outbox.recall("address"), outbox.recall("name")
    finally:
        outbox.close()
    return (address, name) if address and name else None


def known_spec(folder: Path) -> FederationSpec | None:
    """The specification of the federation that the site in this folder has joined; None where it has joined none, or
    where the folder is in use or cannot be read.
    """
    if not (folder / STATE).is_file():
        return None
    try:
        outbox = Outbox(folder / STATE, BlobStore(folder / "blobs"))
    except (UserFacingError, OSError):
        return None
    try:
        return outbox.record().spec
    except UserFacingError:
        return None
    finally:
        outbox.close()


def has_checkpoint(folder: Path, round_number: int) -> bool:
    """Tells whether a training of this round can go on from where it was saved."""
    return any((folder / "checkpoints" / f"round-{round_number}").glob("training*"))


def _never_joined(folder: Path) -> bool:
    try:
        outbox = Outbox(folder / STATE, BlobStore(folder / "blobs"))
    except (UserFacingError, OSError):
        return False
    try:
        return outbox.recall("spec") is None and not outbox.entries()
    except UserFacingError:
        return False
    finally:
        outbox.close()
