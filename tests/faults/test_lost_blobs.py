# SPDX-License-Identifier: Apache-2.0
"""Stored adapters that are damaged or lost: nothing of them is combined, and the round waits until they are back."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop import events
from fedmed_desktop.coordinator import Host
from fedmed_desktop.coordinator.founding import adopt_initial, write_federation
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation.spec import BaseModelSpec, LoraSettings
from fedmed_desktop.lora import Adapter
from fedmed_desktop.protocol.messages import Decline, Finished, Goodbye, Missing, Receipt, Want
from fedmed_desktop.protocol.transfer import Chunk
from fedmed_desktop.site import Jobs
from fedmed_desktop.storage import BlobStore
from tests.parts.federation import FINGERPRINT, INITIAL, NumpyTrainer, moved, result_of, small_spec
from tests.parts.loopback import PATIENCE, CuttingProxy, RawSite, agent, all_of, coordinator, running, stop, until

pytestmark = pytest.mark.integration

TWO = small_spec(rounds=2, sites=2, quorum=2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


HARM: dict[str, Callable[[Path], object]] = {
    "one bit": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "missing": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"{}" * 300),
}


@pytest.fixture
def jobs() -> Iterator[list[Jobs]]:
    both = [Jobs(), Jobs()]
    yield both
    for one in both:
        one.close()


async def calm(folder: Path, jobs: list[Jobs]) -> set[str]:
    """The final hash where nothing happens."""
    async with coordinator(folder / "c", TWO, []) as (_, port):
        agents = [agent(folder, name, port, one, []) for name, one in zip("AB", jobs, strict=True)]
        async with running(*agents) as tasks:
            return set(await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The final hash where nothing happens, for all that compare with it."""
    both = [Jobs(), Jobs()]
    try:
        return asyncio.run(calm(tmp_path_factory.mktemp("calm"), both))
    finally:
        for one in both:
            one.close()


def stored_part(host: Host, site: str) -> Path:
    return host.blobs.path(host.rounds.state.updates[site].parts["adapter"].sha256)


@pytest.mark.parametrize("harm", HARM)
async def test_that_a_damaged_update_is_fetched_again_from_its_site(
    harm: str, tmp_path: Path, jobs: list[Jobs], expected: set[str]
) -> None:
    slow, seen = NumpyTrainer(ord("B")), list[events.Event]()
    slow.hold.clear()
    async with coordinator(tmp_path / "c", TWO, seen) as (host, port):
        host.retry = 0.05
        agents = [agent(tmp_path, "A", port, jobs[0], []), agent(tmp_path, "B", port, jobs[1], [], slow)]
        async with running(*agents) as tasks:
            await until(lambda: list(host.rounds.state.updates) == ["A"])
            HARM[harm](stored_part(host, "A"))
            slow.hold.set()
            assert set(await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)) == expected
    (paused,) = all_of(seen, events.FederationPaused)
    assert (paused.reason, paused.params) == ("coordinator.lost_update", {"round": 1, "sites": "A"})
    assert [event.round for event in all_of(seen, events.FederationResumed)] == [1]


async def test_that_the_round_waits_for_a_site_that_is_away_also_over_a_restart(
    tmp_path: Path, jobs: list[Jobs], expected: set[str]
) -> None:
    slow = NumpyTrainer(ord("B"))
    slow.hold.clear()
    async with coordinator(tmp_path / "c", TWO, []) as (host, port):
        host.retry = 0.05
        heard = list[events.Event]()
        one, two = agent(tmp_path, "A", port, jobs[0], []), agent(tmp_path, "B", port, jobs[1], heard, slow)
        async with running(two):
            away = asyncio.create_task(one.run())
            await until(lambda: list(host.rounds.state.updates) == ["A"])
            await stop(away)
            flip(stored_part(host, "A"))
            slow.hold.set()
            await until(lambda: host.lost.sites == ["A"])
            await until(lambda: "paused" in [event.phase for event in all_of(heard, events.StandingChanged)])
            assert host.rounds.state.phase == "combining" and host._fault is not None and not host._fault.done()
    async with coordinator(tmp_path / "c", TWO, []) as (host, port):
        host.retry = 0.05
        await until(lambda: host.lost.sites == ["A"])
        agents = [agent(tmp_path, name, port, one, []) for name, one in zip("AB", jobs, strict=True)]
        async with running(*agents) as tasks:
            assert set(await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)) == expected
            assert host.held_up.reason is None and host.lost.sites == []


async def test_that_only_the_right_bytes_from_the_right_site_are_taken(tmp_path: Path) -> None:
    """Wrong bytes, a site that has lost it too, and another site: the round waits on, and the true bytes end it."""
    spec, seen = small_spec(rounds=1, sites=1, quorum=1), list[events.Event]()
    async with (
        coordinator(tmp_path, spec, seen) as (host, port),
        RawSite(port) as site,
        RawSite(port, "b", "b" * 64) as other,
    ):
        host.retry = 0.05
        await site.join()
        await other.join()
        result = result_of(await site.plan(), INITIAL, moved(INITIAL, 1))
        accept = host.accept

        async def then_harm(name: str, *arrived: object) -> None:
            flip(host.blobs.path(result.update.parts["adapter"].sha256))
            await accept(name, *arrived)  # type: ignore[arg-type]

        host.accept = then_harm  # type: ignore[method-assign]
        await site.say(site.offered(result.update))
        want = await site.hear(Want)
        data = result.blobs["adapter"]
        await site.send(want.sha256, data)
        await site.hear(Receipt)
        again = await site.hear(Want)
        assert again == Want(sha256=want.sha256, offset=0)
        await other.send(want.sha256, data)
        await site.say(Missing(sha256=want.sha256))
        await until(lambda: [one.code for one in all_of(seen, events.Warned)] == ["coordinator.update_gone"])
        await site.hear(Want)
        await site.send(want.sha256, data[:-1] + bytes([data[-1] ^ 1]))
        await site.say(Chunk(want.sha256, 0, len(data) + 1, data[:10]).encode())
        await site.hear(Want)
        assert host.rounds.state.phase == "combining"
        await site.send(want.sha256, data)
        await until(lambda: host.rounds.state.round == 2)


async def test_that_a_line_that_is_cut_while_a_lost_part_comes_back_costs_what_was_on_the_way(
    tmp_path: Path, jobs: list[Jobs]
) -> None:
    wide = {"model.layers.0.mlp.up_proj": (60_000, 8)}
    initial = Adapter.initial(wide, 4, 2.0, seed=0)
    size = len(initial.to_blob())
    spec = small_spec(
        rounds=1,
        sites=2,
        quorum=2,
        base=BaseModelSpec(fingerprint=FINGERPRINT, initial=initial.sha256, modules=wide),
        lora=LoraSettings(rank=4, alpha=8),
    )
    slow = NumpyTrainer(ord("B"))
    slow.hold.clear()
    async with (
        coordinator(tmp_path / "c", spec, [], initial=initial) as (host, port),
        CuttingProxy(port, cuts_up=(size + 800_000,)) as proxy,
    ):
        host.retry = 0.5
        agents = [agent(tmp_path, "A", proxy.port, jobs[0], []), agent(tmp_path, "B", port, jobs[1], [], slow)]
        async with running(*agents) as tasks:
            await until(lambda: list(host.rounds.state.updates) == ["A"])
            stored_part(host, "A").unlink()
            slow.hold.set()
            await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
        assert proxy.connections == 2 and 2 * size < proxy.bytes["up"] < 2.5 * size


@pytest.mark.parametrize("harm", HARM)
async def test_that_a_site_fetches_a_start_again_that_was_damaged_on_its_disk(
    harm: str, tmp_path: Path, jobs: list[Jobs], expected: set[str]
) -> None:
    heard, slow = list[events.Event](), NumpyTrainer(ord("A"))
    slow.hold.clear()
    async with coordinator(tmp_path / "c", TWO, []) as (_, port), running(agent(tmp_path, "B", port, jobs[1], [])):
        one = asyncio.create_task(agent(tmp_path, "A", port, jobs[0], heard, slow).run())
        await until(lambda: bool(all_of(heard, events.PlanFetched)))
        await stop(one)
        HARM[harm](tmp_path / "A" / "blobs" / INITIAL.sha256)
        again = agent(tmp_path, "A", port, jobs[0], heard)
        assert {await asyncio.wait_for(again.run(), PATIENCE)} == expected
    assert all_of(heard, events.Failed) == []


# -- the coordinator's own adapters --------------------------------------------------------------------------------


async def test_that_a_start_that_is_lost_is_named_and_the_round_goes_on_once_it_is_back(
    tmp_path: Path, jobs: list[Jobs], expected: set[str]
) -> None:
    slow, seen = NumpyTrainer(ord("B")), list[events.Event]()
    slow.hold.clear()
    async with coordinator(tmp_path / "c", TWO, seen) as (host, port):
        host.retry = 0.05
        agents = [agent(tmp_path, "A", port, jobs[0], []), agent(tmp_path, "B", port, jobs[1], [], slow)]
        async with running(*agents) as tasks:
            await until(lambda: list(host.rounds.state.updates) == ["A"])
            start = host.blobs.path(host.rounds.state.start)
            flip(start)
            slow.hold.set()
            await until(lambda: bool(all_of(seen, events.FederationPaused)))
            paused = all_of(seen, events.FederationPaused)[0]
            assert paused.reason == "coordinator.lost_adapter" and paused.params["sha256"] == INITIAL.sha256
            assert not any(task.done() for task in tasks) and not start.exists()
            shutil.copy(tmp_path / "A" / "blobs" / start.name, start)
            assert set(await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)) == expected
            assert [sorted(record.sites) for record in host.rounds.state.history] == [["A", "B"]] * 2


@pytest.mark.parametrize("harm", HARM)
async def test_that_no_site_loses_its_round_for_a_start_that_the_coordinator_cannot_send(
    harm: str, tmp_path: Path, jobs: list[Jobs], expected: set[str]
) -> None:
    seen, heard = list[events.Event](), list[events.Event]()
    async with coordinator(tmp_path / "c", TWO, seen) as (host, port):
        host.retry = 0.05
        start = host.blobs.path(INITIAL.sha256)
        HARM[harm](start)
        agents = [agent(tmp_path, name, port, one, heard) for name, one in zip("AB", jobs, strict=True)]
        async with running(*agents) as tasks:
            await until(lambda: bool(all_of(seen, events.FederationPaused)))
            assert host.held_up.reason is not None and host.held_up.reason.code == "coordinator.lost_adapter"
            start.write_bytes(INITIAL.to_blob())
            assert set(await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)) == expected
        assert host.held_up.reason is None and len(all_of(seen, events.FederationResumed)) >= 1
        assert all_of(heard, events.Failed) == []
        assert [record.declined for record in host.rounds.state.history] == [{}, {}]


async def test_that_no_site_leaves_a_finished_federation_without_its_adapter(tmp_path: Path, jobs: list[Jobs]) -> None:
    (final,) = await calm(tmp_path, jobs)
    async with coordinator(tmp_path / "c", TWO, []) as (host, port):
        host.retry = 0.05
        path = host.blobs.path(final)
        path.rename(path.with_name("elsewhere"))
        async with RawSite(port, "C", "c" * 64) as third:
            await third.greet()
            goodbye = await third.hear(Goodbye)
            assert (goodbye.code, goodbye.final) == ("coordinator.lost_adapter", False)
        path.with_name("elsewhere").rename(path)
        await until(lambda: host.held_up.reason is None)
        async with RawSite(port, "C", "c" * 64) as third:
            await third.join()
            assert (await third.hear(Finished)).adapter == final


async def test_that_sites_are_told_of_the_end_once_a_lost_final_adapter_is_back(tmp_path: Path) -> None:
    seen = list[events.Event]()
    async with coordinator(tmp_path, small_spec(rounds=1, sites=1, quorum=1), seen) as (host, port):
        host.retry = 0.05
        async with RawSite(port) as site:
            await site.join()
            await site.offer(result_of(await site.plan(), INITIAL, moved(INITIAL, 1)))
            plan = await site.plan()
            path = host.blobs.path(plan.start)
            path.rename(path.with_name("elsewhere"))
            await site.say(Decline(round=plan.round, code="kept"))
            await until(lambda: bool(all_of(seen, events.FederationFinished)))
            assert host.held_up.reason is not None
            path.with_name("elsewhere").rename(path)
            assert (await site.hear(Finished)).adapter == path.name


async def test_that_a_connection_that_is_sent_away_for_a_lost_adapter_leaves_no_task_behind(
    tmp_path: Path, jobs: list[Jobs]
) -> None:
    (final,) = await calm(tmp_path, jobs)
    left = list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda loop, what: left.append(what))
    async with coordinator(tmp_path / "c", TWO, []) as (host, port):
        host.blobs.path(final).unlink()
        for _ in range(3):
            async with RawSite(port, "C", "c" * 64) as third:
                await third.greet()
                await third.hear(Goodbye)
        await until(lambda: not host.sessions)
        gc.collect()
        assert not left


class Trouble:
    """Opening certain files fails, `times` times: too many files are open, or another program holds them."""

    def __init__(self, patch: pytest.MonkeyPatch, meant: Callable[[Path], bool], times: int, number: int) -> None:
        self.left, real = times, Path.open

        def opened(path: Path, *given: Any, **named: Any) -> Any:
            if self.left and meant(path):
                self.left -= 1
                raise OSError(number, os.strerror(number))
            return real(path, *given, **named)

        patch.setattr(Path, "open", opened)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES])
@pytest.mark.parametrize("whose", ["c", "A"])
async def test_that_an_adapter_that_cannot_be_opened_just_now_is_not_taken_for_damaged(
    whose: str, number: int, tmp_path: Path, jobs: list[Jobs], expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the coordinator: the start that sites ask for. At a site: its approved update, which counted as refused."""
    folder, seen = tmp_path / whose / "blobs", list[events.Event]()

    def meant(path: Path) -> bool:
        return path.parent == folder and (path.name == INITIAL.sha256) == (whose == "c")

    async with coordinator(tmp_path / "c", TWO, seen) as (host, port):
        trouble = Trouble(monkeypatch, meant, 3, number)
        agents = [agent(tmp_path, name, port, one, []) for name, one in zip("AB", jobs, strict=True)]
        async with running(*agents) as tasks:
            assert set(await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)) == expected
        assert [record.declined for record in host.rounds.state.history] == [{}, {}]
    assert not trouble.left and not list((folder / "parts").glob("*.damaged"))
    assert all_of(seen, events.UpdateRefused) == []


async def test_that_a_part_that_the_coordinator_may_not_write_costs_no_site_its_round(
    tmp_path: Path, jobs: list[Jobs], expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The goodbye was final, so the site ended; the fourth one refused its update."""
    seen = list[events.Event]()
    async with coordinator(tmp_path / "c", TWO, seen) as (host, port):
        trouble = Trouble(monkeypatch, lambda path: path.parent == host.blobs.folder / "parts", 12, errno.EACCES)
        agents = [agent(tmp_path, name, port, one, []) for name, one in zip("AB", jobs, strict=True)]
        async with running(*agents) as tasks:
            assert set(await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)) == expected
        assert [record.declined for record in host.rounds.state.history] == [{}, {}]
    assert not trouble.left and all_of(seen, events.UpdateRefused) == []


async def test_that_a_blob_whose_sending_fails_is_asked_for_again(
    tmp_path: Path, jobs: list[Jobs], expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is found whole, and cannot be opened a moment later: the other side waited for ever."""
    opened = list[str]()

    def meant(path: Path) -> bool:
        if path.parent not in (tmp_path / "c" / "blobs", tmp_path / "A" / "blobs"):
            return False
        opened.append(f"{path.parent.parent.name} {path.name}")
        return opened.count(opened[-1]) == 2

    async with coordinator(tmp_path / "c", TWO, []) as (_, port):
        trouble = Trouble(monkeypatch, meant, 2, errno.EMFILE)
        agents = [agent(tmp_path, name, port, one, []) for name, one in zip("AB", jobs, strict=True)]
        async with running(*agents) as tasks:
            assert set(await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)) == expected
    assert not trouble.left


@pytest.mark.parametrize("harm", HARM)
def test_that_a_coordinator_does_not_start_without_what_its_round_begins_with(
    harm: str, tmp_path: Path, jobs: list[Jobs]
) -> None:
    asyncio.run(calm(tmp_path, jobs))
    host = Host(TWO, tmp_path / "c", lambda event: None)
    final = host.blobs.path(host.rounds.state.start)
    host._ledger.close()
    HARM[harm](final)
    for _ in range(2):
        with pytest.raises(UserFacingError) as caught:
            Host(TWO, tmp_path / "c", lambda event: None)
        assert caught.value.code == "coordinator.lost_adapter" and caught.value.params["sha256"] == final.name
    shutil.copy(tmp_path / "A" / "blobs" / final.name, final)
    Host(TWO, tmp_path / "c", lambda event: None)._ledger.close()


def test_that_a_damaged_first_adapter_is_taken_again_from_beside_the_specification(tmp_path: Path) -> None:
    path = write_federation(TWO, INITIAL, tmp_path / "spec")
    blobs = BlobStore(tmp_path / "data" / "blobs")
    adopt_initial(path.parent, TWO, tmp_path / "data")  # the folder stands for the file in it
    flip(blobs.path(INITIAL.sha256))
    adopt_initial(path, TWO, tmp_path / "data")
    assert blobs.read(INITIAL.sha256) == INITIAL.to_blob()
