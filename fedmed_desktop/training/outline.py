# SPDX-License-Identifier: Apache-2.0
"""A base model's layers as they are once it is loaded, seen without its weights: built on torch's meta device.

A federation's specification names layers, so it is made from these: what the files say may be named otherwise, or be
no layer at all, once the library has loaded it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from ..errors import UserFacingError
from ..lora.base_model import decoder_linears, read_config
from ..lora.kinds import has_other_senses, in_block
from .library import ONLY_FILES, UNREADABLE, check_state, unreadable


def adaptable_linears(folder: Path) -> dict[str, tuple[int, int]]:
    """Name -> (d, k) of every linear layer that a federation can adapt, sorted; reads no weights but their headers.

    Raises UserFacingError where the model cannot be adapted, naming why.
    """
    return outlined(folder)[1]


def outlined(folder: Path) -> tuple[Any, dict[str, tuple[int, int]]]:
    """The model on the meta device, and those layers of it. Raises UserFacingError likewise."""
    listed = decoder_linears(folder)
    model = _outline(folder)
    check_state(folder, model)
    modules = dict(model.named_modules())
    if has_other_senses(read_config(folder)) or not listed.keys() <= modules.keys():
        listed = _renamed(listed, _decoder(modules, model))
    for name, shape in listed.items():
        _check(folder, name, shape, modules.get(name))
    return model, dict(sorted(listed.items()))


def _outline(folder: Path) -> Any:
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **ONLY_FILES)
        with torch.device("meta"):
            # Without a dtype: for one of its own the library sets torch's default, by which other threads train.
            return transformers.AutoModelForCausalLM.from_config(config, dtype=None, trust_remote_code=False)
    except UNREADABLE as error:
        raise unreadable(folder, error) from error


def _decoder(modules: dict[str, nn.Module], model: Any) -> str:
    """The name of the decoder inside the whole model."""
    decoder = model.get_decoder()
    return next(name for name, module in modules.items() if module is decoder)


def _renamed(listed: dict[str, tuple[int, int]], decoder: str) -> dict[str, tuple[int, int]]:
    return {f"{decoder}.{in_block(name)}": shape for name, shape in listed.items()}


def _check(folder: Path, name: str, shape: tuple[int, int], layer: nn.Module | None) -> None:
    if type(layer).__name__ == "Conv1D":
        raise UserFacingError("model.conv1d", path=str(folder), kind="such")
    if not isinstance(layer, nn.Linear):
        found = "it is no layer of its own" if layer is None else type(layer).__name__
        raise UserFacingError("model.not_linear", path=str(folder), name=name, found=found)
    if (made := (layer.out_features, layer.in_features)) != shape:
        found, expected = (f"{d} x {k}" for d, k in (shape, made))
        raise UserFacingError("model.layer_differs", path=str(folder), name=name, found=found, expected=expected)
