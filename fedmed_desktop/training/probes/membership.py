# SPDX-License-Identifier: Apache-2.0
"""Membership inference: can somebody with the adapter tell the notes of this round from others of this site?

The attack is on the loss, calibrated by the model without this round (Watson et al., "On the importance of difficulty
calibration in membership inference attacks", ICLR 2022): what training on a note has taken from its loss. Without that,
easy notes look as if they had been trained on. The true positive rate at few false positives is Carlini et al. 2022's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from ...federation.probes import Membership
from .budget import Budget
from .intervals import auc, auc_interval, hits_at
from .reader import Read, Reader
from .sample import Item, matched, shuffled

LEAST: Final = 10  # notes of each kind, below which nothing is said; inferred
FALSE: Final = 0.01
ENOUGH_FOR_FALSE: Final = 100


def membership(
    reader: Reader,
    trained: Sequence[Item],
    held_out: Sequence[Item],
    loss_on: Literal["answer", "all"],
    seed: int,
    budget: Budget,
) -> Membership | Literal["too_few", "no_time"]:
    """Result of the attack on as many notes as the budget allows, one held out for each trained; else why none."""
    fits = [one for one in shuffled(held_out, seed) if len(one.example) <= reader.most_tokens]
    mates = matched(fits, [one for one in shuffled(trained, seed + 1) if len(one.example) <= reader.most_tokens])
    pairs = [(mate, other) for mate, other in zip(mates, fits, strict=True) if mate is not None]
    if len(pairs) < LEAST:
        return "too_few"
    rows = [item for pair in pairs for item in pair]
    found = reader.both([item.example for item in rows], loss_on, budget)
    gains = np.array([gain(after, before) for after, before in found])
    members, others = gains[0::2], gains[1::2]
    if len(others) < LEAST:
        return "no_time"
    groups = [item.group for item in rows[: len(found)]]
    low, high = auc_interval(members, others, groups[0::2], groups[1::2], seed)
    return Membership(
        auc=auc(members, others),
        low=low,
        high=high,
        hits=hits_at(members, others, FALSE) if len(others) >= ENOUGH_FOR_FALSE else None,
        trained=len(members),
        held_out=len(others),
    )


def gain(after: Read, before: Read) -> float:
    """Loss per label that this round has taken off a sequence (nats)."""
    return float(before.losses.mean() - after.losses.mean())
