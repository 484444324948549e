# SPDX-License-Identifier: Apache-2.0
"""Learning rates: what share of the peak each step of a round has, by the plan's schedule."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..federation.plan import RateSchedule


def rate_shares(
    schedule: RateSchedule, steps: int, warmup_share: float, number: int, rounds: int | None
) -> Callable[[int], float]:
    """Share of the peak rate by step (from 0), in the federation's round `number` of `rounds`, of `steps` steps.

    Over a federation a round's steps stand for an equal part of the whole, however many they are: so sites that take
    more or fewer, or join late, are at the same rate in the same round. Raises ValueError where the schedule needs
    `rounds` and they are not given.
    """
    if schedule == "round":
        return lambda step: learning_rate_share(step, steps, warmup_share)
    if rounds is None:
        raise ValueError("a schedule over the federation needs its number of rounds")
    before, whole, falls = (min(number, rounds) - 1) * steps, rounds * steps, schedule == "federation"
    return lambda step: learning_rate_share(before + step, whole, warmup_share, falls=falls)


def learning_rate_share(step: int, steps: int, warmup_share: float, *, falls: bool = True) -> float:
    """Share of the peak rate at `step` (from 0): linear over int(share * steps) steps, then cosine towards 0.

    Where it does not fall, it stays at the peak after the warm-up.
    """
    warmup = int(warmup_share * steps)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) if falls else 1.0
