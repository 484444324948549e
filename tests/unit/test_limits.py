# SPDX-License-Identifier: Apache-2.0
"""Counters of the coordinator's limits."""

from __future__ import annotations

import pytest

from fedmed_desktop.coordinator import limits
from fedmed_desktop.coordinator.limits import Bucket, DiskShare, Guesses, Pace, PerMinute, Slots, origin
from fedmed_desktop.protocol.transfer import CHUNK, Chunk
from tests.parts.clock import Clock
from tests.parts.told import told_as


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_bucket_gives_a_burst_and_then_its_rate(clock: Clock) -> None:
    bucket = Bucket(3, 2.0, clock)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.now += 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.now += 3600
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_goes_back_takes_nothing_away(clock: Clock) -> None:
    bucket = Bucket(1, 1.0, clock)
    clock.now -= 100
    assert bucket.take() and not bucket.take()


def test_addresses_do_not_share_their_minute_and_only_so_many_are_remembered(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_ADDRESSES", 10)
    joins = PerMinute(2, clock)
    assert joins.take("a") and joins.take("a") and not joins.take("a") and joins.take("b")
    for number in range(100):
        joins.take(str(number))
    assert len(joins) == 10


def test_wrong_codes_are_limited_for_an_address_until_a_while_later(clock: Clock) -> None:
    guesses = Guesses(clock)
    for number in range(limits.MAX_GUESSES_PER_MINUTE):
        guesses.check(f"2001:db8::{number}")
        guesses.wrong(f"2001:db8::{number}")  # one network
    with told_as("Too many wrong codes"):
        guesses.check("2001:db8::ffff")
    guesses.check("2001:db8:0:1::1")
    clock.now += 60
    guesses.check("2001:db8::ffff")


def test_a_site_that_talks_without_end_is_stopped_and_full_chunks_are_not_talk(clock: Clock) -> None:
    pace = Pace(clock)
    full = Chunk("0" * 64, 0, CHUNK, bytes(CHUNK)).encode()
    for _ in range(limits.MESSAGES_AT_ONCE):
        pace.heard("{}")
    for _ in range(1000):
        pace.heard(full)
    with told_as("Too many messages") as caught:
        pace.heard(b"a small piece")
    assert caught.value.retryable
    clock.now += 1
    for _ in range(int(limits.MESSAGES_PER_SECOND)):
        pace.heard("{}")


# -- uploads -----------------------------------------------------------------------------------------------------------


def test_only_so_many_upload_at_once_and_the_others_follow_in_order(clock: Clock) -> None:
    slots, begun = Slots(clock, most=2), list[str]()
    for site in ("a", "b", "c", "d"):
        slots.ask(site, lambda site=site: begun.append(site))  # type: ignore[misc]
    assert begun == ["a", "b"] and slots.in_use == 2 and slots.waiting == ["c", "d"]
    slots.leave("b")
    assert begun == ["a", "b", "c"]
    slots.leave("d")  # gone while it waited
    slots.leave("a")
    slots.leave("c")
    assert begun == ["a", "b", "c"] and slots.in_use == 0


def test_a_site_that_asks_again_keeps_its_slot_or_its_place(clock: Clock) -> None:
    slots, begun = Slots(clock, most=1), list[str]()
    slots.ask("a", lambda: begun.append("a"))
    slots.ask("a", lambda: begun.append("the next part of a"))
    slots.ask("b", lambda: begun.append("b"))
    slots.ask("c", lambda: begun.append("c"))
    slots.ask("b", lambda: begun.append("b on its next connection"))
    slots.leave("a")
    assert begun == ["a", "the next part of a", "b on its next connection"]


def test_an_upload_that_stands_still_gives_way_only_where_others_wait(clock: Clock) -> None:
    slots, begun = Slots(clock, most=2), list[str]()
    slots.ask("still", lambda: begun.append("still"))
    slots.ask("moving", lambda: begun.append("moving"))
    clock.now += limits.TRANSFER_PATIENCE + 1
    slots.moved("moving")
    slots.tick()
    slots.moved("still")
    clock.now += limits.TRANSFER_PATIENCE + 1
    slots.moved("moving")
    slots.ask("next", lambda: begun.append("next"))
    slots.tick()
    assert begun == ["still", "moving", "next"]
    with told_as("another site took its place"):
        slots.moved("still")


def test_a_sites_share_of_the_disk_ends_until_the_next_attempt() -> None:
    disk = DiskShare()
    for _ in range(limits.KEPT_UPDATES):
        disk.check("a", (1, 1), offered=5, largest=5)
        disk.keep("a", 5)
    with told_as("already stores 20 bytes"):
        disk.check("a", (1, 1), offered=1, largest=5)
    disk.check("b", (1, 1), offered=5, largest=5)
    disk.check("a", (1, 2), offered=5, largest=5)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::1", "::1"),
        ("", ""),
    ],
)
def test_an_address_stands_for_its_network(address: str, found: str) -> None:
    assert origin(address) == found
    assert limits.is_own(found) == (found == "::1")


def test_that_who_comes_from_the_address_that_was_called_is_on_this_computer() -> None:
    assert limits.is_here("127.0.0.1", "127.0.0.1") and limits.is_here("192.0.2.7", "192.0.2.7")
    assert not limits.is_here("192.0.2.8", "192.0.2.7") and not limits.is_here("", "")
