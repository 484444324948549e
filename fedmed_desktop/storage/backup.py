# SPDX-License-Identifier: Apache-2.0
"""Backup of a coordinator's data folder: a folder with which a coordinator can go on, as of one moment."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from ..errors import UserFacingError, disk_fault
from ..files import beside, is_taken, make_folder, remove, sync_folder
from .audit import FILE as AUDIT_FILE
from .database import copy_database
from .ledger import FILE as LEDGER_FILE
from .ledger import Ledger
from .registry import REGISTRY_FILE
from .releases import FILE as RELEASES_FILE
from .secrets import KEY_FILE, NOTE

# The coordinator's keys and certificate, where it keeps them itself (secrets, coordinator.certificate).
_KEYS: Final = (NOTE, KEY_FILE, "tls-key.pem", "tls-certificate.pem")


def back_up(data_dir: Path, ledger: Ledger, blobs: Collection[str], target: Path) -> None:
    """Copies all that a coordinator needs to a new folder: the ledger first, since the rest may be ahead of it.

    Nothing may be added to the ledger meanwhile. Blobs never change: on the same disk they are linked, not copied.
    `blobs`: those that the ledger names; one that is not there is not in the backup. Raises UserFacingError.
    """
    folder = make_folder(target / "blobs")
    try:
        ledger.copy_to(target / LEDGER_FILE)
        for name in (REGISTRY_FILE, AUDIT_FILE, RELEASES_FILE):
            if (data_dir / name).exists():
                copy_database(data_dir / name, target / name)
        for name in _KEYS:
            if (data_dir / name).exists():
                _copy(data_dir / name, target / name)
        for sha256 in sorted(blobs):
            if (source := data_dir / "blobs" / sha256).exists():
                _link(source, folder / sha256)
        sync_folder(folder)
        sync_folder(target)
    except OSError as error:
        raise disk_fault(error, target) from error


def deliver(made: Path, target: Path) -> int:
    """Moves a backup to where it is wanted, whole or not at all: a `.tar` file or a new folder. Returns its bytes."""
    if is_taken(target):
        raise UserFacingError("backup.exists", path=str(target))
    make_folder(target.parent)
    partial = beside(target)
    try:
        if target.suffix == ".tar":
            _write_tar(made, partial)
        else:
            for path in _files_in(made):
                make_folder((partial / path).parent)
                _copy(made / path, partial / path)
            for folder in {(partial / path).parent for path in _files_in(made)}:
                sync_folder(folder)
            if target.exists():
                target.rmdir()
        partial.replace(target)
        sync_folder(target.parent)
        return sum((made / path).stat().st_size for path in _files_in(made))
    except OSError as error:
        remove(partial)
        raise disk_fault(error, target) from error


def _files_in(folder: Path) -> Iterator[Path]:
    return (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())


def _write_tar(folder: Path, target: Path) -> None:
    with os.fdopen(os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in _files_in(folder):
                tar.add(folder / path, arcname=str(path))
        file.flush()
        os.fsync(file.fileno())


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or a file system without links
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    """Readable by its owner only, from the first byte."""
    with (
        source.open("rb") as given,
        os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file,
    ):
        shutil.copyfileobj(given, file, 2**20)
        file.flush()
        os.fsync(file.fileno())
