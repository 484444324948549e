# SPDX-License-Identifier: Apache-2.0
"""Every page in every state, as a real window without engine and threads shows it: for tests, and for pictures.

with shown(scene, folder, (1280, 720)) as stage:
    stage.picture().save(...)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar, cast

from PySide6.QtCore import QCoreApplication, QEvent, QPoint, QRect, QSize
from PySide6.QtGui import QColor, QPainter, QPixmap
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from fedmed_desktop.desktop.frame.window import Window
from fedmed_desktop.desktop.rounds.status import status
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.wording import tr
from tests.parts.scene import NOW

Page = Literal["rounds", "join", "monitor", "approvals", "trial", "notes", "history", "settings", "welcome", "hosting"]
_MOST_TURNS: Final = 200


@dataclass(frozen=True)
class Scene:
    """`desk` makes what is known, in a folder of its own; `act` does what a person has done in the window since.

    A dialog that `act` returns stands over the window. `goes_on`: `act` changes what the desk is made of, so that each
    show needs one of its own.
    """

    page: Page
    state: str
    desk: Callable[[Path], Desk]
    act: Callable[[Window, Desk], QDialog | None] | None = None
    goes_on: bool = False

    @property
    def name(self) -> str:
        return f"{self.page}-{self.state}"


@dataclass(frozen=True)
class Stage:
    """A scene on the screen."""

    scene: Scene
    desk: Desk
    window: Window
    dialog: QDialog | None

    @property
    def front(self) -> QWidget:
        """What the person deals with now."""
        return self.dialog or self.window

    @property
    def state(self) -> str:
        return status(self.desk, NOW).state

    def picture(self) -> QPixmap:
        """The window; a dialog in the middle of it, as a window manager would put it."""
        found = self.window.grab()
        if self.dialog is None:
            return found
        over = self.dialog.grab()
        painter = QPainter(found)
        painter.fillRect(found.rect(), QColor(0, 0, 0, 70))
        place = QRect(QPoint(), over.size())
        place.moveCenter(found.rect().center())
        painter.drawPixmap(place.topLeft(), over)
        painter.setPen(QColor(0, 0, 0, 110))
        painter.drawRect(place)
        painter.end()
        return found


_Value = TypeVar("_Value")
_made: dict[tuple[object, ...], object] = {}


def once(make: Callable[[], _Value], *about: object) -> _Value:
    """What scenes show and nothing changes, made once in each language; `about` tells it from all others."""
    key = (tr("Method"), *about)
    if key not in _made:
        _made[key] = make()
    return cast(_Value, _made[key])


def settle(window: QWidget) -> None:
    """Processes events until nothing moves any more: grabbed at once, texts that wrap are still squashed."""
    last: list[tuple[int, QRect]] = []
    still = 0
    for _ in range(_MOST_TURNS):
        QCoreApplication.sendPostedEvents()
        QApplication.processEvents()
        now = [(id(w), w.geometry()) for w in window.findChildren(QWidget) if w.isVisible()]
        still = still + 1 if now == last else 0
        if still == 3:
            return
        last = now
        if still == 0:
            time.sleep(0.001)
    raise AssertionError("the window does not come to rest: a size changes at every turn")


@contextmanager
def shown(scene: Scene, folder: Path, size: tuple[int, int]) -> Iterator[Stage]:
    """Shows a scene; afterwards nothing of it is left."""
    desk = scene.desk(folder) if scene.goes_on else deepcopy(once(lambda: scene.desk(folder), scene.desk, folder))
    window = Window(folder, clock=lambda: NOW)
    window.resize(QSize(*size))
    if scene.page == "join":
        window.show_join()
    elif scene.page == "welcome":
        window.show_welcome()
    elif scene.page == "hosting":
        window.hosts.begin()
    else:
        window.go(scene.page)
    window.show()
    window.activateWindow()
    window.show_desk(desk, NOW)
    settle(window)
    dialog = None
    if scene.act:
        dialog = scene.act(window, desk)
        settle(window)
    window.show_desk(desk, NOW)
    settle(window)
    if dialog:
        settle(dialog)
    try:
        yield Stage(scene, desk, window, dialog)
    finally:
        if dialog:
            dialog.close()
            dialog.deleteLater()
        window.end()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        QApplication.processEvents()


def scenes() -> list[Scene]:
    """All of them, in the order of the navigation; names are unique."""
    from tests.ui.scenes_of_approvals import approvals
    from tests.ui.scenes_of_background import background
    from tests.ui.scenes_of_history import history
    from tests.ui.scenes_of_hosting import hosting
    from tests.ui.scenes_of_notes import notes
    from tests.ui.scenes_of_other_pages import dialogs, join, monitor, trial
    from tests.ui.scenes_of_rounds import rounds
    from tests.ui.scenes_of_settings import settings
    from tests.ui.scenes_of_welcome import welcome

    return [
        *welcome(),
        *rounds(),
        *join(),
        *monitor(),
        *approvals(),
        *trial(),
        *notes(),
        *history(),
        *settings(),
        *hosting(),
        *dialogs(),
        *background(),
    ]
