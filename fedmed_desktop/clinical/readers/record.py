# SPDX-License-Identifier: Apache-2.0
"""Records, which readers give: for each row of a file a note, or why there is none, and what was seen on the way.

Messages name files, rows, keys, offsets and numbers of mentions, never a note's words: they reach screens and logs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, get_args

from ..notes import Note

RemarkCode = Literal[
    # why a row is refused
    "malformed",
    "offsets_unproved",
    "empty_text",
    "repeated_id",
    "too_long",
    # why a row is passed over, without a fault
    "not_accepted",
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
    "mention_in_other_form",
    # what happened to a file or to other annotations
    "encoding_guessed",
    "no_annotation_file",
    "taken_as_text",
    "tag_repaired",
    "relation_dropped",
    "repeated_relation_dropped",
    "annotation_not_read",
    "key_not_read",
    "file_not_read",
    "sheet_not_read",
]
"""All that a reader may remark; a sentence for each stands in `wording`."""

REMARKS: tuple[RemarkCode, ...] = get_args(RemarkCode)

# How a refusal ends "row 7: ...".
_REASONS: Final[Mapping[RemarkCode, str]] = {
    "malformed": "{what}",
    "offsets_unproved": "{what}",
    "empty_text": "the text is empty",
    "repeated_id": "{what} has the same id",
    "too_long": "it is longer than {what}",
}
REFUSALS: Final = frozenset(_REASONS)


@dataclass(frozen=True)
class Remark:
    """One outcome at one place: `what` completes the sentence (a key, an encoding, an entity's number), no note text.

    `count`: how many times at this place.
    """

    code: RemarkCode
    what: str = ""
    count: int = 1

    @property
    def reason(self) -> str:
        """Reason why a row is refused, as words that end a sentence; empty for any other remark."""
        return _REASONS.get(self.code, "").format(what=self.what)


class Refused(Exception):
    """Raised while a row is read: it cannot be used, for this reason."""

    def __init__(self, code: RemarkCode, what: str = "") -> None:
        super().__init__(code)
        self.remark = Remark(code, what)


@dataclass(frozen=True)
class Record:
    """One row, document or file: a note, or None where it is refused or passed over; then the first remark says why.

    `file` is relative to the path that was given, with "/" between folders. `row` counts from 1: a line, a table's row,
    or the document's number in a file that has several; None where the file is the document.
    """

    file: str
    row: int | None
    note: Note | None
    remarks: tuple[Remark, ...] = ()
    split: Literal["train", "validation", "test"] | None = None

    @property
    def refusal(self) -> Remark | None:
        """The fault because of which there is no note; None for a note, and for a row that is meant to be left out."""
        return self.remarks[0] if self.note is None and self.remarks[0].code in REFUSALS else None


class Reader(Protocol):
    """One format."""

    @property
    def name(self) -> str:
        """Name as a person says it: "BRAT", "doccano"."""

    def fits(self, path: Path, head: bytes) -> bool:
        """True if a file (by its name and first bytes) or a folder (`head` empty) is of this format."""

    def read(self, path: Path) -> Iterator[Record]:
        """The records of a file or folder in a fixed order, one at a time, so that memory does not grow with it.

        A row that cannot be used is a record without a note. Raises UserFacingError where nothing can be read at all.
        """
