# SPDX-License-Identifier: Apache-2.0
"""Greedy answers: many at once, prompts of similar length together, padded on the left, finished rows dropped; or one,
token by token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .base import BaseModel
from .cache import keep_rows, reads_in_parts, roomy_cache
from .device import total_memory

PREFILL_TOKENS = 512
"""Tokens of a single prompt that are read at once; between them a stop is looked for."""

_MARKUP_SLACK = 48
_HELD_TOKENS = 8

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Request:
    """A prompt and its answer's maximum number of tokens."""

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


def stream(
    base: BaseModel, request: Request, *, check: Callable[[], None] = lambda: None, prefill: int = PREFILL_TOKENS
) -> Iterator[int]:
    """The tokens of one answer as they come, without the end token.

    `check` is called before each token and each `prefill` tokens of the prompt, and may raise.
    """
    decoding = _Decoding(base, [request.prompt])
    decoding.prefill(prefill, check)
    for _ in range(request.limit):
        check()
        token = int(decoding.step()[0])
        if token in base.end_tokens:
            return
        yield token


def answer_limit(base: BaseModel, text_tokens: int, prompt_tokens: int, max_new_tokens: int) -> int:
    """Maximum tokens of an answer. Mark-up rarely makes a text three times as long, so an answer is cut there."""
    return max(1, min(max_new_tokens, 3 * text_tokens + _MARKUP_SLACK, base.context - prompt_tokens))


def folded_if_small(base: BaseModel) -> AbstractContextManager[None]:
    """The adapter folded into the base where that changes the last bits alone (float32 on the CPU) and a copy of the
    base is small; else nothing."""
    if base.device.name != "cpu" or base.device.quantization != "none" or base.bytes >= total_memory() // 8:
        return nullcontext()
    return base.lora.folded()


def padded_left(prompts: Sequence[Tokens], device: torch.device) -> tuple[Tensor, Tensor]:
    """Prompts as rows that end together, and the mask of their tokens."""
    length = max(map(len, prompts))
    tokens = [(0,) * (length - len(p)) + p for p in prompts]
    mask = [[0] * (length - len(p)) + [1] * len(p) for p in prompts]
    return torch.tensor(tokens, device=device), torch.tensor(mask, device=device)


class TokenText:
    """Tokens to text as they come: each decoded with its neighbours only; half a character waits for the rest."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._given: list[int] = []
        self._held: list[int] = []

    def add(self, token: int) -> str:
        """The characters that this token completes; "" for a special token or a part of a character."""
        self._held.append(token)
        before, now = self._decoded(self._given), self._decoded(self._given + self._held)
        # A model may also write bytes that are no character at all.
        if now.endswith("\ufffd") and len(self._held) < _HELD_TOKENS:
            return ""
        self._given, self._held = self._held, []
        return now[len(before) :]

    def _decoded(self, tokens: list[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))


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
        self._tokens, self._mask = padded_left(prompts, base.device.torch)
        self._positions = (self._mask.cumsum(1) - 1).clamp(min=0)
        self._cache = roomy_cache(base.model.config)

    def prefill(self, tokens: int, check: Callable[[], None]) -> None:
        """Reads a prompt without padding up to its last `tokens`; `check` is called before each such part.

        Models that cannot go on from a part read it whole, with the first step.
        """
        if not reads_in_parts(self._cache):
            return
        total = self._tokens.shape[1]
        whole = self._tokens, self._mask, self._positions
        for start in range(0, max(0, total - tokens), tokens):
            check()
            part = slice(start, start + tokens)
            self._forward(whole[0][:, part], whole[1][:, : part.stop], whole[2][:, part], read_only=True)
            self._tokens, self._positions = whole[0][:, part.stop :], whole[2][:, part.stop :]

    @torch.inference_mode()
    def step(self) -> Tensor:
        """The next token of each row."""
        tokens: Tensor = self._forward(self._tokens, self._mask, self._positions).argmax(-1)
        self._tokens = tokens[:, None]
        self._positions = self._positions[:, -1:] + 1
        self._mask = torch.cat([self._mask, torch.ones_like(self._tokens)], dim=1)
        return tokens

    @torch.inference_mode()
    def _forward(self, tokens: Tensor, mask: Tensor, positions: Tensor, read_only: bool = False) -> Tensor:
        """Logits (rows, vocabulary) behind the last token; of no row where the cache is all that is wanted."""
        last = torch.zeros_like(tokens, dtype=torch.bool)
        last[:, -1] = not read_only
        with self._base.device.autocast():
            return self._base.selected_logits(
                last,
                input_ids=tokens,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=self._cache,
                use_cache=True,
            )

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Keeps only these rows."""
        chosen = torch.tensor(rows, dtype=torch.long, device=self._tokens.device)
        keep_rows(self._cache, chosen)
        self._tokens, self._mask = self._tokens[chosen], self._mask[chosen]
        self._positions = self._positions[chosen]
