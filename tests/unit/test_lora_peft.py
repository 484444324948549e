# SPDX-License-Identifier: Apache-2.0
"""PEFT folders: what we write PEFT loads, what PEFT writes we read, and other kinds are refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors.numpy

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.wording import SENTENCES, told

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import peft
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM


# transformers 5 asks its own models for a name that it has itself deprecated
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

LAYERS = 3  # 21 linears: PEFT abbreviates lists of 20 or more target modules
LINEARS = (
    *("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
    *("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
)


def tiny_base() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=48,
        hidden_size=32,
        intermediate_size=40,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return LlamaForCausalLM(config).eval()


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.arange(40).reshape(2, 20)).logits


def merged(adapter: Adapter) -> LlamaForCausalLM:
    """The base with delta W added by hand."""
    model = tiny_base()
    for name, module in adapter.items():
        delta = module.scale * (module.B.astype(np.float64) @ module.A)
        with torch.no_grad():
            model.get_submodule(name).weight += torch.from_numpy(delta).float()
    return model


def assert_same_logits(left: torch.Tensor, right: torch.Tensor) -> None:
    torch.testing.assert_close(left, right, atol=1e-5, rtol=0)


def mixed_adapter(names: list[str]) -> Adapter:
    """Ranks 1 to 4 and several scales on the given linears of the base."""
    base, rng = tiny_base(), np.random.default_rng(7)
    modules = {}
    for index, name in enumerate(names):
        d, k = base.get_submodule(name).weight.shape
        rank = 1 + index % 4
        modules[name] = Module(rng.normal(size=(d, rank)), rng.normal(size=(rank, k)), (0.01, 0.03, 0.02)[index % 3])
    return Adapter(modules)


SELECTIONS = {
    "all linears": [f"model.layers.{i}.{linear}" for i in range(LAYERS) for linear in LINEARS],
    "some of some layers": ["model.layers.0.self_attn.q_proj", "model.layers.2.mlp.down_proj"],
    "all but one": [f"model.layers.{i}.{linear}" for i in range(LAYERS) for linear in LINEARS][:-1],
}


@pytest.mark.parametrize("selection", SELECTIONS)
def test_that_peft_loads_our_folder_with_the_same_update_on_the_same_modules(selection: str, tmp_path: Path) -> None:
    adapter = mixed_adapter(SELECTIONS[selection])
    adapter.save_peft(tmp_path)
    model = peft.PeftModel.from_pretrained(tiny_base(), tmp_path).eval()
    expected = logits(merged(adapter))
    assert (logits(tiny_base()) - expected).abs().max() > 1e-2  # the update is seen at all
    assert_same_logits(logits(model), expected)
    adapted = {
        name for name, part in model.base_model.model.named_modules() if isinstance(part, peft.tuners.lora.Linear)
    }
    assert adapted == set(adapter)


def test_that_our_folder_needs_no_patterns_and_has_scaling_one(tmp_path: Path) -> None:
    adapter = mixed_adapter(SELECTIONS["all linears"])
    adapter.save_peft(tmp_path, base_model="some/base")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["r"] == config["lora_alpha"] == 4
    assert not config["use_rslora"] and "rank_pattern" not in config and "alpha_pattern" not in config
    assert config["base_model_name_or_path"] == "some/base"
    assert config["target_modules"] == list(adapter)
    shapes = {tensor.shape for key, tensor in weights(tmp_path).items() if "lora_A" in key}
    assert {shape[0] for shape in shapes} == {4}


def test_that_the_same_adapter_gives_the_same_folder(tmp_path: Path) -> None:
    adapter = mixed_adapter(SELECTIONS["all linears"])
    adapter.save_peft(tmp_path / "one")
    Adapter({name: adapter[name] for name in sorted(adapter, reverse=True)}).save_peft(tmp_path / "deep" / "two")
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "deep" / "two" / file).read_bytes()


def test_that_our_own_folder_reads_back_with_the_same_update(tmp_path: Path) -> None:
    adapter = mixed_adapter(SELECTIONS["some of some layers"])
    adapter.save_peft(tmp_path)
    back = Adapter.load_peft(tmp_path)
    assert list(back) == list(adapter)
    for name, module in adapter.items():
        assert back[name].scale == 1.0
        expected = module.scale * (module.B.astype(np.float64) @ module.A)
        np.testing.assert_allclose(back[name].B.astype(np.float64) @ back[name].A, expected, atol=1e-7)


SAVED_BY_PEFT: dict[str, dict[str, Any]] = {
    "plain": {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"]},
    "rslora": {"r": 4, "lora_alpha": 6, "target_modules": "all-linear", "use_rslora": True},
    "patterns": {
        "r": 4,
        "lora_alpha": 6,
        "target_modules": ["q_proj", "v_proj", "down_proj"],
        # a suffix, an anchored full name, and a regular expression; PEFT forgets which came first, the tensors tell
        "rank_pattern": {"layers.0.self_attn.q_proj": 2, "^model.layers.1.mlp.down_proj": 3, r".*\.q_proj": 5},
        "alpha_pattern": {"v_proj": 1, r"layers\.[12]\..*[kn]_proj": 9},
    },
    "rslora with patterns": {
        "r": 4,
        "lora_alpha": 6,
        "target_modules": ["q_proj", "v_proj"],
        "use_rslora": True,
        "rank_pattern": {"q_proj": 9},
        "alpha_pattern": {"layers.1.self_attn.q_proj": 2},
    },
    "layers_to_transform": {"r": 2, "lora_alpha": 3, "target_modules": ["q_proj"], "layers_to_transform": [1]},
}


def save_with_peft(folder: Path, dtype: str = "float32", **options: Any) -> torch.Tensor:
    """Save a random adapter by PEFT and return the adapted model's logits."""
    model = peft.get_peft_model(tiny_base(), peft.LoraConfig(**options)).eval()
    torch.manual_seed(3)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data = (0.2 * torch.randn_like(weight)).to(getattr(torch, dtype))
    model.save_pretrained(folder, save_embedding_layers=False)
    return logits(model.float())


@pytest.mark.parametrize("kind", SAVED_BY_PEFT)
def test_that_adapters_saved_by_peft_read_in_with_the_same_logits(kind: str, tmp_path: Path) -> None:
    expected = save_with_peft(tmp_path, **SAVED_BY_PEFT[kind])
    adapter = Adapter.load_peft(tmp_path)
    assert (logits(tiny_base()) - expected).abs().max() > 1e-3
    assert_same_logits(logits(merged(adapter)), expected)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_that_other_float_types_are_read(dtype: str, tmp_path: Path) -> None:
    expected = save_with_peft(tmp_path, dtype=dtype, **SAVED_BY_PEFT["plain"])
    adapter = Adapter.load_peft(tmp_path)
    assert {module.A.dtype for module in adapter.values()} == {np.dtype(np.float32)}
    assert_same_logits(logits(merged(adapter)), expected)


def weights(folder: Path) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(folder / "adapter_model.safetensors")


def refused(folder: Path) -> UserFacingError:
    with pytest.raises(UserFacingError) as caught:
        Adapter.load_peft(folder)
    assert caught.value.code in SENTENCES
    return caught.value


REFUSED_KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "dora": ({"use_dora": True}, "use_dora"),
    "bias": ({"bias": "all"}, "bias = all"),
    "modules_to_save": ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
    "embeddings": ({"target_modules": ["q_proj", "embed_tokens"]}, "embeddings"),
    "head": ({"target_modules": ["q_proj", "lm_head"]}, "lm_head"),
    "pissa": ({"init_lora_weights": "pissa"}, "pissa"),
    "tokens": ({"trainable_token_indices": [3, 4]}, "trainable_token_indices"),
    "parameters": ({"layer_replication": [[0, 2], [1, 3]]}, "layer_replication"),
}


@pytest.mark.parametrize("kind", REFUSED_KINDS)
def test_that_other_kinds_of_lora_saved_by_peft_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    changes, name = REFUSED_KINDS[kind]
    options = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj"]} | changes
    model = peft.get_peft_model(tiny_base(), peft.LoraConfig(**options))
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    error = refused(tmp_path)
    assert error.code == "lora.peft_unsupported"
    assert name in told(error)


def test_that_another_kind_of_adapter_is_refused_by_name(tmp_path: Path) -> None:
    model = peft.get_peft_model(tiny_base(), peft.IA3Config(target_modules=["k_proj"], feedforward_modules=[]))
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    assert "IA3" in told(refused(tmp_path))


def test_that_a_convolution_is_refused_by_name(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
    peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["0"])).save_pretrained(
        tmp_path, save_embedding_layers=False
    )
    assert "not linear" in told(refused(tmp_path))


def _change_config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def _change_weights(edit: Callable[[dict[str, np.ndarray]], Any]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = weights(folder)
        edit(tensors)
        safetensors.numpy.save_file(tensors, folder / "adapter_model.safetensors")

    return change


Q = "base_model.model.model.layers.0.self_attn.q_proj"
FAULTS: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "Conv1D": (_change_config(fan_in_fan_out=True), "lora.peft_unsupported", "Conv1D"),
    "trained bias": (_change_config(lora_bias=True), "lora.peft_unsupported", "lora_bias"),
    "alpha by order": (_change_config(alpha_pattern={"q_proj": 2, ".*proj": 3}), "lora.peft_config", "alpha_pattern"),
    "rank of no pattern": (_change_config(rank_pattern={"q_proj": 2, ".*proj": 4}), "lora.factor_shape", "2 or 4"),
    "unheard-of option": (_change_config(use_next_big_thing=True), "lora.peft_unsupported", "use_next_big_thing"),
    "other type": (_change_config(peft_type=["LORA"]), "lora.peft_unsupported", "peft_type"),
    "no rank": (_change_config(r=None), "lora.peft_config", "r is not"),
    "boolean rank": (_change_config(r=True), "lora.peft_config", "r is not"),
    "other rank": (_change_config(r=2), "lora.factor_shape", "rank 2"),
    "no alpha": (_change_config(lora_alpha=None), "lora.peft_config", "lora_alpha"),
    "alpha 0": (_change_config(lora_alpha=0), "lora.peft_config", "lora_alpha"),
    "pattern list": (_change_config(rank_pattern=["q"]), "lora.peft_config", "rank_pattern"),
    "broken pattern": (_change_config(rank_pattern={"(": 2}), "lora.peft_config", "regular expression"),
    "broken pattern rank": (_change_config(rank_pattern={"q": 1.5}), "lora.peft_config", "whole number"),
    "broken config": (lambda f: (f / "adapter_config.json").write_text("{"), "lora.peft_config", "not JSON"),
    "large config": (
        lambda f: (f / "adapter_config.json").write_bytes(b" " * (2**20 + 1)),
        *("lora.peft_config", "larger"),
    ),
    "no config": (lambda f: (f / "adapter_config.json").unlink(), "lora.file_missing", "adapter_config.json"),
    "no weights": (
        lambda f: (f / "adapter_model.safetensors").unlink(),
        *("lora.file_missing", "adapter_model.safetensors"),
    ),
    "no tensors": (_change_weights(dict.clear), "lora.adapter_empty", "no modules"),
    "stranger": (_change_weights(lambda t: t.update(x=np.ones(3, np.float32))), "lora.tensor_unknown", "tensor x"),
    "no prefix": (
        _change_weights(lambda t: t.update({"m.lora_A.weight": t.pop(f"{Q}.lora_A.weight")})),
        *("lora.tensor_unknown", "m.lora_A.weight"),
    ),
    "magnitudes": (
        _change_weights(lambda t: t.update({f"{Q}.lora_magnitude_vector": np.ones(32, np.float32)})),
        *("lora.peft_unsupported", "DoRA"),
    ),
    "no partner": (_change_weights(lambda t: t.pop(f"{Q}.lora_B.weight")), "lora.partner_missing", "q_proj.lora_B"),
    "NaN": (_change_weights(lambda t: t[f"{Q}.lora_B.weight"].fill(np.nan)), "lora.tensor_not_finite", "q_proj.lora_B"),
    "whole numbers": (
        _change_weights(lambda t: t.update({f"{Q}.lora_B.weight": np.ones((32, 3), np.int32)})),
        *("lora.tensor_dtype", "I32"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_that_a_faulty_folder_is_refused_by_name(fault: str, tmp_path: Path) -> None:
    change, code, word = FAULTS[fault]
    Adapter.initial({Q.removeprefix("base_model.model."): (32, 32)}, rank=3, scale=1.0, seed=0).save_peft(tmp_path)
    assert len(Adapter.load_peft(tmp_path)) == 1
    change(tmp_path)
    error = refused(tmp_path)
    assert error.code == code
    assert word in told(error)
