# SPDX-License-Identifier: Apache-2.0
"""A base that is split over the processes of a site, since no GPU of it holds the whole.

Each process keeps a part of every layer, and has all of a layer only while it computes with it (fully sharded data
parallel, Zhao et al. 2023, arXiv 2304.11277, as torch's `fully_shard`). Embeddings, head and adapters stay whole in
each: the adapters' gradients are added up as without it. Whatever one process runs through the layers, all must run at
the same time, or those that wait would be given the wrong weights; see BaseModel and gradients.py.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from transformers.modeling_layers import GradientCheckpointingLayer

from ..errors import UserFacingError


def shard(model: Any, mesh: DeviceMesh) -> None:
    """Leaves this process its part of each layer, on its device. Raises UserFacingError where it has no such layers."""
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise UserFacingError("training.shard_unknown")
    split = {id(parameter) for layer in layers for parameter in layer.parameters()}
    whole = {parameter for parameter in model.parameters() if id(parameter) not in split}
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model.base_model, mesh=mesh, ignored_params=whole, reshard_after_forward=True)


@torch.no_grad()
def pass_along(model: Any, device: torch.device) -> None:
    """Takes part in another process's pass through the layers, with one token, so that it gets its weights.

    Also a base's first pass: tensors that are made in inference mode could not be trained with later.
    """
    model.base_model(input_ids=torch.zeros((1, 1), dtype=torch.long, device=device), use_cache=False)
