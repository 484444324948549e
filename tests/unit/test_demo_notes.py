# SPDX-License-Identifier: Apache-2.0
"""The demo's notes as they are shipped, and the script that makes them, on a small made-up corpus."""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections import Counter, defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fedmed_desktop.clinical import (
    Note,
    apply_types,
    build_answer,
    parse_answer,
    read_notes,
    read_notes_folder,
    read_types_map,
)
from fedmed_desktop.resources import resource

ROOT = Path(__file__).parents[2]
SITES = {"Riverside": ("drug", "problem"), "Lakeview": ("drug", "problem"), "Hillcrest": ("problem",)}
SIZES = {"train": 1000, "validation": 100, "test": 150}


@pytest.fixture(scope="module")
def build() -> ModuleType:
    path = ROOT / "packaging" / "demo_notes" / "build.py"
    spec = importlib.util.spec_from_file_location("build_demo_notes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclass looks its module up by name.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, spec.name, module)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shipped() -> dict[tuple[str, str], list[Note]]:
    folder = resource("demo_notes")
    return {(site, split): read_notes(folder / site / f"{split}.jsonl.gz") for site in SITES for split in SIZES}


def test_that_the_shipped_notes_are_complete(shipped: dict[tuple[str, str], list[Note]]) -> None:
    assert {key: len(notes) for key, notes in shipped.items()} == {
        (site, split): size for site in SITES for split, size in SIZES.items()
    }
    assert {path.name for path in resource("demo_notes").iterdir()} == {*SITES, "ATTRIBUTION.md"}


def test_that_no_article_or_sentence_stands_in_two_files(
    shipped: dict[tuple[str, str], list[Note]], build: ModuleType
) -> None:
    articles: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    sentences: Counter[str] = Counter()
    for place, notes in shipped.items():
        for note in notes:
            article = build.document_of(note.id)
            assert article.isdecimal()
            articles[article].add(place)
            sentences[build.normalised(note.text)] += 1
    assert [article for article, places in articles.items() if len(places) > 1] == []
    assert [words for words, times in sentences.items() if times > 1] == []


@pytest.mark.parametrize("site", SITES)
def test_that_each_site_s_types_map_to_the_federation_s(shipped: dict[tuple[str, str], list[Note]], site: str) -> None:
    types_map = read_types_map(resource("demo_notes") / site / "types.toml")
    for split in SIZES:
        notes, report = apply_types(shipped[site, split], ["drug", "problem"], types_map)
        assert report.annotated_types == SITES[site]
        assert min(report.entities.values()) > 100
        assert sum(not note.entities for note in notes) <= 0.15 * len(notes)
        assert not set(report.entities) & {entity.type for note in shipped[site, split] for entity in note.entities}


def test_that_the_shipped_sentences_are_short_and_whole(shipped: dict[tuple[str, str], list[Note]]) -> None:
    for notes in shipped.values():
        assert all(30 <= len(note.text) <= 300 and note.text == note.text.strip() for note in notes)


@pytest.mark.parametrize("site", SITES)
def test_that_the_right_answer_to_every_shipped_note_gives_its_entities(
    shipped: dict[tuple[str, str], list[Note]], site: str
) -> None:
    types_map = read_types_map(resource("demo_notes") / site / "types.toml")
    notes, _ = apply_types(shipped[site, "train"], ["drug", "problem"], types_map)
    for note in notes:
        answer = build_answer(note, ["drug", "problem"], "html")
        assert parse_answer(answer, note.text, ["drug", "problem"], "html") == [e.span for e in note.entities]


def test_that_every_corpus_is_named_with_its_licence() -> None:
    text = (resource("demo_notes") / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for words in (*SITES, "Copyright (c) 2024 Sun Zhaoyue", "The above copyright notice", "public domain notice"):
        assert words in text


DRUGS = ("aspirin", "quinine", "heparin", "insulin")
VERBS = ("given daily", "stopped again", "tried twice", "switched over")


def corpus(prefix: str, drug: str, problem: str, numbers: range, split: str) -> list[dict[str, Any]]:
    """Documents of three sentences; the second has two mentions, the third none."""
    rows = []
    for number in numbers:
        drug_name, verb = DRUGS[number % 4], VERBS[number // 4 % 4]
        text = f"Case number {number} of clinic {prefix} is told here. Then {drug_name} for bad pain was {verb} "
        text += f"to patient {number} {prefix}. Nothing more of {number} was written down by {prefix}."
        entities = [
            {"id": f"T{i}", "start": text.index(words), "end": text.index(words) + len(words), "type": t, "text": words}
            for i, (words, t) in enumerate([(drug_name, drug), ("bad pain", problem)])
        ]
        relations = [{"head": "T0", "tail": "T1", "type": "for"}, {"head": "T0", "tail": "T1", "type": "CID"}]
        relations[1]["level"] = "document"
        rows.append(
            {"id": f"{prefix}-{number}", "text": text, "entities": entities, "relations": relations, "split": split}
        )
    return rows


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "ner_re"
    folder.mkdir(parents=True)
    names = {"phee": ("Drug", "Effect"), "bc5cdr": ("Chemical", "Disease"), "ncbi_disease": ("Gene", "DiseaseClass")}
    for offset, (name, types) in enumerate(names.items()):
        start = 1000 * offset
        rows = corpus(name, *types, range(start, start + 20), "train")
        rows += corpus(name, *types, range(start + 20, start + 30), "dev")
        rows += corpus(name, *types, range(start + 30, start + 40), "test")
        if name == "bc5cdr":
            # The first corpus' test articles again, as training documents here.
            rows += corpus(name, *types, range(30, 40), "train")
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return tmp_path / "data"


SMALL = {"train": 12, "validation": 5, "test": 10}


def test_that_the_script_makes_the_same_bytes_twice(build: ModuleType, data: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        build.build(data, tmp_path / out, SMALL)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 12
    for file in files:
        content = (tmp_path / "one" / file).read_bytes()
        assert content == (tmp_path / "two" / file).read_bytes()
        if file.suffix == ".gz":
            assert content[4:8] == bytes(4), "the time of making is in the gzip header"


def test_that_the_script_keeps_splits_offsets_and_a_natural_mix(build: ModuleType, data: Path, tmp_path: Path) -> None:
    build.build(data, tmp_path, SMALL)
    for site, start in (("Riverside", 0), ("Lakeview", 1000), ("Hillcrest", 2000)):
        notes = read_notes_folder(tmp_path / site)
        assert notes.test is not None
        numbers = {int(build.document_of(note.id)) - start for note in notes.test}
        assert numbers <= set(range(30, 40))
        assert {int(build.document_of(note.id)) - start for note in notes.validation} <= set(range(20, 30))
        assert (len(notes.train), len(notes.validation), len(notes.test)) == (12, 5, 10)
        assert sum(not note.entities for note in notes.train) <= 1
        # A relation of the whole document is left out, one of the sentence stays.
        assert {r.type for note in notes.train for r in note.relations} == {"for"}


def test_that_sentences_with_a_modifier_come_first_up_to_a_number(build: ModuleType) -> None:
    def document(number: int) -> dict[str, Any]:
        """Every third has a dosage."""
        text = f"They gave aspirin 5 mg to patient number {number} there."
        entity = {"id": "T1", "start": 10, "end": 17, "type": "Drug", "text": "aspirin"}
        dose = {"id": "T2", "start": 18, "end": 22, "type": "Dosage", "text": "5 mg"}
        links = [{"head": "T1", "tail": "T2", "type": "has_dosage"}] if number % 3 == 0 else []
        return {"id": f"x-{number}", "text": text, "entities": [entity, dose], "relations": links, "split": "train"}

    documents = [document(number) for number in range(60)]
    site = build.SITES[0]
    linked = [
        sum(bool(note["relations"]) for note in build.choose(site, documents, 30, build.Used(), first))
        for first in (0, 15, 20)
    ]
    assert linked[0] < linked[1] <= linked[2] == 20, "the rest is by chance"


def test_that_an_article_of_two_corpora_is_used_once(build: ModuleType, data: Path, tmp_path: Path) -> None:
    build.build(data, tmp_path, SMALL)
    tested = {build.document_of(note.id) for note in read_notes(tmp_path / "Riverside" / "test.jsonl.gz")}
    trained = {build.document_of(note.id) for note in read_notes(tmp_path / "Lakeview" / "train.jsonl.gz")}
    assert tested
    assert not tested & trained


def test_that_sentences_that_read_the_same_are_used_once(build: ModuleType) -> None:
    used = build.Used()
    assert used.take({"id": "a-1_s1", "text": "The pain  went away."}, "Riverside test")
    assert not used.take({"id": "b-2_s5", "text": "THE PAIN WENT AWAY"}, "Lakeview train")
    assert used.take({"id": "b-2_s6", "text": "The pain stayed."}, "Lakeview train")


def test_that_too_few_sentences_are_an_error(build: ModuleType, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Riverside train: "):
        build.build(data, tmp_path, SMALL | {"train": 500})


def test_that_sentences_end_at_stops_but_not_at_abbreviations(build: ModuleType) -> None:
    text = "Dr. Low gave 0. 5 mg i.v. Morphine (e.g. 2.5 mg). E. coli grew?! See Fig. 3.\nNo fever. 12 h later, ok."
    pieces = [text[start:end] for start, end in build.sentence_spans(text)]
    assert pieces == [
        "Dr. Low gave 0. 5 mg i.v. Morphine (e.g. 2.5 mg).",
        "E. coli grew?!",
        "See Fig. 3.",
        "No fever. 12 h later, ok.",
    ]
    assert build.sentence_spans("Born. Dead.", keep=[(0, 11)]) == [(0, 11)]
