# SPDX-License-Identifier: Apache-2.0
"""Folders and files that must survive a power cut; disk faults as errors for the user."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import tomllib
from pathlib import Path
from typing import Any, BinaryIO

from .errors import UserFacingError, disk_fault, reason_of


def make_folder(path: Path) -> Path:
    """Creates the folder if need be and returns it; raises UserFacingError if it cannot be written to."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            if is_read_only(path):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            raise PermissionError(errno.EACCES, "permission denied")
    except (FileNotFoundError, FileExistsError, NotADirectoryError) as error:
        raise UserFacingError("storage.no_folder", path=str(path)) from error
    except OSError as error:
        raise disk_fault(error, path) from error
    return path


def is_read_only(path: Path) -> bool:
    """True if the path is on a file system that is mounted read-only; False where the system cannot tell."""
    if not hasattr(os, "statvfs"):
        return False
    place = path if path.exists() else path.parent
    return place.exists() and bool(os.statvfs(place).f_flag & os.ST_RDONLY)


def open_private(path: Path) -> BinaryIO:
    """A new file that only its owner can read, from the first byte and whatever the umask."""
    path.unlink(missing_ok=True)  # of one that is there already, the rights would stay
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def beside(path: Path) -> Path:
    """A name in the same folder that nobody uses, for what is moved to this path once it is whole.

    Where a person chose the path, whatever else lies in that folder is theirs: never a name that may be taken.
    """
    return path.with_name(f"{path.name}.{secrets.token_hex(4)}")


def from_home(path: str | Path) -> Path:
    """The path with a "~" as somebody's home; as it is written where nobody here has that name, or no home."""
    with contextlib.suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)


def is_taken(path: Path) -> bool:
    """Tells whether something of a person's may be at this path: a file, or a folder that is not empty."""
    try:
        return os.path.lexists(path) and not (path.is_dir() and not any(path.iterdir()))
    except OSError as error:
        raise disk_fault(error, path) from error


def remove(path: Path) -> None:
    """Removes a file, or a folder with all that is in it, as far as the system lets it."""
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def write_durably(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all: temporary file, fsync, rename, fsync folder. Raises UserFacingError."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        with open_private(partial) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()  # else it would fill a full disk still more
        raise disk_fault(error, path) from error


def read_toml(path: Path, missing: str, unreadable: str) -> dict[str, Any]:
    """The tables of a TOML file. Raises UserFacingError with one of these codes; parameters: path, name and reason."""
    where: dict[str, Any] = {"path": str(path), "name": path.name}
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise UserFacingError(missing, **where) from None
    except OSError as error:
        reason = reason_of(error)
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text"
    except RecursionError:
        reason = "its values are nested too deep"
    except ValueError as error:  # also a number of thousands of digits, which Python does not read
        reason = f"it is not valid TOML: {error}"
    raise UserFacingError(unreadable, **where, reason=reason)


def sync_folder(folder: Path) -> None:
    """Forces a rename in this folder to disk, where the system can (Windows cannot open folders)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
