# SPDX-License-Identifier: Apache-2.0
"""Sequences read by the model with this round's update and without it: loss and right guess of each token.

A token is guessed right where it is the likeliest. So a run of right guesses is exactly what the model writes by itself
(greedily) after what stands before the run: nothing need be generated, and every beginning of a text is tried at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ..base import BaseModel
from ..batches import Example, by_length, collate
from ..generation import folded_if_small
from ..memory import in_parts
from ..starting import SiteAdapters
from .budget import Budget

_ROWS: Final = 16
_WINDOW: Final = 16  # sequences between two looks at the clock
_VALUES_A_HIDDEN: Final = 24  # float32 numbers per token and unit of width in a forward pass; inferred, and generous
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Read:
    """One sequence's labels (n,): `losses` in nats, and whether each was the likeliest token."""

    losses: Floats
    right: NDArray[np.bool_]


class Reader:
    """Reads under two sets of adapters. `memory_mib` bounds what is computed at once beside the model itself."""

    def __init__(self, base: BaseModel, after: SiteAdapters, before: SiteAdapters, memory_mib: int) -> None:
        self._base, self._after, self._before = base, after, before
        self.tokenizer = base.tokenizer
        config = base.model.config.get_text_config()
        # Logits, their softmax and the labels' losses; hidden states and the wide ones inside a layer.
        values = 3 * config.vocab_size + _VALUES_A_HIDDEN * config.hidden_size
        self.most_tokens = max(1, memory_mib * 2**20 // (4 * values))

    def both(
        self, rows: Sequence[Example], loss_on: Literal["answer", "all"], budget: Budget
    ) -> list[tuple[Read, Read]]:
        """(after, before) of the first rows, as many as the budget allows; all must have `most_tokens` at most."""
        after = list(self._read(self._after, rows, loss_on, budget.part(0.5), len(rows)))
        before = list(self._read(self._before, rows, loss_on, budget, len(after)))
        return list(zip(after, before, strict=False))

    def after(self, rows: Sequence[Example], loss_on: Literal["answer", "all"], budget: Budget) -> list[Read]:
        """The first rows with the update alone."""
        return list(self._read(self._after, rows, loss_on, budget, len(rows)))

    @torch.inference_mode()
    def _read(
        self,
        adapters: SiteAdapters,
        rows: Sequence[Example],
        loss_on: Literal["answer", "all"],
        budget: Budget,
        most: int,
    ) -> Iterator[Read]:
        self._base.lora.attach(adapters.shared, adapters.frozen, adapters.personal)
        took = 0.0
        with folded_if_small(self._base):
            for start in range(0, most, _WINDOW):
                budget.check()
                if budget.left <= took:  # the next window takes about as long as the last
                    return
                began = time.monotonic()
                yield from self._window(rows[start : min(start + _WINDOW, most)], loss_on)
                took = time.monotonic() - began

    def _window(self, rows: Sequence[Example], loss_on: Literal["answer", "all"]) -> list[Read]:
        found: dict[int, Read] = {}

        def run(group: list[int]) -> None:
            batch = collate([rows[i] for i in group], loss_on, self._base.device.torch)
            with self._base.device.autocast():
                logits = self._base.selected_logits(batch.predicts, input_ids=batch.tokens, use_cache=False)
            losses = functional.cross_entropy(logits.float(), batch.labels, reduction="none").double().cpu().numpy()
            right = (logits.argmax(-1) == batch.labels).cpu().numpy()
            ends = np.cumsum([rows[i].labels(loss_on) for i in group])[:-1]
            for i, loss, hit in zip(group, np.split(losses, ends), np.split(right, ends), strict=True):
                found[i] = Read(loss, hit)

        for group in by_length(rows, self.most_tokens, _ROWS):
            for _ in in_parts(self._base.device.name, group, run):
                pass
        return [found[i] for i in range(len(rows))]
