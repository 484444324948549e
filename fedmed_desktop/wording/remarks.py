# SPDX-License-Identifier: Apache-2.0
"""Sentences about what was seen while notes were read; `{what}` names a key, an encoding or entities by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from .figures import written
from .translation import later, together, tr

if TYPE_CHECKING:
    from ..clinical.readers import Remark, RemarkCode

_SHOWN: Final = 5  # files by name

REMARK_SENTENCES: Final[Mapping[RemarkCode, str]] = {
    "annotation_not_read": later("Annotations that are not read ({what}): {count}."),
    "blanks_trimmed": later("Mentions with spaces at the ends, which were cut off: {count} ({what})."),
    "discontinuous_kept": later("Mentions in several parts: {count}."),
    "empty_text": later("Not used: the text is empty."),
    "encoding_guessed": later("The encoding is not marked and was taken to be {what}. Check a few accented letters."),
    "file_not_read": later("The file is not read: no format fits it, or its folder was taken to be of another format."),
    "key_not_read": later("The key {what} is not read."),
    "malformed": later("Not used: {what}."),
    "mention_in_other_form": later(
        "Mentions written in another form than in the text, with letters composed otherwise: {count} ({what}). The "
        "text's own characters are taken."
    ),
    "nested_kept": later("Mentions inside another: {count}."),
    "no_annotation_file": later("The note is read without annotations, because there is no {what} beside it."),
    "not_accepted": later("Left out, as its annotators decided ({what})."),
    "offsets_by_mention": later(
        "Mentions with wrong offsets, which were found nearby by their words: {count} ({what})."
    ),
    "offsets_in_bytes": later("The offsets count bytes of UTF-8 and were turned into characters."),
    "offsets_in_utf16": later("The offsets count UTF-16 units and were turned into characters."),
    "offsets_unproved": later("Not used: {what}."),
    "offsets_without_returns": later("The offsets count a Windows line end as one character and were corrected."),
    "only_blanks_dropped": later("Mentions of nothing but spaces, left out: {count} ({what})."),
    "overlapping_kept": later("Mentions that partly overlap another: {count}."),
    "relation_dropped": later("Relations left out, because one of their mentions is missing: {count}."),
    "repeated_id": later("Not used: {what} has the same id."),
    "repeated_mention_dropped": later("Mentions marked more than once, taken once: {count} ({what})."),
    "repeated_relation_dropped": later("Relations listed more than once, taken once: {count}."),
    "tag_repaired": later(
        "Tags that do not fit the tag before them: {count} ({what}). A mention begins where an inside tag continues "
        "none, and ends where its end tag is missing."
    ),
    "sheet_not_read": later("The sheet {what} is not read: only the first one with a column of texts is."),
    "taken_as_text": later(
        "Read as plain text, like the other files of its folder, though it looks like {what}. If it is, put it into a "
        "folder of its own."
    ),
    "too_long": later("Not used: it is longer than {what}."),
    "zero_length_dropped": later("Mentions without any characters, left out: {count} ({what})."),
}


def remark_sentence(remark: Remark) -> str:
    """The sentence of a remark, in the reader's language."""
    return tr(REMARK_SENTENCES[remark.code]).format(what=remark.what, count=remark.count)


def unread_sentence(keys: Mapping[str, int], files: Sequence[str], of: int | None = None) -> str:
    """Says which keys of rows and which files nothing reads; "" where all is read. `of`: how many files there are."""
    said = [f"{key} ({written(rows)})" for key, rows in keys.items()]
    named = list(files[:_SHOWN])
    if (more := (of or len(files)) - len(named)) > 0:
        named.append(tr("and {n} more").format(n=written(more)))
    return together(
        tr("Keys of rows that are not read: {keys}.").format(keys=", ".join(said)) if said else "",
        tr("Files that are not read: {files}.").format(files=", ".join(named)) if named else "",
    )
