# SPDX-License-Identifier: Apache-2.0
"""Answers of models with more, or other, state than keys and values at known places: those of the library itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch
    import transformers

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.device import choose_device
    from fedmed_desktop.training.generation import Request, generate, stream

SMALL: dict[str, Any] = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "eos_token_id": 0, "bos_token_id": None,
    "pad_token_id": None,
}  # fmt: skip
MAMBA: dict[str, Any] = {"mamba_d_state": 8, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1}
DELTA: dict[str, Any] = {
    "layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 2, "linear_num_value_heads": 2,
    "linear_key_head_dim": 8, "linear_value_head_dim": 8,
}  # fmt: skip
HYBRIDS: dict[str, dict[str, Any]] = {
    "Lfm2": {"layer_types": ["conv", "full_attention"]},
    "Qwen3_5Text": {**DELTA, "head_dim": 8, "linear_conv_kernel_dim": 4},
    "GraniteMoeHybrid": {
        **MAMBA, "layer_types": ["mamba", "attention"], "num_local_experts": 0, "shared_intermediate_size": 48,
    },
    "Jamba": {
        "attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 1, "mamba_d_state": 8, "mamba_dt_rank": 8,
        "use_mamba_kernels": False,
    },
    "GPTNeo": {"attention_types": [[["global", "local"], 1]], "window_size": 16},  # counts places in memory, as MPT
    "Mpt": {"max_seq_len": 512},
    "FalconH1": {**MAMBA, "head_dim": 8, "mamba_d_ssm": 64},
    "Bamba": {**MAMBA, "attn_layer_indices": [1]},
    "OlmoHybrid": DELTA,
    "Gemma3Text": {"head_dim": 8, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]},
}  # fmt: skip


def made(name: str) -> BaseModel:
    """A random model, wide enough awake that its answers are no single token over and over."""
    config = getattr(transformers, f"{name}Config")(**SMALL | HYBRIDS[name])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval().requires_grad_(False)
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2)
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=None, tokenizer_object=_none())
    return BaseModel(Path(), choose_device(prefer="cpu"), 1, model, tokenizer)


def _none() -> Any:
    from tokenizers import Tokenizer, models

    return Tokenizer(models.BPE())


@pytest.mark.filterwarnings("ignore")  # that faster kernels are not installed
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if at > 5 else ()) for at, name in enumerate(HYBRIDS)]
)
def test_that_answers_are_those_of_the_library_when_finished_rows_leave_the_batch(name: str) -> None:
    base = made(name)
    draw = torch.Generator().manual_seed(1)
    sizes = ((40, 12), (7, 30), (23, 5), (1, 20), (2, 18))  # tokens of a prompt, and of its answer at most
    requests = [
        Request(tuple(torch.randint(1, 300, (prompt,), generator=draw).tolist()), limit) for prompt, limit in sizes
    ]
    expected = []
    for request in requests:
        tokens = torch.tensor([request.prompt])
        answer = base.model.generate(
            input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=request.limit, do_sample=False,
            pad_token_id=0,
        )[0, len(request.prompt) :].tolist()  # fmt: skip
        expected.append(tuple(token for token in answer if token not in base.end_tokens))
    assert generate(base, requests) == expected
    assert [tuple(stream(base, request, prefill=5)) for request in requests] == expected
