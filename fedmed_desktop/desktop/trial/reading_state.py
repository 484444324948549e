# SPDX-License-Identifier: Apache-2.0
"""Progress of each side of Try it, in words: waiting, loading, reading, done, stopped, failed. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from ...clinical import Reading
from ..work.desk import Desk
from ..work.news import ReadingShown, Side
from .choices import BASE

State = Literal["waiting", "next", "loading", "reading", "done", "stopped", "failed"]
SIDES: Final[tuple[Side, ...]] = ("left", "right")
_ENDED: Final = ("done", "stopped", "failed")


@dataclass
class Run:
    """One press of Read: the note, the types, and which model each side used; folded from the desk's readings.

    `before` are the desk's readings at that moment: an earlier run's, never this one's. `stopping`: the person has
    asked to stop. `failures`: why a side failed.
    """

    text: str
    types: tuple[str, ...]
    keys: Mapping[Side, str]
    before: Mapping[Side, ReadingShown]
    stopping: bool = False
    states: dict[Side, State] = field(default_factory=dict)
    readings: dict[Side, Reading] = field(default_factory=dict)
    failures: dict[Side, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.states = dict.fromkeys(self.keys, "waiting")

    def fold(self, desk: Desk) -> None:
        """Takes what has come since. What has ended stays so: one side's failure does not undo the other's result."""
        for side in self.keys:
            shown = desk.readings.get(side)
            if shown is None or shown is self.before.get(side) or self.states[side] in _ENDED:
                continue
            if shown.state == "stopped" and not self.stopping:
                continue  # an earlier run ends only now, since the training thread was busy
            if shown.reading is not None:
                if shown.reading.length != len(self.text):
                    continue
                self.readings[side] = shown.reading
            self.states[side] = shown.state
            if shown.state == "failed":
                self.failures[side] = shown.sentence
        self._order()

    def _order(self) -> None:
        """The right side is read after the left one: until then it waits for that, not for training."""
        if self.states.get("right") in ("waiting", "next"):
            self.states["right"] = "waiting" if self.states["left"] == "waiting" else "next"

    def stop(self) -> None:
        """The person has asked to. What has not begun ends at once: it would be told only when its turn has come."""
        self.stopping = True
        for side, state in self.states.items():
            if state in ("waiting", "next"):
                self.states[side] = "stopped"

    @property
    def is_over(self) -> bool:
        return all(state in _ENDED for state in self.states.values())

    @property
    def is_waiting(self) -> bool:
        """Nothing has begun yet."""
        return all(state in ("waiting", "next") for state in self.states.values())

    @property
    def reached(self) -> int:
        """Characters that every side has dealt with; 0 where there is nothing to compare."""
        if len(self.keys) < 2 or len(self.readings) < 2:
            return 0
        return min(reading.characters for reading in self.readings.values())


@dataclass(frozen=True)
class Shown:
    """A side's state as it is shown: an icon with a word, a sentence, and the share that is read (None: no bar)."""

    word: str
    icon: str
    tone: str
    text: str = ""
    share: float | None = None


def shown(run: Run, side: Side) -> Shown:
    state = run.states[side]
    reading = run.readings.get(side)
    match state:
        case "waiting":
            return Shown("Waiting", "clock", "dim")
        case "next":
            return Shown("Next", "clock", "dim", "Read after the other side.")
        case "loading":
            return Shown("Loading", "clock", "accent", "The model is being loaded.")
        case "reading":
            share = reading.characters / reading.length if reading and reading.length else None
            return Shown(_reading(reading), "try", "accent", _found(reading, "so far"), share)
        case "done":
            return Shown("Done", "check", "ok", _found(reading, "") + _why_nothing(run, side, reading))
        case "stopped":
            return Shown("Stopped", "stop", "warn", _found(reading, "before you stopped it") if reading else "")
        case "failed":
            text = run.failures.get(side) or "This side could not be read."
            return Shown("Failed", "warning", "bad", text)


def _reading(reading: Reading | None) -> str:
    if reading is None or reading.windows < 2:
        return "Reading"
    return f"Reading part {min(reading.window + 1, reading.windows)} of {reading.windows}"


def _why_nothing(run: Run, side: Side, reading: Reading | None) -> str:
    """The base model alone finds nothing as a rule: without this, that looks as if reading were broken."""
    if run.keys[side] != BASE or reading is None or reading.spans:
        return ""
    why = " The base model has not learned these types."
    return why if len(run.keys) > 1 else f"{why} Run the demonstration or choose an adapter."


def _found(reading: Reading | None, when: str) -> str:
    count = len(reading.spans) if reading else 0
    what = "No entities found" if not count else "1 entity found" if count == 1 else f"{count:,} entities found"
    sentence = f"{what} {when}".strip() + "."
    if reading and reading.cut_short:
        sentence += " An answer was longer than allowed and was cut off: some may be missing."
    return sentence


def numbers(reading: Reading | None) -> str:
    """ "86 tokens · 46 tokens per second · first token after 0.4 s"; "" before the first token."""
    if reading is None or reading.first_token_seconds is None:
        return ""
    parts = [f"{reading.tokens:,} token{'' if reading.tokens == 1 else 's'}"]
    if reading.tokens_per_second is not None:
        speed = reading.tokens_per_second
        parts.append(f"{speed:,.0f} tokens per second" if speed >= 10 else f"{speed:.1f} tokens per second")
    parts.append(f"first token after {_seconds(reading.first_token_seconds)}")
    if reading.state != "reading":
        parts.append(f"{_seconds(reading.seconds)} in all")
    return " · ".join(parts)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"


def waits_for(desk: Desk, now: datetime) -> str:
    """Why a note is not read at once, as a sentence with the step that goes first; "" where nothing is known to."""
    if not desk.computing.busy:
        return ""
    site = desk.computing.site
    whose = f" ({site})" if site and desk.session and site != desk.session.site else ""
    return (
        "Training runs on this computer; this note is read when it is this one's turn. "
        f"Now{whose}: {desk.computing.line(now)}."
    )
