# SPDX-License-Identifier: Apache-2.0
"""This site's notes beside the federation's: from the plan's references, and nothing where no counts are shared."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmed_desktop.desktop.notes.shared import shared_view
from fedmed_desktop.federation.methods import AdaptiveFedLora
from tests.parts.scene import SPECIALTIES, Lakeview


def test_that_nothing_is_shown_where_no_counts_are_shared(tmp_path: Path) -> None:
    assert shared_view(Lakeview(tmp_path).close()) is None


def test_that_the_federations_shares_are_awaited_in_the_first_round(tmp_path: Path) -> None:
    site = Lakeview(tmp_path, earlier=0, method=AdaptiveFedLora(), histogram="specialties")
    assert shared_view(site.desk) is None
    site.trained(1)
    view = shared_view(site.close())
    assert view is not None and not view.pairs and "after the next round" in view.sentence


def test_that_shares_stand_beside_each_other_with_the_largest_differences_told(tmp_path: Path) -> None:
    view = shared_view(Lakeview(tmp_path, method=AdaptiveFedLora(), histogram="specialties").close())
    assert view is not None and view.title == "Training notes by specialty"
    first = view.pairs[0]
    total = sum(SPECIALTIES.values())
    assert (first.name, first.own, first.federation) == ("General medicine", 704 / total, 0.24)
    assert first.text == "30% / 24%" and view.pairs[-1].name == "2 others" and len(view.pairs) == 8
    assert sum(pair.own for pair in view.pairs) == pytest.approx(1.0)
    assert view.sentence == (
        "Cardiology is more frequent here: 26% against 18% in the federation. Dermatology is rarer here: 0% against 6%."
    )
    assert "round 1" in view.about
