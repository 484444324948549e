# SPDX-License-Identifier: Apache-2.0
"""A base model's layers as they are once it is loaded, seen without its weights: built on torch's meta device.

A federation's specification names layers, so it is made from these: what the files say may be named otherwise, or be
no layer at all, once the library has loaded it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from ..errors import UserFacingError
from ..lora.base_model import FileState, decoder_linears, file_state, read_config, weight_shapes
from ..lora.kinds import has_other_senses, in_block, of_text
from .library import ONLY_FILES, UNREADABLE, check_state, loader_of, unreadable
from .rehearsal import learning


def adaptable_linears(folder: Path) -> dict[str, tuple[int, int]]:
    """Name -> (d, k) of every linear layer that a federation can adapt, sorted; reads no weights but their headers.

    Raises UserFacingError where the model cannot be adapted, naming why.
    """
    return outlined(folder)[1]


def refusal(folder: Path) -> UserFacingError | None:
    """Says why the model cannot be adapted; None: it can."""
    try:
        outlined(folder)
    except UserFacingError as error:
        return error
    return None


def outlined(folder: Path) -> tuple[Any, dict[str, tuple[int, int]]]:
    """The model on the meta device, and those layers of it. Raises UserFacingError likewise."""
    model, listed = _outline(folder)
    taught = _taught(folder, file_state(folder))
    return model, {name: shape for name, shape in sorted(listed.items()) if name in taught}


@lru_cache(maxsize=8)
def _taught(folder: Path, state: FileState) -> frozenset[str]:
    """Names of the layers that learn, for files in this state: it takes a second, and a lab asks in each cell."""
    model, listed = _outline(folder)
    return learning(folder, model, listed)


def _outline(folder: Path) -> tuple[Any, dict[str, tuple[int, int]]]:
    """The model, and all of its linear layers that the files name."""
    listed = decoder_linears(folder)
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **ONLY_FILES)
        with torch.device("meta"):
            # Without a dtype: for one of its own the library sets torch's default, by which other threads train.
            # Experts by a program that does not ask for numbers, which are not there.
            model = loader_of(config).from_config(
                config, dtype=None, trust_remote_code=False, experts_implementation="batched_mm"
            )
    except UNREADABLE as error:
        raise unreadable(folder, error) from error
    check_state(folder, model)
    modules = dict(model.named_modules())
    listed = {name: shape for name, shape in listed.items() if name in modules or not _is_passed_over(model, name)}
    if has_other_senses(read_config(folder)) or not listed.keys() <= modules.keys():
        listed = _renamed(listed, modules)
    for name, shape in listed.items():
        _check(folder, name, shape, modules.get(name))
    _check_head(folder, model, modules)
    return model, listed


def _is_passed_over(model: Any, name: str) -> bool:
    """True for a layer in the files that the library leaves there, as later layers' keys where earlier ones' serve."""
    patterns = model._keys_to_ignore_on_load_unexpected or ()
    return any(re.search(pattern, f"{name}.weight") for pattern in patterns)


def _renamed(listed: dict[str, tuple[int, int]], modules: dict[str, nn.Module]) -> dict[str, tuple[int, int]]:
    """Shapes by the names that layers have once they are loaded."""
    places = {in_block(name): name for name in reversed(modules) if of_text(name)}
    return {name if name in modules else places.get(in_block(name), name): shape for name, shape in listed.items()}


def _check(folder: Path, name: str, shape: tuple[int, int], layer: nn.Module | None) -> None:
    if type(layer).__name__ == "Conv1D":
        raise UserFacingError("model.conv1d", path=str(folder), kind="such")
    if not isinstance(layer, nn.Linear):
        found = "it is no layer of its own" if layer is None else type(layer).__name__
        raise UserFacingError("model.not_linear", path=str(folder), name=name, found=found)
    if (made := (layer.out_features, layer.in_features)) != shape:
        found, expected = (f"{d} x {k}" for d, k in (shape, made))
        raise UserFacingError("model.layer_differs", path=str(folder), name=name, found=found, expected=expected)


def _check_head(folder: Path, model: Any, modules: dict[str, nn.Module]) -> None:
    """Raises UserFacingError where the files lack the layer that chooses the next token, as a classifier's do."""
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or head.weight is embeddings.weight:
        return
    alike = int(head.weight.shape == embeddings.weight.shape)
    if list(weight_shapes(folder).values()).count(tuple(head.weight.shape)) < 1 + alike:
        name = next(name for name, module in modules.items() if module is head)
        reason = f"it lacks the weights {name}.weight"
        raise UserFacingError("training.model_unreadable", path=str(folder), reason=reason)
