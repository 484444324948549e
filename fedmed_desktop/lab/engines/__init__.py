# SPDX-License-Identifier: Apache-2.0
"""Engines that train an experiment's sites: in this process, or as Ray tasks. Both give the same bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from ...federation import FederationSpec, Given, LocalResult, Plan
from ...scores import Scores
from ..partition import LabSite

Split = Literal["validation", "test"]
SPLITS: Final[tuple[Split, ...]] = ("validation", "test")


@dataclass(frozen=True)
class SiteJob:
    """A job for one site of the open federation, with all that it needs for it."""

    site: str
    plan: Plan
    given: Given


@dataclass(frozen=True)
class Measured:
    """An adapter on one site's notes: nats per supervised token, counts, and how many tokens the loss is a mean of."""

    loss: float
    scores: Scores
    tokens: int


@dataclass(frozen=True)
class Size:
    """A site's training notes as examples and their tokens; supervised tokens of the splits that are scored."""

    examples: int
    tokens: int
    supervised: Mapping[Split, int]


class Engine(Protocol):
    """Trains and measures one federation at a time, called from one thread; results in the order of the jobs.

    Beside the open sites it knows EVERYBODY, which has all their training notes.
    """

    def open(self, spec: FederationSpec, sites: Sequence[LabSite], elsewhere: Sequence[LabSite] = ()) -> None:
        """Open the federation of later jobs; EVERYBODY has no notes of the sites `elsewhere`.

        Raises UserFacingError where a site's notes do not fit the spec.
        """

    def train(self, jobs: Sequence[SiteJob]) -> list[LocalResult]:
        """Raises UserFacingError."""

    def measure(self, jobs: Sequence[SiteJob], split: Split) -> list[Measured]:
        """Raises UserFacingError, also where a site has no such notes."""

    def size(self, site: str) -> Size:
        """Size of a site's notes, as the open federation encodes them."""

    def close(self) -> None: ...
