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

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

Reason = Literal[
    "secret.why.no_screen",
    "secret.why.no_store",
    "secret.why.plaintext",
    "secret.why.locked",
    "secret.why.silent",
    "secret.why.forgetful",
    "secret.why.refused",
]
"""Why the keyring does not keep a secret, or does not give it back; each has a sentence."""

PATIENCE_S: Final = 5.0

_SERVICE: Final = "fedmed-desktop"
_NO_STORE: Final = ("keyring.backends.fail", "keyring.backends.null", "keyring.backends.chainer")
_PLAIN: Final = "keyrings.alt"  # plain text, or a password prompt in the terminal
_RECOMMENDED: Final = 1.0  # keyring's own word for a store that may be used without asking

Answer = TypeVar("Answer")


class KeyringRefusedError(Exception):
    """The keyring does not do what it was asked for."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason)


def has_screen(environ: Mapping[str, str]) -> bool:
    """Tells whether a person would see a keyring's own prompt. Elsewhere than on Linux none appears by itself."""
    return not sys.platform.startswith("linux") or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def keep(entry: str, secret: str, patience: float = PATIENCE_S) -> str:
    """Stores the secret, reads it back and returns the store's name. Raises KeyringRefusedError; it then holds none."""

    def store() -> str:
        usable = _usable_stores()
        usable[0].set_password(_SERVICE, entry, secret)
        try:
            if usable[0].get_password(_SERVICE, entry) != secret:
                raise KeyringRefusedError("secret.why.forgetful")
        except Exception:
            with contextlib.suppress(Exception):
                _remove(entry)
            raise
        return str(usable[0].name)

    return _answer(_Question(store, undo=lambda: _remove(entry)), patience)


def recall(entry: str, patience: float = PATIENCE_S) -> str | None:
    """The stored secret; None if the keyring answers that it has no such entry. Raises KeyringRefusedError."""

    def find() -> str | None:
        return next((found for store in _usable_stores() if (found := store.get_password(_SERVICE, entry))), None)

    return _answer(_Question(find), patience)


def forget(entry: str, patience: float = PATIENCE_S) -> None:
    """Removes an entry, if the keyring can be asked just now."""
    with contextlib.suppress(Exception):  # what is left behind is a key that no coordinator has seen
        _Question(lambda: _remove(entry)).answer(patience)


def _remove(entry: str) -> None:
    _usable_stores()[0].delete_password(_SERVICE, entry)


def _usable_stores() -> list[KeyringBackend]:
    """The stores that keep secrets, best first. Raises KeyringRefusedError if there is none. May hang, as each may."""
    import keyring
    from keyring.backends.chainer import ChainerBackend

    chosen = keyring.get_keyring()
    found: list[KeyringBackend] = list(chosen.backends) if isinstance(chosen, ChainerBackend) else [chosen]
    usable = [store for store in found if _keeps_secrets(store)]
    if not usable:
        plain = any(type(store).__module__.startswith(_PLAIN) for store in found)
        raise KeyringRefusedError("secret.why.plaintext" if plain else "secret.why.no_store")
    return usable


def _keeps_secrets(store: KeyringBackend) -> bool:
    if type(store).__module__.startswith((*_NO_STORE, _PLAIN)):
        return False
    try:
        return float(store.priority) >= _RECOMMENDED
    except RuntimeError:  # not to be used in this environment
        return False


def _answer(question: _Question[Answer], patience: float) -> Answer:
    """Raises KeyringRefusedError for all that can go wrong: the faults of stores have no common class."""
    from keyring.errors import InitError, KeyringLocked

    try:
        return question.answer(patience)
    except TimeoutError:
        raise KeyringRefusedError("secret.why.silent") from None
    except KeyringRefusedError:
        raise
    except (InitError, KeyringLocked) as error:
        raise KeyringRefusedError("secret.why.locked") from error
    except Exception as error:
        raise KeyringRefusedError("secret.why.refused") from error


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
