# SPDX-License-Identifier: Apache-2.0
"""The log on stderr: said by module and level, and never in the way of the work."""

from __future__ import annotations

import subprocess
import sys

import pytest

SAYS = """
import logging, sys, time
from fedmed_desktop.cli.logs import log_to_stderr
log_to_stderr(sys.argv[1])
log = logging.getLogger("fedmed_desktop.storage.ledger")
began = time.monotonic()
for number in range(int(sys.argv[2])):
    log.warning("row %d %s", number, "x" * 100)
    log.info("quiet")
    logging.getLogger("websockets.server").info("connection open")
print(time.monotonic() - began, flush=True)
time.sleep(0.3)
"""


def run(level: str, count: int, stderr: object) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", SAYS, level, str(count)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=stderr, text=True)  # type: ignore[call-overload]


@pytest.mark.parametrize(("level", "lines"), [("warning", 2), ("info", 4), ("error", 0)])
def test_that_records_name_their_module_and_level(level: str, lines: int) -> None:
    with run(level, 2, subprocess.PIPE) as program:
        _, said = program.communicate(timeout=30)
    assert said.count("fedmed_desktop.storage.ledger: ") == lines
    assert said.count("websockets.server: ") == (2 if level == "info" else 0)
    assert lines == 0 or "WARNING fedmed_desktop.storage.ledger: row 0 xxx" in said


@pytest.mark.parametrize("behind", ["a pipe that nobody reads", "a full disk"])
def test_that_a_stderr_that_takes_nothing_holds_nothing_up(behind: str) -> None:
    full = None if behind.startswith("a pipe") else open("/dev/full", "w")  # noqa: SIM115, PTH123
    with run("warning", 20_000, subprocess.PIPE if full is None else full) as program:
        assert program.stdout is not None
        assert float(program.stdout.readline()) < 20
        program.kill()
    if full:
        full.close()
