# SPDX-License-Identifier: Apache-2.0
"""Copying, mark-up and JSON exercises whose answers follow from the sentence's form or from the instruction alone.

They have the shape of the program's clinical prompts but no clinical class: what a drug or a problem is must be
learned from a site's notes. Class names that a federation uses (drug, problem, test, treatment) never occur.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FORBIDDEN_CLASSES: Final = frozenset({"drug", "problem", "test", "treatment"})
ALIASES: Final = ("red", "blue", "green", "alpha", "beta", "gamma", "one", "two", "x", "y", "target", "kind", "item")
_FUNCTION_WORDS: Final = (
    "a an and are as at be been but by can could did do does for from had has have he her his how if in into is it its "
    "may might more most no nor not of on or our s she should so some such than that the their them then there these "
    "they this those to was we were what when where which while who will with would you your after before during "
    "between however although because since also both each either all any other only over under up out about"
)
FUNCTION_WORDS: Final = frozenset(_FUNCTION_WORDS.split())
NEIGHBOURS: Final = ("with", "of", "by", "for", "in", "to", "after", "and", "the", "from", "or", "on", "during")
_WORD: Final = re.compile(r"[^\W_]+(?:[-'][^\W_]+)*")
_NUMBER: Final = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*")
_BRACKETS: Final = re.compile(r"\(([^()\[\]]{2,60})\)|\[([^()\[\]]{2,60})\]")

Span = tuple[int, int]


@dataclass(frozen=True)
class Rule:
    """A class: how the instruction lists it, the name used in answers, and its spans (character offsets)."""

    listed: str
    name: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Exercise:
    """A prompt that ends in `### Output:`, its answer, and the sentence it is about."""

    prompt: str
    answer: str
    sentence: str


def make_exercise(sentence: str, rng: random.Random) -> Exercise:
    """One exercise about a sentence: half mark-up, a quarter plain copy, a quarter JSON."""
    kind = rng.random()
    if kind < 0.25:
        if rng.random() < 0.3:
            sentence = with_invented_words(sentence, rng)
        return Exercise(f"### Task: copy\n### Input: {sentence}\n### Output:", sentence, sentence)
    if rng.random() < 0.1:
        sentence = with_invented_words(sentence, rng)
    rules = draw_rules(sentence, rng)
    marked = resolve(rules)
    task = "markup" if kind < 0.75 else "json"
    classes = ", ".join(rule.listed for rule in rules)
    answer = mark_up(sentence, marked) if task == "markup" else as_json(sentence, marked)
    return Exercise(f"### Task: {task}\n### Classes: {classes}\n### Input: {sentence}\n### Output:", answer, sentence)


def mark_up(sentence: str, marked: list[tuple[Span, str]]) -> str:
    """The sentence with `<span class="...">` around each span; spans are in order and do not overlap."""
    parts: list[str] = []
    at = 0
    for (start, end), name in marked:
        parts += [sentence[at:start], f'<span class="{name}">', sentence[start:end], "</span>"]
        at = end
    return "".join([*parts, sentence[at:]])


def as_json(sentence: str, marked: list[tuple[Span, str]]) -> str:
    """The spans as a JSON list of entity and text, in the sentence's order; `[]` when there is none."""
    found = [{"entity": name, "text": sentence[start:end]} for (start, end), name in marked]
    return json.dumps(found, ensure_ascii=False)


def strip_markup(answer: str) -> str:
    """The sentence behind a mark-up answer."""
    return re.sub(r'<span class="[^"<>]*">|</span>', "", answer)


def resolve(rules: list[Rule]) -> list[tuple[Span, str]]:
    """Spans of all rules in text order; where two overlap, the class that the instruction lists first keeps its own."""
    taken: list[tuple[Span, str]] = []
    for rule in rules:
        for start, end in rule.spans:
            if all(end <= other[0] or other[1] <= start for other, _ in taken):
                taken.append(((start, end), rule.name))
    return sorted(taken)


def draw_rules(sentence: str, rng: random.Random) -> list[Rule]:
    """One to three classes with different names; some may have no span in this sentence."""
    rules: dict[str, Rule] = {}
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        maker = rng.choices(_MAKERS, weights=_MAKER_WEIGHTS)[0]
        rule = maker(sentence, rng)
        if rule is None or (not rule.spans and rng.random() < 0.6):
            continue  # classes without a span are wanted too, but fewer than chance would bring
        rules.setdefault(rule.name, rule)
    return list(rules.values()) or [_form(sentence, rng)]


def with_invented_words(sentence: str, rng: random.Random) -> str:
    """One to three words replaced by the head of one and the tail of another: copying must not lean on known words."""
    words = [match.group() for match in _WORD.finditer(sentence) if len(match.group()) >= 5]
    if len(words) < 2:
        return sentence
    for _ in range(rng.randint(1, 3)):
        first, second = rng.sample(words, 2)
        cut = rng.randint(2, len(first) - 2)
        sentence = sentence.replace(rng.choice((first, second)), first[:cut] + second[-rng.randint(2, 5) :], 1)
    return sentence


def _words(sentence: str) -> list[re.Match[str]]:
    return list(_WORD.finditer(sentence))


def _where(sentence: str, accept: Callable[[str], bool]) -> tuple[Span, ...]:
    return tuple(match.span() for match in _words(sentence) if accept(match.group()))


def _runs(sentence: str, accept: Callable[[str], bool], shortest: int, longest: int) -> tuple[Span, ...]:
    """Longest runs of accepted words joined by one blank, `shortest` to `longest` words each."""
    runs: list[list[Span]] = [[]]
    for match in _words(sentence):
        joined = bool(runs[-1]) and sentence[runs[-1][-1][1] : match.start()] == " "
        if not accept(match.group()):
            runs.append([])
        elif joined:
            runs[-1].append(match.span())
        else:
            runs.append([match.span()])
    return tuple((run[0][0], run[-1][1]) for run in runs if shortest <= len(run) <= longest)


def _is_content(word: str) -> bool:
    return word.lower() not in FUNCTION_WORDS and not word[0].isdigit()


def _form(sentence: str, rng: random.Random) -> Rule:
    """A class whose name alone says what it is."""
    name = rng.choice(tuple(_FORMS))
    return Rule(name, name, _FORMS[name](sentence))


_FORMS: Final[dict[str, Callable[[str], tuple[Span, ...]]]] = {
    "number": lambda text: tuple(match.span() for match in _NUMBER.finditer(text)),
    "capitalised": lambda text: _where(text, lambda word: word[0].isupper()),
    "long": lambda text: _where(text, lambda word: len(word) >= 10),
    "plural": lambda text: _where(text, lambda word: len(word) > 4 and word.endswith("s") and not word.endswith("ss")),
    "acronym": lambda text: _where(text, lambda word: len(word) >= 2 and word.isupper()),
    "hyphenated": lambda text: _where(text, lambda word: "-" in word),
    "names": lambda text: _runs(text, lambda word: word[0].isupper(), 2, 6),
    "brackets": lambda text: tuple(match.span(match.lastindex or 0) for match in _BRACKETS.finditer(text)),
    "of-pair": lambda text: tuple(match.span() for match in re.finditer(r"\b[\w-]+ of [\w-]+\b", text)),
    "phrase": lambda text: _runs(text, _is_content, 1, 5),
    "long phrase": lambda text: _runs(text, _is_content, 2, 5),
    "long run": lambda text: _runs(text, lambda word: len(word) >= 7, 1, 5),
    "measure": lambda text: tuple(match.span() for match in re.finditer(r"\b\d+(?:[.,]\d+)* ?[^\W\d_]+\b", text)),
}


def _alias(rng: random.Random, meaning: str, spans: tuple[Span, ...]) -> Rule:
    """A class under an arbitrary name with its meaning in brackets: the instruction decides, not the name."""
    name = rng.choice(ALIASES)
    return Rule(f"{name} ({meaning})", name, spans)


def _affix(sentence: str, rng: random.Random) -> Rule | None:
    """Words with a given ending or beginning of two to four letters."""
    words = [match.group() for match in _words(sentence) if len(match.group()) >= 6 and match.group().isalpha()]
    if not words:
        return None
    letters, size = rng.choice(words).lower(), rng.randint(2, 4)
    if rng.random() < 0.7:
        ending = letters[-size:]
        return _alias(rng, f"-{ending}", _where(sentence, lambda word: word.lower().endswith(ending)))
    beginning = letters[:size]
    return _alias(rng, f"{beginning}-", _where(sentence, lambda word: word.lower().startswith(beginning)))


def _named(sentence: str, rng: random.Random) -> Rule | None:
    """One to four words or runs of words that the instruction names; now and then one that does not occur."""
    words = _words(sentence)
    phrases: list[str] = []
    for _ in range(rng.choice((1, 1, 2, 3, 4))):
        first = rng.randrange(len(words)) if words else 0
        last = min(len(words) - 1, first + rng.choice((0, 0, 1, 1, 2, 3, 4)))
        if last >= first and _is_content(words[first].group()) and _is_content(words[last].group()):
            phrases.append(sentence[words[first].start() : words[last].end()])
    phrases = [phrase for phrase in dict.fromkeys(phrases) if not set(",()") & set(phrase)]
    phrases = [phrase for phrase in phrases if phrase.lower() not in FORBIDDEN_CLASSES]
    if not phrases:
        return None
    spans = [
        match.span() for phrase in phrases for match in re.finditer(rf"(?<!\w){re.escape(phrase)}(?!\w)", sentence)
    ]
    spans.sort(key=lambda span: (span[0], -span[1]))
    apart = [span for at, span in enumerate(spans) if all(span[0] >= other[1] for other in spans[:at])]
    rng.shuffle(phrases)
    return _alias(rng, "; ".join(phrases), tuple(apart))


def _neighbour(sentence: str, rng: random.Random) -> Rule | None:
    """The run of content words that follows, or comes before, a given function word."""
    word, after = rng.choice(NEIGHBOURS), rng.random() < 0.6
    spans = []
    for start, end in _runs(sentence, _is_content, 1, 5):
        near = sentence[:start].rstrip() if after else sentence[end:].lstrip()
        beside = re.search(r"[\w-]+$", near) if after else re.match(r"[\w-]+", near)
        if beside is not None and beside.group().lower() == word:
            spans.append((start, end))
    return _alias(rng, f"after {word}" if after else f"before {word}", tuple(spans))


_MAKERS: Final[tuple[Callable[[str, random.Random], Rule | None], ...]] = (_form, _affix, _named, _neighbour)
_MAKER_WEIGHTS: Final = (40, 15, 35, 10)
