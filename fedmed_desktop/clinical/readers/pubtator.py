# SPDX-License-Identifier: Apache-2.0
"""PubTator files: a title and an abstract in lines with "|", then a mention or a relation of concepts in each line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .concepts import Concepts
from .mentions import ENTITIES, Marked, annotated
from .offsets import Mention
from .record import Record, Refused, Remark
from .rows import lines

_SUFFIXES: Final = (".pubtator", ".pubtator.gz", ".txt", ".txt.gz")
_TEXT_LINE: Final = re.compile(r"([^|\t\r\n]{1,100})\|([ta])\|(.*)", re.DOTALL)
_FIRST: Final = re.compile(rb"[^|\s]{1,100}\|t\|")
_MOST_LINES: Final = 100_000


@dataclass(frozen=True)
class PubtatorReader:
    """A file of documents with empty lines between them; each is a note, its title on a line of its own."""

    name: str = "PubTator"

    def fits(self, path: Path, head: bytes) -> bool:
        plain = head.replace(b"\x00", b"").removeprefix(b"\xef\xbb\xbf").lstrip()
        return path.name.lower().endswith(_SUFFIXES) and _FIRST.match(plain) is not None

    def read(self, path: Path) -> Iterator[Record]:
        seen: dict[str, int] = {}
        for number, document in enumerate(_documents(path), 1):
            try:
                note, remarks = annotated(_marked(document))
                first = seen.setdefault(note.id, number)
                if first != number:
                    raise Refused("repeated_id", f"document {first}")
            except Refused as refused:
                yield Record(path.name, number, None, (refused.remark,))
            else:
                yield Record(path.name, number, note, remarks)


@dataclass
class _Document:
    """The lines of a document with their numbers in the file; `refused`: why one of them cannot be read."""

    lines: list[tuple[int, str]] = field(default_factory=list)
    refused: Refused | None = None


def _documents(path: Path) -> Iterator[_Document]:
    document = _Document()
    for number, line in lines(path):
        if isinstance(line, Refused):
            what = line.remark.what
            document.refused = document.refused or Refused(line.remark.code, f"line {number}: {what}")
        elif line.strip():
            if len(document.lines) < _MOST_LINES:
                document.lines.append((number, line.removesuffix("\n").removesuffix("\r")))
            else:
                document.refused = Refused("too_long", f"{_MOST_LINES} lines")
        elif document.lines or document.refused:
            yield document
            document = _Document()
    if document.lines or document.refused:
        yield document


def _marked(document: _Document) -> Marked:
    """Raises Refused, naming the line."""
    if document.refused:
        raise document.refused
    parts: dict[str, str] = {}
    mentions: list[Mention] = []
    marked = Marked({})
    concepts = Concepts()
    relations: list[tuple[str, str, str]] = []
    for number, line in document.lines:
        match = _TEXT_LINE.fullmatch(line)
        if match and not mentions and not relations:
            if match[2] in parts:
                raise Refused(
                    "malformed", f"line {number}: there is a |{match[2]}| line already; is an empty line missing?"
                )
            _same_document(marked, match[1], number)
            parts[match[2]] = match[3]
            continue
        cells = line.split("\t")
        if len(cells) < 4 or "t" not in parts:
            raise Refused("malformed", f"line {number}: it is neither |t|, |a| nor cells with tabs between them")
        _same_document(marked, cells[0], number)
        if len(cells) >= 5 and cells[1].isdecimal():
            mention = _mention(cells, len(mentions) + 1, number)
            mentions.append(mention)
            concepts.add(cells[5:6], mention)
        elif len(cells) in (4, 5) and not cells[1].lstrip("-").isdecimal():
            relations.append((cells[2].strip(), cells[3].strip(), cells[1]))
        else:
            raise Refused("malformed", f"line {number}: it is neither a mention nor a relation")
    if "t" not in parts:
        raise Refused("malformed", f"line {document.lines[0][0]}: there is no |t| line of this document")
    # One character stands between title and abstract, also where there is no abstract.
    marked.data["text"] = f"{parts['t']}\n{parts['a']}" if "a" in parts else parts["t"]
    links = [concepts.nearest(*relation) for relation in relations]
    marked.mentions, marked.relations = mentions, [link for link in links if link]
    if dropped := len(links) - len(marked.relations):
        marked.remarks.append(Remark("relation_dropped", "a concept without a mention", dropped))
    marked.looked_for = ENTITIES
    return marked


def _same_document(marked: Marked, name: str, number: int) -> None:
    if marked.data.setdefault("id", name) != name:
        raise Refused("malformed", f"line {number}: its id is not the document's; is an empty line missing?")


def _mention(cells: list[str], count: int, number: int) -> Mention:
    if not cells[2].isdecimal() or max(len(cells[1]), len(cells[2])) > 12 or not cells[4].strip():
        raise Refused("malformed", f"line {number}: it is not start, end, mention and type of a mention")
    return Mention(f"T{count}", int(cells[1]), int(cells[2]), cells[4].strip(), cells[3])
