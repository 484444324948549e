# SPDX-License-Identifier: Apache-2.0
"""Several tasks in an experiment: each one's own measures, and the round after which nothing rises any more."""

from __future__ import annotations

import pytest

from fedmed_desktop.lab.by_task import settled, site_scores, task_measures, task_table
from fedmed_desktop.lab.compare import Setting
from fedmed_desktop.scores import Counts, Mean, Scores, TaskScores
from fedmed_desktop.storage.results import ResultRow, SiteRow

ENTITIES = TaskScores(strict={"drug": Counts(tp=1, fp=1, fn=1)})
CODES = TaskScores(
    strict={"code": Counts(tp=1, fn=3)},
    lenient={"code": Counts(tp=1, fn=1)},
    unified=Counts(tp=1),
    means={"recall@10 category": Mean(sum=1.5, of=3)},
)


def row(
    label: str, round_number: int, f1: float, seed: int = 1, kind: str = "federation", **measures: float
) -> ResultRow:
    return ResultRow.model_validate(
        {
            "cell": "c", "label": label, "method": label, "kind": kind, "sites_count": 3, "seed": seed,
            "round": round_number, "loss": 1.0, "worst_loss": 1.0, "f1": f1, "measures": measures,
        }
    )  # fmt: skip


def test_that_one_task_alone_has_no_measures_but_those_that_are_no_f1() -> None:
    assert task_measures(Scores.of_entities(ENTITIES)) == {}
    assert task_measures(Scores(tasks={"codes": CODES})) == pytest.approx(
        {"codes: category F1": 2 / 3, "codes: chapter F1": 1.0, "codes: recall@10 category": 0.5}
    )


def test_that_several_tasks_each_have_their_own_headline() -> None:
    found = task_measures(Scores(tasks={"entities": ENTITIES, "codes": CODES}))
    assert found["entities: strict F1"] == 0.5 and found["codes: strict F1"] == pytest.approx(0.4)


def test_that_the_table_has_a_line_for_each_measure_of_the_last_round() -> None:
    rows = [
        row("fedavg", 1, 0.1, **{"codes: recall@10 category": 0.2, "norm": 3.0}),
        *(row("fedavg", 2, 0.1, seed, **{"codes: recall@10 category": 0.4 + 0.1 * seed}) for seed in (1, 2)),
        row("base", 0, 0.1, kind="base"),
    ]
    assert task_table(rows, Setting(3), "validation") == (
        ("measure", "fedavg", "base"),
        [("codes: recall@10 category", "0.550 ± 0.071", "–")],
    )
    assert task_table(rows[-1:], Setting(3), "validation") is None


def test_that_the_round_of_the_highest_validation_score_is_told_and_that_a_last_one_may_still_rise() -> None:
    rows = [row("fedavg", number, f1) for number, f1 in enumerate((0.0, 0.2, 0.4, 0.3))]
    rows += [row("fed_medlora", number, f1) for number, f1 in enumerate((0.0, 0.2, 0.4, 0.5))]
    said = settled(rows, Setting(3))
    assert said == "Highest validation score after round: fedavg 2; fed_medlora 3 (the last: it may still rise)."
    assert settled([one for one in rows if one.round < 2], Setting(3)) is None


def test_that_a_site_has_its_counts_by_task_and_the_same_score_as_all_sites_have() -> None:
    scores = Scores(
        tasks={"entities": ENTITIES, "codes": CODES, "summaries": TaskScores(means={"x": Mean(sum=1, of=4)})}
    )
    site = SiteRow(site="North", notes=3, loss=1.0, **site_scores(scores))
    assert site.tasks == {"entities": Counts(tp=1, fp=1, fn=1), "codes": Counts(tp=1, fn=3)}
    assert site.counts == Counts(tp=2, fp=1, fn=4)
    assert site.f1 == pytest.approx(scores.headline) == pytest.approx((0.5 + 0.4 + 0.25) / 3)


def test_that_a_site_of_an_earlier_version_is_still_read() -> None:
    site = SiteRow.model_validate_json(
        '{"site": "North", "notes": 3, "loss": 1.0, "counts": {"tp": 1, "fp": 1, "fn": 1}}'
    )
    assert (site.tasks, site.f1) == ({}, 0.5)
    assert SiteRow(site="North", notes=3, loss=1.0).f1 is None
