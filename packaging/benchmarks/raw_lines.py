# SPDX-License-Identifier: Apache-2.0
"""Peers of the benchmark of rounds: the same bytes over a raw websocket or a bare socket, between as many processes.

`websocket`: the library and frames that fedmed-desktop uses; each receiver hashes every byte. `durable`: the same, and
each receiver writes what it gets to a file of its own and forces it to disk. `socket`: bytes alone.
Run by rounds.py; processes are looked at in /proc, so Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from fedmed_desktop.protocol import wire
from fedmed_desktop.protocol.transfer import CHUNK

ROOT: Final = Path(__file__).resolve().parents[2]
TICKS: Final = os.sysconf("SC_CLK_TCK")
KINDS: Final = ("websocket", "durable", "socket")


class Process:
    """A child process that says in its first line on stdout that it is ready."""

    def __init__(self, *command: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.child = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, env=environment, text=True)

    def line(self) -> str:
        assert self.child.stdout is not None
        if not (line := self.child.stdout.readline()):
            raise RuntimeError(f"{self.child.args} ended with {self.child.wait()}")
        return line.strip()

    def go(self) -> None:
        self.child.send_signal(signal.SIGUSR1)

    def cpu(self) -> float:
        """Seconds so far, user and system."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, which: str) -> int:
        """Bytes held now (VmRSS) or at most so far (VmHWM)."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(which))

    def stop(self) -> None:
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


@contextmanager
def stopped(processes: list[Process]) -> Iterator[list[Process]]:
    try:
        yield processes
    finally:
        for process in processes:
            process.stop()


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=["server", "client"])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("bytes", type=int)
    parser.add_argument("number", type=int, help="of sites, or the server's port")
    options = parser.parse_args()
    if options.side == "server":
        data = np.random.default_rng(0).bytes(options.bytes)
        if options.kind == "socket":
            socket_server(options.number, data)
        else:
            asyncio.run(websocket_server(options.number, data, options.kind == "durable"))
    elif options.kind == "socket":
        socket_client(options.number, options.bytes)
    else:
        asyncio.run(websocket_client(options.number, options.bytes, options.kind == "durable"))
    signal.pause()
    return 0


def raw(kind: str, sites: int, mebibytes: int) -> dict[str, float]:
    """The same bytes down and up by a peer."""
    size = str(mebibytes * 2**20)
    server = Process(__file__, "server", kind, size, str(sites))
    with stopped([server]) as processes:
        port = int(server.line())
        processes += [Process(__file__, "client", kind, size, str(port)) for _ in range(sites)]
        for process in processes[1:]:
            assert process.line() == "ready"
        before = sum(process.cpu() for process in processes)
        server.go()
        seconds = float(server.line())
        return {"seconds": seconds, "cpu": sum(process.cpu() for process in processes) - before}


async def websocket_server(sites: int, data: bytes, durable: bool) -> None:
    from websockets.asyncio.server import ServerConnection, serve

    going, digest = asyncio.Event(), hashlib.sha256(data).digest()
    left = sites
    all_back = asyncio.Event()

    async def connected(connection: ServerConnection) -> None:
        nonlocal left
        await going.wait()
        await send_pieces(connection, data)
        assert (await receive_pieces(connection, len(data), durable))[0] == digest
        left -= 1
        if not left:
            all_back.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, going.set)
    async with serve(connected, "127.0.0.1", 0, compression=None, max_size=CHUNK, max_queue=wire.MAX_QUEUE) as server:
        say(str(next(iter(server.sockets)).getsockname()[1]))
        await going.wait()
        began = time.perf_counter()
        await all_back.wait()
        say(str(time.perf_counter() - began))


async def websocket_client(port: int, size: int, durable: bool) -> None:
    from websockets.asyncio.client import connect

    address = f"ws://127.0.0.1:{port}"
    async with connect(address, compression=None, max_size=CHUNK, max_queue=wire.MAX_QUEUE, proxy=None) as connection:
        say("ready")
        _, data = await receive_pieces(connection, size, durable)
        await send_pieces(connection, data)
        await connection.wait_closed()


async def send_pieces(connection: Any, data: bytes) -> None:
    for at in range(0, len(data), CHUNK):
        await connection.send(data[at : at + CHUNK])


async def receive_pieces(connection: Any, size: int, durable: bool) -> tuple[bytes, bytes]:
    digest, pieces = hashlib.sha256(), []
    with tempfile.TemporaryFile() as file:
        while size:
            piece = await connection.recv()
            digest.update(piece)
            if durable:
                file.write(piece)
            pieces.append(piece)
            size -= len(piece)
        if durable:
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
    return digest.digest(), b"".join(pieces)


def socket_server(sites: int, data: bytes) -> None:
    going = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: going.set())
    listener = socket.create_server(("127.0.0.1", 0))
    say(str(listener.getsockname()[1]))
    lines = [listener.accept()[0] for _ in range(sites)]
    going.wait()
    began = time.perf_counter()

    def serve(line: socket.socket) -> None:
        line.sendall(data)
        receive(line, len(data))

    threads = [threading.Thread(target=serve, args=(line,)) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say(str(time.perf_counter() - began))


def socket_client(port: int, size: int) -> None:
    line = socket.create_connection(("127.0.0.1", port))
    say("ready")
    line.sendall(receive(line, size))


def receive(line: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view, at = memoryview(data), 0
    while at < size:
        at += line.recv_into(view[at:])
    return data


if __name__ == "__main__":
    sys.exit(main())
