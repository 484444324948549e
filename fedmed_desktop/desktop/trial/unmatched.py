# SPDX-License-Identifier: Apache-2.0
"""Spans that one side of Try it found and the other did not. Strict: the same characters and type. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final, Literal

from ...clinical import Reading, Span
from ...wording import later, tr
from ..work.news import Side

Difference = Literal["only", "type"]
MARKS: Final[dict[Difference, str]] = {"only": "+", "type": "≠"}  # behind the type's word in the text
WORDS: Final[dict[Difference, str]] = {
    "only": later("only here"), "type": later("another type on the other side"),
}  # fmt: skip
NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_MOST_TOLD: Final = 8
_LONGEST: Final = 40


def differences(here: Iterable[Span], there: Collection[Span], reached: int) -> dict[Span, Difference]:
    """Spans of this side that the other lacks: "type" where it has the same characters under another type.

    Only the first `reached` characters of the note count, those that both sides have dealt with: what the other side
    has not come to yet is no difference.
    """
    same = set(there)
    places = {(span.start, span.end) for span in there}
    return {
        span: "type" if (span.start, span.end) in places else "only"
        for span in here
        if span.end <= reached and span not in same
    }


def lacked(readings: Mapping[Side, Reading], side: Side, reached: int) -> dict[Span, Difference]:
    """Spans of this side that the other lacks, as far as both have come; none where only one has begun."""
    other: Side = "left" if side == "right" else "right"
    if side not in readings or other not in readings:
        return {}
    return differences(readings[side].spans, readings[other].spans, reached)


def marked_type(kind: str, difference: Difference | None, *, is_negated: bool = False) -> str:
    """The type's word, with "not" where the note denies it, and the mark of a difference; all on one line."""
    word = tr("not: {type}").format(type=kind).replace(" ", NO_BREAK) if is_negated else kind
    return f"{word}{NO_BREAK}{MARKS[difference]}" if difference else word


def told(text: str, found: Mapping[Span, Difference]) -> list[str]:
    """The same in sentences, each behind its mark: "+ Only here: ciprofloxacin (drug), INR (test)"."""
    lines = []
    for difference, words in WORDS.items():
        named: dict[tuple[str, str], str] = {}  # a mention that comes again is named once
        for span in sorted(span for span, kind in found.items() if kind == difference):
            shown = _shortened(" ".join(text[span.start : span.end].split()))
            named.setdefault((shown.casefold(), span.type), f"{shown} ({span.type})")
        if named:
            listed = ", ".join(list(named.values())[:_MOST_TOLD])
            if len(named) > _MOST_TOLD:
                listed = tr("{list} and {count} more").format(list=listed, count=len(named) - _MOST_TOLD)
            said = tr(words)
            lines.append(f"{MARKS[difference]} {said[:1].upper()}{said[1:]}: {listed}")
    return lines


def _shortened(words: str) -> str:
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1].rstrip()}…"
