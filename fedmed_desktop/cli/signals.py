# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM as an event that a coroutine can wait for."""

from __future__ import annotations

import asyncio
import signal


def stop_event() -> asyncio.Event:
    """Set at the first SIGINT or SIGTERM; the handler only sets it, so that everything ends in order.

    On the main thread, inside a running loop. Where the loop cannot take signals (Windows), Ctrl-C raises
    KeyboardInterrupt as usual.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stopped.set)
        except NotImplementedError:
            break
    return stopped
