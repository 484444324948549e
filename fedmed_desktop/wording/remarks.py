# SPDX-License-Identifier: Apache-2.0
"""Sentences about what was seen while notes were read; `{what}` names a key, an encoding or entities by number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from .translation import later, tr

if TYPE_CHECKING:
    from ..clinical.readers import Remark, RemarkCode

REMARK_SENTENCES: Final[Mapping[RemarkCode, str]] = {
    "annotation_not_read": later("{count} annotations are not read: {what}."),
    "blanks_trimmed": later("Blanks at the edges of {count} mentions were cut off ({what})."),
    "discontinuous_kept": later("{count} mentions are in several parts."),
    "empty_text": later("Not used: the text is empty."),
    "encoding_guessed": later("The encoding is not marked and was taken to be {what}. Check a few accented letters."),
    "key_not_read": later("The key {what} is not read."),
    "malformed": later("Not used: {what}."),
    "mention_in_other_form": later(
        "{count} mentions are written in another form than in the text, with other blanks or composed letters; the "
        "text's own characters are taken ({what})."
    ),
    "nested_kept": later("{count} mentions lie inside another."),
    "no_annotation_file": later("The note is read without annotation, since there is no {what} beside it."),
    "not_accepted": later("Left out, as its annotators decided ({what})."),
    "offsets_by_mention": later(
        "The offsets of {count} mentions are wrong; the mentions were found by their words close by ({what})."
    ),
    "offsets_in_bytes": later("The offsets count bytes of UTF-8 and were turned into characters."),
    "offsets_in_utf16": later("The offsets count UTF-16 units and were turned into characters."),
    "offsets_unproved": later("Not used: {what}."),
    "offsets_without_returns": later("The offsets count a Windows line end as one character and were corrected."),
    "only_blanks_dropped": later("{count} mentions of blanks only were left out ({what})."),
    "overlapping_kept": later("{count} mentions partly overlap another."),
    "relation_dropped": later("{count} relations were left out, since a mention at their end is not there."),
    "repeated_id": later("Not used: its id is the id of {what} too."),
    "repeated_mention_dropped": later("{count} mentions are marked twice and were taken once ({what})."),
    "tag_repaired": later(
        "{count} tags do not fit the tag before them ({what}): a mention begins where an inside tag continues none, "
        "and ends where its end tag is missing."
    ),
    "too_long": later("Not used: it is longer than {what}."),
    "zero_length_dropped": later("{count} mentions without any characters were left out ({what})."),
}


def remark_sentence(remark: Remark) -> str:
    """The sentence of a remark, in the reader's language."""
    return tr(REMARK_SENTENCES[remark.code]).format(what=remark.what, count=remark.count)
