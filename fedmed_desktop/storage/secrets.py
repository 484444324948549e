# SPDX-License-Identifier: Apache-2.0
"""Storage of a site's or a coordinator's secret key: the OS keyring, a private file, or a server's credential.

`identity.json` in the data folder says which, and the public key. It is written once the secret is safe, and from then
on a missing secret is an error: a new key in its place would be a stranger to the coordinator.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

from ..errors import UserFacingError, disk_fault
from ..federation.values import Frozen
from ..files import beside, make_folder, sync_folder, write_durably
from ..identity import PrivateKey, PublicKey, fingerprint
from . import os_keyring

Role = Literal["site", "coordinator", "host"]
Place = Literal["keyring", "file", "credential"]

NOTE: Final = "identity.json"
KEY_FILE: Final = "identity.key"

_CODES: Final[Mapping[Place, str]] = {
    "keyring": "secret.at.keyring",
    "file": "secret.at.file",
    "credential": "secret.at.credential",
}
# A keyring that refuses now may give the key later.
_REFUSALS: Final[Mapping[os_keyring.Reason, str]] = {
    "secret.why.locked": "secret.locked",
    "secret.why.silent": "secret.silent",
    "secret.why.refused": "secret.keyring_fault",
}


@dataclass(frozen=True)
class Kept:
    """Place where a secret key lies. `detail`: the keyring's name or the file; `reason`: why it is not in the keyring.

    `code` and `reason`, where there is one, are codes of sentences for a person; `detail` is a parameter of the first.
    """

    where: Place
    detail: str
    reason: str = ""

    @property
    def code(self) -> str:
        return _CODES[self.where]


class _Note(Frozen):
    """Content of identity.json."""

    where: Place
    public: PublicKey
    entry: str = Field("", max_length=64)  # in the keyring
    detail: str = Field("", max_length=4096)  # the keyring's name, or the file of a credential
    reason: str = Field("", max_length=40)


def load_key(
    data_dir: Path,
    role: Role,
    environ: Mapping[str, str] = os.environ,
    *,
    in_file: bool = False,
    patience: float = os_keyring.PATIENCE_S,
) -> tuple[PrivateKey, Kept]:
    """The secret key of this data folder, made at the first call, and where it lies.

    May wait for the keyring for `patience` seconds; `in_file`: a key that is made now goes into the folder, without
    asking the keyring. A coordinator never asks it. Raises UserFacingError, retryable if the keyring is only locked.
    """
    make_private(data_dir)
    note = _read_note(data_dir)
    if path := _given_file(role, environ):
        return _given_key(data_dir, path, note)
    if note is None:
        note = _make_key(
            data_dir, "secret.why.coordinator" if role == "coordinator" else "", environ, in_file, patience
        )
    key = _find_key(data_dir, note, patience)
    if key.public != note.public:
        raise UserFacingError("secret.other_key", path=str(data_dir / NOTE), fingerprint=fingerprint(note.public)[:16])
    return key, _kept(data_dir, note)


def where_kept(data_dir: Path, role: Role, environ: Mapping[str, str] = os.environ) -> Kept | None:
    """Finds where the key of this data folder lies, without asking the keyring. None: it has none yet."""
    if path := _given_file(role, environ):
        return Kept("credential", str(path))
    note = _read_note(data_dir)
    return _kept(data_dir, note) if note else None


def public_key(data_dir: Path) -> str | None:
    """The public half of this folder's key, without asking for the secret. None: it has no key yet."""
    note = _read_note(data_dir)
    return note.public if note else None


def make_private(folder: Path) -> None:
    """Makes the folder if need be, open to this account alone. Raises UserFacingError if it is another account's."""
    make_folder(folder)
    if os.name == "nt":  # a profile folder is its owner's by itself
        return
    try:
        status = folder.stat()
        if not _is_own(status):
            raise UserFacingError("secret.folder_owner", path=str(folder))
        if status.st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        raise disk_fault(error, folder) from error


def _is_own(status: os.stat_result) -> bool:
    """The root account may use any folder: in a container it often finds one that belongs to somebody outside."""
    return os.name == "nt" or os.geteuid() in (status.st_uid, 0)


def _kept(data_dir: Path, note: _Note) -> Kept:
    return Kept(note.where, note.detail or str(data_dir / KEY_FILE), note.reason)


def _make_key(data_dir: Path, reason: str, environ: Mapping[str, str], in_file: bool, patience: float) -> _Note:
    """Makes a key and stores it; the note of another process that did so in the same instant wins."""
    key, entry, name = PrivateKey.new(), secrets.token_hex(16), ""
    if not (reason or in_file or (data_dir / KEY_FILE).exists()):
        try:
            if not os_keyring.has_screen(environ):
                raise os_keyring.KeyringRefusedError("secret.why.no_screen")
            name = os_keyring.keep(entry, key.raw.hex(), patience)
        except os_keyring.KeyringRefusedError as error:
            reason = error.reason
    if name:
        note = _Note(where="keyring", public=key.public, entry=entry, detail=name)
    else:
        _claim(data_dir / KEY_FILE, key.raw.hex().encode() + b"\n")
        note = _Note(where="file", public=_read_key(data_dir / KEY_FILE).public, reason=reason)
    if _claim(data_dir / NOTE, note.model_dump_json(exclude_defaults=True).encode()):
        return note
    if name:
        os_keyring.forget(entry, patience)
    winner = _read_note(data_dir)
    assert winner is not None, "it is there: the claim failed"
    return winner


def _claim(path: Path, data: bytes) -> bool:
    """Writes a file durably unless it is there; says whether it was written."""
    partial = beside(path)
    try:
        write_durably(partial, data)
        try:
            os.link(partial, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise disk_fault(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return True


def _read_note(data_dir: Path) -> _Note | None:
    path = data_dir / NOTE
    try:
        return _Note.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_fault(error, path) from error
    except ValidationError:
        raise UserFacingError(
            "storage.damaged", path=str(path), folder=str(data_dir), reason="it does not say where the key lies"
        ) from None


def _find_key(data_dir: Path, note: _Note, patience: float) -> PrivateKey:
    if note.where == "credential":
        raise UserFacingError("secret.no_credential", path=str(data_dir))
    if note.where == "file":
        return _read_key(data_dir / KEY_FILE)
    path = data_dir / NOTE
    try:
        secret = os_keyring.recall(note.entry, patience)
    except os_keyring.KeyringRefusedError as error:
        code = _REFUSALS.get(error.reason, "secret.no_store")
        raise UserFacingError(code, retryable=True, keyring=note.detail) from error
    if secret is None:
        raise UserFacingError("secret.lost", keyring=note.detail, path=str(path))
    return _parsed(secret, path)


def _given_file(role: Role, environ: Mapping[str, str]) -> Path | None:
    """The file with the key that whoever runs this server gives: systemd's credential, or one named by a variable."""
    if folder := environ.get("CREDENTIALS_DIRECTORY"):
        path = Path(folder) / f"fedmed-{role}-key"
        if path.exists():
            return path
    named = environ.get(f"FEDMED_{role.upper()}_KEY_FILE")
    return Path(named) if named else None


def _given_key(data_dir: Path, path: Path, note: _Note | None) -> tuple[PrivateKey, Kept]:
    key = _read_key(path, given=True)
    if note is None:
        note = _Note(where="credential", public=key.public, detail=str(path))
        if not _claim(data_dir / NOTE, note.model_dump_json(exclude_defaults=True).encode()):
            note = _read_note(data_dir)
    if note is None or note.public != key.public:
        raise UserFacingError("secret.other_credential", path=str(path), folder=str(data_dir))
    return key, Kept("credential", str(path))


def _read_key(path: Path, given: bool = False) -> PrivateKey:
    """The key in a file. Raises UserFacingError if others can read it, unless it was `given`: then they who run this
    server say who may."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if os.name != "nt" and not given and (not _is_own(status) or status.st_mode & 0o077):
                raise UserFacingError("secret.readable", path=str(path))
            text = file.read(1000).decode("ascii", "replace")
    except FileNotFoundError:
        raise UserFacingError("secret.no_file", path=str(path)) from None
    except OSError as error:
        raise disk_fault(error, path) from error
    return _parsed(text, path)


def _parsed(text: str, path: Path) -> PrivateKey:
    try:
        return PrivateKey(bytes.fromhex(text.strip()))
    except ValueError:
        raise UserFacingError("secret.damaged", path=str(path)) from None
