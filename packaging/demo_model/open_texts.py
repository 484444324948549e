# SPDX-License-Identifier: Apache-2.0
"""The openly licensed texts the demo model may read, without anything that it will later be scored on.

Only texts are taken, never entities, relations, answers or codes. MACCROBAT and CodiEsp are not on the list at all.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SCORED: Final = ("bc5cdr", "ncbi_disease", "phee")
MIN_SHARED_WORDS: Final = 8
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9(\[])|\s*\n+\s*")
_WORD: Final = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class Corpus:
    """Place of a corpus' texts: file (without .jsonl.gz), fields read, splits allowed (None: all), and its weight."""

    file: str
    fields: tuple[str, ...]
    splits: frozenset[str] | None
    weight: int
    exercises: bool = True


TRAIN: Final = frozenset({"train"})
CORPORA: Final = (
    Corpus("text/openstax_nursing", ("text",), None, 1, exercises=False),
    Corpus("text/aci_bench", ("text",), TRAIN, 1, exercises=False),
    Corpus("mtsamples", ("text",), None, 1),
    Corpus("medqa/medquad", ("question", "answer"), None, 1),
    Corpus("medqa/pubmedqa", ("context",), TRAIN, 2),
    Corpus("ner_re/bc5cdr", ("text",), TRAIN, 2),
    Corpus("ner_re/ncbi_disease", ("text",), TRAIN, 2),
    Corpus("ner_re/phee", ("text",), TRAIN, 2),
    Corpus("ner_re/chia", ("text",), TRAIN, 2, exercises=False),
)


@dataclass(frozen=True)
class Text:
    """One document's text; `weight` is how often it is read, `exercises` whether its sentences become exercises."""

    corpus: str
    text: str
    weight: int
    exercises: bool


def sentences(text: str) -> list[str]:
    """Sentences by a plain rule (end mark, blank, capital or digit; or a line end), each without outer blanks."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part and part.strip()]


def normalised_sentences(text: str) -> set[str]:
    """Sentences of at least MIN_SHARED_WORDS words as lower-case words only, so that blanks and marks do not matter."""
    found = (_WORD.findall(sentence.lower()) for sentence in sentences(text))
    return {" ".join(words) for words in found if len(words) >= MIN_SHARED_WORDS}


def held_out_sentences(data: Path) -> set[str]:
    """Every normalised sentence of a document of the scored corpora that is not in their training split."""
    held: set[str] = set()
    for name in SCORED:
        for row in _rows(data / f"ner_re/{name}.jsonl.gz"):
            if row["split"] != "train":
                held |= normalised_sentences(row["text"])
    return held


def read_texts(data: Path) -> tuple[list[Text], int]:
    """All allowed texts under `data`, and how many were dropped for a sentence shared with a held-out document.

    Raises FileNotFoundError when a corpus file is missing.
    """
    held = held_out_sentences(data)
    kept: list[Text] = []
    dropped = 0
    for corpus in CORPORA:
        for row in _rows(data / f"{corpus.file}.jsonl.gz"):
            if corpus.splits is not None and row["split"] not in corpus.splits:
                continue
            text = "\n".join(row[field] for field in corpus.fields)
            if held.isdisjoint(normalised_sentences(text)):
                kept.append(Text(corpus.file, text, corpus.weight, corpus.exercises))
            else:
                dropped += 1
    return kept, dropped


def exercise_sentences(texts: list[Text], shortest: int = 8, longest: int = 60) -> dict[int, list[str]]:
    """Single sentences of `shortest` to `longest` words for exercises, without repeats, grouped by their weight."""
    groups: dict[int, dict[str, None]] = {}
    for text in texts:
        if not text.exercises:
            continue
        for sentence in sentences(text.text):
            clean = not any(mark in sentence for mark in ("<", ">", "###", "\t"))
            if clean and shortest <= len(sentence.split()) <= longest:
                groups.setdefault(text.weight, {})[sentence] = None
    return {weight: list(found) for weight, found in groups.items()}


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
