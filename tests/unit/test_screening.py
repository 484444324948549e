# SPDX-License-Identifier: Apache-2.0
"""Screening of updates: what is found, what follows from it, and that an attack loses its force."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Mapping

import numpy as np
import pytest
from pydantic import ValidationError

from fedmed_desktop import events
from fedmed_desktop.cli.status import closed_round as closed_lines
from fedmed_desktop.coordinator.server import _closed as closed_status
from fedmed_desktop.federation import FederationSpec, Report
from fedmed_desktop.federation.actions import Combine
from fedmed_desktop.federation.combine import Combination, Sources
from fedmed_desktop.federation.inputs import INPUT, RoundCombined, SiteJoined, UpdateArrived
from fedmed_desktop.federation.screened import Screening, ScreeningSettings, recent_norms
from fedmed_desktop.federation.screening import judged, krum_scores, norm_limit, screen
from fedmed_desktop.federation.spec import checked_spec, dump_spec
from fedmed_desktop.federation.standing import closed_round
from fedmed_desktop.federation.trimming import trimmed
from fedmed_desktop.lora import Adapter, Module, algebra
from fedmed_desktop.lora.geometry import inner_products
from fedmed_desktop.wording.lines import line
from tests.parts.federation import INITIAL, SHAPES, moved
from tests.parts.method import START, closed, cut, due_of, full, near, spec_of
from tests.parts.told import told_as
from tests.unit.test_rounds import Driver, combined, update

FIVE = "ABCDE"
EVEN = {site: Report(notes=10, supervised_tokens=10, steps=4) for site in FIVE}


def settings(**values: object) -> ScreeningSettings:
    return ScreeningSettings.model_validate(values)


def screened_spec(method: str = "fedavg", combine: str | None = None, **screening: object) -> FederationSpec:
    changes = {} if combine is None else {"combine": combine}
    return spec_of(method, screening=settings(**screening), **changes)


def changes_of(count: int, common: float = 0.1, own: float = 0.05) -> dict[str, Adapter]:
    """Honest updates: a step in common and each site's own."""
    towards = moved(START, 1, common)
    return {site: moved(towards, 100 + number, own) for number, site in enumerate(FIVE[:count])}


def from_start(adapter: Adapter, times: float) -> Adapter:
    """The same change many times over, in its own basis (rank 2 + 2)."""
    return Adapter(
        {
            name: algebra.module_weighted_sum([(times, module), (1 - times, START.module(name))])
            for name, module in adapter.items()
        }
    )


def dense(adapter: Adapter) -> np.ndarray:
    return np.concatenate([full(adapter[name]).ravel() for name in sorted(adapter)])


def away(found: Adapter, honest: Iterable[Adapter]) -> float:
    """Distance from the mean of the honest, relative to the size of their mean change."""
    mean = np.mean([dense(one) for one in honest], axis=0)
    return float(np.linalg.norm(dense(found) - mean) / np.linalg.norm(mean - dense(START)))


def products(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors @ vectors.T)


def look(vectors: np.ndarray, recent: tuple[float, ...] = (), **values: object) -> Screening:
    order = FIVE[: len(vectors)] if len(vectors) <= 5 else [f"{n:02}" for n in range(len(vectors))]
    weights = dict.fromkeys(order, 1 / len(vectors))
    return judged(list(order), products(vectors), weights, recent, settings(**values))


# -- what is found -----------------------------------------------------------------------------------------------------


def test_that_krum_scores_are_those_of_the_definition() -> None:
    vectors = np.random.default_rng(0).normal(size=(7, 40))
    expected = []
    for i in range(7):
        apart = sorted(float(np.sum((vectors[i] - vectors[j]) ** 2)) for j in range(7) if j != i)
        expected.append(sum(apart[: 7 - 2 - 2]))
    assert krum_scores(products(vectors), 2) == pytest.approx(expected)


@pytest.mark.parametrize(("robust", "many"), [("krum", 1), ("multi_krum", 2)])
def test_that_krum_leaves_out_the_one_far_away_and_says_whom_it_chose(robust: str, many: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 40)) * 0.1 + 1
    vectors[3] *= -5
    found = look(vectors, robust=robust)
    assert found.too_few == ()
    assert sum(one.counts for one in found.sites.values()) == many
    assert found.sites["D"].findings == ("not_chosen",) and found.sites["D"].weight == 0
    assert sum(found.weights.values()) == pytest.approx(1)
    assert all(one.score is not None for one in found.sites.values())


def test_that_krum_with_too_few_updates_is_the_plain_mean_and_says_so() -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 40))
    found = look(vectors, robust="krum")
    assert found.too_few == ("krum",)
    assert found.weights == dict.fromkeys("ABCD", 0.25)
    assert look(np.ones((5, 3)), robust="krum", faulty=2).too_few == ("krum",)


def test_that_a_norm_is_compared_with_those_that_counted_before() -> None:
    vectors = np.diag([1.0, 2.0, 3.0, 40.0])
    assert look(vectors, norm_ratio=3).limit == 7.5, "median 2.5 of this round, while there are no others"
    assert look(vectors, recent=(1.0, 1.0, 1.0), norm_ratio=3).limit == 3
    found = look(vectors, recent=(9.0, 9.0, 9.0, 1.0, 1.0, 1.0), norm_ratio=3, window=3)
    assert found.limit == 3 and [one.findings for one in found.sites.values()] == [(), (), (), ("norm",)]
    assert found.sites["D"].share == 1 and found.sites["D"].weight == 0.25, "it is only told"
    assert norm_limit([1.0, 50.0], [], settings(norm_ratio=3)) is None
    assert look(np.diag([1.0, 50.0]), norm_ratio=3).too_few == ("norm",)


def test_that_clipping_shortens_to_the_bound_and_the_next_rounds_median_takes_it_as_it_counted() -> None:
    found = look(np.diag([1.0, 2.0, 3.0, 40.0]), norm_ratio=3, action="clip")
    assert found.sites["D"].findings == ("clipped",)
    assert found.sites["D"].share == pytest.approx(7.5 / 40)
    assert recent_norms([None, found], 3) == (2.0, 3.0, 7.5)


def test_that_a_cosine_is_that_with_the_others_mean_direction() -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 30)) + 0.3
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = look(vectors, cosine=0.0)
    for i, one in enumerate(found.sites.values()):
        others = np.delete(unit, i, axis=0).sum(axis=0)
        assert one.cosine == pytest.approx(float(unit[i] @ others / np.linalg.norm(others)))


def test_that_one_huge_flipped_update_is_the_outlier_and_makes_none_of_the_others_one() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 30)) * 0.2 + 1
    vectors[2] *= -100
    found = look(vectors, cosine=-0.2)
    assert [site for site, one in found.sites.items() if "cosine" in one.findings] == ["C"]
    assert look(vectors[:2], cosine=-0.2).too_few == ("cosine",), "of two, who is the outlier?"


def test_that_an_update_without_any_change_is_no_outlier_and_breaks_nothing() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 30))
    vectors[1] = 0
    found = look(vectors, cosine=0.0, norm_ratio=2, action="clip", robust="multi_krum")
    assert found.sites["B"].cosine is None and "cosine" not in found.sites["B"].findings
    nothing = look(np.zeros((5, 30)), cosine=0.0, norm_ratio=2, action="clip", robust="krum")
    assert sum(nothing.weights.values()) == 1


def test_that_honest_sites_with_notes_of_their_own_are_hardly_ever_found_unusual() -> None:
    rng, flagged, rounds = np.random.default_rng(0), 0, 400
    recent: tuple[float, ...] = ()
    for _ in range(rounds):
        common = rng.normal(size=200)
        # Cosines of about 0.5 between sites, and sizes that differ by a factor of 2 to 3: more than real sites show.
        own = common + rng.normal(size=(5, 200))
        found = look(own * np.exp(rng.normal(size=(5, 1)) * 0.3), recent, norm_ratio=3, cosine=0.0)
        recent = (*recent, *found.counted_norms)[-20:]
        flagged += sum(bool(one.findings) for one in found.sites.values())
    assert flagged / (5 * rounds) < 0.005, flagged


# -- what follows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [100.0, -1.0, -100.0])
@pytest.mark.parametrize("combine", ["factors", "product", "stack"])
@pytest.mark.parametrize("robust", ["krum", "multi_krum"])
def test_that_with_krum_an_attacker_does_not_move_the_result(combine: str, times: float, robust: str) -> None:
    honest = changes_of(5)
    bad = honest | {"C": from_start(honest["C"], times)}
    spec = screened_spec(combine=combine, robust=robust)
    found = closed(spec, bad, EVEN, ranks=ranks_of(bad))
    good = [one for site, one in honest.items() if site != "C"]
    assert found.screening and found.screening.sites["C"].findings == ("not_chosen",)
    result = (found.frozen or found.adapter) if combine == "stack" else found.adapter
    plain = closed(screened_spec(combine=combine), bad, EVEN, ranks=ranks_of(bad))
    unguarded = (plain.frozen or plain.adapter) if combine == "stack" else plain.adapter
    assert away(result, good) < 1.0
    if abs(times) > 1:
        assert away(unguarded, good) > 10


def ranks_of(adapters: Mapping[str, Adapter]) -> dict[str, int]:
    return {site: max(module.rank for module in one.values()) for site, one in adapters.items()}


@pytest.mark.parametrize("times", [100.0, -100.0])
@pytest.mark.parametrize("combine", ["factors", "product", "stack"])
def test_that_clipping_takes_an_attackers_force(combine: str, times: float) -> None:
    honest = changes_of(5)
    bad = honest | {"C": from_start(honest["C"], times)}
    found = closed(screened_spec(combine=combine, norm_ratio=1.5, action="clip"), bad, EVEN, ranks=ranks_of(bad))
    assert found.screening and found.screening.sites["C"].findings == ("clipped",)
    assert found.screening.sites["C"].weight == pytest.approx(0.2), "it still counts"
    result = (found.frozen or found.adapter) if combine == "stack" else found.adapter
    plain = closed(screened_spec(combine=combine), bad, EVEN, ranks=ranks_of(bad))
    unguarded = (plain.frozen or plain.adapter) if combine == "stack" else plain.adapter
    good = [one for site, one in honest.items() if site != "C"]
    assert away(result, good) < 1.0 < 10 < away(unguarded, good)


@pytest.mark.parametrize("combine", ["product", "stack"])
def test_that_a_clipped_update_counts_with_exactly_the_bound(combine: str) -> None:
    honest = changes_of(5)
    bad = honest | {"C": from_start(honest["C"], 10)}
    found = closed(screened_spec(combine=combine, norm_ratio=1.5, action="clip"), bad, EVEN, ranks=ranks_of(bad))
    assert found.screening and found.screening.limit is not None
    share = found.screening.limit / np.linalg.norm(dense(bad["C"]) - dense(START))
    result = (found.frozen or found.adapter) if combine == "stack" else found.adapter
    for name in SHAPES:
        began = full(START.module(name))
        steps = [(share if site == "C" else 1.0) * (full(one[name]) - began) for site, one in bad.items()]
        expected = began + sum(steps) / 5
        assert near(full(result[name]), cut(expected, 4) if combine == "product" else expected)


def test_that_where_factors_are_averaged_they_go_back_until_the_product_has_the_bound() -> None:
    honest = changes_of(3)
    bad = {"C": moved(honest["C"], 7, 3.0)} | {site: honest[site] for site in "AB"}
    spec = screened_spec(combine="factors", norm_ratio=2, action="clip")
    found = closed(spec, bad, {site: EVEN[site] for site in bad})
    assert found.screening and found.screening.limit is not None
    share = found.screening.sites["C"].share
    assert 0 < share < 1
    part = {
        name: Module(
            START.module(name).B + share * (module.B - START.module(name).B),
            START.module(name).A + share * (module.A - START.module(name).A),
            module.scale,
        )
        for name, module in bad["C"].items()
    }
    assert np.linalg.norm(dense(Adapter(part)) - dense(START)) == pytest.approx(found.screening.limit, rel=1e-4)
    mean = sum(one["model.layers.0.mlp.up_proj"].B for one in (bad["A"], bad["B"], part)) / 3  # type: ignore[arg-type]
    assert np.abs(found.adapter["model.layers.0.mlp.up_proj"].B - mean).max() < 1e-5


def test_that_screening_that_is_off_or_only_tells_changes_no_bit() -> None:
    adapters = changes_of(5)
    plain = closed(spec_of("fedavg"), adapters, EVEN)
    told = closed(screened_spec(norm_ratio=0.01, cosine=0.99), adapters, EVEN)
    assert plain.screening is None
    assert told.screening and all("norm" in one.findings for one in told.screening.sites.values())
    assert told.adapter.sha256 == plain.adapter.sha256


def test_that_names_and_arrival_change_no_bit() -> None:
    adapters = changes_of(5)
    spec = screened_spec(robust="multi_krum", norm_ratio=1.0, action="clip")
    first = closed(spec, adapters, EVEN)
    turned = dict(zip("EDCBA", adapters.values(), strict=True))
    again = closed(spec, turned, EVEN)
    assert first.adapter.sha256 == again.adapter.sha256


def test_that_the_change_of_basis_of_an_attacker_is_seen_through() -> None:
    one = changes_of(1)["A"]
    turn = np.array([[3.0, 1.0], [0.5, 2.0]])
    same = Adapter({n: Module(m.B @ turn, np.linalg.inv(turn) @ m.A, m.scale) for n, m in one.items()})
    for name in SHAPES:
        start = START.module(name)
        found = inner_products([(start, one[name]), (start, same[name])], [2, 2])
        assert found[0, 0] == pytest.approx(found[1, 1], rel=1e-5) == pytest.approx(found[0, 1], rel=1e-5)


@pytest.mark.parametrize("method", ["fednova", "adaptive_fedlora", "fedex", "flora", "fed_medlora"])
def test_that_methods_of_every_kind_can_be_screened(method: str) -> None:
    reports = {
        site: Report(notes=10, supervised_tokens=10, steps=4 + n, histogram={"a": 3}) for n, site in enumerate(FIVE)
    }
    honest = changes_of(5)
    bad = honest | {"E": from_start(honest["E"], -50)}
    found = closed(
        screened_spec(method, robust="multi_krum", norm_ratio=2, action="clip"), bad, reports, ranks=ranks_of(bad)
    )
    assert found.screening and "not_chosen" in found.screening.sites["E"].findings
    assert np.isfinite(dense(found.adapter)).all()


# -- memory ------------------------------------------------------------------------------------------------------------


class Made(Adapter):
    """An adapter whose modules are made when they are read, as from a file."""

    def __init__(self, seed: int, modules: int, size: int = 256, rank: int = 8) -> None:
        super().__init__(INITIAL)
        self._many, self._seed, self._size, self._rank = modules, seed, size, rank

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"m{n:02}" for n in range(self._many))

    @property
    def sha256(self) -> str:
        return f"{self._seed:064}"

    def module(self, name: str) -> Module:
        rng = np.random.default_rng([self._seed, int(name[1:])])
        shape = (self._size, self._rank)
        return Module(rng.standard_normal(shape, np.float32), rng.standard_normal(shape[::-1], np.float32), 1.0)


def peak(sites: int, modules: int) -> int:
    """Most bytes that a pass over the updates of so many sites holds."""
    spec, start = screened_spec(robust="multi_krum", norm_ratio=3, cosine=0.0, combine="product"), Made(0, modules)
    updates: dict[str, Adapter] = {f"{n:03}": Made(1 + n, modules) for n in range(sites)}
    due = due_of(spec, updates, start=start, reports=dict.fromkeys(updates, EVEN["A"]), ranks=dict.fromkeys(updates, 8))
    tracemalloc.start()
    try:
        assert screen(due, spec, Sources(start, updates))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_that_memory_is_one_module_of_each_site_however_large_updates_are() -> None:
    module = 4 * 8 * (256 + 256)
    assert peak(8, 40) < 1.1 * peak(8, 4), "not whole updates"
    more = (peak(24, 4) - peak(8, 4)) / 16
    assert more < 5 * module, "a few copies in float64 of one module's factors"


# -- what is said ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "values", "words"),
    [
        ("fedsa", {"norm_ratio": 2.0}, "half of each model stays"),
        ("scaffold", {"robust": "krum"}, "control variates"),
        ("scaffold", {"norm_ratio": 2.0, "action": "clip"}, "control variates"),
        ("fedavg", {"robust": "trimmed_mean"}, "ffa or rolora"),
        ("flora", {"robust": "trimmed_mean"}, "ffa or rolora"),
    ],
)
def test_that_what_does_not_fit_the_method_is_refused_in_words(
    method: str, values: dict[str, object], words: str
) -> None:
    plain = spec_of(method).model_dump(mode="json", exclude_none=True)
    with told_as(words):
        checked_spec(plain | {"screening": values}, "federation.toml")


def test_that_scaffold_and_fedsa_run_with_what_is_only_told_or_off() -> None:
    assert screened_spec("scaffold", norm_ratio=2.0, cosine=0.0).screening.is_on
    assert not screened_spec("fedsa", action="clip", window=5).screening.is_on


@pytest.mark.parametrize(
    "values", [{"norm_ratio": -1}, {"cosine": 2}, {"trim": 0.5}, {"faulty": 0}, {"robust": "best"}]
)
def test_that_settings_without_sense_are_no_settings(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(**values)


def test_that_it_is_off_by_default_and_all_of_it_stands_in_the_file() -> None:
    text = dump_spec(spec_of("fedavg"))
    assert "[screening]" in text and 'robust = "mean"' in text and "norm_ratio = 0.0" in text
    assert not spec_of("fedavg").screening.is_on
    before = spec_of("fedavg").model_dump(mode="json")
    del before["screening"]
    assert FederationSpec.model_validate(before) == spec_of("fedavg"), "or old data folders would be refused"


def found_in_round() -> Screening:
    vectors = np.random.default_rng(0).normal(size=(5, 40)) * 0.1 + 1
    vectors[2] *= -20
    return look(vectors, robust="multi_krum", norm_ratio=3, cosine=0.0, action="clip")


def test_that_nothing_is_left_out_in_silence() -> None:
    drive = Driver(sites=5, quorum=3, screening=settings(robust="multi_krum", norm_ratio=3, cosine=0.0, action="clip"))
    for site in FIVE:
        drive(SiteJoined(site=site), 0)
    for site in FIVE:
        step = drive(UpdateArrived(site=site, update=update(site, 1)), 1)
    (due,) = (action for action in step.actions if isinstance(action, Combine))
    assert due.recent_norms == ()
    given = combined(1).model_copy(update={"screening": found_in_round()})
    assert INPUT.validate_json(given.model_dump_json()) == given, "it is a row of the ledger"
    step = drive(given, 2)

    told = [event for event in step.events if isinstance(event, events.UpdateScreened)]
    assert {event.code for event in told if event.site == "C"} == {
        "screening.clipped", "screening.cosine", "screening.not_chosen",
    }  # fmt: skip
    assert all((line(event) or "").startswith(f"{event.site}: round 1: ") for event in told)
    assert "shortened to the bound" in "\n".join(line(event) or "" for event in told)
    (weighed,) = (event for event in step.events if isinstance(event, events.RoundCombined))
    record = drive.rounds.state.history[0]
    assert weighed.weights["C"] == record.sites["C"].weight == 0
    assert record.screening == given.screening
    shown = "\n".join(closed_lines(closed_status(record)))
    assert "C: weight 0.0000" in shown and "not combined" in shown and "shortened to the bound" in shown
    own, other = closed_round(record, "C", None), closed_round(record, "Z", None)
    assert own.findings == ("clipped", "cosine", "not_chosen") and own.weight == 0
    assert other.findings == () and other.weight is None, "nobody is told of another site's"

    for site in FIVE:
        step = drive(UpdateArrived(site=site, update=update(site, 2)), 3)
    (due,) = (action for action in step.actions if isinstance(action, Combine))
    assert len(due.recent_norms) == 2, "only those that counted"


def test_that_a_round_with_too_few_updates_says_which_check_was_not_made() -> None:
    drive = Driver(screening=settings(robust="krum")).opened()
    for site in "ABC":
        drive(UpdateArrived(site=site, update=update(site, 1)), 1)
    few = look(np.eye(3), robust="krum")
    step = drive(combined(1).model_copy(update={"screening": few}), 2)
    (told,) = (event for event in step.events if isinstance(event, events.UpdateScreened))
    assert (told.site, told.code) == ("", "screening.too_few_for_krum")
    assert "too few for Krum" in (line(told) or "")
    assert "too few updates for: krum" in "\n".join(closed_lines(closed_status(drive.rounds.state.history[0])))


def test_that_a_row_of_an_earlier_ledger_has_no_screening() -> None:
    row = combined(1).model_dump(mode="json")
    del row["screening"]
    assert RoundCombined.model_validate(row).screening is None


# -- trimmed mean ------------------------------------------------------------------------------------------------------


def halves(count: int, attacker: float = 1.0) -> dict[str, Adapter]:
    """Updates that share A with the start."""
    found = {}
    for number, (site, one) in enumerate(changes_of(count).items()):
        times = attacker if number == 2 else 1.0
        found[site] = Adapter(
            {
                n: Module(START.module(n).B + times * (m.B - START.module(n).B), START.module(n).A, m.scale)
                for n, m in one.items()
            }
        )
    return found


def averaged(adapters: Mapping[str, Adapter], robust: str = "mean") -> Combination:
    """The end of a round of ffa."""
    return closed(screened_spec("ffa", robust=robust), adapters, {s: EVEN[s] for s in adapters}, freeze=("A",))


def trimmed_round(adapters: Mapping[str, Adapter]) -> tuple[Adapter, Screening]:
    found = averaged(adapters, "trimmed_mean")
    assert found.screening
    return found.adapter, found.screening


def test_that_a_trimmed_mean_is_that_of_the_middle_values() -> None:
    adapters = halves(5, attacker=100)
    result, found = trimmed_round(adapters)
    for name in SHAPES:
        values = np.sort(np.stack([one[name].B for one in adapters.values()]).astype(np.float64), axis=0)
        assert np.allclose(result[name].B, values[1:-1].mean(axis=0), atol=1e-6)
        assert (result[name].A == START.module(name).A).all()
    shares = {site: one.trimmed or 0.0 for site, one in found.sites.items()}
    assert sum(shares.values()) == pytest.approx(2), "the largest and the smallest of each coordinate"
    assert shares["C"] == max(shares.values()) > 0.9
    assert set(found.weights.values()) == {0.2}


def test_that_a_trimmed_mean_keeps_near_the_honest() -> None:
    good = [one for site, one in halves(5).items() if site != "C"]
    bad = halves(5, attacker=-100)
    assert away(trimmed_round(bad)[0], good) < 1 < 10 < away(averaged(bad).adapter, good)


def test_that_too_few_updates_to_trim_are_averaged_and_it_is_said() -> None:
    adapters = halves(4)
    result, found = trimmed_round(adapters)
    assert found.too_few == ("trimmed_mean",)
    assert result.sha256 == averaged(adapters).adapter.sha256


def test_that_equal_values_lose_as_many_as_others() -> None:
    same = [np.ones((3, 2), np.float32)] * 5
    mean, lost = trimmed(same, 1)
    assert (mean == 1).all() and sum(lost) == 2 * 6
