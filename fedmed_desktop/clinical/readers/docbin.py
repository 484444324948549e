# SPDX-License-Identifier: Apache-2.0
"""spaCy's DocBin files: entities and span groups, if spaCy is installed. No pipeline is loaded."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...errors import UserFacingError
from .mentions import ENTITIES, Marked, annotated
from .offsets import Mention
from .record import Record, Refused, Remark
from .rows import opened, unreadable

if TYPE_CHECKING:
    from spacy.tokens import Doc

_SUFFIX: Final = ".spacy"
_ZLIB: Final = b"\x78"
_PICKLE: Final = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_MOST_UNPACKED: Final = 2**30
_PIECE: Final = 2**20


@dataclass(frozen=True)
class DocBinReader:
    """A DocBin; a Doc is a note. Its user data are never decoded, and attributes other than spans are not used."""

    name: str = "spaCy DocBin"

    def fits(self, path: Path, head: bytes) -> bool:
        return bool(head) and path.name.lower().endswith(_SUFFIX)

    def read(self, path: Path) -> Iterator[Record]:
        for number, doc in enumerate(_docs(path), 1):
            try:
                note, remarks = annotated(_marked(doc, f"{path.name}:{number}"))
            except Refused as refused:
                yield Record(path.name, number, None, (refused.remark,))
            else:
                yield Record(path.name, number, note, remarks)


def _docs(path: Path) -> Iterator[Doc]:
    data = _bytes(path)
    try:
        from spacy.tokens import DocBin
        from spacy.vocab import Vocab
    except ImportError:
        raise UserFacingError("clinical.no_spacy", name=path.name) from None
    try:
        box = DocBin().from_bytes(data)
        # They may hold anything, and a Doc would decode them.
        box.user_data = [None] * len(box)
        yield from box.get_docs(Vocab())
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise unreadable(path.name, "it is not a DocBin, or damaged") from None


def _bytes(path: Path) -> bytes:
    """The file's bytes, after a look at what they are and how large unpacked. Raises UserFacingError."""
    with opened(path) as file:
        data = file.read(_MOST_UNPACKED + 1)
    if data.startswith(_PICKLE):
        raise unreadable(path.name, "it is a pickle, which could run any program here; write it with DocBin.to_disk")
    if not data.startswith(_ZLIB):
        raise unreadable(path.name, "it is not a DocBin")
    unpacker, size, rest = zlib.decompressobj(), 0, data
    try:
        while rest and not unpacker.eof:
            size += len(unpacker.decompress(rest, _PIECE))
            if size > _MOST_UNPACKED:
                raise unreadable(path.name, f"unpacked it is over {_MOST_UNPACKED // 2**30} GB; write several files")
            rest = unpacker.unconsumed_tail
    except zlib.error:
        raise unreadable(path.name, "it is not a DocBin, or damaged") from None
    if not unpacker.eof:
        raise unreadable(path.name, "it is cut off")
    return data


def _marked(doc: Doc, name: str) -> Marked:
    """The Doc as a note. Raises Refused."""
    try:
        return _spans(doc, name)
    except (ValueError, KeyError, IndexError):
        raise Refused("malformed", "a span is outside the text, or its label is not in the file") from None


def _spans(doc: Doc, name: str) -> Marked:
    """Entities, and the spans of all groups; a Doc has none of its own where it was only tokenised."""
    marked = Marked({"id": name, "text": doc.text})
    spans = [*doc.ents, *(span for _, group in sorted(doc.spans.items()) for span in group)]
    untyped = [span for span in spans if not span.label_]
    seen: dict[tuple[int, int, str], str] = {}
    for span in spans:
        if span.label_:
            # A group often repeats the entities: the same span is one mention.
            seen.setdefault((span.start_char, span.end_char, span.label_), span.text)
    marked.mentions = [
        Mention(f"T{number}", start, end, kind, words)
        for number, ((start, end, kind), words) in enumerate(seen.items(), 1)
    ]
    if untyped:
        marked.remarks.append(Remark("annotation_not_read", "spans without a label", len(untyped)))
    if doc.has_annotation("ENT_IOB") or doc.spans:
        marked.looked_for = ENTITIES
    return marked
