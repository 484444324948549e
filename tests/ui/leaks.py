# SPDX-License-Identifier: Apache-2.0
"""What a test of windows left behind: a running QThread aborts the process later, a timer acts in other tests.

Threads of Python are watched for every test, in tests/conftest.py.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import shiboken6
from PySide6.QtCore import QCoreApplication, QEvent, QObject, QThread, QTimer
from PySide6.QtWidgets import QApplication, QWidget

THREAD_GRACE_MS = 2_000
MANY = 50_000
QTS_OWN = {"QTipLabel"}  # Qt keeps the last tooltip's window for a while


class LeakWatch:
    """Compares what lives now with what lived when it was made. Use in the GUI thread, with a QApplication."""

    def __init__(self) -> None:
        _set_aside()
        self._before = {id(alive): alive for alive in _alive()}  # kept, so that no id is given out again

    def found(self) -> list[str]:
        """One line per leak; what was only asked to be deleted, or is garbage, is gone by then."""
        return [_describe(leak) for leak in self._new()]

    def clear(self) -> None:
        """End what leaked, so that one bad test does not spoil the next. Ask `found` first: it describes the living.

        Windows are hidden and kept, not deleted: to delete one whose owner has not let go of it (a chart's scene, a
        program that still runs) can kill the process, and with it the message about the leak.
        """
        for leak in self._new():
            if not shiboken6.isValid(leak):  # it went with one that was ended before it
                continue
            if isinstance(leak, QThread):
                leak.requestInterruption()
                leak.quit()
                leak.wait(THREAD_GRACE_MS)
            elif isinstance(leak, QTimer):
                leak.stop()
            else:
                for window in (leak, *(child for child in leak.findChildren(QWidget) if child.isWindow())):
                    window.hide()
                self._before[id(leak)] = leak
        _settle()

    def _new(self) -> list[QThread | QTimer | QWidget]:
        _settle()
        for generation in range(3):  # the last looks at all that torch has made: only where something is still there
            if all(id(alive) in self._before for alive in _alive()):
                break
            gc.collect(generation)
            _settle()
        return [alive for alive in _alive() if id(alive) not in self._before]


def _set_aside() -> None:
    """What torch and matplotlib have made stays for good: set aside, no later look goes through a million of it."""
    if len(gc.get_objects()) > MANY:
        gc.collect()
        gc.freeze()


def _settle() -> None:
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()


def _alive() -> Iterator[QThread | QTimer | QWidget]:
    for thing in _qt_objects():
        if (isinstance(thing, QThread) and thing.isRunning() and thing is not _main_thread()) or (
            isinstance(thing, QTimer) and thing.isActive()
        ):
            yield thing
    for widget in QApplication.topLevelWidgets():
        # One with a parent (a dialog, a combo box's list) comes and goes with that.
        if widget.parent() is None and widget.metaObject().className() not in QTS_OWN:
            yield widget


def _qt_objects() -> list[QObject]:
    """All that Python made or has seen: a child's wrapper lives as long as its parent."""
    # The type is asked, not isinstance: on a stranger that may run code. A set, since torch has made a million objects.
    watched = _with_subclasses(QThread) | _with_subclasses(QTimer)
    things = [thing for thing in gc.get_objects() if type(thing) in watched]
    return [thing for thing in things if shiboken6.isValid(thing)]


def _with_subclasses(kind: type) -> set[type]:
    return {kind}.union(*(_with_subclasses(sub) for sub in kind.__subclasses__()))


def _main_thread() -> QThread | None:
    application = QCoreApplication.instance()
    return application.thread() if application else None


def _describe(leak: QThread | QTimer | QWidget) -> str:
    name = f"{type(leak).__name__} {leak.objectName()!r}"
    if isinstance(leak, QThread):
        return f"{name} still runs: quit() it and wait()"
    if isinstance(leak, QTimer):
        return f"{name} of {type(leak.parent()).__name__} still fires every {leak.interval()} ms: stop() it"
    return f"{name} is still open: close it and give it to qtbot.addWidget"
