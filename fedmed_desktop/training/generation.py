# SPDX-License-Identifier: Apache-2.0
"""Greedy answers: many at once, prompts of similar length together, padded on the left, finished rows dropped; or one,
as it comes. What is likely to be copied from the prompt is read ahead, see copying.py."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .base import BaseModel
from .cache import as_argument, can_forget, forget, keep_rows, knows_places, reads_in_parts, roomy_cache
from .copying import GUESSES, MOST_LEARNED, Copier, Tokens
from .device import total_memory
from .memory import halved

PREFILL_TOKENS = 512
"""Tokens of a single prompt that are read at once; between them a stop is looked for."""

_MARKUP_SLACK = 48
_HELD_TOKENS = 8
# Tokens of all rows in one step, guesses included. On a GPU a step takes as long for many as for one; on the CPU more
# tokens take longer (measured, see packaging/benchmarks/results/notes.md).
_TOKENS_A_STEP = {"cpu": 48, "cuda": 1024}


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
    """Answers in the requests' order, without the end token. `check` is called before each step and may raise."""
    answers: list[Tokens] = [()] * len(requests)
    learned: dict[Tokens, int] = {}
    order = sorted(range(len(requests)), key=lambda i: (-len(requests[i].prompt), i))
    done = 0
    waiting = [order[start : start + rows] for start in range(0, len(order), rows)][::-1]
    while waiting:
        group = waiting.pop()
        if len(learned) > MOST_LEARNED:
            learned.clear()
        left = dict.fromkeys(group)
        try:
            for row, answer in _batch(base, [requests[i] for i in group], learned, check):
                answers[group[row]] = answer
                del left[group[row]]
                done += 1
                progress(done)
        except torch.OutOfMemoryError:
            pass
        if left:
            waiting += halved(base.device.name, list(left))[::-1]
    return answers


def stream(
    base: BaseModel, request: Request, *, check: Callable[[], None] = lambda: None, prefill: int = PREFILL_TOKENS
) -> Iterator[int]:
    """The tokens of one answer as they come, without the end token.

    `check` is called before each token and each `prefill` tokens of the prompt, and may raise.
    """
    decoding, answer = _Decoding(base, [request.prompt]), _Answer(request, {}, base.end_tokens)
    decoding.prefill(prefill, check)
    while not answer.done:
        (written,) = decoding.step([answer.guesses(GUESSES if decoding.looks_ahead else 0)])
        for token in answer.add(written):
            check()
            yield token


def answer_limit(base: BaseModel, text_tokens: int, prompt_tokens: int, max_new_tokens: int) -> int:
    """Maximum tokens of an answer. Mark-up rarely makes a text three times as long, so an answer is cut there."""
    return max(1, min(max_new_tokens, 3 * text_tokens + _MARKUP_SLACK, base.context - prompt_tokens))


def folded_if_small(base: BaseModel) -> AbstractContextManager[None]:
    """The adapter folded into the base where that changes the last bits alone (float32 on the CPU) and a copy of the
    base is small; else nothing."""
    exact = base.device.name == "cpu" and base.device.dtype == torch.float32 and base.device.quantization == "none"
    if not exact or base.sharded or base.bytes >= total_memory() // 8:
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


class _Answer:
    """One answer as it grows to its end token or its limit."""

    def __init__(self, request: Request, learned: dict[Tokens, int], ends: Collection[int]) -> None:
        self.tokens: list[int] = []
        self.done = False
        self._limit, self._ends, self._copier = request.limit, ends, Copier(request.prompt, learned)

    def guesses(self, most: int) -> list[int]:
        """Tokens that may come next; never so many that the limit, and so the model's context, is passed."""
        return self._copier.guesses(min(most, self._limit - len(self.tokens) - 1))

    def add(self, written: Iterable[int]) -> list[int]:
        """Takes what the model wrote, and returns what of it belongs to the answer."""
        before = len(self.tokens)
        for token in written:
            if token in self._ends:
                self.done = True
                break
            self.tokens.append(token)
            self._copier.add(token)
            if len(self.tokens) >= self._limit:
                self.done = True
                break
        return self.tokens[before:]


def _batch(
    base: BaseModel, requests: Sequence[Request], learned: dict[Tokens, int], check: Callable[[], None]
) -> Iterator[tuple[int, Tokens]]:
    """(row, answer) as rows finish."""
    decoding = _Decoding(base, [r.prompt for r in requests])
    alive = [(row, _Answer(request, learned, base.end_tokens)) for row, request in enumerate(requests)]
    while alive:
        check()
        most = min(GUESSES, _TOKENS_A_STEP[base.device.name] // len(alive) - 1) if decoding.looks_ahead else 0
        kept: list[int] = []
        written = decoding.step([answer.guesses(most) for _, answer in alive])
        for place, ((row, answer), tokens) in enumerate(zip(alive, written, strict=True)):
            answer.add(tokens)
            if answer.done:
                yield row, tuple(answer.tokens)
            else:
                kept.append(place)
        if len(kept) < len(alive):
            decoding.keep(kept)
            alive = [alive[place] for place in kept]


class _Decoding:
    """The state of rows that grow by one token or more a step."""

    def __init__(self, base: BaseModel, prompts: Sequence[Tokens]) -> None:
        self._base = base
        self._tokens, self._mask = padded_left(prompts, base.device.torch)
        self._positions = (self._mask.cumsum(1) - 1).clamp(min=0)
        self._cache = roomy_cache(base.model.config)
        self.looks_ahead = can_forget(self._cache) and knows_places(base.model)

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
            none = torch.zeros_like(whole[0][:, part], dtype=torch.bool)  # the cache is all that is wanted
            self._forward(whole[0][:, part], whole[1][:, : part.stop], whole[2][:, part], none)
            self._tokens, self._positions = whole[0][:, part.stop :], whole[2][:, part.stop :]

    @torch.inference_mode()
    def step(self, guesses: Sequence[Sequence[int]]) -> list[list[int]]:
        """The next tokens of each row: its guesses as far as the model writes them, and one that it writes then."""
        ahead, there = _padded_right(guesses, self._tokens.device)
        unread, width = self._tokens.shape[1], ahead.shape[1]
        steps = torch.arange(1, width + 1, device=ahead.device)
        tokens = torch.cat([self._tokens, ahead], dim=1)
        positions = torch.cat([self._positions, self._positions[:, -1:] + steps * there], dim=1)
        selected = torch.zeros_like(tokens, dtype=torch.bool)
        selected[:, unread - 1 :] = True
        logits = self._forward(tokens, torch.cat([self._mask, there], dim=1), positions, selected)
        written = logits.argmax(-1).view(len(tokens), width + 1)
        right = ((written[:, :-1] == ahead) & there.bool()).long().cumprod(1)
        count = right.sum(1)
        longest = int(count.max())
        forget(self._cache, width - longest)
        self._tokens = written.gather(1, count[:, None])
        self._positions = self._positions[:, -1:] + count[:, None] + 1
        self._mask = torch.cat([self._mask, right[:, :longest], torch.ones_like(self._tokens)], dim=1)
        return [row[: own + 1] for row, own in zip(written.tolist(), count.tolist(), strict=True)]

    @torch.inference_mode()
    def _forward(self, tokens: Tensor, mask: Tensor, positions: Tensor, selected: Tensor) -> Tensor:
        """Logits (n, vocabulary) behind the selected tokens."""
        with self._base.device.autocast():
            return self._base.selected_logits(
                selected,
                input_ids=tokens,
                attention_mask=mask,
                position_ids=positions,
                use_cache=True,
                **as_argument(self._cache, self._base.model),
            )

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Keeps only these rows."""
        chosen = torch.tensor(rows, dtype=torch.long, device=self._tokens.device)
        keep_rows(self._cache, chosen)
        self._tokens, self._mask = self._tokens[chosen], self._mask[chosen]
        self._positions = self._positions[chosen]


def _padded_right(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of tokens that begin together, and the mask of their tokens (rows, longest)."""
    length = max(map(len, rows))
    tokens = [[*row, *(0,) * (length - len(row))] for row in rows]
    mask = [[1] * len(row) + [0] * (length - len(row)) for row in rows]
    shape = (len(rows), length)
    return (
        torch.tensor(tokens, dtype=torch.long, device=device).view(shape),
        torch.tensor(mask, dtype=torch.long, device=device).view(shape),
    )
