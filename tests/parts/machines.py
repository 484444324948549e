# SPDX-License-Identifier: Apache-2.0
"""Machines on a network of their own, and programs on them: network namespaces of Linux on one bridge.

Where namespaces are not allowed, every machine is this computer with another loopback address (127.0.0.2 and on).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 240.0  # a busy computer loads torch for half a minute
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True)
class Machine:
    """One computer: its address, and what goes before a command so that it runs there."""

    address: str
    prefix: tuple[str, ...] = ()

    async def start(self, *arguments: str | Path) -> Program:
        """`fedmed-desktop` with these arguments."""
        return await Program(self.prefix, [str(one) for one in arguments]).start()

    async def does(self, *arguments: str | Path) -> str:
        """What the command prints, once it has ended well."""
        program = await self.start(*arguments)
        assert await program.wait() == 0, program.told()
        return "\n".join(program.lines)


@contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """Computers that reach each other and nothing else; all is taken down at the end."""
    if not _may_have_namespaces():
        yield [Machine(f"127.0.0.{number + 2}") for number in range(count)]
        return
    name = f"fedmed-{secrets.token_hex(3)}"
    with contextlib.ExitStack() as made:

        def space(place: str) -> str:
            _ip("netns", "add", place)
            made.callback(_ip, "netns", "del", place)  # its links go with it
            _ip("-n", place, "link", "set", "lo", "up")
            return place

        switch = space(f"{name}-switch")
        _ip("-n", switch, "link", "add", "switch", "type", "bridge")
        _ip("-n", switch, "link", "set", "switch", "up")
        found = []
        for number in range(1, count + 1):
            place, address = space(f"{name}-{number}"), f"10.99.0.{number}"
            port = f"port{number}"
            _ip("-n", place, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", switch)
            _ip("-n", switch, "link", "set", port, "master", "switch", "up")
            _ip("-n", place, "address", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", place, "link", "set", "eth0", "up")
            found.append(Machine(address, ("ip", "netns", "exec", place)))
        yield found


def _may_have_namespaces() -> bool:
    """Whether this account may make them, and links in them. None is left behind."""
    if shutil.which("ip") is None:
        return False
    name = f"fedmed-{secrets.token_hex(3)}"
    try:
        _ip("netns", "add", name)
    except subprocess.CalledProcessError:
        return False
    try:
        _ip("-n", name, "link", "add", "switch", "type", "bridge")
        _ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "port1")
        _ip("netns", "exec", name, "true")
    except subprocess.CalledProcessError:
        return False
    finally:
        _ip("netns", "del", name)
    return True


def _ip(*arguments: str) -> None:
    subprocess.run(("ip", *arguments), check=True, capture_output=True, timeout=30)


class Program:
    """One `python -m fedmed_desktop`, its lines, and when each came."""

    def __init__(self, prefix: Sequence[str], arguments: Sequence[str]) -> None:
        self._command = (*prefix, sys.executable, "-m", "fedmed_desktop", *arguments)
        self.lines: list[str] = []
        self.times: list[float] = []
        self._process: asyncio.subprocess.Process
        self._reading: asyncio.Task[None]

    async def start(self) -> Program:
        own = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if name.lower() not in _PROXIES} | own,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.times.append(time.time())
            self.lines.append(line.decode(errors="replace").rstrip())

    def told(self) -> str:
        return "\n".join([" ".join(self._command), *self.lines])

    async def until(self, words: str) -> str:
        """The first line with these words."""
        latest = time.monotonic() + PATIENCE
        for number in itertools.count():
            while number >= len(self.lines):
                over = self._process.returncode is not None and self._reading.done()
                assert not over and time.monotonic() < latest, f"no {words!r}:\n{self.told()}"
                await asyncio.sleep(0.01)
            if words in self.lines[number]:
                return self.lines[number]
        raise AssertionError

    def when(self, words: str) -> float:
        """The time of the first line with these words."""
        return next(time for time, line in zip(self.times, self.lines, strict=False) if words in line)

    async def wait(self) -> int:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._process.wait()
                await self._reading
        except TimeoutError:
            raise AssertionError(f"it does not end:\n{self.told()}") from None
        return self._process.returncode or 0

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading
