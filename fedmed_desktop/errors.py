# SPDX-License-Identifier: Apache-2.0
"""Errors that a user can do something about: a code with parameters, which travels on the wire and into records.

The sentence for a person is made where it is shown, by `wording`.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping


class Size(int):
    """Bytes among the parameters of a sentence: a face writes them as a person reads them, such as "20.2 MB"."""


class UserFacingError(Exception):
    """A fault that the user can mend.

    `code` is a key of wording.SENTENCES, `params` fill its sentence (strings and numbers only, never note text);
    `retryable` says that doing the same thing later may succeed. str() is for programmers: code and parameters.
    """

    def __init__(self, code: str, *, retryable: bool = False, **params: str | int | float) -> None:
        self.code = code
        self.params = params
        self.retryable = retryable
        super().__init__(plain(code, params))

    def __reduce__(self) -> tuple[object, ...]:
        return (_restore, (self.code, self.retryable, self.params))


def to_json(error: UserFacingError) -> str:
    """The error for another process, which tells it in its reader's language; `from_json` makes it one again."""
    sizes = [name for name, value in error.params.items() if isinstance(value, Size)]
    return json.dumps({"code": error.code, "params": error.params, "sizes": sizes})


def from_json(text: str) -> UserFacingError:
    """Raises ValueError where the text is none of `to_json`."""
    try:
        found = json.loads(text)
        sizes = frozenset(found["sizes"])
        params = {str(name): Size(value) if name in sizes else value for name, value in found["params"].items()}
        return _restore(str(found["code"]), False, params)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an error: {text[:80]}") from error


def _restore(code: str, retryable: bool, params: dict[str, str | int | float]) -> UserFacingError:
    return UserFacingError(code, retryable=retryable, **params)


def plain(code: str, params: Mapping[str, str | int | float]) -> str:
    """The code with its parameters in alphabetical order: `lora.rank (rank=0)`."""
    details = ", ".join(f"{name}={value}" for name, value in sorted(params.items()))
    return f"{code} ({details})" if details else code


def disk_fault(error: OSError, path: os.PathLike[str]) -> UserFacingError:
    """The error to tell the user after a failed file operation; nothing was acknowledged before it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserFacingError("storage.disk_full", path=str(path), retryable=True)
    if error.errno == errno.EROFS:
        return UserFacingError("storage.read_only", path=str(path), retryable=True)
    return UserFacingError("storage.fault", path=str(path), reason=reason_of(error))


def cannot_listen(error: OSError, address: str, port: int, option: str = "--port") -> UserFacingError:
    """Error of a socket that cannot be opened: the port is taken, or the address is none of this computer's."""
    if error.errno == errno.EADDRINUSE:
        return UserFacingError("coordinator.port", address=address, port=port, option=option)
    reason = reason_of(error).rpartition(": ")[2]  # asyncio says the address once more before it
    return UserFacingError("coordinator.address", address=address, port=port, reason=reason)


def reason_of(error: OSError) -> str:
    """The reason of a failed file operation, as words that end a sentence."""
    if isinstance(error, IsADirectoryError):
        return "it is a folder, not a file"
    if isinstance(error, NotADirectoryError | FileExistsError):
        return "there is a file where a folder is needed"
    words = error.strerror or type(error).__name__
    return words[:1].lower() + words[1:]
