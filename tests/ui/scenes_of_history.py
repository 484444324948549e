# SPDX-License-Identifier: Apache-2.0
"""The History page: nothing recorded, being read, whole, broken, searched, reviewed. What is recorded is invented."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from PySide6.QtWidgets import QDialog

from fedmed_desktop.desktop.frame.window import Window
from fedmed_desktop.desktop.history.files import Looked, look, mark
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.wording import sentence
from tests.parts.record import OPERATOR, write_record
from tests.parts.scene import NOW, phase
from tests.ui.scenes import Scene, once
from tests.ui.scenes_of_rounds import nobody, told

Act = Callable[[Window, Desk], QDialog | None]

RECORD = "/srv/lakeview/fedmed-desktop/sites/lakeview/audit.sqlite"
LONG = "Saint-Aurelian Regional Teaching Hospital, South Wing 4"


def _read(kind: str) -> Looked:
    with TemporaryDirectory() as name:
        folder = write_record(
            Path(name), rounds=40 if kind == "many" else 3, owner=LONG if kind == "long" else "Lakeview"
        )
        if kind == "reviewed":
            found = look(folder)
            assert found.view.last is not None
            row = found.view.rows[found.view.last.number - 5]
            with patch("fedmed_desktop.storage.audit.operating_user", return_value="rokafor"):
                return mark(folder, int(row["seq"]), str(row["hash"]), OPERATOR, "Monthly review", NOW)
        if kind == "broken":
            with closing(sqlite3.connect(folder / "audit.sqlite")) as file, file:
                file.execute("UPDATE entries SET reason = 'It was the night shift.' WHERE seq = 7")
        found = look(folder)
        if found.view.fault is None:
            return found
        fault = UserFacingError("audit.broken", path=RECORD, entry=7, reason="is not as it was written")
        return replace(found, view=replace(found.view, fault=fault))  # of a folder that is the same every time


def _shows(kind: str, then: Callable[[Window], QDialog | None] | None = None) -> Act:
    def act(window: Window, desk: Desk) -> QDialog | None:
        found = once(lambda: _read(kind), "record", kind)
        page = window.history
        page.name_of = lambda: OPERATOR
        page._record, page._folder = desk.record, page.folder_of()
        page.show_looked(found)
        return then(window) if then else None

    return act


def _search(text: str, shown: str = "all") -> Callable[[Window], QDialog | None]:
    def then(window: Window) -> QDialog | None:
        window.history.search.line.setText(text)
        window.history.search.kind.choose(shown)
        window.history.search.changed.emit()
        return None

    return then


def _chosen(window: Window) -> QDialog | None:
    window.history.table.selectRow(4)
    return None


def _busy(window: Window, desk: Desk) -> QDialog | None:
    del desk
    window.history._show_busy(window.history.tr("Reading the record…"))
    return None


def _unreadable(window: Window, desk: Desk) -> QDialog | None:
    page = window.history
    page._record, page._folder = desk.record, page.folder_of()
    error = UserFacingError("audit.unreadable", path=RECORD, reason="permission denied")
    page.show_looked(Looked(Path(RECORD).parent, problem=sentence(error.code, error.params)))
    return None


def _asks_mark(window: Window) -> QDialog | None:
    window.history.ask_mark()
    return window.history.dialog


def _checked(window: Window) -> QDialog | None:
    found = window.history._looked
    assert found is not None
    window.history._tell_checked(found)
    return None


def history() -> list[Scene]:
    idle = told(phase("sent"))
    return [
        Scene("history", "empty", nobody),
        Scene("history", "reading", nobody, _busy),
        Scene("history", "whole", idle, _shows("plain", _chosen)),
        Scene("history", "many", idle, _shows("many", _checked)),
        Scene("history", "broken", idle, _shows("broken")),
        Scene("history", "reviewed", idle, _shows("reviewed", _search("", "unreviewed"))),
        Scene("history", "trouble", idle, _shows("long", _search("", "trouble"))),
        Scene("history", "nothing-found", idle, _shows("plain", _search("nobody wrote this"))),
        Scene("history", "marking", idle, _shows("plain", _asks_mark)),
        Scene("history", "unreadable", idle, _unreadable),
    ]
