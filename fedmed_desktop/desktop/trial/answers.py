# SPDX-License-Identifier: Apache-2.0
"""Answers to tasks other than entities, as they are shown: bars, lines, a text, and one sentence about them. No Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ...clinical.tasks import Link
from ...wording import tr, written
from ..look.entities import words
from ..work.news import Answered
from .unmatched import marked_type

MOST_CODES: Final = 10


@dataclass(frozen=True)
class AnswerBar:
    """A choice: `share` of the best one's length; `chosen`: what the model would answer."""

    name: str
    text: str
    share: float
    chosen: bool


@dataclass(frozen=True)
class LinkRow:
    """A modifier as a row of the table; `only_here`: the other side has not linked these two."""

    link: Link
    mention: str
    kind: str
    modifier: str
    only_here: bool = False

    @property
    def texts(self) -> tuple[str, str, str]:
        return self.mention, marked_type(self.kind, "only" if self.only_here else None), self.modifier


@dataclass(frozen=True)
class AnswerView:
    """Empty parts are not shown. `about` says what the bars mean."""

    sentence: str
    bars: tuple[AnswerBar, ...] = ()
    about: str = ""
    links: tuple[LinkRow, ...] = ()
    text: str = ""


def answer_view(
    answered: Answered,
    note: str,
    options: tuple[str, ...] = (),
    other: Answered | None = None,
    found: int | None = None,
) -> AnswerView:
    """`other`: the other side's answer, to tell what it lacks; `found`: entities of which modifiers were asked."""
    match answered.task:
        case "relations":
            return _modifiers(answered, note, other, found)
        case "codes":
            return _codes(answered)
        case "questions":
            return _options(answered, options)
        case _:
            text = (answered.prediction.text or "").strip()
            return AnswerView(tr("A summary in the model's words.") if text else tr("No summary."), text=text)


def _modifiers(answered: Answered, note: str, other: Answered | None, found: int | None) -> AnswerView:
    links = answered.prediction.links
    if not links and found == 0:
        return AnswerView(tr("No modifiers: they are looked for around entities, and none was found."))
    theirs = None if other is None else set(other.prediction.links)
    rows = tuple(
        LinkRow(link, f"{words(note, link.head)} ({link.head.type})", link.tail.type, words(note, link.tail),
                theirs is not None and link not in theirs)
        for link in links
    )  # fmt: skip
    return AnswerView(tr("%n modifier(s) linked.", "", len(links)) if links else tr("No modifiers found."), links=rows)


def _codes(answered: Answered) -> AnswerView:
    ranked, chosen = answered.prediction.codes, answered.prediction.chosen
    if not ranked:
        return AnswerView(tr("No code matches this note."))
    best = ranked[0][1]
    bars = tuple(
        AnswerBar(f"{code}  {description}", "", math.exp(score - best), number <= chosen)
        for number, ((code, score), description) in enumerate(
            zip(ranked[:MOST_CODES], answered.descriptions, strict=False), start=1
        )
    )
    said = tr("%n code(s) would be chosen, in bold.", "", chosen) if chosen else tr("No code is certain enough.")
    about = tr("Candidates from the official ICD-10-CM table, best first. The bar compares each with the best.")
    return AnswerView(said, bars, about)


def _options(answered: Answered, options: tuple[str, ...]) -> AnswerView:
    option, likelihoods = answered.prediction.option, answered.likelihoods
    if option is None or len(likelihoods) != len(options):
        return AnswerView(tr("The question could not be asked: the note and the question are too long."))
    weights = [math.exp(value - max(likelihoods)) for value in likelihoods]
    total = sum(weights)
    bars = tuple(
        AnswerBar(name, written(weight / total, ".0%"), weight / total, at == option)
        for at, (name, weight) in enumerate(zip(options, weights, strict=True))
    )
    about = tr("How likely the model finds each answer compared with the others. It does not say how sure you can be.")
    return AnswerView(tr("Its answer: {option}").format(option=options[option]), bars, about)
