# SPDX-License-Identifier: Apache-2.0
"""Results of Try it as files hold them: what both sides found, as JSON and as notes for BRAT. No Qt."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...clinical import Note, Reading, Span
from ...clinical.readers.brat_folder import with_spans
from ...wording import later, tr
from ..work.news import Answered, Side
from .asked_note import Asking
from .reading_state import SIDES, Run

WATERMARK: Final = later("Research demonstration, not for diagnosis or treatment")


@dataclass(frozen=True)
class Results:
    """Parts of a run that are shown: `names` of the models by side; marks of `hidden` types are left out."""

    asking: Asking
    names: Mapping[Side, str]
    readings: Mapping[Side, Reading]
    answers: Mapping[Side, Answered]
    hidden: frozenset[str] = frozenset()

    @property
    def marks(self) -> bool:
        """Tells whether there are marks in the text, which is all that BRAT can hold."""
        return self.asking.marks


def results(run: Run, asking: Asking, names: Mapping[Side, str], hidden: Collection[str]) -> Results | None:
    """None while it is read, and where no side has come to anything."""
    if not run.is_over or not (run.readings or run.answers):
        return None
    named = {side: names[side] for side in SIDES if side in run.keys}
    return Results(asking, named, dict(run.readings), dict(run.answers), frozenset(hidden))


def as_json(found: Results, program: str) -> bytes:
    """The note, what was asked and each side's answer; offsets count code points of the note. UTF-8."""
    asking = found.asking
    about: dict[str, Any] = {"notice": tr(WATERMARK), "program": program, "task": asking.task, "text": asking.text}
    if asking.types:
        about["types"] = list(asking.types)
    if asking.question:
        about |= {"question": asking.question, "options": list(asking.options)}
    about["sides"] = [_side(found, side) for side in found.names]
    return (json.dumps(about, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")


def _side(found: Results, side: Side) -> dict[str, Any]:
    reading, answered, text = found.readings.get(side), found.answers.get(side), found.asking.text
    told: dict[str, Any] = {"model": found.names[side], "state": reading.state if reading else "not read"}
    if reading and found.marks:
        told["entities"] = [_span(span, text) for span in _spans(found, side)]
        told["cut_short"] = reading.cut_short
    if answered is None:
        return told
    prediction = answered.prediction
    match answered.task:
        case "relations":
            told["links"] = [[_span(end, text) for end in link] for link in _links(found, side)]
        case "codes":
            told["codes"] = [
                {"code": code, "description": words, "score": round(score, 4), "chosen": number < prediction.chosen}
                for number, ((code, score), words) in enumerate(
                    zip(prediction.codes, answered.descriptions, strict=True)
                )
            ]
        case "questions":
            told["answer"] = None if prediction.option is None else found.asking.options[prediction.option]
            told["likelihoods"] = [round(value, 4) for value in answered.likelihoods]
        case _:
            told["summary"] = prediction.text
    return told


def as_notes(found: Results) -> list[Note]:
    """A note for each side with its marks, named by its model."""
    return [
        with_spans(Note(id=f"{side} - {name}", text=found.asking.text), _spans(found, side), _links(found, side))
        for side, name in found.names.items()
        if side in found.readings
    ]


def _spans(found: Results, side: Side) -> list[Span]:
    return [span for span in found.readings[side].spans if span.type not in found.hidden]


def _links(found: Results, side: Side) -> list[tuple[Span, Span]]:
    answered = found.answers.get(side)
    links = answered.prediction.links if answered else ()
    return [(link.head, link.tail) for link in links if not {link.head.type, link.tail.type} & found.hidden]


def _span(span: Span, text: str) -> dict[str, object]:
    return {"start": span.start, "end": span.end, "type": span.type, "text": text[span.start : span.end]}
