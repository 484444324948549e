# SPDX-License-Identifier: Apache-2.0
"""Rows with our own keys, those of Note: in JSON lines, or as the elements of a JSON list."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from ...scores import TaskName
from ..notes import Entity, Relation
from .json_values import Row
from .mentions import Link, Marked, reason_of_fields
from .offsets import Mention
from .record import Refused
from .shape import Shape, fields_of, needed

_ENTITIES: Final = TypeAdapter(tuple[Entity, ...])
_LOOKED_FOR: Final[frozenset[TaskName]] = frozenset({"entities", "relations"})  # their keys have the same names
_RELATIONS: Final = TypeAdapter(tuple[Relation, ...])


def _marked(row: Row, number: int) -> Marked:
    needed(row, "id", "text")
    entities = _checked(_ENTITIES, row.get("entities", ()), "entities")
    relations = _checked(_RELATIONS, row.get("relations", ()), "relations")
    mentions = [Mention(one.id, one.start, one.end, one.type, one.text, one.fragments or ()) for one in entities]
    links = [Link(one.head, one.tail, one.type) for one in relations]
    return Marked(fields_of(row), mentions, links, looked_for=_LOOKED_FOR & row.keys())


def _checked(adapter: TypeAdapter[tuple[Any, ...]], value: object, key: str) -> tuple[Any, ...]:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise Refused("malformed", reason_of_fields(error, key)) from None


OWN: Final = Shape("JSON lines", lambda row: True, _marked, frozenset())
