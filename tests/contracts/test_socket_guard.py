# SPDX-License-Identifier: Apache-2.0
"""Tests may talk to this machine only; the guard that sees to it is itself tested here."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ELSEWHERE = ("192.0.2.1", 9)  # TEST-NET-1 (RFC 5737): nobody answers there


@pytest.mark.parametrize("method", ["connect", "connect_ex", "bind"])
def test_that_a_socket_cannot_leave_this_machine(method: str, refused_connections: list[str]) -> None:
    with socket.socket() as sock, pytest.raises(RuntimeError, match="loopback only"):
        getattr(sock, method)(ELSEWHERE)
    assert len(refused_connections) == 1
    refused_connections.clear()


@pytest.mark.parametrize("host", ["", "0.0.0.0"])
def test_that_listening_on_every_interface_is_refused(host: str, refused_connections: list[str]) -> None:
    with socket.socket() as sock, pytest.raises(RuntimeError, match="loopback only"):
        sock.bind((host, 0))
    refused_connections.clear()


def test_that_a_datagram_cannot_leave_this_machine(refused_connections: list[str]) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(RuntimeError, match="loopback only"):
        sock.sendto(b"note", ELSEWHERE)
    refused_connections.clear()


def test_that_names_are_not_looked_up(refused_connections: list[str]) -> None:
    for look_up in (lambda: socket.getaddrinfo("site.invalid", 443), lambda: socket.gethostbyname("site.invalid")):
        with pytest.raises(RuntimeError, match="loopback only"):
            look_up()
    refused_connections.clear()


@pytest.mark.parametrize("host", [ELSEWHERE[0], "site.invalid", "::ffff:192.0.2.1"])
def test_that_asyncio_cannot_leave_this_machine(host: str, refused_connections: list[str]) -> None:
    with pytest.raises(RuntimeError, match="loopback only"):
        asyncio.run(asyncio.open_connection(host, 9))
    refused_connections.clear()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_that_loopback_works(host: str) -> None:
    async def echo_once() -> bytes:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(host, server.sockets[0].getsockname()[1])
            writer.write(b"round 1\n")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
        return answer

    assert asyncio.run(echo_once()) == b"round 1\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows' asyncio and sockets have no Unix sockets here")
def test_that_unix_sockets_work(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))
        assert client.getpeername() == str(tmp_path / "s")


def test_that_tests_do_not_touch_the_users_home() -> None:
    assert Path.home().name.startswith("fedmed-tests-")
    assert os.environ["HF_HUB_OFFLINE"] == os.environ["TRANSFORMERS_OFFLINE"] == "1"


LEAKS_A_THREAD = """
import threading, time
def test_it():
    threading.Thread(target=time.sleep, args=(1,)).start()
"""

SWALLOWS_THE_REFUSAL = """
import contextlib, socket
def test_it():
    with contextlib.suppress(Exception):
        socket.getaddrinfo("site.invalid", 443)
"""


@pytest.mark.parametrize(
    ("body", "fault"),
    [(LEAKS_A_THREAD, "non-daemon threads running"), (SWALLOWS_THE_REFUSAL, "reached for the network")],
    ids=["thread", "network"],
)
def test_that_a_test_which_leaks_fails(body: str, fault: str, tmp_path: Path) -> None:
    conftest = (Path(__file__).parents[1] / "conftest.py").read_text("utf-8")
    (tmp_path / "conftest.py").write_text(conftest.replace("THREAD_GRACE_S = 5.0", "THREAD_GRACE_S = 0.1"), "utf-8")
    (tmp_path / "test_leak.py").write_text(body, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_leak.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert fault in done.stdout


def test_that_daemon_threads_are_not_a_leak() -> None:
    """It is there for longer than the guard waits for others, and the guard is what would fail."""
    thread = threading.Thread(target=threading.Event().wait, args=(30,), daemon=True)
    thread.start()
    assert thread.is_alive()
