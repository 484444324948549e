# SPDX-License-Identifier: Apache-2.0
"""The coordinator gets the plain aggregate, and whatever it says or whoever is lost, nothing about a single update."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation.combine import Term, combine_factors
from fedmed_desktop.federation.secure_aggregation import (
    Layout,
    Masker,
    Masking,
    Numbers,
    Reveal,
    SecureAggregationSettings,
    Session,
    blob_of,
    decoded,
    encoded,
    fits,
    numbers_of,
    threshold_of,
)
from fedmed_desktop.federation.secure_aggregation.fixed_point import packed, unpacked
from fedmed_desktop.federation.secure_aggregation.masks import add_mask, pair_mask_key, sign_between
from fedmed_desktop.federation.secure_aggregation.shamir import PRIME, joined, split
from fedmed_desktop.federation.secure_aggregation.values import bits_of
from fedmed_desktop.lora import Adapter, Module
from tests.parts.federation import INITIAL, SHAPES, moved
from tests.parts.masking import HOW, LAYOUT, SESSION, Run, Site, Step, average, drawing
from tests.parts.told import told_as

if TYPE_CHECKING:
    from scipy import stats

STEPS: list[Step] = ["keys", "shares", "upload", "agree", "reveal"]


def sites(many: int = 3, session: Session = SESSION, **lost: Step) -> list[Site]:
    names = "abcdefgh"[:many]
    return [Site(name, number, session, lost.get(name)) for number, name in enumerate(names)]


def largest_difference(one: Adapter, other: Adapter) -> float:
    return max(
        float(max(np.abs(one[name].A - other[name].A).max(), np.abs(one[name].B - other[name].B).max())) for name in one
    )


# -- the sum ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [3, 4, 8])
def test_that_the_sum_gives_the_plain_aggregate(many: int) -> None:
    run = Run(sites(many))
    found = decoded(LAYOUT, INITIAL, run.sum(run.opened()))
    assert largest_difference(found, average(list(run.sites.values()))) < 1e-5


@pytest.mark.parametrize("shared", [("A",), ("B",)])
def test_that_a_factor_that_is_not_shared_stays_the_starts(shared: tuple) -> None:
    layout = Layout.of(INITIAL.sha256, SHAPES, shared, 2, HOW)
    all_sites = sites()
    numbers = sum(encoded(layout, INITIAL, one.after, one.weight, 3).numbers.astype(np.uint32) for one in all_sites)
    found, expected = decoded(layout, INITIAL, numbers.astype(np.uint32)), average(all_sites)
    other = "B" if shared == ("A",) else "A"
    for name in found:
        assert np.array_equal(getattr(found[name], other), getattr(INITIAL[name], other))
        assert np.allclose(getattr(found[name], shared[0]), getattr(expected[name], shared[0]), atol=1e-5)


@pytest.mark.parametrize(("bits", "many"), [(24, 3), (24, 33), (28, 10), (28, 50), (32, 50)])
def test_that_fewer_bits_give_the_plain_aggregate_too(bits: int, many: int) -> None:
    """Where sites weigh a hundredth of the largest weight, as few bits as are chosen are exact to 1e-5."""
    clip = 2**bits * 1e-7 / many if bits < 32 else 8.0
    assert bits_of(clip, many) == bits
    layout = Layout.of(INITIAL.sha256, SHAPES, ("A", "B"), 2, HOW.model_copy(update={"bits": bits, "clip": clip}))
    weights = [0.002 + 0.016 * site / (many - 1) for site in range(many)]
    size = min(0.1, clip / 5)
    after = [moved(INITIAL, site, size=size) for site in range(many)]
    found = np.zeros(layout.length, np.uint32)
    for site in range(many):
        one = encoded(layout, INITIAL, after[site], weights[site], many)
        assert one.clipped == 0
        found += numbers_of(layout, blob_of(layout, one.numbers))
    found &= np.uint32(2**bits - 1)
    terms = [Term(str(site), weights[site] / sum(weights), after[site]) for site in range(many)]
    assert largest_difference(decoded(layout, INITIAL, found), combine_factors(terms).adapter) < 1e-5


@pytest.mark.parametrize(
    ("clip", "many", "bits"), [(0.5, 3, 24), (0.05, 30, 24), (0.5, 10, 28), (0.5, 50, 28), (8, 10, 32)]
)
def test_that_as_many_bits_are_sent_as_the_clip_and_the_sites_need(clip: float, many: int, bits: int) -> None:
    masking = SecureAggregationSettings(on=True, clip=clip, largest_weight=10).masking(many)
    assert masking is not None and masking.bits == bits


@given(st.sampled_from([24, 28, 32]), st.lists(st.integers(0, 2**32 - 1), max_size=9))
def test_that_packed_numbers_come_back_in_their_lowest_bits(bits: int, numbers: list[int]) -> None:
    data = packed(np.array(numbers, np.uint32), bits)
    assert len(data) == -(-len(numbers) * bits // 8)
    assert unpacked(data, len(numbers), bits).tolist() == [one % 2**bits for one in numbers]


def test_that_a_blob_of_an_earlier_form_or_another_length_is_refused() -> None:
    blob = blob_of(LAYOUT, np.zeros(LAYOUT.length, np.uint32))
    for other in (blob[:-1], b"FMMASK01" + blob[8:]):
        with told_as("masked"):
            numbers_of(LAYOUT, other)


@given(st.integers(3, 50), st.sampled_from([-1.0, 1.0]), st.floats(0.6, 100))
@settings(max_examples=20, deadline=None)
def test_that_no_sum_overflows(many: int, sign: float, beyond: float) -> None:
    far = Adapter(
        {name: Module(one.B + sign * beyond, one.A + sign * beyond, one.scale) for name, one in INITIAL.items()}
    )
    one = encoded(LAYOUT, INITIAL, far, 1.0, many)
    assert one.clipped == LAYOUT.values
    found = decoded(LAYOUT, INITIAL, (one.numbers.astype(np.uint64) * many).astype(np.uint32))
    for name in found:
        assert np.allclose(found[name].A - INITIAL[name].A, sign * HOW.clip, atol=1e-6)


def test_that_a_site_with_more_notes_than_were_planned_for_is_told() -> None:
    with told_as("would weigh 1001, more than the 1000"):
        encoded(LAYOUT, INITIAL, INITIAL, 1.001, 3)


def test_that_nothing_moves_where_nobody_has_learned_from_anything() -> None:
    assert decoded(LAYOUT, INITIAL, np.zeros(LAYOUT.length, dtype=np.uint32)).sha256 == INITIAL.sha256


# -- what one upload says -----------------------------------------------------------------------------------------


def uploads_of_the_first(runs: int, after: Adapter, masked: bool = True) -> Numbers:
    found = []
    for number in range(runs):
        run = Run([Site(name, 1000 * number + place) for place, name in enumerate("abc")])
        run.exchange()
        site = run.sites["a"]
        site.after, site.weight = after, 0.5
        found.append(site.upload(3) if masked else site.numbers(3))
    return np.stack(found)


def uniformity(numbers: Numbers) -> float:
    """p of the hypothesis that these numbers are uniform, by the chi-square of each of their four bytes."""
    counts = [np.bincount((numbers.ravel() >> shift) & 255, minlength=256) for shift in (0, 8, 16, 24)]
    return min(stats.chisquare(each).pvalue for each in counts)


@pytest.mark.parametrize("what", ["nothing", "much"])
def test_that_an_upload_cannot_be_told_from_chance(what: str) -> None:
    after = INITIAL if what == "nothing" else Site("x", 5).after
    assert uniformity(uploads_of_the_first(1, after, masked=False)) < 1e-9  # so the test can tell
    found = uploads_of_the_first(100, after)
    assert uniformity(found) > 0.001
    # Each single value over the runs, not only all together.
    each = [stats.kstest(found[:, place] / 2**32, "uniform").pvalue for place in range(0, LAYOUT.length, 7)]
    assert stats.kstest(each, "uniform").pvalue > 0.001


def test_that_uploads_of_unlike_updates_are_distributed_alike() -> None:
    one, other = uploads_of_the_first(60, INITIAL), uploads_of_the_first(60, Site("x", 5).after)
    assert stats.ks_2samp(one.ravel(), other.ravel(), method="asymp").pvalue > 0.001


@pytest.mark.parametrize("other", ["federation", "round", "layout"])
def test_that_masks_are_bound_to_their_session(other: str) -> None:
    changed = {"federation": "0" * 64, "round": 2, "layout": "1" * 64}[other]
    session = SESSION.model_copy(update={other: changed})
    run, again = Run(sites()), Run(sites(session=session))
    run.exchange(), again.exchange()
    same = (run.sites["a"].upload(3) == again.sites["a"].upload(3)).mean()
    assert same < 0.01
    with told_as("not signed by b for this round"):
        keys = {**again.keys, "b": run.keys["b"]}
        mine = Site("c", 2, session).masker
        mine.shared({**keys, "c": mine.keys}, run.known(), drawing(9))


def test_that_an_upload_that_comes_after_its_site_was_counted_as_lost_stays_masked() -> None:
    """Then its masks with the others are known. That is why there is one of its own beside them."""
    found = []
    for number in range(60):
        run = Run([Site(name, 1000 * number + place) for place, name in enumerate("abcd")])
        run.sites["a"].lost = "upload"
        run.sum(run.opened())
        late, secret = run.sites["a"].upload(4), bytes.fromhex(run.sites["a"].masker.secrets.mask_key)
        for name in run.survivors:
            key = pair_mask_key(SESSION, secret, run.keys[name].masking)
            add_mask(late, key, -sign_between("a", name))
        found.append(late)
    assert uniformity(np.stack(found)) > 0.001


# -- sites that are lost ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [step for step in STEPS if step != "shares"])
def test_that_sites_may_be_lost_at_any_step(step: Step) -> None:
    run = Run(sites(5, a=step, d=step))
    found = run.sum(run.opened())
    left = 5 if step in ("agree", "reveal") else 3
    assert len(run.survivors) == left and np.array_equal(found, run.plain())


def test_that_a_federation_of_three_survives_a_site_that_is_lost_after_its_upload() -> None:
    run = Run(sites(3, b="agree"))
    found = run.sum(run.opened())
    assert run.survivors == ("a", "b", "c") and np.array_equal(found, run.plain())


@pytest.mark.parametrize("step", STEPS)
def test_that_below_the_threshold_nothing_can_be_opened(step: Step) -> None:
    run = Run(sites(5, a=step, b=step, c=step))
    with pytest.raises(UserFacingError, match=r"secure\.(too_few_sites|not_agreed)"):
        run.sum(run.opened())


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_that_restarts_and_losses_anywhere_give_the_sum_of_the_survivors_or_nothing(data: st.DataObject) -> None:
    many = data.draw(st.integers(3, 6))
    all_sites = sites(many)
    for site in all_sites:
        site.lost = data.draw(st.sampled_from([None, None, None, *STEPS]))
    restarts = data.draw(st.sets(st.tuples(st.sampled_from(STEPS), st.sampled_from([one.name for one in all_sites]))))

    def before(step: Step, site: Site) -> None:
        if (step, site.name) in restarts:
            site.restart()

    run = Run(all_sites, before)
    there = {
        step: sum(one.lost is None or STEPS.index(one.lost) > STEPS.index(step) for one in all_sites) for step in STEPS
    }
    needed = threshold_of(HOW.threshold, there["keys"])
    possible = there["upload"] >= max(3, needed) and there["reveal"] >= needed and there["shares"] == there["keys"]
    try:
        found = run.sum(run.opened())
    except UserFacingError as error:
        assert error.code in ("secure.too_few_sites", "secure.not_agreed") and not possible
        return
    assert possible and np.array_equal(found, run.plain())
    for one in run.reveals.values():
        assert not one.self_masks.keys() & one.mask_keys.keys()


def test_that_a_restarted_site_answers_as_before() -> None:
    run = Run(sites(3))
    run.exchange()
    site = run.sites["a"]
    first, boxes = site.upload(3), site.masker.shared(run.keys, run.known(), site.random)
    agreement = site.masker.agree(site.key, ("a", "b", "c"))
    site.restart()
    assert np.array_equal(site.upload(3), first)
    assert site.masker.shared(run.keys, run.known(), site.random) == boxes
    assert site.masker.agree(site.key, ("a", "b", "c")) == agreement


# -- a coordinator that lies --------------------------------------------------------------------------------------


def after_upload(many: int = 5) -> Run:
    run = Run(sites(many))
    run.exchange()
    run.uploads = {name: site.upload(many) for name, site in run.sites.items()}
    return run


def test_that_a_site_agrees_to_one_sum_in_a_round_even_after_a_restart() -> None:
    site = after_upload().sites["a"]
    site.masker.agree(site.key, ("a", "b", "c"))
    site.restart()
    with told_as("second sum in the same round"):
        site.masker.agree(site.key, ("a", "b", "c", "d"))


def test_that_no_site_gives_both_kinds_of_share_for_a_peer() -> None:
    run = after_upload()
    site = run.sites["a"]
    everybody = tuple(run.sites)
    agreements = {one.name: one.masker.agree(one.key, everybody) for one in run.sites.values()}
    first = site.masker.reveal(agreements)
    assert not first.mask_keys and first.self_masks.keys() == set(everybody)
    for lie in itertools.combinations(everybody, 3):
        with pytest.raises(UserFacingError, match=r"secure\.second_sum"):
            site.masker.agree(site.key, lie)
    assert site.masker.reveal(agreements) == first


def test_that_different_sums_told_to_different_sites_are_never_opened() -> None:
    """Two stories, each told to as many sites as possible: neither reaches enough signatures beside the other."""
    run = after_upload(5)
    stories = {"a": ("a", "b", "c"), "b": ("a", "b", "c"), "c": ("b", "c", "d"), "d": ("b", "c", "d")}
    agreements = {name: run.sites[name].masker.agree(run.sites[name].key, story) for name, story in stories.items()}
    for name in stories:
        with told_as("Only 2 sites have agreed .* 3 are needed"):
            run.sites[name].masker.reveal(agreements)


def test_that_a_site_masks_with_all_that_were_named_to_it_or_not_at_all() -> None:
    """Had a masked with b and c alone, then b, c and d could be asked to open a + d + e: a's own mask, by their shares
    of its seed, and its masks with b and c, by those of their keys. That is all of a's masks."""
    run = Run(sites(5))
    run.keys = {name: site.masker.keys for name, site in run.sites.items()}
    boxes = {name: site.masker.shared(run.keys, run.known(), site.random) for name, site in run.sites.items()}
    for told in ("bc", "bcd"):
        with told_as(f"Only {len(told) + 1} sites mask together, and 5 are needed"):
            run.sites["a"].masker.received({name: boxes[name]["a"] for name in told})
    assert not run.sites["a"].masker.members


def test_that_no_box_opens_where_other_sites_were_named_to_its_sender() -> None:
    """Else a and b, told of c alone, would mask with c, whose key all the others then open: left is the sum of two."""
    run = Run(sites(7))
    keys = {name: site.masker.keys for name, site in run.sites.items()}
    told = {name: "abc" if name in "ab" else "abcdefg" if name == "c" else "cdefg" for name in run.sites}
    boxes = {}
    for name, site in run.sites.items():
        boxes[name] = site.masker.shared({one: keys[one] for one in told[name]}, run.known(), site.random)
    for name in "abd":
        with told_as("What c encrypted for this site cannot be opened"):
            others = sorted(set(told[name]) - {name}, key="cabdefg".index)
            run.sites[name].masker.received({one: boxes[one][name] for one in others})


def test_that_signatures_of_strangers_and_of_other_rounds_do_not_count() -> None:
    run = after_upload(3)
    site, everybody = run.sites["a"], ("a", "b", "c")
    mine = site.masker.agree(site.key, everybody)
    other = after_upload(3)
    for one in other.sites.values():
        one.masker.secrets.session = SESSION.model_copy(update={"round": 2})
    foreign = other.sites["b"].masker.agree(other.sites["b"].key, everybody)
    for lie in ({"a": mine, "b": foreign}, {"a": mine, "z": mine}, {"a": mine, "b": mine}):
        with told_as("Only 1 sites have agreed"):
            site.masker.reveal(lie)


def test_that_shares_below_the_threshold_leave_the_upload_masked() -> None:
    """What a coordinator has of two dishonest answers out of five: no secret, so no mask, comes of it."""
    run = after_upload(5)
    secret = bytes.fromhex(run.sites["a"].masker.secrets.seed)
    shares = {place: bytes.fromhex(run.sites[name].masker.secrets.held["a"][1]) for place, name in ((2, "b"), (3, "c"))}
    assert joined(shares) != secret
    whole = {**shares, 4: bytes.fromhex(run.sites["d"].masker.secrets.held["a"][1])}
    assert joined(whole) == secret


def test_that_a_sum_of_two_is_refused() -> None:
    run = after_upload(3)
    with told_as("Only 2 sites mask together, and 3 are needed"):
        run.sites["a"].masker.agree(run.sites["a"].key, ("a", "b"))


def test_that_two_sites_never_mask() -> None:
    with told_as("Only 2 sites mask together, and 3 are needed"):
        Run(sites(2)).exchange()


def test_that_a_coordinator_cannot_take_a_sites_place_with_keys_of_its_own() -> None:
    run = Run(sites(3))
    keys = {name: site.masker.keys for name, site in run.sites.items()}
    false = Site("b", 77)
    false.key = type(false.key)(b"\7" * 32)
    false.masker = Masker.begin("b", false.key, SESSION, HOW, drawing(7))
    known = {name: one.identity for name, one in keys.items()}
    with told_as("b was not among the sites that began together, or has another key"):
        run.sites["a"].masker.shared({**keys, "b": false.masker.keys}, known, drawing(1))
    with told_as("d was not among the sites"):
        run.sites["a"].masker.shared({**keys, "d": Site("d", 5).masker.keys}, known, drawing(1))
    tampered = keys["b"].model_copy(update={"masking": false.masker.keys.masking})
    with told_as("not signed by b"):
        run.sites["a"].masker.shared({**keys, "b": tampered}, known, drawing(1))
    with told_as("other keys for this site"):
        run.sites["a"].masker.shared({**keys, "a": keys["b"].model_copy(update={"site": "a"})}, known, drawing(1))


def test_that_the_same_site_is_not_counted_twice() -> None:
    one, other = Site("a", 1), Site("c", 2)
    twin = Site("b", 3)
    twin.key = one.key
    twin.masker = Masker.begin("b", one.key, SESSION, HOW, drawing(3))
    with told_as("Two sites are said to have the same key"):
        all_keys = {site.name: site.masker.keys for site in (one, twin, other)}
        one.masker.shared(all_keys, {name: keys.identity for name, keys in all_keys.items()}, drawing(1))


def test_that_other_sites_or_boxes_than_before_are_refused() -> None:
    run = Run(sites(4))
    run.exchange()
    site = run.sites["a"]
    fewer = {name: keys for name, keys in run.keys.items() if name != "d"}
    with told_as("names other sites than it did earlier"):
        site.masker.shared(fewer, run.known(), drawing(1))
    with told_as("names other sites than it did earlier"):
        site.masker.received({"b": run.sites["b"].masker.secrets.boxes["a"]})


def test_that_a_changed_or_misdirected_box_is_found_out() -> None:
    run = Run(sites(3))
    run.keys = {name: site.masker.keys for name, site in run.sites.items()}
    boxes = {name: site.masker.shared(run.keys, run.known(), site.random) for name, site in run.sites.items()}
    changed = boxes["b"]["a"][:-2] + ("00" if boxes["b"]["a"][-2:] != "00" else "01")
    for wrong in (changed, boxes["b"]["c"]):
        with told_as("What b encrypted for this site cannot be opened"):
            run.sites["a"].masker.received({"b": wrong, "c": boxes["c"]["a"]})


def test_that_no_step_comes_before_the_one_before_it() -> None:
    site = Site("a", 0)
    for step in (
        lambda: site.masker.mask(np.zeros(4, dtype=np.uint32)),
        lambda: site.masker.agree(site.key, ("a", "b", "c")),
        lambda: site.masker.reveal({}),
    ):
        with told_as("in the wrong order"):
            step()


# -- wrong shares -------------------------------------------------------------------------------------------------


def test_that_one_sites_wrong_shares_do_not_spoil_the_sum() -> None:
    run = Run(sites(5))
    opening = run.opened()
    wrong = Reveal(self_masks=dict.fromkeys(run.survivors, "0" * 66), mask_keys={})
    found = run.sum(run.opening({**opening.reveals, "a": wrong}))
    assert np.array_equal(found, run.plain())
    with told_as("some of the shares .* are wrong"):
        run.sum(run.opening({"a": wrong, "b": opening.reveals["b"], "c": opening.reveals["c"]}))


@pytest.mark.parametrize("wrong", ["a", "ab", "agn"])
def test_that_wrong_shares_of_a_few_among_many_sites_do_not_keep_the_sum_shut(wrong: str) -> None:
    """Also of the first ones, which nearly all sets of shares have in them where these are taken in order."""
    run = Run([Site(name, number) for number, name in enumerate("abcdefghijklmn")])
    opening = run.opened()
    lies = {name: Reveal(self_masks=dict.fromkeys(run.survivors, "0" * 66), mask_keys={}) for name in wrong}
    assert np.array_equal(run.sum(run.opening({**opening.reveals, **lies})), run.plain())


def test_that_shares_of_other_sites_than_asked_for_do_not_fit() -> None:
    run = Run(sites(5, e="upload"))
    opening = run.opened()
    good = opening.reveals["a"]
    assert fits(opening, "a", good) and not fits(opening, "stranger", good)
    both = Reveal(self_masks=good.self_masks, mask_keys={**good.mask_keys, "a": "0" * 66})
    assert not fits(opening, "a", both)


# -- sharing a secret ---------------------------------------------------------------------------------------------


@given(st.binary(min_size=32, max_size=32), st.integers(2, 6), st.integers(0, 4), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_that_any_so_many_shares_give_the_secret(secret: bytes, needed: int, more: int, seed: int) -> None:
    shares = dict(enumerate(split(secret, needed, needed + more, drawing(seed)), 1))
    for some in itertools.islice(itertools.combinations(shares, needed), 5):
        assert joined({place: shares[place] for place in some}) == secret


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
@settings(max_examples=30, deadline=None)
def test_that_fewer_shares_fit_every_secret(secret: bytes, other: bytes) -> None:
    """With one share too few, a polynomial through any other secret gives the same shares."""
    shares = split(secret, 3, 5, drawing(1))
    two = {1: shares[0], 2: shares[1]}
    # The share number 3 that would make it the other secret: Lagrange at 0 solved for it.
    s1, s2 = (int.from_bytes(two[place], "big") for place in (1, 2))
    third = (int.from_bytes(other, "big") - 3 * s1 + 3 * s2) % PRIME
    assert joined({**two, 3: third.to_bytes(33, "big")}) == other


def test_that_the_threshold_is_more_than_the_share_of_the_sites() -> None:
    assert [threshold_of(0.5, many) for many in (3, 4, 5, 10)] == [2, 3, 3, 6]
    assert [threshold_of(2 / 3, many) for many in (3, 4, 9, 10)] == [3, 3, 7, 7]
    for many, share in itertools.product(range(3, 60), (0.5, 0.6, 2 / 3, 0.9)):
        assert 2 * threshold_of(share, many) > many


def test_that_secrets_are_not_printed() -> None:
    site = Site("a", 0)
    printed = repr(site.masker.secrets)
    for secret in (site.masker.secrets.seed, site.masker.secrets.mask_key, site.masker.secrets.sealing):
        assert secret not in printed


def test_that_the_layout_tells_what_is_summed() -> None:
    others = [
        Layout.of("0" * 64, SHAPES, ("A", "B"), 2, HOW),
        Layout.of(INITIAL.sha256, SHAPES, ("A",), 2, HOW),
        Layout.of(INITIAL.sha256, SHAPES, ("A", "B"), 1, HOW),
        Layout.of(INITIAL.sha256, SHAPES, ("A", "B"), 2, Masking(clip=0.1, largest_weight=1000, threshold=0.5)),
    ]
    assert len({LAYOUT.sha256, *(one.sha256 for one in others)}) == 5
