# SPDX-License-Identifier: Apache-2.0
"""A coordinator in a process of its own serves on whatever becomes of what it prints, and loads what it needs alone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from fedmed_desktop.coordinator.founding import write_federation
from tests.parts.federation import INITIAL, small_spec
from tests.parts.loopback import PATIENCE, RawSite


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize("output", ["full disk", "pipe that nobody reads"])
def test_that_output_that_cannot_be_written_does_not_stop_a_coordinator(output: str, tmp_path: Path) -> None:
    spec = write_federation(small_spec(sites=1, quorum=1), INITIAL, tmp_path / "federation")
    port = free_port()
    reader, writer = os.pipe()
    if output == "full disk":
        os.close(writer)
        writer = os.open("/dev/full", os.O_WRONLY)
    command = [sys.executable, "-m", "fedmed_desktop", "--coordinator", "--config", spec]
    command += ["--data-dir", tmp_path / "data", "--port", str(port)]
    process = subprocess.Popen([str(part) for part in command], stdout=writer, stderr=subprocess.PIPE)
    try:
        wait_until_it_serves(port, process)
        if output != "full disk":
            fill(writer)
        asyncio.run(join_and_leave(port))
        assert b'"ok"' in ask(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None and process.stderr.read() == b""
    finally:
        process.kill()
        process.communicate()
        os.close(reader)
        os.close(writer)


async def join_and_leave(port: int) -> None:
    for number in range(30):  # each is a line
        async with RawSite(port, f"site {number}", f"{number:064}") as site:
            await site.join()


def test_that_a_coordinator_that_waits_has_loaded_nothing_that_only_work_needs(tmp_path: Path) -> None:
    spec = write_federation(small_spec(sites=1, quorum=1), INITIAL, tmp_path / "federation")
    port, loaded = free_port(), tmp_path / "modules"
    script = (
        "import sys, fedmed_desktop.cli as cli; status = cli.main(sys.argv[2:]); "
        "open(sys.argv[1], 'w').write(' '.join(sys.modules)); sys.exit(status)"
    )
    command = [sys.executable, "-c", script, loaded, "--coordinator", "--config", spec]
    command += ["--data-dir", tmp_path / "data", "--port", str(port)]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)
    try:
        wait_until_it_serves(port, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
    modules = set(loaded.read_text().split())
    assert "fedmed_desktop.coordinator.server" in modules
    only_for_work = {"numpy", "threadpoolctl", "rich", "psutil", "cryptography.x509", "urllib.request"}
    assert modules & (only_for_work | {"fedmed_desktop.clinical", "torch", "PySide6"}) == set()


def ask(port: int) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/healthz", timeout=20) as found:
        return bytes(found.read())


def wait_until_it_serves(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            ask(port)
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)


def fill(writer: int) -> None:
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
