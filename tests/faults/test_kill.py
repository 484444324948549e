# SPDX-License-Identifier: Apache-2.0
"""kill -9 at every point of a round: after a restart the federation ends with the hash of an undisturbed one.

Real processes and a tiny random model. What is waited for is only what makes a point likely to be hit: whatever the
moment of the kill turns out to be, the outcome must be the same.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fedmed_desktop.coordinator.founding import found_federation, write_federation
from fedmed_desktop.federation import TrainingSettings
from fedmed_desktop.federation.spec import LoraSettings, RoundSettings
from tests.parts.loopback import CuttingProxy

pytestmark = [pytest.mark.slow, pytest.mark.integration]

PATIENCE = 120.0
SITES = ("North", "South")
RULE = ("--approve-rule", "test")


class Program:
    """One `python -m fedmed_desktop` and the lines that it has printed."""

    def __init__(self, *arguments: str | Path) -> None:
        self._arguments = [str(argument) for argument in arguments]
        self.lines: list[str] = []
        self._process: asyncio.subprocess.Process
        self._reader: asyncio.Task[None]

    async def start(self) -> Program:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "fedmed_desktop", *self._arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())

    def said(self, words: str) -> bool:
        return any(words in line for line in self.lines)

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    async def until(self, true: Callable[[], bool], what: str) -> None:
        latest = time.monotonic() + PATIENCE
        while not true():
            assert not self.ended and time.monotonic() < latest, f"no {what}:\n" + "\n".join(self.lines)
            await asyncio.sleep(0.002)

    async def until_said(self, words: str) -> None:
        await self.until(lambda: self.said(words), repr(words))

    async def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        if not self.ended:
            self._process.kill()
        await self._process.wait()
        await self._reader

    async def wait(self) -> int:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._process.wait()
                await self._reader
        except TimeoutError:
            raise AssertionError("it did not end:\n" + "\n".join(self.lines)) from None
        return self._process.returncode or 0


class Federation:
    """One coordinator and two sites, each in its own folder of `folder`; site North through a proxy."""

    def __init__(self, folder: Path, spec: Path, model: Path, notes: dict[str, Path]) -> None:
        self._folder = folder
        self._spec = spec
        self._model = model
        self._notes = notes
        self.port = _free_port()
        self.programs: list[Program] = []

    async def coordinator(self) -> Program:
        data = self._folder / "coordinator"
        program = await self._start("--coordinator", "--config", self._spec, "--data-dir", data, "--port", self.port)
        await program.until_said(f"ws://127.0.0.1:{self.port}")
        return program

    async def site(self, name: str, port: int, *options: str) -> Program:
        join = ("--site", "--join", f"ws://127.0.0.1:{port}", "--name", name, "--model", self._model)
        return await self._start(*join, "--notes", self._notes[name], "--data-dir", self.data(name), *options)

    def data(self, name: str) -> Path:
        return self._folder / name

    async def _start(self, *arguments: str | Path | int) -> Program:
        program = await Program(*(str(argument) for argument in arguments)).start()
        self.programs.append(program)
        return program

    async def status(self) -> dict[str, object]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        writer.close()
        return dict(json.loads(body))

    async def final(self, *sites: Program) -> str:
        """Both sites end well; the hash of the federation's final adapter."""
        for site in sites:
            assert await site.wait() == 0, "\n".join(site.lines)
            assert site.said("The federation has finished")
        status = await self.status()
        assert status["phase"] == "finished"
        return str(status["adapter"])

    async def end(self) -> None:
        for program in self.programs:
            await program.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_notes(folder: Path, drug: str) -> Path:
    folder.mkdir(parents=True)
    for split, count in (("train", 6), ("validation", 2)):
        rows = []
        for number in range(count):
            text = f"{drug} was given {number} times and helped ."
            entity = {"id": "e", "start": 0, "end": len(drug), "type": "drug", "text": drug}
            rows.append({"id": f"{split}{number}", "text": text, "entities": [entity], "relations": []})
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("notes")
    return {name: _write_notes(folder / name, drug) for name, drug in zip(SITES, ("Aspirin", "Lithium"), strict=True)}


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    return _founded(tmp_path_factory.mktemp("spec"), tiny_model)


def _founded(folder: Path, tiny_model: Path, **changes: object) -> Path:
    training = TrainingSettings(
        steps=12, batch_size=2, learning_rate=0.01, max_tokens=64, max_new_tokens=8, checkpoint_steps=1
    )
    found, initial = found_federation(
        tiny_model,
        LoraSettings(rank=16, alpha=32),
        0,
        name="Kill",
        types=("drug",),
        rounds=2,
        training=training,
        round=RoundSettings(sites=2, quorum=2),
        **changes,
    )
    return write_federation(found, initial, folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, spec: Path, tiny_model: Path, notes: dict[str, Path]) -> str:
    """The final hash of a federation in which nothing happens."""
    return _undisturbed(Federation(tmp_path_factory.mktemp("calm"), spec, tiny_model, notes))


def _undisturbed(federation: Federation) -> str:
    async def scenario() -> str:
        try:
            await federation.coordinator()
            return await federation.final(*[await federation.site(name, federation.port, *RULE) for name in SITES])
        finally:
            await federation.end()

    return asyncio.run(scenario())


@pytest.fixture
def federation(tmp_path: Path, spec: Path, tiny_model: Path, notes: dict[str, Path]) -> Federation:
    return Federation(tmp_path, spec, tiny_model, notes)


# An update of this federation has about 65 kB, everything else that a site says in a round less than 4 kB.
_MIDDLE_OF_AN_UPLOAD = 20_000


Scenario = Callable[[Federation, CuttingProxy], Awaitable[list[Program]]]


def _play(federation: Federation, scenario: Scenario) -> str:
    """Runs a scenario that gives back both sites; returns the final hash."""

    async def play() -> str:
        try:
            async with CuttingProxy(federation.port) as proxy:
                sites = await scenario(federation, proxy)
                return await federation.final(*sites)
        finally:
            await federation.end()

    return asyncio.run(play())


async def _site_killed_while_training(federation: Federation, proxy: CuttingProxy) -> list[Program]:
    await federation.coordinator()
    south = await federation.site("South", federation.port, *RULE)
    north = await federation.site("North", proxy.port, *RULE)
    checkpoints = federation.data("North") / "checkpoints" / "round-1"
    await north.until(lambda: checkpoints.is_dir() and any(checkpoints.iterdir()), "a checkpoint")
    await north.kill()
    return [south, await federation.site("North", proxy.port, *RULE)]


async def _site_killed_while_awaiting(federation: Federation, proxy: CuttingProxy) -> list[Program]:
    await federation.coordinator()
    south = await federation.site("South", federation.port, *RULE)
    north = await federation.site("North", proxy.port)  # asks on the terminal; nobody answers
    await north.until_said("needs approval")
    before = proxy.bytes["up"]
    await asyncio.sleep(0.3)
    await north.kill()
    assert proxy.bytes["up"] < before + 4000, "something left the site before it was approved"
    return [south, await federation.site("North", proxy.port, *RULE)]


async def _site_killed_while_uploading(federation: Federation, proxy: CuttingProxy) -> list[Program]:
    await federation.coordinator()
    south = await federation.site("South", federation.port, *RULE)
    proxy.hold_up_at = _MIDDLE_OF_AN_UPLOAD
    north = await federation.site("North", proxy.port, *RULE)
    await north.until(proxy.held.is_set, "upload")
    await _check_that_it_is_half_sent(federation)
    await north.kill()
    proxy.let_go()
    return [south, await federation.site("North", proxy.port, *RULE)]


async def _check_that_it_is_half_sent(federation: Federation) -> None:
    status = await federation.status()
    assert status["round"] == 1 and not status["sites"]["North"]["sent"]  # type: ignore[index]


async def _coordinator_killed_while_awaiting(federation: Federation, proxy: CuttingProxy) -> list[Program]:
    coordinator = await federation.coordinator()
    south = await federation.site("South", federation.port, *RULE)
    north = await federation.site("North", proxy.port)
    await north.until_said("needs approval")
    await south.until_said("receipt for")
    await coordinator.until_said("North: needs approval")
    await coordinator.kill()
    await federation.coordinator()
    status = await federation.status()
    assert status["phase"] == "open" and status["sites"]["South"]["sent"]  # type: ignore[index]
    assert status["sites"]["North"]["awaits_approval"]  # type: ignore[index]
    await north.kill()
    return [south, await federation.site("North", proxy.port, *RULE)]


async def _coordinator_killed_while_uploading(federation: Federation, proxy: CuttingProxy) -> list[Program]:
    coordinator = await federation.coordinator()
    south = await federation.site("South", federation.port, *RULE)
    proxy.hold_up_at = _MIDDLE_OF_AN_UPLOAD
    north = await federation.site("North", proxy.port, *RULE)
    await north.until(proxy.held.is_set, "upload")
    await _check_that_it_is_half_sent(federation)
    await coordinator.kill()
    proxy.let_go()
    await federation.coordinator()
    return [south, north]


async def _coordinator_killed_while_combining(federation: Federation, proxy: CuttingProxy) -> list[Program]:
    coordinator = await federation.coordinator()
    sites = [await federation.site(name, federation.port, *RULE) for name in SITES]
    await coordinator.until_said("round 1 closed")
    await coordinator.kill()
    again = await federation.coordinator()
    await again.until_said("round 2 closed")
    await again.kill()
    await federation.coordinator()
    return sites


@pytest.mark.parametrize(
    "scenario",
    [
        _site_killed_while_training,
        _site_killed_while_awaiting,
        _site_killed_while_uploading,
        _coordinator_killed_while_awaiting,
        _coordinator_killed_while_uploading,
        _coordinator_killed_while_combining,
    ],
    ids=lambda scenario: scenario.__name__.strip("_"),
)
def test_that_a_kill_changes_nothing(scenario: Scenario, federation: Federation, undisturbed: str) -> None:
    assert _play(federation, scenario) == undisturbed


def test_that_a_kill_changes_nothing_where_adapters_travel_in_fewer_bits(
    tmp_path: Path, tiny_model: Path, notes: dict[str, Path]
) -> None:
    """What rounding took, at the sites and at the coordinator, is there again after it."""
    spec = _founded(tmp_path / "spec", tiny_model, transfer={"dtype": "int4", "down": True})
    expected = _undisturbed(Federation(tmp_path / "calm", spec, tiny_model, notes))
    assert (
        _play(Federation(tmp_path / "killed", spec, tiny_model, notes), _coordinator_killed_while_combining) == expected
    )
    ledger = (tmp_path / "killed" / "coordinator" / "coordinator.sqlite").read_bytes()
    assert b'"difference":{"sha256"' in ledger
