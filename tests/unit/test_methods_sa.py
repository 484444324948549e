# SPDX-License-Identifier: Apache-2.0
"""SA-FedLoRA: the calendar by hand, the cut against a dense one, and whole federations whose sites begin alike."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import FederationSpec, Part, Report, Rounds, Update
from fedmed_desktop.federation.aggregation import combine, combined
from fedmed_desktop.federation.combine import Sources
from fedmed_desktop.federation.inputs import SiteJoined, UpdateArrived
from fedmed_desktop.federation.methods import SaFedLora
from fedmed_desktop.federation.objectives import Proximal
from fedmed_desktop.federation.spec import BaseModelSpec, LoraSettings, checked_spec
from fedmed_desktop.lora import Adapter, algebra
from tests.parts.federation import FINGERPRINT, SHAPES, moved
from tests.parts.method import closed, cut, full, near, opening, spec_of, trained

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def sequence(rounds: int, first: int = 32, method: SaFedLora | None = None) -> list[int]:
    return [(method or SaFedLora()).rank_at(number, rounds, first) for number in range(1, rounds + 1)]


def test_that_the_ranks_are_those_worked_out_by_hand() -> None:
    # T = 10: T_i = 1, T_h = 1, T_f = 2. Rounds 1 and 2 have 32, rounds from 8 on have 4. Between, with 6 steps from 2:
    # 4 + 28 (5/6)^3 = 20.2, 4 + 28 (4/6)^3 = 12.3, 4 + 28 (3/6)^3 = 7.5, 4 + 28 (2/6)^3 = 5.04, 4 + 28 (1/6)^3 = 4.1.
    assert sequence(10) == [32, 32, 20, 12, 7, 5, 4, 4, 4, 4]
    # T = 5: T_i = 1 (of 0.5), T_h = 0 (of 0.5), T_f = 1; so from 4 on 4, and 4 + 28 (2/3)^3 = 12.3, 4 + 28 (1/3)^3 = 5.
    assert sequence(5) == [32, 12, 5, 4, 4]
    # T = 3: T_i = 1 and nothing held or at the end: 4 + 28 (1/2)^3 = 7.5.
    assert sequence(3) == [32, 7, 4]
    assert sequence(1) == [32] and sequence(2) == [32, 4]
    # A first rank below the last one stays.
    assert sequence(10, first=2) == [2] * 10
    # Shares are taken as they are written: 0.29 of 100 are 29 rounds, though 0.29 * 100 < 29 in floats.
    long = sequence(100, method=SaFedLora(initiating=0.29, hold=0, final=0.29))
    assert long[28] == 32 > long[29] and long[70] == 4 and long.count(32) == 29


@given(
    st.integers(1, 60), st.integers(1, 64), st.integers(1, 64),
    st.floats(0.01, 0.4), st.floats(0, 0.3), st.floats(0, 0.3),
)  # fmt: skip
def test_that_ranks_never_rise_begin_with_the_first_and_stay_at_the_end(
    rounds: int, first: int, last: int, initiating: float, hold: float, final: float
) -> None:
    method = SaFedLora(rank_last=last, initiating=initiating, hold=hold, final=final)
    ranks = sequence(rounds, first, method)
    assert ranks[0] == first and ranks == sorted(ranks, reverse=True) and ranks[-1] >= min(first, last)
    assert method.rank_at(rounds + 1, rounds, first) == ranks[-1]


def test_that_sites_are_held_in_the_initiating_stage_alone() -> None:
    for number in range(1, 12):
        plans = SaFedLora(initiating=0.3, mu=0.2).plan(opening(number, rounds=10, rank=32))
        expected = (Proximal(mu=0.2, on="factors"),) if number <= 3 else ()
        assert {plan.objective for plan in plans.values()} == {expected}
        assert len({plan.rank for plan in plans.values()}) == 1


@pytest.mark.parametrize("way", ["factors", "product"])
def test_that_the_next_start_is_the_dense_average_cut_to_the_next_rank(way: str) -> None:
    # Of 3 rounds the second has floor(1 + 5 (1/2)^3) = 1.
    spec = spec_of("sa_fedlora", {"rank_last": 1}, combine=way, lora=LoraSettings(rank=6, alpha=12))
    adapters, shares = trained(6), {"A": 0.1, "B": 0.3, "C": 0.6}
    outcome = closed(spec, adapters)
    assert set(outcome.adapter.ranks.values()) == {1}
    kept = whole = 0.0
    for name in SHAPES:
        if way == "product":
            average = np.asarray(sum(share * full(adapters[site][name]) for site, share in shares.items()))
        else:
            b = sum(share * adapters[site][name].B.astype(np.float64) for site, share in shares.items())
            a = sum(share * adapters[site][name].A.astype(np.float64) for site, share in shares.items())
            average = adapters["A"][name].scale * np.asarray(b @ a)
        assert near(full(outcome.adapter[name]), cut(average, 1))
        cut_to = 6 if way == "product" else min(average.shape)
        kept += float(np.sum(cut(average, 1) ** 2))
        whole += float(np.sum(cut(average, cut_to) ** 2))
    assert outcome.measures["energy_cut"] == pytest.approx(1 - kept / whole, abs=1e-6)


# -- whole federations ------------------------------------------------------------------------------------------------

FIRST = LoraSettings(rank=8, alpha=16)
BEGINNING = Adapter.initial(SHAPES, FIRST.rank, FIRST.scale, seed=0)


def federation(way: str) -> FederationSpec:
    base = BaseModelSpec(fingerprint=FINGERPRINT, initial=BEGINNING.sha256, modules=SHAPES)
    return spec_of("sa_fedlora", {"rank_last": 2}, combine=way, rounds=6, lora=FIRST, base=base)


@pytest.mark.parametrize("way", ["factors", "product", "stack"])
def test_that_in_every_round_all_sites_begin_from_a_start_of_just_the_rank_that_they_are_asked_for(
    way: str,
) -> None:
    spec = federation(way)
    rounds, stored, ranks = Rounds(spec), {BEGINNING.sha256: BEGINNING}, []
    for site in "ABC":
        rounds.handle(SiteJoined(site=site), NOW)
    for number in range(1, spec.rounds + 1):
        plans, sources = dict(rounds.state.plans), {}
        assert {plan.round for plan in plans.values()} == {number}
        for site, plan in plans.items():
            start = stored[plan.start]
            assert set(start.ranks.values()) == {plan.rank}
            sources[site] = after = moved(start, plan.seed % 2**32)
            report = Report(notes=ord(site), loss_before=1.0, update_norm=algebra.distance(after, start))
            part = Part(sha256=after.sha256, size=1)
            rounds.handle(
                UpdateArrived(site=site, update=Update(round=number, parts={"adapter": part}, report=report)), NOW
            )
        ranks.append(plan.rank)
        due, frozen = rounds.due(), stored.get(rounds.state.frozen or "")
        assert due is not None
        combination = combine(due, spec, Sources(start, sources, frozen))
        stored |= {one.sha256: one for one in (combination.adapter, combination.frozen) if one is not None}
        rounds.handle(combined(due, combination), NOW)
    # T = 6: T_i = 1, T_f = 1; from 5 on 2, and 2 + 6 (3/4)^3 = 4.5, 2 + 6 (2/4)^3 = 2.75, 2 + 6 (1/4)^3 = 2.1.
    assert ranks == [8, 4, 2, 2, 2, 2]
    # The evaluation comes after the last round, at its rank.
    assert rounds.state.phase == "evaluating"
    assert {(plan.kind, plan.round, plan.rank) for plan in rounds.state.plans.values()} == {("evaluate", 7, 2)}
    assert set(stored[rounds.state.start].ranks.values()) == {2}


def test_that_a_site_that_cannot_bear_the_first_rank_is_told() -> None:
    rounds = Rounds(federation("factors"))
    assert rounds.join_refusal(7) == "join.rank_cap" and rounds.join_refusal(8) is None


def test_that_stages_that_do_not_fit_into_the_rounds_are_refused() -> None:
    assert SaFedLora(initiating=0.7, hold=0.1, final=0.2)  # 1 as it is written, a little more in floats
    data = spec_of("sa_fedlora").model_dump(mode="json")
    with pytest.raises(UserFacingError) as caught:
        checked_spec(data | {"method": {"name": "sa_fedlora", "hold": 0.8}}, "federation.toml")
    assert "must not exceed 1" in str(caught.value)
    for wrong in ({"initiating": 0}, {"rank_last": 0}, {"mu": 0}, {"final": 1.1}, {"rank_first": 8}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SaFedLora.model_validate(wrong)
