# SPDX-License-Identifier: Apache-2.0
"""Blind comparison: nobody sees which model is which before the answer, and the answer is kept without the note."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.trial.choices import BASE
from fedmed_desktop.desktop.trial.files import preferences_of, write_preference
from fedmed_desktop.desktop.trial.page import TrialPage
from fedmed_desktop.desktop.trial.preferences import Preference, tally, tally_words
from fedmed_desktop.desktop.work import tasks
from fedmed_desktop.desktop.work.news import ReadingShown
from tests.parts.ui import words
from tests.ui.test_trial import LEFT, RIGHT, TEXT, Scene, read

NOW = datetime(2026, 5, 4, 9, 48, tzinfo=UTC)


@pytest.fixture
def scene(qtbot: QtBot, tmp_path: Path) -> Scene:
    page = TrialPage()
    qtbot.addWidget(page)
    page.show()
    page.offer_model(tmp_path / "model", tmp_path / "adapter")
    page.beside.setChecked(True)
    page.blind.path, page.blind.clock = tmp_path / "kept" / "preferences.jsonl", lambda: NOW
    page.blind.path.parent.mkdir()
    page.blind.wanted.setChecked(True)
    made = Scene(page)
    made.come()
    return made


def ask(scene: Scene, *, swapped: bool) -> None:
    scene.page.blind.toss = lambda: swapped
    scene.ask()


def done(scene: Scene) -> None:
    scene.come(ReadingShown("right", "done", RIGHT), ReadingShown("left", "done", LEFT))


@pytest.mark.parametrize("swapped", [False, True])
def test_that_names_stay_hidden_until_the_answer_and_chance_places_them(
    qtbot: QtBot, scene: Scene, swapped: bool
) -> None:
    page, blind = scene.page, scene.page.blind
    ask(scene, swapped=swapped)
    wish = scene.wishes[0]
    assert (wish.right == BASE) is swapped and (wish.left == BASE) is not swapped
    assert not blind.answers["left"].isVisible()
    done(scene)
    seen = words(page)
    assert "Model A" in seen and "Model B" in seen and "Which one is better?" in seen
    assert "Base model" not in seen and "adapter" not in seen.replace("Choose adapter…", "").lower()
    assert page.sides["left"].box.isHidden() and page.head.save.isHidden(), "a saved file would name them"
    assert blind.path is not None
    blind.answers["right"].click()
    qtbot.waitUntil(lambda: not tasks._running)
    better = "Base model" if swapped else page.sides["right"].box.currentText()
    assert blind.sentence.text().startswith(f"You preferred {better}. So far {better} is ahead; too few comparisons")
    assert not page.sides["left"].box.isHidden() and page.head.save.isVisible()
    kept = json.loads(blind.path.read_text("utf-8"))
    assert kept["better"] == better and kept["time"].startswith("2026-05-04")
    assert not any(word in blind.path.read_text("utf-8") for word in TEXT.split()), "nothing of the note"
    assert blind.path.stat().st_mode & 0o077 == 0


def test_that_the_next_note_begins_with_each_model_on_its_own_side(scene: Scene) -> None:
    ask(scene, swapped=True)
    done(scene)
    scene.page.blind.answers[None].click()
    scene.page.note.edit.click()
    scene.page.note.set_text("Another note.")
    assert scene.page.sides["left"].box.key() == BASE and scene.page.sides["right"].box.key() != BASE


def test_that_the_base_models_empty_answer_does_not_name_it(scene: Scene) -> None:
    ask(scene, swapped=False)
    scene.come(ReadingShown("right", "done", RIGHT), ReadingShown("left", "done", read()))
    assert "has not learned" not in words(scene.page)


def test_that_a_comparison_that_was_not_read_to_its_end_is_none(scene: Scene, tmp_path: Path) -> None:
    ask(scene, swapped=True)
    scene.come(ReadingShown("right", "done", RIGHT), ReadingShown("left", "failed", sentence="No memory."))
    assert "this is no comparison" in scene.page.blind.sentence.text() and not scene.page.blind.hides
    assert not (tmp_path / "kept" / "preferences.jsonl").exists()


def test_that_without_the_wish_nothing_is_hidden_or_asked(scene: Scene) -> None:
    scene.page.blind.wanted.setChecked(False)
    ask(scene, swapped=True)
    done(scene)
    assert not scene.page.blind.hides and not scene.page.blind.answers["left"].isVisible()
    assert scene.wishes[0].left == BASE


def preference(better: str, first: str = "Federation", second: str = "Base model") -> Preference:
    return Preference(time=NOW, task="entities", first=first, second=second, better=better)


def test_that_preferences_add_up_whichever_stood_first_and_chance_is_named(tmp_path: Path) -> None:
    known = [preference("Federation")] * 3 + [preference("Federation", "Base model", "Federation")] * 5
    known += [preference("Base model"), preference(""), preference("Other", "Other", "Base model")]
    for one in known:
        write_preference(one, tmp_path / "kept.jsonl")
    with (tmp_path / "kept.jsonl").open("a") as file:
        file.write("not one\n")
    found = tally(preferences_of(tmp_path / "kept.jsonl"), "Federation", "Base model", "entities")
    assert found == (8, 1, 1) and found.is_sure
    assert tally_words(found, "Federation", "Base model") == (
        "So far Federation is better, fairly sure. Federation was better in 8 of 10, Base model in 1; "
        "no difference in 1."
    )
    assert not tally(known[:3], "Federation", "Base model", "entities").is_sure, "three of three is still chance"
    assert not tally(known, "Federation", "Base model", "codes").is_sure
