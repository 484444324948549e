# SPDX-License-Identifier: Apache-2.0
"""Policy files of a site: the computer's, the user's and one named on the command line; the strictest applies.

A file that is there and cannot be read, or holds a mistake, lets nothing leave until it is mended. The computer's file
may lock keys: what other files say about those counts for nothing, stricter or not.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Final, NoReturn

from pydantic import field_validator

from ..errors import UserFacingError, reason_of
from ..federation.policy import InForce, Layer, Policy
from ..federation.validation import validated

_PLACE: Final = Path("fedmed-desktop") / "policy.toml"
# Values that limit nothing, in place of those that another file has locked.
_FREE: Final[Mapping[str, object]] = {
    **{name: field.default for name, field in Policy.model_fields.items()},
    "default": "allow",
}


class SystemPolicy(Policy):
    """The computer's file: a policy, and the keys that no other file may set."""

    locked: tuple[str, ...] = ()

    @field_validator("locked")
    @classmethod
    def _are_keys(cls, locked: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(locked) - set(Policy.model_fields)):
            raise ValueError(f"{unknown[0]!r} is no key of a policy; known here: {', '.join(Policy.model_fields)}")
        return locked


def system_file() -> Path:
    """File in which this computer's administrator keeps a policy for everybody."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / _PLACE
    return Path("/Library/Application Support" if sys.platform == "darwin" else "/etc") / _PLACE


def user_file() -> Path | None:
    """File in which a user keeps a policy of their own; None for an account without a home."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", home)) / _PLACE
    if sys.platform == "darwin":
        return home / "Library/Application Support" / _PLACE
    return Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / _PLACE


class PolicyFiles:
    """The policy in force, read again whenever a file has changed. Any thread; reads files, so not on an event loop."""

    def __init__(
        self,
        given: Path | None = None,
        *,
        system: Path | None = None,
        user: Path | None = None,
        owner: int = 0,
        today: Callable[[], date] = date.today,
    ) -> None:
        """`given` must be there. `owner`: the only account that the computer's file may belong to (POSIX). `today`: by
        which a deputy's days count.
        """
        self._today = today
        self.system = system or system_file()
        self.others = tuple(path for path in (user or user_file(), given) if path)
        self._given = given
        self._owner = owner
        self._seen: object = None
        self._found = InForce()

    def __call__(self) -> InForce:
        # Of the computer's file the folder too, since who may write there decides whether it is safe.
        folder = Path(os.path.realpath(self.system)).parent
        seen = tuple(_mark(path) for path in (self.system, folder, *self.others))
        if seen != self._seen:
            self._found = self._read()
            self._seen = seen
        stands_in = any(layer.policy.deputy for layer in self._found.layers)
        day = self._today() if stands_in else None
        if self._found.day != day:
            self._found = replace(self._found, day=day)
        return self._found

    def _read(self) -> InForce:
        first = _layer(self.system, SystemPolicy, owner=self._owner)
        policy = first.policy if first else None
        locked = policy.locked if isinstance(policy, SystemPolicy) else ()
        layers = [_layer(path, Policy, must_exist=path == self._given) for path in self.others]
        return InForce(tuple(layer for layer in (first, *(_unlocked(one, locked) for one in layers if one)) if layer))


def check_policy(policy: InForce) -> None:
    """Raises UserFacingError where one of the files counts for nothing, so that nothing would leave."""
    for layer in policy.layers:
        if layer.fault is not None:
            code, params = layer.fault
            raise UserFacingError(code, retryable=False, **params)


def _mark(path: Path) -> object:
    """Marker of a file's state: it differs once the file has changed."""
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _unlocked(layer: Layer, locked: tuple[str, ...]) -> Layer:
    """The file without its values for keys that are locked."""
    ignored = tuple(key for key in locked if key in layer.policy.model_fields_set)
    policy = layer.policy.model_copy(update={key: _FREE[key] for key in locked})
    return Layer(policy, layer.path, layer.sha256, layer.fault, ignored)


def _layer(path: Path, model: type[Policy], *, must_exist: bool = False, owner: int | None = None) -> Layer | None:
    """One file; None where it is not there. A fault in it is part of the layer: nothing may leave then."""
    digest = ""
    try:
        data = _bytes(path, must_exist, owner)
        if data is None:
            return None
        digest = hashlib.sha256(data).hexdigest()
        return Layer(validated(model, _table(data, path), str(path), "a policy"), str(path), digest)
    except UserFacingError as error:
        code = "policy.wrong_key" if error.code == "spec.wrong_key" else error.code
        return Layer(Policy(), str(path), digest, (code, error.params))


def _bytes(path: Path, must_exist: bool, owner: int | None) -> bytes | None:
    try:
        with path.open("rb") as file:
            if owner is not None and os.name == "posix":
                _check_owner(path, os.fstat(file.fileno()), owner)
                folder = path.resolve().parent
                _check_owner(folder, folder.stat(), owner)
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        if must_exist:
            _unreadable(path, "there is no such file")
        return None
    except OSError as error:
        _unreadable(path, reason_of(error))


def _check_owner(path: Path, found: os.stat_result, owner: int) -> None:
    """Raises UserFacingError where others than the administrator could change the policy."""
    if found.st_uid != owner or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UserFacingError("policy.not_safe", path=str(path))


def _table(data: bytes, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        _unreadable(path, "it is not UTF-8 text")
    except ValueError as error:  # also a number of thousands of digits, which Python does not read
        _unreadable(path, f"it is not valid TOML: {error}")
    except RecursionError:
        _unreadable(path, "its values are nested too deep")


def _unreadable(path: Path, reason: str) -> NoReturn:
    raise UserFacingError("policy.unreadable", path=str(path), reason=reason) from None
