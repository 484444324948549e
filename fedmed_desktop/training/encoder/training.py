# SPDX-License-Identifier: Apache-2.0
"""Training of an encoder on tagged notes, its evaluation, and the average of several of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ...clinical import Note, Span, score
from ...errors import UserFacingError
from ...federation.plan import RateSchedule
from ...scores import TaskScores
from ..batches import Schedule, by_length
from ..loop import CPU_MICRO_TOKENS
from ..rates import rate_shares
from .model import Encoder, State, seeded
from .tagging import Tagged

# Padded tokens that are computed on together; in training every layer keeps what it computed of them.
_TRAINED: Final = {"cpu": CPU_MICRO_TOKENS, "cuda": 8192}
_READ: Final = {"cpu": 4096, "cuda": 65536}
_ROWS: Final = {"cpu": 64, "cuda": 256}


@dataclass(frozen=True)
class EncoderTraining:
    """Round `number` of `rounds` at one site. The optimiser begins anew each round, as in the papers' code.

    So does the schedule of its learning rate, unless it is one over all rounds (federation.plan.TrainingSettings).
    """

    steps: int
    batch_size: int
    learning_rate: float
    warmup_share: float = 0.05
    clip_norm: float = 1.0
    schedule: RateSchedule = "round"
    number: int = 1
    rounds: int = 1


@dataclass(frozen=True)
class TagEvaluation:
    """`loss` is in nats per unit, `units` is how many of them there were."""

    loss: float
    scores: TaskScores
    units: int


def train(encoder: Encoder, examples: Sequence[Tagged], training: EncoderTraining, seed: int) -> float:
    """Trains the weights that are in the encoder; returns the mean loss per unit. Same seed, same bits (CPU).

    Raises UserFacingError if the training diverges, or if memory is too small.
    """
    optimizer = torch.optim.AdamW(encoder.trained.values(), lr=training.learning_rate, weight_decay=0.0)
    schedule = Schedule([len(one) for one in examples], training.batch_size, seed)
    place = (training.number, training.rounds)
    rate_share = rate_shares(training.schedule, training.steps, training.warmup_share, *place)
    total, units = 0.0, 0
    encoder.use_threads()
    encoder.model.train()
    with seeded(seed):
        for step in range(training.steps):
            rate = training.learning_rate * rate_share(step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            rows = [examples[at] for at in schedule.batch(step)]
            labels = max(1, sum(len(one.units) for one in rows))
            loss = _gradients(encoder, rows, labels)
            if not math.isfinite(loss):
                raise UserFacingError("training.diverged", step=step + 1, rate=rate)
            nn.utils.clip_grad_norm_(list(encoder.trained.values()), training.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            total, units = total + loss, units + labels
    return total / max(1, units)


@torch.inference_mode()
def evaluate(encoder: Encoder, notes: Sequence[Note], types: Sequence[str]) -> TagEvaluation:
    """The encoder on these notes, by the types that they annotate, which are also the only ones that it may find."""
    examples = encoder.tagger.tagged(notes, types)
    found: list[list[Span]] = [[] for _ in notes]
    loss, units = 0.0, 0
    encoder.use_threads()
    encoder.model.eval()
    for part in by_length(examples, _READ[encoder.device.name], _ROWS[encoder.device.name]):
        rows = [examples[at] for at in part]
        logits, tags = _of_units(encoder, rows)
        loss += functional.cross_entropy(logits, tags, reduction="sum").item()
        units += len(tags)
        best = iter(logits.argmax(-1).tolist())
        for one in rows:
            spans = encoder.tags.decode(one.units, list(islice(best, len(one.units))))
            found[one.note] += [Span(s.start + one.offset, s.end + one.offset, s.type) for s in spans]
    scores = TaskScores()
    for note, spans in zip(notes, found, strict=True):
        scores += score([entity.span for entity in note.entities], spans, types)
    return TagEvaluation(loss / max(1, units), scores, units)


def averaged(states: Iterable[tuple[State, int]]) -> State:
    """FedAvg: the mean of states by the numbers beside them, such as training notes; summed in float64, in their order.

    They are taken one after the other, so that few are in memory at a time.
    """
    sums: State = {}
    whole = 0
    for state, count in states:
        for name, values in state.items():
            part = values.double() * count
            sums[name] = sums[name].add_(part) if name in sums else part
        whole += count
    return {name: (values / whole).float() for name, values in sums.items()}


def _gradients(encoder: Encoder, rows: Sequence[Tagged], labels: int) -> float:
    """Adds the gradients of the mean over the batch's labels; returns the summed loss."""
    loss = 0.0
    try:
        for part in by_length(rows, _TRAINED[encoder.device.name], _ROWS[encoder.device.name]):
            logits, tags = _of_units(encoder, [rows[at] for at in part])
            summed = functional.cross_entropy(logits, tags, reduction="sum")
            (summed / labels).backward()  # type: ignore[no-untyped-call]
            loss += summed.item()
    except torch.OutOfMemoryError:
        raise UserFacingError("training.out_of_memory", device=encoder.device.name) from None
    return loss


def _of_units(encoder: Encoder, rows: Sequence[Tagged]) -> tuple[Tensor, Tensor]:
    """Logits (units, tags) and tags of all units, row after row. Tags that a row's site does not use are ruled out.

    Without that, what a site does not annotate would be taught as being nothing (inferred: no paper says).
    """
    length = max(map(len, rows))
    padding = encoder.tokenizer.pad_token_id or 0
    tokens = np.full((len(rows), length), padding, np.int64)
    mask = np.zeros((len(rows), length), np.int64)
    selected = np.zeros((len(rows), length), bool)
    for row, one in enumerate(rows):
        tokens[row, : len(one)], mask[row, : len(one)] = one.tokens, 1
        selected[row, list(one.places)] = True
    ruled_out = np.ones((sum(len(one.units) for one in rows), len(encoder.tags)), bool)
    done = 0
    for one in rows:
        ruled_out[done : done + len(one.units), list(one.allowed)] = False
        done += len(one.units)
    tags = np.array([tag for one in rows for tag in one.tags], np.int64)
    to = encoder.device.torch
    logits = encoder.logits(torch.from_numpy(tokens).to(to), torch.from_numpy(mask).to(to))
    units = logits[torch.from_numpy(selected).to(to)]
    return units.masked_fill(torch.from_numpy(ruled_out).to(to), -math.inf), torch.from_numpy(tags).to(to)
