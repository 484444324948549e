# SPDX-License-Identifier: Apache-2.0
"""Monitor compares with an earlier federation of this computer: in plain words, and in grey behind the curves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from fedmed_desktop import events
from fedmed_desktop.desktop.monitor.comparing import Comparing
from fedmed_desktop.desktop.monitor.earlier import EarlierRun, compared
from fedmed_desktop.desktop.monitor.page import MonitorPage
from fedmed_desktop.desktop.work import tasks
from fedmed_desktop.desktop.work.curves import Curves
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.scores import Counts, Scores, TaskScores
from fedmed_desktop.site.earlier import MEASURED, earlier_federations, read_measured, read_record
from fedmed_desktop.storage.journal import Journal
from tests.parts import monitor as told
from tests.parts.scene import Lakeview
from tests.parts.told import told_as


def scores(found: float, kind: str = "drug") -> Scores:
    right = round(1000 * found)
    counts = Counts(tp=right, fp=1000 - right, fn=1000 - right)
    return Scores.of_entities(TaskScores(strict={kind: counts}, unified=counts))


def after(number: int, found: float, kind: str = "drug") -> events.Evaluated:
    return events.Evaluated(site="Lakeview", round=number, moment="after", loss=1.0, scores=scores(found, kind))


def curves(*found: events.Event) -> Curves:
    made = Curves()
    made.fold_many(found)
    return made


def earlier(*found: events.Event, notes: int = 1000) -> EarlierRun:
    return EarlierRun("Riverside", curves(*found), dict.fromkeys(range(1, 9), notes))


NOTES = dict.fromkeys(range(1, 9), 1000)


def test_that_both_are_compared_after_the_same_number_of_rounds() -> None:
    now = curves(after(1, 0.2), after(2, 0.43))
    found = compared(now, NOTES, earlier(after(1, 0.3), after(2, 0.38), after(3, 0.9)))
    assert found.words == "Better than Riverside after as many rounds (2): 43 of 100 found correctly, 38 then"
    assert (found.round, found.tone, found.rows) == (2, "ok", (("Drug", "38 → 43"),))


@pytest.mark.parametrize(
    ("now", "then", "notes", "words", "tone"),
    [
        (0.38, 0.43, 1000, "Worse than", "warn"),
        (0.43, 0.38, 100, "Perhaps better than", "dim"),
        (0.43, 0.38, 0, "Perhaps better than", "dim"),
        (0.43, 0.43, 1000, "As good as", "dim"),
        (0.0, 0.43, 1000, "Worse than", "warn"),
        (0.0, 0.0, 1000, "As good as", "dim"),
    ],
)
def test_that_chance_is_not_called_a_difference(now: float, then: float, notes: int, words: str, tone: str) -> None:
    found = compared(curves(after(1, now)), NOTES, earlier(after(1, then), notes=notes))
    assert found.words.startswith(words) and found.tone == tone


def test_that_what_cannot_be_compared_is_not() -> None:
    other = compared(curves(after(1, 0.4)), NOTES, earlier(after(1, 0.4, "problem")))
    assert "other tasks or types" in other.words and not other.rows
    later = compared(curves(after(1, 0.4)), NOTES, earlier(after(2, 0.4)))
    assert "Not yet comparable" in later.words and not later.rows


def trained(folder: Path) -> Lakeview:
    """A site whose own record knows the federation, as after joining."""
    site = Lakeview(folder)
    site.keep(site.trained())
    site.outbox.remember("spec", site.spec.model_dump_json())
    return site


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Path]:
    """Folders of this computer's sites: one that has taken part, one that never did, one that is no site's."""
    root = tmp_path / "sites"
    for name in ("lakeview", "never", "other"):
        (root / name).mkdir(parents=True)
    trained(root / "lakeview").close()
    yield root


def folder_of(sites: Path) -> Path:
    return next((sites / "lakeview").iterdir())


def test_that_only_folders_of_sites_that_trained_are_found(sites: Path) -> None:
    found = earlier_federations([*sites.iterdir(), folder_of(sites)])
    assert [(one.federation, one.rounds) for one in found] == [("Riverside federation", 3)]
    assert read_record(found[0].folder).entries and read_measured(found[0].folder) == ()
    with told_as("not a file or folder"):
        read_record(sites / "other")
    assert not list((sites / "other").iterdir()), "looking makes no files"


def test_that_a_folder_in_use_is_left_out(tmp_path: Path) -> None:
    site = trained(tmp_path)
    assert earlier_federations(tmp_path.iterdir()) == []
    site.close()
    assert len(earlier_federations(tmp_path.iterdir())) == 1


def test_that_the_earlier_curves_are_drawn_behind_and_can_be_taken_away(qtbot: QtBot, sites: Path) -> None:
    folder = folder_of(sites)
    journal = Journal(folder / MEASURED, lambda fault: None)
    for event in told.run(2, 40):
        if isinstance(event, events.TrainingStep | events.Evaluated):
            journal.append(event)
    journal.close()
    page = MonitorPage()
    qtbot.addWidget(page)
    desk = Desk()
    desk.curves.fold_many(told.run(3, 40))
    page.show_desk(desk)
    page.show()
    page.comparing.root = folder.parent
    page.comparing.ask()
    dialog = page.comparing.dialog
    assert dialog is not None
    qtbot.waitUntil(lambda: dialog.found.isVisible())
    assert dialog.found.currentText().startswith("Riverside federation, 3 rounds, ")
    dialog.compare.click()
    qtbot.waitUntil(lambda: page.charts.loss.data("earlier")[0].size == 80)
    page.show_desk(desk)
    assert "Riverside federation" in page.compared.text() and "earlier" in page.state()
    kept = page.state()
    dialog.stop.click()
    assert not page.charts.loss.data("earlier")[0].size and page.compared.isHidden()
    page.restore(kept)
    qtbot.waitUntil(lambda: page.comparing.run is not None)
    qtbot.waitUntil(lambda: not tasks._running)


def test_that_who_compares_with_none_is_not_shown_one_that_was_still_read(qtbot: QtBot, sites: Path) -> None:
    page = MonitorPage()
    qtbot.addWidget(page)
    comparing = page.comparing
    comparing.choose(folder_of(sites))
    comparing.choose(None)
    qtbot.waitUntil(lambda: not tasks._running)
    assert comparing.run is None and comparing.folder is None


def test_that_asking_again_does_not_lose_the_one_that_is_being_read(qtbot: QtBot, sites: Path) -> None:
    page = MonitorPage()
    qtbot.addWidget(page)
    page.comparing.choose(folder_of(sites))
    page.comparing.ask()
    assert page.comparing.dialog is not None
    page.comparing.dialog.reject()
    qtbot.waitUntil(lambda: page.comparing.run is not None)
    qtbot.waitUntil(lambda: not tasks._running)


def test_that_a_folder_that_cannot_be_read_is_said(qtbot: QtBot, tmp_path: Path) -> None:
    page = MonitorPage()
    qtbot.addWidget(page)
    comparing: Comparing = page.comparing
    with qtbot.waitSignal(comparing.failed):
        comparing.choose(tmp_path)
    assert comparing.folder is None and comparing.run is None
    qtbot.waitUntil(lambda: not tasks._running)
