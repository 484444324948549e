# SPDX-License-Identifier: Apache-2.0
"""Percentile intervals of the bootstrap by document: notes of one document, or patient, are drawn together.

Sentences of one document resemble each other, so drawing single notes would make intervals too narrow. The same draws
serve every measure and both adapters of a comparison, which makes differences paired.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Interval = tuple[float, float]

RESAMPLES: Final = 2000
LEVEL: Final = 0.95
_AT_ONCE: Final = 200  # resamples drawn together: memory is bounded for ten thousand documents too
_SEED: Final = 0


def by_document(documents: Sequence[Hashable], values: Numbers) -> Numbers:
    """Sums over each document's notes: (notes, ...) -> (documents, ...), in the order of their first notes."""
    numbers = {name: at for at, name in enumerate(dict.fromkeys(documents))}
    sums = np.zeros((len(numbers), *values.shape[1:]))
    np.add.at(sums, [numbers[name] for name in documents], values)
    return sums


def resampled(sums: Numbers, measure: Callable[[Numbers], Numbers], resamples: int = RESAMPLES) -> Numbers:
    """The measures in each resample, shape (resamples, measures).

    `sums`: (documents, k) numbers that add up. `measure` takes (n, k) totals and gives (n, measures).
    """
    rng = np.random.Generator(np.random.PCG64(_SEED))
    documents = len(sums)
    found = []
    for start in range(0, resamples, _AT_ONCE):
        draws = rng.multinomial(documents, np.full(documents, 1 / documents), min(_AT_ONCE, resamples - start))
        found.append(measure(draws @ sums))
    return np.concatenate(found)


def intervals(drawn: Numbers) -> list[Interval | None]:
    """Finds each column's 95 % percentile interval, of (resamples, measures); None where a value is not a number."""
    edge = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(drawn, [edge, 100 - edge], axis=0)
    return [(float(a), float(b)) if np.isfinite(a) and np.isfinite(b) else None for a, b in zip(low, high, strict=True)]
