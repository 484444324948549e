# SPDX-License-Identifier: Apache-2.0
"""Rows of Prodigy: `spans` in the text, `relations` between them, and what the annotator thought of the row.

Only accepted rows are read. Prodigy repeats a text for each of its annotators and gives rows no name of their own, so a
row's number is its id, or ends it where a name is repeated, and the text's hash says which rows belong together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from .json_values import Row
from .mentions import ENTITIES, Link, Marked
from .offsets import Mention, Witness
from .record import Refused, Remark
from .shape import Shape, fields_of, name_of, needed

_HASHES: Final = ("_input_hash", "_task_hash")
_READ: Final = (
    *_HASHES, "answer", "spans", "tokens", "meta", "relations",
    # how it was shown, and by whom it was judged
    "_session_id", "_annotator_id", "_view_id", "_is_binary", "_timestamp", "html", "view_id", "config",
)  # fmt: skip


def _fits(row: Row) -> bool:
    if row.get("entities"):
        return False
    spans = row.get("spans")
    marked = isinstance(spans, list) and any(isinstance(span, dict) and "label" in span for span in spans)
    return marked or any(key in row for key in _HASHES)


def _marked(row: Row, number: int) -> Marked:
    answer = row.get("answer", "accept")
    if answer != "accept":
        if answer in ("reject", "ignore"):
            raise Refused("not_accepted", f"answer: {answer}")
        raise Refused("malformed", "'answer' is none of accept, reject, ignore")
    needed(row, "text")
    data = {"id": str(number), **fields_of(row, "answer", "options")}
    if "_input_hash" in row:
        data.setdefault("document", name_of(row["_input_hash"]))
    mentions = [_mention(span, at) for at, span in enumerate(_list(row, "spans"), 1)]
    links, remarks = _links(row, mentions)
    return Marked(data, mentions, links, list(_tokens(row)), remarks, ENTITIES if "spans" in row else ())


def _list(row: Row, key: str) -> list[Any]:
    value = row.get(key)
    if value is not None and not isinstance(value, list):
        raise Refused("malformed", f"'{key}' is not a list")
    return value or []


def _mention(span: object, number: int) -> Mention:
    match span:
        case {"start": int(start), "end": int(end), "label": str(kind), **more}:
            words = more.get("text")
            return Mention(f"T{number}", start, end, kind, words if isinstance(words, str) else None)
    raise Refused("malformed", f"span {number} lacks a number start or end, or a label")


def _links(row: Row, mentions: list[Mention]) -> tuple[list[Link], list[Remark]]:
    """Relations name their ends by whole spans; one between words that are no marked span is left out."""
    names = {(one.start, one.end, one.type): one.id for one in reversed(mentions)}
    ends = {(one.start, one.end): one.id for one in reversed(mentions)}
    links, left_out = list[Link](), 0
    for number, relation in enumerate(_list(row, "relations"), 1):
        if not (isinstance(relation, dict) and isinstance(relation.get("label"), str)):
            raise Refused("malformed", f"relation {number} lacks a label")
        head, tail = (_end(relation.get(key), names, ends) for key in ("head_span", "child_span"))
        if head and tail:
            links.append(Link(head, tail, relation["label"]))
        else:
            left_out += 1
    return links, [Remark("relation_dropped", "", left_out)] if left_out else []


def _end(span: object, names: dict[tuple[int, int, str], str], ends: dict[tuple[int, int], str]) -> str | None:
    match span:
        case {"start": int(start), "end": int(end), **more}:
            kind = more.get("label")
            return names.get((start, end, kind)) if isinstance(kind, str) and kind else ends.get((start, end))
    return None


def _tokens(row: Row) -> Iterator[Witness]:
    for token in _list(row, "tokens"):
        match token:
            case {"start": int(start), "end": int(end), "text": str(words)}:
                yield Witness(start, end, words)


PRODIGY: Final = Shape("Prodigy", _fits, _marked, frozenset(_READ), repeats=True)
