# SPDX-License-Identifier: Apache-2.0
"""Notes written as a BRAT folder, so that a model's errors can be read in BRAT, side by side with what is right."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ...errors import disk_fault
from ...files import make_folder, open_private
from ..notes import Entity, Note, Relation, Span
from .brat import ANNOTATION, TEXT

_LINE_END: Final = re.compile(r"[\r\n]+")
_KEPT: Final = " ()+,=@"
_LONGEST: Final = 150


def write_brat(folder: Path, notes: Iterable[Note]) -> int:
    """A `.txt` and a `.ann` file for each note; how many notes there were. Raises UserFacingError.

    Files are named by the notes' ids; "/" and other signs that a file's name cannot have are written as %2F. BRAT's
    types have no blanks: "_" is there instead. `annotation.conf` names the types, without which BRAT shows none.
    """
    make_folder(folder)
    stems: set[str] = set()
    types: set[str] = set()
    links: set[str] = set()
    for note in notes:
        stem = _stem(note.id, stems)
        stems.add(stem.casefold())
        types.update(_type(entity.type) for entity in note.entities)
        links.update(_type(relation.type) for relation in note.relations)
        _write(folder / f"{stem}{TEXT}", note.text)
        _write(folder / f"{stem}{ANNOTATION}", "".join(_lines(note)))
    relations = (f"{name}\tArg1:<ENTITY>, Arg2:<ENTITY>" for name in sorted(links))
    sections = ("[entities]", *sorted(types), "[relations]", *relations, "[events]", "[attributes]")
    _write(folder / "annotation.conf", "\n".join(sections) + "\n")
    return len(stems)


def _stem(name: str, taken: Collection[str]) -> str:
    """A file's name that no other note has, also where a file system does not tell capitals from small letters."""
    stem = quote(name, safe=_KEPT)
    stem = "%2E" + stem[1:] if stem.startswith(".") else stem
    if len(stem) > _LONGEST or stem.casefold() in taken:
        stem = f"{stem[:_LONGEST]}-{sha256(name.encode()).hexdigest()[:12]}"
    return stem if stem.casefold() not in taken else f"{stem}-{len(taken)}"


def _write(path: Path, text: str) -> None:
    try:
        with open_private(path) as file:  # they hold the notes' words
            file.write(text.encode())  # not as text: offsets count the line ends as they are
    except OSError as error:
        raise disk_fault(error, path) from error


def with_spans(note: Note, spans: Iterable[Span], links: Iterable[tuple[Span, Span]] = ()) -> Note:
    """The note with these spans for its entities, and links from head to tail that have the tail's type.

    A link's ends are entities too, if `spans` lacks them.
    """
    links = list(links)
    ends = (end for link in links for end in link)
    numbers = {span: number for number, span in enumerate(dict.fromkeys([*spans, *ends]), 1)}
    entities = tuple(
        Entity(id=f"T{number}", start=span.start, end=span.end, type=span.type, text=note.text[span.start : span.end])
        for span, number in numbers.items()
    )
    relations = tuple(
        Relation(head=f"T{numbers[head]}", tail=f"T{numbers[tail]}", type=tail.type) for head, tail in links
    )
    return note.model_copy(update={"entities": entities, "relations": relations})


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
