# SPDX-License-Identifier: Apache-2.0
"""Rows of JSON in which one value is missing or of another kind: each is an outcome, never a crash."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from fedmed_desktop.clinical.readers import Reader
from fedmed_desktop.clinical.readers.bioc import BiocJsonReader
from fedmed_desktop.clinical.readers.doccano import DOCCANO
from fedmed_desktop.clinical.readers.jsonl import OWN
from fedmed_desktop.clinical.readers.label_studio import LABEL_STUDIO
from fedmed_desktop.clinical.readers.prodigy import PRODIGY
from fedmed_desktop.clinical.readers.shape import JsonReader

Steps = tuple[str | int, ...]

TEXT: Final = "Aspirin helped"
LABELS: Final = [{"start": 0, "end": 7, "labels": ["d"]}, {"start": 8, "end": 14, "labels": ["d"]}]
ROWS: Final[dict[str, dict[str, Any]]] = {
    "own": {
        "id": "a", "text": TEXT, "codes": ["E11.9"], "question": "q", "options": ["a", "b"], "answer": 1,
        "summary": "s", "patient": "p", "document": "d", "specialty": "s", "tasks": ["entities"], "split": "train",
        "entities": [
            {"id": "T1", "start": 0, "end": 7, "type": "d", "text": "Aspirin", "fragments": [[0, 3], [4, 7]]},
            {"id": "T2", "start": 8, "end": 14, "type": "e", "text": "helped"},
        ],
        "relations": [{"head": "T1", "tail": "T2", "type": "x"}],
    },
    "doccano": {"id": 1, "text": TEXT, "label": [[0, 7, "d"]], "Comments": []},
    "doccano with relations": {
        "id": 1, "text": TEXT, "Comments": [], "relations": [{"id": 1, "from_id": 3, "to_id": 4, "type": "x"}],
        "entities": [
            {"id": 3, "start_offset": 0, "end_offset": 7, "label": "d"},
            {"id": 4, "start_offset": 8, "end_offset": 14, "label": "e"},
        ],
    },
    "prodigy": {
        "text": TEXT, "_input_hash": 1, "_task_hash": 2, "answer": "accept", "meta": {"id": 3},
        "spans": [{"start": 0, "end": 7, "label": "d", "token_start": 0, "token_end": 0}],
        "tokens": [{"text": "Aspirin", "start": 0, "end": 7, "id": 0}, {"text": "helped", "start": 8, "end": 14}],
        "relations": [{"head": 0, "child": 1, "label": "x", "head_span": {"start": 0, "end": 7}}],
    },
    "label studio": {
        "id": 1, "data": {"text": TEXT},
        "annotations": [{"was_cancelled": False, "ground_truth": False, "result": [
            {"id": "r", "type": "labels", "value": LABELS[0]}, {"id": "q", "type": "labels", "value": LABELS[1]},
            {"type": "relation", "from_id": "r", "to_id": "q", "labels": ["x"], "direction": "right"},
        ]}],
    },
    "label studio, short": {"id": 1, "text": TEXT, "label": LABELS, "annotation_id": 3, "annotator": 1},
    "bioc": {
        "id": "1", "infons": {"split": "train"}, "annotations": [],
        "passages": [{
            "offset": 0, "infons": {}, "text": TEXT,
            "sentences": [{"offset": 0, "text": "Aspirin", "infons": {}, "annotations": [], "relations": []}],
            "annotations": [
                {"id": "T1", "infons": {"type": "d", "x": "D1"}, "locations": [{"offset": 0, "length": 7}]},
                {"id": "T2", "infons": {"type": "e", "x": "D2"}, "locations": [{"offset": 8, "length": 6}]},
            ],
            "relations": [{"id": "R", "infons": {"type": "x"}, "nodes": [{"refid": "T1"}, {"refid": "T2"}]}],
        }],
        "relations": [{"id": "R", "infons": {"type": "x", "a": "D1", "b": "D2"}, "nodes": []}],
    },
}  # fmt: skip
OTHERS: Final[tuple[Any, ...]] = (None, True, -1, 1.5, 10**30, "", "x", [], {}, [1], ["x"], {"a": 1}, [[]], {"id": []})
_MISSING: Final = object()


def places(value: Any, steps: Steps = ()) -> Iterator[Steps]:
    if steps:
        yield steps
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*steps, key))


def changed(row: dict[str, Any], steps: Steps, value: object) -> dict[str, Any]:
    whole = copy.deepcopy(row)
    inner: Any = whole
    for step in steps[:-1]:
        inner = inner[step]
    if value is _MISSING:
        del inner[steps[-1]]
    else:
        inner[steps[-1]] = value
    return whole


@pytest.mark.parametrize("name", ROWS)
def test_that_a_value_that_is_missing_or_of_another_kind_is_an_outcome(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    rows = [changed(row, steps, value) for steps in places(row) for value in (*OTHERS, _MISSING)]
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in (row, *rows)), encoding="utf-8")
    shapes = (LABEL_STUDIO, PRODIGY, DOCCANO, OWN)
    reader: Reader = BiocJsonReader() if name == "bioc" else JsonReader(OWN, shapes)
    first, *others = reader.read(path)
    assert first.note is not None and len(others) == len(rows)
    for record in others:
        assert record.note is not None or record.remarks
        for entity in record.note.entities if record.note else ():
            assert record.note is not None and record.note.text[entity.start : entity.end] == entity.text
