# SPDX-License-Identifier: Apache-2.0
"""Events on a terminal: a live table with a row per site, and lines of what matters above it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from .. import events
from ..wording.lines import PHASES, line


@dataclass
class _Row:
    phase: str = "joining"
    round: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = None
    score: float | None = None
    began: float = field(default_factory=time.monotonic)
    note: str = ""
    quiet_since: datetime | None = None

    @property
    def remark(self) -> str:
        """The note, or for how long nothing has moved."""
        if self.quiet_since is None:
            return self.note
        return f"no progress for {(datetime.now(UTC) - self.quiet_since).total_seconds() / 60:.0f} min"

    @property
    def left(self) -> str:
        """Time left in this training, from the pace so far; empty before 3 steps."""
        if self.phase != "training" or self.step < 3:
            return ""
        seconds = (time.monotonic() - self.began) / self.step * (self.steps - self.step)
        return str(timedelta(seconds=round(seconds)))[2:]


class TableFace:
    """A live table: one row per site with phase, step, loss, time left. Safe from any thread."""

    def __init__(self, title: str, console: Console | None = None) -> None:
        self._console = console or Console()
        self._title = title
        self._rows: dict[str, _Row] = {}
        self._lock = threading.RLock()
        self._asking = False
        self._held: list[str] = []
        self._live = self._new_live()

    def emit(self, event: events.Event) -> None:
        with self._lock:
            site = getattr(event, "site", "")
            if site:
                self._update(self._rows.setdefault(site, _Row()), event)
            if _is_news(event) and (text := line(event)):
                self._print(f"[dim]{event.time:%H:%M:%S}[/] {escape(text)}")

    def say(self, text: str) -> None:
        self._print(escape(text))

    def _print(self, text: str) -> None:
        if self._asking:
            self._held.append(text)
        else:
            self._console.print(text, highlight=False)

    def _update(self, row: _Row, event: events.Event) -> None:
        match event:
            case events.PhaseChanged() | events.SiteSeen(phase=str()):
                row.phase, row.round, row.note = str(event.phase), event.round, ""
                row.step, row.began = 0, time.monotonic()
            case events.TrainingStep():
                row.step, row.steps, row.loss = event.step, event.steps, event.loss
            case events.Evaluated():
                row.loss, row.score = event.loss, event.scores.headline
            case events.GenerationProgress():
                row.note = f"{event.done} of {event.total} notes"
            case events.ConnectionChanged(state="lost"):
                row.note = f"no coordinator; next try in {event.retry_seconds:.0f} s"
            case events.ConnectionChanged():
                row.note = event.state
            case events.SiteSeen():
                row.note = event.state
            case events.SiteQuiet():
                row.quiet_since = event.since
            case _:
                pass

    def _table(self) -> Table:
        table = Table(title=escape(self._title), title_justify="left", box=None, pad_edge=False, header_style="dim")
        for column in ("Site", "Round", "Phase", "Step", "Loss", "F1", "Left", ""):
            table.add_column(column, justify="right" if column in ("Step", "Loss", "F1", "Left", "Round") else "left")
        with self._lock:
            for site, row in sorted(self._rows.items()):
                table.add_row(
                    escape(site),
                    str(row.round or ""),
                    PHASES.get(row.phase, row.phase),
                    f"{row.step} of {row.steps}" if row.phase == "training" and row.step else "",
                    "" if row.loss is None else f"{row.loss:.3f}",
                    "" if row.score is None else f"{row.score:.2f}",
                    row.left,
                    row.remark,
                )
        return table

    @contextmanager
    def shown(self) -> Iterator[None]:
        self._live.start()
        try:
            yield
        finally:
            self._live.stop()

    def _new_live(self) -> Live:
        return Live(get_renderable=self._table, console=self._console, refresh_per_second=4, transient=True)

    @contextmanager
    def question(self) -> Iterator[None]:
        """Hides the table during a question; lines that come meanwhile are printed afterwards."""
        with self._lock:
            self._asking = True
        self._live.stop()
        try:
            yield
        finally:
            with self._lock:
                self._asking, held, self._held = False, self._held, []
            for text in held:
                self._print(text)
            # A new one: the old one would overwrite as many lines as its table had.
            self._live = self._new_live()
            self._live.start(refresh=True)


def _is_news(event: events.Event) -> bool:
    """True for events that get a line above the table; its rows show the rest."""
    match event:
        case events.DecisionRecorded():
            return event.decision != "released"
        case events.PolicySaid():
            return True
        case events.Prepared() | events.RoundOpened() | events.RoundCombined() | events.UpdateRefused():
            return True
        case events.UpdateScreened():
            return True
        case events.RoundClosed():
            return event.reason != "answered"
        case (
            events.SiteQuiet()
            | events.Warned()
            | events.FederationPaused()
            | events.FederationResumed()
            | events.Failed()
        ):
            return True
    return False
