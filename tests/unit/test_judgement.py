# SPDX-License-Identifier: Apache-2.0
"""The plain verdict on scores, and the number that leads on Rounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fedmed_desktop.desktop.rounds.leading import leading
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.judgement import judged_values
from fedmed_desktop.desktop.work.news import DemoScored
from tests.parts.scene import Lakeview


@pytest.mark.parametrize(
    ("before", "after", "notes", "words", "tone"),
    [
        (0.56, 0.67, 330, "Better on your notes, fairly sure", "ok"),
        (0.56, 0.67, 60, "Perhaps better on your notes, not sure", "dim"),
        (0.56, 0.67, None, "Perhaps better on your notes, not sure", "dim"),
        (0.67, 0.56, 330, "Worse on your notes, fairly sure", "warn"),
        (0.67, 0.66, 330, "Perhaps worse on your notes, not sure", "warn"),
        (0.401, 0.404, 330, "No better on your notes", "warn"),
        (0.0, 0.0, 330, "It finds nothing on your notes yet", "warn"),
        (0.2, 0.004, 330, "It finds nothing on your notes yet", "warn"),
        (None, 0.43, 330, "43 of 100 found correctly on your notes", "dim"),
        (None, None, None, "Not scored on your notes", "dim"),
    ],
)
def test_that_the_verdict_says_what_the_numbers_say_and_how_sure(
    before: float | None, after: float | None, notes: int | None, words: str, tone: str
) -> None:
    found = judged_values(before, after, notes, "your notes")
    assert (found.words, found.tone) == (words, tone)


def test_that_the_sites_own_training_leads_until_the_final_adapter_is_scored(tmp_path: Path) -> None:
    site = Lakeview(tmp_path)
    assert leading(Desk()) is None
    site.trained()
    found = leading(site.desk)
    site.close()
    assert found is not None and found.words == "Better on your notes, fairly sure"
    assert found.text == "67 of 100 found correctly; 56 before. Measured on 330 of your notes in round 3."
    rows = {"Before the federation": {"All sites": 0.03}, "Federation": {"All sites": 0.038}}
    site.desk.fold([DemoScored({"entities": rows}, Path("report"), 1.0, notes=700)])
    found = leading(site.desk)
    assert found is not None and found.words == "Perhaps better on all sites' test notes, not sure"
    assert found.text == (
        "4 of 100 found correctly; 3 before. Measured on 700 of all sites' test notes, "
        "which were never used for training."
    )


def test_that_a_demonstrations_notes_are_nobodys_own(tmp_path: Path) -> None:
    site = Lakeview(tmp_path)
    site.trained()
    site.close()
    assert site.desk.session is not None
    site.desk.session = replace(site.desk.session, kind="demo")
    found = leading(site.desk)
    assert found is not None and "your notes" not in found.words + found.text
