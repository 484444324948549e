# SPDX-License-Identifier: Apache-2.0
"""Words of notes and of the table's terms, in one form, so that they can be compared.

The table's terms follow conventions of their own: what stands in round brackets need not be said, square brackets hold
an abbreviation or another name, "without complications" is the plain case, and the encounter is not part of what
somebody has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Final

_WORD: Final = re.compile(r"[a-z]+|[0-9]+")
# fmt: off
_STOP: Final = frozenset({
    "a", "an", "and", "any", "are", "as", "at", "be", "by", "classifiable", "classified", "due", "elsewhere", "for",
    "from", "in", "into", "is", "it", "nec", "nos", "not", "of", "on", "or", "part", "specified", "that", "the", "this",
    "to", "unspecified", "was", "which", "who", "with", "without",
})
# fmt: on
# Words of the classification, which say "none of the others": a term needs them, and no note has them in this sense.
_OTHER: Final = "other"
_RESIDUAL: Final = "not elsewhere classified"
_NO_NOTE_SAYS: Final = frozenset({_OTHER, "encounter"})

_ENCOUNTER: Final = re.compile(r",? *(?:initial encounter|subsequent encounter|sequela).*$")
_WITHOUT: Final = re.compile(r"(?<=\w),? *without .*$")
_IN_BRACKETS: Final = re.compile(r"\([^)]*\)|\[[^\]]*\]")
# "Conditions classifiable to C50": a reference to other codes, not a name.
_REFERENCE: Final = re.compile(r"(?:Any )?[Cc]onditions? .*classifiable to ")

Stem = Callable[[str], str]


@cache
def english_stemmer() -> Stem:
    """Snowball's English stemmer; what a word becomes is remembered, as texts repeat most of theirs."""
    import Stemmer

    stem: Stem = lru_cache(1 << 16)(Stemmer.Stemmer("english", 0).stemWord)
    return stem


def without_encounter(text: str) -> str:
    """A description without the encounter at its end, which dozens of codes differ in and no name needs."""
    return _ENCOUNTER.sub("", text) if "encounter" in text or "sequela" in text else text


def term_words(text: str, stem: Stem) -> tuple[str, ...]:
    """The words of a term of the table that a note has to say for it; none where it only refers to other codes."""
    if _REFERENCE.match(text):
        return ()
    plain = without_encounter(text)
    if "without" in plain:
        plain = _WITHOUT.sub("", plain)
    if "(" in plain or "[" in plain:
        plain = _IN_BRACKETS.sub(" ", plain)
    words = [word if word == _OTHER else stem(word) for word in _WORD.findall(plain.lower()) if word not in _STOP]
    if _RESIDUAL in plain:
        words.append(_RESIDUAL)
    return tuple(words)


def note_words(text: str, stem: Stem) -> set[str]:
    """The words of a stretch of a note."""
    return {stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP and word not in _NO_NOTE_SAYS}


@dataclass(frozen=True)
class Synonyms:
    """Words that a sentence says too if it says certain others; all stemmed."""

    pairs: tuple[tuple[frozenset[str], frozenset[str]], ...] = ()

    def added(self, words: set[str]) -> set[str]:
        """The words and what they mean; what is added does not mean anything more."""
        more: set[str] = set()
        for word in words:
            for needed, said in self._by_word.get(word, ()):
                if needed <= words:
                    more |= said
        return words | more

    @cached_property
    def _by_word(self) -> Mapping[str, list[tuple[frozenset[str], frozenset[str]]]]:
        """Each pair under one of its words, so that a sentence looks at few."""
        found: dict[str, list[tuple[frozenset[str], frozenset[str]]]] = {}
        for needed, said in self.pairs:
            found.setdefault(min(needed), []).append((needed, said))
        return found


def read_synonyms(lines: Iterable[str], stem: Stem) -> Synonyms:
    """Lines of two columns with a tab between; blank ones and those that begin with "#" are comments."""

    def pairs() -> Iterator[tuple[frozenset[str], frozenset[str]]]:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                needed, _, said = line.partition("\t")
                yield frozenset(note_words(needed, stem)), frozenset(term_words(said, stem))

    return Synonyms(tuple(pairs()))
