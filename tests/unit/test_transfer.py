# SPDX-License-Identifier: Apache-2.0
"""Updates in fewer bits: what is asked for, and what an update lost being sent with the next one."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from fedmed_desktop.federation import Given, Plan
from fedmed_desktop.federation.consent import check_plan
from fedmed_desktop.federation.methods import METHODS
from fedmed_desktop.federation.plan import TransferSettings
from fedmed_desktop.federation.sending import LOST, Sent, sent
from fedmed_desktop.federation.spec import checked_spec, dump_spec
from fedmed_desktop.lora import Adapter, Module, algebra
from fedmed_desktop.lora.algebra import Cut
from tests.parts.federation import INITIAL, moved, small_spec
from tests.parts.method import opening, spec_of
from tests.parts.plan import added, dense, zero
from tests.parts.told import told_as

INT4 = TransferSettings(dtype="int4", block=16)


def plan(start: Adapter, cut: Cut = "first", transfer: TransferSettings = INT4, **changes: object) -> Plan:
    values: dict[str, object] = {"round": 1, "start": start.sha256, "rank": 2, "training": {"steps": 1}, "seed": 1}
    return Plan.model_validate(values | {"cut": cut, "transfer": transfer} | changes)


def difference(after: Adapter, before: Adapter) -> Adapter:
    return added(after, before, -1.0)


def size(adapter: Adapter) -> float:
    return float(
        np.sqrt(sum((m.B.astype(float) ** 2).sum() + (m.A.astype(float) ** 2).sum() for m in adapter.values()))
    )


def rounds_of(start: Adapter, transfer: TransferSettings, count: int, declined: frozenset[int] = frozenset()) -> float:
    """What the sum of what arrived lacks of the sum of what was trained and counted, beside one round's update."""
    own: dict[str, Adapter] = {}
    arrived, true = zero(start), zero(start)
    for number in range(count):
        trained = moved(start, number, 0.01)
        update = sent(plan(start, transfer=transfer), Given(start, own=own), start, trained)
        if number in declined:
            continue  # OwnStore gives back what was kept of the last update that counted
        own = {LOST: update.lost} if update.lost else {}
        arrived, true = added(arrived, difference(update.adapter, start)), added(true, difference(trained, start))
        start = update.adapter  # as if this were the only site
    return size(difference(arrived, true)) / size(difference(moved(start, 0, 0.01), start))


def test_that_nothing_changes_where_nothing_is_asked_for() -> None:
    trained = moved(INITIAL, 1)
    for shared in ((), ("A",), ("B",)):
        update = sent(plan(INITIAL, transfer=TransferSettings(), own=shared), Given(INITIAL), INITIAL, trained)
        assert update.lost is None and update.adapter == trained
    assert sent(plan(INITIAL, transfer=TransferSettings()), Given(INITIAL), INITIAL, trained).blob == trained.to_blob()


@pytest.mark.parametrize("count", [1, 10, 40])
def test_that_the_sum_of_what_arrives_stays_within_one_rounds_loss_of_the_sum_of_what_was_trained(count: int) -> None:
    assert rounds_of(INITIAL, INT4, count) < 0.15
    without = rounds_of(INITIAL, INT4.model_copy(update={"feedback": False}), count)
    assert count == 1 or without > 2 * rounds_of(INITIAL, INT4, count)


def test_that_a_declined_round_neither_loses_nor_doubles_what_was_kept() -> None:
    assert rounds_of(INITIAL, INT4, 12, declined=frozenset({3, 4, 8, 11})) < 0.15


def test_that_what_is_kept_is_exactly_what_the_update_lacks() -> None:
    trained = moved(INITIAL, 1)
    update = sent(plan(INITIAL), Given(INITIAL), INITIAL, trained)
    assert update.lost is not None
    lacks, kept = dense(trained), dense(update.lost)
    for name, there in dense(update.adapter).items():
        np.testing.assert_allclose(kept[name], lacks[name] - there, atol=1e-6)


def test_that_a_factor_that_does_not_travel_keeps_what_it_lost_until_it_does() -> None:
    """As in rolora, whose rounds train B and A in turn."""
    start, own = INITIAL, dict[str, Adapter]()
    kept: list[Sent] = []
    for number, frozen in enumerate((("A",), ("B",), ("A",))):
        trained = _only(start, moved(start, number), "B" if frozen == ("A",) else "A")
        kept.append(sent(plan(start, freeze=frozen), Given(start, own=own), start, trained))
        lost = kept[-1].lost
        assert lost is not None
        own, start = {LOST: lost}, kept[-1].adapter
    for name, first in _lost(kept[0]).items():
        second, third = _lost(kept[1])[name], _lost(kept[2])[name]
        assert np.array_equal(first.B[:, :2], second.B[:, :2]) and not np.array_equal(first.B[:, :2], third.B[:, :2])
        assert first.B[:, :2].any() and not first.A[2:].any() and second.A[2:].any()
        assert np.array_equal(second.A[2:], third.A[2:])


def _lost(update: Sent) -> Adapter:
    assert update.lost is not None
    return update.lost


def _only(start: Adapter, after: Adapter, factor: str) -> Adapter:
    return Adapter(
        {
            name: Module(after[name].B, m.A, m.scale) if factor == "B" else Module(m.B, after[name].A, m.scale)
            for name, m in start.items()
        }
    )


def test_that_where_products_are_combined_the_loss_is_carried_into_the_new_starts_basis() -> None:
    start = moved(INITIAL, 5, 0.5)
    first = sent(plan(start, "best"), Given(start), start, moved(start, 1, 0.05))
    turned = algebra.weighted_sum([(0.5, first.adapter), (0.5, first.adapter)])
    begun = algebra.truncate(turned, 2)[0]  # the same delta W, in the basis of its singular vectors
    assert not np.allclose(begun["model.layers.0.mlp.up_proj"].B, first.adapter["model.layers.0.mlp.up_proj"].B)
    lost = _lost(first)
    fine = TransferSettings(dtype="bfloat16")
    second = sent(plan(begun, "best", fine), Given(begun, own={LOST: lost}), begun, begun)
    for name, missing in dense(lost).items():
        came = dense(second.adapter)[name] - dense(begun)[name]
        assert np.linalg.norm(came - missing) < 0.2 * np.linalg.norm(missing)


def test_that_a_site_whose_rank_has_changed_goes_on() -> None:
    start = moved(INITIAL, 5, 0.5)
    lost = _lost(sent(plan(start), Given(start), start, moved(start, 1, 0.05)))
    for rank, cut in ((1, "first"), (1, "best"), (4, "first"), (4, "best")):
        begun = algebra.grow(start.map(lambda m: algebra.module_cut(m, rank, cut)), rank, 1)  # type: ignore[arg-type]  # noqa: B023
        changed = plan(start, cut, rank=rank)  # type: ignore[arg-type]
        update = sent(changed, Given(start, own={LOST: lost}), begun, moved(begun, 2, 0.05))
        assert set(update.adapter.ranks.values()) == {rank} and set(_lost(update).ranks.values()) == {2 * rank}


def test_that_the_specification_says_it_and_every_plan_tells_it() -> None:
    usual = small_spec()
    assert usual.transfer == TransferSettings() and usual.transfer.packing("best") is None
    spec = small_spec(transfer={"dtype": "int8", "block": 32})
    assert checked_spec(tomllib.loads(dump_spec(spec)), "x") == spec
    for name in METHODS:
        for made in spec.method.plan(opening(transfer=spec.transfer)).values():
            assert made.transfer == spec.transfer and made.packing is not None and made.packing.block == 32, name


@pytest.mark.parametrize("wrong", [{"dtype": "int2"}, {"block": 8}, {"block": 2**13}, {"bits": 4}])
def test_that_other_settings_are_refused(wrong: dict[str, object]) -> None:
    data = small_spec().model_dump(mode="json") | {"transfer": wrong}
    with told_as(f"transfer.{next(iter(wrong))}"):
        checked_spec(data, "federation.toml")


def test_that_a_method_that_cannot_is_refused_in_words() -> None:
    for dtype in ("bfloat16", "int8", "int4"):
        data = spec_of("scaffold").model_dump(mode="json") | {"transfer": {"dtype": dtype}}
        with told_as(r"scaffold's control variates.* Take out \[transfer\]"):
            checked_spec(data, "federation.toml")
        data = spec_of("flora").model_dump(mode="json") | {"transfer": {"dtype": dtype}}
        with told_as(r"each round starts afresh.* Write transfer\.feedback = false"):
            checked_spec(data, "federation.toml")
        checked_spec(data | {"transfer": {"dtype": dtype, "feedback": False}}, "federation.toml")
        for name in set(METHODS) - {"scaffold", "flora", "adaptive_fedlora"}:
            spec_of(name, transfer={"dtype": dtype})


def test_that_a_site_sends_in_no_other_form_than_it_joined_under() -> None:
    spec = spec_of("fed_medlora", transfer={"dtype": "int8"})
    (made, *_) = spec.method.plan(opening(training=spec.training, transfer=spec.transfer)).values()
    check_plan(made, spec)
    with told_as("asks for something"):
        check_plan(made.model_copy(update={"transfer": TransferSettings()}), spec)
