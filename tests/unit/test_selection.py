# SPDX-License-Identifier: Apache-2.0
"""Selection of sites, worked by hand from the formulas in the module (inferred)."""

from __future__ import annotations

import math

import pytest

from fedmed_desktop.federation.selection import Seen, Selection

CARDIOLOGY, NEUROLOGY = {"cardiology": 9}, {"neurology": 9}
BY_SCORE = Selection(coverage=0.0, explore=0.0, decay=1.0, explore_least=0.0)


def test_that_a_site_is_worth_its_notes_times_loss_and_more_the_longer_it_was_not_seen() -> None:
    seen = {"A": Seen(round=1, notes=100, loss=1.0), "B": Seen(round=3, notes=25, loss=2.0)}
    worth = BY_SCORE.worth(seen, now=4)
    # 100 x 1 is the most; 25 x 2 is half of it. sqrt(0.1 ln 4 / 1) = 0.3723, sqrt(0.1 ln 4 / 3) = 0.2150
    assert worth == {"A": pytest.approx(1.3723, abs=1e-4), "B": pytest.approx(0.7150, abs=1e-4)}


def test_that_slowness_counts_against_sites_above_the_median_time_only_where_it_is_asked_for() -> None:
    seen = {
        name: Seen(round=1, notes=10, loss=1.0, seconds=seconds)
        for name, seconds in (("A", 1.0), ("B", 2.0), ("C", 4.0))
    }
    assert set(BY_SCORE.worth(seen, 1).values()) == {1.0}
    slow = Selection(0.0, 0.0, 1.0, 0.0, slowness=2.0).worth(seen, 1)
    assert slow == {"A": 1.0, "B": 1.0, "C": pytest.approx(0.25)}  # (2 / 4)^2


def test_that_sites_without_any_loss_or_notes_are_all_worth_nothing() -> None:
    assert BY_SCORE.worth({"A": Seen(round=1, notes=0, loss=1.0), "B": Seen(round=1, notes=5, loss=0.0)}, 1) == {
        "A": 0.0,
        "B": 0.0,
    }
    assert BY_SCORE.worth({}, 1) == {}


def test_that_the_best_are_chosen_and_coverage_brings_in_another_specialty() -> None:
    seen = {
        "A": Seen(round=1, notes=100, loss=1.0, histogram=CARDIOLOGY),
        "B": Seen(round=1, notes=90, loss=1.0, histogram=CARDIOLOGY),
        "C": Seen(round=1, notes=50, loss=1.0, histogram=NEUROLOGY),
    }
    assert BY_SCORE.choose("ABC", seen, places=2, now=1, seed=0) == ["A", "B"]
    # C is apart from A by JSD((1/11, 10/11), (10/11, 1/11)) = 1 - H(1/11) = 0.5605: 0.5 + 0.56 > 0.9 > 0.5 + 0.7 x 0.56
    one = 1 / 11
    apart = 1 + one * math.log2(one) + (1 - one) * math.log2(1 - one)
    assert apart == pytest.approx(0.5605, abs=1e-4)
    assert Selection(1.0, 0.0, 1.0, 0.0).choose("ABC", seen, 2, 1, 0) == ["A", "C"]
    assert Selection(0.7, 0.0, 1.0, 0.0).choose("ABC", seen, 2, 1, 0) == ["A", "B"]


def test_that_exploring_decays_to_its_least() -> None:
    selection = Selection(coverage=0.5, explore=0.9, decay=0.98, explore_least=0.2)
    assert selection.exploring(1) == 0.9
    assert selection.exploring(2) == pytest.approx(0.882)
    assert selection.exploring(75) == pytest.approx(0.9 * 0.98**74) and selection.exploring(76) == 0.2


def test_that_places_for_exploring_go_to_sites_never_seen_and_the_rest_to_the_best() -> None:
    seen = {"A": Seen(round=1, notes=10, loss=1.0), "B": Seen(round=1, notes=20, loss=1.0)}
    always = Selection(0.0, 1.0, 1.0, 1.0)
    assert always.choose("ABCD", seen, 2, now=2, seed=1) == ["C", "D"]
    assert always.choose("ABCD", seen, 3, now=2, seed=1) == ["B", "C", "D"]
    assert BY_SCORE.choose("ABCD", seen, 2, now=2, seed=1) == ["A", "B"]
    assert len(BY_SCORE.choose("ABCD", seen, 3, now=2, seed=1)) == 3  # nobody else is known


def test_that_the_seed_decides_and_neither_order_nor_sites_that_are_gone_do() -> None:
    selection = Selection(0.5, 0.9, 0.98, 0.2)
    seen = {"A": Seen(round=1, notes=10, loss=1.0), "Gone": Seen(round=1, notes=99, loss=9.0)}
    chosen = [selection.choose(names, seen, 3, now=5, seed=7) for names in ("ABCDEF", "FEDCBA")]
    assert chosen[0] == chosen[1] == sorted(chosen[0]) and len(set(chosen[0])) == 3
    assert "Gone" not in chosen[0]
    assert len({tuple(selection.choose("ABCDEF", seen, 3, 5, seed)) for seed in range(20)}) > 3
    assert selection.choose("AB", seen, 5, 5, 0) == ["A", "B"]
