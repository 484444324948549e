# SPDX-License-Identifier: Apache-2.0
"""Main process of a site's training: it shares out each step over all processes, itself included."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..federation.objectives import Orthogonal
from ..federation.plan import Plan
from .base import BaseModel
from .gradients import Trained, Work, accumulate_together, lend_factors, order, share_of, shared_out
from .objectives import Penalties
from .processes import Processes


class Leader:
    """One training with the adapters that are attached to the base, in all processes."""

    def __init__(self, processes: Processes, base: BaseModel, plan: Plan) -> None:
        self._processes, self._base = processes, base
        blobs = {name: adapter.to_blob() for name, adapter in base.lora.attached().items()}
        tensors = {name: torch.frombuffer(bytearray(blob), dtype=torch.uint8) for name, blob in blobs.items()}
        # Only what is part of each micro-batch's loss concerns the others.
        terms = [term.model_dump() for term in plan.objective if isinstance(term, Orthogonal)]
        processes.tell("begin", {"freeze": plan.freeze, "terms": terms}, tensors)

    def accumulate(self, work: Work, trained: Trained, penalties: Penalties, look: Callable[[], None]) -> float | None:
        """Gradients of a whole step, on this process's parameters; else like accumulate_together."""
        processes, base = self._processes, self._base
        shares = shared_out([batch.tokens.numel() for batch in work.batches], processes.place.count)
        values, tensors = order(work, shares, penalties.watches, base.sharded)
        if base.sharded:  # once begun, a step is done by all or by none
            look()
            look = lambda: None  # noqa: E731
        processes.tell("step", {**values, "recomputes": base.memory.recomputes}, tensors)
        lend_factors(processes, trained)
        own = share_of(processes.place.rank, values, tensors)
        return accumulate_together(processes, base, own, trained, penalties, look)
