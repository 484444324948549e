# SPDX-License-Identifier: Apache-2.0
"""Exercises on a drug's modifiers, made by rules from open texts: no annotation of a modifier is used.

Drugs are the names that Chia's training annotation (CC BY 4.0) calls so, wherever they stand; what they are given in,
how, how often, how long and when is found by form. Rules miss a lot and are wrong now and then: they show what kind of
thing is asked for, and a site's notes show the rest.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from annotated_exercises import AnnotatedLine, annotated_lines
from open_texts import Text, sentences

from fedmed_desktop.clinical import Entity, Note, Relation
from fedmed_desktop.clinical.modifiers import goes_with

_NUMBER: Final = (
    r"(?:\d+(?:[.,]\d+)*(?:\s*(?:-|to)\s*\d+(?:\.\d+)?)?|one|two|three|four|five|six|seven|eight|ten|twelve|several)"
)
_UNIT: Final = (
    "(?:mg|g|kg|mcg|µg|μg|ug|ng|ml|cc|IU|U|units?|mmol|mEq|milligrams?|grams?|tablets?|capsules?|puffs?|drops?|tabs?)"
)
_PER: Final = r"(?:\s*(?:/|per)\s*(?:kg|m2|m\(2\)|m²|day|d|h|hr|hour|min|minute|dose|week|ml|mL|body weight))*"
_TIME: Final = r"(?:seconds?|minutes?|min|hours?|hrs?|h|days?|weeks?|months?|years?)"
RULES: Final = {
    "dosage": rf"\b{_NUMBER}\s*{_UNIT}{_PER}(?![\w/])",
    "route": (
        r"\b(?:oral(?:ly)?|intravenous(?:ly)?|intramuscular(?:ly)?|subcutaneous(?:ly)?|"
        r"intrathecal(?:ly)?|topical(?:ly)?|intraperitoneal(?:ly)?|intranasal(?:ly)?|intra-?arterial(?:ly)?|intravitreal|epidural|rectal(?:ly)?|"
        r"sublingual(?:ly)?|transdermal|inhal(?:ed|ation)|nebulized|infusions?|injections?|by mouth|"
        r"i\.?\s?v\.?|i\.?m\.?|p\.o\.|IV|PO|IM|SC)(?![\w])"
    ),
    "frequency": (
        r"\b(?:(?:once|twice|(?:two|three|four) times)(?:\s+(?:a|per)\s+(?:day|week|month)|\s+(?:daily|weekly))?|"
        rf"daily|weekly|monthly|every\s+(?:other\s+)?(?:{_NUMBER}\s+)?{_TIME}|"
        r"b\.i\.d\.?|t\.i\.d\.?|q\.i\.d\.?|q\.d\.?|q\.\s?\d+\s?h\.?|q\.h\.s\.?|p\.r\.n\.?|at bedtime)(?![\w])"
    ),
    "duration": (
        rf"\b(?:for\s+(?:at least\s+|up to\s+|about\s+)?|over\s+)?{_NUMBER}[-\s]{_TIME}\b"
        r"(?![-\s]+(?:after|before|later|prior|ago|old))"
    ),
    "temporal": (
        rf"\b(?:{_NUMBER}\s+{_TIME}\s+(?:after|before|later|prior to|following)|within\s+{_NUMBER}\s+{_TIME}|"
        rf"after\s+{_NUMBER}\s+{_TIME}|prior to|previously|during)\b"
    ),
}
_ORDER: Final = ("dosage", "frequency", "temporal", "duration", "route")  # where two find the same words
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z-]{4,}")
_ENDING: Final = re.compile(
    "(?:afil|azepam|azine|azole|caine|cillin|cycline|dipine|floxacin|gliptin|idone|mab|mycin|olol|oxetine|parin|platin|"
    "prazole|pril|profen|rubicin|sartan|setron|solone|statin|taxel|tidine|tinib|triptan|triptyline|vudine)$"
)
"""Of generic names: what they are endings of is nearly always a drug."""
_WIDEST: Final = 300  # characters, as in the demonstration's notes


def drug_names(lines: Iterable[AnnotatedLine]) -> frozenset[str]:
    """Single words that Chia annotates as drugs at least twice, and more often than they stand there otherwise."""
    drugs, words = Counter[str](), Counter[str]()
    for line in lines:
        words.update(match.group().lower() for match in _WORD.finditer(line.text))
        drugs.update(line.text[s:e].lower() for (s, e), name in line.spans if name == "medicine")
    return frozenset(w for w, n in drugs.items() if _WORD.fullmatch(w) and n >= 2 and 2 * n > words[w])


def modifier_notes(texts: Sequence[Text], names: frozenset[str], rng: random.Random) -> Iterator[Note]:
    """Sentences with a drug and what the rules find of its modifiers, each linked to the nearest drug.

    A few other words, drawn at random, are called problems: an answer must copy the words of mentions without their
    tags, which a small model finds harder than all else.
    """
    found = {name: re.compile(rule, re.IGNORECASE) for name, rule in RULES.items()}
    seen = set[str]()
    for text in texts:
        for sentence in sentences(text.text):
            if not 30 <= len(sentence) <= _WIDEST or sentence in seen or "<" in sentence:
                continue
            seen.add(sentence)
            heads = [m.span() for m in _WORD.finditer(sentence) if _is_drug(m.group().lower(), names)]
            if heads:
                tails = _tails(sentence, found, heads)
                if not tails:
                    continue
                problems = _problems(sentence, [*heads, *(tail[:2] for tail in tails)], rng)
                yield _note(f"{text.corpus}-{len(seen)}", sentence, heads, tails, problems)


def _is_drug(word: str, names: frozenset[str]) -> bool:
    return word in names or _ENDING.search(word) is not None


def _tails(
    sentence: str, rules: dict[str, re.Pattern[str]], taken: Sequence[tuple[int, int]]
) -> list[tuple[int, int, str]]:
    spans: list[tuple[int, int, str]] = []
    for name in _ORDER:
        for match in rules[name].finditer(sentence):
            start, end = match.span()
            if all(end <= s or e <= start for s, e, *_ in [*spans, *taken]):
                spans.append((start, end, name))
    return sorted(spans)


def _problems(sentence: str, taken: Sequence[tuple[int, int]], rng: random.Random) -> list[tuple[int, int]]:
    """Chooses up to two runs of one to three words that are free."""
    words = [match.span() for match in re.finditer(r"\w[\w-]*", sentence)]
    found: list[tuple[int, int]] = []
    for _ in range(rng.randint(0, 2)):
        first, many = rng.randrange(len(words)), rng.randint(1, 3)
        start, end = words[first][0], words[min(first + many, len(words)) - 1][1]
        if all(end <= s or e <= start for s, e in [*taken, *found]):
            found.append((start, end))
    return found


def _note(
    name: str,
    sentence: str,
    drugs: Sequence[tuple[int, int]],
    tails: Sequence[tuple[int, int, str]],
    problems: Sequence[tuple[int, int]],
) -> Note:
    spans = [*((*one, "drug") for one in drugs), *tails, *((*one, "problem") for one in problems)]
    entities = tuple(
        Entity(id=f"T{number}", start=start, end=end, type=type_, text=sentence[start:end])
        for number, (start, end, type_) in enumerate(sorted(spans), start=1)
    )
    relations = []
    for tail in entities:
        heads = [one for one in entities if goes_with(tail.type, one.type) and one.type in ("drug", "problem")]
        if tail.type in RULES:
            head = min(heads, key=lambda one: max(0, tail.start - one.end, one.start - tail.end))
            relations.append(Relation(head=head.id, tail=tail.id, type=tail.type))
    return Note(id=name, text=sentence, entities=entities, relations=tuple(relations), tasks=("relations",))


def annotated_notes(data: Path) -> list[Note]:
    """Chia's training lines with conditions and medicines as problems and drugs, for the task of entities."""
    names = {"condition": "problem", "medicine": "drug"}
    notes = []
    for number, line in enumerate(annotated_lines(data), start=1):
        entities = tuple(
            Entity(id=f"T{n}", start=s, end=e, type=names[name], text=line.text[s:e])
            for n, ((s, e), name) in enumerate(((span, c) for span, c in line.spans if c in names), start=1)
        )
        notes.append(Note(id=f"chia-{number}", text=line.text, entities=entities, tasks=("entities",)))
    return notes
