# SPDX-License-Identifier: Apache-2.0
"""BRAT folders: `.txt` files, each with its annotation in a `.ann` file of the same name beside it.

Read are mentions (T), relations (R) and events (E: the trigger stands for the event, its arguments become relations of
the role's name). Attributes, normalisations, equivalences and comments are counted.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ...errors import UserFacingError, reason_of
from .mentions import ENTITIES, Link, Marked, annotated
from .offsets import Mention
from .record import Record, Refused, Remark
from .shape import split_of
from .text import decoded

TEXT: Final = ".txt"
ANNOTATION: Final = ".ann"
_MOST_BYTES: Final = 16 * 2**20
_MENTION: Final = re.compile(r"(\S+) (-?\d{1,12} -?\d{1,12}(?:;-?\d{1,12} -?\d{1,12})*)")
_ARGUMENT: Final = re.compile(r"(\S+?):(\S+)")
_OTHERS: Final = {
    "A": "attributes",
    "M": "attributes",
    "N": "normalisations",
    "#": "comments",
    "*": "equivalences",
}


@dataclass(frozen=True)
class BratReader:
    """A folder, also of folders; a document is a record, in the order of the paths."""

    name: str = "BRAT"

    def fits(self, path: Path, head: bytes) -> bool:
        """True for a folder in which, at any depth, a .ann file is."""
        return path.is_dir() and any(name.lower().endswith(ANNOTATION) for name in _files(path))

    def read(self, path: Path) -> Iterator[Record]:
        if not path.is_dir():
            raise UserFacingError("clinical.notes_folder_missing", name=path.name)
        names = set(_files(path))
        stems = {name.rpartition(".")[0] for name in names if name.lower().endswith((TEXT, ANNOTATION))}
        for stem in sorted(stems):
            text, annotation = _named(stem, TEXT, names), _named(stem, ANNOTATION, names)
            if text is None:
                why = f"there is no {Path(stem).name}{TEXT} beside it"
                yield Record(annotation or stem, None, None, (Remark("malformed", why),))
            else:
                yield _record(path, stem, text, annotation)


def _files(folder: Path) -> Iterator[str]:
    """Paths of all files, relative and with "/" between folders; hidden ones are passed over."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = Path(root).relative_to(folder).as_posix()
        for name in sorted(files):
            if not name.startswith("."):
                yield name if inside == "." else f"{inside}/{name}"


def _named(stem: str, suffix: str, names: set[str]) -> str | None:
    return next((name for name in (stem + suffix, stem + suffix.upper()) if name in names), None)


def _record(folder: Path, stem: str, text: str, annotation: str | None) -> Record:
    try:
        words, remarks = _decoded(folder / text)
    except Refused as refused:
        return Record(text, None, None, (refused.remark,))
    marked = Marked({"id": stem, "text": words}, remarks=remarks)
    try:
        if annotation is None:
            # BRAT writes an empty file for a document without mentions: this one nobody has annotated.
            marked.remarks.append(Remark("no_annotation_file", f"{Path(stem).name}{ANNOTATION}"))
            marked.data["tasks"] = ()
        else:
            lines, guessed = _decoded(folder / annotation)
            marked.remarks += [remark for remark in guessed if remark not in remarks]
            _annotate(marked, lines.removeprefix("\ufeff"))
            marked.looked_for = ENTITIES
        note, told = annotated(marked)
    except Refused as refused:
        return Record(annotation or text, None, None, (refused.remark,))
    # Corpora come with a folder for each split.
    return Record(text, None, note, told, split_of(stem.partition("/")[0]) if "/" in stem else None)


def _decoded(path: Path) -> tuple[str, list[Remark]]:
    """A file's text and remarks on its encoding. Raises Refused."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise Refused("too_long", f"{_MOST_BYTES // 2**20} MiB")
        return decoded(path.read_bytes())
    except ValueError as error:
        raise Refused("malformed", str(error)) from None
    except OSError as error:
        raise Refused("malformed", f"it cannot be read: {reason_of(error)}") from None


@dataclass
class _Found:
    """The lines of a .ann file, of which some can be understood only together."""

    mentions: list[Mention] = field(default_factory=list)
    triggers: dict[str, str] = field(default_factory=dict)
    links: list[tuple[int, Link]] = field(default_factory=list)


def _annotate(marked: Marked, lines: str) -> None:
    """Puts what the lines say into `marked`. Raises Refused, naming the line."""
    found = _Found()
    others: Counter[str] = Counter()
    known: set[str] = set()
    # Not splitlines: mentions may hold form feeds and the like.
    for number, line in enumerate(lines.split("\n"), 1):
        if not (line := line.removesuffix("\r")).strip():
            continue
        name, _, rest = line.partition("\t")
        if not rest or not name:
            raise Refused("malformed", f"line {number}: there is no tab after its first word")
        if name[0] in _OTHERS:
            others[_OTHERS[name[0]]] += 1
            continue
        if name in known:
            raise Refused("malformed", f"line {number}: its id is there twice")
        known.add(name)
        match name[0]:
            case "T":
                found.mentions.append(_mention(name, rest, number))
            case "R":
                found.links.append((number, _relation(rest, number)))
            case "E":
                _event(name, rest, number, found)
            case _:
                raise Refused("malformed", f"line {number}: it begins with none of T, R, E, A, M, N, # and *")
    ids = {mention.id for mention in found.mentions}
    relations: list[Link] = []
    for number, link in found.links:
        head, tail = (found.triggers.get(end, end) for end in (link.head, link.tail))
        if not {head, tail} <= ids:
            raise Refused("malformed", f"line {number}: it points to a mention or event that is not there")
        relations.append(Link(head, tail, link.type))
    marked.mentions, marked.relations = found.mentions, relations
    marked.remarks += [Remark("annotation_not_read", kind, count) for kind, count in others.items()]


def _mention(name: str, rest: str, number: int) -> Mention:
    head, tab, words = rest.partition("\t")
    match = _MENTION.fullmatch(head.strip())
    if not match:
        raise Refused("malformed", f"line {number}: it is not a type and two offsets, or pairs of offsets with ';'")
    pairs = [(int(first), int(last)) for first, last in (pair.split(" ") for pair in match[2].split(";"))]
    start, end = min(first for first, _ in pairs), max(last for _, last in pairs)
    fragments = tuple(pairs) if len(pairs) > 1 else ()
    return Mention(name, start, end, match[1], words if tab else None, fragments)


def _relation(rest: str, number: int) -> Link:
    kind, *arguments = rest.split()
    ends = [match[2] for argument in arguments if (match := _ARGUMENT.fullmatch(argument))]
    if len(ends) != 2 or len(arguments) != 2:
        raise Refused("malformed", f"line {number}: it is not a relation's type and its two arguments")
    return Link(ends[0], ends[1], kind)


def _event(name: str, rest: str, number: int, found: _Found) -> None:
    """The event's trigger, and a relation from it to each argument; "Theme2" is a second Theme."""
    matches = [_ARGUMENT.fullmatch(argument) for argument in rest.split()]
    pairs = [(match[1], match[2]) for match in matches if match]
    if not pairs or len(pairs) < len(matches):
        raise Refused("malformed", f"line {number}: it is not an event's type with its trigger, and its arguments")
    found.triggers[name] = pairs[0][1]
    for role, target in pairs[1:]:
        found.links.append((number, Link(name, target, role.rstrip("0123456789") or role)))
