# SPDX-License-Identifier: Apache-2.0
"""Base models for benchmarks: the bundled one, and random weights in the shapes of known ones; and notes to train on.

Speed and memory depend on shapes, not on what a model knows. All of them read the bundled notes through the bundled
model's tokenizer, so that lengths are those of real sentences; `long` notes are several of them joined.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
import transformers
from transformers.initialization import no_init_weights

from fedmed_desktop.clinical import apply_types, read_notes_folder, read_types_map
from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.federation import Plan, TrainingSettings
from fedmed_desktop.lora import Adapter
from fedmed_desktop.resources import resource
from fedmed_desktop.training.base import BaseModel
from fedmed_desktop.training.batches import Encoder, Example, Examples
from fedmed_desktop.training.device import Device

LLAMA: Final[dict[str, dict[str, Any]]] = {
    "100M": {
        "hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 10, "num_attention_heads": 12,
        "num_key_value_heads": 12, "vocab_size": 32_000, "tie_word_embeddings": True,
    },
    "1B": {  # Llama-3.2-1B
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 128_256, "tie_word_embeddings": True,
    },
    "8B": {  # Llama-3.1-8B
        "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 128_256, "tie_word_embeddings": False,
    },
}  # fmt: skip
SHAPES: Final = ("bundled", *LLAMA)
LINEARS: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TYPES: Final = ("drug", "problem")
RANK: Final = 16


def base_of(shape: str, device: Device, threads: int = 1) -> BaseModel:
    """The base, in the device's dtype and quantization; made where it is used, since 8B in float32 are 32 GB."""
    folder = resource("demo_model")
    if shape == "bundled":
        return BaseModel.load(folder, device, threads)
    torch.set_num_threads(threads)
    config = transformers.LlamaConfig(max_position_embeddings=4096, **LLAMA[shape])
    torch.manual_seed(0)
    with torch.device(device.torch), no_init_weights():
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=device.dtype)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    if device.quantization == "nf4":
        _quantise(model, device)
    model.tie_weights()
    model.eval().requires_grad_(False)
    return BaseModel(folder, device, threads, model, transformers.AutoTokenizer.from_pretrained(folder))


def _quantise(model: Any, device: Device) -> None:
    """Puts each linear layer of the decoder into NF4, as the product loads one."""
    import bitsandbytes as bnb

    for name, module in list(model.named_modules()):
        if name.rpartition(".")[2] not in LINEARS:
            continue
        layer = bnb.nn.Linear4bit(
            module.in_features, module.out_features, bias=False, compute_dtype=device.dtype,
            compress_statistics=True, quant_type="nf4", device="meta",
        )  # fmt: skip
        layer.weight = bnb.nn.Params4bit(
            module.weight.data.cpu(), requires_grad=False, compress_statistics=True, quant_type="nf4"
        )
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.to(device.torch))


def modules_of(base: BaseModel) -> dict[str, tuple[int, int]]:
    """The layers that get an adapter, with their shapes."""
    found = {}
    for name, module in base.model.named_modules():
        if name.rpartition(".")[2] in LINEARS:
            found[name] = (module.out_features, module.in_features)
    return found


def start_of(base: BaseModel) -> Adapter:
    return Adapter.initial(modules_of(base), RANK, 2.0, 0)


def examples_of(base: BaseModel, count: int, tokens: int | None = None) -> Examples:
    """Sentences of the bundled notes of Lakeview as they are taught; `tokens`: joined until each has as many."""
    folder = resource("demo_notes") / "Lakeview"
    types = {name: to for name, to in read_types_map(folder / "types.toml").items() if to in TYPES}
    notes, _ = apply_types(read_notes_folder(folder).train, TYPES, types, ())
    encoded = Encoder(base.tokenizer, [Entities(TYPES)]).encode(notes, 1024)
    if tokens is None:
        return Examples(encoded.items[:count])
    words = [token for item in encoded.items for token in (*item.prompt, *item.answer)]
    rng = np.random.default_rng(0)
    items = []
    for start in rng.integers(0, len(words) - tokens, count):
        row = tuple(words[start : start + tokens])
        items.append(Example(encoded.items[0].asked, row[: tokens // 2], row[tokens // 2 :]))
    return Examples(tuple(items))


def plan_of(start: Adapter, steps: int, batch: int, micro: int | None = None) -> Plan:
    settings = TrainingSettings(
        steps=steps, batch_size=batch, micro_batch_size=micro, learning_rate=1e-3, checkpoint_steps=10_000
    )
    return Plan(round=1, start=start.sha256, rank=RANK, training=settings, seed=0)
