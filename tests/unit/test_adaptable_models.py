# SPDX-License-Identifier: Apache-2.0
"""Base models looked at before a federation is founded on them: the layers they have, and those that none can adapt."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fedmed_desktop.lora.base_model import decoder_linears, fingerprint, leaves_experts, linears_in_files, weight_files
from tests.parts.families import FAMILIES, GEMMA3, SEEING, Family
from tests.parts.families import SMALL as SMALL_TEXT
from tests.parts.model import copied
from tests.parts.told import told_as

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import transformers

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.device import choose_device
    from fedmed_desktop.training.outline import adaptable_linears

SMALL: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 64,
}  # fmt: skip


def folder_of(folder: Path, config: dict[str, Any], names: dict[str, tuple[int, ...]], dtype: Any = np.float32) -> Path:
    """A model folder with these weights, all zero."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    save_file({name: np.zeros(shape, dtype) for name, shape in names.items()}, folder / "model.safetensors")
    return folder


def saved(config: Any, folder: Path, **options: Any) -> Path:
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder, **options)
    (folder / "tokenizer.json").write_text("{}")
    return folder


PLAIN = {"model.layers.0.self_attn.q_proj.weight": (16, 16), "model.layers.0.mlp.up_proj.weight": (24, 16)}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "gpt2"}, r"gpt2 models are of the type Conv1D instead of linear layers"),
        ({"model_type": "mamba2"}, r"mamba2 models keep .* an internal state"),
        ({"model_type": "zamba2"}, "use the same layers in several places"),
        ({"model_type": "t5", "is_encoder_decoder": True}, "t5 models have an encoder and a decoder"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, r"already quantised \(gptq\)"),
        ({"quantization_config": {"quant_method": "awq"}}, r"already quantised \(awq\)"),
        ({"quantization_config": {"load_in_4bit": True}}, r"already quantised \(bitsandbytes\)"),
        ({"text_config": {"quantization_config": {"quant_method": "fp8"}}}, r"already quantised \(fp8\)"),
    ],
)
def test_that_a_kind_which_none_can_adapt_is_refused_by_its_config(
    config: dict[str, Any], words: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, {"model_type": "llama"} | config, PLAIN)
    for look in (decoder_linears, adaptable_linears):
        with told_as(words):
            look(folder)


def test_that_weights_which_are_no_floating_point_numbers_are_quantised_whatever_the_config_says(
    tmp_path: Path,
) -> None:
    with told_as(r"already quantised \(U8\)"):
        decoder_linears(folder_of(tmp_path, {"model_type": "llama"}, PLAIN, np.uint8))
    for packed in ("qweight", "weight_packed"):  # as AutoGPTQ wrote it, with its settings in another file
        names = {name.replace("weight", packed): shape for name, shape in PLAIN.items()}
        with told_as(rf"already quantised \({packed}\)"):
            decoder_linears(folder_of(tmp_path, {"model_type": "llama"}, names, np.int32))


def test_that_names_without_the_models_part_before_them_are_refused(tmp_path: Path) -> None:
    names = {name.removeprefix("model."): shape for name, shape in PLAIN.items()}
    with told_as("without its head"):
        decoder_linears(folder_of(tmp_path, {"model_type": "llama"}, names))


def test_that_a_config_of_another_shape_than_the_weights_is_refused(tmp_path: Path) -> None:
    folder = saved(transformers.LlamaConfig(**SMALL), tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 32}))
    with told_as(r"mlp\.down_proj is 16 x 24 in its files, but its config\.json makes it 16 x 32"):
        adaptable_linears(folder)


def test_that_a_layer_which_the_loaded_model_does_not_have_is_refused(tmp_path: Path) -> None:
    folder = saved(transformers.LlamaConfig(**SMALL), tmp_path)
    folder_of(folder, json.loads((folder / "config.json").read_text()), {"model.layers.0.extra.weight": (2, 2)})
    with told_as(r"model\.layers\.0\.extra is not a linear layer once the model is loaded"):
        adaptable_linears(folder)


def test_that_only_the_files_which_the_index_names_are_read(tmp_path: Path) -> None:
    folder = saved(transformers.LlamaConfig(**SMALL), tmp_path / "parts", max_shard_size=9000)
    parts = weight_files(folder)
    assert len(parts) > 1
    before, named = fingerprint(folder), decoder_linears(folder)
    save_file({"layers.0.attention.wq.weight": np.zeros((2, 2), np.float32)}, folder / "consolidated.safetensors")
    assert (weight_files(folder), fingerprint(folder), decoder_linears(folder)) == (parts, before, named)
    assert adaptable_linears(folder) == named
    parts[-1].unlink()
    with told_as(f"incomplete: {parts[-1].name} is missing"):
        weight_files(folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}))
    with told_as("names no files of this folder"):
        weight_files(folder)
    index.unlink()
    with told_as(r"it has no model\.safetensors"):
        weight_files(folder)


def test_that_the_attention_of_a_mixture_of_experts_is_adapted_and_its_experts_are_not(tmp_path: Path) -> None:
    mixtral = transformers.MixtralConfig(**SMALL, num_local_experts=2)
    qwen = transformers.Qwen3MoeConfig(**SMALL, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=8)
    for number, config in enumerate((mixtral, qwen)):
        folder = saved(config, tmp_path / str(number))
        assert leaves_experts(folder)
        named = adaptable_linears(folder)
        assert named == linears_in_files(folder)
        assert {name.partition("self_attn")[1] for name in named} == {"self_attn"} and len(named) == 8


def test_that_layers_which_fast_programs_read_past_are_not_adapted(tmp_path: Path) -> None:
    config = transformers.GraniteMoeHybridConfig(
        **SMALL, layer_types=["mamba", "attention"], num_local_experts=0, shared_intermediate_size=24, mamba_d_state=8,
        mamba_n_heads=4, mamba_d_head=8, mamba_n_groups=1,
    )  # fmt: skip
    named = adaptable_linears(saved(config, tmp_path))
    assert "model.layers.0.mamba.in_proj" in named and "model.layers.1.shared_mlp.input_linear" in named
    assert "model.layers.0.mamba.out_proj" not in named


def test_that_the_text_model_is_adapted_inside_one_that_also_sees(tmp_path: Path) -> None:
    text = SMALL | {"head_dim": 8, "layer_types": ["sliding_attention", "full_attention"]}
    config = transformers.Gemma3Config(text_config=text, vision_config=SEEING, mm_tokens_per_image=4)
    folder = saved(config, tmp_path)
    named = adaptable_linears(folder)
    assert len(named) == 14
    assert all(name.startswith("model.language_model.layers.") for name in named)
    assert len(decoder_linears(folder)) == 14
    with told_as(r"torch is needed to found"):
        linears_in_files(folder)


def test_that_a_model_whose_files_begin_names_otherwise_is_adapted_by_the_names_in_memory(tmp_path: Path) -> None:
    config = transformers.NemotronHConfig(
        **{name: value for name, value in SMALL.items() if name != "num_hidden_layers"}, head_dim=8,
        hybrid_override_pattern="M*-", ssm_state_size=8, mamba_num_heads=4, mamba_head_dim=8, n_groups=1,
    )  # fmt: skip
    folder = saved(config, tmp_path / "nemotron")
    assert next(iter(decoder_linears(folder))).startswith("backbone.layers.")
    named = adaptable_linears(folder)
    assert {name.rpartition(".")[2] for name in named} >= {"in_proj", "q_proj", "up_proj"}
    assert all(name.startswith("model.layers.") for name in named)
    with told_as("torch is needed to found"):
        linears_in_files(folder)


def test_that_a_model_from_which_no_language_model_is_loaded_is_refused(tmp_path: Path) -> None:
    for config in (transformers.SiglipConfig(), transformers.MllamaConfig().text_config):
        folder = folder_of(tmp_path / config.model_type, config.to_dict(), PLAIN)
        with told_as("cannot load the model in .* as a causal language model"):
            adaptable_linears(folder)


def test_that_a_model_which_brings_a_program_is_refused_and_the_program_is_not_run(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = copied(tiny_model, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    own = {"model_type": "of_its_own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(config | own))
    (folder / "own.py").write_text("raise SystemExit('run')")
    for look in (adaptable_linears, lambda path: BaseModel.load(path, choose_device(prefer="cpu"), threads=1)):
        with told_as("comes with its own code, which is never run"):
            look(folder)
    shutil.copy(tiny_model / "config.json", folder / "config.json")
    settings = {
        "tokenizer_class": "Own",
        "eos_token": "<|endoftext|>",
        "auto_map": {"AutoTokenizer": ["own.Tokenizer", None]},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    base = BaseModel.load(folder, choose_device(prefer="cpu"), threads=1)
    assert base.tokenizer.decode(base.tokenizer("aspirin")["input_ids"]) == "aspirin"  # by its tokenizer.json


def test_that_the_bundled_model_is_founded_on_the_layers_that_it_always_was() -> None:
    from fedmed_desktop.resources import resource

    folder = resource("demo_model")
    assert adaptable_linears(folder) == linears_in_files(folder)
    assert len(linears_in_files(folder)) == 42


def test_that_layers_which_no_text_teaches_are_not_adapted(tmp_path: Path) -> None:
    """Those that see and hear have no config of their own beside that of the text here; GIT has no others."""
    folder = FAMILIES["Phi 4 with pictures and sound"].folder(tmp_path / "phi")
    assert len(decoder_linears(folder)) > 8
    assert {name.rpartition(".")[0].partition(".0.")[0] for name in adaptable_linears(folder)} >= {"model.layers"}
    assert not [name for name in adaptable_linears(folder) if not name.startswith("model.layers.")]
    git = transformers.GitConfig(**SMALL, vision_config=SEEING)
    with told_as("has no linear layers inside decoder blocks"):
        adaptable_linears(saved(git, tmp_path / "git"))


def add_layer(folder: Path, layer: str, at: str) -> None:
    """Puts the weights of the layer into the folder's file again, in another place."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    there = {f"{at}{name.partition(layer)[2]}": weights[name].copy() for name in weights if layer in name}
    assert there
    save_file(weights | there, path, {"format": "pt"})


@pytest.mark.filterwarnings("ignore")  # that faster kernels are not installed
def test_that_layers_which_guess_further_tokens_and_are_never_loaded_count_as_not_there(tmp_path: Path) -> None:
    """Every published Qwen 3.5 has one, with attention where the first layer of the model has none."""
    folder = FAMILIES["Qwen 3.5"].folder(tmp_path)
    without = adaptable_linears(folder), decoder_linears(folder), linears_in_files(folder)
    add_layer(folder, "model.layers.1.", "mtp.layers.0.")
    assert (adaptable_linears(folder), decoder_linears(folder), linears_in_files(folder)) == without
    BaseModel.load(folder, choose_device(prefer="cpu"), threads=1)


def test_that_keys_of_layers_that_use_those_of_earlier_ones_count_as_not_there(tmp_path: Path) -> None:
    """Gemma 3n and Gemma 4 are published with them, and loaded without."""
    layers = {"num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2}
    own = {"num_kv_shared_layers": 2, "global_head_dim": 8, "hidden_size_per_layer_input": 8}
    settings = SMALL_TEXT | layers | own | {"head_dim": 8, "vocab_size_per_layer_input": 4096}
    folder = Family("Gemma4Text", settings, start=True).folder(tmp_path)
    without = adaptable_linears(folder)
    assert any("layers.1.self_attn.k_proj" in name for name in without)
    add_layer(folder, "model.layers.1.self_attn.k_proj.", "model.layers.3.self_attn.k_proj.")
    assert adaptable_linears(folder) == without
    with told_as("torch"):
        linears_in_files(folder)


def test_that_a_decoder_without_its_encoder_is_refused(tmp_path: Path) -> None:
    config = transformers.BartConfig(
        vocab_size=64, d_model=16, decoder_layers=1, decoder_ffn_dim=24, decoder_attention_heads=2, is_decoder=True,
        is_encoder_decoder=False,
    )  # fmt: skip
    folder = saved(config, tmp_path)
    assert len(decoder_linears(folder)) == 10
    with told_as("bart models have an encoder and a decoder"):
        adaptable_linears(folder)


def test_that_layers_which_cannot_carry_an_adapter_are_refused_or_left_alone(tmp_path: Path) -> None:
    """In models of experts PEFT takes attention's gate for an expert's."""
    experts = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 8, "head_dim": 8}
    with told_as("it cannot process text with adapters on its layers .*gate_proj without also targeting up_proj"):
        adaptable_linears(saved(transformers.AfmoeConfig(**SMALL, **experts), tmp_path))


def test_that_a_model_without_any_attention_is_refused_whatever_its_kind(tmp_path: Path) -> None:
    config = transformers.Lfm2Config(**SMALL, layer_types=["conv", "conv"])
    with told_as("lfm2 models keep what they have read in an internal state"):
        adaptable_linears(saved(config, tmp_path))


def test_that_a_model_of_which_one_pass_fails_is_refused_with_the_reason(tmp_path: Path) -> None:
    config = transformers.IdeficsConfig(**SMALL | {"num_key_value_heads": 2}, vision_config=SEEING | {"embed_dim": 16})
    model = transformers.IdeficsForVisionText2Text(config)
    model.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with told_as(r"cannot process text with adapters on its layers \(Exactly 1 of pixel_values"):
        adaptable_linears(tmp_path)


def test_that_a_classifier_which_cannot_choose_a_token_is_refused(tmp_path: Path) -> None:
    config = transformers.LlamaConfig(**SMALL, tie_word_embeddings=False, pad_token_id=0)
    transformers.LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with told_as(r"it lacks the weights lm_head\.weight"):
        adaptable_linears(tmp_path)


def test_that_a_model_which_reads_ahead_is_refused_at_founding_and_when_it_is_loaded(tmp_path: Path) -> None:
    """It would see the answer that it is to learn."""
    plain = {"model_type": "llama"}
    for config in ({"model_type": "paligemma"}, plain | {"text_config": {"use_bidirectional_attention": True}}):
        with told_as("read text in both directions"):
            decoder_linears(folder_of(tmp_path / "named", config, PLAIN))
    gemma = Family("Gemma3Text", GEMMA3 | {"use_bidirectional_attention": True}).folder(tmp_path / "gemma")
    with told_as("gemma3_text models read text in both directions"):
        BaseModel.load(gemma, choose_device(prefer="cpu"), threads=1)
