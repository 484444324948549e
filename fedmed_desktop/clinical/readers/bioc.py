# SPDX-License-Identifier: Apache-2.0
"""BioC collections in XML and JSON, through the `bioc` library; a document is a note.

XML is handed to the library document by document, so that memory does not grow with the file, and after a parser of
our own has refused what XML files can do to a reader: entities that expand without end, and files from elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..notes import Note
from .concepts import Concepts
from .json_values import json_objects
from .mentions import ENTITIES, Link, Marked, annotated
from .offsets import Mention
from .record import Record, Refused, Remark
from .rows import MAX_ROW_BYTES, opened, unreadable
from .shape import split_of

if TYPE_CHECKING:
    from bioc import BioCAnnotation, BioCDocument, BioCRelation

_XML: Final = (".xml", ".bioc", ".xml.gz")
_JSON: Final = (".json", ".json.gz", ".jsonl", ".jsonl.gz")
_COLLECTION: Final = re.compile(rb"<collection[\s>]")
_PATIENT: Final = ("patient", "patient_id")


@dataclass(frozen=True)
class BiocXmlReader:
    """BioC XML."""

    name: str = "BioC XML"

    def fits(self, path: Path, head: bytes) -> bool:
        plain = head.replace(b"\x00", b"")  # also in UTF-16
        return path.name.lower().endswith(_XML) and _COLLECTION.search(plain) is not None

    def read(self, path: Path) -> Iterator[Record]:
        seen: dict[str, int] = {}
        for number, document in enumerate(_xml_documents(path), 1):
            yield _record(path.name, number, document, seen)


@dataclass(frozen=True)
class BiocJsonReader:
    """BioC JSON: a collection, a list of them, or documents, one in each line."""

    name: str = "BioC JSON"

    def fits(self, path: Path, head: bytes) -> bool:
        plain = head.replace(b"\x00", b"")
        return path.name.lower().endswith(_JSON) and b'"passages"' in plain

    def read(self, path: Path) -> Iterator[Record]:
        seen: dict[str, int] = {}
        for number, document in enumerate(_json_documents(path), 1):
            yield _record(path.name, number, document, seen)


def _record(file: str, number: int, document: BioCDocument | Refused, seen: dict[str, int]) -> Record:
    try:
        if isinstance(document, Refused):
            raise document
        note, remarks = _annotated(document, f"{file}:{number}")
        first = seen.setdefault(note.id, number)
        if first != number:
            raise Refused("repeated_id", f"document {first}")
    except Refused as refused:
        return Record(file, number, None, (refused.remark,))
    return Record(file, number, note, remarks, split_of(document.infons.get("split")))


def _annotated(document: BioCDocument, name: str) -> tuple[Note, tuple[Remark, ...]]:
    """The note of a document without an id is called `name`. Raises Refused."""
    first: tuple[Note, tuple[Remark, ...]] | Refused | None = None
    for text in _texts(document):
        try:
            note, remarks = annotated(_marked(document, text, name))
        except Refused as refused:
            first = first or refused
            continue
        if not any(remark.code == "offsets_by_mention" for remark in remarks):
            return note, remarks
        first = (note, remarks) if first is None or isinstance(first, Refused) else first
    if first is None or isinstance(first, Refused):
        raise first or Refused("empty_text")
    return first


def _marked(document: BioCDocument, text: str, name: str) -> Marked:
    infons = {str(key): value for key, value in document.infons.items() if isinstance(value, str)}
    marked = Marked({"id": _id(document.id) or name, "text": text})
    marked.data["patient"] = next((infons[key] for key in _PATIENT if key in infons), None)
    annotations, relations = list(document.annotations), list(document.relations)
    for passage in document.passages:
        for part in (passage, *passage.sentences):
            annotations += part.annotations
            relations += part.relations
    # Some writers count anew in each passage: such an id names no mention for certain.
    times = Counter(_id(annotation.id) for annotation in annotations)
    concepts = Concepts()
    mentions = []
    for number, annotation in enumerate(annotations, 1):
        if mention := _mention(annotation, number):
            mentions.append(mention if times[mention.id] < 2 else replace(mention, id=f"{mention.id}#{number}"))
            named = (str(value) for key, value in annotation.infons.items() if key != "type")
            concepts.add(named, mentions[-1])
    if untyped := len(annotations) - len(mentions):
        marked.remarks.append(Remark("annotation_not_read", "annotations without a type or place", untyped))
    links = [_link(relation, concepts, times) for relation in relations]
    ids = {mention.id for mention in mentions}
    marked.mentions = mentions
    marked.relations = [link for link in links if link and {link.head, link.tail} <= ids]
    if dropped := len(links) - len(marked.relations):
        marked.remarks.append(Remark("relation_dropped", "not between two mentions", dropped))
    marked.looked_for = ENTITIES
    return marked


def _texts(document: BioCDocument) -> Iterator[str]:
    """The text with passages at their offsets, the gaps filled; then with one character between any two.

    Corpora are about that have other offsets for passages than their mentions' offsets are counted from.
    """
    parts: list[tuple[int, str]] = []
    for passage in document.passages:
        if passage.text:
            parts.append((_whole(passage.offset, "a passage"), passage.text))
        else:
            parts += [(_whole(one.offset, "a sentence"), one.text or "") for one in passage.sentences]
    parts.sort(key=lambda part: part[0])
    text: list[str] = []
    length = 0
    for offset, words in parts:
        if offset < length:
            raise Refused("malformed", f"the passage at offset {offset} begins before the one before it ends")
        if offset + len(words) > MAX_ROW_BYTES:
            raise Refused("too_long", f"{MAX_ROW_BYTES // 2**20} million characters")
        # Passages are paragraphs: what the offsets leave between them is a line end and blanks.
        gap = " " * (offset - length)
        text += ["\n" + gap[1:] if gap and text else gap, words]
        length = offset + len(words)
    yield "".join(text)
    if parts and length > sum(len(words) + 1 for _, words in parts) - 1:
        yield "\n".join(words for _, words in parts)


def _mention(annotation: BioCAnnotation, number: int) -> Mention | None:
    kind = annotation.infons.get("type")
    pairs = [
        (start, start + _whole(place.length, f"annotation {number}"))
        for place in annotation.locations
        for start in [_whole(place.offset, f"annotation {number}")]
    ]
    if not isinstance(kind, str) or not kind.strip() or not pairs:
        return None
    words = annotation.text if isinstance(annotation.text, str) and annotation.text else None
    start, end = min(first for first, _ in pairs), max(last for _, last in pairs)
    fragments = tuple(pairs) if len(pairs) > 1 else ()
    return Mention(_id(annotation.id) or f"A{number}", start, end, kind.strip(), words, fragments)


def _id(value: object) -> str:
    """An id as a string, also where a tool counts from 0; "" where there is none."""
    return "" if value is None else str(value).strip()


def _link(relation: BioCRelation, concepts: Concepts, annotations: Counter[str]) -> Link | None:
    """A relation between two mentions, or two concepts that its infons or nodes name; one of three has no head and
    tail. `annotations`: how often each id is one of theirs.
    """
    key = "type" if relation.infons.get("type") else "relation"
    kind = relation.infons.get(key)
    if not isinstance(kind, str) or not kind:
        return None
    # PubTator3 names concepts in the infons; its nodes count something else than annotations.
    roles = [_id(value.get("identifier")) for value in relation.infons.values() if isinstance(value, dict)]
    if len(roles) == 2:
        return concepts.nearest(roles[0], roles[1], kind)
    ends = [_id(node.refid) for node in relation.nodes]
    if not ends:
        named = [str(value) for other, value in relation.infons.items() if other != key and str(value) in concepts]
        return concepts.nearest(named[0], named[1], kind) if len(named) == 2 else None
    if len(ends) != 2:
        return None
    named_concepts = not any(annotations[end] for end in ends)
    return concepts.nearest(ends[0], ends[1], kind) if named_concepts else Link(ends[0], ends[1], kind)


def _whole(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Refused("malformed", f"{what} has no offset or length that is a whole number")
    return value


def _xml_documents(path: Path) -> Iterator[BioCDocument | Refused]:
    from bioc import biocxml
    from lxml import etree

    with opened(path) as file:
        try:
            # Attributes would expand entities all the same, so none may be declared.
            parsed = etree.iterparse(
                file, events=("start", "end"), resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False
            )
            checked = False
            for event, element in parsed:
                if not checked:
                    _refuse_entities(path, element)
                    checked = True
                if event == "end" and element.tag == "document":
                    whole = b"<collection>" + etree.tostring(element, with_tail=False) + b"</collection>"
                    try:
                        yield biocxml.loads(whole.decode()).documents[0]
                    except (ValueError, TypeError, KeyError, AttributeError, etree.LxmlError) as error:
                        yield Refused("malformed", _reason(error))
                    element.clear()
                    while element.getprevious() is not None:
                        del element.getparent()[0]
        except etree.XMLSyntaxError as error:
            yield Refused("malformed", f"not valid XML at line {error.lineno}; nothing after it can be read")


def _refuse_entities(path: Path, root: Any) -> None:
    if root.tag != "collection":
        raise unreadable(path.name, "its first element is not <collection>, so that it is not BioC")
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and any(True for _ in declared.iterentities()):
        raise unreadable(path.name, "it declares XML entities, which are never read; write it without them")


def _json_documents(path: Path) -> Iterator[BioCDocument | Refused]:
    from bioc import biocjson

    for value in _document_objects(json_objects(path)):
        if isinstance(value, Refused):
            yield value
            continue
        try:
            yield biocjson.fromJSON(_filled(value), "BioCDocument")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            yield Refused("malformed", _reason(error))


def _document_objects(values: Iterable[tuple[int, dict[str, Any] | Refused]]) -> Iterator[dict[str, Any] | Refused]:
    """Documents, whether alone or in collections."""
    for _, value in values:
        if isinstance(value, Refused):
            yield value
            continue
        documents = next((value[key] for key in ("documents", "PubTator3") if key in value), None)
        if documents is None:
            yield value
        elif not isinstance(documents, list):
            yield Refused("malformed", "its documents are not a list")
        else:
            for one in documents:
                yield one if isinstance(one, dict) else Refused("malformed", "a document is not a JSON object")


_LISTS: Final[Mapping[str, tuple[str, ...]]] = {
    "document": ("passages", "annotations", "relations"),
    "passage": ("sentences", "annotations", "relations"),
    "sentence": ("annotations", "relations"),
}


def _filled(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the keys that the library insists on and many writers leave out."""
    if "passages" not in document:
        raise ValueError("it has no passages")
    for kind, part in _parts(document):
        _check_kinds(part)
        for key in _LISTS[kind]:
            part.setdefault(key, [])
        for annotation in part["annotations"]:
            _check_kinds(annotation)
            annotation.setdefault("text", None)
        for relation in part["relations"]:
            _check_kinds(relation)
            relation.setdefault("nodes", [])
            relation.setdefault("id", None)
            for node in relation["nodes"]:
                node.setdefault("role", "")
    document.setdefault("id", None)
    return document


def _check_kinds(part: dict[str, Any]) -> None:
    """Raises TypeError where infons or text are of another kind, which the library would let through."""
    if not isinstance(part.setdefault("infons", {}), dict) or not isinstance(part.get("text"), str | None):
        raise TypeError


def _parts(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "document", document
    for passage in document["passages"]:
        yield "passage", passage
        for sentence in passage["sentences"]:
            yield "sentence", sentence


def _reason(error: Exception) -> str:
    """Reason why a document is refused, without the library's own message, which may quote it."""
    match error:
        case KeyError():
            return f"it lacks {str(error.args[0])[:30]!r}"
        case ValueError() if str(error) == "it has no passages":
            return str(error)
        case ValueError():
            return "an offset or a length is not a whole number"
    return "an offset is missing, or a value is of another kind than BioC has there"
