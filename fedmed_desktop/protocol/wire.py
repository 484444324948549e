# SPDX-License-Identifier: Apache-2.0
"""Settings of the websocket connection that both ends share, each with its reason, and the sending of a blob."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Collection, Sequence
from io import FileIO
from pathlib import Path
from typing import Protocol

from websockets.exceptions import ConnectionClosed

from ..errors import reason_of
from .messages import MAX_MESSAGE_BYTES
from .transfer import CHUNK, HEADER_BYTES, MAX_FRAME_BYTES, chunk_header

# Deflate makes weight-like bytes no smaller, costs ten times the time and lets a peer inflate memory.
COMPRESSION = None
# The largest legal frame to a site and to a coordinator; anything longer closes the connection with 1009 before it is
# held. Only a coordinator says long things (the specification), so a site may say no more than a chunk's length.
MAX_SIZE_TO_SITE = MAX_MESSAGE_BYTES
MAX_SIZE_TO_COORDINATOR = MAX_FRAME_BYTES
# What a peer may make a coordinator hold before it has said who it is, and before an update of it is fetched: a frame
# that is never finished is held all the same. The longest message of a site is an offer, with all of its report.
MAX_HELLO_BYTES = 2**12
# Without scores by type it is this long at most: 200 names of 80 letters of four bytes in the histogram, and the rest.
MAX_OFFER_BYTES = 72 * 2**10
# A module's share of importance, without its name.
_SHARE_BYTES = 32
# The counts of a type in one of an offer's four tables, without the type's name.
_COUNTS_BYTES = 80
# A few frames may wait, no more: what a peer can make us hold stays bounded.
MAX_QUEUE = 8
PING_INTERVAL = 20.0
# The site's network thread shares the interpreter with training; 20 s is tight on a machine that swaps.
PING_TIMEOUT = 60.0
# Chunks that a sender reads in one go: each visit of a thread costs as much as reading one of them.
_FRAMES_AT_ONCE = 2
# Close code of a side that cannot read a blob just now.
CANNOT_READ = 1011
# How long a peer may take to hear a goodbye.
CLOSE_TIMEOUT = 5.0


def longest_offer(types: Collection[str], modules: Collection[str] = ()) -> int:
    """Bytes of the longest honest offer in a federation with these types: each has a row in each table of scores.

    `modules`: those whose importance is told.
    """
    rows = 4 * sum(len(name.encode()) + _COUNTS_BYTES for name in types)
    return MAX_OFFER_BYTES + rows + sum(len(name.encode()) + _SHARE_BYTES for name in modules)


def is_loopback(host: str) -> bool:
    """Tells whether this is the machine's own address: without keys and TLS only those are spoken to."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Sender(Protocol):
    """A connection. Once `send` has returned, the message's memory is used for the next one."""

    async def send(self, message: bytes | memoryview, /) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...


async def send_blob(
    connection: Sender, sha256: str, path: Path, offset: int, progress: Callable[[int, int], None] | None = None
) -> None:
    """Sends a blob from `offset` on as chunks; `progress` is told (bytes sent so far, total). Ends quietly on a cut.

    Closes the connection where the file cannot be read: the receiver asks again on the next one.
    """
    try:
        with path.open("rb", buffering=0) as file:
            total = file.seek(0, 2)
            # A receiver that has all bytes but did not know it still learns the length from the last one.
            offset = file.seek(min(offset, max(0, total - 1)))
            largest = HEADER_BYTES + min(CHUNK, total - offset)
            frames = [bytearray(largest) for _ in range(_FRAMES_AT_ONCE)]
            while lengths := await _read_ahead(file, frames):
                for frame, length in zip(frames, lengths, strict=False):
                    frame[:HEADER_BYTES] = chunk_header(sha256, offset, total)
                    await connection.send(memoryview(frame)[: HEADER_BYTES + length])
                    offset += length
                    if progress:
                        progress(offset, total)
                    # send() may never yield; let pings and other messages through.
                    await asyncio.sleep(0)
    except ConnectionClosed:
        return
    except OSError as error:
        await connection.close(CANNOT_READ, reason_of(error))


async def _read_ahead(file: FileIO, frames: Sequence[bytearray]) -> list[int]:
    """`_fill` in a thread, which is waited for whatever happens.

    The number of a file that is closed meanwhile may be the next one's, and the thread would read on in that.
    """
    reading = asyncio.ensure_future(asyncio.to_thread(_fill, file, frames))
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        await asyncio.wait([reading])
        raise


def _fill(file: FileIO, frames: Sequence[bytearray]) -> list[int]:
    """Reads the next chunks into the frames, behind room for their headers; how long each is, none at the end."""
    lengths = []
    for frame in frames:
        length = file.readinto(memoryview(frame)[HEADER_BYTES:])
        if not length:
            break
        lengths.append(length)
    return lengths
