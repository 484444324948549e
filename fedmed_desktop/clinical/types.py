# SPDX-License-Identifier: Apache-2.0
"""Mapping of a site's own entity types (Chemical, SpecificDisease) to the federation's (drug, problem).

Where the federation learns modifiers too (clinical.modifiers), so are a site's relations. Whatever is left out on the
way is counted, and the operator sees the counts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeInt

from ..errors import UserFacingError
from ..files import read_toml
from .modifiers import MODIFIERS, Pairs, RelationRule
from .notes import Entity, Note, Relation


class NotesReport(BaseModel):
    """Counts of the mentions that applying the types kept and left out.

    `entities` counts by federation type, `unmapped` by the site's own. `repeated_dropped`: mentions that the map made
    equal to another. `annotated_types`: the federation types that the site annotates, sorted; it is scored on only
    these, and so with `annotated_modifiers`, which some relation links. `relations` counts links by modifier,
    `relations_dropped` relations of modifiers that link nothing that was kept, `unlinked_dropped` modifiers without a
    link.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    notes: NonNegativeInt
    entities: dict[str, NonNegativeInt]
    unmapped: dict[str, NonNegativeInt] = {}
    discontinuous_dropped: NonNegativeInt = 0
    nested_dropped: NonNegativeInt = 0
    repeated_dropped: NonNegativeInt = 0
    annotated_types: tuple[str, ...] = ()
    relations: dict[str, NonNegativeInt] = {}
    relations_dropped: NonNegativeInt = 0
    unlinked_dropped: NonNegativeInt = 0
    annotated_modifiers: tuple[str, ...] = ()


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
    notes: Iterable[Note],
    types: Collection[str],
    types_map: Mapping[str, str] | None = None,
    modifiers: Collection[str] = (),
    relations_map: Mapping[str, RelationRule] | None = None,
) -> tuple[list[Note], NotesReport]:
    """The notes with the federation's types only, and the report.

    Types outside `types_map` that have a federation type's name keep it; others are counted and dropped. So are
    discontinuous mentions; of overlapping ones the longest stays (then the earliest, then the first in the note),
    without blanks at its edges. A dropped type never hides a kept one. Relations between kept mentions stay.

    With `modifiers`, a note keeps of these those that a relation links to a kept mention, and as its relations these
    links alone: head the mention, tail the modifier, type the modifier's. `relations_map` is the site's (see Pairs).
    Modifiers may overlap mentions, but not each other: the longest stays. A map may lead to modifiers that this
    federation does not learn.

    Raises UserFacingError: `clinical.types_map_target` (the map names a type that the federation does not have),
    `clinical.types_unknown` (no entity has a known type, or there is neither an entity nor a map).
    """
    applied = TypesApplied(types, types_map, modifiers, relations_map)
    typed = [applied.typed(note) for note in notes]
    return typed, applied.report()


class TypesApplied:
    """`apply_types` for one note after the other, of as many as there are. Raises as it does."""

    def __init__(
        self,
        types: Collection[str],
        types_map: Mapping[str, str] | None = None,
        modifiers: Collection[str] = (),
        relations_map: Mapping[str, RelationRule] | None = None,
    ) -> None:
        asked = {*types, *modifiers}
        for name, target in (types_map or {}).items():
            if target not in asked | MODIFIERS:
                expected = ", ".join(sorted(asked))
                raise UserFacingError("clinical.types_map_target", local=name, target=target, expected=expected)
        self._types, self._modifiers, self._rules = types, modifiers, relations_map
        self._map = {name: target for name, target in (types_map or {}).items() if target in asked}
        self._local = {name: name for name in asked} | self._map
        self._notes = 0
        self._known: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        self._links: Counter[str] = Counter()
        self._unmapped: Counter[str] = Counter()
        self._discontinuous = self._nested = self._repeated = self._lost = self._unlinked = 0

    def report(self) -> NotesReport:
        seen = {type_ for type_ in self._types if self._known[type_]}
        annotated = seen | {target for target in self._map.values() if target in self._types}
        if not annotated or (self._unmapped and not seen):
            raise UserFacingError(
                "clinical.types_unknown",
                found=", ".join(sorted(self._unmapped)) or "none",
                expected=", ".join(sorted(self._types)),
            )
        return NotesReport(
            notes=self._notes,
            entities=dict(sorted(self._kept.items())),
            unmapped=dict(sorted(self._unmapped.items())),
            discontinuous_dropped=self._discontinuous,
            nested_dropped=self._nested,
            repeated_dropped=self._repeated,
            annotated_types=tuple(sorted(annotated)),
            relations=dict(sorted(self._links.items())),
            relations_dropped=self._lost,
            unlinked_dropped=self._unlinked,
            annotated_modifiers=tuple(sorted(self._links)),
        )

    def typed(self, note: Note) -> Note:
        self._notes += 1
        candidates: list[Entity] = []
        for entity in note.entities:
            federated = self._local.get(entity.type)
            if federated is None:
                self._unmapped[entity.type] += 1
                continue
            self._known[federated] += 1
            if entity.discontinuous:
                self._discontinuous += 1
            else:
                candidates.append(_trimmed(entity, federated))
        if self._modifiers:
            return self._with_links(note, candidates)
        kept, _ = self._outermost(candidates)
        self._kept.update(entity.type for entity in kept)
        ids = {entity.id for entity in kept}
        relations = tuple(r for r in note.relations if r.head in ids and r.tail in ids)
        return note.model_copy(update={"entities": tuple(kept), "relations": relations})

    def _with_links(self, note: Note, candidates: Sequence[Entity]) -> Note:
        pairs = Pairs(note, self._local, self._types, self._modifiers, self._rules)
        mentions = [one for one in candidates if one.type in self._types]
        held = [one for one in mentions if one.id not in pairs.holders]
        self._nested += len(mentions) - len(held)
        heads, same = self._outermost(held)
        self._kept.update(entity.type for entity in heads)
        found = [(same.get(head, head), tail) for head, tail in pairs.found]
        ids = {entity.id for entity in heads}
        linked = {tail for head, tail in found if head in ids}
        loose = [one for one in candidates if one.type in self._modifiers]
        fast = [one for one in loose if one.id in linked]
        self._unlinked += len(loose) - len(fast)
        tails, same = self._outermost(fast)
        type_of = {entity.id: entity.type for entity in tails}
        links: dict[tuple[str, str], Relation] = {}
        for head, far in found:
            tail = same.get(far, far)
            if head in ids and tail in type_of:
                links[head, tail] = Relation(head=head, tail=tail, type=type_of[tail])
            else:
                self._lost += 1
        self._lost += pairs.dropped
        self._links.update(link.type for link in links.values())
        entities = sorted([*heads, *tails], key=lambda e: (e.start, -e.end))
        return note.model_copy(update={"entities": tuple(entities), "relations": tuple(links.values())})

    def _outermost(self, entities: Sequence[Entity]) -> tuple[list[Entity], dict[str, str]]:
        """Entities that stay, and of those that the map made equal to one of them the ids: the one's by the other's."""
        kept: list[Entity] = []  # in order of their start; none overlaps another, so only neighbours need be looked at
        same: dict[str, str] = {}
        for entity in sorted(entities, key=lambda e: (e.start - e.end, e.start)):
            at = bisect_left(kept, entity.start, key=lambda e: e.start)
            near = kept[max(0, at - 1) : at + 1]
            if equal := [other for other in near if entity.span == other.span]:
                self._repeated += 1
                same[entity.id] = equal[0].id
            elif any(entity.start < other.end and other.start < entity.end for other in near):
                self._nested += 1
            else:
                kept.insert(at, entity)
        return kept, same


def _trimmed(entity: Entity, federated: str) -> Entity:
    """The mention without blanks at its edges: answers have none there, so it could never be found with them."""
    text = entity.text.strip()
    start = entity.start + len(entity.text) - len(entity.text.lstrip())
    return entity.model_copy(update={"type": federated, "text": text, "start": start, "end": start + len(text)})
