# SPDX-License-Identifier: Apache-2.0
"""Makes the demo's notes: sentences of three open corpora as three sites with types of their own.

    python packaging/demo_notes/build.py --data DIR --out resources/demo_notes

DIR holds `ner_re/{phee,bc5cdr,ncbi_disease}.jsonl.gz`: one document a row with `id`, `text`, `entities`, `relations`
and the official `split`. The same input gives the same bytes. A document, and a sentence that reads the same, is used
once over all sites and splits: what the model is tested on, no site has trained on. Types of entities and relations
stay the corpora' own; each site's `types.toml` maps them. Sentences with a modifier are rare: to train on, they are
chosen before others, up to half of a site's.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fedmed_desktop.clinical import MODIFIERS, apply_types, read_notes_folder, read_relations_map, read_types_map
from fedmed_desktop.clinical.sentences import sentence_ends

Record = dict[str, Any]

SPLITS: Final = {"train": "train", "validation": "dev", "test": "test"}  # ours -> the corpora's
SIZES: Final = {"train": 1000, "validation": 100, "test": 150}
PER_DOCUMENT: Final = 3  # so that the texts vary
WITHOUT_ENTITY: Final = 0.1  # greatest share of sentences in which nothing is to be found
WITH_MODIFIER: Final = 0.5  # greatest share of training sentences that were chosen for a relation of a modifier
CHARACTERS: Final = (30, 300)
WORDS: Final = (5, 55)


@dataclass(frozen=True)
class Site:
    folder: str
    corpus: str
    types: Mapping[str, str]
    modifiers: Mapping[str, str] = field(default_factory=dict)
    relations: Mapping[str, str] = field(default_factory=dict)
    """TOML of each relation's rule (clinical.modifiers)."""


# In this order a document or sentence that two corpora share goes to the first.
SITES: Final = (
    Site(
        "Riverside",
        "phee",
        {"Drug": "drug", "Effect": "problem", "Treatment_Disorder": "problem", "Subject_Disorder": "problem"},
        {
            "Dosage": "dosage",
            "Duration": "duration",
            "Frequency": "frequency",
            "Route": "route",
            "Time_elapsed": "temporal",
        },
        # They hang on the treatment, which names its drugs.
        dict.fromkeys(
            ("has_dosage", "has_duration", "has_freq", "has_route", "has_time_elapsed"),
            '{ modifier = "tail", through = "has_drug" }',
        ),
    ),
    Site("Lakeview", "bc5cdr", {"Chemical": "drug", "Disease": "problem"}),
    Site(
        "Hillcrest",
        "ncbi_disease",
        dict.fromkeys(("SpecificDisease", "DiseaseClass", "Modifier", "CompositeMention"), "problem"),
    ),
)


def build(data: Path, out: Path, sizes: Mapping[str, int] = SIZES) -> None:
    """Writes a folder per site; raises ValueError where a corpus has too few sentences for `sizes`."""
    used = Used()
    for site in SITES:
        folder = out / site.folder
        folder.mkdir(parents=True, exist_ok=True)
        with gzip.open(data / "ner_re" / f"{site.corpus}.jsonl.gz", "rt", encoding="utf-8") as file:
            documents = [json.loads(line) for line in file]
        for split in ("test", "validation", "train"):  # the scarce ones first
            there = [d for d in documents if d["split"] == SPLITS[split]]
            first = int(WITH_MODIFIER * sizes[split]) if split == "train" else 0
            chosen = choose(site, there, sizes[split], used, first)
            write_notes(folder / f"{split}.jsonl.gz", chosen)
        write_types(folder / "types.toml", site)
        check(folder)


class Used:
    """Content of the files so far: documents with the file they stand in, and sentences as they read."""

    def __init__(self) -> None:
        self.documents: dict[str, str] = {}
        self.sentences: set[str] = set()

    def take(self, sentence: Record, place: str) -> bool:
        """Tells whether the sentence may stand in `place`; if so, it is noted as used."""
        document, words = document_of(sentence["id"]), normalised(sentence["text"])
        if words in self.sentences or self.documents.get(document, place) != place:
            return False
        self.documents[document] = place
        self.sentences.add(words)
        return True


def choose(site: Site, documents: list[Record], size: int, used: Used, first: int = 0) -> list[Record]:
    """`size` sentences in an order that is random but always the same.

    Up to `first` of them are chosen before the others because they have a relation of the site's.
    """
    place = f"{site.folder} {documents[0]['split'] if documents else ''}"
    chosen: list[Record] = []
    empty = 0
    per_document: defaultdict[str, int] = defaultdict(int)
    order = sorted((s for d in documents for s in sentences(d)), key=lambda s: digest(s["id"]))
    with_modifier = [s for s in order if any(relation["type"] in site.relations for relation in s["relations"])]
    for number, sentence in enumerate([*with_modifier, *order] if first else order):
        if number < len(with_modifier) and len(chosen) >= first > 0:
            continue
        document = document_of(sentence["id"])
        nothing = not any(entity["type"] in site.types for entity in sentence["entities"])
        if per_document[document] == PER_DOCUMENT or (nothing and empty >= int(WITHOUT_ENTITY * size)):
            continue
        if used.take(sentence, place):
            chosen.append(sentence)
            per_document[document] += 1
            empty += nothing
        if len(chosen) == size:
            return sorted(chosen, key=lambda s: digest(s["id"]))
    raise ValueError(f"{place}: {len(chosen)} sentences, {size} wanted")


def sentence_spans(text: str, keep: Sequence[tuple[int, int]] = ()) -> list[tuple[int, int]]:
    """`(start, end)` of each sentence without blanks around it. No sentence ends inside a span of `keep`."""
    ends = [end for end in sentence_ends(text) if not any(start < end < stop for start, stop in keep)]
    spans: list[tuple[int, int]] = []
    start = 0
    for end in [*ends, len(text)]:
        piece = text[start:end]
        if stripped := piece.strip():
            first = start + len(piece) - len(piece.lstrip())
            spans.append((first, first + len(stripped)))
        start = end
    return spans


def sentences(document: Record) -> Iterator[Record]:
    """The document's sentences of fit length, offsets counted from the sentence's start."""
    entities = document["entities"]
    spans = sentence_spans(document["text"], [(e["start"], e["end"]) for e in entities])
    for number, (start, end) in enumerate(spans, start=1):
        text = document["text"][start:end]
        if fits(text):
            inside = [moved(e, start) for e in entities if start <= e["start"] and e["end"] <= end]
            ids = {entity["id"] for entity in inside}
            relations = [
                {key: relation[key] for key in ("head", "tail", "type")}
                for relation in document["relations"]
                # A relation between the concepts of a whole document says nothing about one sentence.
                if relation.get("level") != "document" and relation["head"] in ids and relation["tail"] in ids
            ]
            # PHEE's documents are sentences already; they keep their names.
            name = document["id"] if len(spans) == 1 and "_" in document["id"] else f"{document['id']}_s{number}"
            yield {"id": name, "text": text, "entities": inside, "relations": relations}


def fits(text: str) -> bool:
    """Tells whether it is short enough to read at a glance, and whole."""
    # An open bracket: it was cut at a full stop inside the brackets.
    whole = text.count("(") == text.count(")") and text.count("[") == text.count("]")
    return whole and CHARACTERS[0] <= len(text) <= CHARACTERS[1] and WORDS[0] <= len(text.split()) <= WORDS[1]


def moved(entity: Record, by: int) -> Record:
    new = {"id": entity["id"], "start": entity["start"] - by, "end": entity["end"] - by}
    new |= {"type": entity["type"], "text": entity["text"]}
    if entity.get("fragments"):
        new["fragments"] = [[start - by, end - by] for start, end in entity["fragments"]]
    return new


def document_of(name: str) -> str:
    """The PubMed id in a note's id: `phee-8908396_3`, `bc5cdr-227508_s4`."""
    return name.split("-", 1)[1].split("_", 1)[0]


def normalised(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def write_notes(path: Path, notes: list[Record]) -> None:
    rows = "".join(json.dumps(note, ensure_ascii=False, separators=(",", ":")) + "\n" for note in notes)
    # No time and no file name in the header: the same notes are the same bytes.
    with path.open("wb") as file, gzip.GzipFile("", "wb", compresslevel=9, fileobj=file, mtime=0) as packed:
        packed.write(rows.encode())


def write_types(path: Path, site: Site) -> None:
    rows = "".join(f'{name} = "{target}"\n' for name, target in {**site.types, **site.modifiers}.items())
    content = f"# This site's types -> the federation's types\n[types.map]\n{rows}"
    if site.relations:
        rows = "".join(f"{name} = {rule}\n" for name, rule in site.relations.items())
        content += f"\n# Which end of its relations is the modifier\n[relations.map]\n{rows}"
    path.write_text(content, encoding="utf-8", newline="\n")


def check(folder: Path) -> None:
    """Reads the files back as the program will, and prints what a site's notes report says."""
    notes = read_notes_folder(folder)
    for split, read in (("train", notes.train), ("validation", notes.validation), ("test", notes.test or [])):
        types, relations = read_types_map(folder / "types.toml"), read_relations_map(folder / "types.toml")
        targets = set(types.values())
        _, report = apply_types(read, targets - MODIFIERS, types, targets & MODIFIERS, relations)
        print(folder.name, split, report.model_dump_json(exclude={"unmapped"}))


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the demo's notes from open corpora.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds ner_re/")
    parser.add_argument("--out", type=Path, required=True, help="where the sites' folders go")
    arguments = parser.parse_args()
    build(arguments.data, arguments.out)


if __name__ == "__main__":
    main()
