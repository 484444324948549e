# SPDX-License-Identifier: Apache-2.0
"""Coordinator and sites on machines of their own, joined by invitation over TLS, with the real command line.

Each machine is a network namespace with an address of its own; where those are not allowed, one more loopback address
of this computer (then `on` in the output of `-rP` begins with 127).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop.resources import resource
from fedmed_desktop.storage.registry import REGISTRY_FILE
from tests.parts.machines import Machine, Program, machines

pytestmark = [pytest.mark.slow, pytest.mark.integration]

SITES = ("Hillcrest", "Lakeview")
RULE = ("--approve-rule", "agreed in writing")
PORT = 8765


@pytest.fixture(scope="module")
def three() -> Iterator[list[Machine]]:
    with machines(3) as found:
        print(f"on {[one.address for one in found]}")
        yield found


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A federation of the bundled model: one round of three steps, without answers, which would take minutes."""
    out = tmp_path_factory.mktemp("federation")
    here = Machine("127.0.0.1")
    model = ("--model", resource("demo_model"), "--notes-types", "drug,problem")
    length = ("--sites", "2", "--quorum", "2", "--rounds", "1", "--steps", "3")
    asyncio.run(here.does("--new-federation", *model, *length, "--out", out))
    file = out / "federation.toml"
    file.write_text(file.read_text().replace('score_on = "answers"', 'score_on = "loss"'))
    return file


def play(scenario: Callable[[list[Program]], Awaitable[None]]) -> None:
    """Runs a scenario, which names the programs that it starts; none of them outlives it."""

    async def played() -> None:
        started: list[Program] = []
        try:
            await scenario(started)
        finally:
            for program in started:
                await program.kill()

    asyncio.run(played())


async def served(machine: Machine, spec: Path, data: Path, *options: str | Path) -> Program:
    return await machine.start("--coordinator", "--config", spec, "--data-dir", data, *options)


async def joined(machine: Machine, name: str, data: Path, *options: str | Path) -> Program:
    notes = resource("demo_notes") / name
    model = ("--model", resource("demo_model"), "--notes", notes)
    return await machine.start("--site", *model, "--data-dir", data, *options, *RULE)


def public(machine: Machine) -> tuple[str, ...]:
    return "--host", "0.0.0.0", "--port", str(PORT), "--public-address", f"{machine.address}:{PORT}"


def combined(coordinator: Program) -> str:
    """The whole hash would need the ledger; the line has its first twelve digits."""
    found = re.search(r"round 1 combined: ([0-9a-f]{12})", "\n".join(coordinator.lines))
    assert found, coordinator.told()
    return found[1]


def adapters(folder: Path) -> dict[str, bytes]:
    """Files of a site's final adapter; its model card also says what the clock decided: how far the probes came."""
    files = sorted((folder / "final").iterdir())
    assert "README.md" in [file.name for file in files]
    return {file.name: file.read_bytes() for file in files if file.name != "README.md"}


def test_across_machines_the_result_is_the_same_as_on_one(three: list[Machine], spec: Path, tmp_path: Path) -> None:
    async def on_one(started: list[Program]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        here, folder = Machine("127.0.0.1"), tmp_path / "one"
        started.append(await served(here, spec, folder / "coordinator", "--port", port))
        await started[0].until("ws://127.0.0.1:")
        for name in SITES:
            where = ("--join", f"ws://127.0.0.1:{port}", "--name", name)
            started.append(await joined(here, name, folder / name, *where))
        await ended(started)

    async def on_three(started: list[Program]) -> None:
        host, folder = three[0], tmp_path / "three"
        data = folder / "coordinator"
        started.append(await served(host, spec, data, *public(host)))
        await started[0].until("Sites join with an invitation")
        assert "wss://0.0.0.0:" in started[0].told()
        for name, machine in zip(SITES, three[1:], strict=True):
            said = await host.does("--invite", name, "--data-dir", data, "--out", folder)
            assert said.startswith("fedmed:"), said
            file = folder / f"{name}.fedmed"
            started.append(await joined(machine, name, folder / name, "--invitation", file))
        await ended(started)

    async def ended(started: list[Program]) -> None:
        for site in started[1:]:
            assert await site.wait() == 0, site.told()
            assert "The federation has finished" in site.told()
        await started[0].until("federation: finished")
        results.append(combined(started[0]))

    results: list[str] = []
    play(on_one)
    play(on_three)
    assert results[0] == results[1]
    for name in SITES:
        assert adapters(tmp_path / "one" / name) == adapters(tmp_path / "three" / name)


def test_sites_may_start_before_the_coordinator_and_the_host_confirms_and_revokes_them(
    three: list[Machine], spec: Path, tmp_path: Path
) -> None:
    async def scenario(started: list[Program]) -> None:
        host, elsewhere, name, data = three[0], three[1], SITES[0], tmp_path / "coordinator"
        own = (name, "--data-dir", data)
        line = await host.does("--invite", *own, "--out", tmp_path, "--public-address", f"{host.address}:{PORT}")
        site = await joined(elsewhere, name, tmp_path / name, "--invitation", line.splitlines()[0])
        started.append(site)
        await site.until("does not answer")
        coordinator = await served(host, spec, data, *public(host), "--confirm-sites")
        started.append(coordinator)
        words = (await site.until("This site waits")).partition("phone: ")[2].partition(".")[0]
        (waiting,) = await sites_of(host, data)
        assert (waiting["name"], waiting["state"], waiting["words"]) == (name, "waiting", words)
        assert len(words.split("-")) == 6 and f"{name}: joined" not in coordinator.told()
        assert "is admitted" in await host.does("--confirm", *own)
        await site.until("takes part in")
        await host.does("--revoke", *own)
        assert await site.wait() != 0
        assert (await sites_of(host, data))[0]["state"] == "revoked"
        took = coordinator.when(f"{name}: left") - revoked_at(data)
        print(f"a revocation ended the connection after {took:.2f} s")
        assert took < 3, "promised: 1 s; a busy computer is slower"
        again = await joined(elsewhere, name, tmp_path / name)
        started.append(again)
        assert await again.wait() != 0
        assert "shut out" in again.told()

    play(scenario)


async def sites_of(host: Machine, data: Path) -> list[dict[str, Any]]:
    return list(json.loads(await host.does("--sites", "--data-dir", data, "--json"))["sites"])


def revoked_at(data: Path) -> float:
    """When the registry wrote it."""
    with contextlib.closing(sqlite3.connect(f"{(data / REGISTRY_FILE).as_uri()}?mode=ro", uri=True)) as registry:
        ((time,),) = registry.execute("SELECT time FROM events ORDER BY seq DESC LIMIT 1")
    return datetime.fromisoformat(time).timestamp()
