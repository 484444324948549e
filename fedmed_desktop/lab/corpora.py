# SPDX-License-Identifier: Apache-2.0
"""The corpora that an experiment names, as notes in its own types, all in memory.

All but the bundled notes are in a folder that the user names: `mtsamples.jsonl.gz`, `codiesp_icd10.jsonl.gz`,
`medqa/<corpus>.jsonl.gz`, `text/aci_bench.jsonl.gz`, `ner_re/<corpus>.jsonl.gz`, and `ner_re/label_map.json`, which
maps each corpus' types to those of Fed-MedLoRA and says which end of its relations is the modifier.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from ..clinical import (
    Note,
    Relation,
    RelationRule,
    Unread,
    read_notes,
    read_notes_folder,
    read_relations_map,
    read_types_map,
    split_note,
)
from ..clinical.duplicates import joined
from ..clinical.icd10.chapters import main_chapter
from ..clinical.modifiers import Pairs
from ..clinical.reader import read_splits
from ..clinical.windows import WHOLE
from ..errors import UserFacingError
from ..files import from_home
from ..resources import resource
from ..scores import TaskName
from .asked import asked_fields, asked_of
from .choices import ASKED, UNLABELLED, CorpusChoice
from .experiment import Experiment

Split = Literal["train", "validation", "test"]

_SPLITS: Final[dict[str, Split]] = {"train": "train", "dev": "validation", "validation": "validation", "test": "test"}
_FILES: Final = {
    "mtsamples": "mtsamples.jsonl.gz",
    "codiesp": "codiesp_icd10.jsonl.gz",
    "pubmedqa": "medqa/pubmedqa.jsonl.gz",
    "medmcqa": "medqa/medmcqa.jsonl.gz",
    "aci_bench": "text/aci_bench.jsonl.gz",
}
_PUBMED: Final = re.compile(r"(?:phee|bc5cdr|ncbi|maccrobat|pubmedqa)-(\d+)")
_THROUGH: Final = {"phee": "has_drug"}  # its dosages hang on treatments, whose drugs this relation names
_PART: Final = re.compile(r"(?:_(?:inc|exc)|-\d+)$")  # of a trial's criteria, of an article's cases


@dataclass(frozen=True)
class Reading:
    """Way in which a corpus is read: map of its types to the experiment's types and modifiers, and relations' rules."""

    types: Mapping[str, str]
    rules: Mapping[str, RelationRule] | None = None


@dataclass(frozen=True)
class LabNote:
    """A note, with the properties that decide its site and split.

    Notes of one `group` are of the same document, or alike, and never part. `types`: the experiment's types that its
    corpus annotates, as its entities have them (nested ones too). `split` is the official one. `chapter`: of ICD-10-CM,
    if coded. A bundled note's `corpus` is the name of its site.
    """

    note: Note
    corpus: str
    group: str
    types: tuple[str, ...] = ()
    split: Split | None = None
    chapter: str | None = None


@dataclass(frozen=True)
class Corpora:
    """The notes of the experiment's sites, and those of `elsewhere` (cohorts, a newcomer) by the corpus's name.

    No note elsewhere is of a document of the sites, or nearly a duplicate of one of theirs. `unread`: what nothing
    reads of notes of one's own, by the corpus's name.
    """

    notes: list[LabNote]
    elsewhere: Mapping[str, list[LabNote]]
    unread: Mapping[str, Unread] = field(default_factory=dict)


def read_corpora(experiment: Experiment, data: Path | None) -> Corpora:
    """All notes, corpus after corpus in the experiment's order; `data` is the folder of those that are not bundled.

    Raises UserFacingError: `lab.data_needed`, `lab.corpus_missing`, `lab.corpus_row`, `lab.corpus_types` (none of the
    experiment's types is annotated there), `lab.task_nowhere`, `lab.corpus_labels`, and what notes of one's own raise.
    """
    choices = (*experiment.corpora, *experiment.elsewhere)
    unread = {choice.name: Unread() for choice in choices}
    found = [
        (choice, _typed(one, reading, experiment))
        for choice in choices
        for one, reading in _read(choice, experiment, data, unread[choice.name])
    ]
    groups = joined([one.group for _, one in found], [one.note.text for _, one in found])
    of: dict[str, list[LabNote]] = {choice.name: [] for choice in choices}
    for (choice, one), group in zip(found, groups, strict=True):
        windows = split_note(one.note, _room(one.note, choice, experiment))
        of[choice.name] += [replace(one, group=group, note=window.note) for window in windows]
    check_labels(experiment, of)
    at_sites = {one.group for choice in experiment.corpora for one in of[choice.name]}
    notes = [one for choice in experiment.corpora for one in _fewer(of[choice.name], choice.notes)]
    apart = {
        choice.name: _fewer([one for one in of[choice.name] if one.group not in at_sites], choice.notes)
        for choice in experiment.elsewhere
    }
    return Corpora(notes, apart, unread)


def _room(note: Note, choice: CorpusChoice, experiment: Experiment) -> int:
    """Characters of a window: all of a note whose codes, answer or summary the experiment asks for."""
    asked = set(experiment.tasks) & WHOLE
    labelled = note.codes is not None or note.options or note.summary is not None
    return len(note.text) if choice.characters is None or (asked and labelled) else choice.characters


def check_labels(experiment: Experiment, notes: Mapping[str, Sequence[LabNote]]) -> None:
    """Raises UserFacingError if notes of one's own have labels for no task, or all the sites' for none of one task."""
    found = {name: set().union(*map(_labels, there)) for name, there in notes.items()}
    asked = set(ASKED.values()) & set(experiment.tasks)
    at_sites = set().union(*(found[choice.name] for choice in experiment.corpora))
    if missing := sorted(asked - at_sites):
        raise UserFacingError("lab.task_nowhere", task=missing[0])
    for choice in (*experiment.corpora, *experiment.elsewhere):
        own = choice.path is not None and experiment.tasks != ("text",)
        if own and not found[choice.name] & set(experiment.tasks):
            raise UserFacingError("lab.corpus_labels", corpus=choice.name, tasks=", ".join(experiment.tasks))


def _labels(one: LabNote) -> set[TaskName]:
    marks: set[TaskName] = {"entities", "relations"} if one.types else set()
    return marks | asked_of(one.note)


def check_data(experiment: Experiment, data: Path | None) -> None:
    """Raises UserFacingError if a corpus that is not bundled is missing, as `read_corpora` would later."""
    for choice in (*experiment.corpora, *experiment.elsewhere):
        if choice.name != "bundled" and not (path := _path(choice, data)).exists():
            raise UserFacingError("lab.corpus_missing", path=str(path))


def _path(choice: CorpusChoice, data: Path | None) -> Path:
    if choice.path is not None:
        return from_home(choice.path)
    if data is None:
        raise UserFacingError("lab.data_needed", corpus=choice.name)
    return data / _FILES.get(choice.name, f"ner_re/{choice.name}.jsonl.gz")


def _read(
    choice: CorpusChoice, experiment: Experiment, data: Path | None, unread: Unread
) -> Iterator[tuple[LabNote, Reading]]:
    """Notes as they are in the corpus, each with the way to read its types."""
    if choice.name == "bundled":
        yield from _bundled(experiment)
        return
    path = _path(choice, data)
    if choice.path is not None:
        yield from _own(choice, path, experiment, unread)
        return
    reading = Reading({})
    if experiment.types and choice.name not in UNLABELLED:
        usual = _label_map(path.parent, choice.name, "entity") if choice.types is None or experiment.modifiers else {}
        reading = Reading(_known(choice.types or usual, experiment, choice.name))
        if experiment.modifiers:
            own = {name: to for name, to in usual.items() if to in experiment.modifiers}
            reading = Reading({**own, **reading.types}, _rules(path.parent, choice.name))
    for row, record in _rows(path):
        try:
            yield _lab_note(choice.name, record, linked=bool(experiment.modifiers)), reading
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # Their messages may hold words of the note; which row it is is enough to find it.
            raise UserFacingError("lab.corpus_row", path=str(path), row=row, reason=type(error).__name__) from None


def _bundled(experiment: Experiment) -> Iterator[tuple[LabNote, Reading]]:
    for folder in sorted(path for path in resource("demo_notes").iterdir() if path.is_dir()):
        file = folder / "types.toml"
        reading = Reading({})
        if experiment.types:
            rules = read_relations_map(file) if experiment.modifiers else None
            reading = Reading(_known(read_types_map(file), experiment, folder.name), rules)
        notes = read_notes_folder(folder)
        of: dict[Split, list[Note]] = {"train": notes.train, "validation": notes.validation, "test": notes.test or []}
        for split, there in of.items():
            for note in there:
                yield LabNote(note, folder.name, _document(note.id), split=split), reading


def _own(choice: CorpusChoice, path: Path, experiment: Experiment, unread: Unread) -> Iterator[tuple[LabNote, Reading]]:
    """Notes of one's own, with the types map beside them; types of a federation's names need none."""
    beside = (path if path.is_dir() else path.parent) / "types.toml"
    mapped = choice.types or (read_types_map(beside) if beside.exists() else {})
    parts = read_splits(path, unread) if path.is_dir() else {}
    notes: list[tuple[Split | None, Note]] = [(split, note) for split, part in parts.items() for note in part]
    notes = notes or [(None, note) for note in read_notes(path, unread)]
    there = {entity.type for _, note in notes for entity in note.entities}
    same = {name: name for name in (*experiment.types, *experiment.modifiers) if name in there}
    reading = Reading({})
    # Notes may be there for another task alone.
    marks = set((same | mapped).values()) & set(experiment.types)
    if experiment.types and (marks or not any(asked_of(note) & set(experiment.tasks) for _, note in notes)):
        known = _known(same | mapped, experiment, choice.name)
        reading = Reading(known, read_relations_map(beside) if experiment.modifiers and beside.exists() else None)
    for split, note in notes:
        yield LabNote(note, choice.name, note.patient or note.document or note.id, split=split), reading


def _lab_note(corpus: str, record: Mapping[str, Any], linked: bool) -> LabNote:
    chapter = main_chapter(record["codes"]) if corpus == "codiesp" else None
    entities = () if corpus in UNLABELLED else record["entities"]
    relations = record["relations"] if linked and corpus not in UNLABELLED else ()
    about = {"specialty": chapter or record.get("specialty"), "entities": entities, "relations": relations}
    about["tasks"] = (ASKED[corpus],) if corpus in ASKED else None
    note = Note.model_validate({"id": record["id"], **asked_fields(corpus, record), **about})
    group = record.get("dup_group") or (note.id if corpus == "medmcqa" else _document(note.id))
    # Of MedMCQA there is the official dev split alone: here it is all the notes there are.
    split = None if corpus == "medmcqa" else _SPLITS.get(str(record.get("split")))
    return LabNote(note, corpus, str(group), split=split, chapter=chapter)


def _document(name: str) -> str:
    """Name the document of a note: a PubMed article, the same for all corpora made of PubMed, a trial, or itself."""
    found = _PUBMED.match(name)
    return f"pubmed-{found[1]}" if found else _PART.sub("", name)


def _rules(folder: Path, corpus: str) -> Mapping[str, RelationRule]:
    """Rules of a corpus' relations; none where the map has none, so that none of its relations counts."""
    ends = _label_map(folder, corpus, "relation_modifier_end")
    through = _THROUGH.get(corpus)
    try:
        return {name: RelationRule.model_validate({"modifier": end, "through": through}) for name, end in ends.items()}
    except ValidationError:
        raise UserFacingError("lab.label_map", path=str(folder / "label_map.json"), corpus=corpus) from None


def _label_map(folder: Path, corpus: str, table: Literal["entity", "relation_modifier_end"]) -> Mapping[str, str]:
    path = folder / "label_map.json"
    try:
        maps = json.loads(path.read_text("utf-8"))
        return dict(maps["entity"][corpus] if table == "entity" else maps.get(table, {}).get(corpus, {}))
    except FileNotFoundError:
        raise UserFacingError("lab.corpus_missing", path=str(path)) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserFacingError("lab.label_map", path=str(path), corpus=corpus) from None


def _known(local: Mapping[str, str], experiment: Experiment, corpus: str) -> Mapping[str, str]:
    """The part of the map that leads to the experiment's types and modifiers."""
    asked = {*experiment.types, *experiment.modifiers}
    known = {name: target for name, target in local.items() if target in asked}
    if not set(known.values()) & set(experiment.types):
        there = ", ".join(sorted(set(local.values()))) or "none"
        raise UserFacingError("lab.corpus_types", corpus=corpus, found=there)
    return known


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                yield number, json.loads(line)
    except FileNotFoundError:
        raise UserFacingError("lab.corpus_missing", path=str(path)) from None
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UserFacingError("lab.corpus_unreadable", path=str(path), reason=type(error).__name__) from None


def _typed(one: LabNote, reading: Reading, experiment: Experiment) -> LabNote:
    """The note in the experiment's types, with the links of its modifiers as relations.

    Nested entities stay: a site's types decide which of two goes. Not so those that stand for mentions that they hold,
    where modifiers are learned: see Pairs.
    """
    local, holders, relations = reading.types, set[str](), tuple[Relation, ...]()
    if experiment.modifiers:
        pairs = Pairs(one.note, local, experiment.types, experiment.modifiers, reading.rules)
        type_of = {entity.id: local.get(entity.type) for entity in one.note.entities}
        holders = pairs.holders
        links = [(head, tail, type_of[tail]) for head, tail in pairs.found if head not in holders]
        relations = tuple(Relation(head=head, tail=tail, type=to) for head, tail, to in links if to is not None)
    entities = tuple(
        entity.model_copy(update={"type": local[entity.type]})
        for entity in one.note.entities
        if entity.type in local and entity.id not in holders
    )
    note = one.note.model_copy(update={"entities": entities, "relations": relations})
    return replace(one, note=note, types=tuple(sorted(set(local.values()) & set(experiment.types))))


def _fewer(notes: list[LabNote], most: int | None) -> list[LabNote]:
    """Keeps at most `most` notes, in whole groups, the same in every run: by the order of their groups' hashes."""
    if most is None:
        return notes
    sizes = Counter(one.group for one in notes)
    kept: set[str] = set()
    for group in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if sizes[group] <= most:
            kept.add(group)
            most -= sizes[group]
    return [one for one in notes if one.group in kept]
