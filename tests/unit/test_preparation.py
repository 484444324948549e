# SPDX-License-Identifier: Apache-2.0
"""From a notes folder and a model folder to a trainer: which types file counts, which model is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedmed_desktop.clinical import read_notes_folder
from fedmed_desktop.coordinator.first_notes import typed
from fedmed_desktop.events import Event, Prepared
from fedmed_desktop.lora.base_model import file_state, fingerprint
from tests.parts.federation import small_spec
from tests.parts.model import copied, replace_weights
from tests.parts.told import told_as

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.training.preparation import LoadedBase, site_types_map, trainer_factory, typed_notes


TEXT = "Lithium caused tremor ."
SPANS = (("Chemical", "Lithium"), ("Disease", "tremor"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    entities = [
        {"id": kind, "start": TEXT.index(word), "end": TEXT.index(word) + len(word), "type": kind, "text": word}
        for kind, word in SPANS
    ]
    notes = tmp_path / "notes"
    notes.mkdir()
    for split in ("train", "validation"):
        row = {"id": split, "text": TEXT, "entities": entities, "relations": []}
        (notes / f"{split}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    return notes


def write_map(path: Path, **types: str) -> Path:
    path.write_text("[types.map]\n" + "".join(f'{own} = "{known}"\n' for own, known in types.items()), "utf-8")
    return path


def test_that_the_named_types_file_counts_before_the_one_in_the_folder(folder: Path, tmp_path: Path) -> None:
    assert site_types_map(folder) is None
    write_map(folder / "types.toml", Chemical="drug")
    named = write_map(tmp_path / "mine.toml", Disease="problem")
    assert site_types_map(folder) == {"Chemical": "drug"}
    assert site_types_map(folder, named) == {"Disease": "problem"}
    with told_as(r"nowhere\.toml does not exist"):
        site_types_map(folder, tmp_path / "nowhere.toml")


def test_that_a_trainer_is_made_with_the_named_types_file(folder: Path, tmp_path: Path, tiny_model: Path) -> None:
    write_map(folder / "types.toml", Chemical="drug", Disease="problem")
    named = write_map(tmp_path / "mine.toml", Disease="problem")
    seen: list[Event] = []
    base, notes = LoadedBase(tiny_model, threads=1), read_notes_folder(folder)
    trainer_factory(base, "A", notes, folder, seen.append, types_file=named)(small_spec())
    trainer_factory(base, "A", notes, folder, seen.append)(small_spec())
    named_map, own_map = [event for event in seen if isinstance(event, Prepared)]
    assert (named_map.entities, named_map.ignored) == ({"problem": 1}, {"Chemical": 1})
    assert (own_map.entities, own_map.ignored) == ({"drug": 1, "problem": 1}, {})


def test_that_a_model_that_changed_before_it_was_loaded_is_not_taken(tiny_model: Path, tmp_path: Path) -> None:
    model = copied(tiny_model, tmp_path / "model")
    base = LoadedBase(model, threads=1, state=file_state(model))
    replace_weights(model)
    with told_as("changed while"):
        base.get()


@pytest.mark.parametrize("look", [fingerprint, file_state])
def test_that_a_model_that_cannot_be_read_is_a_sentence(
    look: Callable[[Path], object], tiny_model: Path, tmp_path: Path
) -> None:
    with told_as("cannot be used"):
        look(tmp_path / ("m" * 300))
    if look is fingerprint:
        model = copied(tiny_model, tmp_path / "model")
        (model / "model.safetensors").unlink()
        (model / "model.safetensors").mkdir()
        with told_as(r"it has no model\.safetensors"):
            look(model)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_that_notes_without_any_entity_are_not_trained_on(split: str, folder: Path, tmp_path: Path) -> None:
    """As where what is marked stands under a key that nothing reads: it trained on empty answers, and sent them."""
    for name in ("train", "validation", "test"):
        marks = "spans" if name == split else "entities"
        entity = {"id": "T1", "start": 0, "end": 7, "type": "Chemical", "text": "Aspirin"}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"id": "n", "text": "Aspirin.", marks: [entity]}))
    write_map(tmp_path / "types.toml", Chemical="drug")
    notes = read_notes_folder(tmp_path)
    with told_as("has an entity of the federation's types.*not: spans"):
        typed_notes(small_spec(), notes, site_types_map(tmp_path))
    without = small_spec(task="text", score_on="loss", types=())
    assert len(typed_notes(without, notes, None)[0].train) == 1


def test_that_notes_to_measure_by_without_any_entity_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text(json.dumps({"id": "a", "text": TEXT, "spans": [[0, 7, "drug"]]}) + "\n", "utf-8")
    write_map(tmp_path / "types.toml", Chemical="drug")
    with told_as("None of the 1 first notes has an entity.*spans"):
        typed(path, ["drug"], 5)
