# SPDX-License-Identifier: Apache-2.0
"""Progress of a lab: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ..clinical import Unread
from ..events import Event, TrainingStep
from ..storage.results import CellResult, ResultRow
from ..wording.remarks import unread_sentence
from .cells import Cell


class LabProgress:
    """Progress of `total` cells, `done` of them by earlier runs. Used on the lab's own thread.

    The time left follows the pace of this run's cells: it is coarse if methods differ.
    """

    def __init__(self, title: str, rounds: int, total: int, done: int = 0, console: Console | None = None) -> None:
        self._title, self._rounds = title, rounds
        self._total, self._before, self._done = total, done, done
        self._console = console or Console()
        self._began = time.monotonic()
        self._live = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[what]}"), console=self._console
        )
        self._task = self._live.add_task(title, total=total, completed=done, what="")
        self._where = ""

    @contextmanager
    def shown(self) -> Iterator[None]:
        if self._before:
            self._line(f"{self._title}: {self._before} of {self._total} cells are there already")
        if not self._console.is_terminal:
            yield
            return
        with self._live:
            yield

    def unread(self, corpus: str, unread: Unread) -> None:
        """Names what nothing reads of notes of one's own."""
        if said := unread_sentence(unread.keys, unread.files):
            self._line(f"{corpus}: {said}")

    def cell(self, cell: Cell) -> None:
        """A cell begins."""
        self._where = f"{self._done + 1}/{self._total} {cell.id}"
        self._show("")
        if not self._console.is_terminal:
            self._line(f"cell {self._where}{self._left()}")

    def row(self, row: ResultRow) -> None:
        """A round of the cell is done."""
        score = "" if row.f1 is None else f", F1 {row.f1:.3f}"
        self._show(f"round {row.round}/{self._rounds}, loss {row.loss:.4f}{score}")

    def event(self, event: Event) -> None:
        """Shows a site's event on a terminal, every ten steps."""
        if isinstance(event, TrainingStep) and (event.step % 10 == 0 or event.step == event.steps):
            self._show(f"round {event.round}/{self._rounds}, {event.site}: step {event.step} of {event.steps}")

    def finished(self, result: CellResult) -> None:
        """The cell is on disk."""
        self._done += 1
        self._live.update(self._task, completed=self._done)
        self._line(f"{self._done}/{self._total} {_outcome(result)}{self._left()}")

    def _show(self, what: str) -> None:
        words = ", ".join(part for part in (self._where, what) if part)
        self._live.update(self._task, what=words + self._left())

    def _line(self, text: str) -> None:
        # The live display's own console prints above it.
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _left(self) -> str:
        ran = self._done - self._before
        if ran == 0 or self._done == self._total:
            return ""
        seconds = (time.monotonic() - self._began) / ran * (self._total - self._done)
        return f", about {timedelta(seconds=round(seconds))} left"


def _outcome(result: CellResult) -> str:
    if result.failure is not None:
        return f"{result.cell}: {result.failure.sentence}"
    last = next((row for row in reversed(result.rows) if row.split == "validation"), None)
    if last is None:
        return result.cell
    score = "" if last.f1 is None else f", F1 {last.f1:.3f}"
    return f"{result.cell}: loss {last.loss:.4f}{score}, {last.bytes / 1e6:.1f} MB"
