# SPDX-License-Identifier: Apache-2.0
"""Every page in every state, at 100 and at 200 % text: nothing is cut off, everything has a name, keys reach it all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QObject, QPoint, QRect, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDialog,
    QLabel,
    QMainWindow,
    QPushButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from fedmed_desktop.desktop.look.theme import Appearance
from fedmed_desktop.desktop.rounds.status import status
from fedmed_desktop.desktop.widgets import Column, ElidedLabel, Label, Sentence
from tests.parts.desks import STATES
from tests.parts.scene import NOW
from tests.ui.clipping import clipped, cut, outside, overlaps, seen, told
from tests.ui.scenes import Stage, scenes, settle, shown

SCENES = scenes()
SIZE = (1280, 720)
LEAST_COLORS = 12  # of an empty window there are fewer


@pytest.fixture(scope="module", params=[1.0, pytest.param(2.0, marks=pytest.mark.slow)], ids=["100", "200"])
def scale(request: pytest.FixtureRequest, qapp: QApplication) -> Iterator[float]:
    look = Appearance(qapp, "light", request.param)
    yield request.param
    look.set_text_scale(1.0)
    look.end()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For all scenes, which then write each adapter once."""
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(params=SCENES, ids=[scene.name for scene in SCENES])
def stage(request: pytest.FixtureRequest, scale: float, qtbot: QtBot, folder: Path) -> Iterator[Stage]:
    astray = AstrayWindows()
    QApplication.instance().installEventFilter(astray)  # type: ignore[union-attr]
    with shown(request.param, folder, SIZE) as made:
        yield made
    assert astray.found == [], "shown before they had their place: each flashes as a window of its own"


class AstrayWindows(QObject):
    """Parts of a window that were shown as windows of their own for a moment."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def eventFilter(self, about: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Show and isinstance(about, QWidget):
            is_plain = about.windowType() == Qt.WindowType.Window and not isinstance(about, QMainWindow | QDialog)
            if about.isWindow() and is_plain:
                self.found.append(told(about))
        return False


def focusable(front: QWidget) -> list[QWidget]:
    """What Tab stops at. Of buttons that exclude each other, as radio buttons do, it stops at one."""
    found = [w for w in seen(front) if w.isEnabled() and w.focusPolicy() & Qt.FocusPolicy.TabFocus]
    return [w for w in found if w.focusProxy() is None]


def test_that_nothing_is_cut_off_or_scrolls_sideways_and_all_has_a_name_and_is_reached_by_tab(stage: Stage) -> None:
    """One test for each scene, since to show it takes longest."""
    front = stage.front
    assert clipped(front) == []
    stops = focusable(front)
    assert [told(widget) for widget in stops if not name_of(widget)] == [], "without an accessible name"
    walk = walked(front)
    missed = [widget for widget in stops if not reached(widget, walk)]
    assert [told(widget) for widget in missed] == [], "Tab does not come there"
    assert len(colors(stage)) >= LEAST_COLORS, "an empty picture"


def name_of(widget: QWidget) -> str:
    """As a screen reader has it: a button's words are its name."""
    return widget.accessibleName() or (widget.text() if isinstance(widget, QAbstractButton) else "")


def walked(front: QWidget) -> list[QWidget]:
    """Where Tab stops, once around; raises AssertionError where it does not come round.

    It may stay in a text as long as there is another link in it.
    """
    front.activateWindow()
    QTest.qWaitForWindowActive(front)
    if QApplication.focusWidget() is None:
        QTest.keyClick(front, Qt.Key.Key_Tab)
    stops: list[QWidget] = []
    for _ in range(300):
        now = QApplication.focusWidget()
        assert now is not None, "the focus is lost"
        if now in stops[:-1]:
            assert now is stops[0], f"Tab is trapped before {told(now)}"
            return stops
        if stops[-1:] != [now]:
            stops.append(now)
        if len(stops) == 1 and focusable(front) == [now]:
            return stops
        QTest.keyClick(now, Qt.Key.Key_Tab)
    raise AssertionError(f"Tab does not leave {told(stops[-1])}")


def reached(widget: QWidget, stops: list[QWidget]) -> bool:
    if widget in stops:
        return True
    group = widget.group() if isinstance(widget, QAbstractButton) else None
    return group is not None and any(button in stops for button in group.buttons())


def colors(stage: Stage) -> set[int]:
    image = stage.picture().toImage().scaled(200, 200)  # not smoothed: no colour comes that is not there
    return set(image.convertToFormat(QImage.Format.Format_RGB32).constBits().cast("I"))


def test_that_every_state_has_a_scene(folder: Path) -> None:
    on_rounds = [scene for scene in SCENES if scene.page == "rounds" and scene.act is None]
    found = {status(scene.desk(folder), NOW).state for scene in on_rounds}
    assert set(STATES) - found == set(), "a state without a picture"


def test_that_scenes_can_be_told_apart_by_name() -> None:
    names = [scene.name for scene in SCENES]
    assert len(set(names)) == len(names)
    assert {scene.page for scene in SCENES} == {
        "rounds",
        "join",
        "monitor",
        "approvals",
        "trial",
        "notes",
        "history",
        "settings",
        "welcome",
        "hosting",
    }


@pytest.mark.parametrize("name", ["rounds-training", "monitor-live", "approvals-pending"])
def test_that_a_scene_is_the_same_every_time(scale: float, folder: Path, name: str) -> None:
    scene = next(scene for scene in SCENES if scene.name == name)
    pictures = []
    for _ in range(2):
        with shown(scene, folder, SIZE) as stage:
            pictures.append(stage.picture().toImage())
    assert pictures[0] == pictures[1]


def test_that_the_checks_see_words_that_are_cut_off(scale: float, qtbot: QtBot) -> None:
    page = Column()
    qtbot.addWidget(page)
    for label in (
        Sentence("These words are far too many for one line. " * 4),
        Label("These are"),
        ElidedLabel("So are"),
    ):
        page.add(label)
    page.resize(500, 600)
    page.show()
    settle(page)
    labels = [label for label in seen(page, QLabel) if isinstance(label, QLabel)]
    assert [label for label in labels if cut(label) or outside(label)] == []
    for label in labels:
        label.setFixedSize(30, 12)
    settle(page)
    assert [label for label in labels if not cut(label)] == []
    child = QWidget(labels[1])
    child.setGeometry(20, 0, 20, 5)
    assert outside(child) and not outside(page)


def test_that_the_checks_see_a_button_that_lies_over_another(qtbot: QtBot) -> None:
    page = QWidget()
    qtbot.addWidget(page)
    over, under = QPushButton("Close", page), QPushButton("Copy", page)
    size = over.sizeHint().expandedTo(under.sizeHint())
    over.setGeometry(QRect(QPoint(), size))
    under.setGeometry(QRect(QPoint(size.width() - 10, 0), size))
    page.resize(3 * size.width(), 2 * size.height())
    page.show()
    assert overlaps(over) and overlaps(under)
    under.move(size.width(), 0)
    assert clipped(page) == []
