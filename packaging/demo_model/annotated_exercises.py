# SPDX-License-Identifier: Apache-2.0
"""Mark-up exercises from the annotated training lines of Chia (eligibility criteria, CC BY 4.0).

They show the model that conditions and medicines are kinds of things, as any base model of use has learned. The class
names differ from those of the demonstration's sites, and no text or annotation of the sites' corpora is used here.
"""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from markup_exercises import Exercise, Span, as_json, mark_up
from open_texts import held_out_sentences, normalised_sentences

CLASSES: Final = {"Condition": "condition", "Drug": "medicine", "Measurement": "measurement", "Procedure": "procedure"}


@dataclass(frozen=True)
class AnnotatedLine:
    """A line of a document and its outermost spans with their class; spans are in order and do not overlap."""

    text: str
    spans: tuple[tuple[Span, str], ...]


def annotated_lines(data: Path) -> list[AnnotatedLine]:
    """Lines of 6 to 60 words of Chia's training split that stand in no held-out document. Raises FileNotFoundError."""
    held = held_out_sentences(data)
    found: list[AnnotatedLine] = []
    with gzip.open(data / "ner_re/chia.jsonl.gz", "rt", encoding="utf-8") as rows:
        for row in map(json.loads, rows):
            if row["split"] == "train":
                found += [line for line in _lines(row) if held.isdisjoint(normalised_sentences(line.text))]
    return found


def annotated_exercise(line: AnnotatedLine, rng: random.Random) -> Exercise:
    """The line with one to three classes asked for: two thirds mark-up, one third JSON."""
    present = sorted({name for _, name in line.spans})
    absent = sorted(set(CLASSES.values()) - set(present))
    asked = sorted(
        {
            *rng.sample(present, rng.randint(min(1, len(present)), len(present))),
            *rng.sample(absent, min(1, len(absent))),
        }
    )
    marked = [(span, name) for span, name in line.spans if name in asked]
    task, answer = (
        ("json", as_json(line.text, marked)) if rng.random() < 1 / 3 else ("markup", mark_up(line.text, marked))
    )
    prompt = f"### Task: {task}\n### Classes: {', '.join(asked)}\n### Input: {line.text}\n### Output:"
    return Exercise(prompt, answer, line.text)


def _lines(row: dict[str, Any]) -> list[AnnotatedLine]:
    entities = [e for e in row["entities"] if e["type"] in CLASSES and "fragments" not in e]
    lines, start = [], 0
    for part in row["text"].split("\n"):
        text, left = part.strip(), start + len(part) - len(part.lstrip())
        inside = [e for e in entities if left <= e["start"] and e["end"] <= left + len(text)]
        if 6 <= len(text.split()) <= 60 and not any(mark in text for mark in ("<", ">", "###", "\t")):
            lines.append(AnnotatedLine(text, _outermost(inside, left)))
        start += len(part) + 1
    return lines


def _outermost(entities: list[dict[str, Any]], left: int) -> tuple[tuple[Span, str], ...]:
    kept: list[tuple[Span, str]] = []
    for entity in sorted(entities, key=lambda e: (e["start"] - e["end"], e["start"])):
        span = (entity["start"] - left, entity["end"] - left)
        if all(span[1] <= other[0] or other[1] <= span[0] for other, _ in kept):
            kept.append((span, CLASSES[entity["type"]]))
    return tuple(sorted(kept))
