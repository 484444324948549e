# SPDX-License-Identifier: Apache-2.0
"""A disk that keeps only what was forced to it: what a coordinator's folder would hold after a power cut.

Of a file the bytes are there that its last fsync forced to disk, and of a folder the names. What SQLite does for itself
is taken as it is.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from fedmed_desktop.coordinator.session import SiteSession
from fedmed_desktop.federation.inputs import Input
from fedmed_desktop.protocol.messages import Message, Receipt
from fedmed_desktop.storage import Ledger


class PowerCuts:
    """Takes what would be left after each step towards a receipt. `forgets`: what a faulty disk does not keep.

    `steps` says what happened, in order; `left` are folders, each with the receipts that were sent before.
    """

    def __init__(self, data: Path, left: Path, forgets: str = "") -> None:
        self.steps: list[str] = []
        self.left: list[tuple[Path, int]] = []
        self._data, self._to, self._forgets = data, left, forgets
        self._bytes: dict[int, bytes] = {}
        self._names: dict[str, int] = {}
        self._receipts = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        append, send, force, replace = Ledger.append, SiteSession.send, os.fsync, os.replace

        def fsync(descriptor: int) -> None:
            force(descriptor)
            self._forced(Path(f"/proc/self/fd/{descriptor}").readlink())

        def renamed(source: os.PathLike[str], target: os.PathLike[str]) -> None:
            replace(source, target)
            if self._blobs == Path(target).parent:
                self._after("renamed")

        def appended(ledger: Ledger, given: Input, *more: object) -> None:
            append(ledger, given, *more)  # type: ignore[arg-type]
            self._after(f"row {given.input}")

        def sent(session: SiteSession, message: Message) -> None:
            if isinstance(message, Receipt):
                self._receipts += 1
                self._after("receipt")
            send(session, message)

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(os, "replace", renamed)
        monkeypatch.setattr(Ledger, "append", appended)
        monkeypatch.setattr(SiteSession, "send", sent)

    @property
    def _blobs(self) -> Path:
        return self._data / "blobs"

    def _forced(self, path: Path) -> None:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            if path == self._blobs and self._forgets != "names":
                self._names = {one.name: one.stat().st_ino for one in path.iterdir() if one.is_file()}
                self._after("folder forced")
        elif self._blobs in path.parents and self._forgets != "bytes":
            self._bytes[status.st_ino] = path.read_bytes()
            self._after("bytes forced")

    def _after(self, step: str) -> None:
        self.steps.append(step)
        folder = self._to / f"{len(self.left):03} {step}"
        (folder / "blobs").mkdir(parents=True)
        for path in self._data.iterdir():
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        for name, inode in self._names.items():
            (folder / "blobs" / name).write_bytes(self._bytes.get(inode, b""))
        self.left.append((folder, self._receipts))
