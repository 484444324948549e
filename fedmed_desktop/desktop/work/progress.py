# SPDX-License-Identifier: Apache-2.0
"""The work that this computer is doing: how far it is, how fast, and how long it will take."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from ... import events

# Before so many steps nobody knows how long it takes; the pace is that of the last ones (inferred).
STEPS_BEFORE_ETA = 20
PACE_OVER = 50

WORDS: dict[str, str] = {
    "downloading": "Fetching the adapter",
    "scoring_before": "Scoring before training",
    "training": "Training",
    "scoring_after": "Scoring after training",
    "measuring": "Measuring what has changed",
    "uploading": "Sending the adapter",
    "evaluating": "Scoring the final adapter",
}


@dataclass
class Work:
    """One site's present piece of work, folded from its events. `done` of `total` are steps, notes or bytes."""

    site: str = ""
    round: int = 0
    phase: str = ""
    done: int = 0
    total: int = 0
    tokens_per_second: float = 0.0
    learning_rate: float = 0.0
    memory_mib: float = 0.0
    _times: deque[tuple[int, datetime]] = field(default_factory=lambda: deque(maxlen=PACE_OVER))

    def fold(self, event: events.Event) -> None:
        match event:
            case events.PhaseChanged():
                self.site, self.round, self.phase = event.site, event.round, event.phase
                self.done = self.total = 0
                self._times.clear()
            case events.TrainingStep():
                self.site, self.round, self.phase = event.site, event.round, "training"
                self.tokens_per_second, self.learning_rate = event.tokens_per_second, event.learning_rate
                self.memory_mib = event.memory_mib
                self._at(event.step, event.steps, event.time)
            case events.GenerationProgress(done=done, total=total) | events.TransferProgress(bytes=done, total=total):
                self._at(done, total, event.time)
            case _:
                pass

    def _at(self, done: int, total: int, time: datetime) -> None:
        self.done, self.total = done, total
        self._times.append((done, time))

    def rest(self) -> None:
        """The work stands still: the time until it goes on says nothing about its pace."""
        self._times.clear()

    @property
    def busy(self) -> bool:
        return self.phase in WORDS

    @property
    def share(self) -> float | None:
        """Done, in [0, 1]; None where nobody can say."""
        return min(1.0, self.done / self.total) if self.total else None

    def seconds_left(self, now: datetime) -> float | None:
        """At the pace of the last steps; None before there are enough of them, or where they have stopped coming."""
        if self.phase != "training" or len(self._times) < STEPS_BEFORE_ETA:
            return None
        (first, began), (last, ended) = self._times[0], self._times[-1]
        seconds = (ended - began).total_seconds()
        if last <= first or seconds <= 0:
            return None
        pace = seconds / (last - first)
        waited = max(0.0, (now - ended).total_seconds())
        if waited > max(30.0, 10 * pace):
            return None
        return max(0.0, pace * (self.total - last) - waited)

    def line(self, now: datetime) -> str:
        """The text of the work strip, such as "Training · step 812 of 1,240 · about 4 min left"."""
        parts = [WORDS.get(self.phase, "")]
        if self.total and self.phase in ("scoring_before", "scoring_after", "evaluating"):
            parts.append(f"note {self.done:,} of {self.total:,}")
        elif self.total and self.phase == "training":
            parts.append(f"step {self.done:,} of {self.total:,}")
        elif self.total:
            parts.append(f"{megabytes(self.done)} of {megabytes(self.total)}")
        if (left := self.seconds_left(now)) is not None:
            parts.append(f"{duration(left)} left")
        return " · ".join(part for part in parts if part)


def duration(seconds: float) -> str:
    """About how long, in the largest unit that makes sense: nobody needs "3 min 41 s" of an estimate."""
    if seconds < 50:
        return "less than a minute"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"about {max(1, minutes)} min"
    return f"about {minutes // 60} h {minutes % 60:02d} min"


def elapsed(seconds: float) -> str:
    """How long something took, exactly enough to compare: "38 s", "41 min", "2 h 05 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def megabytes(count: float) -> str:
    """Bytes as a person reads them; megabytes are 10^6 bytes, as on every other screen."""
    if count < 1_000_000:
        return f"{count / 1000:,.0f} kB"
    return f"{count / 1e6:,.1f} MB"
