# SPDX-License-Identifier: Apache-2.0
"""Selection of the sites that take part in a round, by a score from their last reports (inferred).

The nearest published score is Oort's (Lai et al., OSDI 2021, from memory): utility n_k loss_k, a bonus for sites not
seen for long, and a share of places for sites never seen. Ours takes the mean loss where Oort takes the root mean
square, which no site reports, and adds coverage, so that a few sites span many specialties.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import median

from pydantic import Field

from ..arrays import np
from .drift import pooled_histogram, semantic_drift
from .values import Frozen


class Seen(Frozen):
    """A site's last report, and the round of it."""

    round: int
    notes: int
    loss: float
    seconds: float = 0.0
    histogram: dict[str, int] = Field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """Settings. `slowness` is the exponent of (median time / own time) for sites slower than the median.

    `explore` decays by the factor `decay` per round, but not below `explore_least`.
    """

    coverage: float
    explore: float
    decay: float
    explore_least: float
    slowness: float = 0.0

    def exploring(self, round_number: int) -> float:
        """Probability that a place goes to a site never seen, while there are any."""
        return max(self.explore_least, self.explore * self.decay ** (round_number - 1))

    def choose(self, names: Collection[str], seen: Mapping[str, Seen], places: int, now: int, seed: int) -> list[str]:
        """`places` of the names, sorted; each place goes to a random new site or to the best score, ties by name."""
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
        """Score: n_k loss_k relative to the largest, reduced for slow sites, plus sqrt(0.1 ln t / round last seen)."""
        times = [one.seconds for one in seen.values() if one.seconds > 0]
        usual = median(times) if times else 0.0
        pace = {
            name: (usual / max(one.seconds, usual)) ** self.slowness if usual else 1.0 for name, one in seen.items()
        }
        use = {name: one.notes * one.loss * pace[name] for name, one in seen.items()}
        most = max(use.values(), default=0.0)
        return {
            name: (use[name] / most if most else 0.0) + math.sqrt(0.1 * math.log(now) / one.round)
            for name, one in seen.items()
        }


def _apart(name: str, chosen: Collection[str], seen: Mapping[str, Seen]) -> float:
    """Distance of this site's notes from those of the sites chosen so far, in [0, 1]; 0 if unknown."""
    keys = {key for one in seen.values() for key in one.histogram}  # all histograms are smoothed over the same keys
    known = {one: seen[one] for one in chosen if one in seen and seen[one].histogram}
    counts = {one: {key: each.histogram.get(key, 0) for key in keys} for one, each in known.items()}
    pooled = pooled_histogram(counts, {one: float(each.notes) for one, each in known.items()})
    return semantic_drift(seen[name].histogram, pooled) or 0.0
