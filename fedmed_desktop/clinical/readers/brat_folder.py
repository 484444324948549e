# SPDX-License-Identifier: Apache-2.0
"""Notes written as a BRAT folder, so that a model's errors can be read in BRAT, side by side with what is right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ...errors import disk_fault
from ...files import make_folder
from ..notes import Entity, Note, Relation, Span
from .brat import ANNOTATION, TEXT

_LINE_END: Final = re.compile(r"[\r\n]+")
_KEPT: Final = " ()+,=@"


def write_brat(folder: Path, notes: Iterable[Note]) -> int:
    """A `.txt` and a `.ann` file for each note; how many notes there were. Raises UserFacingError.

    Files are named by the notes' ids; "/" and other signs that a file's name cannot have are written as %2F. BRAT's
    types have no blanks: "_" is there instead.
    """
    make_folder(folder)
    written = 0
    for note in notes:
        stem = quote(note.id, safe=_KEPT)[:200]
        stem = stem.replace(".", "%2E", 1) if stem.startswith(".") else stem
        for suffix, text in ((TEXT, note.text), (ANNOTATION, "".join(_lines(note)))):
            path = folder / f"{stem}{suffix}"
            try:
                # As bytes: offsets count the line ends as they are.
                path.write_bytes(text.encode())
            except OSError as error:
                raise disk_fault(error, path) from error
        written += 1
    return written


def with_spans(note: Note, spans: Sequence[Span], relations: Iterable[tuple[int, int, str]] = ()) -> Note:
    """The note with these spans for its entities; `relations`: the numbers of head and tail in `spans`, and a type."""
    entities = tuple(
        Entity(id=f"T{number}", start=span.start, end=span.end, type=span.type, text=note.text[span.start : span.end])
        for number, span in enumerate(spans, 1)
    )
    links = tuple(Relation(head=f"T{head + 1}", tail=f"T{tail + 1}", type=kind) for head, tail, kind in relations)
    return note.model_copy(update={"entities": entities, "relations": links})


def _lines(note: Note) -> Iterator[str]:
    names: dict[str, str] = {}
    for number, entity in enumerate(note.entities, 1):
        names[entity.id] = f"T{number}"
        yield f"T{number}\t{_type(entity.type)} {_offsets(note.text, entity)}\t{_words(note.text, entity)}\n"
    for number, relation in enumerate(note.relations, 1):
        ends = f"Arg1:{names[relation.head]} Arg2:{names[relation.tail]}"
        yield f"R{number}\t{_type(relation.type)} {ends}\n"


def _type(name: str) -> str:
    return re.sub(r"\s+", "_", name)


def _parts(text: str, entity: Entity) -> Iterator[tuple[int, int]]:
    """The mention's fragments, parted at line ends too, which BRAT's mentions cannot hold."""
    for start, end in sorted(entity.fragments or ((entity.start, entity.end),)):
        at = start
        for gap in _LINE_END.finditer(text, start, end):
            if at < gap.start():
                yield at, gap.start()
            at = gap.end()
        if at < end:
            yield at, end


def _offsets(text: str, entity: Entity) -> str:
    return ";".join(f"{start} {end}" for start, end in _parts(text, entity))


def _words(text: str, entity: Entity) -> str:
    return " ".join(text[start:end] for start, end in _parts(text, entity))
