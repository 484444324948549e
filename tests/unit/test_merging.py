# SPDX-License-Identifier: Apache-2.0
"""A merged model answers as the base with the adapter beside it does, in a folder that is there whole or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.lora.base_model import decoder_linears
from tests.parts.told import told_as

if TYPE_CHECKING:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from fedmed_desktop.training.merging import write_merged
    from fedmed_desktop.training.preparation import LoadedBase


def adapter_of(model: Path, rank: int = 2) -> Adapter:
    rng = np.random.default_rng(3)
    return Adapter(
        {
            name: Module(
                rng.normal(0, 0.3, (d, rank)).astype(np.float32), rng.normal(0, 0.3, (rank, k)).astype(np.float32), 0.5
            )
            for name, (d, k) in decoder_linears(model).items()
        }
    )


def test_that_a_merged_model_computes_what_base_and_adapter_do(tiny_model: Path, tmp_path: Path) -> None:
    adapter = adapter_of(tiny_model)
    write_merged(str(tiny_model), adapter, tmp_path / "merged")
    loaded = LoadedBase(tiny_model, threads=1).get()
    loaded.lora.attach(adapter)
    tokens = torch.tensor([[3, 5, 7, 2]])
    with torch.no_grad():
        beside = loaded.model(input_ids=tokens).logits
        loaded.lora.detach()
        alone = loaded.model(input_ids=tokens).logits
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")(input_ids=tokens).logits
    assert torch.allclose(beside.float(), merged.float(), atol=2e-3)
    assert not torch.allclose(alone.float(), merged.float(), atol=2e-2)
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").get_vocab()
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_that_nothing_is_written_over_and_nothing_half(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with told_as("holds files"):
        write_merged(str(tiny_model), adapter_of(tiny_model), tmp_path / "full")
    wrong = Adapter({"model.layers.0.nothing": Module(np.ones((2, 1), np.float32), np.ones((1, 2), np.float32), 1.0)})
    with told_as("no layer|layer"):
        write_merged(str(tiny_model), wrong, tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("ending", ["part", "partial", "new"])
def test_that_a_folder_of_a_like_name_is_left_alone(tiny_model: Path, tmp_path: Path, ending: str) -> None:
    mine = tmp_path / f"merged.{ending}" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("of years", "utf-8")
    write_merged(str(tiny_model), adapter_of(tiny_model), tmp_path / "merged")
    assert mine.read_text("utf-8") == "of years"


def test_that_a_model_in_few_bits_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    config = json.loads((model / "config.json").read_text("utf-8"))
    (model / "config.json").write_text(json.dumps(config | {"quantization_config": {"bits": 4}}), "utf-8")
    with pytest.raises(Exception, match="merge_quantised"):
        write_merged(str(model), adapter_of(tiny_model), tmp_path / "merged")
