# SPDX-License-Identifier: Apache-2.0
"""The recipe of the demo model: which texts it reads, what its exercises say, and that a small run yields a model."""

from __future__ import annotations

import gzip
import importlib.util
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "packaging" / "demo_model"
DEV = "Sertraline was followed by severe hyponatraemia in an elderly woman with dementia."
TEST = "Two infants developed transient apnoea after a single dose of intravenous fosphenytoin."
TRAIN = "Lithium (0.6 mmol/l) caused tremor and loss of appetite in 3 of 24 patients with HIV-1."
LINES = (
    "Patients with chronic renal failure were given 20 mg of enalapril for six weeks in Boston.",
    "The long-term outcome of acute lymphoblastic leukaemia (ALL) differs between two centres.",
    "No evidence of focal neurological deficits was found during the first examination at home.",
)
CHIA = {
    "text": f"Women on oral methotrexate with severe heart failure\n{LINES[0]}\n{TEST}",
    "entities": [
        {"start": 9, "end": 26, "type": "Drug"},
        {"start": 14, "end": 26, "type": "Drug"},
        {"start": 39, "end": 52, "type": "Condition"},
        {"start": 0, "end": 5, "type": "Person"},
    ],
}


@pytest.fixture(scope="module")
def recipe() -> Iterator[ModuleType]:
    """`build.py` under a name of its own: other folders of scripts have a build.py too."""
    sys.path.insert(0, str(FOLDER))
    specification = importlib.util.spec_from_file_location("demo_model_build", FOLDER / "build.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    yield module
    sys.path.remove(str(FOLDER))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The layout of the corpora; the forbidden ones are no gzip files, so that opening one would fail."""
    folder = tmp_path / "data"

    def write(name: str, *rows: dict[str, Any]) -> None:
        path = folder / f"{name}.jsonl.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(path, "wt", encoding="utf-8") as out:
            out.writelines(json.dumps(row) + "\n" for row in rows)

    write("text/openstax_nursing", {"text": " ".join(LINES)})
    write("text/aci_bench", {"text": LINES[0], "split": "train"}, {"text": "Aci dev words.", "split": "dev"})
    write("mtsamples", {"text": "\n".join(LINES)}, {"text": f"{LINES[0]} {TEST.upper()}"})
    write("medqa/medquad", {"question": "What is it?", "answer": LINES[1]})
    write("medqa/pubmedqa", {"context": LINES[2], "split": "train"}, {"context": "Pubmedqa test.", "split": "test"})
    write(
        "ner_re/chia", CHIA | {"split": "train"}, CHIA | {"text": "Chia test words.", "entities": [], "split": "test"}
    )
    for name, held, split in (("bc5cdr", DEV, "dev"), ("ncbi_disease", TEST, "test"), ("phee", TEST, "test")):
        shared = {"text": f"{LINES[2]} {DEV.replace('.', ' .')}", "split": "train"}  # pre-tokenised, as PHEE is
        write(f"ner_re/{name}", {"text": TRAIN, "split": "train"}, {"text": held, "split": split}, shared)
    for name in ("ner_re/maccrobat", "codiesp_icd10", "text/codiesp_background_en"):
        (folder / f"{name}.jsonl.gz").write_bytes(b"not to be opened")
    return folder


def test_that_texts_of_held_out_documents_are_left_out(recipe: ModuleType, data: Path) -> None:
    texts, dropped = recipe.read_texts(data)
    together = " ".join(text.text for text in texts).lower()
    assert dropped == 5  # the note and Chia's document that quote TEST, and the three training texts that quote DEV
    assert "sertraline" not in together and "fosphenytoin" not in together
    assert not any(words in together for words in ("aci dev", "pubmedqa test", "chia test"))
    assert "lithium" in together and "enalapril" in together


def test_that_maccrobat_and_codiesp_are_never_read(recipe: ModuleType, data: Path) -> None:
    texts, _ = recipe.read_texts(data)  # would raise BadGzipFile
    assert texts and not any("codiesp" in text.corpus or "maccrobat" in text.corpus for text in texts)


def test_that_answers_hold_the_input_text_and_no_clinical_class(recipe: ModuleType) -> None:
    exercises = sys.modules["markup_exercises"]
    rng = random.Random(3)
    kinds: dict[str, int] = {}
    spans = 0
    for _ in range(3000):
        made = exercises.make_exercise(rng.choice((*LINES, TRAIN, DEV)), rng)
        head, tail = made.prompt.split("\n### Input: ")
        task = head.split("\n")[0].removeprefix("### Task: ")
        kinds[task] = kinds.get(task, 0) + 1
        assert tail == f"{made.sentence}\n### Output:"
        if task == "json":
            listed = json.loads(made.answer)
            assert all(set(found) == {"entity", "text"} and found["text"] in made.sentence for found in listed)
            assert exercises.FORBIDDEN_CLASSES.isdisjoint(found["entity"] for found in listed)
        else:
            assert exercises.strip_markup(made.answer) == made.sentence
            assert not any(f'class="{name}"' in made.answer for name in exercises.FORBIDDEN_CLASSES)
            spans += made.answer.count("</span>")
    assert kinds.keys() == {"markup", "copy", "json"} and 0.45 < kinds["markup"] / 3000 < 0.55
    assert spans > kinds["markup"]


def test_that_overlapping_spans_go_to_the_class_listed_first(recipe: ModuleType) -> None:
    exercises = sys.modules["markup_exercises"]
    first = exercises.Rule("a", "a", ((4, 8),))
    second = exercises.Rule("b", "b", ((0, 5), (9, 12)))
    marked = exercises.resolve([first, second])
    assert marked == [((4, 8), "a"), ((9, 12), "b")]
    assert exercises.mark_up("the drug aid", marked) == ('the <span class="a">drug</span> <span class="b">aid</span>')


@pytest.mark.slow
def test_that_a_small_run_yields_a_model_that_loads_generates_and_can_be_trained_on(
    recipe: ModuleType, data: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    pretraining = sys.modules["pretraining"]
    config = pretraining.demo_config(vocabulary=500, layers=1, width=64)
    out = tmp_path / "model"
    small = recipe.Recipe(tokens=8 * 2 * 256, sequence=256, batch=2, warmup_steps=2, checkpoint_minutes=0.0)
    first = recipe.build(data, out, small, config)
    second = recipe.build(data, tmp_path / "further", small, config, start=out)
    assert second < first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "further", "model"]  # no half-written folders

    tokenizer = AutoTokenizer.from_pretrained(out, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(out, local_files_only=True)
    assert model.dtype == torch.bfloat16
    assert tokenizer.convert_tokens_to_ids(list(pretraining.SPECIALS)) == [0, 1, 2, 3]
    prompt = tokenizer(f"### Task: copy\n### Input: {TRAIN}\n### Output:", return_tensors="pt")
    made = model.generate(**prompt, max_new_tokens=5, min_new_tokens=5, do_sample=False)
    assert made.shape[1] == prompt["input_ids"].shape[1] + 5
    assert tokenizer.decode(tokenizer(TRAIN)["input_ids"]) == TRAIN


def test_that_exercises_are_never_cut(recipe: ModuleType, data: Path) -> None:
    pretraining = sys.modules["pretraining"]
    texts, _ = recipe.read_texts(data)
    tokenizer = pretraining.train_tokenizer(texts, 0, 500)
    batch = next(pretraining.packed_batches(texts, [], tokenizer, recipe.Recipe(tokens=1, sequence=256, batch=24)))
    assert batch.shape == (24, 256)
    rows = [tokenizer.decode(row) for row in batch.tolist()]
    assert sum("### Output:" in row for row in rows) > 12
    for row in rows:
        assert row.count("### Task:") == row.count("### Output:")


def test_that_annotated_lines_come_from_the_training_split_with_their_outermost_spans(
    recipe: ModuleType, data: Path
) -> None:
    annotated = sys.modules["annotated_exercises"]
    lines = annotated.annotated_lines(data)
    assert [line.text for line in lines] == CHIA["text"].split("\n")[:2]  # the third is of a held-out document
    assert lines[0].spans == (((9, 26), "medicine"), ((39, 52), "condition"))
    rng = random.Random(0)
    drawn = [annotated.annotated_exercise(lines[0], rng) for _ in range(40)]
    for exercise in drawn:
        asked = exercise.prompt.split("### Classes: ")[1].split("\n")[0].split(", ")
        assert not sys.modules["markup_exercises"].FORBIDDEN_CLASSES & set(asked)
        assert ("oral methotrexate</span>" in exercise.answer or '"oral methotrexate"' in exercise.answer) == (
            "medicine" in asked
        )
    assert any("markup" in exercise.prompt for exercise in drawn) and any("json" in e.prompt for e in drawn)


@pytest.mark.usefixtures("recipe")
def test_that_modifiers_are_found_by_form_and_linked_to_the_nearest_drug() -> None:
    import modifier_exercises as exercises
    from open_texts import Text

    sentences = (
        "The 54-year-old man took amoxicillin 500 mg orally for 6 weeks in hospital, and warfarin 5 mg daily.",
        "Nothing was given, and 500 mg of nothing is no dose.",
    )
    texts = [Text("mtsamples", " ".join(sentences), 1, True)]
    (note,) = exercises.modifier_notes(texts, frozenset({"warfarin"}), random.Random(0))
    words = {one.id: (one.type, one.text) for one in note.entities}
    linked = {(words[one.head][1], *words[one.tail]) for one in note.relations}
    assert linked == {
        ("amoxicillin", "dosage", "500 mg"),
        ("amoxicillin", "route", "orally"),
        ("amoxicillin", "duration", "for 6 weeks"),
        ("warfarin", "dosage", "5 mg"),
        ("warfarin", "frequency", "daily"),
    }
    assert note.tasks == ("relations",)


@pytest.mark.usefixtures("recipe")
def test_that_names_of_drugs_come_from_annotation_and_not_from_other_uses_of_the_word() -> None:
    import modifier_exercises as exercises
    from annotated_exercises import AnnotatedLine

    lines = [AnnotatedLine("warfarin today", (((0, 8), "medicine"),))] * 2
    lines += [AnnotatedLine("alcohol today", (((0, 7), "medicine"),))] * 2 + [AnnotatedLine("alcohol again", ())] * 3
    assert exercises.drug_names(lines) == {"warfarin"}
