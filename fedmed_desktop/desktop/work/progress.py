# SPDX-License-Identifier: Apache-2.0
"""The work that this computer is doing: how far it is, how fast, and how long it will take."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from ... import events
from ...wording import amount, later, tr

# Before so many steps nobody knows how long it takes; the pace is that of the last ones (inferred).
STEPS_BEFORE_ETA = 20
PACE_OVER = 50

WORDS: dict[str, str] = {
    "downloading": later("Fetching the adapter"),
    "scoring_before": later("Scoring before training"),
    "training": later("Training"),
    "scoring_after": later("Scoring after training"),
    "measuring": later("Measuring what has changed"),
    "uploading": later("Sending the adapter"),
    "evaluating": later("Scoring the final adapter"),
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
        """Seconds at the pace of the last steps; None before there are enough, or where they have stopped coming."""
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

    @property
    def reached(self) -> str:
        """Words on how far it is, in what it is counted in: "step 812 of 1,240"; "" where nobody can say."""
        if not self.total:
            return ""
        if self.phase in ("scoring_before", "scoring_after", "evaluating"):
            return tr("note {done:,} of {total:,}").format(done=self.done, total=self.total)
        if self.phase == "training":
            return tr("step {done:,} of {total:,}").format(done=self.done, total=self.total)
        return tr("{done} of {total}").format(done=amount(self.done), total=amount(self.total))

    def line(self, now: datetime) -> str:
        """The text of the work strip, such as "Training · step 812 of 1,240 · about 4 min left"."""
        parts = [tr(WORDS[self.phase]) if self.busy else "", self.reached]
        if (left := self.seconds_left(now)) is not None:
            parts.append(tr("{time} left").format(time=duration(left)))
        return " · ".join(part for part in parts if part)


def duration(seconds: float) -> str:
    """Says about how long, in the largest unit that makes sense: nobody needs "3 min 41 s" of an estimate."""
    if seconds < 50:
        return tr("less than a minute")
    return tr("about {time}").format(time=_hours(max(1, round(seconds / 60))))


def elapsed(seconds: float) -> str:
    """Says how long something took, exactly enough to compare: "38 s", "41 min", "2 h 05 min"."""
    if seconds < 100:
        return tr("{seconds:.0f} s").format(seconds=seconds)
    return _hours(round(seconds / 60))


def _hours(minutes: int) -> str:
    said = tr("{minutes} min") if minutes < 60 else tr("{hours} h {rest:02d} min")
    return said.format(minutes=minutes, hours=minutes // 60, rest=minutes % 60)
