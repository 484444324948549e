# SPDX-License-Identifier: Apache-2.0
"""A line that goes wrong in every way and in each phase of a round: nothing is lost, nothing hangs.

Here a few seeds; `packaging/benchmarks/faults.py` runs hundreds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.site import Jobs, link
from tests.parts.bad_network import SITES, Marks, Run, federation, impatient, invited, measured, planned, served
from tests.parts.faulty_line import Fault, FaultyLine
from tests.parts.loopback import PATIENCE, agent, all_of, running, until
from tests.parts.told import told_as

pytestmark = pytest.mark.integration

# One of each kind, in other phases than each other.
SEEDS = (7, 13, 19, 25, 32, 36, 46, 57, 67, 79)


@pytest.fixture(scope="module", autouse=True)
def _impatient() -> Iterator[None]:
    with impatient():
        yield


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    one = Jobs()
    yield one
    one.close()


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, tuple[Run, Marks]]:
    """Undisturbed federations, with TLS and without."""
    return {tls: asyncio.run(measured(tmp_path_factory.mktemp("calm"), tls)) for tls in (True, False)}


@pytest.mark.parametrize("tls", [True, False], ids=["TLS", "plain"])
@pytest.mark.parametrize("seed", SEEDS)
async def test_that_a_bad_line_costs_time_and_nothing_else(
    seed: int, tls: bool, tmp_path: Path, calm: dict[bool, tuple[Run, Marks]]
) -> None:
    undisturbed, marks = calm[tls]
    _, faults = planned(seed, tls, marks)
    run = await federation(tmp_path, seed, tls, faults, 2 * PATIENCE)
    assert not run.faults, (run.struck, run.faults)
    assert run.final == undisturbed.final


async def test_that_an_answer_that_was_damaged_once_does_not_end_a_site(tmp_path: Path) -> None:
    """Its first bytes then look as if nobody there spoke TLS, which is final only when it is so again and again."""
    run = await federation(tmp_path, 0, True, [Fault("drop", "down", 0)], PATIENCE)
    assert not run.faults and run.connections > 1 and len(run.struck) == 1


async def test_that_what_speaks_no_tls_ends_a_site_that_never_got_further(tmp_path: Path, jobs: Jobs) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.hospital.org ESMTP\r\n")
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    seen = list[events.Event]()
    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server, served(tmp_path / "c", True, []):
        port = server.sockets[0].getsockname()[1]
        given = await asyncio.to_thread(invited, tmp_path / "c", SITES[0], port)
        with told_as("does not encrypt"):
            await asyncio.wait_for(agent(tmp_path, SITES[0], port, jobs, seen, invitation=given).run(), PATIENCE)
    lost = [event.code for event in all_of(seen, events.ConnectionChanged) if event.state == "lost"]
    assert lost == ["link.not_tls"] * 2


async def test_that_a_site_that_was_connected_waits_for_a_gateway_that_speaks_no_tls(
    tmp_path: Path, jobs: Jobs
) -> None:
    seen = list[events.Event]()

    def lost() -> list[str | None]:
        return [event.code for event in all_of(seen, events.ConnectionChanged) if event.state == "lost"]

    async with served(tmp_path / "c", True, []) as (host, port), FaultyLine(port) as line:
        given = await asyncio.to_thread(invited, tmp_path / "c", SITES[0], line.port)
        async with running(agent(tmp_path, SITES[0], line.port, jobs, seen, invitation=given)) as (task,):
            await until(lambda: SITES[0] in host.sessions)
            line.answer_with(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            await until(lambda: lost().count("link.not_tls") > link._MOST_WITHOUT_TLS)
            assert not task.done()
            line.answer_with(None)
            await until(lambda: SITES[0] in host.sessions)
