# SPDX-License-Identifier: Apache-2.0
"""Preview of a notes folder before joining: how many notes, which types become what, and three notes. No Qt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...clinical import Note, SiteNotes, Span, apply_types
from ...wording import tr

SHOWN = 3
LONGEST = 700  # characters shown of a note: three of them fit a screen
_LOOKED_AT = 500  # notes among which the three are chosen; the first of a corpus are as good as any


@dataclass(frozen=True)
class TypeRow:
    """One type that the notes use. `target` None: ignored. `certain` False: only if the federation has this type."""

    local: str
    count: int
    target: str | None
    certain: bool

    @property
    def becomes(self) -> str:
        if self.target is None:
            return tr("ignored")
        return self.target if self.certain else tr("{type}, if the federation has it").format(type=self.target)


@dataclass(frozen=True)
class ShownNote:
    """A note, or its beginning, with its entities in the federation's types."""

    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class NotesPreview:
    """`splits` counts notes by split; `types` are those of the training and validation notes, most frequent first."""

    splits: dict[str, int]
    types: tuple[TypeRow, ...]
    notes: tuple[ShownNote, ...]

    @property
    def entities_kept(self) -> int:
        return sum(row.count for row in self.types if row.target)

    @property
    def entities_ignored(self) -> int:
        return sum(row.count for row in self.types if not row.target)


def preview(notes: SiteNotes, types_map: Mapping[str, str]) -> NotesPreview:
    """Counts every entity, so that it takes a moment for large folders. Which types the federation has is not known
    before it was joined: those that the map leads to are certain, others that could be a federation's are not.
    """
    counts = Counter(entity.type for note in (*notes.train, *notes.validation) for entity in note.entities)
    rows = tuple(
        _row(local, count, types_map) for local, count in sorted(counts.items(), key=lambda at: (-at[1], at[0]))
    )
    splits = {"train": len(notes.train), "validation": len(notes.validation)}
    if notes.test:
        splits["test"] = len(notes.test)
    mapping = {row.local: row.target for row in rows if row.target}
    return NotesPreview(splits, rows, _shown(notes.train[:_LOOKED_AT], mapping))


def _row(local: str, count: int, types_map: Mapping[str, str]) -> TypeRow:
    if target := types_map.get(local):
        return TypeRow(local, count, target, True)
    if local in types_map.values():
        return TypeRow(local, count, local, True)
    if local.isidentifier() and local == local.lower():  # what a federation's type looks like (FederationSpec)
        return TypeRow(local, count, local, False)
    return TypeRow(local, count, None, True)


def _shown(notes: Sequence[Note], mapping: Mapping[str, str]) -> tuple[ShownNote, ...]:
    """The three that together show the most types, then the most entities; in the order of the file."""
    if not notes:
        return ()
    local = [note for note in notes if any(entity.type in mapping for entity in note.entities)] or list(notes)
    typed = apply_types(local, set(mapping.values()), mapping)[0] if mapping else local
    cut = [_cut(note, bool(mapping)) for note in typed]
    chosen: list[int] = []
    seen: set[str] = set()
    while len(chosen) < min(SHOWN, len(cut)):
        left = [at for at in range(len(cut)) if at not in chosen]
        best = max(left, key=lambda at: (len({s.type for s in cut[at].spans} - seen), len(cut[at].spans), -at))
        chosen.append(best)
        seen |= {span.type for span in cut[best].spans}
    return tuple(cut[at] for at in sorted(chosen))


def _cut(note: Note, marked: bool) -> ShownNote:
    """Cuts a long note at a blank and never inside an entity."""
    spans = tuple(entity.span for entity in note.entities) if marked else ()
    if len(note.text) <= LONGEST:
        return ShownNote(note.text, spans)
    end = note.text.rfind(" ", LONGEST // 2, LONGEST)
    end = end if end > 0 else LONGEST
    while across := next((span for span in spans if span.start < end < span.end), None):
        end = across.start
    return ShownNote(note.text[:end].rstrip() + " …", tuple(span for span in spans if span.end <= end))
