# SPDX-License-Identifier: Apache-2.0
"""Adapter values put onto the base model through PEFT, and read back.

One slot per base model serves all sites and rounds. For adapters of the same modules and ranks only the numbers are
copied in; the base's own weights are never written. Each module has its own rank on the model too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from peft import LoraConfig
from peft.tuners.lora import LoraModel
from torch import Tensor, nn

from ..errors import UserFacingError
from ..lora import Adapter, Module
from ..lora.module import Factor

_SHARED, _FROZEN, _PERSONAL = "default", "frozen", "personal"


@dataclass(frozen=True)
class LayerFactors:
    """An adapter's pair on one layer: x -> scale * B(A(x))."""

    A: nn.Linear
    B: nn.Linear
    scale: float
    rank: int

    @property
    def a(self) -> nn.Parameter:
        return cast(nn.Parameter, self.A.weight)

    @property
    def b(self) -> nn.Parameter:
        return cast(nn.Parameter, self.B.weight)


class LoraSlot:
    """The adapters on a base model: a shared one, and perhaps a frozen and a personal one.

    All act together, h = W x + sum of s B A x, each with its own modules, ranks and scales. Nothing is merged into the
    base, which may have 4 bits.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._tuner: Any = None
        self._layers: dict[str, Any] = {}
        self._adapters: dict[str, Adapter] = {}

    def attach(self, adapter: Adapter | None, frozen: Adapter | None = None, personal: Adapter | None = None) -> None:
        """Replaces the factors on the model; those of `frozen` are never trainable. No adapter: the base alone.

        Raises UserFacingError if the base has no such linear layer.
        """
        if adapter is None:
            self.detach()
            return
        given = {_SHARED: adapter, _FROZEN: frozen, _PERSONAL: personal}
        adapters = {slot: value for slot, value in given.items() if value is not None}
        # Another base's adapter may have the same names and rank, but not the same shapes.
        if _layout(adapters) != _layout(self._adapters):
            self.detach()
            self._inject(adapters)
        self._adapters = adapters
        for slot, value in adapters.items():
            for name, module in value.items():
                layer = self._layers[name]
                _copy(layer.lora_A[slot].weight, module.A)
                _copy(layer.lora_B[slot].weight, module.B)
                # PEFT computes the scale from alpha and rank; ours stands in the adapter and may differ by module.
                layer.scaling[slot] = module.scale
        self.freeze(())

    def freeze(self, factors: Collection[Factor]) -> None:
        """Makes all factors of the shared adapter trainable but the named ones; the personal one always is."""
        frozen = {_SHARED: frozenset(factors), _FROZEN: frozenset("AB"), _PERSONAL: frozenset()}
        for slot, adapter in self._adapters.items():
            for name in adapter:
                self._layers[name].lora_A[slot].weight.requires_grad_("A" not in frozen[slot])
                self._layers[name].lora_B[slot].weight.requires_grad_("B" not in frozen[slot])

    def shared(self) -> dict[str, LayerFactors]:
        """The shared adapter's factors on the model by module, sorted; empty if nothing is attached."""
        return self._factors(_SHARED)

    def personal(self) -> dict[str, LayerFactors]:
        """The personal adapter's factors likewise; empty if there is none."""
        return self._factors(_PERSONAL)

    def parameters(self) -> dict[str, nn.Parameter]:
        """`<module>.lora_A` and `.lora_B` of the shared adapter, sorted; then `personal/<module>...` of the other."""
        return {**_named(self.shared()), **_named(self.personal(), "personal/")}

    def trained(self) -> dict[str, nn.Parameter]:
        """Returns those of `parameters` that a training changes; gradients that one before has left there are gone."""
        trained = {name: parameter for name, parameter in self.parameters().items() if parameter.requires_grad}
        for parameter in trained.values():
            parameter.grad = None
        return trained

    def attached(self) -> dict[str, Adapter]:
        """The adapters as they were attached: "shared", and perhaps "frozen" and "personal"."""
        names = {_SHARED: "shared", _FROZEN: "frozen", _PERSONAL: "personal"}
        return {names[slot]: adapter for slot, adapter in self._adapters.items()}

    def read(self) -> Adapter:
        """The shared factors as they are now, at the ranks that were attached. Raises UserFacingError if not finite."""
        return self.gathered(_named(self.shared()))

    def read_personal(self) -> Adapter:
        """The personal factors likewise. Raises LookupError where none are attached."""
        return _gathered(self._adapters[_PERSONAL], _named(self.personal()))

    def placed(self, values: Adapter) -> dict[str, Tensor]:
        """Values in the shape of the shared adapter as float32 tensors, by the names of `parameters()`.

        Raises UserFacingError where modules or ranks are not those of the shared adapter.
        """
        shared = self._adapters[_SHARED]
        if (values.shapes, values.ranks) != (shared.shapes, shared.ranks):
            raise UserFacingError("training.control_shape")
        tensors = {name: torch.zeros_like(parameter) for name, parameter in _named(self.shared()).items()}
        for name, module in values.items():
            _copy(tensors[f"{name}.lora_A"], module.A)
            _copy(tensors[f"{name}.lora_B"], module.B)
        return tensors

    def gathered(self, tensors: Mapping[str, Tensor]) -> Adapter:
        """Inverse of `placed`, with the shared adapter's scales. Raises UserFacingError if not finite."""
        return _gathered(self._adapters[_SHARED], tensors)

    @contextmanager
    def folded(self) -> Iterator[None]:
        """Adds the adapters into copies of the base's weights while inside, so that each layer is one product.

        The weights themselves are put back unwritten: adding and subtracting would lose bits. For bases that are not
        quantised, with memory for a second copy of the adapted layers.
        """
        if self._tuner is None:
            yield
            return
        originals = {name: layer.base_layer.weight.data for name, layer in self._layers.items()}
        trainable = [p for layer in self._layers.values() for p in layer.parameters() if p.requires_grad]
        self._tuner.disable_adapter_layers()
        try:
            with torch.no_grad():
                for name, layer in self._layers.items():
                    folded = originals[name].float()
                    for slot in layer.lora_A:
                        a, b = layer.lora_A[slot].weight, layer.lora_B[slot].weight
                        folded = torch.addmm(folded, b, a, alpha=layer.scaling[slot])
                    layer.base_layer.weight.data = folded.to(originals[name].dtype)
            yield
        finally:
            self._tuner.enable_adapter_layers()
            self._only_trainable(trainable)  # PEFT makes all factors trainable when it enables a layer
            for name, weight in originals.items():
                self._layers[name].base_layer.weight.data = weight

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leaves the base alone while inside; what is attached stays on the model, and acts again afterwards."""
        if self._tuner is None:
            yield
            return
        trainable = [p for layer in self._layers.values() for p in layer.parameters() if p.requires_grad]
        self._tuner.disable_adapter_layers()
        try:
            yield
        finally:
            self._tuner.enable_adapter_layers()
            self._only_trainable(trainable)  # PEFT makes all factors trainable when it enables a layer

    def detach(self) -> None:
        """Gives the model its own layers back."""
        if self._tuner is not None:
            self._tuner.unload()
        self._tuner, self._layers, self._adapters = None, {}, {}

    def _factors(self, slot: str) -> dict[str, LayerFactors]:
        layers = self._layers
        return {
            name: LayerFactors(layers[name].lora_A[slot], layers[name].lora_B[slot], module.scale, module.rank)
            for name, module in self._adapters.get(slot, {}).items()
        }

    def _only_trainable(self, trainable: Collection[nn.Parameter]) -> None:
        chosen = set(map(id, trainable))
        for layer in self._layers.values():
            for parameter in layer.parameters():
                parameter.requires_grad_(id(parameter) in chosen)

    def _inject(self, adapters: Mapping[str, Adapter]) -> None:
        for adapter in adapters.values():
            self._check(adapter)
        for slot, adapter in adapters.items():
            rank = max(adapter.ranks.values())
            own = {re.escape(name): one for name, one in adapter.ranks.items() if one != rank}
            names = list(adapter)
            config = LoraConfig(
                r=rank, rank_pattern=own, lora_alpha=rank, target_modules=names, init_lora_weights=False
            )
            if self._tuner is None:
                self._tuner = LoraModel(self._model, {slot: config}, slot)
            else:
                self._tuner.peft_config[slot] = config
                self._tuner.inject_adapter(self._model, slot)
        self._tuner.set_adapter(list(adapters))
        modules = dict(self._model.named_modules())
        self._layers = {name: modules[name] for name in sorted({n for adapter in adapters.values() for n in adapter})}
        for layer in self._layers.values():
            layer.lora_A.float()
            layer.lora_B.float()

    def _check(self, adapter: Adapter) -> None:
        modules = dict(self._model.named_modules())
        for name, module in adapter.items():
            layer = modules.get(name)
            if not isinstance(layer, nn.Linear):
                raise UserFacingError("training.no_such_layer", name=name)
            if (shape := (layer.out_features, layer.in_features)) != module.shape:
                found, expected = (f"{rows} x {columns}" for rows, columns in (module.shape, shape))
                raise UserFacingError("training.layer_shape", name=name, found=found, expected=expected)


def _layout(adapters: Mapping[str, Adapter]) -> dict[str, tuple[dict[str, int], dict[str, tuple[int, int]]]]:
    return {slot: (adapter.ranks, adapter.shapes) for slot, adapter in adapters.items()}


def _named(factors: Mapping[str, LayerFactors], prefix: str = "") -> dict[str, nn.Parameter]:
    found: dict[str, nn.Parameter] = {}
    for name, pair in factors.items():
        found[f"{prefix}{name}.lora_A"] = pair.a
        found[f"{prefix}{name}.lora_B"] = pair.b
    return found


def _gathered(like: Adapter, tensors: Mapping[str, Tensor]) -> Adapter:
    modules = {}
    for name, was in like.items():
        a = tensors[f"{name}.lora_A"].detach().float().cpu().numpy()
        b = tensors[f"{name}.lora_B"].detach().float().cpu().numpy()
        modules[name] = Module(b.copy(), a.copy(), was.scale)
    return Adapter(modules)


@torch.no_grad()
def _copy(target: Tensor, factor: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    # A copy, since torch warns of memory that it may not write to.
    target.copy_(torch.from_numpy(factor.copy()))
