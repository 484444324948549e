# SPDX-License-Identifier: Apache-2.0
"""Limits of sites that have joined, or try codes, over real sockets: what each costs its site, and nobody else."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from fedmed_desktop import events
from fedmed_desktop.coordinator import limits, server
from fedmed_desktop.lora import Adapter
from fedmed_desktop.protocol.messages import Goodbye, Missing, Progress, Receipt, Refused, Standing, Want, encode
from fedmed_desktop.protocol.transfer import Chunk, decode_chunk
from tests.parts.federation import FINGERPRINT, INITIAL, moved, result_of, small_spec
from tests.parts.loopback import RawSite, all_of, coordinator, until

# Far more than the buffers of a socket hold.
WIDE_SHAPES = {"model.layers.0.mlp.up_proj": (2**17, 2**16)}
TWO = small_spec(rounds=1, sites=2, quorum=2)


async def test_that_a_site_that_talks_without_end_is_parted_with_and_may_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MESSAGES_AT_ONCE", 20)
    async with coordinator(tmp_path, TWO, []) as (_, port), RawSite(port, "quiet", "2" * 64) as quiet:
        await quiet.join()
        async with RawSite(port, "loud", "1" * 64) as loud:
            await loud.join()
            for _ in range(22):
                await loud.line.send(encode(Progress(round=1, phase="training")))
            goodbye = await loud.hear(Goodbye)
            assert (goodbye.code, goodbye.final) == ("limit.messages", False)
        async with RawSite(port, "loud", "1" * 64) as again:
            await again.join()
        await quiet.hear(Standing)


async def test_that_only_so_many_sites_upload_at_once_and_each_gets_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UPLOAD_SLOTS", 1)
    async with (
        coordinator(tmp_path, TWO, []) as (host, port),
        RawSite(port, "first", "1" * 64) as first,
        RawSite(port, "second", "2" * 64) as second,
    ):
        sites = [first, second]
        for site in sites:
            await site.join()
        made = [result_of(await site.plan(), INITIAL, moved(INITIAL, number)) for number, site in enumerate(sites, 1)]
        await first.say(first.offered(made[0].update))
        want = await first.hear(Want)
        await second.say(second.offered(made[1].update))
        await second.say(Want(sha256="0" * 64))
        assert not isinstance(await second.next(), Want)  # what was asked later is answered
        await second.hear(Missing)
        await first.send(want.sha256, made[0].blobs["adapter"])
        await first.hear(Receipt)
        want = await second.hear(Want)
        await second.send(want.sha256, made[1].blobs["adapter"])
        await second.hear(Receipt)
        await until(lambda: bool(host.rounds.state.history))


async def test_that_an_upload_that_stands_still_gives_way_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UPLOAD_SLOTS", 1)
    monkeypatch.setattr(limits, "TRANSFER_PATIENCE", 0.0)
    monkeypatch.setattr(server, "_SLOTS_SECONDS", 0.02)
    async with (
        coordinator(tmp_path, TWO, []) as (host, port),
        RawSite(port, "still", "1" * 64) as still,
        RawSite(port, "next", "2" * 64) as following,
    ):
        for site in (still, following):
            await site.join()
        made = result_of(await still.plan(), INITIAL, moved(INITIAL, 1))
        blob = made.blobs["adapter"]
        await still.say(still.offered(made.update))
        want = await still.hear(Want)
        await still.say(Chunk(want.sha256, 0, len(blob), blob[:400]).encode())
        other = result_of(await following.plan(), INITIAL, moved(INITIAL, 2))
        await following.offer(other)
        await following.hear(Receipt)
        await still.send(want.sha256, blob, offset=400)
        assert (await still.hear(Goodbye)).code == "limit.transfer"
        async with RawSite(port, "still", "1" * 64) as again:
            await again.join()
            await again.plan()
            await again.offer(made)
            await again.hear(Receipt)
        await until(lambda: bool(host.rounds.state.history))


@pytest.mark.slow  # 40 s: what the deaf site was sent comes through its small buffer at last
async def test_that_only_so_many_sites_download_at_once_and_who_does_not_read_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DOWNLOAD_SLOTS", 1)
    monkeypatch.setattr(limits, "TRANSFER_PATIENCE", 0.1)
    monkeypatch.setattr(server, "_SLOTS_SECONDS", 0.02)
    wide = Adapter.initial(WIDE_SHAPES, 16, 2.0, seed=0)
    base = {"fingerprint": FINGERPRINT, "initial": wide.sha256, "modules": WIDE_SHAPES}
    spec = small_spec(rounds=1, sites=3, quorum=2, base=base, lora={"rank": 16, "alpha": 32})
    async with (
        coordinator(tmp_path, spec, [], initial=wide) as (_, port),
        RawSite(port, "deaf", "1" * 64) as deaf,
        RawSite(port, "other", "2" * 64) as other,
    ):
        await deaf.join()
        await other.join()
        deaf.line.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.line.transport.pause_reading()
        await deaf.say(Want(sha256=wide.sha256))
        await other.say(Want(sha256=wide.sha256))
        received = 0
        while received < len(wide.to_blob()):
            if isinstance(frame := await other.next(), bytes):
                received += len(decode_chunk(frame).data)
        deaf.line.transport.resume_reading()
        with pytest.raises(ConnectionClosed):
            while True:
                await deaf.next()


async def test_that_a_site_cannot_fill_the_disk_with_updates_that_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "KEPT_UPDATES", 0)
    seen: list[events.Event] = []
    spec = small_spec(rounds=1, sites=1, quorum=1)
    async with coordinator(tmp_path, spec, seen) as (_, port), RawSite(port) as site:
        await site.join()
        made = result_of(await site.plan(), INITIAL, moved(INITIAL, 1))
        await site.say(site.offered(made.update))
        assert (await site.hear(Refused)).code == "update.disk_quota"
    assert [event.code for event in all_of(seen, events.UpdateRefused)] == ["update.disk_quota"]


async def test_that_a_site_cannot_fill_the_audit_chain_with_offers_that_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_REFUSALS_PER_MINUTE", 3)
    seen: list[events.Event] = []
    async with coordinator(tmp_path, TWO, seen) as (_, port), RawSite(port, "other", "2" * 64) as other:
        await other.join()
        for _ in range(2):  # on a new connection it goes on where it was
            async with RawSite(port, "loud", "1" * 64) as loud:
                await loud.join()
                plan = await loud.plan()
                for number in range(4):
                    late = plan.model_copy(update={"round": 7 + number})
                    await loud.say(loud.offered(result_of(late, INITIAL, moved(INITIAL, 1)).update))
                await loud.say(loud.offered(result_of(late, INITIAL, moved(INITIAL, 1)).update, plan))
                assert (await loud.hear(Goodbye)).code == "limit.messages"
    assert len(all_of(seen, events.UpdateRefused)) == 3


async def test_that_codes_can_be_tried_a_few_times_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_GUESSES_PER_MINUTE", 3)
    async with coordinator(tmp_path, TWO, []) as (_, port):

        async def tried(number: int) -> Goodbye:
            async with RawSite(port, f"site {number}", f"{number:064}") as site:
                await site.greet(code=f"{number:032x}")
                return await site.hear(Goodbye)

        goodbyes = [await tried(number) for number in range(5)]
        assert [one.code == "limit.guesses" for one in goodbyes] == [False, False, False, True, True]
        assert not goodbyes[-1].final
        async with RawSite(port) as site:  # who has none to guess is let in
            await site.join()
