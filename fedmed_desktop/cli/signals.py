# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM as an event for coroutines, a time limit on shutting down, and notices to systemd."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator


def stop_event() -> asyncio.Event:
    """Set at the first SIGINT or SIGTERM; the handler only sets it, so that everything ends in order.

    A second one ends the program at once, as a power cut would. On the main thread, inside a running loop. Where the
    loop cannot take signals (Windows), Ctrl-C raises KeyboardInterrupt as usual.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:
            break
    return stopped


def ignore_termination() -> None:
    """Makes SIGTERM do nothing for the rest of the program, which ends in order and has something left to say.

    Inside the running loop of stop_event, which would give the signal back its usual, deadly meaning as it closes.
    """
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextlib.contextmanager
def bounded_end(seconds: float) -> Iterator[Callable[[Callable[[], int]], None]]:
    """Yields what is to be called when the end begins: if the block has not ended `seconds` later, the program does.

    For work in threads, which nothing can cut off. What it leaves is what a power cut would. It is called with what
    then says why the program ends, and must not block; that returns the exit status.
    """
    timers: list[threading.Timer] = []

    def begin(last: Callable[[], int]) -> None:
        timers.append(threading.Timer(seconds, lambda: os._exit(last())))
        timers[-1].daemon = True
        timers[-1].start()

    try:
        yield begin
    finally:
        for timer in timers:
            timer.cancel()


def tell_systemd(state: str) -> None:
    """Says READY=1 or STOPPING=1 to systemd, where it has started this program as a service that does (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@") or not hasattr(socket, "AF_UNIX"):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
