# SPDX-License-Identifier: Apache-2.0
"""The coordinator as a process of its own: begun so that it outlives the window, looked after, and ended.

Blocks for milliseconds, a stop for seconds: beside the GUI thread.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Final, Literal

import psutil

from ...errors import UserFacingError, from_json, reason_of
from ...files import make_folder
from ..work.hosted import LOOPBACK, Hosted

State = Literal["starting", "serving", "stopped"]

# A coordinator that is told to end finishes a combination, for 20 s at most.
_END_SECONDS: Final = 30.0
_CONNECT_SECONDS: Final = 0.5
_NO_WINDOW: Final = 0x08000200  # Windows: no console, and a group of its own, so that Ctrl-C here does not end it

# Of this program's own children, which must be asked for their end, or they stay as zombies.
_begun: Final[dict[int, subprocess.Popen[bytes]]] = {}


@dataclass(frozen=True)
class Look:
    """State of a coordinator's process; `fault` is the error with which it ended by itself."""

    state: State
    fault: UserFacingError | None = None


def command(hosted: Hosted) -> list[str]:
    """Command that runs this very program as a coordinator."""
    own = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-m", "fedmed_desktop"]
    return [
        *own,
        "--coordinator",
        *("--config", str(hosted.folder / "federation.toml")),
        *("--data-dir", str(hosted.data_dir), "--error-file", str(hosted.error_file)),
        *("--host", hosted.listens_on, "--port", str(hosted.port), "--public-address", hosted.public),
        *(["--confirm-sites"] if hosted.confirm else []),
        *(["--certificate", str(hosted.certificate), "--key", str(hosted.key)] if hosted.certificate else []),
        *("--keep-updates", "all" if hosted.keep is None else str(hosted.keep)),
    ]


def begin(hosted: Hosted) -> Hosted:
    """Starts it, unless it runs; it goes on when this program ends. Raises UserFacingError."""
    if _process(hosted) is not None:
        return hosted
    make_folder(hosted.folder)
    on_windows = sys.platform == "win32"
    try:
        hosted.error_file.unlink(missing_ok=True)
        with hosted.log.open("wb") as log:
            process = subprocess.Popen(
                command(hosted),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                creationflags=_NO_WINDOW if on_windows else 0,
                start_new_session=not on_windows,
            )
    except OSError as error:
        raise UserFacingError("founding.not_started", reason=reason_of(error)) from error
    _begun[process.pid] = process
    try:
        began = psutil.Process(process.pid).create_time()
    except psutil.Error:  # ended at once; its log says why
        began = 0.0
    return hosted.model_copy(update={"pid": process.pid, "began": began})


def look(hosted: Hosted, serves: bool = False) -> Look:
    """`serves`: it was found to serve before, so that it is not asked again."""
    if _process(hosted) is None:
        return Look("stopped", _fault(hosted))
    if serves:
        return Look("serving")
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, hosted.port), _CONNECT_SECONDS):
        return Look("serving")
    return Look("starting")


def end(hosted: Hosted) -> None:
    """Stops it in good order; whatever it was at, it goes on with at its next start."""
    process = _process(hosted)
    if process is None:
        return
    with contextlib.suppress(psutil.Error):
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(_END_SECONDS)


def is_running(hosted: Hosted) -> bool:
    return _process(hosted) is not None


def _process(hosted: Hosted) -> psutil.Process | None:
    """The process, if it is still the same: a number is given to another one some day."""
    if not hosted.pid or not hosted.began:
        return None
    if (child := _begun.get(hosted.pid)) is not None and child.poll() is not None:
        return None
    try:
        process = psutil.Process(hosted.pid)
        is_ours = abs(process.create_time() - hosted.began) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    return process if is_ours else None


def _fault(hosted: Hosted) -> UserFacingError | None:
    """Error that it ended with; None where it ended as it was told to, or could not say why."""
    try:
        return from_json(hosted.error_file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
