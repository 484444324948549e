# SPDX-License-Identifier: Apache-2.0
"""Invitations that the host gives out, also while the coordinator runs and before it has ever run."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from ..errors import UserFacingError
from ..federation.names import site_name
from ..files import make_folder, write_durably
from ..identity import fingerprint, phrase
from ..protocol.invitation import FILE_SUFFIX, MOST_TEXT, Invitation, file_text, read_invitation
from ..storage.registry import REGISTRY_FILE, Registry
from ..storage.roll import Member, Role
from ..storage.secrets import load_key, public_key
from .auditing import decided

# Names of devices, which Windows does not take as names of files.
_DEVICES: Final = {"CON", "PRN", "AUX", "NUL"} | {f"{port}{number}" for port in ("COM", "LPT") for number in range(10)}


@dataclass(frozen=True)
class Made:
    """An invitation with what the host should know about it. `text`: content of its file. `confirms`: who comes with
    it waits to be confirmed."""

    invitation: Invitation
    text: str
    until: datetime
    confirms: bool
    has_run: bool


@dataclass(frozen=True)
class Issued(Made):
    """An invitation that was made, and the file that it is in."""

    file: Path


def open_registry(data_dir: Path) -> Registry:
    """Opens the registry of a coordinator's data folder. Raises UserFacingError where there is none."""
    path = data_dir / REGISTRY_FILE
    if not path.exists():
        raise UserFacingError("registry.no_coordinator", path=str(data_dir))
    return Registry(path)


def issue(
    data_dir: Path,
    site: str,
    valid: timedelta,
    now: datetime,
    by: str,
    *,
    out: Path,
    address: str | None = None,
    rotates: bool = False,
    role: Role = "site",
) -> Issued:
    """Makes an invitation and its file in `out`; `rotates`: for a new key of one who has joined; `role`: of a new one.

    `address` as HOST:PORT, where it is not the one that the coordinator knows of itself; with it, a site can be invited
    before the coordinator has ever run. Raises UserFacingError, and then no code was made, unless the disk fails.
    """
    early = address is not None and not rotates
    with closing(Registry(data_dir / REGISTRY_FILE) if early else open_registry(data_dir)) as registry:
        key = public_key(data_dir) or load_key(data_dir, "coordinator")[0].public
        if not (address or registry.recall("address")):
            raise UserFacingError("registry.no_address")
        name = registry.find(site).name if rotates else site_name(site)
        file = _free_file(out, name, fingerprint(key))
        with decided(data_dir, registry, "rotated" if rotates else "invited", name, by, None if rotates else role):
            made = make(registry, key, name, valid, now, by, address=address, rotates=rotates, role=role)
        write_durably(file, made.text.encode())
        return Issued(**vars(made), file=file)


def make(
    registry: Registry,
    key: str,
    site: str,
    valid: timedelta,
    now: datetime,
    by: str,
    *,
    address: str | None = None,
    rotates: bool = False,
    role: Role = "site",
) -> Made:
    """Makes an invitation to the coordinator with this public key. See `issue`; raises UserFacingError as it does."""
    address = address or registry.recall("address")
    if not address:
        raise UserFacingError("registry.no_address")
    if rotates:
        role, code = registry.find(site).role, registry.rotate(site, valid, now, by)
    else:
        code = registry.invite(site, valid, now, by, role)
    federation, roots = registry.recall("federation"), bool(registry.recall("roots"))
    invitation = Invitation(address, fingerprint(key), code, site, roots, role)
    text = file_text(invitation, federation or "a federation", now + valid)
    return Made(invitation, text, now + valid, bool(registry.recall("confirm")), federation is not None)


def six_words(data_dir: Path, member: Member) -> str | None:
    """The words that the site's screen shows too, if both know the same keys; None before its key is known."""
    own = public_key(data_dir)
    return None if own is None or member.key is None else phrase(own, member.key)


def _free_file(folder: Path, site: str, coordinator: str) -> Path:
    """File of an invitation of this site: written over an earlier one of its own, which no longer counts, at most."""
    stem = f"{site}_" if site.partition(".")[0].rstrip().upper() in _DEVICES else site
    path = make_folder(folder) / f"{stem}{FILE_SUFFIX}"
    try:
        with path.open(encoding="utf-8") as file:
            there = read_invitation(file.read(MOST_TEXT))
    except FileNotFoundError:
        return path
    except (OSError, ValueError, UserFacingError):  # not even an invitation
        pass
    else:
        if (there.site, there.fingerprint) == (site, coordinator):
            return path
    raise UserFacingError("registry.other_file", path=str(path), site=site)
