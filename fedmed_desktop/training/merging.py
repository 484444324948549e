# SPDX-License-Identifier: Apache-2.0
"""A base model with an adapter merged into its weights, as a folder that needs no PEFT to be loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ..errors import UserFacingError, disk_fault
from ..files import beside, make_folder, remove, sync_folder
from ..lora import Adapter, Module
from ..lora.base_model import decoder_linears, read_config, weight_files
from ..lora.kinds import in_block
from .model_folder import resolve_model

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".onnx", ".h5", ".msgpack")


def write_merged(model: str, adapter: Adapter, folder: Path) -> None:
    """Writes W + s B A for each adapted W, computed in float32 and rounded to the base's own type; the rest is copied.

    One weight file at a time is in memory. The folder is there whole or not at all. Raises UserFacingError: no model,
    a quantised one, an adapter that does not fit, a folder that is not empty, a full disk.
    """
    base = resolve_model(model)
    if "quantization_config" in read_config(base):
        raise UserFacingError("desktop.merge_quantised", path=str(base))
    if folder.exists() and any(folder.iterdir()):
        raise UserFacingError("desktop.not_empty", path=str(folder))
    places = _places(base, adapter)
    made = beside(folder)
    try:
        make_folder(made)
        for file in weight_files(base):
            _merge_file(file, made / file.name, places)
        for path in sorted(base.iterdir()):
            if path.is_file() and path.suffix not in _WEIGHTS:
                shutil.copyfile(path, made / path.name)
        if folder.exists():
            folder.rmdir()
        made.replace(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise disk_fault(error, folder) from error
    finally:
        remove(made)  # there only if something failed


def _places(base: Path, adapter: Adapter) -> dict[str, Module]:
    """Name of the weight in the files -> what is added to it; files of some models name their layers otherwise."""
    layers = decoder_linears(base)
    by_block = {in_block(name): name for name in layers}
    places = {}
    for name, module in adapter.items():
        found = name if name in layers else by_block.get(in_block(name))
        if found is None:
            raise UserFacingError("training.no_such_layer", name=name)
        if layers[found] != module.shape:
            have, want = (f"{d} x {k}" for d, k in (module.shape, layers[found]))
            raise UserFacingError("training.layer_shape", name=name, found=have, expected=want)
        places[f"{found}.weight"] = module
    return places


def _merge_file(file: Path, target: Path, places: dict[str, Module]) -> None:
    tensors = {}
    with safe_open(file, framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118
            tensor = weights.get_tensor(name)
            if name in places:
                module = places[name]
                change = module.scale * torch.from_numpy(module.B.copy()) @ torch.from_numpy(module.A.copy())
                tensor = (tensor.float() + change).to(tensor.dtype)
            tensors[name] = tensor.contiguous()
    save_file(tensors, target, {"format": "pt"})
