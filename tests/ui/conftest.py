# SPDX-License-Identifier: Apache-2.0
"""What every test of windows stands on: one QApplication, nothing left behind, and no dialog that blocks.

That Qt can start here at all is asked in tests/conftest.py, before any test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from PySide6.QtWidgets import QApplication, QColorDialog, QDialog, QFileDialog, QInputDialog, QMessageBox

from tests.ui.leaks import LeakWatch

BLOCKING = {
    QDialog: ("exec",),
    QMessageBox: ("exec", "question", "information", "warning", "critical", "about"),
    QFileDialog: ("getOpenFileName", "getOpenFileNames", "getSaveFileName", "getExistingDirectory"),
    QInputDialog: ("getText", "getInt", "getItem", "getMultiLineText"),
    QColorDialog: ("getColor",),
}


@pytest.fixture(autouse=True)
def _nothing_of_qt_left_behind(qapp: QApplication) -> Iterator[None]:
    qapp.setQuitOnLastWindowClosed(False)  # a test that closes its window goes on
    watch = LeakWatch()
    yield
    if leaks := watch.found():
        watch.clear()
        pytest.fail(f"the test left behind: {'; '.join(leaks)}")


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
