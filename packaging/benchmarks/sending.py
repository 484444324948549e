# SPDX-License-Identifier: Apache-2.0
"""One adapter over one line, by the code of both ends, plain and TLS, beside a raw socket whose receiver hashes.

    PYTHONPATH=. .venv/bin/python packaging/benchmarks/sending.py [--mebibytes N] [--runs N] [--keep] [--check]

Ours is `protocol.wire.send_blob` from a file, over a websocket with the settings of both ends, into
`protocol.transfer.Reception`: hashed with sha256 while it is written to a file, and forced to disk. `down` is from the
coordinator to a site, `up` the other way, where the protocol masks every byte. The peers send the same bytes from
memory in pieces of a chunk: `socket` hashes what it receives, `socket to disk` also writes it to a file and forces that
to disk. With `tls`, both have the coordinator's own certificate and a site's settings.

Each figure is of two fresh processes, the median of some transfers after a first one that does not count. CPU seconds
are those of both. Prints tables and JSON; --keep writes results/sending.json; --check ends with status 1 where an aim
is missed. With a busy machine, look at CPU seconds: more processes than cores make seconds say little.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from arms import Ratio, Told, in_turn

from fedmed_desktop.protocol import wire
from fedmed_desktop.protocol.transfer import CHUNK, Reception, decode_chunk

PEERS: Final = ("socket", "socket to disk")
TRANSFERS: Final = 3
LINES: Final = ("", " tls")
AIMS: Final = [
    *(Ratio(f"socket{line}", f"{way}{line}", "seconds", least=0.7) for line in LINES for way in ("down", "up")),
    *(Ratio(f"socket to disk{line}", f"{way}{line}", "seconds") for line in LINES for way in ("down", "up")),
    *(Ratio(f"socket{line}", f"{way}{line}", "cpu") for line in LINES for way in ("down", "up")),
    *(Ratio(f"socket to disk{line}", f"{way}{line}", "cpu") for line in LINES for way in ("down", "up")),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mebibytes", type=int, default=64, metavar="N", help="(64)")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="of each arm (5)")
    parser.add_argument("--keep", action="store_true", help="write results/sending.json")
    parser.add_argument("--check", action="store_true", help="status 1 where an aim is missed")
    parser.add_argument("--end", nargs=3, metavar=("END", "ARM", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.end:
        end, arm, folder = options.end
        json.dump(ended(end, arm, Path(folder)), sys.stdout)
        return 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        data = os.urandom(options.mebibytes * 2**20)
        (folder / "blob").write_bytes(data)
        (folder / "sha256").write_text(hashlib.sha256(data).hexdigest())
        _certificate(folder)
        names = [f"{arm}{line}" for line in LINES for arm in (*PEERS, "down", "up")]
        case = in_turn(
            f"{options.mebibytes} MiB", {name: partial(measured, name, folder) for name in names}, options.runs
        )
    told = Told("sending", [case], AIMS, {"mebibytes": options.mebibytes, "runs": options.runs, "chunk": CHUNK})
    told.show()
    if options.keep:
        told.keep()
    return 0 if told.good or not options.check else 1


def _certificate(folder: Path) -> None:
    from fedmed_desktop.coordinator.certificate import own_certificate

    own_certificate(folder, ["127.0.0.1"], datetime.now(UTC))


def measured(arm: str, folder: Path) -> dict[str, float]:
    """Seconds that the receiver took, and the CPU seconds of both ends."""
    (folder / "port").unlink(missing_ok=True)
    ends = [
        subprocess.Popen([sys.executable, __file__, "--end", end, arm, str(folder)], stdout=subprocess.PIPE, text=True)
        for end in ("coordinator", "site")
    ]
    told = []
    for end in ends:
        out, _ = end.communicate()
        assert end.returncode == 0, arm
        told.append(json.loads(out))
    receiver = told[1 if arm.startswith("down") else 0]
    seconds = statistics.median(receiver["seconds"][1:])
    size = (folder / "blob").stat().st_size
    cpu = sum(statistics.median(end["cpu"][1:]) for end in told)
    return {
        "seconds": seconds,
        "cpu": cpu,
        "MB per second": size / seconds / 1e6,
        "MB per CPU second": size / cpu / 1e6,
    }


class Clock:
    """Seconds and CPU seconds of each transfer at this end."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = {"seconds": [], "cpu": []}

    def start(self) -> None:
        self._began, self._used = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        self.taken["seconds"].append(time.perf_counter() - self._began)
        self.taken["cpu"].append(time.process_time() - self._used)


def ended(end: str, arm: str, folder: Path) -> dict[str, list[float]]:
    """One end of the line: the coordinator listens, a site connects. The receiver asks for each transfer."""
    clock, tls = Clock(), _tls(end, folder) if arm.endswith(" tls") else None
    kind = arm.removesuffix(" tls")
    if kind in PEERS:
        _raw(end, kind, folder, tls, clock)
    else:
        sends = (kind == "down") == (end == "coordinator")
        transfer = partial(_sends if sends else _receives, folder=folder, clock=clock)
        asyncio.run(_serving(folder, tls, transfer) if end == "coordinator" else _joining(folder, tls, transfer))
    return clock.taken


def _tls(end: str, folder: Path) -> ssl.SSLContext:
    if end == "coordinator":
        from fedmed_desktop.coordinator.certificate import own_certificate

        return own_certificate(folder, ["127.0.0.1"], datetime.now(UTC)).context
    from fedmed_desktop.site.tls import context_for

    return context_for(roots=False)


# -- ours ------------------------------------------------------------------------------------------------------------

Transfer = Callable[[Any], Any]
SETTINGS: Final[dict[str, Any]] = {"compression": wire.COMPRESSION, "max_queue": wire.MAX_QUEUE}


async def _serving(folder: Path, tls: ssl.SSLContext | None, transfer: Transfer) -> None:
    from websockets.asyncio.server import ServerConnection, serve

    done = asyncio.Event()

    async def connected(connection: ServerConnection) -> None:
        for _ in range(TRANSFERS):
            await transfer(connection)
        done.set()

    async with serve(connected, "127.0.0.1", 0, ssl=tls, max_size=wire.MAX_SIZE_TO_COORDINATOR, **SETTINGS) as server:
        _publish(folder, next(iter(server.sockets)).getsockname()[1])
        await done.wait()


async def _joining(folder: Path, tls: ssl.SSLContext | None, transfer: Transfer) -> None:
    from websockets.asyncio.client import connect

    address = f"{'wss' if tls else 'ws'}://127.0.0.1:{_port(folder)}"
    async with connect(address, ssl=tls, max_size=wire.MAX_SIZE_TO_SITE, proxy=None, **SETTINGS) as connection:
        for _ in range(TRANSFERS):
            await transfer(connection)


async def _sends(connection: Any, folder: Path, clock: Clock) -> None:
    await connection.recv()
    clock.start()
    await wire.send_blob(connection, (folder / "sha256").read_text(), folder / "blob", 0)
    await connection.recv()
    clock.stop()


async def _receives(connection: Any, folder: Path, clock: Clock) -> None:
    target = folder / "received"
    target.unlink(missing_ok=True)
    clock.start()
    reception = Reception((folder / "sha256").read_text(), target, (folder / "blob").stat().st_size)
    await connection.send("more")
    while not await asyncio.to_thread(reception.write, decode_chunk(await connection.recv())):
        pass
    await asyncio.to_thread(reception.finish)
    clock.stop()
    await connection.send("thanks")


# -- the peers -------------------------------------------------------------------------------------------------------


def _raw(end: str, kind: str, folder: Path, tls: ssl.SSLContext | None, clock: Clock) -> None:
    """The site sends, the coordinator receives."""
    if end == "coordinator":
        with socket.create_server(("127.0.0.1", 0)) as listener:
            _publish(folder, listener.getsockname()[1])
            line = listener.accept()[0]
        line = tls.wrap_socket(line, server_side=True) if tls else line
        for _ in range(TRANSFERS):
            _take(line, folder, kind == "socket to disk", clock)
        line.close()
        return
    line = socket.create_connection(("127.0.0.1", _port(folder)))
    line = tls.wrap_socket(line) if tls else line
    data = memoryview((folder / "blob").read_bytes())
    for _ in range(TRANSFERS):
        line.recv(1)
        clock.start()
        for at in range(0, len(data), CHUNK):
            line.sendall(data[at : at + CHUNK])
        line.recv(1)
        clock.stop()
    line.close()


def _take(line: socket.socket, folder: Path, to_disk: bool, clock: Clock) -> None:
    target, left, digest = folder / "received", (folder / "blob").stat().st_size, hashlib.sha256()
    target.unlink(missing_ok=True)
    room = memoryview(bytearray(CHUNK))
    clock.start()
    line.sendall(b"m")
    with target.open("wb", buffering=0) as file:
        while left:
            data = room[: line.recv_into(room)]
            digest.update(data)
            if to_disk:
                file.write(data)
            left -= len(data)
        if to_disk:
            os.fsync(file.fileno())
    assert digest.hexdigest() == (folder / "sha256").read_text()
    clock.stop()
    line.sendall(b"t")


def _publish(folder: Path, port: int) -> None:
    (folder / "port.new").write_text(str(port))
    (folder / "port.new").rename(folder / "port")


def _port(folder: Path) -> int:
    while not (file := folder / "port").exists():
        time.sleep(0.02)
    return int(file.read_text())


if __name__ == "__main__":
    sys.exit(main())
