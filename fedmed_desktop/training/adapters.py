# SPDX-License-Identifier: Apache-2.0
"""An adapter value put onto the base model through PEFT, and read back.

One slot per base model: demo sites and rounds share it. Where the next adapter has the same modules and rank, only its
numbers are copied in; the base's own weights are never written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from peft import LoraConfig
from peft.tuners.lora import LoraModel
from torch import nn

from ..errors import UserFacingError
from ..lora import Adapter, Module

_SLOT = "default"


class LoraSlot:
    """The place for one adapter on a base model."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._tuner: Any = None
        self._layers: dict[str, Any] = {}
        self._modules: dict[str, Module] = {}

    def attach(self, adapter: Adapter) -> None:
        """Sets the factors, trainable. Thinner modules are padded with zeros, which stay zero in training.

        Raises UserFacingError where the base has no such linear layer.
        """
        rank = max(adapter.ranks.values())
        # Another base's adapter may have the same names and rank, but not the same shapes.
        if self._rank != rank or {name: module.shape for name, module in self._modules.items()} != adapter.shapes:
            self.detach()
            self._inject(adapter, rank)
        for name, module in adapter.items():
            layer = self._layers[name]
            _copy(layer.lora_A[_SLOT].weight, _padded(module.A, rank, axis=0))
            _copy(layer.lora_B[_SLOT].weight, _padded(module.B, rank, axis=1))
            # PEFT computes the scale from alpha and rank; ours stands in the adapter and may differ by module.
            layer.scaling[_SLOT] = module.scale
        self._modules = dict(adapter)
        self.freeze(())

    def freeze(self, factors: Collection[Literal["A", "B"]]) -> None:
        """Makes all factors trainable but the named ones."""
        for layer in self._layers.values():
            layer.lora_A[_SLOT].weight.requires_grad_("A" not in factors)
            layer.lora_B[_SLOT].weight.requires_grad_("B" not in factors)

    def parameters(self) -> dict[str, nn.Parameter]:
        """`<module>.lora_A` and `.lora_B` in sorted order, frozen ones too."""
        found: dict[str, nn.Parameter] = {}
        for name in sorted(self._layers):
            found[f"{name}.lora_A"] = self._layers[name].lora_A[_SLOT].weight
            found[f"{name}.lora_B"] = self._layers[name].lora_B[_SLOT].weight
        return found

    def read(self) -> Adapter:
        """The factors as they are now, at the ranks that were attached. Raises UserFacingError if not finite."""
        modules = {}
        for name, was in self._modules.items():
            layer = self._layers[name]
            a = layer.lora_A[_SLOT].weight.detach().float().cpu().numpy()[: was.rank]
            b = layer.lora_B[_SLOT].weight.detach().float().cpu().numpy()[:, : was.rank]
            modules[name] = Module(b.copy(), a.copy(), was.scale)
        return Adapter(modules)

    @contextmanager
    def folded(self) -> Iterator[None]:
        """The adapter added into copies of the base's weights while inside, so that each layer is one product again.

        The weights themselves are set aside and put back, never written: adding and subtracting would lose bits. For
        bases that are not quantised, with memory for a second copy of the adapted layers.
        """
        if self._tuner is None:
            yield
            return
        originals = {name: layer.base_layer.weight.data for name, layer in self._layers.items()}
        self._tuner.disable_adapter_layers()
        try:
            with torch.no_grad():
                for name, layer in self._layers.items():
                    a, b = layer.lora_A[_SLOT].weight, layer.lora_B[_SLOT].weight
                    folded = torch.addmm(originals[name].float(), b, a, alpha=layer.scaling[_SLOT])
                    layer.base_layer.weight.data = folded.to(originals[name].dtype)
            yield
        finally:
            self._tuner.enable_adapter_layers()
            for name, weight in originals.items():
                self._layers[name].base_layer.weight.data = weight

    def detach(self) -> None:
        """Gives the model its own layers back."""
        if self._tuner is not None:
            self._tuner.unload()
        self._tuner, self._layers, self._modules = None, {}, {}

    @property
    def _rank(self) -> int:
        return next((layer.r[_SLOT] for layer in self._layers.values()), 0)

    def _inject(self, adapter: Adapter, rank: int) -> None:
        self._check(adapter)
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(adapter), init_lora_weights=False)
        self._tuner = LoraModel(self._model, {_SLOT: config}, _SLOT)
        modules = dict(self._model.named_modules())
        self._layers = {name: modules[name] for name in adapter}
        for layer in self._layers.values():
            layer.lora_A.float()
            layer.lora_B.float()

    def _check(self, adapter: Adapter) -> None:
        modules = dict(self._model.named_modules())
        for name, module in adapter.items():
            layer = modules.get(name)
            if not isinstance(layer, nn.Linear):
                raise UserFacingError("training.no_such_layer", name=name)
            if (layer.out_features, layer.in_features) != module.shape:
                expected = f"{layer.out_features} x {layer.in_features}"
                raise UserFacingError(
                    "training.layer_shape", name=name, found=f"{module.shape[0]} x {module.shape[1]}", expected=expected
                )


def _padded(factor: np.ndarray[Any, np.dtype[np.float32]], rank: int, axis: int) -> torch.Tensor:
    widths = [(0, 0), (0, 0)]
    widths[axis] = (0, rank - factor.shape[axis])
    return torch.from_numpy(np.pad(factor, widths))


@torch.no_grad()
def _copy(parameter: nn.Parameter, values: torch.Tensor) -> None:
    parameter.copy_(values)
