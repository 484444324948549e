# SPDX-License-Identifier: Apache-2.0
"""A line that goes wrong in every way and in each phase of a round: nothing is lost, nothing hangs.

Here a few seeds; `packaging/benchmarks/faults.py` runs hundreds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.coordinator.certificate import own_certificate
from fedmed_desktop.protocol.messages import Message, Missing, Receipt, Want
from fedmed_desktop.protocol.transfer import Chunk
from fedmed_desktop.site import Jobs, link
from fedmed_desktop.site.download import Downloads
from fedmed_desktop.site.tls import context_for
from fedmed_desktop.storage import BlobStore
from tests.parts.bad_network import SITES, Marks, Run, federation, impatient, invited, measured, planned, served
from tests.parts.faulty_line import Fault, FaultyLine
from tests.parts.federation import INITIAL, moved, result_of, small_spec
from tests.parts.loopback import PATIENCE, RawSite, agent, all_of, coordinator, running, until
from tests.parts.told import told_as

pytestmark = pytest.mark.integration

# One of each kind.
SEEDS = (7, 13, 19, 25, 32, 43, 53, 57, 67, 79)


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


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "tls"), [*((seed, True) for seed in SEEDS), *((seed, False) for seed in SEEDS[::2])])
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


async def test_that_a_man_in_the_middle_is_found_out_before_the_site_says_anything(tmp_path: Path, jobs: Jobs) -> None:
    """He passes everything on, word for word, between two encrypted lines; on the site's the key is his own."""
    heard = bytearray()

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port, ssl=context_for(roots=False))

        async def pass_on(come: asyncio.StreamReader, go: asyncio.StreamWriter) -> None:
            while data := await come.read(2**14):
                if go is far_writer:
                    heard.extend(data)
                go.write(data)
                await go.drain()

        with contextlib.suppress(OSError):
            await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))
        far_writer.transport.abort()

    his = own_certificate(tmp_path / "his", ["127.0.0.1"], datetime.now(UTC))
    async with (
        served(tmp_path / "c", True, []) as (host, port),
        await asyncio.start_server(between, "127.0.0.1", 0, ssl=his.context) as server,
    ):
        given = await asyncio.to_thread(invited, tmp_path / "c", SITES[0], server.sockets[0].getsockname()[1])
        with told_as("stands between"):
            await asyncio.wait_for(agent(tmp_path, SITES[0], port, jobs, [], invitation=given).run(), PATIENCE)
        assert heard.startswith(b"GET / ") and given.code.hex().encode() not in bytes(heard)
        assert not host.admission.member(SITES[0])


async def test_that_a_site_whose_question_came_as_another_one_asks_again(tmp_path: Path) -> None:
    """It waited for ever: what was missing was not what it had asked for."""
    said = list[Message]()

    async def send(message: Message) -> None:
        said.append(message)

    downloads = Downloads("A", BlobStore(tmp_path), send, lambda event: None, lambda event: None)
    fetching = asyncio.create_task(downloads.fetch("ab" * 32, 1))
    await until(lambda: len(said) == 1)
    await downloads.missing("aa" * 32)
    assert said == [Want(sha256="ab" * 32)] * 2
    await downloads.missing("ab" * 32)
    with told_as("is not on this disk"):
        await fetching


async def test_that_a_coordinator_whose_question_came_as_another_one_asks_again(tmp_path: Path) -> None:
    spec = small_spec(rounds=1, sites=1, quorum=1)
    async with coordinator(tmp_path, spec, []) as (_, port), RawSite(port) as site:
        await site.join()
        result = result_of(await site.plan(), INITIAL, moved(INITIAL, 1))
        await site.say(site.offered(result.update))
        want = await site.hear(Want)
        data = result.blobs["adapter"]
        await site.say(Chunk(want.sha256, 0, len(data), data[:400]).encode())
        await site.say(Missing(sha256="aa" * 32))
        assert await site.hear(Want) == Want(sha256=want.sha256, offset=400)
        await site.send(want.sha256, data, 400)
        await site.hear(Receipt)
