# SPDX-License-Identifier: Apache-2.0
"""Differential privacy of whole sites: what is refused at founding, the noise, and the coordinator's record."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.federation import FederationSpec, Rounds, accounting
from fedmed_desktop.federation.accounting import Steps, epsilon, gaussian_epsilon, gaussian_noise
from fedmed_desktop.federation.actions import Combine
from fedmed_desktop.federation.aggregation import combine
from fedmed_desktop.federation.client_privacy import MOST_TIMES, expected_noise, noise_of_round
from fedmed_desktop.federation.combine import Sources
from fedmed_desktop.federation.inputs import SiteJoined, UpdateArrived
from fedmed_desktop.federation.noised import Noise
from fedmed_desktop.federation.secure_aggregation.fitting import REFUSED
from fedmed_desktop.federation.spec import checked_spec, dump_spec, load_spec
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.storage.releases import FILE, ReleasesFile, noise_from
from fedmed_desktop.wording.whole_sites import budget_of_sites, whole_sites
from tests.parts.federation import INITIAL, moved, result_of, small_spec
from tests.parts.told import told_as

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRIVACY = {"noise_multiplier": 2.0, "clip_norm": 0.5, "delta": 1e-3, "accept_noise": True}
SILENT = Noise(1e-12, bytes(32), 0.0)  # as good as none, to see what the rest does


def private_spec(privacy: Mapping[str, Any] = PRIVACY, **changes: Any) -> FederationSpec:
    data = small_spec().model_dump(mode="json", exclude={"combine"}) | {"method": {"name": "fedavg"}}
    return checked_spec(data | {"client_privacy": dict(privacy)} | changes, "federation.toml")


def due_of(spec: FederationSpec, adapters: Mapping[str, Adapter], notes: Mapping[str, int] | None = None) -> Combine:
    rounds = Rounds(spec)
    for site in adapters:
        rounds.handle(SiteJoined(site=site), NOW)
    for site, after in adapters.items():
        update = result_of(rounds.state.plans[site], INITIAL, after, (notes or {}).get(site, 10)).update
        rounds.handle(UpdateArrived(site=site, update=update), NOW)
    due = rounds.due()
    assert due is not None
    return due


def flat(adapter: Adapter) -> np.ndarray:
    return np.concatenate(
        [factor.astype(np.float64).ravel() for _, one in sorted(adapter.items()) for factor in (one.B, one.A)]
    )


def change(adapter: Adapter) -> np.ndarray:
    return flat(adapter) - flat(INITIAL)


THREE = {"A": moved(INITIAL, 1, 0.001), "B": moved(INITIAL, 2, 0.001), "C": moved(INITIAL, 3, 5.0)}


@pytest.fixture
def coarse() -> Iterator[None]:
    """The accountant rounds up more, which takes a tenth of the time; its numbers are looked at elsewhere."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(accounting, "_LOSS_STEP", 0.02)
        accounting._composed.cache_clear()
        yield
    accounting._composed.cache_clear()


# -- the mean ---------------------------------------------------------------------------------------------------------


def test_that_a_long_update_is_shortened_and_all_sites_count_the_same() -> None:
    spec = private_spec()
    due = due_of(spec, THREE, {"A": 1, "B": 1000, "C": 50})
    found = change(combine(due, spec, Sources(INITIAL, THREE), SILENT).adapter)
    long = change(THREE["C"])
    expected = (change(THREE["A"]) + change(THREE["B"]) + long * 0.5 / np.linalg.norm(long)) / 3
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert set(due.weights.values()) == {1 / 3}


@pytest.mark.parametrize(
    "name", ["fed_medlora", "fedavg", "fedavgm", "fedopal", "fedprox", "fedrot", "fedsa", "ffa", "rolora"]
)
def test_that_one_site_changes_no_more_than_the_noise_is_measured_by(name: str) -> None:
    """With and without what one site has learned, the means differ by the clip at most, whatever it sends."""
    spec = private_spec(method={"name": name})
    one, other = (
        combine(due_of(spec, them), spec, Sources(INITIAL, them), SILENT).adapter
        for them in (THREE, {**THREE, "C": INITIAL})
    )
    assert 0.0 < np.linalg.norm(flat(one) - flat(other)) <= 0.5 / 3 + 1e-6


def test_that_the_noise_is_as_long_as_it_was_told_and_of_every_shared_value() -> None:
    nothing = dict.fromkeys("ABC", INITIAL)
    spec = private_spec({**PRIVACY, "noise_multiplier": 3.0})
    noises = [Noise(3.0, bytes([number]) * 32, 0.0) for number in range(50)]
    due = due_of(spec, nothing)
    found = np.stack([change(combine(due, spec, Sources(INITIAL, nothing), one).adapter) for one in noises])
    expected = expected_noise(spec)
    assert expected is not None and expected.values == found.shape[1]
    assert np.linalg.norm(found, axis=1).mean() == pytest.approx(expected.times * 0.5, rel=0.05)
    assert found.std() == pytest.approx(3.0 * 0.5 / 3, rel=0.05)
    assert found.std(axis=0).min() > 0.3 * found.std()
    assert abs(np.corrcoef(found.T) - np.eye(found.shape[1])).max() < 0.7


@pytest.mark.parametrize(("name", "kept"), [("ffa", "A"), ("fedsa", "B")])
def test_that_a_factor_that_no_site_sends_gets_no_noise(name: str, kept: str) -> None:
    spec = private_spec(method={"name": name})
    found = combine(due_of(spec, THREE), spec, Sources(INITIAL, THREE), Noise(1.0, bytes(32), 0.0)).adapter
    other = "B" if kept == "A" else "A"
    for module in found:
        assert np.array_equal(getattr(found[module], kept), getattr(INITIAL[module], kept))
        assert (getattr(found[module], other) != getattr(INITIAL[module], other)).all()


def test_that_a_method_may_go_further_than_the_noised_mean() -> None:
    noise = Noise(1.0, bytes(32), 0.0)
    once, twice = private_spec(), private_spec(method={"name": "fedavg", "server_step": 2.0})
    found = [change(combine(due_of(one, THREE), one, Sources(INITIAL, THREE), noise).adapter) for one in (once, twice)]
    np.testing.assert_allclose(found[1], 2 * found[0], atol=1e-6)


def test_that_nothing_is_combined_without_its_noise() -> None:
    spec = private_spec()
    with pytest.raises(ValueError, match="noise goes with"):
        combine(due_of(spec, THREE), spec, Sources(INITIAL, THREE))


def test_that_an_update_of_another_shape_is_named() -> None:
    spec, name = private_spec(), sorted(INITIAL)[0]
    wide = {**INITIAL, name: Module(np.zeros((12, 3)), np.zeros((3, 8)), INITIAL[name].scale)}
    if sorted(INITIAL)[0].endswith("up_proj"):
        wide[name] = Module(np.zeros((16, 3)), np.zeros((3, 8)), INITIAL[name].scale)
    with told_as(name):
        combine(due_of(spec, THREE), spec, Sources(INITIAL, {**THREE, "B": Adapter(wide)}), SILENT)


# -- the accountant ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rounds", "budget", "delta", "noise"), [(5, 8, 1e-3, 1.07), (20, 3, 1e-5, 6.22), (2, 1, 1e-3, 3.64)]
)
def test_that_what_is_told_in_advance_is_what_the_accountant_asks_for(
    rounds: int, budget: float, delta: float, noise: float
) -> None:
    """The noises are of an independent table."""
    told = gaussian_noise(budget, delta, rounds)
    assert told == pytest.approx(noise, abs=0.005)
    assert (
        epsilon([Steps(1.0, told * 1.002, rounds)], delta) <= budget < epsilon([Steps(1.0, told * 0.99, rounds)], delta)
    )
    assert gaussian_epsilon(told, delta, rounds) == pytest.approx(budget, rel=0.003)


@pytest.mark.usefixtures("coarse")
def test_that_all_rounds_together_spend_the_budget_and_no_more() -> None:
    spec = private_spec({**PRIVACY, "noise_multiplier": None, "epsilon": 6.0})
    assert spec.client_privacy is not None
    spent: list[Steps] = []
    for number in range(1, spec.rounds + 1):
        spent.append(Steps(1.0, noise_of_round(spec, number, spent)))
    assert 5.9 < epsilon(spent, 1e-3) <= 6.0
    assert len({one.noise for one in spent}) == 1


# -- the coordinator's record -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("coarse")
def test_that_a_sum_that_was_cut_off_comes_out_the_same_and_is_spent_once(tmp_path: Path) -> None:
    spec, due = private_spec(), due_of(private_spec(), THREE)
    noise = noise_from(tmp_path, spec, 0)
    assert noise is not None
    first = noise(due)
    again = noise_from(tmp_path, spec, 0)  # after a kill
    assert again is not None and again(due) == first
    with closing(ReleasesFile(tmp_path / FILE, 1)) as file:
        assert file.spent() == [Steps(1.0, 2.0)]
    one, other = (combine(due, spec, Sources(INITIAL, THREE), drawn).adapter.sha256 for drawn in (first, again(due)))
    assert one == other


@pytest.mark.usefixtures("coarse")
def test_that_another_sum_in_the_same_round_gets_other_noise_and_is_counted(tmp_path: Path) -> None:
    spec = private_spec()
    noise = noise_from(tmp_path, spec, 0)
    assert noise is not None
    first, second = noise(due_of(spec, THREE)), noise(due_of(spec, {**THREE, "A": moved(INITIAL, 9)}))
    assert first.key != second.key and second.spent > first.spent
    assert second.multiplier > first.multiplier  # four sums in the budget of three


@pytest.mark.usefixtures("coarse")
def test_that_a_budget_without_room_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "MOST_NOISE", 3.0)
    spec = private_spec()
    noise = noise_from(tmp_path, spec, 0)
    assert noise is not None
    with told_as(
        "privacy budget for whole sites is left: .* more sums would need so much noise"
    ):  # a coordinator that was put back again and again
        for seed in range(200):
            noise(due_of(spec, {**THREE, "A": moved(INITIAL, seed)}))
    with closing(ReleasesFile(tmp_path / FILE, 0)) as file:
        assert 1 < len(file.spent()) < 200
        assert epsilon(file.spent(), 1e-3) <= epsilon([Steps(1.0, 2.0, spec.rounds)], 1e-3)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("harm", ["lost", "DELETE FROM releases", "UPDATE releases SET noise = 9.0"])
def test_that_a_record_that_was_lost_or_changed_stops_the_coordinator(tmp_path: Path, harm: str) -> None:
    spec = private_spec()
    noise = noise_from(tmp_path, spec, 0)
    assert noise is not None
    noise(due_of(spec, THREE))
    if harm == "lost":
        (tmp_path / FILE).unlink()
    else:
        with sqlite3.connect(tmp_path / FILE) as connection:
            connection.execute(harm)
    with told_as("releases|was lost, or is an old copy"):
        noise_from(tmp_path, spec, 1)


# -- founding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_that_a_method_without_a_plain_sum_is_refused(name: str) -> None:
    with told_as("only in a plain mean|shared notes|histogram"):
        private_spec(method={"name": name}, share={"histogram": "types"} if name == "adaptive_fedlora" else {})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"combine": "product"}, "only in a plain mean"),
        ({"combine": "stack"}, "only in a plain mean"),
        ({"method": {"name": "fed_medlora_plus"}}, "every site counts the same"),
        ({"screening": {"norm_ratio": 3.0}}, "one site could affect more of the result than its own part"),
        ({"share": {"histogram": "types"}}, "a histogram of its training notes would leave"),
        ({"client_privacy": PRIVACY | {"added_by": "sites"}}, "switch .secure_aggregation. on"),
        (
            {"secure_aggregation": {"on": True, "largest_weight": 9}, "round": {"sites": 3, "quorum": 3}},
            "must see single updates. Write added_by = .sites.",
        ),
    ],
)
def test_that_what_would_void_the_promise_is_refused(changes: dict[str, Any], words: str) -> None:
    with told_as(f"federation.toml: .*{words}"):
        private_spec(**changes)


@pytest.mark.parametrize(
    "wrong",
    [{"epsilon": 3.0}, {"noise_multiplier": None}, {"delta": 0.5}, {"clip_norm": 0}, {"noise_multiplier": 1000.0}],
)
def test_that_settings_that_promise_nothing_are_none(wrong: dict[str, Any]) -> None:
    with told_as("client_privacy"):
        private_spec({**PRIVACY, **wrong})


def test_that_noise_that_buries_the_update_is_refused_unless_somebody_accepts_it() -> None:
    much = {"epsilon": 0.5, "delta": 1e-3}
    with told_as("most likely nothing would be learned. With 3 sites and 88 values, .* about .* times as large"):
        private_spec(much)
    spec = private_spec({**much, "accept_noise": True})
    assert (noise := expected_noise(spec)) is not None and noise.times > MOST_TIMES
    assert whole_sites(spec).endswith("nothing would be learned.")


def test_that_people_read_what_the_noise_will_be() -> None:
    assert whole_sites(private_spec({"epsilon": 8.0})) == (
        "Each whole site is hidden by differential privacy: epsilon 8.00 (delta 0.001) in all rounds together, the "
        "smaller the better. The coordinator adds the noise and sees every update as it is. All sites count the same. "
        "With 3 sites the noise of a round is about 2.6 times as large as their mean update can be: expect to learn "
        "slowly, and little."
    )
    many = whole_sites(private_spec({"epsilon": 8.0}, round={"sites": 30, "quorum": 20}))
    assert many.endswith("With 30 sites the noise of a round is about 0.26 times as large as their mean update can be.")
    assert budget_of_sites(private_spec({"epsilon": 8.0})) == (
        "epsilon 8.00 of each whole site (delta 0.001), noise 0.83 x clip 1, added by the coordinator"
    )
    assert whole_sites(small_spec()) == budget_of_sites(small_spec()) == ""


def test_that_a_specification_keeps_it_on_disk_and_without_any_looks_as_before(tmp_path: Path) -> None:
    spec, path = private_spec(), tmp_path / "federation.toml"
    path.write_text(dump_spec(spec), "utf-8")
    assert load_spec(path) == spec
    assert "client_privacy" not in small_spec().model_dump_json() and "client_privacy" not in dump_spec(small_spec())


def test_that_a_site_with_a_smaller_rank_cannot_join() -> None:
    assert Rounds(private_spec(method={"name": "fedavg"})).join_refusal(1) == "join.rank_cap"


def test_that_a_federation_is_founded_with_it(tiny_model: Path, tmp_path: Path, capsys: Any) -> None:
    asked = ["--model", str(tiny_model), "--notes-types", "drug", "--method", "ffa", "--out", str(tmp_path / "a")]
    assert main(["--new-federation", *asked, "--site-epsilon", "0.1"]) != 0
    assert "nothing would be learned" in capsys.readouterr().err
    assert main(["--new-federation", *asked, "--site-epsilon", "0.1", "--accept-noise"]) == 0
    assert "Each whole site is hidden" in capsys.readouterr().out
    assert load_spec(tmp_path / "a" / "federation.toml").client_privacy is not None
