# SPDX-License-Identifier: Apache-2.0
"""A second start on the same folder: it hands over what it was asked for, and the first window comes to the front.

The first desktop listens on a local socket under a name that nobody can guess, and writes that name into its folder,
which only its account can change: no other account can stand in for it and be handed an invitation.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from PySide6.QtCore import QLockFile, QObject, Signal, Slot

from ...errors import UserFacingError
from ...files import write_durably
from ..work.log import log
from .front import TOKEN

if TYPE_CHECKING:
    from PySide6.QtNetwork import QLocalServer, QLocalSocket

NAME_FILE: Final = "desktop.socket"
LOCK_FILE: Final = "desktop.lock"
TAKEN: Final = b"taken\n"
LONGEST: Final = 65_536  # bytes of a call; an invitation has about a thousand
CONNECT_MS: Final = 1_000
ANSWER_MS: Final = 5_000  # a window that draws or loads answers late
PATIENCE_S: Final = 3.0  # for a first start that does not listen yet (inferred; it takes about one second)
LOOK_S: Final = 0.1


class Call(BaseModel):
    """Wishes of a second start. `activation`: Wayland's permission to take the focus."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    join: str | None = Field(None, max_length=LONGEST)
    model: str | None = None
    adapter: Path | None = None
    activation: str = ""

    @classmethod
    def of(cls, join: str | None, model: str | None, adapter: Path | None) -> Call:
        """Paths are made absolute: the first desktop was started in another folder."""
        activation = os.environ.get(TOKEN, "")
        adapter = adapter.absolute() if adapter else None
        return cls(join=_absolute(join), model=_absolute(model), adapter=adapter, activation=activation)


def _absolute(given: str | None) -> str | None:
    """A file's or folder's name from here; an invitation, an address or a hub id as it is."""
    with suppress(OSError):  # an invitation is longer than a name may be
        if given and Path(given).exists():
            return str(Path(given).absolute())
    return given


def is_handed_over(folder: Path, call: Call, patience: float = PATIENCE_S) -> bool:
    """Tells whether another desktop has this folder open and has taken the call; then this one has nothing left to do.

    False at once where none has, and after a while where one does not answer (it hangs, or is another account's).
    """
    lock = QLockFile(str(folder / LOCK_FILE))
    lock.setStaleLockTime(0)
    until = time.monotonic() + patience
    while not lock.tryLock(0):
        if lock.error() != QLockFile.LockError.LockFailedError:  # no folder yet, or none that can be written
            return False
        if _hand_over(folder, call):
            return True
        if time.monotonic() > until:
            return False
        time.sleep(LOOK_S)
    lock.unlock()
    return False


def _hand_over(folder: Path, call: Call) -> bool:
    try:
        from PySide6.QtNetwork import QLocalSocket
        from PySide6.QtWidgets import QApplication

        name = (folder / NAME_FILE).read_text("utf-8").strip()
    except (ImportError, OSError, UnicodeDecodeError):  # a system without the libraries that QtNetwork needs
        return False
    if QApplication.instance() is None:
        QApplication(sys.argv[:1])  # the socket needs one; where nobody answers, the desktop goes on with it
    socket = QLocalSocket()
    socket.connectToServer(name)
    if not socket.waitForConnected(CONNECT_MS):
        return False
    if sys.platform == "win32":  # who was started by the person may pass the front on; ASFW_ANY
        ctypes.windll.user32.AllowSetForegroundWindow(-1)
    socket.write(call.model_dump_json().encode() + b"\n")
    socket.flush()
    until = time.monotonic() + ANSWER_MS / 1000
    while not socket.canReadLine():
        left = int((until - time.monotonic()) * 1000)
        if left <= 0 or not socket.waitForReadyRead(left):
            return False
    return socket.readLine().data() == TAKEN


class Listener(QObject):
    """The first desktop's ear, from `begin` to `end`, in the GUI thread. Where it cannot listen, a second start opens
    a window of its own.
    """

    called = Signal(object)  # a Call

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._file = folder / NAME_FILE
        self._server: QLocalServer | None = None
        self._open: set[QLocalSocket] = set()

    def begin(self) -> None:
        try:
            from PySide6.QtNetwork import QLocalServer

            self._forget_earlier()
            server = QLocalServer(self)
            server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
            name = f"fedmed-desktop-{secrets.token_hex(16)}"
            if not server.listen(name):
                log.warning("a second start cannot reach this window: %s", server.errorString())
                return
            self._server = server
            server.newConnection.connect(self._answer)
            write_durably(self._file, server.fullServerName().encode())
        except (ImportError, UserFacingError, OSError) as error:
            log.warning("a second start cannot reach this window: %s", error)

    def _forget_earlier(self) -> None:
        """A desktop that crashed has left its socket behind, which nobody listens on any more."""
        from PySide6.QtNetwork import QLocalServer

        with suppress(OSError, UnicodeDecodeError):
            QLocalServer.removeServer(self._file.read_text("utf-8").strip())

    @Slot()
    def _answer(self) -> None:
        while self._server is not None and (socket := self._server.nextPendingConnection()) is not None:
            self._open.add(socket)
            socket.readyRead.connect(self._read)
            socket.disconnected.connect(self._hung_up)
        self._read()  # what had come before anybody listened

    @Slot()
    def _read(self) -> None:
        for socket in list(self._open):
            if socket.canReadLine():
                self._take(socket)
            elif socket.bytesAvailable() > LONGEST:
                socket.abort()

    def _take(self, socket: QLocalSocket) -> None:
        self._open.discard(socket)
        try:
            call = Call.model_validate_json(bytes(socket.readLine().data()))
        except ValidationError:
            log.warning("a second start said what this version does not understand")
            call = Call()
        self.called.emit(call)
        socket.write(TAKEN)
        socket.flush()
        socket.disconnectFromServer()

    @Slot()
    def _hung_up(self) -> None:
        gone = [socket for socket in self._open if not socket.isOpen()]
        self._open.difference_update(gone)

    def end(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for socket in list(self._open):
            socket.abort()
        self._open.clear()
        with suppress(OSError):
            self._file.unlink()
