# SPDX-License-Identifier: Apache-2.0
"""A coordinator as a service: it says when it is ready, drains on SIGTERM, and keeps a log without secrets."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from fedmed_desktop import events
from fedmed_desktop.cli.logs import _file_handler, _JsonLines, logged
from fedmed_desktop.coordinator.founding import write_federation
from tests.parts.federation import INITIAL, moved, result_of, small_spec
from tests.parts.loopback import PATIENCE, RawSite

SERVICE = sys.platform != "win32"
pytestmark = pytest.mark.skipif(not SERVICE, reason="signals and sockets of Unix")


@contextmanager
def service(folder: Path, *more: object) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket, int]]:
    """A coordinator in its own process, and the socket on which systemd would hear it."""
    spec = write_federation(small_spec(rounds=1, sites=1, quorum=1), INITIAL, folder / "federation")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "fedmed_desktop", "--coordinator", "--config", spec, "--port", port, *more]
    command += ["--data-dir", folder / "data", "--log-file", folder / "log.jsonl", "--log-level", "debug"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(folder / "notify"))
        heard.settimeout(PATIENCE)
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": "", "HOME": str(folder), "NOTIFY_SOCKET": str(folder / "notify")},
        )
        try:
            assert heard.recv(100) == b"READY=1"
            yield process, heard, port
        finally:
            process.kill()
            process.wait()


async def test_that_a_stopped_coordinator_lets_its_sites_go_and_ends(tmp_path: Path) -> None:
    with service(tmp_path) as (process, heard, port):
        async with RawSite(port) as site:
            await site.join()
            plan = await site.plan()
            result = result_of(plan, INITIAL, moved(INITIAL, 1))
            await site.say(site.offered(result.update))
            await asyncio.sleep(0)
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await site.next()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0
        assert heard.recv(100) == b"STOPPING=1"
    text = (tmp_path / "log.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(row) for row in text.splitlines()]
    assert all(set(row) == {"time", "level", "module", "message", "site", "round"} for row in rows)
    assert ("raw", 1) in {(row["site"], row["round"]) for row in rows}
    for secret in (site.key.raw.hex(), (tmp_path / "data" / "identity.key").read_text().strip()):
        assert secret not in text
    assert not any("websockets" in row["module"] and row["level"] == "debug" for row in rows)


STOPS = """
import asyncio, sys, time
from functools import partial
from pathlib import Path
from fedmed_desktop.cli.coordinator import last_words
from fedmed_desktop.cli.logs import log_to_stderr
from fedmed_desktop.cli.signals import bounded_end, stop_event
from fedmed_desktop.errors import UserFacingError
FAULTS = {"bounded": [], "fault": [UserFacingError("storage.disk_full", path="there")], "bug": [ValueError("oh")]}
log_to_stderr("warning")
async def run(ending):
    stopped = stop_event()
    print("ready", flush=True)
    await stopped.wait()
    print("stopping", flush=True)
    if sys.argv[1] in FAULTS:
        ending(partial(last_words, FAULTS[sys.argv[1]], Path(sys.argv[2])))
    await asyncio.to_thread(time.sleep, 60)
with bounded_end(0.2) as ending:
    asyncio.run(run(ending))
"""


@pytest.mark.parametrize(
    ("how", "status", "said"),
    [
        ("bounded", 0, ""),
        ("second signal", -signal.SIGTERM, ""),
        ("fault", 2, "The disk is full, so there cannot be written."),
        ("bug", 1, "ValueError('oh')"),
    ],
)
def test_that_an_end_has_bounds_and_a_second_signal_ends_at_once(
    how: str, status: int, said: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", STOPS, how, str(tmp_path / "error.json")]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None and program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGTERM)
        assert program.stdout.readline() == "stopping\n"
        if how == "second signal":
            program.send_signal(signal.SIGTERM)
        assert program.wait(PATIENCE) == status
        assert program.stderr is not None and said in program.stderr.read()
        assert (tmp_path / "error.json").exists() == (how == "fault")
    finally:
        program.kill()
        program.communicate()


@pytest.mark.parametrize(
    "secret",
    [
        "fedmed:AEBAGBAFAYDQQCIKBMGA2DQPCAIREEYUCULBOGAZDINRYHI6D4",
        "http://nurse:hunter2-hunter2@proxy.hospital.org:3128",
        "code='0123456789abcdef0123456789abcdef'",
        '{"token": "tttttttttttttttttttttttttttttttt"}',
        "password=hunter2-hunter2",
    ],
)
def test_that_no_secret_gets_into_the_log_file(secret: str) -> None:
    record = logging.LogRecord("fedmed_desktop.x", logging.INFO, "", 0, "given %s", (secret,), None)
    said = _JsonLines().format(record)
    for word in ("AEBAGBAF", "hunter2", "0123456789abcdef", "tttttttt"):
        assert word not in said
    assert "given" in json.loads(said)["message"]


def test_that_a_person_s_reason_is_not_in_the_log_and_old_files_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fedmed_desktop.events")
    about = {"site": "A", "round": 2, "update": "a" * 64, "by": "ann"}
    logged(lambda event: None)(events.DecisionRecorded(decision="approved", reason="Mr Smith is well", **about))
    (record,) = caplog.records
    assert "Smith" not in record.getMessage() and (record.site, record.round) == ("A", 2)  # type: ignore[attr-defined]
    handler = _file_handler(tmp_path / "logs" / "log.jsonl")
    handler.maxBytes = 300  # type: ignore[attr-defined]
    for _ in range(50):
        handler.emit(record)
    handler.close()
    assert len(list((tmp_path / "logs").iterdir())) == 5
