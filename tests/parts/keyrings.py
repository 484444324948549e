# SPDX-License-Identifier: Apache-2.0
"""Keyrings of an operating system as they are met: one that works, a locked one, one that hangs, one that forgets."""

from __future__ import annotations

import threading

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked


class Working(KeyringBackend):
    """Keeps entries in memory."""

    priority = 5  # type: ignore[assignment]
    name = "Test Keyring"

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.asked_by: set[str] = set()

    def get_password(self, service: str, username: str) -> str | None:
        self.asked_by.add(threading.current_thread().name)
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.asked_by.add(threading.current_thread().name)
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


class Locked(Working):
    """A person closed the window that asks for the password."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("the window was closed")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked("the window was closed")


class Forgetful(Working):
    """Stores nothing and says nothing about it."""

    def set_password(self, service: str, username: str, password: str) -> None:
        return


class Hanging(Working):
    """Does not answer before `go_on` is set, and then does all that it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.removed = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.go_on.wait()
        return super().get_password(service, username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self.go_on.wait()
        super().set_password(service, username, password)

    def delete_password(self, service: str, username: str) -> None:
        super().delete_password(service, username)
        self.removed.set()


class PlainText(Working):
    """Writes secrets as plain text, as the module that it claims to be of does."""


PlainText.__module__ = "keyrings.alt.file"


class NotRecommended(Working):
    """A store of which its own author says that it should not be used unasked."""

    priority = 0.5  # type: ignore[assignment]
