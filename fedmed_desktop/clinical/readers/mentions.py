# SPDX-License-Identifier: Apache-2.0
"""A note from what a format says about it: the one place that decides what becomes of unusual mentions.

Offsets are proved, blanks at edges are trimmed, mentions of nothing and repeated ones are dropped; overlapping, nested
and discontinuous ones are kept. Each is remarked on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from ...scores import TASKS, TaskName
from ..notes import Entity, Note
from .offsets import Mention, Witness, anchor, entities
from .record import Refused, Remark, RemarkCode

# The validator's kinds of error in words for who wrote the file, who knows neither Python nor the validator.
_WRONG: Final[Mapping[str, str]] = {
    "missing": "it is missing",
    "string_type": "it must be text",
    "int_type": "it must be a whole number",
    "tuple_type": "it must be a list",
    "model_type": "it must be an object with keys",
    "model_attributes_type": "it must be an object with keys",
    "literal_error": "it must be {expected}",
    "string_too_short": "it must not be empty",
    "string_too_long": "it must not be longer than {max_length} characters",
    "string_unicode": "it holds half a surrogate pair",
    "too_long": "it must not have more than {max_length} values",
}

ENTITIES: Final[tuple[TaskName, ...]] = ("entities",)
"""What a note was looked through for by an annotation of mentions."""


class Link(NamedTuple):
    """A relation as a format has it, by ids of mentions."""

    head: str
    tail: str
    type: str


@dataclass
class Marked:
    """A note as a format has it: `data` holds the note's fields but for its entities and relations.

    `looked_for`: what the note was read for even if nothing was found, since the format has a place for it there.
    """

    data: dict[str, Any]
    mentions: Sequence[Mention] = ()
    relations: Sequence[Link] = ()
    witnesses: Sequence[Witness] = ()
    remarks: list[Remark] = field(default_factory=list)
    looked_for: Collection[TaskName] = ()


def annotated(marked: Marked) -> tuple[Note, tuple[Remark, ...]]:
    """The note with its entities and relations, and what was remarked on. Raises Refused."""
    text = marked.data.get("text")
    if isinstance(text, str) and not text.strip():
        raise Refused("empty_text")
    if not isinstance(text, str) or not _whole(text):
        return validated(marked.data), ()  # raises, and says what is wrong with the text
    placed, remarks = anchor(text, marked.mentions, marked.witnesses)
    kept, instead = _kept(text, placed, remarks)
    relations = _relations(marked.relations, instead, remarks)
    data = {**marked.data, "entities": [_entity(one) for one in kept], "relations": relations}
    if not kept and data.get("tasks") is None:
        # Else nothing would tell a note that nobody has annotated from one in which there was nothing to mark.
        data["tasks"] = _annotated_for(data, marked.looked_for)
    note = validated(data)
    remarks += _arrangement(note.entities)
    return note, (*marked.remarks, *remarks)


def _annotated_for(data: Mapping[str, Any], looked_for: Collection[TaskName]) -> tuple[TaskName, ...]:
    """Tasks of a note without mentions: those that it was read for, and those whose labels it has."""
    keys: Mapping[TaskName, str] = {"codes": "codes", "questions": "answer", "summaries": "summary"}
    there = {task for task, key in keys.items() if data.get(key) is not None}
    return tuple(task for task in TASKS if task in there or task in looked_for)


def _whole(text: str) -> bool:
    """False with half a surrogate pair, which JSON can escape."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def validated(data: Mapping[str, Any]) -> Note:
    """The note of these fields. Raises Refused with the first that is wrong."""
    try:
        return Note.model_validate(data)
    except ValidationError as error:
        raise Refused("malformed", reason_of_fields(error)) from None


def reason_of_fields(error: ValidationError, *within: str) -> str:
    """The first error and its place: what was expected, without the input."""
    first = error.errors(include_url=False, include_input=False)[0]
    # Entities are counted from 1 in every message.
    where = " ".join(str(part + 1) if isinstance(part, int) else part for part in (*within, *first["loc"]))
    what = first["msg"].removeprefix("Value error, ")  # one of ours, if it is a value error
    if first["type"] != "value_error":
        what = _WRONG.get(first["type"], "it is not as it must be").format(**first.get("ctx", {}))
    return f"{where}: {what}" if where else what


def _entity(mention: Mention) -> dict[str, Any]:
    return {
        "id": mention.id,
        "start": mention.start,
        "end": mention.end,
        "type": mention.type,
        "text": mention.text,
        "fragments": mention.fragments or None,
    }


def _kept(text: str, placed: Sequence[Mention], remarks: list[Remark]) -> tuple[list[Mention], dict[str, str | None]]:
    """The mentions that stay, trimmed; of the others, which one stands in their place, or None."""
    kept: list[Mention] = []
    instead: dict[str, str | None] = {}
    first: dict[tuple[object, ...], str] = {}
    seen: dict[RemarkCode, list[int]] = {}
    for number, mention in enumerate(placed, 1):
        trimmed = _trimmed(text, mention)
        if not trimmed:
            code: RemarkCode = "zero_length_dropped" if mention.start == mention.end else "only_blanks_dropped"
            seen.setdefault(code, []).append(number)
            instead[mention.id] = None
            continue
        if (trimmed.start, trimmed.end) != (mention.start, mention.end):
            seen.setdefault("blanks_trimmed", []).append(number)
        same = first.setdefault((trimmed.start, trimmed.end, trimmed.type, trimmed.fragments), trimmed.id)
        if same != trimmed.id:
            seen.setdefault("repeated_mention_dropped", []).append(number)
            instead[trimmed.id] = same
        else:
            kept.append(trimmed)
    remarks += [Remark(code, entities(numbers), len(numbers)) for code, numbers in seen.items()]
    return kept, instead


def _trimmed(text: str, mention: Mention) -> Mention | None:
    """The mention without blanks at its edges and at those of its fragments; None if nothing is left."""
    start, end = _without_blanks(text, mention.start, mention.end)
    if start == end:
        return None
    if (start, end) == (mention.start, mention.end) and not mention.fragments:
        return mention
    inside = ((max(first, start), min(last, end)) for first, last in mention.fragments)
    fragments = tuple(
        (first, last)
        for first, last in (_without_blanks(text, *one) for one in inside if one[0] < one[1])
        if first < last
    )
    return replace(mention, start=start, end=end, text=text[start:end], fragments=fragments)


def _without_blanks(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _relations(
    relations: Sequence[Link], instead: Mapping[str, str | None], remarks: list[Remark]
) -> list[dict[str, str]]:
    """The relations between mentions that stay. An end that never was is the note's to refuse."""
    found = [
        Link(instead.get(one.head, one.head) or "", instead.get(one.tail, one.tail) or "", one.type)
        for one in relations
    ]
    there = [one for one in found if one.head and one.tail]
    kept = list(dict.fromkeys(there))
    counts: tuple[tuple[RemarkCode, int], ...] = (
        ("relation_dropped", len(found) - len(there)),
        ("repeated_relation_dropped", len(there) - len(kept)),
    )
    remarks += [Remark(code, "", count) for code, count in counts if count]
    return [one._asdict() for one in kept]


def _arrangement(found: Iterable[Entity]) -> list[Remark]:
    """Counts how many mentions lie inside another or partly over it, or are in several parts."""
    furthest = nested = overlapping = parted = 0
    for entity in sorted(found, key=lambda one: (one.start, -one.end)):
        parted += entity.discontinuous
        if entity.end <= furthest:
            nested += 1
        elif entity.start < furthest:
            overlapping += 1
        furthest = max(furthest, entity.end)
    counts: tuple[tuple[RemarkCode, int], ...] = (
        ("discontinuous_kept", parted),
        ("nested_kept", nested),
        ("overlapping_kept", overlapping),
    )
    return [Remark(code, "", count) for code, count in counts if count]
