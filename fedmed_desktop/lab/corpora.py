# SPDX-License-Identifier: Apache-2.0
"""The corpora that an experiment names, as notes in its own types, all in memory.

All but the bundled notes are in a folder that the user names: `mtsamples.jsonl.gz`, `codiesp_icd10.jsonl.gz`,
`ner_re/<corpus>.jsonl.gz`, and `ner_re/label_map.json`, which maps each corpus' types to those of Fed-MedLoRA.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from ..clinical import Note, read_notes_folder, read_types_map, split_note
from ..clinical.duplicates import joined
from ..clinical.icd10.chapters import main_chapter
from ..errors import UserFacingError
from ..resources import resource
from .choices import UNLABELLED, CorpusChoice
from .experiment import Experiment

Split = Literal["train", "validation", "test"]

_SPLITS: Final[dict[str, Split]] = {"train": "train", "dev": "validation", "validation": "validation", "test": "test"}
_FILES: Final = {"mtsamples": "mtsamples.jsonl.gz", "codiesp": "codiesp_icd10.jsonl.gz"}
_PUBMED: Final = re.compile(r"(?:phee|bc5cdr|ncbi|maccrobat)-(\d+)")
_PART: Final = re.compile(r"(?:_(?:inc|exc)|-\d+)$")  # of a trial's criteria, of an article's cases


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


def read_corpora(experiment: Experiment, data: Path | None) -> list[LabNote]:
    """All notes, corpus after corpus in the experiment's order; `data` is the folder of those that are not bundled.

    Raises UserFacingError: `lab.data_needed`, `lab.corpus_missing`, `lab.corpus_row`, `lab.corpus_types` (none of the
    experiment's types is annotated there).
    """
    found = [
        (choice, _typed(one, types))
        for choice in experiment.corpora
        for one, types in _read(choice, set(experiment.types), data)
    ]
    groups = joined([one.group for _, one in found], [one.note.text for _, one in found])
    of: dict[str, list[LabNote]] = {choice.name: [] for choice in experiment.corpora}
    for (choice, one), group in zip(found, groups, strict=True):
        windows = split_note(one.note, choice.characters or len(one.note.text))
        of[choice.name] += [replace(one, group=group, note=window.note) for window in windows]
    return [one for choice in experiment.corpora for one in _fewer(of[choice.name], choice.notes)]


def check_data(experiment: Experiment, data: Path | None) -> None:
    """Raises UserFacingError if a corpus that is not bundled is missing, as `read_corpora` would later."""
    for choice in experiment.corpora:
        if choice.name != "bundled" and not (path := _path(choice, data)).is_file():
            raise UserFacingError("lab.corpus_missing", path=str(path))


def _path(choice: CorpusChoice, data: Path | None) -> Path:
    if data is None:
        raise UserFacingError("lab.data_needed", corpus=choice.name)
    return data / _FILES.get(choice.name, f"ner_re/{choice.name}.jsonl.gz")


def _read(choice: CorpusChoice, types: set[str], data: Path | None) -> Iterator[tuple[LabNote, Mapping[str, str]]]:
    """Notes as they are in the corpus, each with the map of its types to the experiment's."""
    if choice.name == "bundled":
        yield from _bundled(choice, types)
        return
    path = _path(choice, data)
    local: Mapping[str, str] = {}
    if types and choice.name not in UNLABELLED:
        local = _known(choice.types or _label_map(path.parent, choice.name), types, choice.name)
    for row, record in _rows(path):
        try:
            yield _lab_note(choice.name, record), local
        except (ValidationError, KeyError, TypeError, AttributeError) as error:
            # Their messages may hold words of the note; which row it is is enough to find it.
            raise UserFacingError("lab.corpus_row", path=str(path), row=row, reason=type(error).__name__) from None


def _bundled(choice: CorpusChoice, types: set[str]) -> Iterator[tuple[LabNote, Mapping[str, str]]]:
    for folder in sorted(path for path in resource("demo_notes").iterdir() if path.is_dir()):
        local = _known(read_types_map(folder / "types.toml"), types, folder.name) if types else {}
        notes = read_notes_folder(folder)
        of: dict[Split, list[Note]] = {"train": notes.train, "validation": notes.validation, "test": notes.test or []}
        for split, there in of.items():
            for note in there:
                yield LabNote(note, folder.name, _document(note.id), split=split), local


def _lab_note(corpus: str, record: Mapping[str, Any]) -> LabNote:
    chapter = main_chapter(record["codes"]) if corpus == "codiesp" else None
    entities = () if corpus in UNLABELLED else record["entities"]
    about = {"specialty": chapter or record.get("specialty"), "entities": entities}
    note = Note.model_validate({"id": record["id"], "text": record["text"], **about})
    group = record.get("dup_group") or _document(note.id)
    return LabNote(note, corpus, str(group), split=_SPLITS.get(str(record.get("split"))), chapter=chapter)


def _document(name: str) -> str:
    """Name the document of a note: a PubMed article, the same for all corpora made of PubMed, a trial, or itself."""
    found = _PUBMED.match(name)
    return f"pubmed-{found[1]}" if found else _PART.sub("", name)


def _label_map(folder: Path, corpus: str) -> Mapping[str, str]:
    path = folder / "label_map.json"
    try:
        return dict(json.loads(path.read_text("utf-8"))["entity"][corpus])
    except FileNotFoundError:
        raise UserFacingError("lab.corpus_missing", path=str(path)) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise UserFacingError("lab.label_map", path=str(path), corpus=corpus) from None


def _known(local: Mapping[str, str], types: set[str], corpus: str) -> Mapping[str, str]:
    """The part of the map that leads to the experiment's types."""
    known = {name: target for name, target in local.items() if target in types}
    if not known:
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


def _typed(one: LabNote, local: Mapping[str, str]) -> LabNote:
    """The note in the experiment's types. Nested entities stay: a site's types decide which of two goes."""
    entities = tuple(e.model_copy(update={"type": local[e.type]}) for e in one.note.entities if e.type in local)
    note = one.note.model_copy(update={"entities": entities, "relations": ()})
    return replace(one, note=note, types=tuple(sorted(set(local.values()))))


def _fewer(notes: list[LabNote], most: int | None) -> list[LabNote]:
    """At most `most` notes, in whole groups, the same in every run: by the order of their groups' hashes."""
    if most is None:
        return notes
    sizes = Counter(one.group for one in notes)
    kept: set[str] = set()
    for group in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if sizes[group] <= most:
            kept.add(group)
            most -= sizes[group]
    return [one for one in notes if one.group in kept]
