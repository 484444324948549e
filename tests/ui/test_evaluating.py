# SPDX-License-Identifier: Apache-2.0
"""Evaluation on the Notes page: by a real model on the working thread, stopped, shown, and saved."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.app import Workshop
from fedmed_desktop.desktop.notes.evaluation_view import evaluation_view
from fedmed_desktop.desktop.notes.files import Wish
from fedmed_desktop.desktop.notes.page import NotesPage
from fedmed_desktop.desktop.trial.choices import evaluation_for
from fedmed_desktop.desktop.work import tasks
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.engine import Engine
from fedmed_desktop.desktop.work.news import EvaluationShown, Item
from fedmed_desktop.desktop.work.requests import EvaluationWanted
from fedmed_desktop.federation import Control, Stopped
from tests.ui.scenes_of_notes import evaluated, write_troubled

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """The first notes of which none is wrong."""
    return write_troubled(tmp_path, rows=60).rename(tmp_path / "all.jsonl")


def wanted(path: Path, model: Path, lines: int = 3) -> EvaluationWanted:
    kept = path.with_name("few.jsonl")
    kept.write_text("\n".join(path.read_text("utf-8").splitlines()[:lines]) + "\n", "utf-8")
    return evaluation_for(kept, None, Desk(), model, lambda sha256: None, {})


def test_that_a_real_model_is_evaluated_and_its_predictions_saved(few: Path, tiny_model: Path, tmp_path: Path) -> None:
    told: list[Item] = []
    workshop = Workshop()
    workshop.evaluate(wanted(few, tiny_model), told.append, Control())
    shown = [item for item in told if isinstance(item, EvaluationShown)]
    assert [item.state for item in shown][:2] == ["loading", "running"] and shown[-1].state == "done"
    assert shown[-1].notes == 3 and {row.task for row in shown[-1].rows} == {"entities"}
    workshop.evaluating.save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "scores.json").read_text("utf-8"))["scores"].keys() == {"base"}
    assert (tmp_path / "out" / "base.jsonl").exists()


def test_that_it_stops_before_the_next_word(few: Path, tiny_model: Path) -> None:
    control = Control()
    control.stop()
    with pytest.raises(Stopped):
        Workshop().evaluate(wanted(few, tiny_model), lambda item: None, control)


def test_that_the_engine_tells_the_end_of_it(qtbot: QtBot, few: Path, tiny_model: Path) -> None:
    """Once stopped before it began, once because there is nothing to score, once to its end."""
    desk = Desk()
    engine = Engine(Workshop(), desk.fold)
    engine.start()

    def ends(state: str) -> None:
        qtbot.waitUntil(lambda: desk.evaluation is not None and desk.evaluation.state == state, timeout=30_000)

    engine.evaluate(wanted(few, tiny_model))
    engine.stop_evaluating()
    ends("stopped")
    engine.evaluate(replace(wanted(few, tiny_model), notes=few.with_name("nowhere.jsonl")))
    ends("failed")
    assert desk.evaluation is not None and "nowhere.jsonl" in desk.evaluation.sentence
    engine.evaluate(wanted(few, tiny_model, lines=1))
    ends("done")
    with qtbot.waitSignal(engine.closed):
        engine.close()


def test_that_one_that_waits_is_stopped_at_once_and_does_not_end_the_next(
    qtbot: QtBot, few: Path, tiny_model: Path
) -> None:
    desk, busy, states = Desk(), threading.Event(), list[str]()

    def take(items: Sequence[Item]) -> None:
        desk.fold(items)
        states.extend(item.state for item in items if isinstance(item, EvaluationShown))

    engine = Engine(Workshop(), take)
    engine.start()
    engine._training.submit(busy.wait, 30)
    try:
        engine.evaluate(wanted(few, tiny_model))
        engine.stop_evaluating()
        engine._pump.empty()
        assert states[-1] == "stopped"
        engine.evaluate(wanted(few, tiny_model))
        engine.evaluate(wanted(few, tiny_model, lines=1))
        engine._pump.empty()
        states.clear()
        busy.set()
        qtbot.waitUntil(lambda: "done" in states, timeout=30_000)
        assert "stopped" not in states
        assert desk.evaluation is not None and desk.evaluation.source == few.with_name("few.jsonl")
    finally:
        busy.set()
        with qtbot.waitSignal(engine.closed):
            engine.close()


@pytest.fixture
def page(qtbot: QtBot, few: Path) -> Iterator[NotesPage]:
    made = NotesPage()
    qtbot.addWidget(made)
    made.resize(1100, 700)
    made.show()
    made.look_at(str(few))
    qtbot.waitUntil(lambda: not made.report.busy)
    yield made
    qtbot.waitUntil(lambda: not tasks._running)


def test_that_the_page_asks_for_the_notes_that_it_shows(qtbot: QtBot, page: NotesPage, few: Path) -> None:
    with qtbot.waitSignal(page.evaluation_requested) as asked:
        qtbot.mouseClick(page.evaluation.run, LEFT)
    assert asked.args == [Wish(str(few))]


def test_that_the_verdict_stands_first_and_can_be_saved(qtbot: QtBot, page: NotesPage, tmp_path: Path) -> None:
    saved: list[Path] = []
    page.evaluation.save = saved.append
    desk = Desk()
    desk.fold([EvaluationShown("running", 3, 12)])
    page.show_desk(desk)
    assert page.evaluation.stop.isVisible() and not page.evaluation.run.isVisible()
    with qtbot.waitSignal(page.evaluation.stop_wanted):
        qtbot.mouseClick(page.evaluation.stop, LEFT)
    desk.fold([evaluated()])
    page.show_desk(desk)
    card = page.evaluation
    assert card.verdict.text() == "Federation, round 2 is better than the base model: Entities F1, Modifiers F1."
    assert card.model.rowCount() == 7 and card.keep.isVisible()
    card.save_into(str(tmp_path / "out"))
    qtbot.waitUntil(card.said.isVisible)
    assert saved == [tmp_path / "out"] and "keep them at your site" in card.said.text()


def test_that_scores_of_other_notes_than_those_shown_say_so(
    qtbot: QtBot, page: NotesPage, few: Path, tmp_path: Path
) -> None:
    desk = Desk()
    desk.fold([replace(evaluated(), source=few)])
    page.show_desk(desk)
    assert page.evaluation.of_others.isHidden()
    (tmp_path / "other").mkdir()
    other = write_troubled(tmp_path / "other")
    page.look_at(str(other))
    qtbot.waitUntil(lambda: not page.report.busy)
    page.show_desk(desk)
    assert page.evaluation.of_others.isVisible() and str(few) in page.evaluation.of_others.text()
    page.look_at(str(few))
    qtbot.waitUntil(lambda: not page.report.busy)
    assert page.evaluation.of_others.isHidden()


def test_that_a_difference_that_may_be_chance_is_not_called_one() -> None:
    rows = tuple(replace(row, is_clear=False) for row in evaluated().rows)
    view = evaluation_view(replace(evaluated(), rows=rows))
    assert view.verdict.startswith("No difference beyond chance") and view.tone == "warn"
    assert all("not clear" in row[3] for row in view.rows)
    worse = tuple(replace(row, difference=-0.2, is_clear=row.task == "relations") for row in rows)
    view = evaluation_view(replace(evaluated(), rows=worse))
    assert view.verdict == "Federation, round 2 is worse than the base model: Modifiers F1." and view.tone == "bad"
