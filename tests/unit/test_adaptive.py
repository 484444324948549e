# SPDX-License-Identifier: Apache-2.0
"""adaptive_fedlora from round to round, worked by hand; where nothing was published, the settings' own words hold."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import FederationSpec, Report
from fedmed_desktop.federation.actions import Combine
from fedmed_desktop.federation.combine import Combination, Sources, combine_product, combine_product_by_level
from fedmed_desktop.federation.drift import Drift
from fedmed_desktop.federation.methods import Opening
from fedmed_desktop.federation.methods.adaptive_fedlora import AdaptiveFedLora
from fedmed_desktop.federation.methods.method import MethodState
from fedmed_desktop.federation.plan import References, TrainingSettings
from fedmed_desktop.federation.spec import ShareSettings, checked_spec, dump_spec, load_spec
from fedmed_desktop.lora import Adapter, Module
from tests.parts.federation import INITIAL, small_spec

# Drift is then the model drift of the round itself, as long as one site has 1 in each.
PLAIN: dict[str, Any] = {"weights": (1.0, 0.0, 0.0), "quantile": 1.0, "memory": 0.0}


def opening(
    names: str = "AZ",
    number: int = 1,
    caps: Mapping[str, int] | None = None,
    clients: int | None = None,
    state: MethodState | None = None,
) -> Opening:
    return Opening(
        round=number,
        rounds=20,
        start=INITIAL.sha256,
        rank=8,
        training=TrainingSettings(steps=1),
        seeds={name: ord(name) for name in names},
        caps=caps or {},
        clients=clients,
        state=state or {},
    )


def closed(
    method: AdaptiveFedLora,
    number: int,
    drifts: Mapping[str, float | Drift],
    state: MethodState,
    caps: Mapping[str, int] | None = None,
    combination: Combination | None = None,
    reports: Mapping[str, Report] | None = None,
) -> Combination:
    """The end of a round in which these sites drifted so; its plans are the method's own. A number is model drift."""
    combination = combination or Combination(INITIAL, 0.0)
    due = Combine(
        round=number,
        rounds=20,
        rank=8,
        start=INITIAL.sha256,
        updates={},
        reports=reports or {site: Report(notes=10, loss_before=1.0) for site in drifts},
        plans=method.plan(opening("".join(drifts), number, caps, state=state)),
        weights={site: 1 / len(drifts) for site in drifts},
        drifts={
            site: one if isinstance(one, Drift) else Drift(model=one, performance=0) for site, one in drifts.items()
        },
        references=References(median_update_norm=1, loss=1),
        sites=len(drifts),
        caps=caps or {},
        state=state,
    )
    return method.finish(due, Sources(combination.adapter, {}), combination)


def ranks_of(method: AdaptiveFedLora, drifts: list[float], caps: Mapping[str, int] | None = None) -> list[int]:
    """Ranks that site A is planned in each round, and in the one after."""
    state: MethodState = {}
    ranks = []
    for number, drift in enumerate(drifts, start=1):
        ranks.append(method.plan(opening(number=number, caps=caps, state=state))["A"].rank)
        outcome = closed(method, number, {"A": drift, "Z": 1.0}, state, caps)
        state = json.loads(json.dumps(outcome.state))
        assert state == outcome.state
    return [*ranks, method.plan(opening(number=len(drifts) + 1, caps=caps, state=state))["A"].rank]


# -- drift and rank from round to round --------------------------------------------------------------------------------


def test_that_ranks_follow_drift_by_steps_that_hold_for_two_rounds() -> None:
    drifts = [0.9, 0.9, 0.9, 0.9, 0.1, 0.1, 0.5, 0.1, 0.1, 0.1]
    # 8 holds in rounds 1 and 2, 16 in 3 and 4; 32 in 5, where 0.1 comes too early, and in 6; then 16 in 7 and 8, down
    # after 8 and not after 7, which is between the thresholds; 8 in 9 and 10, and 4
    assert ranks_of(AdaptiveFedLora(**PLAIN), drifts) == [8, 8, 16, 16, 32, 32, 16, 16, 8, 8, 4]
    # the other way: down while it drifts, up when it does not, 4 and 32 the ends
    less = AdaptiveFedLora(**PLAIN, sign="less")
    assert ranks_of(less, drifts) == [8, 8, 4, 4, 4, 8, 8, 8, 16, 16, 32]
    # without holding, each round steps
    assert ranks_of(AdaptiveFedLora(**PLAIN, hold=1), drifts) == [8, 16, 32, 32, 32, 16, 8, 8, 4, 4, 4]


def test_that_no_rank_is_beyond_the_sites_hardware() -> None:
    method = AdaptiveFedLora(**PLAIN)
    assert ranks_of(method, [0.9] * 5, {"A": 16}) == [8, 8, 16, 16, 16, 16]
    assert ranks_of(method, [0.9] * 3, {"A": 15}) == [8, 8, 8, 8]
    assert ranks_of(method, [0.9] * 3, {"A": 3}) == [3, 3, 3, 3]
    # at the cap since round 3, so that it may fall after round 5
    assert ranks_of(method, [0.9, 0.9, 0.9, 0.9, 0.1], {"A": 16})[-1] == 8


def test_that_a_cap_that_shrinks_takes_the_rank_with_it_and_the_new_rank_holds() -> None:
    method = AdaptiveFedLora(**PLAIN)
    state: MethodState = {}
    for number in (1, 2):
        state = closed(method, number, {"A": 0.9, "Z": 1.0}, state).state
    assert method.plan(opening(number=3, state=state))["A"].rank == 16
    caps = {"A": 8}
    assert method.plan(opening(number=3, caps=caps, state=state))["A"].rank == 8
    for number in (3, 4):
        state = closed(method, number, {"A": 0.9, "Z": 1.0}, state, caps).state
    assert method.plan(opening(number=5, state=state))["A"].rank == 8
    state = closed(method, 5, {"A": 0.9, "Z": 1.0}, state).state
    assert method.plan(opening(number=6, state=state))["A"].rank == 16


def test_that_the_continuous_rule_plans_anew_in_every_round() -> None:
    # 4 + 28 D, snapped up: 0.9 29.2, 0.1 6.8, 0.3 12.4
    assert ranks_of(AdaptiveFedLora(**PLAIN, rule="continuous"), [0.9, 0.1, 0.3, 0.0]) == [8, 32, 8, 16, 4]


def test_that_drift_is_smoothed_per_site_over_quantiles_of_all() -> None:
    method = AdaptiveFedLora()
    first = closed(
        method, 1, {"A": Drift(model=1, performance=0.2, semantic=0.5), "B": Drift(model=3, performance=0)}, {}
    )
    # 95 % quantiles: model of 1, 3 is 2.9; performance of 0, 0.2 is 0.19; semantic of 0.5 is 0.5
    a, b = 0.4 / 2.9 + 0.3 + 0.3, (0.4 + 0.3 * 0) / 0.7  # A's 0.2 and B's 3 are beyond the quantile: 1; B has no third
    assert first.measures["drift.A"] == pytest.approx(a) and first.measures["drift.B"] == pytest.approx(b)
    assert first.measures["mean_drift"] == pytest.approx((a + b) / 2)
    second = closed(method, 2, {"A": Drift(model=2, performance=0, semantic=0)}, first.state)
    # model of 1, 3, 2: 2 + 0.9 x 1 = 2.9
    now = 0.4 * 2 / 2.9
    assert second.measures["drift.A"] == pytest.approx(0.7 * a + 0.3 * now) == second.measures["mean_drift"]
    # B took no part: it stays as it was. 0.599 and 0.571 keep 8
    assert second.measures["drift.B"] == first.measures["drift.B"]
    assert {name: value for name, value in second.measures.items() if name.startswith("rank.")} == {
        "rank.A": 8.0,
        "rank.B": 8.0,
    }


def test_that_the_quantile_is_over_a_window_of_the_last_values() -> None:
    method = AdaptiveFedLora(**PLAIN, window=3)
    state: MethodState = {}
    found = []
    for number, drift in enumerate([4.0, 1.0, 1.0, 1.0], start=1):
        outcome = closed(method, number, {"A": drift}, state)
        state = outcome.state
        found.append(outcome.measures["drift.A"])
    assert found == [1.0, 0.25, 0.25, 1.0]  # the 4 has left the window
    assert state["recent"] == [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], []]


def test_that_no_order_of_arrival_changes_the_state() -> None:
    method, drifts = AdaptiveFedLora(window=2), {"A": 0.1, "B": 0.7, "C": 0.4}
    turned = dict(reversed(drifts.items()))
    assert closed(method, 1, drifts, {}) == closed(method, 1, turned, {})
    assert json.dumps(closed(method, 1, drifts, {}).state) == json.dumps(closed(method, 1, turned, {}).state)


def test_that_the_share_of_energy_above_the_smallest_rank_is_told_but_for_stacks() -> None:
    sigma = np.sqrt([5.0, 2.0, 2.0, 1.0] + [0.5] * 4)
    adapter = Adapter({"m": Module((np.eye(9)[:, :8] * sigma).astype(np.float32), np.eye(8, dtype=np.float32), 1.0)})
    result = Combination(adapter, 0.0)
    method = AdaptiveFedLora()
    # of 12 in all, 2 lie above rank 4
    outcome = closed(method, 1, {"A": 1.0, "B": 1.0}, {}, {"A": 4}, result)
    assert outcome.measures["energy_above_smallest_rank"] == pytest.approx(2 / 12, rel=1e-6)
    assert closed(method, 1, {"A": 1.0}, {}, None, result).measures["energy_above_smallest_rank"] == 0.0
    stacked = closed(method, 1, {"A": 1.0}, {}, None, Combination(adapter, 0.0, adapter))
    assert "energy_above_smallest_rank" not in stacked.measures


# -- weights -----------------------------------------------------------------------------------------------------------


def report(notes: int, **histogram: int) -> Report:
    return Report(notes=notes, histogram=histogram)


def dense_divergence(p: np.ndarray, q: np.ndarray) -> float:
    m = (p + q) / 2
    return float(np.sum(p * np.log2(p / m)) / 2 + np.sum(q * np.log2(q / m)) / 2)


def test_that_weights_fall_with_the_distance_from_the_federations_notes() -> None:
    reports = {"A": report(10, cardiology=3), "B": report(30, neurology=3)}
    # smoothed: A (4/5, 1/5), B (1/5, 4/5); by notes the federation is A / 4 + 3 B / 4 = (0.35, 0.65)
    pooled = np.array([0.35, 0.65])
    near = [dense_divergence(np.array(one), pooled) for one in ([0.8, 0.2], [0.2, 0.8])]
    for tau in (0.5, 2.0):
        found = AdaptiveFedLora(tau=tau).weigh(reports)
        assert found["A"] / found["B"] == pytest.approx(math.exp(-(near[0] - near[1]) / tau) / 3)
        assert sum(found.values()) == pytest.approx(1)
    assert near[1] < near[0]


def test_that_sites_that_are_alike_weigh_by_notes_and_so_do_all_where_one_says_nothing() -> None:
    alike = {"A": report(10, cardiology=2), "B": report(30, cardiology=6)}
    assert AdaptiveFedLora().weigh(alike)["A"] == pytest.approx(0.25)
    silent = {"A": report(10), "B": report(30, cardiology=6)}
    assert AdaptiveFedLora(weights=(1, 1, 0)).weigh(silent) == {"A": 0.25, "B": 0.75}


def test_that_what_sites_notes_are_about_must_be_shared_unless_it_counts_nothing() -> None:
    data = small_spec().model_dump(mode="json", exclude={"combine"})
    with pytest.raises(UserFacingError) as caught:
        checked_spec(data | {"method": {"name": "adaptive_fedlora"}}, "federation.toml")
    assert caught.value.code == "methods.needs_histogram"
    without = {"name": "adaptive_fedlora", "weights": [0.5, 0.5, 0.0]}
    spec = checked_spec(data | {"method": without}, "federation.toml")
    assert spec.combine == "product" and spec.method.refusal(Report(notes=1)) is None
    shared = {"share": {"histogram": "types"}, "method": {"name": "adaptive_fedlora"}}
    method = checked_spec(data | shared, "federation.toml").method
    assert method.refusal(Report(notes=1)) == "methods.no_histogram"
    assert method.refusal(report(1, drug=1)) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights": [0, 0, 0]},
        {"weights": [1, -1, 1]},
        {"grid": [8, 4]},
        {"grid": []},
        {"grid": [4, 2048]},
        {"lower_below": 0.7},
        {"tau": 0},
    ],
)
def test_that_settings_without_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        AdaptiveFedLora(**wrong)


def test_that_a_specification_with_all_settings_is_written_and_read_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    method = AdaptiveFedLora(weights=(0.5, 0.25, 0.25), grid=(2, 8), sign="less", guard=False, explore=0.5)
    spec: FederationSpec = small_spec(method=method, share=ShareSettings(histogram="types"))
    path = tmp_path_factory.mktemp("spec") / "federation.toml"
    path.write_text(dump_spec(spec), "utf-8")
    assert load_spec(path) == spec


# -- who takes part, and how updates combine ---------------------------------------------------------------------------


def test_that_all_take_part_unless_the_federation_asks_for_fewer() -> None:
    method = AdaptiveFedLora()
    for clients in (None, 4, 5):
        assert method.select(opening("DBCA", clients=clients)) == ["A", "B", "C", "D"]
    assert len(method.select(opening("DBCA", clients=2))) == 2


def test_that_last_reports_decide_who_takes_part() -> None:
    method, drifts = AdaptiveFedLora(explore=0.0, explore_least=0.0), dict.fromkeys("ABCD", 1.0)
    reports = {
        site: Report(notes=10, loss_before=loss, histogram={about: 9})
        for site, loss, about in (("A", 3.0, "x"), ("B", 2.9, "x"), ("C", 2.2, "y"), ("D", 0.1, "y"))
    }
    state = closed(method, 1, drifts, {}, reports=reports).state
    assert method.select(opening("ABCD", 2, clients=2, state=state)) == ["A", "C"]
    assert sorted(method.plan(opening("ABCD", 2, clients=2, state=state))) == ["A", "C"]
    apart = AdaptiveFedLora(explore=0.0, explore_least=0.0, coverage=0.0)
    assert apart.select(opening("ABCD", 2, clients=2, state=state)) == ["A", "B"]


def test_that_how_long_a_training_took_leaves_no_trace_unless_it_counts() -> None:
    quick, slow = ({"A": Report(notes=1, seconds=seconds)} for seconds in (1.0, 2.0))
    for method, same in ((AdaptiveFedLora(), True), (AdaptiveFedLora(slowness=2.0), False)):
        states = [closed(method, 1, {"A": 1.0}, {}, reports=one).state for one in (quick, slow)]
        assert (states[0] == states[1]) is same


def test_that_products_are_guarded_by_default() -> None:
    assert AdaptiveFedLora().combiner("product") is combine_product_by_level
    assert AdaptiveFedLora(guard=False).combiner("product") is combine_product
