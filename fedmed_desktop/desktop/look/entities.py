# SPDX-License-Identifier: Apache-2.0
"""Entities marked in a text: pieces to show, colours by type, and the same in words. No Qt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...clinical import Span
from ...clinical.tasks import Link
from ...wording import tr
from .tokens import ENTITIES

_USUAL = ("drug", "problem", "test")  # these look the same in every federation
_MOST_TOLD = 20


@dataclass(frozen=True)
class Piece:
    """A stretch of the text; `type` "" where nothing is marked."""

    text: str
    type: str = ""


def pieces(text: str, spans: Iterable[Span], hidden: Collection[str] = ()) -> list[Piece]:
    """The text cut at its entities. Of overlapping ones the longest is shown; what lies outside the text is not."""
    found: list[Piece] = []
    at = 0
    for span in _apart(text, spans, hidden):
        if span.start > at:
            found.append(Piece(text[at : span.start]))
        found.append(Piece(text[span.start : span.end], span.type))
        at = span.end
    if at < len(text):
        found.append(Piece(text[at:]))
    return found


def _apart(text: str, spans: Iterable[Span], hidden: Collection[str]) -> list[Span]:
    kept: list[Span] = []
    wanted = (s for s in spans if 0 <= s.start < s.end <= len(text) and s.type not in hidden)
    for span in sorted(set(wanted), key=lambda s: (s.start - s.end, s.start, s.type)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept)


def colors(types: Iterable[str], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Type -> token of its colour. Types keep the colour in `known`; with more types than colours, colours repeat."""
    given = dict(known or {})
    for name in sorted(set(types) - given.keys(), key=lambda n: (n not in _USUAL, n)):
        own = ENTITIES[_USUAL.index(name)] if name in _USUAL else ""
        free = [token for token in ENTITIES[len(_USUAL) :] if token not in given.values()]
        free += [token for token in ENTITIES if token not in given.values()]
        given[name] = own or (free[0] if free else ENTITIES[len(given) % len(ENTITIES)])
    return given


def count_types(spans: Iterable[Span]) -> dict[str, int]:
    return dict(sorted(Counter(span.type for span in spans).items()))


def words(text: str, span: Span) -> str:
    """The words of a span on one line."""
    return " ".join(text[span.start : span.end].split())


def links_in_words(text: str, links: Sequence[Link]) -> str:
    """Links for those who do not see the lines: "2 modifiers: 100 mg, dosage of aspirin; mild, severity of tremor"."""
    each = tr("{modifier}, {kind} of {mention}")
    told = [
        each.format(modifier=words(text, link.tail), kind=link.tail.type, mention=words(text, link.head))
        for link in links[:_MOST_TOLD]
    ]
    listed = "; ".join(told)
    if len(links) > _MOST_TOLD:
        listed = tr("{list}; and {count} more").format(list=listed, count=len(links) - _MOST_TOLD)
    return tr("%n modifier(s): {list}", "", len(links)).format(list=listed) if links else ""


def in_words(text: str, spans: Sequence[Span]) -> str:
    """Spans for those who do not see the colours: "2 entities: warfarin, drug; melena, problem"."""
    shown = _apart(text, spans, ())
    if not shown:
        return tr("no entities")
    listed = "; ".join(f"{words(text, s)}, {s.type}" for s in shown[:_MOST_TOLD])
    if len(shown) > _MOST_TOLD:
        listed = tr("{list}; and {count} more").format(list=listed, count=len(shown) - _MOST_TOLD)
    return tr("%n entities: {list}", "", len(shown)).format(list=listed)
