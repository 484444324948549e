# SPDX-License-Identifier: Apache-2.0
"""Tiny random models of the families that sites load, each in a folder as it would be downloaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmed_desktop.resources import resource

SMALL: dict[str, Any] = {
    "vocab_size": 4096, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "bos_token_id": 0, "eos_token_id": 0,
    "pad_token_id": None,
}  # fmt: skip
HEADS: dict[str, Any] = {"head_dim": 8}
SLIDING: dict[str, Any] = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}
DELTA: dict[str, Any] = {
    "layer_types": ["linear_attention", "full_attention"], "linear_num_key_heads": 2, "linear_num_value_heads": 2,
    "linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_conv_kernel_dim": 4,
}  # fmt: skip
SEEING: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28,
    "patch_size": 14,
}  # fmt: skip
WAVES: dict[str, Any] = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
LATENT: dict[str, Any] = {
    "num_key_value_heads": 4, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8,
    "v_head_dim": 8, "n_routed_experts": 2, "num_experts_per_tok": 1, "n_group": 1, "topk_group": 1,
    "moe_intermediate_size": 16, "first_k_dense_replace": 1,
}  # fmt: skip
STATES: dict[str, Any] = {"mamba_d_state": 8, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1}
LLAMA3: dict[str, Any] = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """A model's configuration class in transformers and its settings, and how its folder is made.

    `start`: its tokenizer puts a start token before a text; `pad`: it has a padding token; `parts`: its weights lie in
    several files. `adapted`: linear layers in it that are adapted.
    """

    config: str
    settings: dict[str, Any] = field(default_factory=dict)
    start: bool = False
    pad: bool = False
    parts: bool = False
    adapted: int = 14

    def folder(self, path: Path) -> Path:
        import torch
        import transformers

        config = getattr(transformers, f"{self.config}Config")(**self.settings)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            whole = transformers.AutoModelForImageTextToText
            loader = whole if type(config) in whole._model_mapping else transformers.AutoModelForCausalLM
            model = loader.from_config(config, dtype=torch.float32)
            for parameter in model.parameters():
                if parameter.ndim > 1:  # so that its answers are no single token over and over
                    parameter.data.normal_(0, 0.15)
        model.save_pretrained(path, **({"max_shard_size": 200_000} if self.parts else {}))
        self._tokenizer().save_pretrained(path)
        return path

    def _tokenizer(self) -> Any:
        import transformers
        from tokenizers import Tokenizer, processors

        plain = Tokenizer.from_file(str(resource("demo_model") / "tokenizer.json"))
        end = "<|endoftext|>"
        if self.start:
            plain.post_processor = processors.TemplateProcessing(single=f"{end} $A", special_tokens=[(end, 0)])
        named = {"eos_token": end} | ({"bos_token": end} if self.start else {})
        return transformers.PreTrainedTokenizerFast(
            tokenizer_object=plain, **named, **({"pad_token": "<|pad|>"} if self.pad else {})
        )


def _with(*settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    whole = dict(SMALL)
    for one in settings:
        whole |= one
    return whole | more


GEMMA3 = _with(HEADS, SLIDING)

FAMILIES = {
    "Llama 3": Family("Llama", _with(rope_parameters=LLAMA3), start=True, parts=True),
    "Phi 3 and 4": Family("Phi3", _with(), pad=True, adapted=8),  # fused: qkv_proj and gate_up_proj
    "Gemma 3 with pictures": Family(
        "Gemma3", {"text_config": GEMMA3, "vision_config": SEEING, "mm_tokens_per_image": 4}, start=True, pad=True
    ),
    "Qwen 2.5": Family("Qwen2", _with(tie_word_embeddings=True), pad=True),
    "Qwen 3": Family("Qwen3", _with(HEADS), pad=True, parts=True),
    "Gemma 2": Family("Gemma2", _with(HEADS, SLIDING), start=True, pad=True),
    "Gemma 3": Family("Gemma3Text", GEMMA3, start=True, pad=True),
    "Mistral": Family("Mistral", _with(HEADS, sliding_window=16), start=True),
    "SmolLM": Family("Llama", _with(tie_word_embeddings=True)),
    "SmolLM 3": Family("SmolLM3", _with(no_rope_layers=[1, 0], pad_token_id=1)),
    "OLMo 2": Family("Olmo2", _with(), pad=True),
    "Granite": Family("Granite", _with(logits_scaling=4.0, residual_multiplier=0.5, embedding_multiplier=2.0)),
    "Granite 4": Family(
        "GraniteMoeHybrid",
        _with(
            layer_types=["mamba", "attention"], num_local_experts=0, shared_intermediate_size=48, mamba_d_state=8,
            mamba_n_heads=8, mamba_d_head=8, mamba_n_groups=1,
        ),
        adapted=9,
    ),
    "LFM 2": Family("Lfm2", _with(layer_types=["conv", "full_attention"]), start=True, pad=True, adapted=12),
    "Qwen 3.5": Family("Qwen3_5Text", _with(HEADS, DELTA), adapted=15),
    "Mixtral": Family("Mixtral", _with(num_local_experts=2), start=True, adapted=8),
    "Qwen 3 with experts": Family(
        "Qwen3Moe", _with(HEADS, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=16), adapted=8
    ),
    "Qwen 2.5 with pictures": Family(
        "Qwen2_5_VL",
        {
            "text_config": _with(rope_parameters=WAVES), "tie_word_embeddings": False,
            "vision_config": {
                "hidden_size": 16, "out_hidden_size": 32, "intermediate_size": 16, "depth": 1, "num_heads": 2,
            },
        },
        pad=True,
    ),
    "LLaVA": Family(
        "Llava",
        {"text_config": _with(model_type="llama"), "vision_config": SEEING | {"model_type": "clip_vision_model"}},
        start=True,
    ),
    "Mistral 3 with pictures": Family(
        "Mistral3",
        {
            "text_config": _with(HEADS, model_type="mistral"),
            "vision_config": SEEING | {"model_type": "pixtral", "head_dim": 8},
        },
        start=True,
    ),
    "SmolVLM": Family(
        "SmolVLM", {"text_config": _with(model_type="llama"), "vision_config": SEEING, "pad_token_id": 1}, pad=True
    ),
    "Llama 3.2 with pictures": Family(  # what reads pictures between its layers is passed over where there are none
        "Mllama",
        {
            "text_config": _with(cross_attention_layers=[1], rope_parameters=LLAMA3, pad_token_id=1),
            "vision_config": {
                "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_global_layers": 1,
                "attention_heads": 2, "vision_output_dim": 32, "image_size": 28, "patch_size": 14, "max_num_tiles": 1,
                "intermediate_layers_indices": [0], "supported_aspect_ratios": [[1, 1]],
            },
        },
        start=True, pad=True, adapted=7,
    ),
    "Phi 4 with pictures and sound": Family(
        "Phi4Multimodal",
        _with(
            pad_token_id=1,
            vision_config=SEEING | {"crop_size": 28},
            audio_config={"hidden_size": 16, "intermediate_size": 16, "num_blocks": 1, "num_attention_heads": 2},
        ),
        pad=True, adapted=8,
    ),
    "DeepSeek V3": Family("DeepseekV3", _with(LATENT), start=True, adapted=10),
    "GPT-OSS": Family("GptOss", _with(HEADS, SLIDING, num_local_experts=2, num_experts_per_tok=1), adapted=8),
    "OLMoE": Family("Olmoe", _with(num_experts=2, num_experts_per_tok=1), adapted=8),
    "Granite with experts": Family("GraniteMoe", _with(num_local_experts=2, num_experts_per_tok=1), adapted=8),
    "Falcon H1": Family("FalconH1", _with(HEADS, STATES, mamba_d_ssm=64), adapted=16),
    "Jamba": Family(
        "Jamba",
        _with(
            attn_layer_period=2, attn_layer_offset=1, num_experts=1, mamba_d_state=8, mamba_dt_rank=8,
            use_mamba_kernels=False, pad_token_id=1,
        ),
        adapted=12,
    ),
    "GPT-NeoX": Family(
        "GPTNeoX", {key: value for key, value in SMALL.items() if key != "num_key_value_heads"}, adapted=8
    ),
    "OPT": Family(
        "OPT",
        {
            "vocab_size": 4096, "hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
            "max_position_embeddings": 512, "word_embed_proj_dim": 32, "bos_token_id": 0, "eos_token_id": 0,
            "pad_token_id": 1,
        },
        start=True, pad=True, adapted=12,
    ),
}  # fmt: skip
"""Those that matter most, and differ most, first."""
