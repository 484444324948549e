# SPDX-License-Identifier: Apache-2.0
"""Gradients of an optimiser step: of its micro-batches one after the other, in one process or shared out over several.

Each share's loss is divided by the labels of the whole step, so that the shares' gradients only have to be added up.
The first process alone then adds penalties of the factors, clips, corrects and takes the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserFacingError
from ..federation.work import Stopped
from .base import BaseModel
from .batches import Batch
from .label_loss import label_losses
from .objectives import Penalties
from .processes import Lost, Processes

Trained = Mapping[str, nn.Parameter]


@dataclass(frozen=True)
class Work:
    """Micro-batches, with what the loss of the step that they are of is divided by and multiplied with.

    `idle`: passes without a micro-batch of its own that this process takes part in, where the base is split.
    """

    batches: Sequence[Batch]
    labels: int
    tokens: int
    scale: float
    idle: int = 0


class _Ended(IntEnum):
    """Ways in which a process can end its share."""

    DONE = 0
    FULL = 1
    STOPPED = 2
    BROKEN = 3


def accumulate(base: BaseModel, work: Work, penalties: Penalties, look: Callable[[], None]) -> float:
    """Adds the gradients of these micro-batches to what the parameters have; their summed loss, unscaled.

    `look` is called before each of them. Raises Stopped, torch.OutOfMemoryError; the gradients are then worth nothing.
    """
    # Read once for all micro-batches: on a GPU each reading waits for what is still being computed.
    loss_sum = torch.zeros((), dtype=torch.float64, device=base.device.torch)
    for placed in work.batches:
        look()
        batch = placed.on(base.device.torch)
        with penalties.watching() as seen:
            task = label_losses(base, batch)
        loss = task / work.labels
        if (penalty := penalties.of_outputs(seen, batch.lengths)) is not None:
            loss = loss + penalty / work.tokens
        (loss * work.scale).backward()  # type: ignore[no-untyped-call]
        loss_sum += task.detach()
    for _ in range(work.idle):
        token = torch.zeros((1, 2), dtype=torch.long, device=base.device.torch)
        nothing = Batch.of(token, token == torch.tensor([0, 1], device=token.device), [2])
        (0 * label_losses(base, nothing)).backward()  # type: ignore[no-untyped-call]
    return float(loss_sum)


def accumulate_together(
    processes: Processes,
    base: BaseModel,
    work: Work,
    trained: Trained,
    penalties: Penalties,
    look: Callable[[], None] = lambda: None,
) -> float | None:
    """Does as `accumulate` with this process's own share `work`; the first process has the sum of all gradients then.

    Returns the loss of the whole step; None where memory was too small in any process. Raises Stopped where the first
    process is told to stop, Lost where another one is gone.
    """
    ended, loss, gradients = _Ended.BROKEN, 0.0, None
    base.together = True
    try:
        loss = accumulate(base, work, penalties, look)
        gradients = _flat(trained)
        ended = _Ended.DONE
    except torch.OutOfMemoryError:
        if base.sharded:  # the others are inside their passes, and hear nothing
            processes.lost = True
            raise UserFacingError("training.out_of_memory", device=base.device.name) from None
        ended = _Ended.FULL
    except Stopped:
        ended = _Ended.STOPPED
    finally:  # also where something else went wrong here: the others wait for this
        base.together = False
        found = [] if processes.lost else processes.said(ended, loss)
    worst = max(state for state, _ in found)
    if ended == _Ended.STOPPED:
        raise Stopped
    if worst == _Ended.BROKEN:
        processes.lost = True
        raise Lost
    if worst == _Ended.FULL and base.device.name == "cuda":
        torch.cuda.empty_cache()
    if worst or gradients is None:
        return None
    processes.add_up(gradients)
    if processes.place.leads:
        _take(trained, gradients)
    return sum(one for _, one in found)


def order(
    work: Work, shares: Sequence[Sequence[int]], penalised: bool, sharded: bool = False
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The values and tensors that tell all processes a step, of which each takes its share."""
    values = {"labels": work.labels, "tokens": work.tokens, "scale": work.scale}
    values |= {"penalised": penalised, "sharded": sharded}
    tensors: dict[str, Tensor] = {}
    for number, batch in enumerate(work.batches):
        tensors |= {f"tokens {number}": batch.tokens, f"predicts {number}": batch.predicts}
        tensors |= {} if batch.weights is None else {f"weights {number}": batch.weights}
    lengths = [batch.lengths for batch in work.batches]
    return {**values, "lengths": lengths, "shares": shares}, tensors


def share_of(rank: int, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Work:
    """One process's part of such an order."""
    batches = [
        Batch.of(tensors[f"tokens {i}"], tensors[f"predicts {i}"], values["lengths"][i], tensors.get(f"weights {i}"))
        for i in values["shares"][rank]
    ]
    idle = max(map(len, values["shares"])) - len(batches) if values["sharded"] else 0
    return Work(batches, values["labels"], values["tokens"], values["scale"], idle)


def shared_out(sizes: Sequence[int], processes: int) -> list[list[int]]:
    """Numbers of the micro-batches for each process: the largest first, each to the one with least to do so far."""
    shares: list[list[int]] = [[] for _ in range(processes)]
    loads = [0] * processes
    for number in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        idlest = loads.index(min(loads))
        shares[idlest].append(number)
        loads[idlest] += sizes[number]
    return shares


def lend_factors(processes: Processes, trained: Trained) -> None:
    """Gives the factors of the first process to all. Raises Lost where even for that memory is too small."""
    try:
        values = torch.cat([parameter.detach().flatten() for parameter in trained.values()])
    except torch.OutOfMemoryError as error:  # the others wait for it, and would take the next order for it
        processes.lost = True
        raise Lost(str(error)) from error
    processes.lend(values)
    if not processes.place.leads:
        with torch.no_grad():
            for parameter, own in zip(trained.values(), _parts(trained, values), strict=True):
                parameter.copy_(own)


def _flat(trained: Trained) -> Tensor:
    """The gradients in one row, and which of the parameters have any; takes them off the parameters."""
    there = [parameter.grad is not None for parameter in trained.values()]
    row = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained.values()]
    for parameter in trained.values():
        parameter.grad = None
    return torch.cat([*(one.flatten() for one in row), torch.tensor(there, dtype=row[0].dtype, device=row[0].device)])


def _take(trained: Trained, gradients: Tensor) -> None:
    """Puts the sum on the parameters; without any in all processes one has none, as it would in one process."""
    there = gradients[-len(trained) :].tolist()
    for parameter, own, some in zip(trained.values(), _parts(trained, gradients), there, strict=True):
        parameter.grad = own.clone() if some else None


def _parts(trained: Trained, row: Tensor) -> list[Tensor]:
    sizes = [parameter.numel() for parameter in trained.values()]
    parts = torch.split(row[: sum(sizes)], sizes)
    return [part.view_as(parameter) for part, parameter in zip(parts, trained.values(), strict=True)]
