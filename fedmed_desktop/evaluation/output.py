# SPDX-License-Identifier: Apache-2.0
"""Files of an evaluation: scores as JSON, and predictions as JSON lines and as BRAT folders, for reading errors.

Predictions hold the notes' own words: the folder is private, and stays at the site.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..clinical import Note, Span
from ..clinical.readers.brat_folder import with_spans, write_brat
from ..clinical.tasks import Prediction
from ..files import make_folder, write_durably
from .run import NoteResult
from .table import Comparison, ScoreRow

SCORES_FILE: Final = "scores.json"


def write_evaluation(
    folder: Path,
    about: Mapping[str, object],
    results: Mapping[str, Sequence[NoteResult]],
    rows: Mapping[str, Sequence[ScoreRow]],
    differences: Mapping[str, Sequence[Comparison]],
) -> list[Path]:
    """Writes `scores.json` and, for each evaluated model by its name, predictions; returns what it wrote.

    `<name>.jsonl` has one line per note and task, `<name>-brat` the predicted and `gold-brat` the notes' own mentions.
    Raises UserFacingError where the disk is full or the folder cannot be written.
    """
    make_folder(folder)
    written = [folder / SCORES_FILE]
    content = {
        **about,
        "scores": {name: [_plain_row(row) for row in found] for name, found in rows.items()},
        "differences": {name: [_plain_difference(one) for one in found] for name, found in differences.items()},
    }
    write_durably(written[0], (json.dumps(content, indent=2) + "\n").encode())
    for name, found in results.items():
        path = folder / f"{name}.jsonl"
        lines = "".join(json.dumps(_plain_result(one), ensure_ascii=False) + "\n" for one in found)
        write_durably(path, lines.encode())
        written.append(path)
        if marked := _marked(found):
            write_brat(folder / f"{name}-brat", marked)
            written.append(folder / f"{name}-brat")
    first = next(iter(results.values()), ())
    if notes := [note for note in _notes(first) if note.entities]:
        write_brat(folder / "gold-brat", notes)
        written.append(folder / "gold-brat")
    return written


def _notes(results: Iterable[NoteResult]) -> list[Note]:
    return list({one.note.id: one.note for one in results}.values())


def _marked(results: Iterable[NoteResult]) -> list[Note]:
    """The notes with what was predicted: mentions, and modifiers with their links."""
    found: dict[str, tuple[Note, list[Prediction]]] = {}
    for one in results:
        if one.task in ("entities", "relations"):
            found.setdefault(one.note.id, (one.note, []))[1].append(one.prediction)
    return [_with(note, predictions) for note, predictions in found.values()]


def _with(note: Note, predictions: Sequence[Prediction]) -> Note:
    links = [link for prediction in predictions for link in prediction.links]
    mentions = {span for prediction in predictions for span in prediction.spans}
    return with_spans(note, sorted(mentions | {end for link in links for end in link}), links)


def _plain_result(one: NoteResult) -> dict[str, Any]:
    """A line of the predictions: what was said, beside what the note has."""
    prediction, text = one.prediction, one.note.text
    line: dict[str, Any] = {"id": one.note.id, "task": one.task, "document": one.document}
    if one.task in ("entities", "relations"):
        line["predicted"] = [_plain_span(span, text) for span in prediction.spans]
        line["links"] = [[_plain_span(end, text) for end in link] for link in prediction.links]
        line["gold"] = [_plain_span(entity.span, text) for entity in one.note.entities]
        spans = {entity.id: entity.span for entity in one.note.entities}
        gold = [(spans[relation.head], spans[relation.tail]) for relation in one.note.relations]
        line["gold_links"] = [[_plain_span(end, text) for end in link] for link in gold]
    if one.task == "codes":
        line["predicted"] = [code for code, _ in prediction.codes[: prediction.chosen]]
        line["ranked"] = [[code, round(score, 4)] for code, score in prediction.codes]
        line["gold"] = list(one.note.codes or ())
    if one.task == "questions":
        line |= {"predicted": prediction.option, "gold": one.note.answer}
    if one.task == "summaries":
        line |= {"predicted": prediction.text, "gold": one.note.summary}
    line["scores"] = one.scores.summary()
    return line


def _plain_span(span: Span, text: str) -> dict[str, object]:
    return {"start": span.start, "end": span.end, "type": span.type, "text": text[span.start : span.end]}


def _plain_row(row: ScoreRow) -> dict[str, object]:
    counts = row.counts.model_dump() if row.counts else {}
    return {
        **row.key._asdict(),
        "value": round(row.value, 6),
        "interval": row.interval and [round(edge, 6) for edge in row.interval],
        "support": row.support,
        **counts,
    }


def _plain_difference(one: Comparison) -> dict[str, object]:
    return {
        **one.key._asdict(),
        "difference": round(one.difference, 6),
        "interval": one.interval and [round(edge, 6) for edge in one.interval],
        "clear": one.is_clear,
    }
