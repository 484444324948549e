# SPDX-License-Identifier: Apache-2.0
"""Progress of each side of Try it, in words: waiting, loading, reading, done, stopped, failed. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from ...clinical import Reading
from ...scores import TaskName
from ...wording import together, tr, written
from ..work.desk import Desk
from ..work.news import Answered, ReadingShown, Side
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
    task: TaskName = "entities"
    answers: dict[Side, Answered] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.states = dict.fromkeys(self.keys, "waiting")

    def fold(self, desk: Desk) -> None:
        """Updates the state from the desk's readings. What has ended stays so, also where the other side fails."""
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
            if shown.answered is not None:
                self.answers[side] = shown.answered
            self.states[side] = shown.state
            if shown.state == "failed":
                self.failures[side] = shown.sentence
        self._order()

    def _order(self) -> None:
        """Orders the sides: one that is asked after the other waits for that, not for training."""
        first, *second = self.keys
        for side in second:
            if self.states[side] in ("waiting", "next"):
                self.states[side] = "waiting" if self.states[first] == "waiting" else "next"

    def add(self, side: Side, key: str, before: ReadingShown | None) -> None:
        """Another side is read as well; `before`: what the desk has of it now, which is an earlier run's."""
        self.keys = {**self.keys, side: key}
        self.before = {name: shown for name, shown in self.before.items() if name != side}
        if before is not None:
            self.before = {**self.before, side: before}
        self.states[side], self.stopping = "waiting", False

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

    def mentions(self, side: Side) -> int:
        """Entities that a side has found: modifiers stand among its marks, but are none."""
        answered, reading = self.answers.get(side), self.readings.get(side)
        tails = {link.tail for link in answered.prediction.links} if answered else set()
        return sum(span not in tails for span in reading.spans) if reading else 0

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


def shown(run: Run, side: Side, names_base: bool = True) -> Shown:
    """`names_base`: it may be said that this side is the base model."""
    state = run.states[side]
    reading = run.readings.get(side)
    match state:
        case "waiting":
            return Shown(tr("Waiting"), "clock", "dim")
        case "next":
            return Shown(tr("Next"), "clock", "dim", tr("Read after the other side."))
        case "loading":
            return Shown(tr("Loading"), "clock", "accent", tr("The model is being loaded."))
        case "reading" if run.task != "entities" and reading and reading.characters == reading.length:
            return Shown(tr("Asking"), "try", "accent", tr("Asking the model about what was found."))
        case "reading":
            share = reading.characters / reading.length if reading and reading.length else None
            return Shown(_reading(reading), "try", "accent", _found(reading, state), share)
        case "done" if run.task not in ("entities", "relations"):
            return Shown(tr("Done"), "check", "ok")
        case "done":
            said = _found(reading, state, run.mentions(side))
            why = _why_nothing(run, side, reading) if names_base else ""
            return Shown(tr("Done"), "check", "ok", together(said, why))
        case "stopped":
            return Shown(tr("Stopped"), "stop", "warn", _found(reading, state) if reading else "")
        case "failed":
            text = run.failures.get(side) or tr("This side could not be read.")
            return Shown(tr("Failed"), "warning", "bad", text)


def _reading(reading: Reading | None) -> str:
    if reading is None or reading.windows < 2:
        return tr("Reading")
    part = min(reading.window + 1, reading.windows)
    return tr("Reading part {part} of {parts}").format(part=part, parts=reading.windows)


def _why_nothing(run: Run, side: Side, reading: Reading | None) -> str:
    """The base model alone finds nothing as a rule: without this, that looks as if reading were broken."""
    if run.keys[side] != BASE or reading is None or reading.spans:
        return ""
    why = tr("The base model has not learned these types.")
    return why if len(run.keys) > 1 else together(why, tr("Run the demonstration or choose an adapter."))


def _found(reading: Reading | None, state: State, count: int | None = None) -> str:
    """`count`: of the entities, where other marks stand among them."""
    if count is None:
        count = len(reading.spans) if reading else 0
    match state:
        case "reading":
            said = tr("%n entities found so far.", "", count) if count else tr("No entities found so far.")
        case "stopped":
            said = tr("No entities found before you stopped it.")
            if count:
                said = tr("%n entities found before you stopped it.", "", count)
        case _:
            said = tr("%n entities found.", "", count) if count else tr("No entities found.")
    if reading and reading.cut_short:
        return together(said, tr("An answer was longer than allowed and was cut off: some may be missing."))
    return said


def numbers(reading: Reading | None) -> str:
    """ "86 tokens · 46 tokens per second · first token after 0.4 s"; "" before the first token."""
    if reading is None or reading.first_token_seconds is None:
        return ""
    parts = [tr("%n token(s)", "", reading.tokens)]
    if reading.tokens_per_second is not None:
        speed = reading.tokens_per_second
        parts.append(
            tr("{speed} tokens per second").format(
                speed=written(speed, ",.0f") if speed >= 10 else written(speed, ".1f")
            )
        )
    parts.append(tr("first token after {time}").format(time=_seconds(reading.first_token_seconds)))
    if reading.state != "reading":
        parts.append(tr("{time} in total").format(time=_seconds(reading.seconds)))
    return " · ".join(parts)


def _seconds(seconds: float) -> str:
    return tr("{seconds} s").format(seconds=written(seconds, ".2f") if seconds < 1 else written(seconds, ".1f"))


def no_adapter(desk: Desk, *, can_choose: bool) -> str:
    """Sentence for where there is no adapter, and how to get one. `can_choose`: at the top of the page."""
    if desk.session is None:
        where = tr("Choose one above.") if can_choose else ""
        return together(tr("With an adapter, what it finds is shown here, beside the model."), where)
    return tr(
        "The federation has no adapter yet. After its first round it is shown here, beside the base. "
        "Until then you can choose one from a folder."
    )


def waits_for(desk: Desk, now: datetime) -> str:
    """Sentence on the work that a note waits for; "" where none is known."""
    if desk.fits:
        return tr("A model is being fitted to the notes; the note is read when that is done.")
    if not desk.computing.busy:
        return ""
    site = desk.computing.site
    is_other = site and desk.session and site != desk.session.site
    text = tr("This computer is busy; the note is read when that is done.")
    current = tr("Now ({site}): {work}.") if is_other else tr("Now: {work}.")
    return together(text, current.format(site=site, work=desk.computing.line(now)))
