# SPDX-License-Identifier: Apache-2.0
"""An adapter is loaded from whatever a user may point at, or it is said what that is instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from fedmed_desktop.lora import Adapter, load_adapter
from fedmed_desktop.resources import resource
from tests.parts.told import told_as

ADAPTER = Adapter.initial({"model.layers.0.mlp.up_proj": (6, 4)}, rank=2, scale=1.0, seed=0)


@pytest.fixture
def peft(tmp_path: Path) -> Path:
    ADAPTER.save_peft(tmp_path / "peft")
    return tmp_path / "peft"


def test_that_a_blob_file_and_a_peft_folder_are_told_apart(tmp_path: Path, peft: Path) -> None:
    blob = tmp_path / "adapter_model.safetensors"  # whatever its name
    blob.write_bytes(ADAPTER.to_blob())
    assert load_adapter(blob) == load_adapter(peft) == ADAPTER


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_that_a_file_of_a_peft_folder_stands_for_the_folder(peft: Path, name: str) -> None:
    assert load_adapter(peft / name) == ADAPTER


def nothing(folder: Path) -> Path:
    return folder / "gone"


def empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def model_folder(folder: Path) -> Path:
    return resource("demo_model")


def model_file(folder: Path) -> Path:
    return resource("demo_model") / "model.safetensors"


def peft_file_alone(folder: Path) -> Path:
    tensors = {"base_model.model.model.layers.0.mlp.up_proj.lora_A.weight": np.zeros((2, 4), np.float32)}
    (folder / "adapter_model.safetensors").write_bytes(safetensors.numpy.save(tensors))
    return folder / "adapter_model.safetensors"


def pickle(folder: Path) -> Path:
    (folder / "adapter_model.bin").write_bytes(b"PK\x03\x04" + b"\xff" * 200)
    return folder / "adapter_model.bin"


def letter(folder: Path) -> Path:
    (folder / "note.txt").write_text("Dear colleague, " * 20, "utf-8")
    return folder / "note.txt"


def empty_file(folder: Path) -> Path:
    (folder / "a.safetensors").touch()
    return folder / "a.safetensors"


def half_a_blob(folder: Path) -> Path:
    blob = ADAPTER.to_blob()
    (folder / "a.safetensors").write_bytes(blob[: len(blob) - 8])
    return folder / "a.safetensors"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (nothing, "There is no adapter at"),
        (empty_folder, "is not an adapter: it has no adapter_config.json. Choose a PEFT folder"),
        (model_folder, "is not an adapter: it is a whole model"),
        (model_file, "is not an adapter: it holds other tensors"),
        (peft_file_alone, "but adapter_config.json does not lie beside it"),
        (pickle, "is not an adapter: it is no safetensors file"),
        (letter, "is not an adapter: it is no safetensors file"),
        (empty_file, "The adapter is incomplete"),
        (half_a_blob, "lies beyond the file's end"),
    ],
)
def test_that_anything_else_is_refused_in_a_sentence(
    tmp_path: Path, make: Callable[[Path], Path], sentence: str
) -> None:
    with told_as(sentence):
        load_adapter(make(tmp_path))
