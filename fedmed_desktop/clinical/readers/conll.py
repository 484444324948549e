# SPDX-License-Identifier: Apache-2.0
"""Columns as CoNLL-2003 has them: a token in the first, its tag in the last; IOB1, IOB2 (BIO), BIOES and BILOU.

Blank lines end sentences, `-DOCSTART-` begins a document; without it each sentence is a note. Label Studio writes one
`-DOCSTART-` above all and a blank line behind each of its tasks: each of these is a note. The text is the tokens
with blanks between and a line for each sentence. Rows are lines of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from . import rows
from .mentions import ENTITIES, Marked, annotated
from .offsets import Mention
from .record import Record, Refused, Remark
from .text import encoding_of

SUFFIXES: Final = (".conll", ".bio", ".iob", ".iob2", ".bioes", ".bilou")
_BY_CONTENT: Final = (".txt", ".tsv")
_TAG: Final = re.compile(r"O|[BIESLUM]-.+")
_UNTYPED: Final = re.compile(r"[BIESLUM]")
"""A tag of a corpus with one type alone, as of the diseases of NCBI, whose name is nowhere in the file."""
_DOCUMENT: Final = "-DOCSTART-"
_LABEL_STUDIO: Final = ["-X-", "_"]
"""What Label Studio has between each token and its tag."""
_LOOKED_AT: Final = 200
_FEW: Final = 5

Scheme = Literal["IOB1", "IOB2", "BIOES"]


@dataclass
class _Document:
    """Tokens and tags of a document while its lines are read."""

    line: int = 0
    sentences: list[list[tuple[int, str, str]]] = field(default_factory=lambda: [[]])
    """(line, token, tag)"""
    size: int = 0
    refused: tuple[int, Refused] | None = None

    def add(self, line: int, token: str, tag: str) -> None:
        self.line = self.line or line
        self.size += len(token) + 1
        if self.size > rows.MAX_ROW_BYTES:
            self.refuse(line, Refused("too_long", f"{rows.MAX_ROW_BYTES // 2**20} MiB"))
        if not self.refused:
            self.sentences[-1].append((line, token, tag))

    def refuse(self, line: int, why: Refused) -> None:
        self.line = self.line or line
        self.refused = self.refused or (line, why)
        self.sentences = [[]]

    def end_sentence(self) -> None:
        if self.sentences[-1]:
            self.sentences.append([])


class Conll:
    """The reader of files in columns."""

    name = "CoNLL"

    def fits(self, path: Path, head: bytes) -> bool:
        name = path.name.lower().removesuffix(".gz")
        if path.is_dir() or not name.endswith((*SUFFIXES, *_BY_CONTENT)):
            return False
        return name.endswith(SUFFIXES) or _in_columns(head)

    def read(self, path: Path) -> Iterator[Record]:
        try:
            encoding, guessed = rows.encoding_of_file(path)
        except ValueError as error:
            raise rows.unreadable(path.name, str(error)) from None
        scheme, documents = _scheme(path, encoding)
        stem = path.name.split(".")[0]
        remarks = [Remark("encoding_guessed", encoding)] if guessed else []
        for number, document in enumerate(_documents(path, encoding, documents), 1):
            try:
                if document.refused:
                    document.line = document.refused[0]
                    raise document.refused[1]
                note, seen = annotated(_marked(f"{stem}-{number}", document, scheme, remarks))
                yield Record(path.name, document.line, note, seen)
            except Refused as refused:
                yield Record(path.name, document.line, None, (refused.remark,))
            remarks = []


def _in_columns(head: bytes) -> bool:
    """True if every line of the beginning ends in a tag. A line or two may end in "O" by chance, as blood groups do."""
    try:
        text = head.decode(encoding_of(head)[0], "replace")
    except ValueError:
        return False
    whole = text.split("\n")[: -1 if len(head) >= rows.HEAD_BYTES else None]
    lines = [columns for line in whole[:_LOOKED_AT] if (columns := _columns(line)) and columns[0] != _DOCUMENT]
    tags = [columns[-1] if len(columns) > 1 else "" for columns in lines]
    tagged = bool(tags) and all(_TAG.fullmatch(tag) or _UNTYPED.fullmatch(tag) for tag in tags)
    return tagged and (len(tags) >= _FEW or any("-" in tag for tag in tags))


def _columns(line: str) -> list[str]:
    """The columns of a line; none of a blank line and of a comment. Only tabs part them where there are any."""
    line = line.rstrip("\r\n")
    if not line.strip(" \t"):
        return []
    columns = line.split("\t") if "\t" in line else line.strip(" ").split(" ")
    while len(columns) > 1 and not columns[-1]:
        columns.pop()  # a tab or blanks at the end of a line
    if line.startswith("# ") and not _TAG.fullmatch(columns[-1]):
        return []
    return columns if "\t" in line else [column for column in columns if column]


def _documents(path: Path, encoding: str, documents: bool) -> Iterator[_Document]:
    """The file's documents, or its sentences where it does not name documents."""
    document = _Document()
    for number, line in rows.lines(path, encoding):
        if isinstance(line, Refused):
            document.refuse(number, line)
            continue
        columns = _columns(line)
        begins = bool(columns) and columns[0] == _DOCUMENT
        if begins or not (columns or documents or line.startswith("#")):
            if document.line:
                yield document
            document = _Document()
        elif not columns:
            document.end_sentence()
        elif len(columns) < 2 or not columns[0]:
            document.refuse(number, Refused("malformed", "it lacks a token or a tag"))
        elif _UNTYPED.fullmatch(columns[-1]):
            document.refuse(number, Refused("malformed", "its tag names no type, as B-drug does"))
        elif not _TAG.fullmatch(columns[-1]):
            document.refuse(number, Refused("malformed", "its last column is no tag such as O, B-drug or I-drug"))
        else:
            document.add(number, columns[0], columns[-1])
    if document.line:
        yield document


def _scheme(path: Path, encoding: str) -> tuple[Scheme, bool]:
    """Finds how entities are tagged, seen from the whole file, and whether it names its documents."""
    documents = 0
    exported = True  # by Label Studio
    begun_inside = begun_apart = 0  # I- that begins an entity; B- where IOB1 would have written I-
    open_type = ""
    for _, line in rows.lines(path, encoding):
        columns = _columns(line) if isinstance(line, str) else []
        if len(columns) < 2 or columns[0] == _DOCUMENT:
            documents += bool(columns) and columns[0] == _DOCUMENT
            open_type = ""
            continue
        exported = exported and columns[1:-1] == _LABEL_STUDIO
        prefix, _, kind = columns[-1].partition("-")
        if prefix in ("E", "S", "L", "U", "M") and kind:
            return "BIOES", documents > 0 or _names_documents(path, encoding)
        begun_inside += prefix == "I" and kind != open_type
        begun_apart += prefix == "B" and kind != open_type
        open_type = kind
    return "IOB1" if begun_inside and not begun_apart else "IOB2", documents > (1 if exported else 0)


def _names_documents(path: Path, encoding: str) -> bool:
    found = (line for _, line in rows.lines(path, encoding) if isinstance(line, str))
    return any(line.startswith(_DOCUMENT) for line in found)


def _marked(name: str, document: _Document, scheme: Scheme, remarks: list[Remark]) -> Marked:
    """The text of the tokens and the mentions that their tags make."""
    parts: list[str] = []
    spans: list[tuple[int, int, str]] = []
    repaired: list[int] = []
    at = 0
    for sentence in filter(None, document.sentences):
        starts = []
        for _, token, _ in sentence:
            starts.append(at)
            at += len(token) + 1
        for first, last, kind in _entities(sentence, scheme, repaired):
            spans.append((starts[first], starts[last] + len(sentence[last][1]), kind))
        parts.append(" ".join(token for _, token, _ in sentence))
    text = "\n".join(parts)
    mentions = [Mention(f"T{n}", *span, text[span[0] : span[1]]) for n, span in enumerate(spans, 1)]
    if repaired:
        remarks = [*remarks, Remark("tag_repaired", f"first in line {repaired[0]}", len(repaired))]
    return Marked({"id": name, "text": text}, mentions, remarks=remarks, looked_for=ENTITIES)


def _entities(
    sentence: list[tuple[int, str, str]], scheme: Scheme, repaired: list[int]
) -> Iterator[tuple[int, int, str]]:
    """First token, last token and type of each entity.

    One rule for tags that do not fit: an entity begins where an inside or end tag continues none of its type, and it
    ends before whatever does not continue it.
    """
    begun: int | None = None
    open_type = ""
    for at, (line, _, tag) in enumerate(sentence):
        prefix, _, kind = tag.partition("-")
        goes_on = begun is not None and prefix in ("I", "M", "E", "L") and kind == open_type
        if begun is not None and not goes_on:
            if scheme == "BIOES":
                repaired.append(line)  # its end tag is missing
            yield begun, at - 1, open_type
            begun = None
        if tag == "O":
            continue
        if not goes_on:
            if prefix in ("M", "E", "L") or (prefix == "I" and scheme != "IOB1"):
                repaired.append(line)
            begun, open_type = at, kind
        if prefix in ("E", "L", "S", "U") and begun is not None:
            yield begun, at, kind
            begun = None
    if begun is not None:
        if scheme == "BIOES":
            repaired.append(sentence[-1][0])
        yield begun, len(sentence) - 1, open_type
