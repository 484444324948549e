# SPDX-License-Identifier: Apache-2.0
"""A watch over the desktop's slots: the window stands still while one of them works, so none may work for long.

`@Slot` of PySide6 is replaced before any module of the desktop is imported; every slot then takes its own time. What
counts is the time that the GUI thread itself computed, which a busy machine hardly lengthens, without Python's search
for garbage, of which a test process has far more than the program. A slot that waits (for a lock, a disk, a network)
computes nothing: it is found by the clock on the wall, with a bound that a busy machine seldom reaches.
"""

from __future__ import annotations

import functools
import gc
import inspect
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from PySide6 import QtCore

MOST_MS: Final = 50.0
# Processor time of the sum in `slowness` on the idle server core that the bounds were set on. A slower machine, or a
# core that shares its units with others' work, may take as much longer here as it does for everything.
USUAL_SUM_MS: Final = 8.5
MOST_WAIT_MS: Final = 10_000.0  # on the wall
# What a page's first need may take, whoever turns to it: the Monitor, with three charts, is made in 65 ms, and in
# 190 ms by a test that turns to it before the charts' library has come, which the program loads beside the GUI thread.
MOST_FIRST_MS: Final = 250.0
MAKES_A_PAGE: Final = frozenset(
    {
        "desktop.frame.window.Window.prepare",
        "desktop.frame.window.Window._turn_to",
        "desktop.frame.late.Late.__call__",
    }
)
# What a person asks for and sees come as a whole: another size of text or other colours, for which all that there is
# takes its style anew (0.4 s a window, and a test may have two), the five charts of an experiment, which take 0.2 s,
# the window of the guide, and a pasted text, of which Qt lays out two megabytes in 0.2 s. And the pictures of a run
# without a person, who would have to wait.
MOST_WHOLE_MS: Final = 1500.0
COMES_AS_A_WHOLE: Final = frozenset(
    {
        "desktop.look.theme.Appearance.set_text_scale",
        "desktop.look.theme.Appearance.choose",
        "desktop.experiment.page.ExperimentPage._on_read",
        "desktop.experiment.page.ExperimentPage._on_setting",
        "desktop.guide.window.GuideDialog.open_at",
        "desktop.trial.note_panel.NoteCard._changed",
        "desktop.trial.page.TrialPage.read_note",  # which refuses it, and shows the field in another colour
        "desktop.offscreen.Recorder._look",
    }
)

Function = Callable[..., Any]


class SlotsTooSlow(AssertionError):
    """Raised after a test of which slots of the GUI thread took too long, with their names."""


class SlotWatch:
    """Names slots that took too long, with the milliseconds, as they end."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.count = 0
        self._turned: set[tuple[object, ...]] = set()
        self._collecting = 0.0  # when Python began to look for garbage in the GUI thread
        self._left_out = 0.0  # seconds so far that no slot is blamed for
        gc.callbacks.append(self._on_garbage)

    def _on_garbage(self, phase: str, _info: dict[str, int]) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if phase == "start":
            self._collecting = time.thread_time()
        else:
            self._left_out += time.thread_time() - self._collecting

    def begin(self) -> None:
        """A test begins: nothing is found yet, and all its pages have still to be made."""
        self.found.clear()
        self._turned.clear()

    def call(self, function: Function, *arguments: object) -> object:
        if threading.current_thread() is not threading.main_thread():
            return function(*arguments)
        self.count += 1
        began, computed, left_out = time.perf_counter(), time.thread_time(), self._left_out
        try:
            return function(*arguments)
        finally:
            used = 1000 * (time.thread_time() - computed - (self._left_out - left_out))
            took = 1000 * (time.perf_counter() - began)
            self._judge(function, arguments, used, took)

    def _judge(self, function: Function, arguments: tuple[object, ...], computed: float, took: float) -> None:
        name = f"{function.__module__.removeprefix('fedmed_desktop.')}.{function.__qualname__}"
        most = self._most(name, arguments)
        used = computed if computed <= most else computed / slowness()
        if used > most:
            self.found.append(f"{name} computed for {used:.0f} ms")
        elif most > MOST_MS:
            self._left_out += computed / 1000  # of the slot that called it, too
        elif took > MOST_WAIT_MS:
            self.found.append(f"{name} took {took:.0f} ms, of which it computed for {used:.0f}")

    def _most(self, name: str, arguments: tuple[object, ...]) -> float:
        """Milliseconds that a slot may compute for, this time."""
        if name in MAKES_A_PAGE and (turned := (id(arguments[0]), *arguments[1:])) not in self._turned:
            self._turned.add(turned)
            return MOST_FIRST_MS
        return MOST_WHOLE_MS if name in COMES_AS_A_WHOLE else MOST_MS


def slowness() -> float:
    """How many times as long as usual this machine computes at the moment, at least 1."""
    began = time.thread_time()
    sum(number % 7 for number in range(300_000))
    return max(1.0, 1000 * (time.thread_time() - began) / USUAL_SUM_MS)


WATCH: Final = SlotWatch()
_slot: Final = QtCore.Slot


def watch_slots() -> None:
    """From now on modules that are imported have slots that are watched. Before any of the desktop is imported."""
    QtCore.Slot = _watched_slot  # type: ignore[assignment,misc]
    from fedmed_desktop.desktop.frame.late import Late

    Late.__call__ = timed(Late.__call__)  # type: ignore[method-assign]


def _watched_slot(*types: object, **options: Any) -> Callable[[Function], Function]:
    """In the place of `Slot`."""
    register = _slot(*types, **options)

    def decorate(function: Function) -> Function:
        return register(timed(function))  # type: ignore[no-any-return]

    return decorate


def timed(function: Function) -> Function:
    """The function under the watch, with as many arguments: by their number Qt tells how many a slot wants."""
    names = list(inspect.signature(function).parameters)
    source = f"lambda {', '.join(names)}: _watched({', '.join(['_slot_itself', *names])})"
    made = eval(source, {"_watched": WATCH.call, "_slot_itself": function})  # names that no slot gives an argument
    made.__defaults__ = function.__defaults__
    return functools.wraps(function)(made)
