# SPDX-License-Identifier: Apache-2.0
"""Notes from the rows of a table, whatever kind of file it was in."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from hashlib import blake2b
from string import ascii_uppercase
from typing import Any, Final, Literal

from .columns import Columns
from .mentions import Link, Marked, annotated
from .offsets import Mention
from .record import Record, Refused, Remark
from .shape import split_of

Row = tuple[int, Sequence[object] | str]
"""The number of a row as a person sees it, and its cells in the header's order, or why it cannot be read."""

_MOST_CHARACTERS: Final = 16 * 2**20
_CODE: Final = re.compile(r"([A-Z][0-9][0-9A-Z])\.?([0-9A-Z]{0,4})")
_BETWEEN_CODES: Final = re.compile(r"[;,|\n]")
_BETWEEN_OPTIONS: Final = re.compile(r"[|;\n]")
_LOOKED_FOR: Final[tuple[Literal["entities", "relations"], ...]] = ("entities", "relations")
_ANSWERS: Final = (
    "the right option's words or its letter (A, B and so on), or use JSON lines, where 'answer' is its number from 0"
)
_YES_NO_MAYBE: Final = ("yes", "no", "maybe")


def records(file: str, columns: Columns, header: Sequence[str], rows: Iterable[Row]) -> Iterator[Record]:
    """A record for each note. Rows that follow each other with one id, one text and a code each are one note."""
    table = _Table(file, columns, header)
    pending: _Pending | None = None
    for row, cells in rows:
        try:
            if isinstance(cells, str):
                raise Refused("malformed", cells)
            new = table.pending(row, cells)
        except Refused as refused:
            if pending:
                yield table.record(pending)
                pending = None
            yield Record(file, row, None, (refused.remark,))
            continue
        if pending and pending.goes_on(new):
            pending.add(new)
            continue
        if pending:
            yield table.record(pending)
        pending = new
    if pending:
        yield table.record(pending)


def cell(value: object) -> str:
    """A cell as a person reads it there: whole numbers without ".0", dates as ISO writes them, nothing as ""."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return str(value).lower()
        case float():
            return "" if math.isnan(value) else str(int(value)) if value.is_integer() else str(value)
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case date() | time():
            return value.isoformat()
        case bytes():
            raise Refused("malformed", "a cell holds bytes, not text")
        case list() | dict():
            raise Refused("malformed", "a cell holds several values, not text")
    return str(value)


@dataclass
class _Pending:
    """A note that the next row may add codes to."""

    row: int
    marked: Marked
    split: Literal["train", "validation", "test"] | None
    named: bool
    rows: int = 1

    @property
    def codes(self) -> list[str] | None:
        codes: list[str] | None = self.marked.data["codes"]
        return codes

    def goes_on(self, new: _Pending) -> bool:
        mine, other = self.marked.data, new.marked.data
        same = mine["text"] == other["text"] and (mine["id"] == other["id"] if self.named else not new.named)
        return same and self.codes is not None and new.codes is not None and mine["question"] == other["question"]

    def add(self, new: _Pending) -> None:
        self.marked.data["codes"] = list(dict.fromkeys([*(self.codes or ()), *(new.codes or ())]))
        self.marked.remarks += new.marked.remarks
        self.rows += 1


@dataclass
class _Table:
    file: str
    columns: Columns
    header: Sequence[str]
    _rows: dict[bytes, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._at = {name: number for number, name in reversed(list(enumerate(self.header)))}

    def pending(self, row: int, cells: Sequence[object]) -> _Pending:
        """The note that a row begins or adds to. Raises Refused."""
        values = {role: cells[self._at[name]] for role, name in self.columns.roles() if role != "options"}
        plain = {role: cell(value) for role, value in values.items() if role not in ("codes", "entities", "relations")}
        text, question = plain.get("text") or "", plain.get("question") or None
        if self.columns.text is None:
            text, question = question or "", None
        if len(text) > _MOST_CHARACTERS:
            raise Refused("too_long", f"{_MOST_CHARACTERS // 2**20} million characters")
        name = plain.get("id", "").strip()
        # Files in folders may have one name; the row tells notes of one file apart.
        data: dict[str, Any] = {"id": name or f"{self.file}:{row}", "text": text, "question": question}
        data |= {role: plain.get(role, "").strip() or None for role in ("patient", "document", "specialty", "summary")}
        marked = Marked(data)
        data["codes"] = self._codes(values["codes"], marked) if "codes" in values else None
        self._choices(cells, plain.get("answer", "").strip(), marked)
        marked.mentions, marked.relations = _annotation(values.get("entities"), values.get("relations"), text)
        # As with codes, an empty cell does not say that there are none; an empty list does.
        marked.looked_for = [role for role in _LOOKED_FOR if _is_filled(values.get(role))]
        named, split = plain.get("split", "").strip(), split_of(plain.get("split"))
        if named and split is None:
            marked.remarks.append(Remark("key_not_read", f"{self.columns.split}: not train, validation or test"))
        return _Pending(row, marked, split, bool(name))

    def record(self, pending: _Pending) -> Record:
        """The note, or why there is none."""
        try:
            if pending.named:
                # Eight bytes, as the table may have millions of rows with long ids.
                mark = blake2b(pending.marked.data["id"].encode(errors="replace"), digest_size=8).digest()
                first = self._rows.setdefault(mark, pending.row)
                if first != pending.row:
                    raise Refused("repeated_id", f"row {first}")
            pending.marked.data["codes"] = pending.codes or None
            note, remarks = annotated(pending.marked)
        except Refused as refused:
            return Record(self.file, pending.row, None, (refused.remark,), pending.split)
        return Record(self.file, pending.row, note, remarks, pending.split)

    def _codes(self, value: object, marked: Marked) -> list[str] | None:
        """ICD-10-CM codes, dotted; None for an empty cell, which does not say that there are none."""
        found = value if isinstance(value, list) else _listed(cell(value), _BETWEEN_CODES)
        codes: list[str] = []
        strange = 0
        for part in filter(None, (_bare(cell(one)) for one in found)):
            # Blanks alone may stand between codes, but not everything between blanks is one.
            matches = [_CODE.fullmatch(_bare(word)) for word in part.split()]
            there = [match for match in matches if match]
            if len(there) == len(matches):
                codes += (f"{match[1]}.{match[2]}" if match[2] else match[1] for match in there)
            else:
                strange += 1
        if strange:
            marked.remarks.append(
                Remark("annotation_not_read", f"{self.columns.codes}: not an ICD-10-CM code", strange)
            )
        return list(dict.fromkeys(codes)) if codes or strange else None

    def _choices(self, cells: Sequence[object], answer: str, marked: Marked) -> None:
        """The options and the right one's number. Raises Refused where the answer is none of them for certain."""
        names = self.columns.options
        if len(names) > 1:
            options = [cell(cells[self._at[name]]).strip() for name in names]
            while options and not options[-1]:
                options.pop()
        else:
            value = cells[self._at[names[0]]] if names else None
            options = (
                [cell(one) for one in value] if isinstance(value, list) else _listed(cell(value), re.compile(r"[|;\n]"))
            )
        if not options and answer.casefold() in _YES_NO_MAYBE:
            options = list(_YES_NO_MAYBE)
        if not options or not self.columns.answer:
            marked.data["options"] = options
            if answer:
                marked.remarks.append(Remark("key_not_read", f"{self.columns.answer}: there are no options"))
            return
        marked.data |= {"options": options, "answer": _number(answer, options, names) if answer else None}


def _number(answer: str, options: Sequence[str], names: Sequence[str]) -> int:
    plain = [option.casefold() for option in options]
    if plain.count(answer.casefold()) == 1:
        return plain.index(answer.casefold())
    letter = ascii_uppercase.find(answer.upper())
    if len(answer) == 1 and 0 <= letter < len(options):
        return letter
    digits = [match[1] for name in names if (match := re.search(r"(\d)$", name))]
    if answer in digits:
        return digits.index(answer)
    if answer.isdecimal():
        # MedMCQA's `cop` counts from 1 in the original and from 0 in copies of it.
        raise Refused("malformed", f"its answer is a number, counted from 0 or from 1; write {_ANSWERS}")
    raise Refused("malformed", f"its answer is none of its options; write {_ANSWERS}")


def _bare(code: str) -> str:
    """The code without what pandas and numpy put around it where they write a list into a cell: "['E11.9' 'I10']"."""
    return code.strip(" \t\r\n\xa0[]'\"").upper()


def _listed(text: str, between: re.Pattern[str]) -> list[str]:
    """Several values in a cell: a JSON list, or with separators between them."""
    if text.lstrip().startswith("["):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            if isinstance(values, list):
                return [cell(value) for value in values]
    return [part.strip() for part in between.split(text) if part.strip()]


def _annotation(entities: object, relations: object, text: str) -> tuple[list[Mention], list[Link]]:
    """Mentions and relations from cells that hold lists, as Parquet may, or JSON. Raises Refused."""
    mentions = []
    for number, one in enumerate(_objects(entities, "entities"), 1):
        kind, words = one.get("type", one.get("label")), one.get("text")
        start, end = one.get("start"), one.get("end")
        if not isinstance(start, int) or not isinstance(end, int) or not isinstance(kind, str):
            raise Refused("malformed", f"entity {number} has no start, end and type")
        fragments = _fragments(one.get("fragments") or [], number)
        words = words if isinstance(words, str) else None
        mentions.append(Mention(str(one.get("id") or f"T{number}"), start, end, kind, words, fragments))
    links = []
    for number, one in enumerate(_objects(relations, "relations"), 1):
        ends = [one.get(key) for key in ("head", "tail", "type")]
        if not all(isinstance(value, str) and value for value in ends):
            raise Refused("malformed", f"relation {number} has no head, tail and type")
        links.append(Link(str(ends[0]), str(ends[1]), str(ends[2])))
    return mentions, links


def _fragments(value: object, entity: int) -> tuple[tuple[int, int], ...]:
    pairs: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(pair, list) and len(pair) == 2 and all(isinstance(at, int) for at in pair) for pair in pairs):
        raise Refused("malformed", f"the fragments of entity {entity} are not pairs of offsets")
    return tuple((first, last) for first, last in pairs)


def _is_filled(value: object) -> bool:
    return value is not None and (not isinstance(value, str) or bool(value.strip()))


def _objects(value: object, name: str) -> list[dict[str, Any]]:
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Refused("malformed", f"its {name} are not valid JSON") from None
    values = value or []
    if not isinstance(values, list) or not all(isinstance(one, dict) for one in values):
        raise Refused("malformed", f"its {name} are not a list of objects")
    return values
