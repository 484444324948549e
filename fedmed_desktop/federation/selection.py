# SPDX-License-Identifier: Apache-2.0
"""Which sites take part in a round where not all do: a score from their last reports (methods 1.2 g; inferred).

The nearest published score is Oort's (Lai et al., OSDI 2021, from memory): utility n_k loss_k, a bonus for sites that
were long not seen, and a share of places that goes to sites never seen. Ours takes the mean loss where Oort takes the
root of the mean square, which no site reports, and adds coverage, so that few sites span many specialties.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from .drift import pooled_histogram, semantic_drift


@dataclass(frozen=True)
class Seen:
    """What is known of a site from its last report: in which round that was, and what it said."""

    round: int
    notes: int
    loss: float
    seconds: float = 0.0
    histogram: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """The settings. `slowness` is the exponent of (median time / own time) for sites slower than the median.

    `explore` decays by `decay` per round and never below `explore_least`.
    """

    coverage: float
    explore: float
    decay: float
    explore_least: float
    slowness: float = 0.0

    def exploring(self, round_number: int) -> float:
        """Probability that a place goes to a site never seen, while there are such."""
        return max(self.explore_least, self.explore * self.decay ** (round_number - 1))

    def choose(self, names: Collection[str], seen: Mapping[str, Seen], places: int, now: int, seed: int) -> list[str]:
        """`places` of the names, sorted: place by place, never seen ones at random or the best score; ties by name."""
        rng = np.random.Generator(np.random.PCG64(seed))
        new, known = sorted(set(names) - seen.keys()), sorted(set(names) & seen.keys())
        worth = self.worth({name: seen[name] for name in known}, now)
        chosen: list[str] = []
        while len(chosen) < places and (new or known):
            if new and (not known or rng.random() < self.exploring(now)):
                chosen.append(new.pop(int(rng.integers(len(new)))))
            else:
                gain = {name: worth[name] + self.coverage * _apart(name, chosen, seen) for name in known}
                chosen.append(max(known, key=lambda name: gain[name]))
                known.remove(chosen[-1])
        return sorted(chosen)

    def worth(self, seen: Mapping[str, Seen], now: int) -> dict[str, float]:
        """n_k loss_k as a share of the largest, less for slow sites, plus sqrt(0.1 ln t / round last seen)."""
        times = [one.seconds for one in seen.values() if one.seconds > 0]
        usual = median(times) if times else 0.0
        use = {
            name: one.notes * one.loss * (usual / max(one.seconds, usual)) ** self.slowness
            if usual
            else one.notes * one.loss
            for name, one in seen.items()
        }
        most = max(use.values(), default=0.0)
        return {
            name: (use[name] / most if most else 0.0) + math.sqrt(0.1 * math.log(now) / one.round)
            for name, one in seen.items()
        }


def _apart(name: str, chosen: Collection[str], seen: Mapping[str, Seen]) -> float:
    """How far this site's notes are from those of the sites chosen so far, in [0, 1]; 0 where that is not known."""
    keys = {key for one in seen.values() for key in one.histogram}  # all, so that each is smoothed over the same
    known = {one: seen[one] for one in chosen if one in seen and seen[one].histogram}
    counts = {one: {key: each.histogram.get(key, 0) for key in keys} for one, each in known.items()}
    pooled = pooled_histogram(counts, {one: float(each.notes) for one, each in known.items()})
    return semantic_drift(seen[name].histogram, pooled) or 0.0
