# SPDX-License-Identifier: Apache-2.0
"""Every method through whole federations on disk: a restart at any moment changes nothing, and so does arrival."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import FederationSpec, Part, Plan, Report, Rounds, Update
from fedmed_desktop.federation.actions import Reject, Step
from fedmed_desktop.federation.check import check_adapter, check_norm, checked
from fedmed_desktop.federation.inputs import Input, RoundCombined, SiteJoined, UpdateArrived
from fedmed_desktop.federation.methods import METHODS, AdaptiveFedLora, refusal_of
from fedmed_desktop.federation.plan import TrainingSettings
from fedmed_desktop.federation.spec import RoundSettings, ShareSettings
from fedmed_desktop.lora import Adapter, Module, algebra
from fedmed_desktop.lora.half import encode_update, open_update
from fedmed_desktop.lora.rotation import rotated
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.adapters import combine_stored
from tests.parts.federation import INITIAL, LORA, moved, small_spec

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
CASES = [
    (method, way)
    for method in sorted(METHODS)
    for way in ("factors", "product", "stack")
    if refusal_of(method, way) is None  # type: ignore[arg-type]
]


def spec_of(method: str, way: str) -> FederationSpec:
    lora = LORA.model_copy(update={"frozen_rank": 5})
    share, training = ShareSettings(histogram="specialties"), TrainingSettings(epochs=1)
    one = METHODS[method](name=method)
    return small_spec(rounds=3, method=one, combine=way, lora=lora, share=share, training=training)


class Site:
    """Does what a plan says with numbers instead of notes, and keeps what the plan leaves to it."""

    def __init__(self, name: str, blobs: BlobStore) -> None:
        self.name, self.blobs = name, blobs
        self.kept: Adapter | None = None
        self.control: Adapter | None = None

    def train(self, plan: Plan) -> Update:
        start = Adapter.from_blob(self.blobs.read(plan.start))
        start = start.map(lambda module: algebra.module_cut(module, plan.rank, plan.cut))
        start = algebra.grow(start, plan.rank, plan.seed)
        if plan.own and self.kept is not None:
            start = _mixed(start, self.kept, plan.own)
        after = _mixed(moved(start, plan.seed % 2**32), start, plan.freeze)
        if plan.rotation is not None:
            after = rotated(after, start, plan.round, plan.rotation)
        self.kept = after
        parts = {"adapter": self._stored(encode_update(after, plan.shared))}
        if plan.variate is not None:
            parts["control"] = self._stored(self._change(plan, after).to_blob())
        report = Report(
            notes=10 + ord(self.name) % 7,
            supervised_tokens=50 + ord(self.name),
            steps=plan.seed % 9,
            loss_before=1.0,
            shared_loss=0.1 * (plan.seed % 10),
            histogram={"cardiology": 3, self.name: plan.seed % 5},
            start_norm=algebra.norm(start),
            update_norm=algebra.distance(after, start),
        )
        return Update(round=plan.round, parts=parts, report=report)

    def _stored(self, blob: bytes) -> Part:
        return Part(sha256=self.blobs.write(blob), size=len(blob))

    def _change(self, plan: Plan, after: Adapter) -> Adapter:
        """Of c_i, which becomes half of what was there, c's and a step."""
        assert plan.variate is not None
        before = self.control or _half(after, after)
        shared = Adapter.from_blob(self.blobs.read(plan.variate.control)) if plan.variate.control else before
        self.control = moved(_half(before, shared), plan.seed % 2**32)
        return _half(self.control, before)


def _half(x: Adapter, y: Adapter) -> Adapter:
    """(x - y) / 2, factor by factor."""
    return Adapter({name: Module((m.B - y[name].B) / 2, (m.A - y[name].A) / 2, m.scale) for name, m in x.items()})


def _mixed(adapter: Adapter, other: Adapter, factors: Sequence[str]) -> Adapter:
    """The adapter with these factors of the other."""
    modules = {}
    for name, module in adapter.items():
        B = other[name].B if "B" in factors else module.B
        modules[name] = Module(B, other[name].A if "A" in factors else module.A, module.scale)
    return Adapter(modules)


class Federation:
    """A coordinator without sockets. `restarts`: loaded from its dump before each input, combinations done twice."""

    def __init__(
        self,
        spec: FederationSpec,
        folder: Path,
        arrival: str = "ABC",
        restarts: bool = False,
        caps: Mapping[str, int] | None = None,
    ) -> None:
        self.blobs = BlobStore(folder / "blobs")
        self.blobs.write(INITIAL.to_blob())
        self.spec, self.rounds, self.arrival, self.restarts = spec, Rounds(spec), arrival, restarts
        self.sites = {name: Site(name, self.blobs) for name in arrival}
        self.now, self.caps = BEGIN, caps or {}

    def give(self, given: Input) -> Step:
        if self.restarts:
            self.rounds = Rounds(self.spec, self.rounds.dump())
        return self.rounds.handle(given, self.now)

    def gather(self) -> Federation:
        for name in sorted(self.arrival):
            self.give(SiteJoined(site=name, rank_cap=self.caps.get(name)))
        return self

    def trained(self, name: str) -> Update:
        plan = self.rounds.plan_for(name)
        assert plan is not None
        return self.sites[name].train(plan)

    def run(self) -> Rounds:
        self.gather()
        for number in range(1, self.spec.rounds + 1):
            self.now = BEGIN + timedelta(minutes=number)
            for name in self.arrival:
                plan = self.rounds.plan_for(name)
                if plan is None and self.spec.round.clients is not None:
                    continue
                assert plan is not None and plan.round == number
                update = self.sites[name].train(plan)
                self.check(plan, update)
                step = self.give(UpdateArrived(site=name, update=update))
                assert not any(isinstance(action, Reject) for action in step.actions)
            assert self.give(self.combined()).changed
        return self.rounds

    def check(self, plan: Plan, update: Update) -> None:
        """As the coordinator checks what arrives."""
        start = Adapter.from_blob(self.blobs.read(plan.start))
        after = open_update(self.blobs.path(update.parts["adapter"].sha256), plan.shared, start)
        if plan.own:
            check_adapter(after, self.spec, plan)
        else:
            check_norm(start, checked(after, self.spec, plan), update.report, plan.cut)
        if "control" in update.parts:
            check_adapter(Adapter.from_blob(self.blobs.read(update.parts["control"].sha256)), self.spec, plan)

    def combined(self) -> RoundCombined:
        due = self.rounds.due()
        assert due is not None
        result = combine_stored(due, self.spec, self.blobs)
        if self.restarts:
            again = Rounds(self.spec, self.rounds.dump())
            due = again.due()
            assert due is not None and combine_stored(due, self.spec, self.blobs) == result
        return result


@pytest.mark.parametrize(("method", "way"), CASES)
def test_that_neither_a_restart_nor_the_order_of_arrival_changes_a_bit(method: str, way: str, tmp_path: Path) -> None:
    spec = spec_of(method, way)
    steady = Federation(spec, tmp_path / "steady").run()
    assert steady.state.phase == "evaluating" and len(steady.state.history) == 3
    restarted = Federation(spec, tmp_path / "restarted", restarts=True).run()
    assert restarted.dump() == steady.dump()
    arrived = Federation(spec, tmp_path / "arrived", arrival="CAB").run()
    assert _closed(arrived) == _closed(steady)


@pytest.mark.parametrize(("method", "way"), CASES)
def test_that_neither_does_where_few_take_part_and_one_bears_less_rank(method: str, way: str, tmp_path: Path) -> None:
    few = RoundSettings(sites=4, quorum=2, clients=2)
    spec = spec_of(method, way).model_copy(update={"round": few, "rounds": 4})
    caps = {"B": 1} if spec.method.mixes_ranks else {}
    steady = Federation(spec, tmp_path / "steady", "ABCD", caps=caps).run()
    asked = [frozenset(record.sites) for record in steady.state.history]
    assert all(len(one) == 2 for one in asked) and len(set(asked)) > 1
    assert all(record.sites["B"].rank == 1 for record in steady.state.history if caps and "B" in record.sites)
    restarted = Federation(spec, tmp_path / "restarted", "ABCD", restarts=True, caps=caps).run()
    assert restarted.dump() == steady.dump()
    assert _closed(Federation(spec, tmp_path / "arrived", "DBCA", caps=caps).run()) == _closed(steady)


class WhileJoining(BlobStore):
    """Blobs that are read while sites come: the coordinator's loop goes on while a thread combines."""

    def __init__(self, folder: Path, federation: Federation, comers: Sequence[SiteJoined]) -> None:
        super().__init__(folder)
        self._federation, self._comers = federation, list(comers)

    def path(self, sha256: str) -> Path:
        while self._comers:
            assert self._federation.give(self._comers.pop()).changed
        return super().path(sha256)


@pytest.mark.parametrize(("method", "way"), CASES)
def test_that_a_site_that_joins_while_updates_are_combined_changes_no_bit(
    method: str, way: str, tmp_path: Path
) -> None:
    """Neither a new site nor one that comes back and bears less rank, and no restart after they came."""
    spec = spec_of(method, way)
    if method == "adaptive_fedlora":  # whose next ranks are within the caps
        adaptive = AdaptiveFedLora(grid=(1, 2, 4, 7), rule="continuous", memory=0.0)
        spec = spec.model_copy(update={"method": adaptive})
    cap = 1 if spec.method.mixes_ranks else spec.lora.rank
    comers = [SiteJoined(site="A", rank_cap=cap), SiteJoined(site="D")]
    federation = Federation(spec, tmp_path).gather()
    for name in "ABC":
        federation.give(UpdateArrived(site=name, update=federation.trained(name)))
    expected, due = federation.combined(), federation.rounds.due()
    assert due is not None
    blobs = WhileJoining(tmp_path / "blobs", federation, comers)
    assert combine_stored(due, spec, blobs) == expected
    assert "D" in federation.rounds.state.sites and federation.rounds.state.caps == {"A": cap}
    assert federation.combined() == expected
    assert Rounds(spec, federation.rounds.dump()).due() == due


@pytest.mark.parametrize(("method", "way"), CASES)
def test_that_no_input_of_a_combination_is_used_with_one_flipped_bit(method: str, way: str, tmp_path: Path) -> None:
    """In round 2, which begins with all that a method leaves."""
    spec = spec_of(method, way)
    federation = Federation(spec, tmp_path).gather()
    for number in (1, 2):
        for name in "ABC":
            federation.give(UpdateArrived(site=name, update=federation.trained(name)))
        if number == 1:
            federation.give(federation.combined())
    due, blobs = federation.rounds.due(), federation.blobs
    assert due is not None
    expected = combine_stored(due, spec, blobs)
    parts = {part.sha256 for update in due.updates.values() for part in update.parts.values()}
    for sha256 in sorted({one for one in (due.start, due.frozen, due.control) if one} | parts):
        path = blobs.path(sha256)
        data = path.read_bytes()
        path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
        with pytest.raises(UserFacingError) as caught:
            combine_stored(due, spec, blobs)
        assert (caught.value.code, caught.value.params) == ("lora.file_damaged", {"sha256": sha256})
        assert sha256 not in blobs, "it is put aside"
        blobs.write(data)
    assert combine_stored(due, spec, blobs) == expected


def _closed(rounds: Rounds) -> list[tuple[object, ...]]:
    return [(r.adapter, r.frozen, r.control, r.measures, r.residual) for r in rounds.state.history]


@pytest.mark.parametrize("clients", [None, 2])
@pytest.mark.parametrize("way", ["product", "stack"])
def test_that_ranks_that_drift_with_the_rounds_survive_a_restart_and_any_order_of_arrival(
    way: str, clients: int | None, tmp_path: Path
) -> None:
    caps = {"A": 3, "B": 2}
    method = AdaptiveFedLora(grid=(1, 2, 4, 7), rule="continuous", memory=0.0)
    spec = spec_of("adaptive_fedlora", way).model_copy(
        update={"method": method, "rounds": 6, "round": RoundSettings(sites=3, quorum=2, clients=clients)}
    )
    steady = Federation(spec, tmp_path / "steady", caps=caps).run()
    restarted = Federation(spec, tmp_path / "restarted", restarts=True, caps=caps).run()
    assert restarted.dump() == steady.dump()
    arrived = Federation(spec, tmp_path / "arrived", arrival="CAB", caps=caps).run()
    assert arrived.state.method == steady.state.method
    assert [(r.adapter, r.measures) for r in arrived.state.history] == [
        (r.adapter, r.measures) for r in steady.state.history
    ]
    ranks = [{name: site.rank for name, site in record.sites.items()} for record in steady.state.history]
    assert any(len(set(one.values())) > 1 for one in ranks)
    assert len({one["C"] for one in ranks if "C" in one}) > 1
    assert all(one.get("A", 0) <= 2 and one.get("B", 0) <= 2 for one in ranks)  # of the grid, 3 reaches 2
    if clients:
        assert all(len(one) == clients for one in ranks) and len({tuple(sorted(one)) for one in ranks}) > 1


@pytest.mark.parametrize(("method", "way"), CASES)
def test_that_what_lies_frozen_is_in_every_plan_and_stays_within_its_rank(
    method: str, way: str, tmp_path: Path
) -> None:
    federation = Federation(spec_of(method, way), tmp_path)
    state = federation.run().state
    beside = way == "stack" or method == "fedex"
    for record in state.history:
        assert (record.frozen is not None) == beside
        if record.frozen is not None:
            assert max(Adapter.from_blob(federation.blobs.read(record.frozen)).ranks.values()) <= 5
    assert {plan.frozen for plan in state.plans.values()} == {state.frozen}
    assert {plan.start for plan in state.plans.values()} == {state.history[-1].adapter}


def test_that_a_stack_is_followed_by_another_fresh_adapter_in_every_round(tmp_path: Path) -> None:
    history = Federation(spec_of("flora", "stack"), tmp_path).run().state.history
    assert len({INITIAL.sha256, *(record.adapter for record in history)}) == 4


def test_that_no_byte_of_a_sites_own_factor_is_in_what_it_offers(tmp_path: Path) -> None:
    federation = Federation(spec_of("fedsa", "factors"), tmp_path)
    federation.run()
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for site in federation.sites.values():
        assert site.kept is not None
        for module in site.kept.values():
            assert module.B.any() and not any(module.B.tobytes() in blob for blob in stored)
            assert any(module.A.tobytes() in blob for blob in stored)
    last = Adapter.from_blob(federation.blobs.read(federation.rounds.state.start))
    assert not any(module.B.any() for module in last.values())


def test_that_an_update_without_its_loss_does_not_count(tmp_path: Path) -> None:
    federation = Federation(spec_of("fed_medlora_plus", "factors"), tmp_path)
    update = federation.gather().trained("A")
    without = update.model_copy(update={"report": update.report.model_copy(update={"shared_loss": None})})
    step = federation.give(UpdateArrived(site="A", update=without))
    assert step.actions == [Reject("A", 1, without.sha256, "methods.no_shared_loss")] and not step.changed
    assert federation.give(UpdateArrived(site="A", update=update)).changed


def test_that_an_update_without_its_change_of_control_does_not_count(tmp_path: Path) -> None:
    federation = Federation(spec_of("scaffold", "factors"), tmp_path)
    update = federation.gather().trained("A")
    without = update.model_copy(update={"parts": {"adapter": update.parts["adapter"]}})
    step = federation.give(UpdateArrived(site="A", update=without))
    assert step.actions == [Reject("A", 1, without.sha256, "update.wrong_parts")] and not step.changed
    assert federation.give(UpdateArrived(site="A", update=update)).changed


def test_that_no_more_steps_count_than_were_asked_for(tmp_path: Path) -> None:
    weights = {}
    for said in (4, 2**53):
        spec = spec_of("fednova", "factors").model_copy(update={"training": TrainingSettings(steps=4)})
        federation = Federation(spec, tmp_path / str(said))
        federation.gather()
        for name in "ABC":
            update = federation.trained(name)
            report = update.report.model_copy(update={"steps": said if name == "A" else 4})
            federation.give(UpdateArrived(site=name, update=update.model_copy(update={"report": report})))
        due = federation.rounds.due()
        assert due is not None
        assert not spec.method.start_weights(federation.rounds.state.reports())
        weights[said] = due.weights
    assert weights[4] == weights[2**53]


def test_that_the_norm_of_a_site_that_began_from_a_smaller_start_is_checked_against_that() -> None:
    rng = np.random.default_rng(1)
    start = INITIAL.map(lambda module: Module(rng.normal(size=module.B.shape), module.A, module.scale))
    smaller, dropped = algebra.truncate(start, 1)
    assert dropped > 0.01
    after = moved(smaller, 3)
    check_norm(start, after.items(), Report(notes=1, update_norm=algebra.distance(after, smaller)))
    larger = algebra.grow(start, 4, seed=1)
    after = moved(larger, 3)
    check_norm(start, after.items(), Report(notes=1, update_norm=algebra.distance(after, larger)))
