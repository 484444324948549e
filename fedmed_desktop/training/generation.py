# SPDX-License-Identifier: Apache-2.0
"""Greedy answers, many at once: prompts of similar length together, padded on the left, finished rows dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .base import BaseModel
from .cache import roomy_cache

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Request:
    """A prompt and the most tokens its answer may have."""

    prompt: Tokens
    limit: int


def generate(
    base: BaseModel,
    requests: Sequence[Request],
    *,
    rows: int = 32,
    progress: Callable[[int], None] = lambda done: None,
    check: Callable[[], None] = lambda: None,
) -> list[Tokens]:
    """Answers in the requests' order, without the end token. `check` is called before each token and may raise."""
    answers: list[Tokens] = [()] * len(requests)
    order = sorted(range(len(requests)), key=lambda i: (-len(requests[i].prompt), i))
    done = 0
    for start in range(0, len(order), rows):
        group = order[start : start + rows]
        for row, answer in _batch(base, [requests[i] for i in group], check):
            answers[group[row]] = answer
            done += 1
            progress(done)
    return answers


def stream(base: BaseModel, request: Request) -> Iterator[int]:
    """The tokens of one answer as they come."""
    decoding = _Decoding(base, [request.prompt])
    for _ in range(request.limit):
        token = int(decoding.step()[0])
        if token in base.end_tokens:
            return
        yield token


def _batch(base: BaseModel, requests: Sequence[Request], check: Callable[[], None]) -> Iterator[tuple[int, Tokens]]:
    """(row, answer) as rows finish."""
    decoding = _Decoding(base, [r.prompt for r in requests])
    answers: list[list[int]] = [[] for _ in requests]
    alive = list(range(len(requests)))
    ends = base.end_tokens
    while alive:
        check()
        kept: list[int] = []
        for place, (row, token) in enumerate(zip(alive, decoding.step().tolist(), strict=True)):
            if token not in ends:
                answers[row].append(token)
            if token in ends or len(answers[row]) >= requests[row].limit:
                yield row, tuple(answers[row])
            else:
                kept.append(place)
        if len(kept) < len(alive):
            decoding.keep(kept)
            alive = [alive[place] for place in kept]


class _Decoding:
    """The state of rows that grow by one token a step."""

    def __init__(self, base: BaseModel, prompts: Sequence[Tokens]) -> None:
        self._base = base
        device = base.device.torch
        length = max(map(len, prompts))
        padded = [(0,) * (length - len(p)) + p for p in prompts]
        mask = [[0] * (length - len(p)) + [1] * len(p) for p in prompts]
        self._tokens = torch.tensor(padded, device=device)
        self._mask = torch.tensor(mask, device=device)
        self._positions = (self._mask.cumsum(1) - 1).clamp(min=0)
        self._cache = roomy_cache(base.model.config)

    @torch.inference_mode()
    def step(self) -> Tensor:
        """The next token of each row."""
        last = torch.zeros_like(self._tokens, dtype=torch.bool)
        last[:, -1] = True
        with self._base.device.autocast():
            logits = self._base.selected_logits(
                last,
                input_ids=self._tokens,
                attention_mask=self._mask,
                position_ids=self._positions,
                past_key_values=self._cache,
                use_cache=True,
            )
        tokens: Tensor = logits.argmax(-1)
        self._tokens = tokens[:, None]
        self._positions = self._positions[:, -1:] + 1
        self._mask = torch.cat([self._mask, torch.ones_like(self._tokens)], dim=1)
        return tokens

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with these rows only."""
        chosen = torch.tensor(rows, dtype=torch.long, device=self._tokens.device)
        self._cache.batch_select_indices(chosen)
        self._tokens, self._mask = self._tokens[chosen], self._mask[chosen]
        self._positions = self._positions[chosen]
