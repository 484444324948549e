# SPDX-License-Identifier: Apache-2.0
"""What methods ask for beyond one adapter, over real sockets and disks: frozen, halves, control, personal, caps."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from fedmed_desktop import events
from fedmed_desktop.coordinator import Host
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import Control, FederationSpec, Given, LocalResult, Part, Plan
from fedmed_desktop.federation.actions import Combine
from fedmed_desktop.federation.inputs import RoundCombined
from fedmed_desktop.federation.work import Emit, Entry
from fedmed_desktop.lora import Adapter, Module, algebra
from fedmed_desktop.protocol.messages import Ask, Goodbye, Message, NotAsked, Receipt, Want
from fedmed_desktop.protocol.transfer import CHUNK
from fedmed_desktop.site import Jobs, SiteAgent, Verdict
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.adapters import combine_stored
from fedmed_desktop.storage.own import OwnStore
from tests.parts.federation import FINGERPRINT, INITIAL, NumpyTrainer, small_spec
from tests.parts.loopback import PATIENCE, CuttingProxy, RawSite, agent, all_of, coordinator, running, until
from tests.parts.plan import MethodTrainer, dense

pytestmark = pytest.mark.integration

NAMES = ("A", "B", "C")


@dataclass
class Federation:
    """A federation that has run to its end."""

    host: Host
    agents: dict[str, SiteAgent]
    trainers: dict[str, MethodTrainer]
    seen: list[events.Event]

    def adapter(self, sha256: str | None) -> Adapter:
        assert sha256 is not None
        return Adapter.from_blob(self.host.blobs.read(sha256))


@asynccontextmanager
async def federation(
    folder: Path, spec: FederationSpec, caps: dict[str, int] | None = None, names: tuple[str, ...] = NAMES
) -> AsyncIterator[Federation]:
    """Runs all rounds, then hands it over while the coordinator is still open."""
    seen: list[events.Event] = []
    jobs = Jobs()
    try:
        async with coordinator(folder / "c", spec, seen) as (host, port):
            trainers = {name: MethodTrainer(ord(name)) for name in names}
            agents = {
                name: agent(folder, name, port, jobs, seen, trainer, rank_cap=(caps or {}).get(name))
                for name, trainer in trainers.items()
            }
            await asyncio.wait_for(asyncio.gather(*(one.run() for one in agents.values())), PATIENCE)
            assert host.rounds.state.phase == "finished"
            yield Federation(host, agents, trainers, seen)
    finally:
        jobs.close()


def method_spec(name: str, **changes: object) -> FederationSpec:
    return small_spec(**({"rounds": 2, "method": {"name": name}} | changes))  # type: ignore[arg-type]


async def test_that_what_lies_frozen_reaches_every_site_and_is_part_of_its_final_model(tmp_path: Path) -> None:
    async def scenario(name: str) -> None:
        async with federation(tmp_path / name, method_spec(name)) as ran:
            first, last = ran.host.rounds.state.history
            frozen = ran.adapter(last.frozen)
            whole = dense(ran.adapter(last.adapter))
            for site, one in ran.agents.items():
                given = ran.trainers[site].given[2].frozen
                assert ran.trainers[site].given[1].frozen is None and given is not None
                assert given.sha256 == first.frozen
                evaluated = ran.trainers[site].evaluated
                assert evaluated is not None and evaluated.frozen == frozen
                record = one.record()
                assert (record.final, record.final_frozen) == (last.adapter, last.frozen)
                written = one.holdings.save_final(record, tmp_path / name / site, "base")
                assert written.keys() == {"final"}
                exported = dense(Adapter.load_peft(written["final"]))
                for module, other in dense(frozen).items():
                    np.testing.assert_allclose(exported[module], whole[module] + other, atol=1e-6)
                    assert np.abs(other).max() > 0

    for name in ("fedex", "flora"):
        await scenario(name)


async def test_that_a_site_carries_out_no_plan_that_its_specification_does_not_know(tmp_path: Path) -> None:
    """A coordinator that asks for what FedSA-LoRA says is a site's own."""
    seen: list[events.Event] = []
    jobs, trainer = Jobs(), MethodTrainer()
    try:
        async with coordinator(tmp_path / "c", method_spec("fedsa", sites=1, quorum=1), seen) as (host, port):
            tell, plan_for = host._tell, host.rounds.plan_for

            def greedy(plan: Plan) -> Plan:
                return plan.model_copy(update={"own": ()})

            def at_connection(site: str) -> Plan | None:
                return greedy(plan) if (plan := plan_for(site)) else None

            def later(site: str, message: Message) -> None:
                if isinstance(message, Ask):
                    message = message.model_copy(update={"plan": greedy(message.plan)})
                tell(site, message)

            host._tell, host.rounds.plan_for = later, at_connection  # type: ignore[method-assign]
            one = agent(tmp_path, "A", port, jobs, seen, trainer)
            async with running(one):
                await until(lambda: bool(all_of(seen, events.Failed)))
            assert {event.code for event in all_of(seen, events.Failed)} == {"plan.not_of_spec"}
            assert not trainer.trained and not one.record().entries
    finally:
        jobs.close()


async def test_that_one_factor_alone_travels_where_the_other_is_frozen_or_a_sites_own(tmp_path: Path) -> None:
    async def ffa() -> None:
        async with federation(tmp_path / "ffa", method_spec("ffa")) as ran:
            for record in ran.host.rounds.state.history:
                assert all(np.array_equal(m.A, INITIAL[name].A) for name, m in ran.adapter(record.adapter).items())
                sizes = {site.update.size for site in record.sites.values()}
                assert max(sizes) < 0.8 * len(INITIAL.to_blob())

    async def fedsa() -> None:
        async with federation(tmp_path / "fedsa", method_spec("fedsa")) as ran:
            final = ran.adapter(ran.host.rounds.state.start)
            assert algebra.norm(final) == 0, "no B ever arrives"
            for site, trainer in ran.trainers.items():
                assert "B" not in trainer.given[1].own
                assert trainer.given[2].own["B"] == trainer.results[1].own["B"]
                assert trainer.evaluated is not None and trainer.evaluated.own["B"] == trainer.results[2].own["B"]
                one = ran.agents[site]
                written = one.holdings.save_final(one.record(), tmp_path / "fedsa" / site, "base")
                mine = dense(Adapter.load_peft(written["this-site"]))
                for name, module in final.items():
                    b = trainer.results[2].own["B"][name].B.astype(np.float64)
                    np.testing.assert_allclose(mine[name], module.scale * b @ module.A, atol=1e-6)

    await ffa()
    await fedsa()


async def test_that_sites_of_different_ranks_take_part_together_and_a_method_that_cannot_refuses_in_words(
    tmp_path: Path,
) -> None:
    async def mixed() -> None:
        async with federation(tmp_path / "mixed", method_spec("flexlora"), caps={"A": 1}) as ran:
            for record in ran.host.rounds.state.history:
                assert {site: one.rank for site, one in record.sites.items()} == {"A": 1, "B": 2, "C": 2}
            combined = all_of(ran.seen, events.RoundCombined)
            assert [event.ranks for event in combined] == [{"A": 1, "B": 2, "C": 2}] * 2

    async def refused() -> None:
        async with coordinator(tmp_path / "c", method_spec("ffa"), []) as (host, port), RawSite(port) as site:
            await site.greet(rank_cap=1)
            goodbye = await site.hear(Goodbye)
            assert goodbye.code == "join.rank_cap" and goodbye.final and goodbye.params == {"rank": 2, "cap": 1}
            assert host.rounds.state.sites == []

    await mixed()
    await refused()


def importance_spec(**changes: object) -> FederationSpec:
    method = {"name": "adaptive_fedlora", "ranks_by": "importance", "least_rank": 1, "grid": (2, 4, 8)}
    method |= {"weights": (1.0, 0.0, 0.0), "raise_above": 1.0, "lower_below": 0.0}
    return method_spec("", **{"method": method, "rounds": 3} | changes)


async def test_that_ranks_follow_the_importance_that_sites_have_approved_within_their_bytes_and_caps(
    tmp_path: Path,
) -> None:
    spec = importance_spec(transfer={"dtype": "int8"})
    async with federation(tmp_path, spec, caps={"C": 3}) as ran:
        up, q = sorted(spec.base.modules)
        expected = {"A": {up: 1, q: 3}, "B": {up: 1, q: 3}, "C": {up: 1, q: 3}}
        history = ran.host.rounds.state.history
        for site, own in expected.items():
            entries = {entry.plan.round: entry for entry in ran.agents[site].record().entries}
            assert entries[1].plan.ranks == {} and entries[4].plan.ranks == {}
            assert entries[2].plan.ranks == entries[3].plan.ranks == own
            assert all(entries[number].update.report.importance.keys() == {up, q} for number in (1, 2, 3))
            assert all(one.sites[site].rank == 2 for one in history)
            written = ran.agents[site].holdings.save_final(
                ran.agents[site].record(), tmp_path / f"{site}-final", "base"
            )
            exported, final = dense(Adapter.load_peft(written["final"])), dense(ran.adapter(history[-1].adapter))
            assert all(np.allclose(exported[name], final[name], atol=1e-6) for name in (up, q))
        assert [one.measures["moved_rank"] for one in history] == pytest.approx([0, 20 / 88, 20 / 88])
        assert ran.adapter(history[-1].adapter).ranks == {up: 2, q: 3}, "what nobody could train is kept"


# -- two parts ---------------------------------------------------------------------------------------------------------


def control_spec(**changes: object) -> FederationSpec:
    return method_spec("scaffold", **changes)


async def test_that_a_site_of_smaller_rank_fetches_the_common_adapter_cut_to_it_and_the_last_one_whole(
    tmp_path: Path,
) -> None:
    spec = method_spec("flexlora", transfer={"cut": True})
    async with federation(tmp_path, spec, caps={"B": 1}) as ran:
        first, last = ran.host.rounds.state.history
        whole = ran.adapter(first.adapter)
        assert ran.trainers["A"].given[2].start == whole
        small = ran.trainers["B"].given[2].start
        assert small.sha256 == first.cuts[1] and set(small.ranks.values()) == {1}
        for name, module in small.items():
            u, sigma, vt = np.linalg.svd(dense(whole)[name])
            best = sigma[0] * np.outer(u[:, 0], vt[0])
            np.testing.assert_allclose(dense(small)[name], best, atol=1e-6, err_msg=f"rank {module.rank}")
        assert list((tmp_path / "B").rglob(small.sha256)), "it is on its disk"
        assert not list((tmp_path / "B").rglob(whole.sha256)), "and the whole one never was"
        for trainer in ran.trainers.values():
            assert trainer.evaluated is not None and trainer.evaluated.start.sha256 == last.adapter


async def test_that_a_control_part_arrives_is_combined_and_comes_back_while_the_sites_own_stays(tmp_path: Path) -> None:
    async with federation(tmp_path, control_spec()) as ran:
        first = ran.host.rounds.state.history[0]
        for site, trainer in ran.trainers.items():
            assert first.sites[site].update.parts.keys() == {"adapter", "control"}
            second = trainer.given[2]
            assert second.control == ran.adapter(first.control)
            assert second.own["control"] == trainer.results[1].own["control"]


# Many chunks to a part, so that what a cut costs can be seen beside them.
LARGE_SHAPES = {f"model.layers.{number}.mlp.up_proj": (2048, 2048) for number in range(4)}
LARGE = Adapter.initial(LARGE_SHAPES, 32, 2.0, seed=0)


@pytest.mark.parametrize("parts_through", [0.5, 0.97, 1.05, 1.5, 1.97])
async def test_that_a_line_that_breaks_inside_or_between_two_parts_costs_little(
    parts_through: float, tmp_path: Path, jobs: Jobs
) -> None:
    blob = len(LARGE.to_blob())
    base = {"fingerprint": FINGERPRINT, "initial": LARGE.sha256, "modules": LARGE_SHAPES}
    spec = control_spec(rounds=1, sites=1, quorum=1, base=base, lora={"rank": 32, "alpha": 64})
    seen: list[events.Event] = []
    async with (
        coordinator(tmp_path / "c", spec, seen, initial=LARGE) as (host, port),
        CuttingProxy(port, cuts_up=(int(parts_through * blob),)) as proxy,
    ):
        trainer = MethodTrainer()
        one = agent(tmp_path, "A", proxy.port, jobs, seen, trainer)
        async with running(one) as tasks:
            await asyncio.wait_for(tasks[0], PATIENCE)
        assert proxy.connections == 2 and trainer.trained == [1]
        assert proxy.bytes["up"] < 2 * blob + 2 * CHUNK, "what had arrived was sent again"
        record = host.rounds.state.history[0].sites["A"]
        assert record.sha256 == trainer.results[1].update.sha256
        made = [d.decision for d in one.decisions if d.sha256 == record.sha256]
        assert made == ["approved", "released", "acknowledged"]


class WrongControl(MethodTrainer):
    """Its control part is of another rank than its adapter."""

    def train_round(self, plan: Plan, given: Given, checkpoints: Path, emit: Emit, control: Control) -> LocalResult:
        result = super().train_round(plan, given, checkpoints, emit, control)
        blob = algebra.truncate(Adapter.from_blob(result.blobs["control"]), 1)[0].to_blob()
        part = Part(sha256=hashlib.sha256(blob).hexdigest(), size=len(blob))
        update = result.update.model_copy(update={"parts": result.update.parts | {"control": part}})
        return LocalResult(update, result.blobs | {"control": blob}, result.evidence, result.own)


async def test_that_a_control_part_of_a_wrong_shape_is_refused_in_words(tmp_path: Path, jobs: Jobs) -> None:
    seen: list[events.Event] = []
    async with coordinator(tmp_path / "c", control_spec(rounds=1, sites=2, quorum=1), seen) as (host, port):
        sites = [
            agent(tmp_path, "A", port, jobs, seen, WrongControl()),
            agent(tmp_path, "B", port, jobs, seen, MethodTrainer()),
        ]
        await asyncio.wait_for(asyncio.gather(*(one.run() for one in sites)), PATIENCE)
        assert host.rounds.state.history[0].sites.keys() == {"B"}
    assert {event.code for event in all_of(seen, events.UpdateRefused)} == {"update.wrong_rank"}


# -- restarts ----------------------------------------------------------------------------------------------------------


async def restarted(folder: Path, spec: FederationSpec, stops: frozenset[str]) -> tuple[str, str | None]:
    """Two sites; in round 2 the site A and the coordinator are stopped where `stops` says so, and started again."""
    seen: list[events.Event] = []
    jobs = Jobs()
    trainers = {name: MethodTrainer(ord(name)) for name in "AB"}
    try:
        async with coordinator(folder / "c", spec, seen) as (host, port):
            sites = [agent(folder, name, port, jobs, seen, trainer) for name, trainer in trainers.items()]
            async with running(*sites) as tasks:
                await until(lambda: host.rounds.state.round > 1 and bool(host.rounds.state.updates))
                if not stops:
                    await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
                    return host.rounds.state.start, host.rounds.state.history[-1].control
            if "site" in stops:
                again = [agent(folder, name, port, jobs, seen, MethodTrainer(ord(name))) for name in "AB"]
                async with running(*again) as tasks:
                    await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
                return host.rounds.state.start, host.rounds.state.history[-1].control
        async with coordinator(folder / "c", spec, seen) as (host, port):
            again = [agent(folder, name, port, jobs, seen, MethodTrainer(ord(name))) for name in "AB"]
            async with running(*again) as tasks:
                await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
            return host.rounds.state.start, host.rounds.state.history[-1].control
    finally:
        jobs.close()


async def test_that_a_restart_of_sites_or_of_all_in_mid_round_changes_no_bit_of_adapter_and_control(
    tmp_path: Path,
) -> None:
    spec = control_spec(rounds=3, sites=2)
    whole = await restarted(tmp_path / "whole", spec, frozenset())
    assert whole[1] is not None
    assert await restarted(tmp_path / "sites", spec, frozenset({"site"})) == whole
    assert await restarted(tmp_path / "all", spec, frozenset({"site-and-coordinator"})) == whole


async def test_that_a_restart_in_mid_round_changes_no_bit_where_modules_have_their_own_ranks(tmp_path: Path) -> None:
    spec = importance_spec(sites=2)
    whole = await restarted(tmp_path / "whole", spec, frozenset())
    assert await restarted(tmp_path / "all", spec, frozenset({"site-and-coordinator"})) == whole


async def test_that_a_coordinator_that_stops_leaves_no_combination_running_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: Jobs
) -> None:
    began, ended = threading.Event(), threading.Event()

    def slow(due: Combine, spec: FederationSpec, blobs: BlobStore, *_: object) -> RoundCombined:
        began.set()
        time.sleep(0.3)
        try:
            return combine_stored(due, spec, blobs)
        finally:
            ended.set()

    monkeypatch.setattr("fedmed_desktop.coordinator.combining.combine_stored", slow)
    async with (
        coordinator(tmp_path / "c", control_spec(sites=1, quorum=1), []) as (_, port),
        running(agent(tmp_path, "A", port, jobs, [], MethodTrainer())),
    ):
        await until(began.is_set)
    assert ended.is_set(), "the next start would write the same files beside it"


async def test_that_a_site_killed_between_keeping_its_own_and_its_outbox_trains_again_from_the_same(
    tmp_path: Path, jobs: Jobs
) -> None:
    async def scenario(killed: bool) -> tuple[str, str | None]:
        folder = tmp_path / str(killed)
        seen: list[events.Event] = []
        async with coordinator(folder / "c", control_spec(rounds=2, sites=1, quorum=1), seen) as (host, port):
            trainer = MethodTrainer()
            one = agent(folder, "A", port, jobs, seen, trainer)
            if killed:
                put = one.outbox.put

                def killed_in_round_2(plan: Plan, result: LocalResult, now: datetime) -> Entry:
                    if plan.round == 2:
                        raise KilledHere
                    return put(plan, result, now)

                one.outbox.put = killed_in_round_2  # type: ignore[method-assign]
                with pytest.raises(KilledHere):
                    await asyncio.wait_for(one.run(), PATIENCE)
                kept = OwnStore(folder / "A" / "own").before(3, {2})["control"]
                assert kept == trainer.results[2].own["control"]
                trainer = MethodTrainer()
                one = agent(folder, "A", port, jobs, seen, trainer)
            await asyncio.wait_for(one.run(), PATIENCE)
            record = host.rounds.state.history[-1]
            return record.adapter, record.control

    assert await scenario(True) == await scenario(False)


class Hesitates:
    """An operator who does not decide."""

    async def decide(self, entry: Entry) -> Verdict:
        await asyncio.Event().wait()
        raise AssertionError


class KilledHere(Exception):
    """Stands in for a power cut."""


class KeepsRoundOne:
    """An operator who keeps the first round's update and sends the others."""

    async def decide(self, entry: Entry) -> Verdict:
        return Verdict(approve=entry.plan.round != 1, by="Ada", reason="", delay=timedelta(0))


@pytest.mark.parametrize("method", ["fed_medlora", "flexlora", "rolora", "fedsa"])
async def test_that_updates_in_four_bits_arrive_as_the_sites_read_them(method: str, tmp_path: Path) -> None:
    spec = method_spec(method, rounds=3, transfer={"dtype": "int4", "block": 16})
    async with federation(tmp_path, spec) as ran:
        for record in ran.host.rounds.state.history:
            for site, sent in record.sites.items():
                assert sent.sha256 == ran.trainers[site].results[record.round].update.sha256
                assert sent.update.size == ran.trainers[site].results[record.round].update.size
        for trainer in ran.trainers.values():
            assert "lost" not in trainer.given[1].own
            assert trainer.given[3].own["lost"] == trainer.results[2].own["lost"]


async def test_that_what_an_update_lost_is_kept_only_of_updates_that_counted(tmp_path: Path, jobs: Jobs) -> None:
    seen: list[events.Event] = []
    trainers = {name: MethodTrainer() for name in NAMES}
    spec = small_spec(rounds=4, transfer={"dtype": "int4", "block": 16})
    async with coordinator(tmp_path / "c", spec, seen) as (_, port):
        sites = [
            agent(tmp_path, name, port, jobs, seen, trainer, KeepsRoundTwo() if name == "A" else None)
            for name, trainer in trainers.items()
        ]
        await asyncio.wait_for(asyncio.gather(*(one.run() for one in sites)), PATIENCE)
    kept = trainers["A"]
    assert kept.given[3].own["lost"] == kept.results[1].own["lost"] != kept.results[2].own["lost"]
    assert kept.given[4].own["lost"] == kept.results[3].own["lost"]


async def test_that_moments_stay_at_the_site_and_go_on_from_updates_that_counted(tmp_path: Path, jobs: Jobs) -> None:
    seen: list[events.Event] = []
    trainers = {name: MethodTrainer() for name in NAMES}
    spec = small_spec(rounds=4, combine="factors", training={"steps": 4, "keep_moments": True})
    async with coordinator(tmp_path / "c", spec, seen) as (host, port):
        sites = [
            agent(tmp_path, name, port, jobs, seen, trainer, KeepsRoundTwo() if name == "A" else None)
            for name, trainer in trainers.items()
        ]
        await asyncio.wait_for(asyncio.gather(*(one.run() for one in sites)), PATIENCE)
        kept = trainers["A"]
        assert "means" not in kept.given[1].own
        assert kept.given[3].own["means"] == kept.results[1].own["means"] != kept.results[2].own["means"]
        assert kept.given[4].own["squares"] == kept.results[3].own["squares"]
        assert trainers["B"].given[3].own["means"] == trainers["B"].results[2].own["means"]
        sent = {
            blob for record in host.rounds.state.history for site in record.sites.values() for blob in site.update.parts
        }
        assert sent == {"adapter"}
        assert sites[0].holdings.own_final(host.rounds.state.start, None) is None, "moments are no model"


async def test_that_another_form_than_was_asked_for_is_refused_in_words(tmp_path: Path, jobs: Jobs) -> None:
    spec = small_spec(rounds=1, sites=2, quorum=1, transfer={"dtype": "int4"})
    seen: list[events.Event] = []
    async with coordinator(tmp_path / "c", spec, seen) as (host, port):
        sites = [
            agent(tmp_path, "A", port, jobs, seen, NumpyTrainer()),  # in float32
            agent(tmp_path, "B", port, jobs, seen, MethodTrainer()),
        ]
        await asyncio.wait_for(asyncio.gather(*(one.run() for one in sites)), PATIENCE)
        assert host.rounds.state.history[0].sites.keys() == {"B"}
    assert {event.code for event in all_of(seen, events.UpdateRefused)} == {"lora.metadata"}


class KeepsRoundTwo:
    """An operator who keeps the second round's update and sends the others."""

    async def decide(self, entry: Entry) -> Verdict:
        return Verdict(approve=entry.plan.round != 2, by="Ada", reason="", delay=timedelta(0))


async def test_that_a_control_variate_moves_only_with_updates_that_counted(tmp_path: Path, jobs: Jobs) -> None:
    seen: list[events.Event] = []
    trainers = {name: MethodTrainer() for name in NAMES}
    async with coordinator(tmp_path / "c", control_spec(rounds=3), seen) as (_, port):
        sites = [
            agent(tmp_path, name, port, jobs, seen, trainer, KeepsRoundOne() if name == "A" else None)
            for name, trainer in trainers.items()
        ]
        await asyncio.wait_for(asyncio.gather(*(one.run() for one in sites)), PATIENCE)
    assert "control" not in trainers["A"].given[2].own, "what was kept never reached c"
    assert trainers["B"].given[2].own["control"] == trainers["B"].results[1].own["control"]
    assert trainers["A"].given[3].own["control"] == trainers["A"].results[2].own["control"]


async def test_that_a_receipt_that_a_cut_has_swallowed_is_waited_for_before_the_next_round_goes_on_from_it(
    tmp_path: Path, jobs: Jobs
) -> None:
    seen: list[events.Event] = []
    trainer = MethodTrainer()
    async with coordinator(tmp_path / "c", control_spec(sites=1, quorum=1), seen) as (host, port):
        tell = host._tell
        receipts = 0

        def losing(site: str, message: Message) -> None:
            nonlocal receipts
            if not isinstance(message, Receipt) or message.round != 1:
                tell(site, message)
                return
            receipts += 1
            if receipts == 1:
                host.sessions["A"].connection.transport.abort()  # type: ignore[attr-defined]
            else:  # long after the next round's plan
                asyncio.get_running_loop().call_later(0.3, tell, site, message)

        host._tell = losing  # type: ignore[method-assign]
        await asyncio.wait_for(agent(tmp_path, "A", port, jobs, seen, trainer).run(), PATIENCE)
        assert receipts >= 2
    assert trainer.given[2].own["control"] == trainer.results[1].own["control"]


async def test_that_a_site_which_bears_less_in_the_middle_of_a_round_trains_no_more_than_that(
    tmp_path: Path, jobs: Jobs
) -> None:
    """It is started again with a smaller --rank-cap while it is to answer a plan of before."""
    spec = small_spec(rounds=2, round={"sites": 1, "quorum": 1})
    seen: list[events.Event] = []
    async with coordinator(tmp_path / "c", spec, seen) as (host, port):
        held, small = NumpyTrainer(), MethodTrainer()
        held.hold.clear()
        async with running(agent(tmp_path, "A", port, jobs, seen, held)):
            await until(lambda: host.rounds.state.phase == "open")
        async with running(agent(tmp_path, "A", port, jobs, seen, small, rank_cap=1)) as tasks:
            await tasks[0]
        assert [record.sites["A"].rank for record in host.rounds.state.history] == [1, 1]
        assert small.trained == [1, 2] and not all_of(seen, events.Failed)


# -- what never leaves -------------------------------------------------------------------------------------------------


async def test_that_no_byte_of_a_personal_adapter_is_ever_sent_whatever_is_asked_for(
    tmp_path: Path, jobs: Jobs
) -> None:
    spec = method_spec("fedopal", sites=1, quorum=1)
    seen: list[events.Event] = []
    async with (
        coordinator(tmp_path / "c", spec, seen) as (host, port),
        CuttingProxy(port) as proxy,
    ):
        proxy.recorded = bytearray()
        trainer = MethodTrainer()
        one = agent(tmp_path, "A", proxy.port, jobs, seen, trainer)
        asked: list[str] = []

        def ask_for_all() -> None:
            """The coordinator turns hostile: after each update it wants what is the site's own, by its hash."""
            session = host.sessions.get("A")
            for result in trainer.results.values():
                for adapter in result.own.values():
                    if session and adapter.sha256 not in asked:
                        asked.append(adapter.sha256)
                        session.send(Want(sha256=adapter.sha256))

        async with running(one) as tasks:
            while not tasks[0].done():
                ask_for_all()
                await asyncio.sleep(0.002)
            tasks[0].result()
        assert len(asked) == 2 and trainer.given[2].own["personal"] == trainer.results[1].own["personal"]
        sent = _unmasked(bytes(proxy.recorded))
        assert trainer.results[1].blobs["adapter"][-200:] in sent, "what was approved can be found like this"
        for result in trainer.results.values():
            for piece in _pieces(result.own["personal"]):
                assert piece not in sent
        for sha256 in asked:
            assert f'"missing","sha256":"{sha256}"'.encode() in sent


def _pieces(adapter: Adapter) -> Iterator[bytes]:
    """All 64-byte pieces of all factors, at steps of one number."""
    for module in adapter.values():
        for factor in (module.A, module.B):
            data = factor.tobytes()
            yield from (data[at : at + 64] for at in range(0, len(data) - 63, 4))


def _unmasked(stream: bytes) -> bytes:
    """Payloads of all frames that a websocket client sent, in one (RFC 6455, 5.2 and 5.3)."""
    at = stream.index(b"\r\n\r\n") + 4
    found = []
    while at < len(stream):
        length, at = stream[at + 1] & 0x7F, at + 2
        if length >= 126:
            wide = 2 if length == 126 else 8
            length, at = int.from_bytes(stream[at : at + wide], "big"), at + wide
        key, at = stream[at : at + 4], at + 4
        data = np.frombuffer(stream[at : at + length], np.uint8)
        found.append((data ^ np.resize(np.frombuffer(key, np.uint8), len(data))).tobytes())
        at += length
    return b"".join(found)


# -- selection ---------------------------------------------------------------------------------------------------------


async def test_that_a_site_that_is_not_asked_says_so_and_is_asked_again_later(tmp_path: Path) -> None:
    spec = small_spec(rounds=4, round={"sites": 3, "quorum": 2, "clients": 2})
    async with federation(tmp_path, spec) as ran:
        rests = {
            (event.site, event.round) for event in all_of(ran.seen, events.PhaseChanged) if event.phase == "not_asked"
        }
        history = ran.host.rounds.state.history
        assert rests == {(site, one.round) for one in history for site in NAMES if site not in one.sites}
        assert len(rests) == 4
        assert all(trainer.evaluated is not None for trainer in ran.trainers.values())


async def test_that_an_update_that_still_waits_expires_where_the_next_round_goes_on_without_its_site(
    tmp_path: Path, jobs: Jobs
) -> None:
    seen: list[events.Event] = []
    async with coordinator(tmp_path / "c", small_spec(sites=1, quorum=1), seen) as (host, port):
        one = agent(tmp_path, "A", port, jobs, seen, MethodTrainer(), Hesitates())
        async with running(one):
            await until(lambda: bool(all_of(seen, events.UpdatePending)))
            host.sessions["A"].send(NotAsked(round=2))
            await until(lambda: any(e.phase == "not_asked" for e in all_of(seen, events.PhaseChanged)))
            assert [entry.state for entry in one.record().entries] == ["expired"]


# -- the coordinator measures ------------------------------------------------------------------------------------------


class NormScorer:
    """A loss that can be told from the adapter: 1 over the norm of all that is active."""

    def __init__(self) -> None:
        self.measured = 0

    def loss(self, adapter: Adapter, frozen: Adapter | None = None) -> float:
        self.measured += 1
        return 1 / algebra.norm(adapter if frozen is None else algebra.weighted_sum([(1.0, adapter), (1.0, frozen)]))


def scored_spec(**changes: object) -> FederationSpec:
    method = {"name": "fed_medlora_plus", "measured_by": "coordinator"}
    return small_spec(**({"rounds": 2, "method": method} | changes))  # type: ignore[arg-type]


async def test_that_the_coordinator_measures_each_update_once_and_weighs_by_it_also_after_a_restart(
    tmp_path: Path, jobs: Jobs
) -> None:
    seen: list[events.Event] = []
    scorer = NormScorer()
    async with coordinator(tmp_path / "c", scored_spec(quorum=3), seen, scorer=scorer) as (host, port):
        sites = [
            agent(tmp_path, name, port, jobs, seen, MethodTrainer(), Hesitates() if name == "C" else None)
            for name in NAMES
        ]
        async with running(*sites):
            await until(lambda: len(host.rounds.state.updates) == 2)
            counted = dict(host.rounds.state.shared_losses)
    assert scorer.measured == 2 and counted.keys() == {"A", "B"}
    again = NormScorer()
    trainers = {name: MethodTrainer() for name in NAMES}
    async with coordinator(tmp_path / "c", scored_spec(quorum=3), seen, scorer=again) as (host, port):
        sites = [agent(tmp_path, name, port, jobs, seen, trainer) for name, trainer in trainers.items()]
        await asyncio.wait_for(asyncio.gather(*(one.run() for one in sites)), PATIENCE)
        first = host.rounds.state.history[0]
        assert again.measured == 2 * len(NAMES) - len(counted), "what the ledger holds was measured again"
        losses = {site: one.shared_loss for site, one in first.sites.items()}
        assert losses | counted == losses
        total = sum(np.exp(-loss) for loss in losses.values() if loss)
        for site, one in first.sites.items():
            assert one.weight == pytest.approx(np.exp(-(losses[site] or 0)) / total)


def test_that_a_scorer_is_demanded_where_it_is_needed_and_refused_where_it_is_not(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError) as missing:
        Host(scored_spec(), tmp_path, lambda event: None)
    assert missing.value.code == "coordinator.no_scorer"
    with pytest.raises(UserFacingError) as unused:
        Host(small_spec(), tmp_path, lambda event: None, scorer=NormScorer())
    assert unused.value.code == "coordinator.scorer_unused"


async def test_that_an_update_that_cannot_be_measured_is_refused_and_the_others_go_on(
    tmp_path: Path, jobs: Jobs
) -> None:
    class NotForLarge(NormScorer):
        def loss(self, adapter: Adapter, frozen: Adapter | None = None) -> float:
            return float("nan") if np.abs(adapter[adapter.names[0]].B).max() > 1 else super().loss(adapter, frozen)

    seen: list[events.Event] = []
    spec = scored_spec(rounds=1, sites=2, quorum=1)
    async with coordinator(tmp_path / "c", spec, seen, scorer=NotForLarge()) as (host, port):
        wild = NumpyTrainer(change=lambda a: a.map(lambda m: Module(m.B + np.float32(9), m.A, m.scale)))
        sites = [agent(tmp_path, "A", port, jobs, seen, wild), agent(tmp_path, "B", port, jobs, seen)]
        await asyncio.wait_for(asyncio.gather(*(one.run() for one in sites)), PATIENCE)
        assert host.rounds.state.history[0].sites.keys() == {"B"}
    assert {event.code for event in all_of(seen, events.UpdateRefused)} == {"update.no_shared_loss"}
