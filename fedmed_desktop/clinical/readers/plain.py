# SPDX-License-Identifier: Apache-2.0
"""Plain text, a note in each `.txt` file of a folder: notes without annotation, to learn from the text itself.

Annotation in columns and PubTator's may be in `.txt` files too. A folder is of that if most of its files are, as their
beginnings show; where only a few look like it, they are text, and it is remarked on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from ...errors import UserFacingError
from . import rows
from .conll import Conll
from .mentions import Marked, annotated
from .pubtator import PubtatorReader
from .record import Record, Refused, Remark
from .text import decoded

SUFFIXES: Final = (".txt", ".txt.gz")
_PIECE: Final = 64 * 1024
ASIDE: Final = re.compile(r"(?:readme|licen[cs]e|changelog)\b", re.IGNORECASE)
"""Files about the notes, as they come with corpora."""
_OTHERS: Final = re.compile(
    r".+\.(?:(?:jsonl|ndjson|json|csv|tsv|tab|xml|bioc|pubtator|conll|bio|iob|iob2|bioes|bilou)(?:\.gz)?"
    r"|parquet|pq|xlsx|xlsm|xlsb|xls|spacy)",
    re.IGNORECASE,
)
_ANNOTATED: Final = (PubtatorReader(), Conll())
_LOOKED_AT: Final = 50
_ENDING: Final = re.compile(r"\.txt(\.gz)?$", re.IGNORECASE)


class PlainText:
    """The reader of text files; hidden ones are passed over, since systems leave their own beside people's."""

    name = "plain text"

    def fits(self, path: Path, head: bytes) -> bool:
        """True for a folder of texts alone: in one with other notes, a text need not be a note."""
        if not path.is_dir():
            return next(_files(path), None) is not None
        texts = sorted(_files(path))
        return bool(texts) and not _has_other_notes(path) and not _mostly_annotated(path, texts)

    def read(self, path: Path) -> Iterator[Record]:
        inside = path if path.is_dir() else path.parent
        for where in sorted(_files(path)):
            try:
                text, remarks = text_of(inside / where)
                if format := path.is_dir() and _annotated_as(inside / where, text[: rows.HEAD_BYTES].encode()):
                    remarks.append(Remark("taken_as_text", format))
                note, seen = annotated(Marked({"id": _ENDING.sub("", where), "text": text}, remarks=remarks))
                yield Record(where, None, note, seen)
            except Refused as refused:
                yield Record(where, None, None, (refused.remark,))


def _mostly_annotated(folder: Path, texts: Sequence[str]) -> bool:
    """True if more than half of some files, taken from all over the folder, hold annotation."""
    some = texts[:: -(-len(texts) // _LOOKED_AT)]
    found = 0
    for name in some:
        with suppress(UserFacingError):  # told when the file is read
            found += bool(_annotated_as(folder / name, rows.head_of(folder / name)))
    return found * 2 > len(some)


def _annotated_as(file: Path, head: bytes) -> str:
    """The format of a file that is not just text; "" of any other."""
    return next((reader.name for reader in _ANNOTATED if reader.fits(file, head)), "")


def text_of(file: Path) -> tuple[str, list[Remark]]:
    """The text of a whole file and how its encoding was found. Raises Refused."""
    try:
        with rows.opened(file) as opened:
            # In pieces: a read makes room for all that is asked for, and most files are small.
            pieces = iter(lambda: opened.read(_PIECE), b"")
            data = b"".join(islice(pieces, rows.MAX_ROW_BYTES // _PIECE + 1))
    except UserFacingError as error:
        raise Refused("malformed", str(error.params.get("reason", "it is not there any more"))) from None
    if len(data) > rows.MAX_ROW_BYTES:
        raise Refused("too_long", f"{rows.MAX_ROW_BYTES // 2**20} MiB")
    try:
        return decoded(data)
    except ValueError as error:
        raise Refused("malformed", str(error)) from None


def _files(path: Path) -> Iterator[str]:
    """The texts of a folder as paths within it, in no order; or the name of a file that is one."""
    if not path.is_dir():
        yield from (path.name,) if path.name.lower().endswith(SUFFIXES) else ()
        return
    yield from (where + name for where, name in _all(path) if name.lower().endswith(SUFFIXES))


def _has_other_notes(folder: Path) -> bool:
    return any(_OTHERS.fullmatch(name) for _, name in _all(folder))


def _all(folder: Path) -> Iterator[tuple[str, str]]:
    """Files that are neither hidden nor about the notes: where within the folder, with "/" at its end, and the name."""
    for place, folders, names in os.walk(folder):  # strings, since ten thousand Paths are heavy
        folders[:] = (name for name in folders if not name.startswith("."))
        inside = Path(place).relative_to(folder).as_posix()
        before = "" if inside == "." else f"{inside}/"
        yield from ((before, name) for name in names if not name.startswith(".") and not ASIDE.match(name))
