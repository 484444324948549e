# SPDX-License-Identifier: Apache-2.0
"""A common adapter that each site fetches cut to its own rank: what travels, what it begins from, and what is whole."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from fedmed_desktop.coordinator.recovery import LostParts, check_adapters
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import FederationSpec, Given, Part, Plan, Report, Rounds, Update
from fedmed_desktop.federation.check import check_norm, checked
from fedmed_desktop.federation.consent import check_plan
from fedmed_desktop.federation.inputs import RoundCombined, SiteJoined, UpdateArrived
from fedmed_desktop.federation.plan import TransferSettings
from fedmed_desktop.federation.sending import sent
from fedmed_desktop.lora import Adapter, algebra
from fedmed_desktop.lora.half import open_update
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.adapters import combine_stored
from tests.parts.federation import LORA, SHAPES, moved
from tests.parts.method import cut, full, near, spec_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CAPS = {"A": None, "B": 2, "C": 1}
RANK = 4
INITIAL = Adapter.initial(SHAPES, RANK, LORA.scale, 3)


class Federation:
    """Rounds whose coordinator goes through a dump before each input, and sites that are moved at random."""

    def __init__(self, folder: Path, spec: FederationSpec) -> None:
        self.spec, self.blobs, self.rounds = spec, BlobStore(folder), Rounds(spec)
        self.offered: dict[str, Adapter] = {}
        self.blobs.write(INITIAL.to_blob())
        for site, cap in CAPS.items():
            self.give(SiteJoined(site=site, rank_cap=cap))

    def give(self, given: SiteJoined | UpdateArrived | RoundCombined) -> None:
        self.rounds = Rounds(self.spec, self.rounds.dump())
        assert self.rounds.handle(given, NOW).changed

    def adapter(self, sha256: str) -> Adapter:
        return Adapter.from_blob(self.blobs.read(sha256))

    def trained(self, site: str, plan: Plan) -> None:
        check_plan(plan, self.spec)
        start = self.adapter(plan.start)
        begun = algebra.grow(start.map(lambda m: algebra.module_cut(m, plan.rank, plan.cut)), plan.rank, plan.seed)
        offered = sent(plan, Given(start), begun, moved(begun, plan.seed % 2**32, 0.05))
        self.offered[site] = offered.adapter
        norm = algebra.distance(offered.adapter, begun)
        report = Report(notes=3, steps=2, loss_before=1.0, histogram={"x": 1}, update_norm=norm)
        part = Part(sha256=self.blobs.write(offered.blob), size=len(offered.blob))
        with open_update(self.blobs.path(part.sha256), plan.shared, start, packing=plan.packing) as after:
            check_norm(start, checked(after, self.spec, plan), report, plan.cut)
        self.give(UpdateArrived(site=site, update=Update(round=plan.round, parts={"adapter": part}, report=report)))

    def round(self) -> RoundCombined:
        for site, plan in self.rounds.state.plans.items():
            self.trained(site, plan)
        due = self.rounds.due()
        assert due is not None
        found = combine_stored(due, self.spec, self.blobs)
        again = Rounds(self.spec, self.rounds.dump()).due()
        assert again is not None and combine_stored(again, self.spec, self.blobs) == found
        self.give(found)
        return found


def spec(method: str = "flexlora", combine: str = "product", **transfer: object) -> FederationSpec:
    settings = TransferSettings.model_validate({"cut": True, **transfer})
    return of_rank(spec_of(method, combine=combine, rounds=3, transfer=settings))


def of_rank(usual: FederationSpec) -> FederationSpec:
    lora = LORA.model_copy(update={"rank": RANK, "alpha": LORA.scale * RANK})
    base = usual.base.model_copy(update={"initial": INITIAL.sha256})
    return usual.model_copy(update={"lora": lora, "base": base})


@pytest.mark.parametrize(("method", "combine"), [("flexlora", "product"), ("fedavg", "factors"), ("fedavg", "product")])
def test_that_a_site_fetches_the_best_of_its_rank_and_the_last_model_whole(
    method: str, combine: str, tmp_path: Path
) -> None:
    run = Federation(tmp_path, spec(method, combine))
    assert {plan.start for plan in run.rounds.state.plans.values()} == {INITIAL.sha256}, "round one begins with one"
    for _ in range(2):
        run.round()
        state, whole = run.rounds.state, run.adapter(run.rounds.state.start)
        assert state.plans["A"].start == state.start and set(whole.ranks.values()) == {RANK}
        for site, rank in (("B", 2), ("C", 1)):
            start = run.adapter(state.plans[site].start)
            assert set(start.ranks.values()) == {rank} and state.plans[site].rank == rank
            assert run.blobs.size(start.sha256) < run.blobs.size(whole.sha256)
            for name, module in start.items():
                if combine == "product":
                    assert near(full(module), cut(full(whole[name]), rank))
                else:
                    assert np.array_equal(module.B, whole[name].B[:, :rank])
        assert {plan.start for plan in state.plans.values()} <= state.needed() <= state.published()
    run.round()
    assert run.rounds.state.phase == "evaluating" and not run.rounds.state.cuts
    assert {plan.start for plan in run.rounds.state.plans.values()} == {run.rounds.state.start}


def test_that_combining_is_the_same_as_where_sites_cut_for_themselves(tmp_path: Path) -> None:
    usual = spec().model_copy(update={"transfer": TransferSettings()})
    own, theirs = Federation(tmp_path / "a", usual), Federation(tmp_path / "b", spec())
    for _ in range(2):
        own.round()
        theirs.round()
    one, other = (run.adapter(run.rounds.state.start) for run in (own, theirs))
    assert algebra.distance(one, other) < 1e-5 * algebra.norm(one)
    assert not own.rounds.state.cuts and all("cuts" not in past.model_dump() for past in own.rounds.state.history)


def test_that_updates_in_fewer_bits_are_differences_from_what_the_site_fetched(tmp_path: Path) -> None:
    run = Federation(tmp_path, spec(dtype="int8"))
    for _ in range(2):
        run.round()
        whole = run.adapter(run.rounds.state.start)
        for name, module in whole.items():  # of three sites with as many notes
            mean = np.asarray(sum(full(one[name]) for one in run.offered.values())) / 3
            assert near(full(module), cut(mean, RANK))


def test_that_adaptive_ranks_are_cut_in_the_split_of_the_method(tmp_path: Path) -> None:
    parameters = {"grid": [1, 2, 4], "split": "fresh"}
    transfer = TransferSettings(cut=True)
    adaptive = of_rank(spec_of("adaptive_fedlora", parameters, combine="product", rounds=3, transfer=transfer))
    run = Federation(tmp_path, adaptive)
    run.round()
    plan = run.rounds.state.plans["B"]
    start = run.adapter(plan.start)
    assert plan.rank == 2 and set(start.ranks.values()) == {2} and plan.cut == "fresh"
    for module in start.values():
        assert np.allclose(np.linalg.norm(module.A, axis=1), np.sqrt(1 / 3), rtol=1e-5)


def test_that_a_site_which_comes_later_with_another_rank_fetches_the_whole(tmp_path: Path) -> None:
    run = Federation(tmp_path, spec())
    run.round()
    run.give(SiteJoined(site="D", rank_cap=3))
    run.round()
    assert run.rounds.state.plans["D"].rank == 3 and set(run.rounds.state.cuts) == {1, 2, 3}, "known by now"
    late = Federation(tmp_path / "late", spec())
    for site, plan in late.rounds.state.plans.items():
        late.trained(site, plan)
    due = late.rounds.due()
    assert due is not None
    late.give(SiteJoined(site="D", rank_cap=3))
    late.give(combine_stored(due, late.spec, late.blobs))
    assert late.rounds.state.plans["D"].start == late.rounds.state.start


def test_that_a_cut_that_is_lost_holds_the_round_up(tmp_path: Path) -> None:
    run = Federation(tmp_path, spec())
    run.round()
    check_adapters(run.blobs, run.rounds.state)
    run.blobs.delete(run.rounds.state.plans["C"].start)
    with pytest.raises(UserFacingError) as caught:
        check_adapters(run.blobs, run.rounds.state)
    assert caught.value.params["sha256"] == run.rounds.state.plans["C"].start


def test_that_a_cut_that_is_lost_before_its_round_is_combined_is_named(tmp_path: Path) -> None:
    run = Federation(tmp_path, spec())
    run.round()
    for site, plan in run.rounds.state.plans.items():
        run.trained(site, plan)
    due, lost = run.rounds.due(), LostParts(run.blobs)
    assert due is not None and lost.look(due) is None
    run.blobs.delete(due.plans["C"].start)
    with pytest.raises(UserFacingError, match=r"storage.no_blob"):
        combine_stored(due, run.spec, run.blobs)
    fault = lost.look(due)  # else it would be combined again and again, without a word
    assert fault is not None and fault.retryable and fault.params["sha256"] == due.plans["C"].start


def test_that_a_cut_does_not_go_with_differences_on_the_way_down() -> None:
    with pytest.raises(ValueError, match="take out down, or cut"):
        TransferSettings(dtype="int4", down=True, cut=True)
    assert "cut" not in TransferSettings().model_dump()
