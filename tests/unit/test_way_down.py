# SPDX-License-Identifier: Apache-2.0
"""The common adapter in fewer bits: what all hold is what the difference leads to, or the adapter travels whole."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import Plan
from fedmed_desktop.federation.consent import check_plan
from fedmed_desktop.federation.inputs import RoundCombined
from fedmed_desktop.federation.methods import METHODS
from fedmed_desktop.federation.plan import Difference, TransferSettings
from fedmed_desktop.federation.spec import checked_spec
from fedmed_desktop.federation.way_down import MOST_DIFFERENCES, MOST_LOST, Rounded, came_whole, chained, rounded
from fedmed_desktop.lora import Adapter, BlobReader, Module, algebra
from fedmed_desktop.lora.algebra import Cut
from fedmed_desktop.lora.blocks import Packed
from fedmed_desktop.lora.quantised import PackedReader
from fedmed_desktop.wording import told
from tests.parts.federation import moved, small_spec
from tests.parts.method import opening, spec_of
from tests.parts.plan import added, dense
from tests.parts.told import told_as
from tests.parts.way_down import DOWN, FIRST

DTYPES: tuple[Packed, ...] = ("bfloat16", "int8", "int4")
START = moved(FIRST, 5, 0.05)


def rebuilt(found: Rounded, start: Adapter, transfer: TransferSettings, folder: Path) -> Adapter:
    """What a site makes of the difference and the start that it holds."""
    packing, difference = transfer.packing("first"), found.difference
    assert packing is not None and difference is not None
    (folder / "start").write_bytes(start.to_blob())
    (folder / "packed").write_bytes(found.blob)
    with (
        BlobReader(folder / "start", difference.start) as begun,
        PackedReader(folder / "packed", packing, difference.factors, begun, difference.sha256) as reader,
    ):
        return Adapter({name: reader.module(name) for name in reader.names})


def only(start: Adapter, after: Adapter, factor: str) -> Adapter:
    return Adapter(
        {
            name: Module(after[name].B, m.A, m.scale) if factor == "B" else Module(m.B, after[name].A, m.scale)
            for name, m in start.items()
        }
    )


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    block=st.sampled_from([16, 64, 100]),
    size=st.sampled_from([1e-6, 1e-3, 0.05, 3.0, 1e6]),
    seed=st.integers(0, 2**31),
    factor=st.sampled_from(["A", "B", "both"]),
    with_lost=st.booleans(),
)
def test_that_a_site_rebuilds_the_very_bits_that_the_coordinator_holds(
    tmp_path_factory: pytest.TempPathFactory,
    dtype: Packed,
    block: int,
    size: float,
    seed: int,
    factor: str,
    with_lost: bool,
) -> None:
    transfer = TransferSettings(dtype=dtype, block=block, down=True)
    start, lost = START, None
    for number in range(2 if with_lost else 1):
        new = moved(start, seed + number, size)
        new = new if factor == "both" else only(start, new, factor)
        found = rounded(new, start, lost, transfer, "first")
        if found.difference is None:  # only of unlike sizes: then it is exact
            assert found.adapter == new or lost is not None
            return
        assert rebuilt(found, start, transfer, tmp_path_factory.mktemp("site")) == found.adapter
        assert found.difference.adapter == found.adapter.sha256 and found.difference.size < found.difference.whole
        assert found.share is not None and found.share <= MOST_LOST
        start, lost = found.adapter, found.lost


def test_that_a_factor_that_nobody_trained_is_neither_sent_nor_rounded(tmp_path: Path) -> None:
    zeros = START.map(lambda m: Module(-np.zeros_like(m.B), m.A, m.scale))  # -0.0, which equals 0.0
    new = Adapter(
        {name: Module(np.zeros_like(m.B), m.A, m.scale) for name, m in only(zeros, moved(zeros, 1), "A").items()}
    )
    found = rounded(new, zeros, None, DOWN, "first")
    assert found.difference is not None and found.difference.factors == ("A",)
    assert rebuilt(found, zeros, DOWN, tmp_path) == found.adapter
    assert all(np.signbit(module.B).all() for module in found.adapter.values())
    assert rounded(zeros, zeros, None, DOWN, "first") == Rounded(zeros)


@pytest.mark.parametrize("factors", ["both", "in turn"])
def test_that_over_the_rounds_nothing_is_lost_but_the_last_rounding(factors: str) -> None:
    """Rounds whose updates do not look back: what all hold stays with what exact sums would have come to."""

    def gap(transfer: TransferSettings) -> float:
        held, exact, lost = START, START, None
        for number in range(20):
            step = added(moved(START, number, 0.01), START, -1.0)
            new = added(held, step)
            if factors == "in turn":
                step = only(added(START, START, -1.0), step, "AB"[number % 2])
                new = only(held, added(held, step), "AB"[number % 2])
            found = rounded(new, held, lost, transfer, "first")
            assert found.difference is not None
            held, exact, lost = found.adapter, added(exact, step), found.lost
        return max(float(np.abs(held[name].B - exact[name].B).max()) for name in held)

    kept = gap(DOWN)
    assert kept < 0.01 and gap(DOWN.model_copy(update={"feedback": False})) > 1.5 * kept


@pytest.mark.parametrize("cut", ["first", "best"])
def test_that_an_adapter_whose_rank_has_grown_travels_as_a_difference(cut: algebra.Cut, tmp_path: Path) -> None:
    """A product of larger rank is turned so that its first directions are the start's; the others begin from zero."""
    grown = algebra.grow(START, {name: module.rank + 2 for name, module in START.items()}, seed=7)
    new = moved(grown, 1, 0.02)
    new = balanced(new) if cut == "best" else new
    found = rounded(new, START, None, DOWN, cut)
    assert found.difference is not None and found.share is not None and found.share < MOST_LOST
    assert found.adapter.ranks == new.ranks
    assert rebuilt(found, START, DOWN, tmp_path) == found.adapter
    for name, after in dense(new).items():
        moved_by = np.linalg.norm(after - dense(START)[name])
        assert np.linalg.norm(dense(found.adapter)[name] - after) < 2 * MOST_LOST * moved_by


def test_that_a_smaller_rank_travels_whole_with_what_was_kept() -> None:
    first = rounded(moved(START, 1, 0.01), START, None, DOWN, "first")
    assert first.lost is not None
    smaller = first.adapter.map(lambda m: algebra.module_cut(m, 2, "first"))
    found = rounded(smaller, first.adapter, first.lost, DOWN, "first")
    assert found.difference is None and found.lost is None and found.whole_because == "coordinator.whole_other_rank"
    name = "model.layers.0.mlp.up_proj"
    np.testing.assert_allclose(found.adapter[name].B, smaller[name].B + first.lost[name].B[:, :2], atol=1e-7)


def balanced(adapter: Adapter, turn: int | None = None) -> Adapter:
    """The adapter in the basis of its singular vectors, or in that basis turned at random."""
    found = Adapter({name: algebra.module_truncated_sum([(1.0, m)], m.rank)[0] for name, m in adapter.items()})
    if turn is None:
        return found
    q, _ = np.linalg.qr(np.random.default_rng(turn).normal(size=(4, 4)))
    return found.map(lambda m: Module((m.B @ q).astype(np.float32), (q.T @ m.A).astype(np.float32), m.scale))


def test_that_products_are_turned_to_the_starts_basis_first() -> None:
    start = balanced(START, turn=1)
    new = balanced(algebra.truncate(algebra.weighted_sum([(1.0, START), (0.1, moved(START, 3, 0.05))]), 4)[0])
    there, here = rounded(new, start, None, DOWN, "first"), rounded(new, start, None, DOWN, "best")
    assert there.difference is None and there.adapter == new and there.whole_because.endswith("too_much_lost")
    assert there.share is not None and there.share > MOST_LOST
    assert here.difference is not None and here.share is not None and here.share < 0.15
    for name, before in dense(new).items():
        moved_by = np.linalg.norm(before - dense(start)[name])
        assert np.linalg.norm(dense(here.adapter)[name] - before) < 1.2 * here.share * moved_by + 1e-6


def test_that_who_hosts_is_told_why_an_adapter_travels_whole() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    usual = {"round": 3, "adapter": "a" * 64, "residual": 0.0, "norm": 1.0, "effective_rank": 1.0}
    assert came_whole(RoundCombined(**usual), now) == []  # type: ignore[arg-type]
    given = RoundCombined(**usual, rounding=0.345, whole_because="coordinator.whole_too_much_lost")  # type: ignore[arg-type]
    (event,) = came_whole(given, now)
    assert "round 3 in full (float32): in fewer bits it would have lost 34 %" in told(
        UserFacingError(event.code, **event.params)
    )  # type: ignore[attr-defined]
    for spread in (1e38, 3e38):
        large = START.map(lambda m: Module(np.full_like(m.B, spread), m.A, m.scale))  # noqa: B023
        assert rounded(large, START, None, DOWN, "first").adapter == large


def link(number: int, size: int = 10, whole: int = 75) -> Difference:
    names = {"sha256": f"{number + 100:064x}", "start": f"{number:064x}", "adapter": f"{number + 1:064x}"}
    return Difference(**names, size=size, whole=whole, factors=("A", "B"))  # type: ignore[arg-type]


def combined(difference: Difference | None, adapter: str = "f" * 64) -> RoundCombined:
    figures = {"residual": 0.0, "norm": 1.0, "effective_rank": 1.0}
    adapter = difference.adapter if difference else adapter
    return RoundCombined(round=1, adapter=adapter, difference=difference, **figures)  # type: ignore[arg-type]


def test_that_a_chain_is_as_long_as_it_is_cheaper_than_the_adapter() -> None:
    chain: tuple[Difference, ...] = ()
    for number in range(12):
        chain = chained(chain, combined(link(number)))
        assert chain[-1] == link(number) and len(chain) == min(number + 1, 7)
    assert chained(chain, combined(None, chain[-1].adapter)) == chain  # nothing moved
    assert chained(chain, combined(None)) == ()
    assert len(chained(chain, combined(link(12, 40)))) == 4 and chained(chain, combined(link(12, 74))) == (
        link(12, 74),
    )
    for number in range(30):
        chain = chained(chain, combined(link(number, 1, 10**6)))
    assert len(chain) == MOST_DIFFERENCES


def test_that_a_site_takes_the_shortest_way_from_what_it_holds() -> None:
    chain = tuple(map(link, range(3)))
    plan = small_plan(start=chain[-1].adapter, differences=chain)
    ways = {0: chain, 1: chain[1:], 2: chain[2:], 7: ()}
    for held, way in ways.items():
        assert plan.way_to(lambda sha256, held=held: sha256 == f"{held:064x}") == way  # type: ignore[misc]
    assert plan.way_to(lambda sha256: True) == chain[2:]
    broken = small_plan(start=chain[-1].adapter, differences=(chain[0], chain[2]))
    assert broken.way_to(lambda sha256: sha256 == f"{0:064x}") == ()
    assert small_plan(start="e" * 64, differences=chain).way_to(lambda sha256: True) == ()


def small_plan(**changes: object) -> Plan:
    values = {"round": 2, "start": "b" * 64, "rank": 4, "training": {"steps": 4}, "seed": 11, "transfer": DOWN}
    return Plan.model_validate(values | changes)


def test_that_the_specification_says_it_and_methods_that_cannot_refuse_it_in_words() -> None:
    for name in METHODS:
        can = name not in ("scaffold", "fedex", "flora")
        data = spec_of(name, combine="product" if name == "adaptive_fedlora" else spec_of(name).combine)
        wanted = data.model_dump(mode="json") | {"transfer": {"dtype": "int4", "down": True, "feedback": can}}
        if can:
            spec = checked_spec(wanted, "x")
            (plan, *_) = spec.method.plan(opening(training=spec.training, transfer=spec.transfer)).values()
            assert plan.transfer.down
        else:
            with told_as(r"sent in float32 only" if name == "scaffold" else r"Take out transfer\.down"):
                checked_spec(wanted, "x")
    with told_as("a float32 adapter travels whole"):
        checked_spec(small_spec().model_dump(mode="json") | {"transfer": {"down": True}}, "x")


@pytest.mark.parametrize("down", [True, False])
def test_that_a_site_takes_differences_only_where_the_specification_says_so(down: bool) -> None:
    spec = spec_of("fed_medlora", transfer={"dtype": "int4", "down": down})
    (plan, *_) = spec.method.plan(opening(training=spec.training, transfer=spec.transfer)).values()
    with_one = plan.model_copy(update={"differences": (link(1),)})
    check_plan(plan, spec)
    if down:
        check_plan(with_one, spec)
    else:
        with told_as("asks for something"):
            check_plan(with_one, spec)


@pytest.mark.parametrize("cut", ["first", "best"])
def test_that_the_same_values_give_the_same_bits_again(cut: Cut) -> None:
    one, two = (rounded(moved(START, 4, 0.01), START, None, DOWN, cut) for _ in range(2))
    assert one.adapter == two.adapter and one.blob == two.blob and one.lost == two.lost
