# SPDX-License-Identifier: Apache-2.0
"""The mean of updates with noise that hides any single site's (client_privacy). Each update is read twice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..arrays import np, one_thread
from ..errors import UserFacingError
from ..lora import Adapter, Module
from ..lora.module import Factor, ModuleSource
from .actions import Combine
from .client_privacy import ClientPrivacy
from .combine import Combination, Sources
from .secret_random import SecretRandom

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Noise:
    """The noise of one round's sum: its multiplier, the key that it is drawn by, and epsilon spent once it is public.

    The same key gives the same noise, so that a sum whose publication a crash cut off is not made public twice.
    """

    multiplier: float
    key: bytes = field(repr=False)
    spent: float

    @property
    def measures(self) -> dict[str, float]:
        """Figures for the round's record."""
        return {"epsilon_spent": self.spent, "noise_multiplier": self.multiplier}


def combine_noised(
    due: Combine, settings: ClientPrivacy, sources: Sources, noise: Noise, server_step: float = 1.0
) -> Combination:
    """The start, and `server_step` times the noised mean of the clipped updates. Sites weigh the same.

    Nothing is told of what averaging misses, which would be a number of the updates without noise. Raises
    UserFacingError where an update has another shape than the start.
    """
    sites = sorted(due.updates, key=lambda site: (due.updates[site].sha256, site))
    updates = [sources.updates[site] for site in sites]
    shared = next(iter(due.plans.values())).shared
    random, deviation = SecretRandom(noise.key), noise.multiplier * settings.clip_norm
    moved: dict[str, Module] = {}
    with one_thread():
        shares = _shares(sources.start, updates, shared, settings.clip_norm)
        for name in sorted(sources.start.names):
            before = sources.start.module(name)
            factors = {factor: _values(before, factor) for factor in shared}
            sums = {factor: deviation * _drawn(random, values.shape) for factor, values in factors.items()}
            for share, update in zip(shares, updates, strict=True):
                for factor, change in _changes(before, update.module(name), shared, name):
                    sums[factor] += share * change
            after = {
                factor: (values + server_step / len(updates) * sums[factor]).astype(np.float32)
                for factor, values in factors.items()
            }
            moved[name] = Module(after.get("B", before.B), after.get("A", before.A), before.scale)
    return Combination(Adapter(moved), None, measures=noise.measures)


def _shares(
    start: ModuleSource, updates: Sequence[ModuleSource], shared: tuple[Factor, ...], clip: float
) -> list[float]:
    """The part of each update that counts: what makes it no longer than the clip."""
    squares = [0.0] * len(updates)
    for name in sorted(start.names):
        before = start.module(name)
        for place, update in enumerate(updates):
            squares[place] += sum(
                float(np.sum(change * change)) for _, change in _changes(before, update.module(name), shared, name)
            )
    return [min(1.0, clip / math.sqrt(square)) if square > 0 else 1.0 for square in squares]


def _changes(
    before: Module, after: Module, shared: tuple[Factor, ...], name: str
) -> list[tuple[Factor, NDArray[np.float64]]]:
    found: list[tuple[Factor, NDArray[np.float64]]] = []
    for factor in shared:
        old, new = _values(before, factor), _values(after, factor)
        if old.shape != new.shape:
            raise UserFacingError("update.wrong_shape", module=name, found=str(new.shape), expected=str(old.shape))
        found.append((factor, new - old))
    return found


def _values(module: Module, factor: Factor) -> NDArray[np.float64]:
    return (module.A if factor == "A" else module.B).astype(np.float64)


def _drawn(random: SecretRandom, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return random.normals(math.prod(shape)).reshape(shape)
