# SPDX-License-Identifier: Apache-2.0
"""Sentences about what was seen while notes were read; `{what}` names a key, an encoding or entities by number."""

from typing import Final

SENTENCES: Final = {
    "remark.annotation_not_read": "{count} annotations are not read: {what}.",
    "remark.blanks_trimmed": "Blanks at the edges of {count} mentions were cut off ({what}).",
    "remark.discontinuous_kept": "{count} mentions are in several parts.",
    "remark.empty_text": "Not used: the text is empty.",
    "remark.encoding_guessed": "The encoding is not marked and was taken to be {what}. Check a few accented letters.",
    "remark.key_not_read": "The key {what} is not read.",
    "remark.malformed": "Not used: {what}.",
    "remark.mention_in_other_form": "{count} mentions are written in another form than in the text, with other "
    "blanks or composed letters; the text's own characters are taken ({what}).",
    "remark.nested_kept": "{count} mentions lie inside another.",
    "remark.not_accepted": "Left out, as its annotators decided ({what}).",
    "remark.offsets_by_mention": "The offsets of {count} mentions are wrong; the mentions were found by their words "
    "close by ({what}).",
    "remark.offsets_in_bytes": "The offsets count bytes of UTF-8 and were turned into characters.",
    "remark.offsets_in_utf16": "The offsets count UTF-16 units and were turned into characters.",
    "remark.offsets_unproved": "Not used: {what}.",
    "remark.offsets_without_returns": "The offsets count a Windows line end as one character and were corrected.",
    "remark.only_blanks_dropped": "{count} mentions of blanks only were left out ({what}).",
    "remark.overlapping_kept": "{count} mentions partly overlap another.",
    "remark.relation_dropped": "{count} relations were left out, since a mention at their end is not there.",
    "remark.repeated_id": "Not used: its id is the id of {what} too.",
    "remark.repeated_mention_dropped": "{count} mentions are marked twice and were taken once ({what}).",
    "remark.tag_repaired": "{count} tags cannot follow the tag before them; each begins a mention of its own ({what}).",
    "remark.too_long": "Not used: it is longer than {what}.",
    "remark.zero_length_dropped": "{count} mentions without any characters were left out ({what}).",
}
