# SPDX-License-Identifier: Apache-2.0
"""The operating system's keyring, asked in a thread of its own: a store that hangs or waits for a person stops nobody.

Stores that only look like one are recognised: none at all, one that forgets, and those that write plain text.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Generic, Literal, TypeVar

from ..errors import UserFacingError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

Reason = Literal["", "no_screen", "no_store", "plaintext", "locked", "silent", "forgetful", "refused", "coordinator"]
"""Why a secret is not in the keyring."""

PATIENCE_S: Final = 5.0

_SERVICE: Final = "fedmed-desktop"
_NO_STORE: Final = ("keyring.backends.fail", "keyring.backends.null", "keyring.backends.chainer")
_PLAIN: Final = "keyrings.alt"  # plain text, or a password prompt in the terminal
_RECOMMENDED: Final = 1.0  # keyring's own word for a store that may be used without asking

Answer = TypeVar("Answer")


class NotKeptError(Exception):
    """The keyring does not keep the secret."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason)


def has_screen(environ: Mapping[str, str]) -> bool:
    """Whether a keyring's own prompt would be seen by a person. Elsewhere than on Linux none appears by itself."""
    return not sys.platform.startswith("linux") or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def keep(entry: str, secret: str, patience: float = PATIENCE_S) -> str:
    """Stores the secret, reads it back and returns the store's name. Raises NotKeptError; then it holds nothing."""

    def store() -> str:
        usable = _usable_stores()
        usable[0].set_password(_SERVICE, entry, secret)
        try:
            if usable[0].get_password(_SERVICE, entry) != secret:
                raise NotKeptError("forgetful")
        except Exception:
            with contextlib.suppress(Exception):
                _remove(entry)
            raise
        return str(usable[0].name)

    try:
        return _Question(store, undo=lambda: _remove(entry)).answer(patience)
    except TimeoutError:
        raise NotKeptError("silent") from None
    except NotKeptError:
        raise
    except Exception as error:  # a store's own faults have no common class
        raise NotKeptError("locked" if _is_locked(error) else "refused") from error


def recall(entry: str, patience: float = PATIENCE_S) -> str:
    """The stored secret. Raises UserFacingError: retryable, except if the keyring answers that it has no such entry."""

    def find() -> str | None:
        return next((found for store in _usable_stores() if (found := store.get_password(_SERVICE, entry))), None)

    try:
        secret = _Question(find).answer(patience)
    except TimeoutError:
        raise UserFacingError("secret.silent", retryable=True) from None
    except NotKeptError as error:
        raise UserFacingError("secret.no_store", retryable=True) from error
    except Exception as error:
        code = "secret.locked" if _is_locked(error) else "secret.keyring_fault"
        raise UserFacingError(code, retryable=True, reason=type(error).__name__) from error
    if secret is None:
        raise UserFacingError("secret.lost")
    return secret


def forget(entry: str, patience: float = PATIENCE_S) -> None:
    """Removes an entry, if the keyring can be asked just now."""
    with contextlib.suppress(Exception):  # what is left behind is a key that no coordinator has seen
        _Question(lambda: _remove(entry)).answer(patience)


def _remove(entry: str) -> None:
    _usable_stores()[0].delete_password(_SERVICE, entry)


def _usable_stores() -> list[KeyringBackend]:
    """The stores that keep secrets, best first. Raises NotKeptError if there is none. May hang, as each of them may."""
    import keyring
    from keyring.backends.chainer import ChainerBackend

    chosen = keyring.get_keyring()
    found: list[KeyringBackend] = list(chosen.backends) if isinstance(chosen, ChainerBackend) else [chosen]
    usable = [store for store in found if _keeps_secrets(store)]
    if not usable:
        plain = any(type(store).__module__.startswith(_PLAIN) for store in found)
        raise NotKeptError("plaintext" if plain else "no_store")
    return usable


def _keeps_secrets(store: KeyringBackend) -> bool:
    if type(store).__module__.startswith((*_NO_STORE, _PLAIN)):
        return False
    try:
        return float(store.priority) >= _RECOMMENDED
    except RuntimeError:  # not to be used in this environment
        return False


def _is_locked(error: Exception) -> bool:
    from keyring.errors import InitError, KeyringLocked

    return isinstance(error, InitError | KeyringLocked)


class _Question(Generic[Answer]):
    """One question to the keyring, in a thread that does not keep the program from ending."""

    def __init__(self, ask: Callable[[], Answer], undo: Callable[[], object] | None = None) -> None:
        """`undo` runs in the thread once `ask` has succeeded after all, when nobody waits for it any more."""
        self._ask, self._undo = ask, undo
        self._lock = threading.Lock()
        self._answered = threading.Event()
        self._given_up = False
        self._result: Answer | None = None
        self._error: Exception | None = None

    def answer(self, patience: float) -> Answer:
        """Raises TimeoutError if none comes in that many seconds, and what `ask` raises."""
        threading.Thread(target=self._run, name="keyring", daemon=True).start()
        if not self._answered.wait(patience):
            with self._lock:
                self._given_up = not self._answered.is_set()
            if self._given_up:
                raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # set before the event

    def _run(self) -> None:
        result, error = None, None
        try:
            result = self._ask()
        except Exception as fault:
            error = fault
        with self._lock:
            if not self._given_up:
                self._result, self._error = result, error
                self._answered.set()
                return
        if self._undo is not None and error is None:
            with contextlib.suppress(Exception):  # nobody is left to be told
                self._undo()
