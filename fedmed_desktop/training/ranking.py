# SPDX-License-Identifier: Apache-2.0
"""Likelihoods of answers to choose from: the mean log-probability per token, so that long ones are not worse off.

A prompt is read once: its options go on from its keys and values, many at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache

from .base import BaseModel
from .batches import Example, by_length, collate
from .cache import RoomyLayer, as_argument, roomy_cache, rows_of
from .generation import padded_left
from .memory import in_parts

_MOST_ROWS = 256
_KEPT_TOKENS = 16
"""How many tokens are kept, as keys and values, for each that is computed at once: they take that much less memory."""

Tokens = tuple[int, ...]


@torch.inference_mode()
def likelihoods(
    base: BaseModel, examples: Sequence[Example], padded_tokens: int, check: Callable[[], None]
) -> list[tuple[float, ...]]:
    """Returns for each example the mean log-probability (nats per token) of each of its options behind its prompt.

    An option without a token has minus infinity. About `padded_tokens` are computed at once; `check` is called before
    each batch and may raise.
    """
    found = [[float("-inf")] * len(example.options) for example in examples]
    # Layers with a window or a state of their own cannot go on from a padded prompt.
    if all(type(layer) is RoomyLayer for layer in roomy_cache(base.model.config).layers):
        shared = [i for i, e in enumerate(examples) if e.prompt and len(e.options) > 1]
        for group in by_length([Example(examples[i].asked, examples[i].prompt, ()) for i in shared], padded_tokens, 64):
            options = partial(_behind_prompts, base, examples, padded_tokens, check)
            for places, likely in in_parts(base.device.name, [shared[i] for i in group], options):
                for i, own in zip(places, likely, strict=True):
                    found[i] = own
    else:
        shared = []
    rest = sorted(set(range(len(examples))).difference(shared))
    _one_by_one(base, rest, examples, found, padded_tokens, check)
    return [tuple(options) for options in found]


def _one_by_one(
    base: BaseModel,
    chosen: Sequence[int],
    examples: Sequence[Example],
    found: list[list[float]],
    padded_tokens: int,
    check: Callable[[], None],
) -> None:
    """Each option with the whole prompt before it."""
    places = [(i, k) for i in chosen for k, option in enumerate(examples[i].options) if option]
    rows = [Example(examples[i].asked, examples[i].prompt, examples[i].options[k]) for i, k in places]
    for group in by_length(rows, padded_tokens, _MOST_ROWS):
        check()
        means = in_parts(base.device.name, [rows[i] for i in group], partial(_means, base))
        for row, mean in zip(group, chain.from_iterable(means), strict=True):
            i, k = places[row]
            found[i][k] = mean


def _means(base: BaseModel, rows: Sequence[Example]) -> list[float]:
    """The mean log-probability of each row's answer."""
    batch = collate(rows, "answer", base.device.torch)
    with base.device.autocast():
        logits = base.selected_logits(batch.predicts, input_ids=batch.tokens, use_cache=False)
    losses = functional.cross_entropy(logits.float(), batch.labels, reduction="none")
    # Labels come row after row, as many as the row's option has tokens that something stands before.
    parts = torch.split(losses, [row.labels("answer") for row in rows])
    return [-float(part.mean()) if len(part) else float("-inf") for part in parts]


class _Row(NamedTuple):
    """An option of one prompt of a group, with the likelihood of its first token."""

    prompt: int
    option: int
    tokens: Tokens
    first: float


def _behind_prompts(
    base: BaseModel,
    examples: Sequence[Example],
    padded_tokens: int,
    check: Callable[[], None],
    group: Sequence[int],
) -> tuple[Sequence[int], list[list[float]]]:
    """The prompts of a group together, then their options; the group, and what was found for each of it."""
    check()
    device = base.device.torch
    found = [[float("-inf")] * len(examples[i].options) for i in group]
    tokens, mask = padded_left([examples[i].prompt for i in group], device)
    cache = roomy_cache(base.model.config)
    last = torch.zeros_like(tokens, dtype=torch.bool)
    last[:, -1] = True
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    next_ones = _log_probabilities(base, last, tokens, mask, positions, cache)
    rows = []
    for place, i in enumerate(group):
        firsts = [option[0] if option else 0 for option in examples[i].options]
        begun = next_ones[place, torch.tensor(firsts, device=device)].tolist()
        rows += [_Row(place, k, option, begun[k]) for k, option in enumerate(examples[i].options) if option]
    for row in rows:
        if len(row.tokens) == 1:
            found[row.prompt][row.option] = row.first
    longer = sorted((row for row in rows if len(row.tokens) > 1), key=lambda row: (-len(row.tokens), row.prompt))
    for part in _parts(longer, tokens.shape[1], padded_tokens):
        check()
        sums = _continued(base, part, mask, cache)
        for row, behind in zip(part, sums, strict=True):
            found[row.prompt][row.option] = (row.first + behind) / len(row.tokens)
    return group, found


def _parts(rows: Sequence[_Row], prompt: int, padded_tokens: int) -> Iterator[list[_Row]]:
    """Rows, longest first, as many as fit at once."""
    at = 0
    while at < len(rows):
        length = len(rows[at].tokens)
        most = min(padded_tokens // length, _KEPT_TOKENS * padded_tokens // (prompt + length), _MOST_ROWS)
        yield list(rows[at : at + max(1, most)])
        at += max(1, most)


def _continued(base: BaseModel, rows: Sequence[_Row], mask: Tensor, cache: DynamicCache) -> list[float]:
    """The log-probability of each row's tokens behind its first, summed."""
    device = base.device.torch
    chosen = torch.tensor([row.prompt for row in rows], device=device)
    counts = [len(row.tokens) - 1 for row in rows]
    width = max(counts)
    # Padded on the right, where no real token looks; the last token of an option stands before nothing.
    tokens = torch.tensor([(*row.tokens[:-1], *(0,) * (width - n)) for row, n in zip(rows, counts, strict=True)])
    labels = torch.tensor([token for row in rows for token in row.tokens[1:]], device=device)
    before = mask[chosen]
    steps = torch.arange(width, device=device)
    predicts = steps[None] < torch.tensor(counts, device=device)[:, None]
    positions = before.sum(1, keepdim=True) + steps[None]
    whole = torch.cat([before, torch.ones_like(positions)], dim=1)
    found = _log_probabilities(base, predicts, tokens.to(device), whole, positions, rows_of(cache, chosen, width))
    chances = found.gather(1, labels[:, None])[:, 0]
    return [float(part.sum()) for part in torch.split(chances, counts)]


def _log_probabilities(
    base: BaseModel, selected: Tensor, tokens: Tensor, mask: Tensor, positions: Tensor, cache: DynamicCache
) -> Tensor:
    with base.device.autocast():
        logits = base.selected_logits(
            selected,
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
            **as_argument(cache, base.model),
        )
    return functional.log_softmax(logits.float(), dim=-1)
