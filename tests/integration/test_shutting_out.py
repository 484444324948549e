# SPDX-License-Identifier: Apache-2.0
"""Sites that the host shuts out while they are there, or in the very moment in which they come."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from websockets.protocol import State

from fedmed_desktop.coordinator import CoordinatorServer, authentication
from fedmed_desktop.coordinator.admission import Admission
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.protocol.messages import Decline, Goodbye, Receipt, Waiting, Welcome
from fedmed_desktop.storage.registry import REGISTRY_FILE, Registry
from fedmed_desktop.storage.roll import Member, Roll
from tests.parts.federation import INITIAL, moved, result_of, small_spec
from tests.parts.loopback import RawSite, coordinator, until

TWO = small_spec(rounds=1, sites=2, quorum=1)


def revoke(folder: Path, site: str) -> None:
    """As the host does beside the coordinator."""
    with closing(Registry(folder / REGISTRY_FILE)) as registry:
        registry.revoke(site, datetime.now(UTC), "host")


async def test_a_round_does_not_wait_for_a_site_that_was_shut_out(tmp_path: Path) -> None:
    async with (
        coordinator(tmp_path, TWO, []) as (host, port),
        RawSite(port, "good", "1" * 64) as good,
        RawSite(port, "bad", "2" * 64) as bad,
    ):
        await good.join()
        await bad.join()
        made = result_of(await good.plan(), INITIAL, moved(INITIAL, 1))
        revoke(tmp_path, "bad")
        assert (await bad.hear(Goodbye)).code == "join.revoked"
        await good.offer(made)
        await good.hear(Receipt)
        await until(lambda: bool(host.rounds.state.history))
        assert host.rounds.state.sites == ["good"] and list(host.rounds.state.plans) == ["good"]


async def test_a_site_that_was_shut_out_while_nobody_served_is_not_asked_at_the_next_start(tmp_path: Path) -> None:
    async with coordinator(tmp_path, TWO, []) as (_, port), RawSite(port, "bad") as bad:
        await bad.join()
    revoke(tmp_path, "bad")
    async with coordinator(tmp_path, TWO, []) as (host, _):
        await until(lambda: host.rounds.state.sites == [])


async def test_a_site_that_is_shut_out_while_it_is_let_in_is_sent_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer, looked = threading.Event(), threading.Event(), threading.Event()

    def slow_phrase(one: str, other: str) -> str:
        asked.set()
        answer.wait(10)
        return "six words"

    look_again = authentication.Authentication.look_again
    monkeypatch.setattr(authentication, "phrase", slow_phrase)
    monkeypatch.setattr(authentication.Authentication, "look_again", lambda self: (look_again(self), looked.set()))
    async with coordinator(tmp_path, TWO, []) as (host, port), RawSite(port, "bad") as bad:
        await bad.greet()
        await until(asked.is_set)
        looked.clear()
        revoke(tmp_path, "bad")
        await until(looked.is_set)
        answer.set()
        message = await bad.next()
        assert isinstance(message, Goodbye) and message.code == "join.revoked"
        assert host.rounds.state.sites == []


async def test_no_round_waits_for_a_site_that_is_shut_out_after_it_was_looked_up_for_the_last_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer, looked = threading.Event(), threading.Event(), threading.Event()
    member, look = Admission.member, CoordinatorServer._look_at_members

    def slow(self: Admission, site: str) -> Member | None:
        found = member(self, site)
        asked.set()
        answer.wait(10)
        return found

    async def noted(self: CoordinatorServer, members: Mapping[str, Member]) -> None:
        await look(self, members)
        if members and members["bad"].state == "revoked":
            looked.set()

    monkeypatch.setattr(Admission, "member", slow)
    monkeypatch.setattr(CoordinatorServer, "_look_at_members", noted)
    async with coordinator(tmp_path, TWO, []) as (host, port), RawSite(port, "bad") as bad:
        await bad.greet()
        await until(asked.is_set)
        revoke(tmp_path, "bad")
        await until(looked.is_set)
        answer.set()
        assert (await bad.hear(Goodbye)).code == "join.revoked"
        await until(lambda: "bad" not in host.sessions and bool(host._ledger.entries()))
        await until(lambda: host.rounds.state.sites == [])


async def test_the_host_still_shuts_out_after_a_fault_of_the_registry_that_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, faults = Registry._read, ["once"]

    @contextmanager
    def faulty(self: Registry) -> Iterator[Roll]:
        if faults and threading.current_thread() is not revoking:
            faults.pop()
            raise UserFacingError("storage.busy", path="registry", retryable=True)
        with read(self) as roll:
            yield roll

    async with coordinator(tmp_path, TWO, []) as (_, port), RawSite(port, "bad") as bad:
        await bad.join()
        revoking = threading.Thread(target=revoke, args=(tmp_path, "bad"))
        monkeypatch.setattr(Registry, "_read", faulty)
        revoking.start()
        assert (await bad.hear(Goodbye)).code == "join.revoked"
        revoking.join()
    assert not faults


async def test_who_is_parted_with_is_heard_no_further(tmp_path: Path) -> None:
    async with coordinator(tmp_path, TWO, []) as (host, port), RawSite(port, "raw", "1" * 64) as site:
        async with RawSite(port, "other", "2" * 64) as other:
            await other.join()
            await site.join()
            await site.plan()
            with closing(Registry(tmp_path / REGISTRY_FILE)) as registry:
                now = datetime.now(UTC)
                code = registry.rotate("raw", timedelta(days=1), now, "host")
                site.line.transport.pause_reading()  # so that the goodbye is not answered
                registry.join(PrivateKey.new().public, site="raw", now=now, code=code)
            session = host.sessions["raw"]
            await until(lambda: session.connection.state is not State.OPEN)  # type: ignore[attr-defined]
            await site.say(Decline(round=1, code="kept"))
            await until(lambda: "raw" not in host.sessions)
            site.line.transport.resume_reading()
        assert host.rounds.state.declined == {}


async def test_the_newest_connection_of_a_site_that_waits_counts(tmp_path: Path) -> None:
    async with coordinator(tmp_path, TWO, [], confirm_sites=True) as (_, port), RawSite(port) as first:
        await first.greet()
        await first.hear(Waiting)
        async with RawSite(port) as second:
            await second.greet()
            await second.hear(Waiting)
            assert (await first.hear(Goodbye)).code == "join.replaced"
            with closing(Registry(tmp_path / REGISTRY_FILE)) as registry:
                registry.confirm("raw", datetime.now(UTC), "host")
            await second.hear(Welcome)
