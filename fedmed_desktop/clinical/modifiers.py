# SPDX-License-Identifier: Apache-2.0
"""Modifiers of entities (a drug's dosage, a problem's severity): which go with which, and how relations link them.

A site's types.toml may have a table that says which end of its relations is the modifier:

    [relations.map]
    has_dosage = { modifier = "tail", through = "has_drug" }

`through`: where the other end is no mention that the federation asks for but holds some (PHEE hangs a dosage on a
treatment, whose drug a relation "has_drug" names), the modifier goes to each of these. Inferred: it is our reading.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import UserFacingError
from ..files import read_toml
from .notes import Note

SCHEMA: Final[Mapping[str, tuple[str, ...]]] = {
    "problem": ("severity", "condition", "uncertain", "subject", "bodyloc", "course", "temporal", "negation"),
    "treatment": ("temporal", "negation"),
    "drug": ("strength", "dosage", "duration", "form", "frequency", "route", "temporal", "negation"),
    "test": ("labvalue", "reference_range", "temporal", "negation"),
}
"""Modifiers by type of entity, as Fed-MedLoRA's annotation guideline has them (arXiv 2601.22124, in the authors'
code)."""
MODIFIERS: Final[frozenset[str]] = frozenset(name for allowed in SCHEMA.values() for name in allowed)
"""All 16. A federation may name others; these go with every type, and every modifier with types not in SCHEMA."""


def goes_with(modifier: str, type_: str) -> bool:
    """True if a mention of the type may have such a modifier."""
    return type_ not in SCHEMA or modifier not in MODIFIERS or modifier in SCHEMA[type_]


class RelationRule(BaseModel):
    """Rule on which end of a site's relation is the modifier, and by which relation the other names the mentions it
    holds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    modifier: Literal["head", "tail"]
    through: str | None = Field(None, min_length=1)


def read_relations_map(path: Path) -> dict[str, RelationRule] | None:
    """The `[relations.map]` table of a TOML file: the site's relation -> its rule; None without such a table.

    Raises UserFacingError: `clinical.types_file_missing`, `clinical.types_file`.
    """
    relations = read_toml(path, "clinical.types_file_missing", "clinical.types_file").get("relations")
    if relations is None:
        return None
    table = relations.get("map") if isinstance(relations, dict) else None
    wrong, rules = "", {}
    if not isinstance(table, dict) or not table:
        wrong = "its [relations.map] table is empty"
    for name, value in table.items() if isinstance(table, dict) else ():
        try:
            rules[name] = RelationRule.model_validate(value)
        except ValidationError:
            wrong = f'the value of {name} is not like {{ modifier = "tail" }} or {{ modifier = "head" }}'
            break
    if wrong:
        raise UserFacingError("clinical.types_file", name=path.name, reason=wrong)
    return rules


class Pairs:
    """The links of one note as its relations say them: pairs of entity ids, the mention's and its modifier's.

    `local` maps the note's types to the federation's. Without `rules`, a relation between a known type and a modifier
    that goes with it is one, whichever end is which. `holders`: entities that stand for mentions that they hold, by a
    rule's `through`. `dropped`: relations that are about a modifier, or named in the rules, but link none.
    """

    def __init__(
        self,
        note: Note,
        local: Mapping[str, str],
        types: Collection[str],
        modifiers: Collection[str],
        rules: Mapping[str, RelationRule] | None,
    ) -> None:
        self._types, self._modifiers = types, modifiers
        self._entities = {entity.id: entity for entity in note.entities}
        self._local = local
        self._held: dict[tuple[str, str], list[str]] = {}
        self._held_by(note, {rule.through for rule in (rules or {}).values()})
        self.holders = {holder for _, holder in self._held}
        found: dict[tuple[str, str], None] = {}  # in order, each once
        self.dropped = 0
        for relation in note.relations:
            rule = rules.get(relation.type) if rules is not None else None
            if rules is not None and rule is None:
                continue
            ends = [(relation.head, relation.tail), (relation.tail, relation.head)]
            if rule is not None:
                ends = ends[:1] if rule.modifier == "tail" else ends[1:]
            ends = [(head, tail) for head, tail in ends if self._type(tail) in modifiers]
            pairs = [pair for head, tail in ends for pair in self._pairs(head, tail, rule)]
            self.dropped += not pairs and (bool(ends) or rule is not None)
            found |= dict.fromkeys(pairs)
        self.found = list(found)

    def _type(self, name: str) -> str | None:
        return self._local.get(self._entities[name].type)

    def _held_by(self, note: Note, through: Collection[str | None]) -> None:
        for relation in note.relations:
            if relation.type in through and self._type(relation.tail) in self._types:
                self._held.setdefault((relation.type, relation.head), []).append(relation.tail)

    def _pairs(self, head: str, tail: str, rule: RelationRule | None) -> list[tuple[str, str]]:
        held = self._held.get((rule.through, head), []) if rule is not None and rule.through else []
        modifier = self._type(tail)
        assert modifier is not None
        return [
            (mention, tail)
            for mention in held or [head]
            if (type_ := self._type(mention)) is not None and type_ in self._types and goes_with(modifier, type_)
        ]
