# SPDX-License-Identifier: Apache-2.0
"""Generated notes with marked stretches, of everything that has ever moved an offset."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from fedmed_desktop.clinical import Note
from fedmed_desktop.clinical.readers import Record

_PIECES = [
    *("pain", "a", "B", ".", ",", " ", "  ", "\t", "\n", "\r\n", "\r", "\f", "\v", "\u2028", "\x85", "\xa0", '"', "'"),
    *(
        '""',
        "\\",
        "\\n",
        "<b>",
        "&amp;",
        "#",
        "|",
        "é",
        "e\u0301",
        "ß",
        "中",
        "\u200d",
        "\ufeff",
        "🙂",
        "👩‍⚕️",
        "𝛼",
        "9",
    ),
]
TEXTS = st.lists(st.one_of(st.sampled_from(_PIECES), st.text(max_size=3)), min_size=1, max_size=30).map(
    lambda pieces: "".join(pieces).replace("\x00", "")
)
TYPES = st.sampled_from(["Drug", "Sign symptom", "Zustand-ä", "O"])


@dataclass(frozen=True)
class MarkedText:
    """A text and its spans: not blank at their edges, all different."""

    text: str
    spans: tuple[tuple[int, int, str], ...]

    def words(self, at: int) -> str:
        start, end, _ = self.spans[at]
        return self.text[start:end]


@st.composite
def marked_texts(draw: st.DrawFn, texts: st.SearchStrategy[str] = TEXTS) -> MarkedText:
    text = draw(texts.filter(lambda text: text.strip() and text[0] != "\ufeff"))
    spans: dict[tuple[int, int, str], None] = {}
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, min(len(text), start + 12)))
        words = text[start:end]
        start, end = end - len(words.lstrip()), start + len(words.rstrip())
        if start < end:
            spans[start, end, draw(TYPES)] = None
    return MarkedText(text, tuple(spans))


def read_back(record: Record) -> MarkedText:
    """The text and spans of a record's note, of which each is proved."""
    assert record.note is not None, record.remarks
    proved(record.note)
    return MarkedText(record.note.text, tuple(tuple(one.span) for one in record.note.entities))


def proved(note: Note) -> None:
    for one in note.entities:
        assert note.text[one.start : one.end] == one.text
