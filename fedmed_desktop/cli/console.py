# SPDX-License-Identifier: Apache-2.0
"""Events on a terminal: one line per event, or a live table with a row per site."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from .. import events
from ..errors import sentence

PHASES: dict[str, str] = {
    "joining": "joining",
    "waiting": "waiting for its turn",
    "downloading": "fetching the adapter",
    "scoring_before": "scoring before",
    "training": "training",
    "scoring_after": "scoring after",
    "measuring": "measuring",
    "approval": "needs approval",
    "uploading": "sending",
    "sent": "sent",
    "kept": "kept on site",
    "missed": "round closed without it",
    "evaluating": "final scoring",
    "paused": "paused",
    "finished": "finished",
}


def line(event: events.Event) -> str | None:
    """One plain line for a log; None for what would only fill it (steps, progress, chunks)."""
    match event:
        case events.ConnectionChanged(state="lost"):
            why = sentence(event.code or "", event.params)
            return f"{event.site}: {why} Next try in {event.retry_seconds:.0f} s."
        case events.ConnectionChanged():
            return f"{event.site}: {event.state} {event.address}"
        case events.PhaseChanged():
            return f"{event.site}: round {event.round}: {PHASES[event.phase]}"
        case events.Prepared():
            return (
                f"{event.site}: {event.notes:,} training notes with {_listed(event.entities)}; "
                f"{event.dropped} nested or discontinuous entities dropped; not known to the federation and ignored: "
                f"{_listed(event.ignored)}. {event.device} Threads: {event.threads}."
            )
        case events.TrainingStep() if event.step == event.steps or event.step % 25 == 0:
            return (
                f"{event.site}: round {event.round}: step {event.step} of {event.steps}, loss {event.loss:.3f}, "
                f"{event.tokens_per_second:,.0f} tokens/s"
            )
        case events.Evaluated():
            return (
                f"{event.site}: round {event.round}: {event.moment}: loss {event.loss:.3f}, "
                f"F1 {event.scores.f1_strict:.3f}"
            )
        case events.DecisionRecorded():
            because = f": {event.reason}" if event.reason else ""
            return f"{event.site}: round {event.round}: {event.decision} by {event.by}{because}"
        case events.ReceiptReceived():
            return f"{event.site}: round {event.round}: receipt for {event.update[:12]}"
        case events.UpdateRefused():
            return f"{event.site}: round {event.round}: refused: {sentence(event.code, event.params)}"
        case events.SiteSeen():
            return f"{event.site}: {PHASES[event.phase] if event.phase else event.state}"
        case events.RoundOpened():
            return f"round {event.round} opened for {', '.join(event.sites)}"
        case events.RoundClosed():
            return f"round {event.round} closed ({event.reason}) with {event.updates} updates"
        case events.RoundCombined():
            weights = ", ".join(f"{site} {weight:.2f}" for site, weight in sorted(event.weights.items()))
            return (
                f"round {event.round} combined: {event.adapter[:12]} (weights {weights}; residual {event.residual:.4f})"
            )
        case events.FederationPaused():
            return f"round {event.round} paused: {event.reason}. Start again with --resume to ask the sites once more."
        case events.FederationFinished():
            return f"{event.site or 'federation'}: finished with {event.adapter[:12]}"
        case events.Failed():
            return f"{event.site}: round {event.round}: {sentence(event.code, event.params)}"
        case _:
            return None


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"


class LineFace:
    """Prints lines with the UTC time; safe from any thread. For logs and pipes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False

    def emit(self, event: events.Event) -> None:
        if self._closed or not (text := line(event)):
            return
        with self._lock:
            try:
                print(f"{event.time:%Y-%m-%dT%H:%M:%SZ} {text}", flush=True)
            except BrokenPipeError:
                # Whoever read our lines (`| head`) has gone; a federation does not end for that.
                self._closed = True

    @contextmanager
    def shown(self) -> Iterator[None]:
        yield

    @contextmanager
    def question(self) -> Iterator[None]:
        yield


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
                row.loss, row.score = event.loss, event.scores.f1_strict
            case events.GenerationProgress():
                row.note = f"{event.done} of {event.total} notes"
            case events.ConnectionChanged(state="lost"):
                row.note = f"no coordinator; next try in {event.retry_seconds:.0f} s"
            case events.ConnectionChanged():
                row.note = event.state
            case events.SiteSeen():
                row.note = event.state
            case _:
                pass

    def _table(self) -> Table:
        table = Table(title=self._title, title_justify="left", box=None, pad_edge=False, header_style="dim")
        for column in ("Site", "Round", "Phase", "Step", "Loss", "F1", "Left", ""):
            table.add_column(column, justify="right" if column in ("Step", "Loss", "F1", "Left", "Round") else "left")
        with self._lock:
            for site, row in sorted(self._rows.items()):
                table.add_row(
                    site,
                    str(row.round or ""),
                    PHASES.get(row.phase, row.phase),
                    f"{row.step} of {row.steps}" if row.phase == "training" and row.step else "",
                    "" if row.loss is None else f"{row.loss:.3f}",
                    "" if row.score is None else f"{row.score:.2f}",
                    row.left,
                    row.note,
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
        """The table stands aside while somebody is asked something, and what happens meanwhile is printed after."""
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
            # A new one: the old one would draw over as many lines as its table had.
            self._live = self._new_live()
            self._live.start(refresh=True)


def _is_news(event: events.Event) -> bool:
    """What stays readable above the table; the rest is seen in its rows."""
    if isinstance(event, events.DecisionRecorded):
        return event.decision != "released"
    return isinstance(
        event,
        events.Prepared
        | events.RoundOpened
        | events.RoundCombined
        | events.UpdateRefused
        | events.FederationPaused
        | events.Failed,
    )


Face = LineFace | TableFace


def face_for(title: str) -> Face:
    """The live table where a person looks at a terminal, plain lines elsewhere."""
    console = Console()
    return TableFace(title, console) if console.is_terminal else LineFace()
