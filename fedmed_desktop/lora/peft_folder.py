# SPDX-License-Identifier: Apache-2.0
"""Adapters in PEFT's folder format: adapter_config.json and adapter_model.safetensors.

Written: uniform rank (smaller ones padded with zeros), scale folded into B, lora_alpha = r, so that every loader gets
the same delta W, even one that ignores rank_pattern and alpha_pattern (as vLLM does). Read: plain LoRA and rsLoRA on
2-D linears in any float type, patterns matched by PEFT's own rule (peft.utils.other.get_pattern_key). PEFT takes the
first key that matches but sorts the keys when it saves; so if several match, the rank is taken from the tensors, and
different alphas are refused, since it is unknown which one was used in training.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..arrays import np
from ..errors import UserFacingError, reason_of
from .module import Module, check_module_name, naming, shown
from .tensorfile import TensorEntry, TensorHeader, read_tensor_header, strict_json, widen

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CONFIG: Final = "adapter_config.json"
_WEIGHTS: Final = "adapter_model.safetensors"
_MAX_CONFIG_BYTES: Final = 2**20
_KEY: Final = re.compile(r"base_model\.model\.(?P<name>.+)\.lora_(?P<factor>[AB])\.weight")
_HEADS: Final = {"lm_head", "embed_out", "embed_tokens", "wte"}

# Keys that do not change delta W or are read below. Any other key must be off, so that a kind of adapter that PEFT adds
# later is refused by name rather than read wrongly.
_READ_OR_HARMLESS: Final = {
    *("peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision"),
    *("inference_mode", "r", "lora_alpha", "lora_dropout", "use_rslora", "rank_pattern", "alpha_pattern"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "init_lora_weights"),
    *("megatron_core", "qalora_group_size", "loftq_config", "runtime_config", "eva_config"),
}
_KNOWN_KINDS: Final = {
    "use_dora": "DoRA (use_dora)",
    "fan_in_fan_out": "Conv1D layers (fan_in_fan_out)",
    "modules_to_save": "fully trained modules (modules_to_save)",
    "trainable_token_indices": "trained token embeddings (trainable_token_indices)",
}
# Other initialisations (PiSSA, OLoRA, CorDA, LoftQ, ...) change the base model's weights.
_PLAIN_INITS: Final = (True, False, None, "gaussian", "eva", "orthogonal")


def write_peft_folder(folder: Path, modules: Mapping[str, Module], base_model: str | None) -> None:
    """Writes both files and creates the folder; the same modules give the same bytes. Raises OSError."""
    from safetensors.numpy import save

    rank = max(module.rank for module in modules.values())
    tensors: dict[str, NDArray[np.float32]] = {}
    for name in sorted(modules):
        module, padding = modules[name], rank - modules[name].rank
        scaled = (np.float64(module.scale) * module.B).astype(np.float32)
        prefix = f"base_model.model.{name}"
        tensors[f"{prefix}.lora_A.weight"] = np.pad(module.A, ((0, padding), (0, 0)))
        tensors[f"{prefix}.lora_B.weight"] = np.pad(scaled, ((0, 0), (0, padding)))
    config = {
        "base_model_name_or_path": base_model,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": rank,
        "target_modules": sorted(modules),
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))
    (folder / _CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def read_peft_folder(folder: Path) -> dict[str, Module]:
    """Modules by name. Raises UserFacingError naming a feature or tensor that is not plain LoRA or rsLoRA."""
    config = _read_config(folder / _CONFIG)
    _refuse_other_kinds(config)
    try:
        with (folder / _WEIGHTS).open("rb") as file:
            header = read_tensor_header(file)
            found = _factor_entries(header)
            modules = {}
            for name, (b, a) in found.items():
                _check_rank(name, b, a, config)
                factors = []
                for entry in (b, a):
                    file.seek(header.data_start + entry.begin)
                    factors.append(widen(entry, file.read(entry.end - entry.begin)))
                with naming(name):
                    modules[name] = Module(factors[0], factors[1], _scaling(name, a.shape[0], config))
    except OSError as error:
        raise _missing(_WEIGHTS, error) from None
    return modules


def _read_config(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise _missing(_CONFIG, error) from None
    if len(text) > _MAX_CONFIG_BYTES:
        raise UserFacingError("lora.peft_config", reason=f"it is larger than {_MAX_CONFIG_BYTES} bytes")
    try:
        config = strict_json(text)
    except UserFacingError as error:
        raise UserFacingError("lora.peft_config", reason=str(error.params["reason"])) from None
    if config.get("peft_type") != "LORA":
        raise UserFacingError("lora.peft_unsupported", feature=f"peft_type {shown(config.get('peft_type'))}")
    if type(config.get("r")) is not int or config["r"] < 1:
        raise UserFacingError("lora.peft_config", reason="r is not a whole number of at least 1")
    _check_alpha("lora_alpha", config.get("lora_alpha"))
    for key in ("rank_pattern", "alpha_pattern"):
        _check_pattern(key, config.get(key) or {})
    return config


def _check_alpha(key: str, value: Any) -> None:
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise UserFacingError("lora.peft_config", reason=f"{key} is not a number above 0")


def _check_pattern(key: str, pattern: Any) -> None:
    if not isinstance(pattern, dict):
        raise UserFacingError("lora.peft_config", reason=f"{key} is not a table")
    for expression, value in pattern.items():
        if key == "alpha_pattern":
            _check_alpha(key, value)
        elif type(value) is not int or value < 1:
            raise UserFacingError("lora.peft_config", reason=f"{key} has a rank that is not a whole number")
        try:
            re.compile(rf"(.*\.)?({expression})$")
        except (re.error, RecursionError, OverflowError):
            reason = f"{key} has {shown(expression)}, which is not a regular expression"
            raise UserFacingError("lora.peft_config", reason=reason) from None


def _refuse_other_kinds(config: Mapping[str, Any]) -> None:
    if config.get("bias", "none") != "none":
        raise UserFacingError("lora.peft_unsupported", feature=f"trained biases (bias = {shown(config['bias'])})")
    if (init := config.get("init_lora_weights", True)) not in _PLAIN_INITS:
        feature = f"base weights changed at the start (init_lora_weights = {shown(init)})"
        raise UserFacingError("lora.peft_unsupported", feature=feature)
    for key in sorted(config.keys() - _READ_OR_HARMLESS - {"bias"}):
        if config[key]:
            raise UserFacingError("lora.peft_unsupported", feature=_KNOWN_KINDS.get(key, shown(key)))


def _factor_entries(header: TensorHeader) -> dict[str, tuple[TensorEntry, TensorEntry]]:
    """Module name -> its (B, A); refuses any tensor that is not a linear layer's factor, by name."""
    factors: dict[str, dict[str, TensorEntry]] = {}
    for key, entry in sorted(header.tensors.items()):
        if ".lora_embedding_" in key:
            raise UserFacingError("lora.peft_unsupported", feature=f"LoRA on embeddings ({shown(key)})")
        if ".lora_magnitude_vector" in key:
            raise UserFacingError("lora.peft_unsupported", feature=f"DoRA ({shown(key)})")
        match = _KEY.fullmatch(key)
        if match is None:
            raise UserFacingError("lora.tensor_unknown", tensor=shown(key))
        name = check_module_name(match["name"])
        if name.rpartition(".")[2] in _HEADS:
            raise UserFacingError("lora.peft_unsupported", feature=f"LoRA on the head or embeddings ({shown(name)})")
        if len(entry.shape) != 2:
            raise UserFacingError("lora.peft_unsupported", feature=f"LoRA on a layer that is not linear ({name})")
        factors.setdefault(name, {})[match["factor"]] = entry
    for name, pair in factors.items():
        if missing := {"A", "B"} - pair.keys():
            raise UserFacingError("lora.partner_missing", tensor=f"{name}.lora_{missing.pop()}")
    return {name: (pair["B"], pair["A"]) for name, pair in factors.items()}


def _check_rank(name: str, b: TensorEntry, a: TensorEntry, config: Mapping[str, Any]) -> None:
    ranks = _candidates(name, config.get("rank_pattern") or {}, config["r"])
    for factor, entry, found in (("A", a, a.shape[0]), ("B", b, b.shape[1])):
        if found not in ranks:
            tensor, expected = f"{name}.lora_{factor}", f"rank {' or '.join(map(str, ranks))} of {_CONFIG}"
            raise UserFacingError("lora.factor_shape", tensor=tensor, shape=str(entry.shape), expected=expected)


def _scaling(name: str, rank: int, config: Mapping[str, Any]) -> float:
    """alpha / r, or alpha / sqrt(r) for rsLoRA, with the module's own alpha and rank (peft.tuners.lora.layer)."""
    alphas = _candidates(name, config.get("alpha_pattern") or {}, config["lora_alpha"])
    if len(alphas) > 1:
        reason = f"several keys of alpha_pattern match {name}, with different values"
        raise UserFacingError("lora.peft_config", reason=reason)
    alpha = float(alphas[0])
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def _candidates(name: str, pattern: Mapping[str, float], default: float) -> list[float]:
    """The distinct values that a pattern may give a module, sorted; the default if no key matches."""
    values = {value for expression, value in pattern.items() if re.match(rf"(.*\.)?({expression})$", name)}
    return sorted(values) or [pattern.get(name, default)]


def _missing(name: str, error: OSError) -> UserFacingError:
    return UserFacingError("lora.file_missing", name=name, reason=reason_of(error))
