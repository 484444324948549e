# SPDX-License-Identifier: Apache-2.0
"""Worker process of a site's training: it holds the base model and does its share of each step.

It knows no notes but the tokens of its micro-batches, no plan, no file and no connection to the coordinator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from torch import Tensor

from ..federation.objectives import Orthogonal
from ..lora import Adapter
from .gradients import Trained, accumulate_together, lend_factors, share_of
from .loading import LoadedBase
from .objectives import Penalties
from .processes import Processes
from .sharding import pass_along

_TERMS = TypeAdapter(tuple[Orthogonal, ...])


def follow(processes: Processes, base: LoadedBase) -> None:
    """Does what the first process orders, until it ends. Raises Lost, UserFacingError."""
    follower = _Follower(processes, base)
    while True:
        order, values, tensors = processes.hear()
        match order:
            case "load":
                base.follow(values["shard"], values["float32"]).use_threads()
            case "pass":
                whole = base.get()
                pass_along(whole.model, whole.device.torch)
            case "begin":
                follower.begin(values, tensors)
            case "step":
                follower.step(values, tensors)
            case _:
                return


class _Follower:
    def __init__(self, processes: Processes, base: LoadedBase) -> None:
        self._processes, self._base = processes, base
        self._trained: Trained = {}
        self._penalties: Penalties | None = None

    def begin(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Attaches the adapters of a training."""
        adapters = {name: Adapter.from_blob(blob.numpy().tobytes()) for name, blob in tensors.items()}
        slot = self._base.get().lora
        slot.attach(adapters["shared"], adapters.get("frozen"), adapters.get("personal"))
        slot.freeze(values["freeze"])
        self._trained = slot.trained()
        self._penalties = Penalties(slot, _TERMS.validate_python(values["terms"]), {})

    def step(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Adds this process's share to the gradients of the first one."""
        base = self._base.get()
        assert self._penalties is not None
        if values["recomputes"]:
            base.memory.recompute()
        lend_factors(self._processes, self._trained)
        penalties = self._penalties if values["penalised"] else Penalties(base.lora, (), {})
        work = share_of(self._processes.place.rank, values, tensors)
        accumulate_together(self._processes, base, work, self._trained, penalties)
        for parameter in self._trained.values():
            parameter.grad = None
