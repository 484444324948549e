# SPDX-License-Identifier: Apache-2.0
"""Mapping of a site's own entity types (Chemical, SpecificDisease) to the federation's (drug, problem).

Mentions left out on the way are counted, and the operator sees the counts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeInt

from ..errors import UserFacingError
from ..files import read_toml
from .notes import Entity, Note


class NotesReport(BaseModel):
    """Counts of the mentions that applying the types kept and left out.

    `entities` counts by federation type, `unmapped` by the site's own. `repeated_dropped`: mentions that the map made
    equal to another. `annotated_types`: the federation types that the site annotates, sorted; it is scored on only
    these.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    notes: NonNegativeInt
    entities: dict[str, NonNegativeInt]
    unmapped: dict[str, NonNegativeInt] = {}
    discontinuous_dropped: NonNegativeInt = 0
    nested_dropped: NonNegativeInt = 0
    repeated_dropped: NonNegativeInt = 0
    annotated_types: tuple[str, ...] = ()


def read_types_map(path: Path) -> dict[str, str]:
    """The `[types.map]` table of a TOML file: the site's type -> the federation's type.

    Raises UserFacingError: `clinical.types_file_missing`, `clinical.types_file`.
    """
    types = read_toml(path, "clinical.types_file_missing", "clinical.types_file").get("types")
    table = types.get("map") if isinstance(types, dict) else None
    wrong = ""
    if not isinstance(table, dict) or not table:
        wrong = "it has no filled [types.map] table"
    elif strangers := [local for local, federated in table.items() if not isinstance(federated, str)]:
        wrong = f"the value of {strangers[0]} is not a string"
    if wrong:
        raise UserFacingError("clinical.types_file", name=path.name, reason=wrong)
    return dict(table or {})


def apply_types(
    notes: Iterable[Note], types: Collection[str], types_map: Mapping[str, str] | None = None
) -> tuple[list[Note], NotesReport]:
    """The notes with the federation's types only, and the report.

    Types outside `types_map` that have a federation type's name keep it; others are counted and dropped. So are
    discontinuous mentions; of overlapping ones the longest stays (then the earliest, then the first in the note),
    without blanks at its edges. A dropped type never hides a kept one. Relations between kept mentions stay.

    Raises UserFacingError: `clinical.types_map_target` (the map names a type that the federation does not have),
    `clinical.types_unknown` (no entity has a known type, or there is neither an entity nor a map).
    """
    applied = TypesApplied(types, types_map)
    typed = [applied.typed(note) for note in notes]
    return typed, applied.report()


class TypesApplied:
    """`apply_types` for one note after the other, of as many as there are. Raises as it does."""

    def __init__(self, types: Collection[str], types_map: Mapping[str, str] | None = None) -> None:
        for name, target in (types_map or {}).items():
            if target not in types:
                expected = ", ".join(sorted(types))
                raise UserFacingError("clinical.types_map_target", local=name, target=target, expected=expected)
        self._types, self._map = types, types_map or {}
        self._local = {name: name for name in types} | dict(self._map)
        self._counts = _Counts()
        self._notes = 0

    def typed(self, note: Note) -> Note:
        self._notes += 1
        return _typed(note, self._local, self._counts)

    def report(self) -> NotesReport:
        counts = self._counts
        seen = {type_ for type_ in self._local.values() if counts.known[type_]}
        annotated = seen | set(self._map.values())
        if not annotated or (counts.unmapped and not seen):
            raise UserFacingError(
                "clinical.types_unknown",
                found=", ".join(sorted(counts.unmapped)) or "none",
                expected=", ".join(sorted(self._types)),
            )
        return NotesReport(
            notes=self._notes,
            entities=dict(sorted(counts.kept.items())),
            unmapped=dict(sorted(counts.unmapped.items())),
            discontinuous_dropped=counts.discontinuous,
            nested_dropped=counts.nested,
            repeated_dropped=counts.repeated,
            annotated_types=tuple(sorted(annotated)),
        )


class _Counts:
    def __init__(self) -> None:
        self.known: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self.unmapped: Counter[str] = Counter()
        self.discontinuous = self.nested = self.repeated = 0


def _typed(note: Note, local: Mapping[str, str], counts: _Counts) -> Note:
    candidates: list[Entity] = []
    for entity in note.entities:
        federated = local.get(entity.type)
        if federated is None:
            counts.unmapped[entity.type] += 1
            continue
        counts.known[federated] += 1
        if entity.discontinuous:
            counts.discontinuous += 1
        else:
            candidates.append(_trimmed(entity, federated))
    kept = _outermost(candidates, counts)
    counts.kept.update(entity.type for entity in kept)
    ids = {entity.id for entity in kept}
    relations = tuple(r for r in note.relations if r.head in ids and r.tail in ids)
    return note.model_copy(update={"entities": tuple(kept), "relations": relations})


def _trimmed(entity: Entity, federated: str) -> Entity:
    """The mention without blanks at its edges: answers have none there, so it could never be found with them."""
    text = entity.text.strip()
    start = entity.start + len(entity.text) - len(entity.text.lstrip())
    return entity.model_copy(update={"type": federated, "text": text, "start": start, "end": start + len(text)})


def _outermost(entities: Sequence[Entity], counts: _Counts) -> list[Entity]:
    kept: list[Entity] = []  # in order of their start; none overlaps another, so only neighbours need be looked at
    for entity in sorted(entities, key=lambda e: (e.start - e.end, e.start)):
        at = bisect_left(kept, entity.start, key=lambda e: e.start)
        near = kept[max(0, at - 1) : at + 1]
        if any(entity.span == other.span for other in near):
            counts.repeated += 1
        elif any(entity.start < other.end and other.start < entity.end for other in near):
            counts.nested += 1
        else:
            kept.insert(at, entity)
    return kept
