# SPDX-License-Identifier: Apache-2.0
"""Hashes of plans and updates that earlier versions have signed: the numbers here were made by the version before
there were several tasks, so that ledgers of its time can still be verified.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedmed_desktop.federation import Plan, Update
from fedmed_desktop.federation.plan import TransferSettings
from fedmed_desktop.scores import Counts, Mean, Scores, TaskScores

SCORES = {
    "strict": {"drug": {"tp": 5, "fp": 1, "fn": 2}},
    "lenient": {"drug": {"tp": 6, "fp": 0, "fn": 1}},
    "unified": {"tp": 5, "fp": 1, "fn": 2},
}
TRAINED = {
    "round": 2,
    "parts": {"adapter": {"sha256": "a" * 64, "size": 1220}},
    "report": {
        "kind": "train", "notes": 3, "train_loss": 1e-05, "loss_after": 0.5, "histogram": {"drug": 7},
        "scores_before": {}, "scores_after": SCORES,
    },
}  # fmt: skip
EVALUATED = {
    "round": 2,
    "parts": {},
    "report": {"kind": "evaluate", "notes": 3, "loss_after": 0.5, "scores_after": SCORES},
}


@pytest.mark.parametrize(
    ("stored", "sha256", "content"),
    [
        (
            TRAINED,
            "f2460528a56e7eefdfac65136271d243b231c4737b5c83277fa9bd81cd039e90",
            "41f3890bc1677f92a69f2d2d45bc1725575586f636d121752e4a55f062c02371",
        ),
        (
            EVALUATED,
            "dd16571f1c7553e342a36ee8a272fde42bdc6a5c40fff99a175e8035b2875fc7",
            "7875daf12585b42ee17e5750593e39786d1849f54991cdf953b061293386458b",
        ),
    ],
)
def test_that_an_update_with_scores_of_one_task_has_the_hashes_that_were_signed(
    stored: dict[str, Any], sha256: str, content: str
) -> None:
    update = Update.model_validate_json(json.dumps(stored))
    assert (update.sha256, update.content_sha256) == (sha256, content)
    again = Update.model_validate_json(update.model_dump_json(), strict=True)
    assert again == update and again.content_sha256 == content


def test_that_a_plan_whose_update_travels_whole_has_the_hash_that_was_signed() -> None:
    plan = Plan.model_validate({"round": 2, "start": "b" * 64, "rank": 4, "training": {"steps": 4}, "seed": 11})
    assert plan.sha256 == "d29a51ec6557211435663ffd03edb11ebf4b018f358b33b1edfd9e0b5bc9a570"
    others = [plan.model_copy(update={"transfer": TransferSettings(dtype=one)}) for one in ("bfloat16", "int8", "int4")]
    whole = plan.model_copy(update={"transfer": TransferSettings(feedback=False)})
    assert len({one.sha256 for one in (plan, whole, *others)}) == 5


def test_that_a_plan_whose_update_travels_in_fewer_bits_has_the_hash_that_was_signed() -> None:
    """Before the common adapter could, too."""
    stored = {"round": 2, "start": "b" * 64, "rank": 4, "training": {"steps": 4}, "seed": 11}
    signed = {
        "80a11a88384b544cd218b05abe10df462ea12ed0b4636d6b0ef20971739c86be": {"dtype": "int4"},
        "5ab2e0f8e43489e6e8033869bd59f7f37042c340b654dec88a112a07afe658e3": {"feedback": False},
    }
    for sha256, transfer in signed.items():
        assert Plan.model_validate(stored | {"transfer": transfer}).sha256 == sha256
    names = {"sha256": "c" * 64, "start": "d" * 64, "adapter": "b" * 64}
    difference = names | {"size": 1, "whole": 2, "factors": ("A",)}
    down = Plan.model_validate(stored | {"transfer": {"dtype": "int4", "down": True}})
    with_one = Plan.model_validate(down.model_dump() | {"differences": (difference,)})
    assert len({down.sha256, with_one.sha256, *signed}) == 4


def test_that_whatever_else_is_scored_is_in_the_hash_that_a_person_decides_on() -> None:
    update = Update.model_validate_json(json.dumps(EVALUATED))
    entities = update.report.scores_after["entities"]
    codes = TaskScores(strict={"code": Counts(tp=1)})
    changed = [
        Scores(tasks={"entities": entities, "codes": codes}),
        Scores(tasks={"relations": entities}),
        Scores.of_entities(entities + TaskScores(means={"x": Mean(sum=0.5, of=1)})),
        Scores(),
    ]
    reports = [update.report.model_copy(update={"scores_after": scores}) for scores in changed]
    updates = [update, *(update.model_copy(update={"report": report}) for report in reports)]
    assert len({one.content_sha256 for one in updates}) == len({one.sha256 for one in updates}) == 5
