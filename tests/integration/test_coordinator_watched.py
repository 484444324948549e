# SPDX-License-Identifier: Apache-2.0
"""A coordinator in a process of its own, with TLS, as those who watch over it see it: `--status` and `--metrics`."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.coordinator.founding import write_federation
from tests.parts.federation import INITIAL, small_spec
from tests.parts.loopback import PATIENCE


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        for found in (one, other):
            found.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def test_that_status_and_figures_are_told_while_sites_are_served_with_tls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write_federation(small_spec(sites=2), INITIAL, tmp_path / "federation")
    port, metrics = free_ports()
    command = [sys.executable, "-m", "fedmed_desktop", "--coordinator", "--config", spec]
    command += ["--data-dir", tmp_path / "data", "--port", port, "--tls", "--metrics", f"127.0.0.1:{metrics}"]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        text = figures(metrics, process)
        assert "fedmed_sites_connected 0.0" in text and 'fedmed_phase{phase="gathering"} 1.0' in text
        assert main(["--coordinator", "--status", "--json", "--port", str(port)]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["phase"] == "gathering" and told["traffic"].keys() == {"received", "sent", "full_model"}
        assert main(["--coordinator", "--status", "--port", str(port)]) == 0
        assert "since the coordinator's start, all sites: received 0.0 MB; sent 0.0 MB" in capsys.readouterr().out
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()


def figures(port: int, process: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + PATIENCE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=20) as found:
                return str(found.read().decode())
        except OSError:
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)
