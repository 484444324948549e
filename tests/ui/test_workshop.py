# SPDX-License-Identifier: Apache-2.0
"""Which base model the desktop works with: the one that its files hold now, once in memory."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.app import Workshop, lend
from fedmed_desktop.desktop.frame.window import Window
from fedmed_desktop.site.preflight import Asked, Sizes
from tests.parts.model import copied, replace_weights


def test_that_a_model_replaced_in_place_is_loaded_anew(tiny_model: Path, tmp_path: Path) -> None:
    model, workshop = copied(tiny_model, tmp_path / "model"), Workshop()
    before = workshop._base(model, 1).get()
    assert workshop._base(model).get() is before
    replace_weights(model)
    after = workshop._base(model).get()
    first, second = (next(base.model.parameters()) for base in (before, after))
    assert not first.equal(second)


def test_that_what_training_takes_is_counted_for_the_federations_batch(tiny_model: Path, tmp_path: Path) -> None:
    little, much = (
        Workshop().weighed(Asked(model=tiny_model, sizes=Sizes(batch=batch, tokens=tokens))).takes
        for batch, tokens in ((1, 64), (4, 800))
    )
    assert little and much and little.batch < much.batch and much.least < much.batch
    assert Workshop().weighed(Asked(model=tmp_path)).takes is None, "no model: another finding tells"


def test_that_one_base_is_kept_and_one_in_use_is_shared(tiny_model: Path, tmp_path: Path) -> None:
    one, other, workshop = copied(tiny_model, tmp_path / "a"), copied(tiny_model, tmp_path / "b"), Workshop()
    alive = weakref.ref(workshop._base(one))
    used = workshop._base(other)
    gc.collect()
    assert alive() is None, "another model takes its place"
    workshop._base(one)
    assert workshop._base(other) is used, "a session still works with it: it is not loaded twice"


def test_that_the_number_of_threads_counts_also_where_the_model_is_loaded(tiny_model: Path) -> None:
    workshop = Workshop()
    base = workshop._base(tiny_model, 1)
    assert base.get().threads == 1
    assert workshop._base(tiny_model, 2).get().threads == 2 and workshop._base(tiny_model).get().threads == 2


def test_that_each_page_has_what_it_asks_of_the_workshop_once_it_is_made(qtbot: QtBot, tmp_path: Path) -> None:
    window, workshop = Window(tmp_path), Workshop()
    qtbot.addWidget(window)
    lend(workshop, window)
    join, welcome, notes, settings = window.join, window.pages.welcome(), window.notes, window.settings
    assert {join.findings.ask_torch, welcome.ask_torch, settings.findings.ask_torch} == {workshop.weighed}
    assert {page.report.tokens_of for page in (join, welcome.notes, notes)} == {workshop.tokens_of}
    assert notes.evaluation.save == workshop.evaluating.save
