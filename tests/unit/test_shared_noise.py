# SPDX-License-Identifier: Apache-2.0
"""Noise that sites add in shares beneath their masks: how much is in a sum, and that no site can change it further."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.federation import FederationSpec, Plan
from fedmed_desktop.federation.accounting import Steps
from fedmed_desktop.federation.client_privacy import ClientPrivacy, expected_noise, noise_of_round
from fedmed_desktop.federation.consent import check_plan
from fedmed_desktop.federation.plan import Masking
from fedmed_desktop.federation.secret_random import SecretRandom
from fedmed_desktop.federation.secure_aggregation import Layout, SecureAggregationSettings, decoded, encoded
from fedmed_desktop.federation.secure_aggregation.values import room_for
from fedmed_desktop.lora import Adapter
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.adapters import combine_stored
from fedmed_desktop.storage.releases import noise_from
from fedmed_desktop.wording.whole_sites import whole_sites
from tests.parts.federation import INITIAL, SHAPES, moved, small_spec
from tests.parts.masked_rounds import MaskedFederation
from tests.parts.told import told_as

if TYPE_CHECKING:
    from scipy import stats

HOW = Masking(clip=0.5, largest_weight=1000, threshold=0.5, bits=24, noise_multiplier=2.0)
LAYOUT = Layout.of(INITIAL.sha256, SHAPES, ("A", "B"), 2, HOW)
MASKED = SecureAggregationSettings(on=True, largest_weight=1000, exchange_minutes=5)
PRIVATE = ClientPrivacy(noise_multiplier=2.0, clip_norm=0.5, accept_noise=True, added_by="sites")


def spec_of(rounds: int = 2, **changes: object) -> FederationSpec:
    settings: dict[str, object] = {"secure_aggregation": MASKED, "client_privacy": PRIVATE, "quorum": 3} | changes
    return small_spec(rounds=rounds, **settings)


def signed(numbers: np.ndarray, bits: int = 24) -> np.ndarray:
    return (numbers[:-2] << np.uint32(32 - bits)).view(np.int32).astype(np.float64) / 2 ** (32 - bits)


def quantum(sites: int, least: int = 3) -> int:
    return (2**23 - 1) // room_for(HOW, sites, least)


def one(after: Adapter, seed: int, sites: int = 3, least: int = 3) -> np.ndarray:
    return encoded(LAYOUT, INITIAL, after, 1.0, sites, least, SecretRandom(bytes([seed]) * 32)).numbers


@pytest.mark.parametrize(("sites", "least"), [(3, 3), (10, 6)])
def test_that_the_shares_of_all_but_one_of_the_fewest_sites_are_the_whole_noise(sites: int, least: int) -> None:
    """Whoever knows one share, its own, still misses noise of twice the clip."""
    found = [
        sum(signed(one(INITIAL, 7 * run + site, sites, least)) for site in range(least - 1)) / quantum(sites, least)
        for run in range(30)
    ]
    drawn = np.concatenate([np.asarray(each) for each in found])
    assert drawn.std() == pytest.approx(2.0, rel=0.05)
    assert stats.kstest(drawn / 2.0, "norm").pvalue > 0.001


@pytest.mark.parametrize("size", [1e-4, 0.05, 100.0])
def test_that_no_update_is_longer_than_the_clip_among_the_numbers(size: float) -> None:
    """With the same noise, a site that has learned something and one that has not differ by the clip at most."""
    after = moved(INITIAL, 4, size)
    change = signed(one(after, 1)) - signed(one(INITIAL, 1))
    assert 0 < np.linalg.norm(change) <= quantum(3)


def test_that_the_mean_is_that_of_shortened_updates_and_its_noise() -> None:
    updates = [moved(INITIAL, seed, 0.5) for seed in (1, 2, 3)]
    total = sum(one(after, seed).astype(np.uint64) for seed, after in enumerate(updates)) & np.uint64(2**24 - 1)
    noise = sum(signed(one(INITIAL, seed)) for seed in range(3)) / quantum(3) * 0.5 / 3
    found, expected = (flat(each) for each in (decoded(LAYOUT, INITIAL, total.astype(np.uint32)), INITIAL))
    shortened = [0.5 * (flat(each) - expected) / np.linalg.norm(flat(each) - expected) for each in updates]
    np.testing.assert_allclose(found - expected, sum(shortened) / 3 + noise, atol=2e-5)


def flat(adapter: Adapter) -> np.ndarray:
    """The values in the order of the layout."""
    factors = [getattr(adapter[name], factor) for name, factor, _, _ in LAYOUT.places()]
    return np.concatenate([factor.astype(np.float64).ravel() for factor in factors])


def test_that_a_federation_sums_the_noise_and_writes_it_down_before_it_is_opened(tmp_path: Path) -> None:
    run, blobs = MaskedFederation(spec_of(), "ABC", tmp_path, INITIAL), BlobStore(tmp_path / "blobs")
    noise = noise_from(tmp_path, run.spec, 0)
    run.join()
    for number in (1, 2):
        run.settle()
        due = run.due.pop()
        blobs.write(run.adapters[due.start].to_blob())
        for site, update in due.updates.items():
            blobs.write(run.sites[site].blobs[update.parts["masked"].sha256])
        with pytest.raises(ValueError, match="noise goes with"):
            combine_stored(due, run.spec, blobs)
        found = combine_stored(due, run.spec, blobs, noise)
        assert set(due.weights.values()) == {1 / 3}
        start, run.adapters[found.adapter] = run.adapters[due.start], Adapter.from_blob(blobs.read(found.adapter))
        told = expected_noise(run.spec)
        assert told is not None
        moved_by = np.linalg.norm(flat(run.adapters[found.adapter]) - flat(start))
        assert moved_by == pytest.approx(told.times * 0.5, rel=0.3), number
        run.give(found)
    assert [record.measures["noise_multiplier"] for record in run.rounds.state.history] == [2.0, 2.0]


def test_that_a_coordinator_cannot_ask_a_site_for_less_noise() -> None:
    run = spec_of()
    assert run.masking is not None and run.masking.noise_multiplier == 2.0 and run.masking.clip == 0.5
    good = Plan(round=1, start=INITIAL.sha256, rank=2, training=run.training, masking=run.masking, seed=1)
    check_plan(good, run)
    for changes in ({"noise_multiplier": None}, {"noise_multiplier": 1.0}, {"clip": 5.0}):
        with told_as("something other than what the federation's specification says"):
            check_plan(good.model_copy(update={"masking": run.masking.model_copy(update=changes)}), run)


def test_that_a_sum_more_than_was_agreed_is_refused_since_sites_cannot_add_more_noise() -> None:
    spec = spec_of(client_privacy=ClientPrivacy(epsilon=8.0, accept_noise=True, added_by="sites"))
    noise = noise_of_round(spec, 1, ())
    assert noise_of_round(spec, 2, [Steps(1.0, noise)]) == noise
    with told_as("More sums were made than the federation has rounds"):
        noise_of_round(spec, 2, [Steps(1.0, noise)] * 2)


def test_that_people_are_told_of_the_noise_that_shares_need_beyond_a_coordinators() -> None:
    shared = spec_of()
    alone = spec_of(
        secure_aggregation=SecureAggregationSettings(),
        client_privacy=PRIVATE.model_copy(update={"added_by": "coordinator"}),
    )
    one, other = expected_noise(shared), expected_noise(alone)
    assert one is not None and other is not None
    assert one.times == pytest.approx(other.times * math.sqrt(3 / 2))
    assert "Each site adds its share of the noise to what it masks" in whole_sites(shared)
