# SPDX-License-Identifier: Apache-2.0
"""Offsets of mentions: found for whatever a tool counts, and refused where nothing proves them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.clinical.readers import REMARKS, Remark
from fedmed_desktop.clinical.readers.mentions import Link, Marked, annotated
from fedmed_desktop.clinical.readers.offsets import Mention, Witness, anchor
from fedmed_desktop.clinical.readers.record import Refused
from fedmed_desktop.wording.remarks import REMARK_SENTENCES, remark_sentence

TEXT = "Ärztin 🙂 sagt:\r\nPat. hat 💊 Aspirin\r\nbekommen."


def mention(words: str, count: str = "points", text: str = TEXT) -> Mention:
    at = text.index(words)
    before, through = text[:at], text[: at + len(words)]
    if "lines" in count:
        before, through = before.replace("\r\n", "\n"), through.replace("\r\n", "\n")
    size = {
        "points": len,
        "utf16": lambda part: len(part.encode("utf-16-le")) // 2,
        "bytes": lambda part: len(part.encode()),
    }[count.split()[0]]
    return Mention("T1", size(before), size(through), "Drug", words)


@pytest.mark.parametrize(
    ("count", "codes"),
    [
        ("points", []),
        ("utf16", ["offsets_in_utf16"]),
        ("bytes", ["offsets_in_bytes"]),
        ("points lines", ["offsets_without_returns"]),
        ("utf16 lines", ["offsets_in_utf16", "offsets_without_returns"]),
        ("bytes lines", ["offsets_in_bytes", "offsets_without_returns"]),
    ],
)
def test_that_what_the_tool_has_counted_is_found_by_the_mentions(count: str, codes: list[str]) -> None:
    (found, last), remarks = anchor(TEXT, [mention("Aspirin", count), mention("bekommen", count)])
    assert (TEXT[found.start : found.end], found.text) == ("Aspirin", "Aspirin")
    assert TEXT[last.start : last.end] == "bekommen"
    assert [remark.code for remark in remarks] == codes


PIECES = st.sampled_from(["a", "é", "e\u0301", "🙂", "👩‍⚕️", "\r\n", "\n", "\t", "\f", '"', "中", " ", "pain"])


@given(
    st.lists(PIECES, min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(0, 39), st.integers(1, 4)), min_size=1, max_size=5),
    st.sampled_from(["utf-16-le", "utf-8"]),
)
def test_that_a_mention_is_never_put_on_other_words(
    pieces: list[str], picks: list[tuple[int, int]], codec: str
) -> None:
    text, unit = "".join(pieces), 2 if codec == "utf-16-le" else 1
    mentions = []
    for first, length in picks:
        words = "".join(pieces[first : first + length])
        start = "".join(pieces[:first])
        if words:
            at = len(start.encode(codec)) // unit
            mentions.append(Mention("T", at, at + len(words.encode(codec)) // unit, "x", words))
    found, _ = anchor(text, mentions)
    for one, was in zip(found, mentions, strict=True):
        assert text[one.start : one.end] == one.text
        assert (one.text or "").split() == (was.text or "").split()


def test_that_words_close_by_are_found_only_if_one_place_is_nearest() -> None:
    (found,), (remark,) = anchor("no pain but pain", [Mention("T1", 2, 6, "x", "pain")])
    assert (found.start, found.end, remark.code, remark.what) == (3, 7, "offsets_by_mention", "entity 1")
    with pytest.raises(Refused) as caught:
        anchor("pain, pain", [Mention("T1", 3, 7, "x", "pain")])
    assert caught.value.remark.code == "offsets_unproved"
    assert caught.value.remark.what == "entity 1, offsets 3 to 7: the characters there are not the entity's text"


def test_that_words_far_away_or_of_another_length_are_not_taken() -> None:
    for wrong in (Mention("T1", 0, 4, "x", "pain"), Mention("T1", 95, 110, "x", "pain")):
        with pytest.raises(Refused):
            anchor("." * 100 + "pain", [wrong])


def test_that_composed_letters_are_the_same_words_and_the_text_s_own_are_kept() -> None:
    text = unicodedata.normalize("NFD", "Überdosis am Knie")
    (found,), (remark,) = anchor(text, [Mention("T1", 0, 10, "x", "Überdosis")])
    assert (found.text, remark.code) == (text[:10], "mention_in_other_form")


def test_that_a_line_end_within_a_mention_may_be_written_as_a_blank() -> None:
    (found,), remarks = anchor("chest\r\npain", [Mention("T1", 0, 11, "x", "chest pain")])
    assert (found.text, remarks) == ("chest\r\npain", [])


def test_that_offsets_without_words_count_characters() -> None:
    (found,), remarks = anchor("🙂 pain", [Mention("T1", 2, 6, "x")])
    assert (found.text, remarks) == ("pain", [])
    with pytest.raises(Refused):
        anchor("🙂 pain", [Mention("T1", 3, 7, "x")])


def test_that_the_words_of_tokens_prove_what_is_counted() -> None:
    (found,), (remark,) = anchor("🙂 pain", [Mention("T1", 3, 7, "x")], [Witness(3, 7, "pain")])
    assert (found.text, remark.code) == ("pain", "offsets_in_utf16")
    with pytest.raises(Refused, match="offsets_unproved"):
        anchor("🙂 pain", [Mention("T1", 2, 6, "x")], [Witness(3, 7, "fever")])


def test_that_each_unusual_mention_has_one_outcome() -> None:
    text = "severe chest  pain, pain in left and right arm "
    mentions = [
        Mention("kept", 0, 18, "Problem"),
        Mention("blanks", 6, 14, "Place"),
        Mention("nothing", 4, 4, "Problem"),
        Mention("air", 12, 14, "Problem"),
        Mention("again", 0, 18, "Problem", "severe chest pain"),
        Mention("parts", 20, 46, "Problem", "pain in right arm", ((20, 27), (37, 46))),
        Mention("over", 14, 24, "Problem"),
    ]
    links = [
        Link("kept", "blanks", "at"),
        Link("again", "blanks", "at"),
        Link("kept", "air", "at"),
        Link("again", "parts", "r"),
    ]
    note, remarks = annotated(Marked({"id": "n", "text": text}, mentions, links))
    assert [(one.id, one.text) for one in note.entities] == [
        ("kept", "severe chest  pain"),
        ("blanks", "chest"),
        ("parts", "pain in left and right arm"),
        ("over", "pain, pain"),
    ]
    assert [(one.head, one.tail) for one in note.relations] == [("kept", "blanks"), ("kept", "parts")]
    assert {remark.code: (remark.count, remark.what) for remark in remarks} == {
        "blanks_trimmed": (1, "entity 2"),
        "zero_length_dropped": (1, "entity 3"),
        "only_blanks_dropped": (1, "entity 4"),
        "repeated_mention_dropped": (1, "entity 5"),
        "relation_dropped": (1, ""),
        "repeated_relation_dropped": (1, ""),
        "discontinuous_kept": (1, ""),
        "nested_kept": (1, ""),
        "overlapping_kept": (2, ""),
    }


def test_that_the_work_grows_with_the_note_and_not_its_square() -> None:
    text = "🙂 pain\r\n" * 100_000
    mentions = [Mention(f"T{at}", 9 * at + 3, 9 * at + 7, "x", "pain") for at in range(0, 100_000, 10)]
    found, (remark,) = anchor(text, mentions)
    assert (found[-1].text, remark.code) == ("pain", "offsets_in_utf16")


def test_that_every_remark_has_a_sentence_which_counts_what_it_counts() -> None:
    assert REMARK_SENTENCES.keys() == set(REMARKS)
    assert remark_sentence(Remark("nested_kept", "", 3)) == "Mentions inside another: 3."
    assert remark_sentence(Remark("malformed", "not a JSON object")) == "Not used: not a JSON object."
