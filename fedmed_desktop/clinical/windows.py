# SPDX-License-Identifier: Apache-2.0
"""Windows of a long note, each a note of its own that a model can read at once, and their way back to the whole note.

Windows may overlap, so that what is said at a window's edge is read with the words around it in the next one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ..scores import TaskName
from .notes import Entity, Note, Span
from .sentences import sentence_ends

OVERLAP: Final = 8
"""Windows of a note that is read overlap by up to an eighth of their length, from a sentence's start (inferred)."""


WHOLE: Final[frozenset[TaskName]] = frozenset({"codes", "questions", "summaries"})
"""Tasks whose labels are a whole note's: no window has them."""


class Window(NamedTuple):
    """A part of a note as a note of its own; its text begins at `offset` in the whole."""

    note: Note
    offset: int

    @property
    def end(self) -> int:
        """End of its text in the whole note."""
        return self.offset + len(self.note.text)

    def to_note(self, spans: Iterable[Span]) -> list[Span]:
        """Spans of the window as spans of the whole note."""
        return [Span(s.start + self.offset, s.end + self.offset, s.type) for s in spans]


def split_note(note: Note, max_chars: int, overlap: int = 0) -> list[Window]:
    """Windows of at most `max_chars` characters, cut at the end of a sentence, else at a blank, else anywhere.

    No cut is inside an entity, so a longer one makes a longer window. Blanks between windows are dropped: give it notes
    from apply_types, whose entities have none at their edges. A note that fits is its own window.

    A window begins with the first sentence that starts at most `overlap` characters before the window ahead of it ends;
    where none does, it begins at that end. See `merged`.
    """
    if max_chars < 1:
        raise ValueError("max_chars must be at least 1")
    if not 0 <= overlap < max_chars:
        raise ValueError("overlap must be less than max_chars, and not less than 0")
    if len(note.text) <= max_chars:
        return [Window(note, 0)]
    forbidden = bytearray(len(note.text) + 1)
    for entity in note.entities:
        forbidden[entity.start + 1 : entity.end] = b"\x01" * (entity.end - entity.start - 1)
    ends = [end for end in sentence_ends(note.text) if not forbidden[end]]
    cuts = _Cuts(note.text, max_chars, set(ends), forbidden)
    starts = [start for start in _sentence_starts(note.text, ends) if not forbidden[start]] if overlap else []
    parts = Parts(note)
    windows: list[Window] = []
    start = _next_word(note.text, 0)
    while start < len(note.text):
        cut = cuts.after(start)
        windows.append(Window(parts.of(start, cut), start))
        following = _next_word(note.text, cut)
        near = starts[bisect_right(starts, max(start, cut - overlap - 1)) : bisect_left(starts, following)]
        # A window that ended where this one does would show nothing new.
        again = (place for place in near if following < len(note.text) and cuts.after(place) > cut)
        start = next(again, following)
    return windows


def merged(read: Iterable[tuple[Window, Iterable[Span]]]) -> list[Span]:
    """Spans that were found in the windows of one note, as spans of the note, sorted, each once.

    A mention that ends at the edge of a window may have been cut there: the neighbour's counts that has it whole. Where
    two windows disagree about words that both have, the one counts in which they stand further from an edge.
    """
    pieces = sorted(((w, w.to_note(spans)) for w, spans in read), key=lambda piece: (piece[0].offset, piece[0].end))
    if not pieces:
        return []
    edges = _Edges(pieces[0][0].offset, max(window.end for window, _ in pieces))
    dropped: list[set[Span]] = [set() for _ in pieces]
    for one, (window, spans) in enumerate(pieces):
        for other in range(one + 1, len(pieces)):
            following, others = pieces[other]
            if following.offset >= window.end:
                break
            for mine, theirs in _disagreeing(window, spans, following, others):
                if edges.room(window, mine, theirs) >= edges.room(following, theirs, mine):
                    dropped[other].add(theirs)
                else:
                    dropped[one].add(mine)
    return sorted({s for (_, spans), out in zip(pieces, dropped, strict=True) for s in spans if s not in out})


class _Edges(NamedTuple):
    """First and last character of the note that a window has: nothing is cut off there."""

    first: int
    last: int

    def room(self, window: Window, span: Span, other: Span) -> tuple[bool, int, int]:
        """Reliability of a span: not cut, and far from the window's edges; else the longer one counts as whole."""
        before = span.start - window.offset if window.offset > self.first else self.last
        behind = window.end - span.end if window.end < self.last else self.last
        longer = (span.end - span.start) - (other.end - other.start)
        room = min(before, behind)
        return room > 0, room if room > 0 else 0, longer


def _disagreeing(
    one: Window, mine: Sequence[Span], other: Window, theirs: Sequence[Span]
) -> Iterable[tuple[Span, Span]]:
    """Pairs that overlap and of which each window has found only its own, though it has words of the other one too."""
    known, knows = set(mine), set(theirs)
    left = [span for span in mine if span.end > other.offset and span not in knows]
    right = [span for span in theirs if span.start < one.end and span not in known]
    return [(m, t) for m in left for t in right if m.start < t.end and t.start < m.end]


def _sentence_starts(text: str, ends: Iterable[int]) -> list[int]:
    """Places where a word follows a sentence's end, each once; empty lines, which are ends too, take no time."""
    starts = [0]
    for end in ends:
        if end > starts[-1]:
            starts.append(_next_word(text, end))
    return starts[1:]


def _next_word(text: str, start: int) -> int:
    while start < len(text) and text[start].isspace():
        start += 1
    return start


class _Cuts(NamedTuple):
    text: str
    max_chars: int
    ends: set[int]
    forbidden: bytearray

    def after(self, start: int) -> int:
        """End of the window that begins at `start`."""
        limit = start + self.max_chars
        if limit >= len(self.text):
            return len(self.text)
        backwards = range(limit, start, -1)
        choices = (
            (at for at in backwards if at in self.ends),
            (at for at in backwards if self.text[at].isspace() and not self.forbidden[at]),
            (at for at in backwards if not self.forbidden[at]),
            (at for at in range(limit, len(self.text)) if not self.forbidden[at]),
        )
        return next((at for places in choices for at in places), len(self.text))


class Parts:
    """Parts of a note with the labels that lie inside; its labels are looked through once, however many parts."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._order = sorted(range(len(note.entities)), key=lambda at: note.entities[at].start)
        self._starts = [note.entities[at].start for at in self._order]
        self._tasks = _tasks(note)
        self._links: dict[str, list[int]] = {}
        for at, relation in enumerate(note.relations):
            self._links.setdefault(relation.head, []).append(at)

    def of(self, start: int, end: int) -> Note:
        """The note's text from `start` to `end`, without blanks at its end, labels in their order."""
        note = self._note
        text = note.text[start:end].rstrip()
        end = start + len(text)
        near = sorted(self._order[bisect_left(self._starts, start) : bisect_left(self._starts, end)])
        entities = tuple(_moved(note.entities[at], start) for at in near if note.entities[at].end <= end)
        ids = {entity.id for entity in entities}
        links = sorted(at for one in ids for at in self._links.get(one, ()))
        relations = tuple(note.relations[at] for at in links if note.relations[at].tail in ids)
        name = f"{note.id[:180]}@{start}"
        same = {"specialty": note.specialty, "patient": note.patient, "document": note.document, "tasks": self._tasks}
        return Note.model_validate({"id": name, "text": text, "entities": entities, "relations": relations, **same})


def _tasks(note: Note) -> tuple[TaskName, ...] | None:
    """The tasks that a part is annotated for: those of the note, but for those that only the whole has labels of."""
    if note.tasks is not None:
        return tuple(task for task in note.tasks if task not in WHOLE)
    # Without codes and the like a part would look like a note in which nobody has found an entity.
    others = note.codes is not None or note.options or note.summary is not None
    return () if others and not note.entities else None


def _moved(entity: Entity, by: int) -> Entity:
    fragments = entity.fragments and tuple((start - by, end - by) for start, end in entity.fragments)
    return entity.model_copy(update={"start": entity.start - by, "end": entity.end - by, "fragments": fragments})
