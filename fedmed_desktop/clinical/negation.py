# SPDX-License-Identifier: Apache-2.0
"""Negation of a mention by the words around it, after NegEx (Chapman et al., J Biomed Inform 34, 2001): a trigger
before or behind it in the same sentence, with few words and none that ends its reach between them. English only.

The word lists are a selection (inferred): a mention that nothing here negates may be negated all the same.
"""

from __future__ import annotations

import re
from typing import Final

from .notes import Span

REACH: Final = 5  # words between a trigger and the mention, as in the paper
_LISTED: Final = (
    12  # words of a list that a trigger before it negates as a whole ("no fever, chills or cough"); inferred
)
_BEFORE: Final = (
    "no", "not", "without", "denies", "denied", "denying", "never", "absence of", "no evidence of", "no sign of",
    "no signs of", "negative for", "free of", "ruled out", "rules out", "rule out", "no history of", "never had",
    "declined", "lack of", "lacked",
)  # fmt: skip
_BEHIND: Final = (
    "was ruled out", "were ruled out", "is ruled out", "has been ruled out", "ruled out", "unlikely", "was absent",
    "is absent", "were absent", "absent", "was negative", "were negative", "not seen", "was not seen", "not found",
)  # fmt: skip
_FALSE: Final = (
    "no increase",
    "no change",
    "not only",
    "no further",
    "not necessarily",
    "not certain if",
    "no significant change",
)
_END: Final = (
    "but", "however", "except", "although", "though", "apart from", "aside from", "secondary to", "because of",
    "due to", "which", "who", "since", "yet", "still", "nevertheless", "caused", "causing",
)  # fmt: skip


def _one_of(phrases: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(phrases, key=len, reverse=True)
    return re.compile(
        r"\b(?:" + "|".join(phrase.replace(" ", r"\s+") for phrase in longest_first) + r")\b", re.IGNORECASE
    )


_PATTERNS: Final = {name: _one_of(phrases) for name, phrases in (
    ("before", _BEFORE), ("behind", _BEHIND), ("false", _FALSE), ("end", _END),
)}  # fmt: skip
_SENTENCE_END: Final = re.compile(r"[.!?;](?=\s|$)|\n\s*\n")


def is_negated(text: str, span: Span) -> bool:
    """Tells whether the note says that what the span names is not there."""
    before, behind = _sentence_around(text, span)
    return _by_what_comes_before(before) or _by_what_follows(behind)


def _sentence_around(text: str, span: Span) -> tuple[str, str]:
    """The parts of its sentence before and behind a mention."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text, 0, span.start)]
    following = _SENTENCE_END.search(text, span.end)
    return text[ends[-1] if ends else 0 : span.start], text[span.end : following.start() if following else len(text)]


def _by_what_comes_before(words: str) -> bool:
    words = _PATTERNS["false"].sub(" ", words)
    ended = [match.end() for match in _PATTERNS["end"].finditer(words)]
    reach = words[ended[-1] :] if ended else words
    triggers = list(_PATTERNS["before"].finditer(reach))
    if not triggers:
        return False
    between = reach[triggers[-1].end() :]
    is_list = bool(re.search(r",|\bor\b|\band\b", between))
    return len(between.split()) <= (_LISTED if is_list else REACH)


def _by_what_follows(words: str) -> bool:
    ended = _PATTERNS["end"].search(words)
    reach = words[: ended.start()] if ended else words
    trigger = _PATTERNS["behind"].search(reach)
    return trigger is not None and len(reach[: trigger.start()].split()) <= REACH
