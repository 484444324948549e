# SPDX-License-Identifier: Apache-2.0
"""Federations over real sockets in which a site's own policy says no, waits for its hours, or wants two people."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop import events
from fedmed_desktop.federation import LocalResult
from fedmed_desktop.federation.policy import InForce
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.protocol import wire
from fedmed_desktop.site import Jobs, Verdict, leaving
from fedmed_desktop.site.policy_file import PolicyFiles
from fedmed_desktop.storage.audit_file import verify_audit
from tests.parts.federation import LORA, NumpyTrainer, small_spec
from tests.parts.loopback import PATIENCE, CuttingProxy, agent, all_of, coordinator, running, until

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
OFFICE = '[[hours]]\nopens = "08:00"\ncloses = "18:00"\n'


class ByUtc:
    """The policy in one file, whose hours are by UTC wherever the test runs."""

    def __init__(self, folder: Path, text: str) -> None:
        self.path = folder / "policy.toml"
        self.write(text)
        self._files = PolicyFiles(self.path, system=folder / "none.toml", user=folder / "none.toml")

    def write(self, text: str) -> None:
        self.path.write_text(text, "utf-8")

    def __call__(self) -> InForce:
        return InForce(self._files().layers, UTC)


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "LOOK_EVERY", 0.02)


async def test_that_a_site_that_is_asked_for_too_high_a_rank_declines_and_the_coordinator_does_not_learn_why(
    tmp_path: Path, jobs: Jobs
) -> None:
    seen, of_a = list[events.Event](), list[events.Event]()
    policy = ByUtc(tmp_path, f'most_rank = {LORA.rank - 1}\ndefault = "allow"')
    spec = small_spec(rounds=2, sites=2, quorum=1)
    async with coordinator(tmp_path / "c", spec, seen) as (host, port), CuttingProxy(port) as proxy:
        proxy.recorded = bytearray()
        one = agent(tmp_path, "A", proxy.port, jobs, of_a, policy=policy)
        two = agent(tmp_path, "B", port, jobs, seen)
        async with running(one, two) as tasks:
            await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
        assert [(record.declined, sorted(record.sites)) for record in host.rounds.state.history] == [
            ({"A": "failed"}, ["B"])
        ] * 2
    failed = all_of(of_a, events.Failed)
    assert {event.code for event in failed} == {"policy.rank"} and failed[0].params["most"] == LORA.rank - 1
    assert b"policy" not in proxy.recorded.lower() and b"most_rank" not in proxy.recorded


async def test_that_an_update_that_is_approved_at_night_leaves_in_the_morning(tmp_path: Path, jobs: Jobs) -> None:
    seen: list[events.Event] = []
    now = [MONDAY + timedelta(hours=3)]
    policy = ByUtc(tmp_path, f'default = "allow"\n{OFFICE}')
    async with coordinator(tmp_path / "c", small_spec(rounds=1, sites=1, quorum=1), seen) as (host, port):
        one = agent(tmp_path, "A", port, jobs, seen, policy=policy, clock=lambda: now[0])
        async with running(one) as (task,):
            await until(lambda: any(event.opens for event in all_of(seen, events.PolicySaid)))
            assert [entry.state for entry in one.record().entries] == ["approved"]
            assert not host.rounds.state.updates and not host.rounds.state.declined
            now[0] = MONDAY + timedelta(hours=8)
            await asyncio.wait_for(task, PATIENCE)
    rules = {(one.decision, one.by, one.rule) for one in one.record().decisions}
    assert {("approved", "rule", "default"), ("released", "agent", "default")} <= rules


class InTurn:
    """Two people at one desk: each is asked in turn; the first tries to do it alone once."""

    def __init__(self) -> None:
        self.names = iter(["ann", "ann", "bob", "ann", "bob"])
        self.asked: list[str] = []

    async def decide(self, entry: Entry) -> Verdict:
        self.asked.append(entry.first_by)
        return Verdict(True, next(self.names), "read it", timedelta(0))


async def test_that_two_different_people_approve_each_update(tmp_path: Path, jobs: Jobs) -> None:
    seen, people = list[events.Event](), InTurn()
    policy = ByUtc(tmp_path, "four_eyes = true")
    async with coordinator(tmp_path / "c", small_spec(rounds=1, sites=1, quorum=1), seen) as (_, port):
        one = agent(tmp_path, "A", port, jobs, seen, approver=people, policy=policy)
        async with running(one) as (task,):
            await asyncio.wait_for(task, PATIENCE)
    assert people.asked == ["", "ann", "ann", "", "ann"]
    assert [event.code for event in all_of(seen, events.Warned)] == ["policy.same_person"]
    approvals = [(one.decision, one.by, one.rule) for one in one.record().decisions if "approved" in one.decision]
    assert approvals == [("first_approved", "ann", "four_eyes"), ("approved", "bob", "four_eyes")] * 2


async def test_that_a_policy_that_is_mended_while_an_update_waits_lets_it_go(tmp_path: Path, jobs: Jobs) -> None:
    seen: list[events.Event] = []
    policy = ByUtc(tmp_path, 'default = "ask"')
    async with coordinator(tmp_path / "c", small_spec(rounds=1, sites=1, quorum=1), seen) as (_, port):
        one = agent(tmp_path, "A", port, jobs, seen, policy=policy)
        async with running(one) as (task,):
            await until(lambda: "policy.asks" in {event.code for event in all_of(seen, events.PolicySaid)})
            policy.write('default = "allow"')
            await asyncio.wait_for(task, PATIENCE)


async def test_that_the_chain_names_the_scores_that_were_kept_where_the_policy_changed_meanwhile(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, policy = NumpyTrainer(), ByUtc(tmp_path, 'default = "allow"')

    def evaluate(*given: Any) -> LocalResult:
        policy.write('default = "allow"\nscalars = ["notes", "update_norm"]')
        return NumpyTrainer.evaluate(trainer, *given)

    monkeypatch.setattr(trainer, "evaluate", evaluate)
    async with coordinator(tmp_path / "c", small_spec(rounds=1, sites=1, quorum=1), []) as (_, port):
        one = agent(tmp_path, "A", port, jobs, [], trainer, policy=policy)
        async with running(one) as (task,):
            await asyncio.wait_for(task, PATIENCE)
    ended = [row for row in verify_audit(tmp_path / "A").file.rows if row["action_code"] == "training_ended"]
    assert [row["object_hash"] for row in ended] == [entry.sha256 for entry in one.record().entries]


class UntilItMoves(list[events.Event]):
    """What a site tells; with its first byte the clock goes on to the night."""

    def __init__(self, now: list[datetime]) -> None:
        super().__init__()
        self._now = now

    def append(self, event: events.Event) -> None:
        super().append(event)
        if isinstance(event, events.TransferProgress) and event.direction == "up" and event.bytes < event.total:
            self._now[0] = max(self._now[0], MONDAY + timedelta(hours=20))


async def test_that_a_transfer_rests_at_the_end_of_the_hours_and_goes_on_where_it_was(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "CHUNK", 300)
    now = [MONDAY + timedelta(hours=17)]
    seen = UntilItMoves(now)
    policy = ByUtc(tmp_path, f'default = "allow"\n{OFFICE}')
    async with coordinator(tmp_path / "c", small_spec(rounds=1, sites=1, quorum=1), []) as (host, port):
        one = agent(tmp_path, "A", port, jobs, seen, policy=policy, clock=lambda: now[0])
        async with running(one) as (task,):
            await until(lambda: now[0].hour == 20)
            moved = [event.bytes for event in all_of(seen, events.TransferProgress) if event.direction == "up"]
            assert moved == [300] and not host.rounds.state.updates
            now[0] = MONDAY + timedelta(hours=32)
            await asyncio.wait_for(task, PATIENCE)
    moved = [event.bytes for event in all_of(seen, events.TransferProgress) if event.direction == "up"]
    assert moved == sorted(set(moved)), "no byte went twice"


async def test_that_a_part_is_asked_about_once_more_before_its_first_byte(tmp_path: Path, jobs: Jobs) -> None:
    """The offer is out when the policy comes to say no: the coordinator is told that there is no such part."""
    seen: list[events.Event] = []
    policy = ByUtc(tmp_path, 'default = "allow"')
    async with coordinator(tmp_path / "c", small_spec(rounds=1, sites=1, quorum=1), seen) as (host, port):
        one = agent(tmp_path, "A", port, jobs, seen, policy=policy)
        send = one._link.send

        async def and_then_denied(message: object) -> None:
            await send(message)  # type: ignore[arg-type]
            if getattr(message, "type", "") == "offer":
                policy.write('default = "deny"')

        one._link.send = and_then_denied  # type: ignore[method-assign,assignment]
        async with running(one):
            await until(lambda: [entry.state for entry in one.record().entries] == ["refused"])
            assert not host.rounds.state.updates
