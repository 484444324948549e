# SPDX-License-Identifier: Apache-2.0
"""Rows of doccano: `label` with [start, end, type], or `entities` and `relations`; their offsets count characters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from .json_values import Row
from .mentions import ENTITIES, Link, Marked
from .offsets import Mention
from .record import Refused
from .shape import Shape, fields_of, name_of, needed

_LABELS: Final = ("label", "labels")


def _fits(row: Row) -> bool:
    """A class of the whole note is a string, or a list of strings: no mark of doccano's, and not read."""
    if _key_of_labels(row):
        return True
    entities = row.get("entities")
    if not isinstance(entities, list):
        return False
    return _key_of_text(row) != "text" or any(isinstance(one, dict) and "start_offset" in one for one in entities)


def _key_of_text(row: Row) -> str:
    """The key of the text, which versions of 2021 wrote as `data`."""
    return "data" if "text" not in row and isinstance(row.get("data"), str) else "text"


def _key_of_labels(row: Row) -> str | None:
    if row.get("entities") not in (None, []):
        return None
    return next((key for key in _LABELS if _is_marks(row.get(key))), None)


def _is_marks(value: object) -> bool:
    """True for a list of marks; an empty one is how doccano says that there are none."""
    return isinstance(value, list) and (not value or not all(isinstance(one, str) for one in value))


def _marked(row: Row, number: int) -> Marked:
    text = _key_of_text(row)
    needed(row, text)
    data = {"id": str(number), **fields_of(row), "text": row[text]}
    if key := _key_of_labels(row):
        return Marked(data, list(_from_labels(row[key], key)), looked_for=ENTITIES)
    relations = row.get("relations") or []
    if not isinstance(relations, list):
        raise Refused("malformed", "'relations' is not a list")
    mentions = [_from_entity(one, at) for at, one in enumerate(row["entities"], 1)]
    return Marked(data, mentions, [_link(one, at) for at, one in enumerate(relations, 1)], looked_for=ENTITIES)


def _from_labels(labels: list[Any], key: str) -> Iterator[Mention]:
    for number, label in enumerate(labels, 1):
        match label:
            case [int(start), int(end), str(kind)]:
                yield Mention(f"T{number}", start, end, kind)
            case _:
                raise Refused("malformed", f"'{key}' {number} is not [start, end, type], as doccano writes it")


def _from_entity(entity: object, number: int) -> Mention:
    match entity:
        case {"start_offset": int(start), "end_offset": int(end), "label": str(kind), **more}:
            name = str(name_of(more.get("id", f"T{number}")))
            return Mention(name, start, end, kind)
    raise Refused("malformed", f"entity {number} lacks a number start_offset or end_offset, or a label")


def _link(relation: object, number: int) -> Link:
    match relation:
        case {"from_id": int() | str() as head, "to_id": int() | str() as tail, "type": str(kind)}:
            return Link(str(head), str(tail), kind)
    raise Refused("malformed", f"relation {number} lacks from_id, to_id or type")


DOCCANO: Final = Shape("doccano", _fits, _marked, frozenset((*_LABELS, "data", "Comments", "comments", "cats", "meta")))
