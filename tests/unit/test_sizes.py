# SPDX-License-Identifier: Apache-2.0
"""Sizes are told beside the whole model's, and a small one is not told as nothing."""

from __future__ import annotations

import pytest

from fedmed_desktop.cli.status import status_lines
from fedmed_desktop.wording.sizes import of_full_model, percent_of


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0.00 %"), (1, "< 0.01 %"), (140, "1.40 %"), (5, "0.05 %"), (20_000, "200.00 %")]
)
def test_that_a_share_is_rounded_but_never_to_nothing(count: int, words: str) -> None:
    assert percent_of(count, 10_000 if count != 1 else 10**6) == words


def test_that_nothing_is_said_where_the_model_is_not_known() -> None:
    assert of_full_model(5, None) == "" and of_full_model(5, 100) == ", 5.00 % of the full model"


def test_that_status_tells_both_ways_beside_the_model() -> None:
    status = {"name": "Sepsis", "phase": "open", "round": 1, "rounds": 3, "params": {}, "sites": {}, "last": None}
    moved = {"received": 22_000_000, "sent": 168_000_000, "full_model": 16_060_000_000}
    assert list(status_lines(status | {"traffic": moved}))[-1] == (
        "since the coordinator's start, all sites: received 22.0 MB, 0.14 % of the full model; "
        "sent 168.0 MB, 1.05 % of the full model"
    )
    assert len(list(status_lines(status))) == 1, "of an older coordinator"


@pytest.mark.parametrize(
    ("reason", "words"), [("quorum", "too few updates came; start"), ("host", "a host has paused")]
)
def test_that_status_says_why_a_federation_is_paused_and_what_lets_it_go_on(reason: str, words: str) -> None:
    status = {"name": "Sepsis", "phase": "paused", "round": 1, "rounds": 3, "params": {}, "sites": {}, "last": None}
    first, why = status_lines(status | {"reason": reason})
    assert first == "Sepsis: paused, round 1 of 3" and words in why and "--resume" in why


def test_that_status_names_no_deadline_of_a_federation_that_has_finished() -> None:
    status = {"name": "Sepsis", "phase": "open", "round": 3, "rounds": 3, "params": {}, "sites": {}, "last": None}
    status["deadlines"] = {"training": {"minutes": 60, "ends": None, "sites": []}}
    assert "  training: 60 min" in status_lines(status)
    assert list(status_lines(status | {"phase": "finished"})) == ["Sepsis: finished, round 3 of 3"]
