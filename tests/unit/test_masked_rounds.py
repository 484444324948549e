# SPDX-License-Identifier: Apache-2.0
"""Rounds of masked updates: the same result as in the open, whatever is lost on the way, or none at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from fedmed_desktop.federation import FederationSpec, Rounds
from fedmed_desktop.federation.inputs import (
    Resumed,
    RevealArrived,
    SiteDeclined,
    SiteJoined,
    SiteShutOut,
    TimePassed,
    UpdateArrived,
)
from fedmed_desktop.federation.methods import METHODS
from fedmed_desktop.federation.secure_aggregation import Reveal, SecureAggregationSettings
from fedmed_desktop.federation.secure_aggregation.fitting import REFUSED
from fedmed_desktop.federation.spec import RoundSettings, checked_spec
from fedmed_desktop.lora import Adapter
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.adapters import combine_stored
from tests.parts.federation import INITIAL, small_spec
from tests.parts.masked_rounds import FEDERATION, MaskedFederation, is_the_sum
from tests.parts.plan import dense
from tests.parts.told import told_as

ON = SecureAggregationSettings(on=True, clip=1.0, largest_weight=1000, exchange_minutes=5)
LINEAR = sorted(METHODS.keys() - REFUSED.keys())


def masked_spec(sites: int = 3, rounds: int = 2, **changes: object) -> FederationSpec:
    settings = RoundSettings(sites=sites, quorum=3, training_minutes=10, approval_minutes=60)
    return small_spec(rounds=rounds, **{"round": settings, "secure_aggregation": ON} | changes)


def masked(folder: Path, sites: str = "ABC", **changes: object) -> MaskedFederation:
    return MaskedFederation(masked_spec(len(sites), **changes), sites, folder, INITIAL)


def combine(run: MaskedFederation, blobs: BlobStore) -> None:
    due = run.due.pop()
    blobs.write(run.adapters[due.start].to_blob())
    for site, update in due.updates.items():
        blobs.write(run.sites[site].blobs[update.parts["masked"].sha256])
    found = combine_stored(due, run.spec, blobs)
    run.adapters[found.adapter] = Adapter.from_blob(blobs.read(found.adapter))
    run.give(found)


def in_the_open(run: MaskedFederation, blobs: BlobStore) -> list[dict[str, np.ndarray]]:
    """What the same updates give where they are not masked, round by round."""
    plain = Rounds(run.spec.model_copy(update={"secure_aggregation": SecureAggregationSettings()}))
    for name in run.sites:
        plain.handle(SiteJoined(site=name), run.now)
    found = []
    for number in range(1, run.spec.rounds + 1):
        for name, site in run.sites.items():
            result = site.trained[number]
            for blob in result.blobs.values():
                blobs.write(blob)
            plain.handle(UpdateArrived(site=name, update=result.update), run.now)
        due = plain.due()
        assert due is not None
        combined = combine_stored(due, plain.spec, blobs)
        plain.handle(combined, run.now)
        found.append(dense(Adapter.from_blob(blobs.read(combined.adapter))))
    return found


@pytest.mark.parametrize(
    "method", [*({"name": name} for name in LINEAR), {"name": "fedavg", "server_step": 1.5}], ids=str
)
def test_that_a_method_gives_the_same_adapters_as_in_the_open(tmp_path: Path, method: dict[str, object]) -> None:
    """The sites train once; in the open the coordinator combines the very same updates."""
    run, blobs = masked(tmp_path, method=method), BlobStore(tmp_path / "blobs")
    run.join()
    results = []
    for _ in range(2):
        run.settle()
        combine(run, blobs)
        results.append(dense(run.adapters[run.rounds.state.start]))
    for found, expected in zip(results, in_the_open(run, blobs), strict=True):
        for module, values in found.items():
            np.testing.assert_allclose(values, expected[module], atol=1e-5)
    halves = method["name"] in ("ffa", "rolora", "fedsa")
    assert [record.residual for record in run.rounds.state.history] == ([0.0] * 2 if halves else [None] * 2)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_that_a_method_that_needs_single_updates_is_refused_by_name(name: str) -> None:
    spec = masked_spec(secure_aggregation=SecureAggregationSettings()).model_dump(mode="json")
    changes: dict[str, object] = {"method": {"name": name}, "secure_aggregation": {"on": True, "largest_weight": 1000}}
    usual = {key: value for key, value in spec.items() if key != "combine"}
    usual["share"] = {"histogram": "types"}
    with told_as(r"take out \[secure_aggregation\]"):
        checked_spec({**usual, **changes}, "federation.toml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"combine": "product"}, "a product is formed of each site's own two factors"),
        ({"combine": "stack"}, "a stack holds each site's own factors"),
        ({"method": {"name": "fed_medlora_plus", "measured_by": "coordinator"}}, "would have to read each update"),
        ({"screening": {"norm_ratio": 3.0}}, "screening compares single updates"),
        ({"transfer": {"dtype": "int8"}}, "masked updates cannot be rounded"),
        ({"round": {"sites": 4, "quorum": 3, "clients": 3}}, "Take out round.clients"),
        ({"secure_aggregation": {"on": True}}, "secure_aggregation.largest_weight"),
        ({"round": {"sites": 3, "quorum": 2}}, "each of the two sites can work out the other's"),
    ],
)
def test_that_what_needs_single_updates_is_refused_at_founding(changes: dict[str, object], words: str) -> None:
    spec = masked_spec().model_dump(mode="json") | {"secure_aggregation": {"on": True, "largest_weight": 1000}}
    with told_as(words):
        checked_spec({**spec, **changes}, "federation.toml")


def test_that_a_site_that_does_not_come_is_left_out_once_its_time_is_up(tmp_path: Path) -> None:
    run = masked(tmp_path, "ABCD")
    run.join()
    run.sites["D"].there = False
    run.settle()
    assert run.rounds.state.masking and not run.rounds.state.masking.roster
    assert run.rounds.wake_at is not None
    run.now = run.rounds.wake_at
    run.give(TimePassed())
    run.settle()
    assert set(run.due[0].updates) == {"A", "B", "C"} and is_the_sum(run.due[0], run.sites, run.spec)
    assert "D" not in run.rounds.state.plans and "D" in run.rounds.state.sites


def test_that_a_site_lost_between_keys_and_shares_makes_all_begin_anew_where_too_few_are_left(tmp_path: Path) -> None:
    run = masked(tmp_path)
    run.join()
    for name in "ABC":
        assert run.say(name)
    run.sites["C"].there = False
    run.settle()
    first = {name: site.disk for name, site in run.sites.items()}
    run.wait(6)
    run.give(TimePassed())
    assert run.rounds.state.masking and run.rounds.state.masking.number == 2
    run.sites["C"].there = True
    run.settle()
    assert is_the_sum(run.due[0], run.sites, run.spec)
    assert all(site.disk != first[name] for name, site in run.sites.items())


def test_that_a_site_lost_between_keys_and_shares_is_left_out_and_the_others_begin_anew(tmp_path: Path) -> None:
    """None masks with fewer than were named to it: with other masks than its own, a site's update would be open."""
    run = masked(tmp_path, "ABCDE")
    run.join()
    for name in "ABCDE":
        assert run.say(name)
    run.sites["E"].there = False
    run.settle()
    assert run.rounds.state.masking and not run.rounds.state.masking.members
    run.wait(6)
    run.give(TimePassed())
    assert run.rounds.state.masking.number == 2 and set(run.rounds.state.plans) == set("ABCD")
    run.sites["E"].there = True
    run.settle()
    assert run.due[0].opening is not None and run.due[0].opening.members == tuple("ABCD")
    assert set(run.due[0].updates) == set("ABCD") and is_the_sum(run.due[0], run.sites, run.spec)


def test_that_a_round_waits_for_the_shares_however_long_they_take(tmp_path: Path) -> None:
    run = masked(tmp_path)
    run.join()
    while run.rounds.state.phase == "open":
        for name in "ABC":
            run.say(name)
    assert run.rounds.state.phase == "combining" and run.rounds.due() is None
    for name in "BC":
        run.sites[name].there = False
    run.settle()
    run.wait(60 * 24 * 30)
    run.give(TimePassed())
    assert not run.due
    run.rounds = Rounds(run.spec, run.rounds.dump())
    run.sites["C"].there = True
    run.settle()
    assert is_the_sum(run.due[0], run.sites, run.spec)


def test_that_wrong_shares_only_make_the_round_wait_for_other_ones(tmp_path: Path) -> None:
    run = masked(tmp_path)
    run.join()
    while not (exchange := run.rounds.state.masking) or len(exchange.agreements) < 3:
        for name in "ABC":
            exchange = run.rounds.state.masking
            if not (exchange and name in exchange.agreements):
                run.say(name)
    wrong = Reveal(self_masks=dict.fromkeys("ABC", "0" * 66), mask_keys={})
    run.give(RevealArrived(site="A", round=1, reveal=wrong))
    assert run.say("B") and not run.due
    assert run.say("C") and is_the_sum(run.due[0], run.sites, run.spec)


def test_that_an_update_of_a_site_that_does_not_mask_is_refused(tmp_path: Path) -> None:
    run = masked(tmp_path)
    run.join()
    other = masked(tmp_path)
    other.join()
    while "A" not in other.rounds.state.updates:
        for name in "ABC":
            other.say(name)
    update = other.rounds.state.updates["A"]
    assert run.rounds.refusal("A", update) == "update.not_asked"
    assert other.rounds.refusal("A", update) is None


@pytest.mark.parametrize("said", [1, 2, 3], ids=["keys", "shares", "an update"])
def test_that_a_round_goes_on_with_a_site_that_was_shut_out_and_is_invited_again(said: int, tmp_path: Path) -> None:
    run = masked(tmp_path)
    run.join()
    for _ in range(said):
        for name in "AB":
            run.say(name)
        if said > 1 and not run.rounds.state.masking.members:  # type: ignore[union-attr]
            run.say("C")
    run.give(SiteShutOut(site="C"))
    for _ in range(2):
        run.wait(11)
        run.give(TimePassed())
    assert run.rounds.state.phase == "paused" and "C" not in run.rounds.state.plans
    run.give(SiteJoined(site="C"))
    run.give(Resumed())
    run.settle()
    assert is_the_sum(run.due[0], run.sites, run.spec)


class AnyMaskedFederation(RuleBasedStateMachine):
    """Four sites that come, go, keep their updates and say things in any order; the coordinator restarts."""

    folder: tempfile.TemporaryDirectory[str] | None = None
    run: MaskedFederation

    def teardown(self) -> None:
        """Whatever happened: where all come back, the sums are opened and are right."""
        if self.folder is None:
            return
        for site in self.run.sites.values():
            site.there = site.willing = True
        self.run.settle()
        self.check()
        self.folder.cleanup()

    @initialize()
    def joins(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.run = masked(Path(self.folder.name), "ABCD", rounds=2)
        self.run.join()

    @rule(name=st.sampled_from("ABCD"))
    def says(self, name: str) -> None:
        self.run.say(name)
        self.check()

    @rule()
    def all_say(self) -> None:
        for name in self.run.sites:
            self.run.say(name)
        self.check()

    @rule(name=st.sampled_from("ABCD"), there=st.booleans())
    def goes(self, name: str, there: bool) -> None:
        self.run.sites[name].there = there

    @rule(name=st.sampled_from("ABCD"))
    def keeps(self, name: str) -> None:
        self.run.sites[name].willing = False
        self.run.give(SiteDeclined(site=name, round=self.run.rounds.state.round, code="kept"))
        self.check()

    @rule(minutes=st.sampled_from([1, 6, 20]))
    def time_passes(self, minutes: int) -> None:
        self.run.wait(minutes)
        self.run.give(TimePassed())
        self.check()

    @rule()
    def restarts(self) -> None:
        self.run.rounds = Rounds(self.run.spec, self.run.rounds.dump())

    def check(self) -> None:
        """Each combination is of the sum of three or more, and nobody has given both kinds of share for a site."""
        for due in self.run.due:
            assert len(due.updates) >= 3 and is_the_sum(due, self.run.sites, self.run.spec)
            assert due.opening is not None and due.opening.session.federation == FEDERATION
            for reveal in due.opening.reveals.values():
                assert not reveal.self_masks.keys() & reveal.mask_keys.keys()
        self.run.due.clear()


AnyMaskedFederation.TestCase.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnyMaskedFederation = AnyMaskedFederation.TestCase
