# SPDX-License-Identifier: Apache-2.0
"""Readings of Try it: entities side by side, other tasks one side after the other. For the composition root, which
hands in what the loaded base can do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..clinical.reading import Reading
from ..clinical.tasks import Answer, Prediction
from ..errors import UserFacingError
from ..federation import Control, Stopped
from .trial.asked_task import answered, asked_about
from .trial.files import Loaded, load
from .work.news import Answered, ReadingShown, Side
from .work.requests import TrialRequest
from .work.sessions import Put

# Readings are shown as often as the screen is refreshed, however fast tokens come.
_PERIOD_S = 0.1
_MARKING = ("entities", "relations")


@dataclass(frozen=True)
class Able:
    """Abilities of a loaded base. `sides` makes a side of adapters, or of none, and checks that they fit; `beside`
    reads with several of them in turns, and says in their Reading where it was stopped; `ask` asks one of them a task
    about a note, and raises Stopped. All may raise UserFacingError.
    """

    sides: Callable[[Loaded | None], Any]
    beside: Callable[..., list[Reading]]
    ask: Callable[..., tuple[Prediction, tuple[Answer, ...]]]


def read_sides(able: Able, request: TrialRequest, put: Put, control: Control) -> None:
    """Reads a note with each side, on the training thread; stops between two tokens. A side whose adapter is wrong does
    not keep the sides before it from being read. Raises UserFacingError: what is wrong with the first such side, or
    with the model.
    """
    sides, wrong = _sides(able, request, put)
    readings = _marked(able, request, sides, put, control) if request.task in _MARKING else {}
    for side, acting in sides.items():
        if request.task == "entities" and readings[side].state == "finished":
            continue  # it has been told
        try:
            reading, answer = _answered(able, request, acting, readings.get(side), _now_and_then(side, put), control)
        except Stopped:
            reading, answer = readings.get(side) or Reading(len(request.text)), None
            reading = replace(reading, state="stopped")
        put(ReadingShown(side, "stopped" if reading.state == "stopped" else "done", reading, answered=answer))
    if wrong:
        raise wrong


def _sides(able: Able, request: TrialRequest, put: Put) -> tuple[dict[Side, Any], UserFacingError | None]:
    """Adapters of each side up to the first that is wrong, and what is wrong with it: found before anything is read."""
    found: dict[Side, Any] = {}
    for side, files in request.sides.items():
        put(ReadingShown(side, "loading"))
        try:
            found[side] = able.sides(load(files) if files else None)
        except UserFacingError as error:
            return found, error
    return found, None


def _marked(
    able: Able, request: TrialRequest, sides: dict[Side, Any], put: Put, control: Control
) -> dict[Side, Reading]:
    """Entities of each side, told as they come; one that is first at its end says so at once."""
    names = list(sides)
    tells = [_now_and_then(side, put) for side in names]

    def tell(number: int, reading: Reading) -> None:
        if request.task == "entities" and reading.state == "finished":
            put(ReadingShown(names[number], "done", reading))
        else:
            tells[number](replace(reading, state="reading"))

    found = able.beside(
        request.text, request.types, list(sides.values()), request.form, request.lengths, tell, control,
        request.text_tokens, request.prompting,
    )  # fmt: skip
    return dict(zip(names, found, strict=True))


def _answered(
    able: Able,
    request: TrialRequest,
    acting: Any,
    marked: Reading | None,
    tell: Callable[[Reading], None],
    control: Control,
) -> tuple[Reading, Answered | None]:
    """One side's answer to what is asked beyond entities. Modifiers are asked of the mentions that it has found."""
    reading = marked or Reading(len(request.text), characters=len(request.text), state="finished")
    if request.task == "entities" or reading.state == "stopped":
        return reading, None
    if request.task == "relations":
        tell(replace(reading, state="reading"))
    task, note = asked_about(request, reading.spans)
    # Only a note's modifiers can be asked for sentence by sentence.
    text_tokens = request.text_tokens if request.task == "relations" else None
    prediction, answers = able.ask(task, note, acting, request.lengths, control, request.prompting, text_tokens)
    return answered(reading, task, prediction, answers)


def _now_and_then(side: Side, put: Put) -> Callable[[Reading], None]:
    """Tells how far a reading is, but not each of some hundred tokens a second."""
    told = 0.0

    def tell(reading: Reading) -> None:
        nonlocal told
        if time.monotonic() - told >= _PERIOD_S:
            told = time.monotonic()
            put(ReadingShown(side, "reading", reading))

    return tell
