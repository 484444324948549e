# SPDX-License-Identifier: Apache-2.0
"""The first run: its four pages, empty, being looked at, filled in, and with something wrong."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QDialog

from fedmed_desktop.desktop.frame.window import Window
from fedmed_desktop.desktop.notes.files import Progress, Wish, look_through
from fedmed_desktop.desktop.welcome.steps import FirstRun, Step
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.errors import Size
from fedmed_desktop.resources import resource
from fedmed_desktop.site.findings import Finding
from tests.ui.scenes import Scene, once
from tests.ui.scenes_of_other_pages import INVITED, _near
from tests.ui.scenes_of_rounds import nobody

HERE = (
    Finding("gpu", "warning", "check.no_gpu"),
    Finding("memory", "ok", "check.memory_there", {"total": Size(16_500_000_000), "free": Size(11_200_000_000)}),
    Finding("training", "ok", "check.largest_billions", {"number": 3.0}),
    Finding("disk", "ok", "check.disk", {"free": Size(212_000_000_000), "path": "/srv/lakeview/fedmed-desktop"}),
)


def _at(step: Step, then: Callable[[Window], None] = lambda window: None) -> Callable[[Window, Desk], QDialog | None]:
    def act(window: Window, desk: Desk) -> QDialog | None:
        del desk
        page = window.show_welcome()
        page.computer.show_findings(HERE)
        page._turn(FirstRun(step))
        then(window)
        return None

    return act


def _looking(window: Window) -> None:
    window.show_welcome().computer.show_looking()


def _invited(window: Window) -> None:
    window.show_welcome().invitation.where.give(INVITED)


def _mistyped(window: Window) -> None:
    window.show_welcome().invitation.where.give(INVITED[:-3])


def _notes(window: Window) -> None:
    page = window.show_welcome().notes
    folder = str(_near(resource("demo_notes") / "Lakeview"))
    page.field.fill(folder)
    page.report.wish = Wish(folder)
    page.report.show_found(once(lambda: look_through(Wish(folder), Progress()), "first notes"))
    page.report.looked.emit()


def _no_notes(window: Window) -> None:
    page = window.show_welcome().notes
    page.field.fill("/nowhere/at/all")
    page.look("/nowhere/at/all")


def welcome() -> list[Scene]:
    return [
        Scene("welcome", "purpose", nobody, _at("purpose")),
        Scene("welcome", "looking", nobody, _at("computer", _looking)),
        Scene("welcome", "computer", nobody, _at("computer")),
        Scene("welcome", "join", nobody, _at("join")),
        Scene("welcome", "invited", nobody, _at("join", _invited)),
        Scene("welcome", "mistyped", nobody, _at("join", _mistyped)),
        Scene("welcome", "notes", nobody, _at("notes")),
        Scene("welcome", "notes-checked", nobody, _at("notes", _notes)),
        Scene("welcome", "notes-missing", nobody, _at("notes", _no_notes)),
    ]
