# SPDX-License-Identifier: Apache-2.0
"""What a reader gives: for each row of a file a note, or why there is none, and what was seen on the way.

Messages name files, rows, keys, offsets and numbers of mentions, never a note's words: they reach screens and logs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

from ..notes import Note

RemarkCode = Literal[
    # why a row is refused
    "malformed",
    "offsets_unproved",
    "empty_text",
    "repeated_id",
    "too_long",
    # what happened to mentions of a note that is kept
    "blanks_trimmed",
    "zero_length_dropped",
    "only_blanks_dropped",
    "repeated_mention_dropped",
    "discontinuous_kept",
    "overlapping_kept",
    "nested_kept",
    "offsets_in_utf16",
    "offsets_in_bytes",
    "offsets_without_returns",
    "offsets_by_mention",
    # what happened to a file or to other annotations
    "encoding_guessed",
    "relation_dropped",
    "annotation_not_read",
    "key_not_read",
]
"""All that a reader may remark; a sentence for each stands in `wording`."""

REMARKS: tuple[RemarkCode, ...] = get_args(RemarkCode)


@dataclass(frozen=True)
class Remark:
    """One outcome at one place: `what` completes the sentence (a key, an encoding, an entity's number), no note text.

    `count`: how many times at this place.
    """

    code: RemarkCode
    what: str = ""
    count: int = 1


@dataclass(frozen=True)
class Record:
    """One row, document or file: a note, or None where it is refused; then the first remark says why.

    `file` is relative to the path that was given, with "/" between folders. `row` counts from 1: a line, a table's row,
    or the document's number in a file that has several; None where the file is the document.
    """

    file: str
    row: int | None
    note: Note | None
    remarks: tuple[Remark, ...] = ()
    split: Literal["train", "validation", "test"] | None = None


class Reader(Protocol):
    """One format."""

    name: str
    """As a person calls it: "BRAT", "doccano"."""

    def fits(self, path: Path, head: bytes) -> bool:
        """True if a file (by its name and first bytes) or a folder (`head` empty) is of this format."""

    def read(self, path: Path) -> Iterator[Record]:
        """The records of a file or folder in a fixed order, one at a time, so that memory does not grow with it.

        A row that cannot be used is a record without a note. Raises UserFacingError where nothing can be read at all.
        """
