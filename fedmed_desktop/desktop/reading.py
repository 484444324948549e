# SPDX-License-Identifier: Apache-2.0
"""Readings of Try it on a loaded base: entities side by side, other tasks one side after the other. For the composition
root; the libraries are imported inside functions that the working thread calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..clinical.reading import Reading
from ..errors import UserFacingError
from ..federation import Control, Stopped
from .trial.asked_task import answered, asked_about
from .trial.files import load
from .work.news import Answered, ReadingShown, Side
from .work.requests import TrialRequest
from .work.sessions import Put

if TYPE_CHECKING:
    from ..training.asking import Sides
    from ..training.preparation import LoadedBase

# Readings are shown as often as the screen is refreshed, however fast tokens come.
_PERIOD_S = 0.1
_MARKING = ("entities", "relations")


def read_sides(base: LoadedBase, request: TrialRequest, put: Put, control: Control) -> None:
    """On the training thread; stops between two tokens. A side whose adapter is wrong does not keep the sides before it
    from being read. Raises UserFacingError: what is wrong with the first such side, or with the model.
    """
    sides, wrong = _sides(base, request, put)
    readings = _marked(base, request, sides, put, control) if request.task in _MARKING else {}
    for side, acting in sides.items():
        if request.task == "entities" and readings[side].state == "finished":
            continue  # it has been told
        try:
            reading, answer = _answered(base, request, acting, readings.get(side), _now_and_then(side, put), control)
        except Stopped:
            reading, answer = readings.get(side) or Reading(len(request.text)), None
            reading = replace(reading, state="stopped")
        put(ReadingShown(side, "stopped" if reading.state == "stopped" else "done", reading, answered=answer))
    if wrong:
        raise wrong


def _sides(base: LoadedBase, request: TrialRequest, put: Put) -> tuple[dict[Side, Sides], UserFacingError | None]:
    """Adapters of each side up to the first that is wrong, and what is wrong with it: found before anything is read."""
    from ..training.asking import Sides

    found: dict[Side, Sides] = {}
    for side, files in request.sides.items():
        put(ReadingShown(side, "loading"))
        try:
            loaded = load(files) if files else None
            found[side] = Sides(loaded.adapter, loaded.frozen, loaded.personal) if loaded else Sides()
            if loaded:
                base.get().lora.attach(loaded.adapter, loaded.frozen, loaded.personal)
        except UserFacingError as error:
            found.pop(side, None)
            return found, error
    return found, None


def _marked(
    base: LoadedBase, request: TrialRequest, sides: dict[Side, Sides], put: Put, control: Control
) -> dict[Side, Reading]:
    """Entities of each side, told as they come; one that is first at its end says so at once."""
    from ..training.reading import NoteReader

    names = list(sides)
    tells = [_now_and_then(side, put) for side in names]

    def tell(number: int, reading: Reading) -> None:
        if request.task == "entities" and reading.state == "finished":
            put(ReadingShown(names[number], "done", reading))
        else:
            tells[number](replace(reading, state="reading"))

    found = NoteReader(base).read_beside(
        request.text, request.types, list(sides.values()), request.form, request.lengths, tell, control,
        request.text_tokens, request.prompting,
    )  # fmt: skip
    return dict(zip(names, found, strict=True))


def _answered(
    base: LoadedBase,
    request: TrialRequest,
    acting: Sides,
    marked: Reading | None,
    tell: Callable[[Reading], None],
    control: Control,
) -> tuple[Reading, Answered | None]:
    """One side's answer to what is asked beyond entities. Modifiers are asked of the mentions that it has found."""
    from ..training.asking import ask_note

    reading = marked or Reading(len(request.text), characters=len(request.text), state="finished")
    if request.task == "entities" or reading.state == "stopped":
        return reading, None
    if request.task == "relations":
        tell(replace(reading, state="reading"))
    task, note = asked_about(request, reading.spans)
    # Only a note's modifiers can be asked for sentence by sentence.
    text_tokens = request.text_tokens if request.task == "relations" else None
    prediction, answers = ask_note(base, task, note, acting, request.lengths, control, request.prompting, text_tokens)
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
