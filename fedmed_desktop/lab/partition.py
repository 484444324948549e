# SPDX-License-Identifier: Apache-2.0
"""Partition of an experiment's notes into sites: a function of the experiment, the number of sites and a seed alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ..clinical import Note, SiteNotes, apply_types
from ..errors import UserFacingError
from ..federation.spec import SharedNote, shared_note
from .choices import ASKED, SplitSettings
from .corpora import LabNote, Split
from .dealing import Group, dealt, grouped
from .experiment import Experiment

EVERYBODY: Final = "everybody"
"""The site with the notes of all, which no federation may have: the centralised baseline trains on it."""

_LONGEST_SHARED = 20_000  # characters; what a specification takes


@dataclass(frozen=True)
class LabSite:
    """A site: its notes in the types and modifiers that it annotates, its largest rank, and its part of a round's
    steps."""

    name: str
    notes: SiteNotes
    types: tuple[str, ...] = ()
    modifiers: tuple[str, ...] = ()
    rank_cap: int | None = None
    speed: float = 1.0


def split_into_sites(notes: Sequence[LabNote], experiment: Experiment, sites: int, seed: int) -> list[LabSite]:
    """The given number of sites, "Site 1" first; each note is at most at one, and in one of its splits.

    Groups never part (`notes` and the like may leave some of one out). A site annotates the types that all of its
    corpora do, less those that it is to lack: types not marked up in all of its notes can be neither taught nor tested.

    Raises UserFacingError: `lab.few_notes`, `lab.few_labels`, `lab.no_label`, `lab.empty_split`, `lab.no_common_type`,
    `lab.type_nowhere`.
    """
    rng = _generator("sites", sites, seed)
    groups = grouped(notes, experiment.split)
    order = {id(one): at for at, one in enumerate(notes)}
    found = dealt(groups, experiment.split, sites, rng)
    caps, speeds = experiment.hardware.caps_of(sites), experiment.hardware.speeds_of(sites)
    shares = experiment.split.site_shares(sites)
    made: list[LabSite] = []
    for number, own in enumerate(found):
        name = f"Site {number + 1}"
        splits = _splits(own, experiment.split.for_sites(sites), shares[number] / shares[0], rng)
        for split in ("train", "validation"):
            if not splits[split]:
                raise UserFacingError("lab.empty_split", site=name, split=split, sites=sites, seed=seed)
        types = _types(name, own, experiment, number)
        own_order = {split: sorted(there, key=lambda one: order[id(one)]) for split, there in splits.items()}
        train, modifiers = typed_in(own_order["train"], types, experiment.modifiers)
        validation, test = (typed_in(own_order[split], types, modifiers)[0] for split in ("validation", "test"))
        if experiment.split.lacking_tasks:
            train, validation, test = (_without_tasks(part, experiment, number) for part in (train, validation, test))
        notes_here = SiteNotes(train, validation, test or None)
        cap = caps[number] if caps else None
        made.append(LabSite(name, notes_here, types, modifiers, cap, speeds[number]))
    if nowhere := sorted(set(experiment.types).difference(*(site.types for site in made))):
        raise UserFacingError("lab.type_nowhere", type=nowhere[0])
    return made


def share_notes(sites: Sequence[LabSite], count: int, seed: int) -> tuple[list[LabSite], tuple[SharedNote, ...]]:
    """Takes `count` validation notes for everybody to read, in turn from the sites that annotate most types.

    The sites score without them, and each keeps at least one. Raises UserFacingError `lab.few_shared`.
    """
    rng = _generator("shared", len(sites), seed)
    most = max((len(site.types) for site in sites), default=0)
    left = {site.name: list(site.notes.validation) for site in sites}
    drawn: list[Note] = []
    givers = [site.name for site in sites if len(site.types) == most]
    while len(drawn) < count:
        before = len(drawn)
        for name in givers[: count - before]:
            short = [at for at, note in enumerate(left[name]) if len(note.text) <= _LONGEST_SHARED]
            if len(left[name]) > 1 and short:
                drawn.append(left[name].pop(int(rng.choice(short))))
        if len(drawn) == before:
            raise UserFacingError("lab.few_shared", found=len(drawn), wanted=count)
    kept = [replace(site, notes=replace(site.notes, validation=left[site.name])) for site in sites]
    return kept, tuple(map(shared_note, drawn))


def pooled_site(sites: Sequence[LabSite]) -> LabSite:
    """EVERYBODY. It is scored at the sites: for its own report one validation note is enough."""
    train = [note for site in sites for note in site.notes.train]
    validation = with_labels(sites[0].notes.validation[:1], (note for site in sites for note in site.notes.validation))
    types = tuple(sorted({name for site in sites for name in site.types}))
    modifiers = tuple(sorted({name for site in sites for name in site.modifiers}))
    return LabSite(EVERYBODY, SiteNotes(train, validation, None), types, modifiers)


def with_labels(notes: Sequence[Note], others: Iterable[Note]) -> list[Note]:
    """The notes or, where none of these has labels, the first of the others that has: training ends with a report."""
    found = [] if any(map(_has_labels, notes)) else [note for note in others if _has_labels(note)]
    return found[:1] or list(notes)


def _has_labels(note: Note) -> bool:
    labels = note.entities or note.codes or note.answer is not None or note.summary
    return bool(labels) and note.tasks != ()


def _generator(use: str, sites: int, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(json.dumps([use, sites, seed]).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "big")))


def _splits(
    groups: Iterable[Group], split: SplitSettings, size: float, rng: np.random.Generator
) -> dict[Split, list[LabNote]]:
    """A site's notes by split: the official ones of its corpus, else shares of the training notes.

    `size`: of the site against the largest one, so that skewed sites stay so if `notes` bounds them.
    """
    by_corpus: dict[str, dict[Split, list[Group]]] = {}
    for group in groups:
        parts = by_corpus.setdefault(group.notes[0].corpus, {"train": [], "validation": [], "test": []})
        parts[group.split or "train"].append(group)
    found: dict[Split, list[LabNote]] = {"train": [], "validation": [], "test": []}
    shares: tuple[tuple[Split, float], ...] = (("test", split.test_share), ("validation", split.validation_share))
    for _, parts in sorted(by_corpus.items()):
        notes = sum(len(group.notes) for group in parts["train"])
        parts["train"] = [parts["train"][at] for at in rng.permutation(len(parts["train"]))]
        for name, share in shares:
            if not parts[name]:
                _take(parts["train"], parts[name], share * notes)
        for name, there in parts.items():
            found[name] += [one for group in there for one in group.notes]
    largest = None if split.notes is None else max(1, round(split.notes * size))
    most = {"train": largest, "validation": split.validation_notes, "test": split.test_notes}
    return {name: _some(there, most[name], rng) for name, there in found.items()}


def _take(pile: list[Group], into: list[Group], notes: float) -> None:
    """Groups off the end of the pile, until they have about this many notes; at least one if any are wanted."""
    while pile and notes > 0:
        into.append(pile.pop())
        notes -= len(into[-1].notes)


def _some(notes: list[LabNote], most: int | None, rng: np.random.Generator) -> list[LabNote]:
    if most is None or len(notes) <= most:
        return notes
    return [notes[at] for at in rng.choice(len(notes), most, replace=False)]


def _types(name: str, groups: Iterable[Group], experiment: Experiment, number: int) -> tuple[str, ...]:
    # Notes of one's own may be there for another task alone, like those of a corpus that is asked about.
    asked = {*ASKED, *(choice.name for choice in experiment.corpora if choice.path is not None)}
    marked = [one.types for group in groups for one in group.notes if one.types or one.corpus not in asked]
    if not marked:
        return ()
    types = set(experiment.types).intersection(*marked)
    lacking = experiment.split.lacking
    types -= set(lacking[number % len(lacking)] if lacking else ())
    if experiment.types and not types:
        raise UserFacingError("lab.no_common_type", site=name)
    return tuple(sorted(types))


def _without_tasks(notes: Sequence[Note], experiment: Experiment, number: int) -> list[Note]:
    """The notes, annotated for the tasks that the site does not lack."""
    lacking = experiment.split.lacking_tasks
    left = tuple(task for task in experiment.tasks if task not in lacking[number % len(lacking)])
    annotated = [left if note.tasks is None else tuple(task for task in left if task in note.tasks) for note in notes]
    return [note.model_copy(update={"tasks": tasks}) for note, tasks in zip(notes, annotated, strict=True)]


def typed_in(
    notes: Iterable[LabNote], types: Collection[str], modifiers: Collection[str]
) -> tuple[list[Note], tuple[str, ...]]:
    """The notes with these types and modifiers only, without overlaps, and the modifiers that they link.

    Entities of other types hide none of these.
    """
    kept = []
    for one in notes:
        entities = tuple(entity for entity in one.note.entities if entity.type in types or entity.type in modifiers)
        ids = {entity.id for entity in entities}
        relations = tuple(link for link in one.note.relations if link.head in ids and link.tail in ids)
        kept.append(one.note.model_copy(update={"entities": entities, "relations": relations}))
    if not types:
        return kept, ()
    typed, report = apply_types(kept, types, {name: name for name in types}, modifiers)
    return typed, report.annotated_modifiers
