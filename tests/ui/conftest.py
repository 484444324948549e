# SPDX-License-Identifier: Apache-2.0
"""What every test of windows stands on: one QApplication, nothing left behind, and no dialog that blocks.

That Qt can start here at all is asked in tests/conftest.py, before any test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PySide6.QtWidgets import QApplication, QColorDialog, QDialog, QFileDialog, QInputDialog, QMessageBox
from pytestqt.qtbot import QtBot

from tests.parts import slots, views
from tests.ui.leaks import LeakWatch

if TYPE_CHECKING:  # the whole desktop, which most tests of a page or widget do without
    from fedmed_desktop.desktop.look.theme import Appearance
    from fedmed_desktop.desktop.work.sessions import Backend
    from tests.parts.ui import Desktop
    from tests.ui.hosting import Coordinator, Partner

BLOCKING = {
    QDialog: ("exec",),
    QMessageBox: ("exec", "question", "information", "warning", "critical", "about"),
    QFileDialog: ("getOpenFileName", "getOpenFileNames", "getSaveFileName", "getExistingDirectory"),
    QInputDialog: ("getText", "getInt", "getItem", "getMultiLineText"),
    QColorDialog: ("getColor",),
}


PATIENCE_MS = 20_000


@pytest.fixture(autouse=True, scope="session")
def _patience() -> Iterator[None]:
    """pytest-qt gives up after five seconds, which a busy machine may take for a step of a few milliseconds."""
    with pytest.MonkeyPatch.context() as patched:
        for wait in (QtBot.waitUntil, QtBot.waitSignal, QtBot.waitSignals):
            patched.setitem(wait.__kwdefaults__, "timeout", PATIENCE_MS)  # type: ignore[arg-type]
        yield


@pytest.fixture(autouse=True)
def _nothing_of_qt_left_behind(qapp: QApplication) -> Iterator[None]:
    qapp.setQuitOnLastWindowClosed(False)  # a test that closes its window goes on
    watch = LeakWatch()
    yield
    if leaks := watch.found():
        watch.clear()
        pytest.fail(f"the test left behind: {'; '.join(leaks)}")


@pytest.fixture(autouse=True, scope="session")
def _program_look(qapp: QApplication) -> None:
    """Every test has the program's look, whichever ran before it."""
    from fedmed_desktop.desktop.look.theme import Appearance

    Appearance(qapp, "light").end()


@pytest.fixture(autouse=True)
def _look_restored(qapp: QApplication, _program_look: None) -> Iterator[None]:
    """The look that a test leaves is the one that it found, also where the program itself chose another."""
    from fedmed_desktop.desktop.look.theme import Appearance, active, px

    before = (active().name, px(100))
    yield
    if (active().name, px(100)) != before:
        Appearance(qapp, before[0], before[1] / 100).end()


@pytest.fixture(autouse=True)
def _no_view_opens_a_file() -> Iterator[None]:
    """Whatever a test shows: views are values and pure functions; files are read beside the GUI thread."""
    yield
    found, views.WATCH.found = views.WATCH.found, []
    assert not found, "; ".join(found)


@pytest.fixture(autouse=True)
def _no_slot_takes_long() -> Iterator[None]:
    """The window stands still while a slot works: 50 ms is what a person does not notice.

    A slot that is slow is slow each time; a machine with other work may be so once. So the test is run up to three
    times (pyproject.toml), for this error alone.
    """
    slots.WATCH.begin()
    yield
    if slots.WATCH.found:
        raise slots.SlotsTooSlow("; ".join(slots.WATCH.found))


@pytest.fixture(autouse=True)
def _no_dialog_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a dialog stops the pump and, in a test, waits for ever for a click; the program's dialogs are open()ed."""
    for dialog, names in BLOCKING.items():
        for name in names:
            monkeypatch.setattr(dialog, name, _refuse(f"{dialog.__name__}.{name}"))


def _refuse(what: str) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError(f"{what} blocks: use open() and its signals")

    return refuse


@pytest.fixture
def look(qapp: QApplication) -> Iterator[Appearance]:
    """The program's own look, which a test may change."""
    from fedmed_desktop.desktop.look.theme import Appearance

    look = Appearance(qapp, "light")
    yield look
    look.end()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    from tests.parts.ui import SITE
    from tests.ui.hosting import write_notes

    return write_notes(tmp_path / "notes" / SITE)


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[Callable[[Path], Coordinator]]:
    """Makes coordinators of a specification, in a process of their own each; not started yet, killed at the end."""
    from tests.ui.hosting import Coordinator

    made: list[Coordinator] = []

    def make(spec: Path) -> Coordinator:
        made.append(Coordinator(tmp_path / f"coordinator-{len(made)}", spec))
        return made[-1]

    yield make
    for one in made:
        one.kill()


@pytest.fixture
def hosted(tmp_path: Path, tiny_model: Path, coordinator: Callable[[Path], Coordinator]) -> Callable[..., Coordinator]:
    """A federation of one site with the settings of parts.found, and its coordinator, started."""

    from tests.ui.hosting import found

    def start(**settings: float) -> Coordinator:
        host = coordinator(found(tmp_path / "federation", tiny_model, **settings))  # type: ignore[arg-type]
        host.start()
        return host

    return start


@pytest.fixture
def partner(tmp_path: Path, tiny_model: Path) -> Iterator[Callable[[Coordinator], Partner]]:
    """Another site of a federation, which sends without asking anybody."""
    from tests.ui.hosting import Partner

    started: list[Partner] = []

    def start(host: Coordinator) -> Partner:
        started.append(Partner(tmp_path / "partner", host.address, tiny_model))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def desktop(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Callable[..., Desktop]]:
    """Opens desktops, one after the other, on one folder; closed at the end. A fault that nobody looked at fails."""
    from tests.parts.ui import Desktop

    opened: list[Desktop] = []

    def open_(backend: Backend | None = None, folder: Path | None = None) -> Desktop:
        opened.append(Desktop(qtbot, qapp, folder or tmp_path / "program", backend))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()
    unseen = [fault for one in opened for fault in one.unseen_faults()]
    assert not unseen, unseen
