# SPDX-License-Identifier: Apache-2.0
"""Header and work strip around the pages: what they say on every page, and the next step that the strip offers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.frame import window as window_module
from fedmed_desktop.desktop.frame.header import Header
from fedmed_desktop.desktop.frame.strip import WorkStrip
from fedmed_desktop.desktop.frame.window import Window
from fedmed_desktop.desktop.look.theme import Appearance
from fedmed_desktop.desktop.rounds import page as rounds_page
from fedmed_desktop.desktop.rounds.status import Status, status
from fedmed_desktop.desktop.widgets import ElidedLabel, NavigationButton, Progress
from fedmed_desktop.desktop.widgets.buttons import HelpLink
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import Paused
from tests.parts.scene import NOW
from tests.ui.scenes import Stage, scenes, settle, shown

SCENES = {scene.name: scene for scene in scenes()}


@pytest.fixture
def look(qapp: QApplication) -> Iterator[Appearance]:
    look = Appearance(qapp, "light")
    yield look
    look.set_text_scale(1.0)
    look.end()


@pytest.fixture
def show(look: Appearance, tmp_path: Path, request: pytest.FixtureRequest, qtbot: QtBot) -> Iterator[Stage]:
    with shown(SCENES[request.param], tmp_path, (1280, 720)) as stage:
        yield stage


def part(stage: Stage, kind: type[QWidget]) -> QWidget:
    found = stage.window.findChild(kind)
    assert found is not None
    return found


def words(widget: QWidget) -> list[str]:
    """As a person reads them, from left to right."""
    found = [w for w in widget.findChildren(QWidget) if isinstance(w, QLabel | QPushButton) and w.isVisible()]
    found.sort(key=lambda w: w.mapTo(widget, w.rect().topLeft()).x())
    return [w.text() for w in found if w.text()]


@pytest.mark.parametrize("show", ["rounds-demo-waits"], indirect=True)
def test_that_a_demonstration_is_named_once_and_counts_as_a_test(show: Stage) -> None:
    assert words(part(show, Header)) == ["Demonstration", "Test", "Connected", "this computer"]


@pytest.mark.parametrize(
    ("show", "far"),
    [
        ("rounds-paused", "step 812 of 1,240"),
        ("rounds-scoring-before", "note 41 of 330"),
        ("rounds-downloading", "8.1 MB of 20.2 MB"),
    ],
    indirect=["show"],
)
def test_that_the_strip_says_of_paused_work_how_far_it_is_in_what_it_is_counted(show: Stage, far: str) -> None:
    show.desk.fold([Paused(True)])
    show.window.show_desk(show.desk, NOW)
    assert f"Paused · {far}" in words(part(show, WorkStrip))


@pytest.mark.parametrize("show", ["rounds-training"], indirect=True)
def test_that_a_long_address_is_shortened_and_the_state_is_not(show: Stage) -> None:
    """In a narrow window; the tool tip of what is shortened has it whole."""
    assert show.desk.connection is not None
    address = f"wss://{'coordinator-of-the-federation.' * 2}hospital-network.example.org:8765"
    show.desk.connection = show.desk.connection.model_copy(update={"address": address})
    show.window.resize(900, 720)
    show.window.show_desk(show.desk, NOW)
    settle(show.window)
    shortened = [one.text() for one in part(show, Header).findChildren(ElidedLabel) if one.toolTip()]
    assert address.removeprefix("wss://") in shortened and "Connected" not in shortened


@pytest.mark.parametrize("show", ["rounds-training"], indirect=True)
def test_that_a_line_on_the_sites_that_wraps_begins_beside_how_many_they_are(show: Stage) -> None:
    show.window.resize(700, 720)
    settle(show.window)
    sites = show.window.rounds.session.sites
    assert sites._words.height() > sites._how_many.height() and sites._words.y() == sites._how_many.y()


@pytest.mark.parametrize("show", ["rounds-preparing"], indirect=True)
def test_that_the_federations_name_is_known_as_soon_as_it_is_joined(show: Stage) -> None:
    assert words(part(show, Header))[:2] == ["Riverside federation", "Test"]


@pytest.mark.parametrize("show", ["rounds-not-asked"], indirect=True)
def test_that_the_method_leads_to_its_page_of_the_guide(show: Stage, qtbot: QtBot) -> None:
    method = show.window.rounds.session.method
    assert method.text() == "About Fed-MedLoRA"
    qtbot.mouseClick(method, Qt.MouseButton.LeftButton)
    guide = show.window.guide()
    assert guide.isVisible() and guide.page == "method-fed_medlora"
    guide.close()


@pytest.mark.parametrize("show", ["monitor-live", "approvals-pending", "notes-own"], indirect=True)
def test_that_every_question_mark_opens_the_guide_where_its_words_are_explained(show: Stage, qtbot: QtBot) -> None:
    guide = show.window.guide()
    marks = [mark for mark in show.window.findChildren(HelpLink) if mark.isVisible()]
    assert marks
    for mark in marks:
        guide.close()
        mark.setFocus()
        qtbot.keyClick(mark, Qt.Key.Key_Return)
        page, _, heading = mark.place.partition("#")
        assert guide.isVisible() and guide.page == page
        assert bool(heading) == (guide.text.verticalScrollBar().value() > 0), mark.place
    guide.close()


@pytest.mark.parametrize("show", ["rounds-training"], indirect=True)
def test_that_the_strip_tells_all_of_the_work_also_at_200_percent(show: Stage, look: Appearance) -> None:
    strip = part(show, WorkStrip)
    told = ["Training · step 812 of 1,240 · about 4 min left", "9.8 GB memory", "Pause"]
    assert words(strip) == told
    look.set_text_scale(2.0)
    settle(show.window)
    line = strip.findChild(ElidedLabel)
    assert line is not None and line.toolTip() == "" and words(strip) == told
    bar = strip.findChild(Progress)
    assert bar is not None and bar.isVisible() and bar.width() >= bar.minimumSizeHint().width()


@pytest.mark.parametrize("show", ["rounds-paused"], indirect=True)
def test_that_a_pause_says_where_the_work_stands(show: Stage) -> None:
    assert words(part(show, WorkStrip)) == ["Paused · step 812 of 1,240", "Continue"]


@pytest.mark.parametrize("show", ["approvals-receipts"], indirect=True)
def test_that_a_strip_without_work_says_where_the_round_stands(show: Stage) -> None:
    state, where = words(part(show, WorkStrip))
    assert state == "Your part is done" and where.startswith("Round 3 of 10 · closes ")


@pytest.mark.parametrize("show", ["rounds-closing"], indirect=True)
def test_that_nothing_can_be_paused_while_the_program_closes(show: Stage) -> None:
    assert words(part(show, WorkStrip))[0] == "Closing" and "Pause" not in words(part(show, WorkStrip))


@pytest.mark.parametrize("show", ["monitor-approval-waits"], indirect=True)
def test_that_the_strip_offers_the_next_step_where_the_page_does_not(show: Stage, qtbot: QtBot) -> None:
    strip = part(show, WorkStrip)
    button = next(b for b in strip.findChildren(QPushButton) if b.text() == "Review and decide")
    with qtbot.waitSignal(show.window.rounds.action_requested) as asked:
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert asked.args == ["review"]
    for page in ("rounds", "approvals"):
        show.window.go(page)
        assert not button.isVisible(), "the page has it itself"


@pytest.mark.parametrize("show", ["rounds-sent"], indirect=True)
def test_that_pages_do_not_jump_when_pause_comes_and_goes(show: Stage) -> None:
    strip = part(show, WorkStrip)
    pause = next(b for b in strip.findChildren(QPushButton) if b.text() == "Pause")
    before = strip.height()
    assert not pause.isVisible()
    pause.show()
    settle(show.window)
    assert strip.height() == before


@pytest.mark.parametrize("show", ["rounds-sent"], indirect=True)
def test_that_the_focus_goes_along_with_pages_that_are_turned_by_keys(show: Stage) -> None:
    buttons = show.window.findChildren(NavigationButton)
    buttons[0].setFocus()
    show.window.go("monitor")
    assert show.window.focusWidget() is buttons[1]


@pytest.mark.parametrize("show", ["join-empty"], indirect=True)
def test_that_the_join_form_begins_at_its_first_empty_field(show: Stage) -> None:
    join = show.window.join
    assert show.window.focusWidget() is join.fields["invitation"].line
    join.prefill("ws://127.0.0.1:8765")
    show.window.show_join()
    assert show.window.focusWidget() is join.fields["name"].line


def test_that_tab_goes_from_the_list_of_pages_to_the_page_and_then_to_the_strip(
    look: Appearance, tmp_path: Path, qtbot: QtBot
) -> None:
    window = Window(tmp_path)
    qtbot.addWidget(window)
    made = (window.trial, window.join, window.notes, window.approvals, window.hosts.page)  # in no order
    chain = [window.nextInFocusChain()]
    while chain[-1] is not window:
        chain.append(chain[-1].nextInFocusChain())
    stops = [one for one in chain if one.focusPolicy() != Qt.FocusPolicy.NoFocus]
    first, last = stops.index(window._navigation.button(0)), stops.index(window.strip._pause)
    for page in (window.rounds, *made):
        own = [at for at, one in enumerate(stops) if page.isAncestorOf(one)]
        assert own and first < own[0] and own[-1] < last
    window.end()


def test_that_a_page_is_made_when_somebody_turns_to_it_and_not_before(
    look: Appearance, tmp_path: Path, qtbot: QtBot
) -> None:
    window = Window(tmp_path, clock=lambda: NOW)
    qtbot.addWidget(window)
    window.show()
    window.show_desk(Desk(), NOW)
    pages = window.pages
    late = {name: getattr(pages, name) for name in ("approvals", "trial", "notes", "history", "settings", "join")}
    assert {name for name, page in late.items() if page.made} == set()
    assert window.guide.made is None and pages.welcome.made is None
    told: list[QWidget] = []
    pages.notes.then(told.append)
    window.go("notes")
    assert {name for name, page in late.items() if page.made} == {"notes"}
    assert pages.currentWidget() is window.notes and told == [window.notes]
    pages.notes.then(told.append)
    assert told == 2 * [window.notes], "one that comes later is told at once"
    window.show_join()
    assert {name for name, page in late.items() if page.made} == {"notes", "join"}


@pytest.mark.parametrize("show", ["rounds-preparing"], indirect=True)
def test_that_the_status_is_found_once_for_all_that_show_it(show: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times a second: in the title, in the strip, on Rounds, and for notifications."""
    asked: list[object] = []

    def counted(desk: Desk, now: datetime) -> Status:
        asked.append(desk)
        return status(desk, now)

    for module in (window_module, rounds_page):
        monkeypatch.setattr(module, "status", counted)
    assert show.window.show_desk(show.desk, NOW) == status(show.desk, NOW)
    assert len(asked) == 1
