# SPDX-License-Identifier: Apache-2.0
"""Kinds of base models that a federation cannot adapt, or only in part: told by config.json and the names of weights.

An adapter is a pair of factors beside a linear layer. Where a kind has none, or its program reads a layer's weights
past the layer, a federation is refused before it begins: no site could do what it asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from ..errors import UserFacingError
from .module import shown

_CONV1D: Final = frozenset({"gpt2", "openai-gpt", "imagegpt", "decision_transformer"})
_OWN_STATE: Final = frozenset(
    {"mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm", "recurrent_gemma", "minimax", "reformer", "xlnet", "xlm"}
)
_SHARED_LAYERS: Final = frozenset({"zamba", "zamba2"})
_READS_AHEAD: Final = frozenset({"paligemma", "pi0", "pi0_fast"})
_FLOATS: Final = frozenset({"F64", "F32", "F16", "BF16"})

_BLOCK: Final = re.compile(r"(?:^|\.)((?:layers|h|blocks)\.\d+\..+)$")
# GPTQ and AWQ, compressed-tensors, MXFP4, HQQ.
_PACKED: Final = re.compile(r"(?:layers|h|blocks)\.\d+\..+[._](qweight|weight_packed|blocks|W_q)$")
_EXPERTS: Final = re.compile(r"(?:^|\.)\w*(?:expert|moe)\w*\.")
_BESIDE_EXPERTS: Final = re.compile(r"\.\w*(?:attn|attention|mamba|mixer|conv)\w*\.(?!.*(?:expert|gate\b|router))")
# Fast programs for state-space layers take these weights and never call the layers.
_READ_PAST: Final = re.compile(r"\.(?:mamba|mixer|ssm)\.(?:.*\.)?(?:out_proj|dt_proj)$")
_OTHER_SENSES: Final = re.compile(
    r"(?:^|\.)(?:visual|vision|audio|image|speech|video|embed_(?:vision|audio)|multi_modal|mm_)\w*\."
)
# Layers that guess the tokens after the next one, in files of Qwen 3.5 and others; no model of text loads them.
_GUESSES_AHEAD: Final = re.compile(r"(?:^|\.)mtp\w*\.")


def check_kind(folder: Path, config: Mapping[str, Any]) -> None:
    """Raises UserFacingError where no layer of such a model can be adapted, or not on every computer alike."""
    inner = _inner(config)
    for told in (config, inner):
        quantised = told.get("quantization_config") or told.get("compression_config")
        if isinstance(quantised, Mapping):
            method = quantised.get("quant_method") or ("bitsandbytes" if _bits(quantised) else "unknown")
            raise UserFacingError("model.quantised", path=str(folder), method=shown(method))
    for kind in {str(told.get("model_type")) for told in (config, inner)}:
        for kinds, code in (
            (_CONV1D, "model.conv1d"),
            (_OWN_STATE, "model.own_state"),
            (_SHARED_LAYERS, "model.shared_layers"),
            (_READS_AHEAD, "model.reads_ahead"),
        ):
            if kind in kinds:
                raise UserFacingError(code, path=str(folder), kind=kind)
    if any(told.get("use_bidirectional_attention") is True for told in (config, inner)):
        raise UserFacingError("model.reads_ahead", path=str(folder), kind=shown(config.get("model_type")))
    if config.get("is_encoder_decoder") is True:
        raise UserFacingError("model.encoder_decoder", path=str(folder), kind=shown(config.get("model_type")))


def has_own_state(kind: str) -> bool:
    """True for a kind that keeps what it has read in a state which this program does not continue from."""
    return kind in _OWN_STATE


def check_weight(folder: Path, name: str, dtype: object) -> None:
    """Raises UserFacingError where a layer's weight is no matrix of floating-point numbers, or has no usual name."""
    if dtype not in _FLOATS:
        raise UserFacingError("model.quantised", path=str(folder), method=shown(dtype))
    if in_block(name) == name:
        raise UserFacingError("model.no_prefix", path=str(folder), name=shown(name))


def check_packed(folder: Path, names: Iterable[str]) -> None:
    """Raises UserFacingError where weights are stored as a quantising program packs them, whatever config.json says."""
    for packed in (match for name in names if (match := _PACKED.search(name))):
        raise UserFacingError("model.quantised", path=str(folder), method=packed[1])


def in_block(name: str) -> str:
    """A layer's name from the block on that it is in (`layers.0.mlp.up_proj`): the same in files and in memory."""
    match = _BLOCK.search(name)
    return match[1] if match else name


def has_other_senses(config: Mapping[str, Any]) -> bool:
    """True for a text model inside one that also sees or hears: its layers have other names in the files."""
    return bool(_inner(config))


def of_text(name: str) -> bool:
    """True for a layer that does not belong to what such a model sees or hears with."""
    return not _OTHER_SENSES.search(name)


def guesses_ahead(name: str) -> bool:
    """True for a layer that only helps to write several tokens at once."""
    return bool(_GUESSES_AHEAD.search(name))


def leaves_layers(config: Mapping[str, Any]) -> bool:
    """True for a model in whose files there are layers, named like the others, that it does not load."""
    told = (config, _inner(config))
    return any(one.get(key) for one in told for key in ("num_nextn_predict_layers", "num_kv_shared_layers"))


def has_experts(names: Iterable[str]) -> bool:
    """True for a mixture of experts. They are one block of numbers in memory, not layers: they stay as they are."""
    return any(_EXPERTS.search(name) for name in names)


def adaptable(name: str, experts: bool) -> bool:
    """True for a layer that is called as one wherever the model runs. Beside `experts` only what mixes tokens is."""
    return not _READ_PAST.search(name) and (not experts or bool(_BESIDE_EXPERTS.search(name)))


def _inner(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("text_config")
    return inner if isinstance(inner, Mapping) else {}


def _bits(quantised: Mapping[str, Any]) -> bool:
    return any(key.startswith("load_in_") and value for key, value in quantised.items())
