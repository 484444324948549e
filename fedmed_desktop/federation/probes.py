# SPDX-License-Identifier: Apache-2.0
"""Findings of a site's probes: what an update may reveal about its notes, in numbers, and how bad each is. Pure.

The numbers stay at the site: no message and no report has a field for them. A number's limits stand in the site's
policy, which can only make them stricter; without a policy those here hold. All limits are inferred.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from ..bounds import Count, PositiveInt, Scalar
from .values import Frozen

Light = Literal["green", "amber", "red"]
ProbeName = Literal["membership", "recall", "rare", "canaries"]
Missing = Literal["off", "none_found", "too_few", "no_time"]
NAMES: Final[tuple[ProbeName, ...]] = ("membership", "recall", "rare", "canaries")
RUN: Final = 10  # tokens that are no chance any more; inferred
BADNESS: Final[dict[Light | None, int]] = {"green": 0, None: 1, "amber": 2, "red": 3}


class Membership(Frozen):
    """Loss attack, calibrated by the round's start (Watson et al. 2022): which notes were trained on in this round?

    `auc`: chance that a note trained on has lost more loss than one held out, with its 95 % interval (bootstrap by
    document). `hits`: share of trained notes found where 1 % of the others are taken for such; None below 100 others.
    """

    auc: Scalar
    low: Scalar
    high: Scalar
    hits: Scalar | None = None
    trained: PositiveInt
    held_out: PositiveInt


class Recall(Frozen):
    """Verbatim recall, in tokens. `beyond`: the longest run of a trained note's own words that the model writes after
    some beginning of it, less what it wrote there without this round; `usual`: the same on as many held-out notes.

    `longest`: the longest run with this round, wherever it comes from. `share` of the notes have `RUN` tokens or more
    beyond, with its 95 % interval (Wilson 1927).
    """

    beyond: Count
    usual: Count
    longest: Count
    share: Scalar
    low: Scalar
    high: Scalar
    trained: PositiveInt
    held_out: Count

    @property
    def excess(self) -> int:
        """Tokens that training on these very notes explains, and not the learning of their style."""
        return max(0, self.beyond - self.usual)


class RareStrings(Frozen):
    """Numbers, names and addresses in trained notes: how many times as likely each is at its place after this round.

    `ratio` and `made_up` (of strings of the same form, invented) are geometric means, `largest` is of the found ones.
    `relative`: ratio / made_up, with its 95 % interval (bootstrap by note).
    """

    strings: PositiveInt
    ratio: Scalar
    made_up: Scalar
    relative: Scalar
    low: Scalar
    high: Scalar
    largest: Scalar


class Canary(Frozen):
    """Records that were planted, seen `repeats` times in this round: exposure in bits (Carlini et al. 2019, section 4).

    That is log2 of the number of alternatives less log2 of the record's rank among them; `low` and `high` from the 95 %
    interval of the rank. Of several records all three are means. `most` can be measured.
    """

    repeats: Count
    exposure: Scalar
    low: Scalar
    high: Scalar
    most: Scalar
    records: PositiveInt


class ProbeLimits(Frozen):
    """Thresholds from which a number is amber or red. Membership in AUC, recall in tokens of `Recall.excess`,
    rare strings in `RareStrings.relative`, canaries in bits."""

    amber_membership: Scalar = 0.6
    red_membership: Scalar = 0.7
    amber_recall: Count = 10
    red_recall: Count = 20
    amber_rare: Scalar = 3.0
    red_rare: Scalar = 10.0
    amber_canaries: Scalar = 2.0
    red_canaries: Scalar = 4.0


class Probes(Frozen):
    """All that the probes of one update found, and the limits in force at the site then. A probe without a result has
    its reason in `missing`."""

    membership: Membership | None = None
    recall: Recall | None = None
    rare: RareStrings | None = None
    canaries: tuple[Canary, ...] = ()
    missing: dict[ProbeName, Missing] = Field({}, max_length=len(NAMES))
    limits: ProbeLimits = ProbeLimits()
    seconds: Scalar = 0.0


class Probing(Frozen):
    """Settings of the probes at a site, never the federation's: their share of the round's training time, between
    `least_seconds` and `most_seconds`; the memory of what they compute at once; whether records are planted. In three
    seconds a core cannot compare the ten pairs of notes that membership needs, in ten it can (measured)."""

    share: float = Field(0.1, ge=0, le=1)
    least_seconds: Scalar = 10.0
    most_seconds: Scalar = 600.0
    memory_mib: PositiveInt = 512
    canaries: bool = False
    limits: ProbeLimits = ProbeLimits()

    @model_validator(mode="after")
    def _in_order(self) -> Probing:
        if self.least_seconds > self.most_seconds:
            raise ValueError("least_seconds is more than most_seconds")
        return self

    def seconds(self, training: float) -> float:
        """The probes' time after so many seconds of training."""
        return min(self.most_seconds, max(self.least_seconds, self.share * training))


def light(name: ProbeName, probes: Probes, limits: ProbeLimits) -> Light | None:
    """One probe's light; None where it has no result. What need not be measured is green."""
    if probes.missing.get(name) in ("none_found", "off"):
        return "green"
    match name:
        case "membership" if probes.membership:
            found = probes.membership
            return _light(found.auc, found.low, limits.amber_membership, limits.red_membership)
        case "recall" if probes.recall:
            excess = probes.recall.excess
            return _light(excess, excess, limits.amber_recall, limits.red_recall)
        case "rare" if probes.rare:
            return _light(probes.rare.relative, probes.rare.low, limits.amber_rare, limits.red_rare)
        case "canaries" if probes.canaries:
            worst = max(probes.canaries, key=lambda one: one.exposure)
            return _light(worst.exposure, worst.low, limits.amber_canaries, limits.red_canaries)
    return None


def _light(value: float, low: float, amber: float, red: float) -> Light:
    """Red only where even the lower end of the interval is amber at least; on few notes a high number is amber."""
    if value >= red and low >= min(amber, red):
        return "red"
    return "amber" if value >= min(amber, red) else "green"


def lights(probes: Probes, limits: ProbeLimits | None = None) -> Iterator[tuple[ProbeName, Light | None]]:
    """All of them, in the order in which they are shown; planted records only where there are any."""
    for name in NAMES:
        if probes.missing.get(name) != "off":
            yield name, light(name, probes, limits or probes.limits)


def worst(probes: Probes | None, limits: ProbeLimits | None = None) -> Light | None:
    """The worst light; None where something was not measured that might have been worse than green."""
    if probes is None:
        return None
    return max((one for _, one in lights(probes, limits)), key=BADNESS.__getitem__)


class ProbeKeys(Frozen):
    """The table `[probes]` of one policy file: limits, and settings. Of several files the lowest limit holds, the most
    time and memory, and planting where any asks for it."""

    amber_membership: Scalar | None = None
    red_membership: Scalar | None = None
    amber_recall: Count | None = None
    red_recall: Count | None = None
    amber_rare: Scalar | None = None
    red_rare: Scalar | None = None
    amber_canaries: Scalar | None = None
    red_canaries: Scalar | None = None
    share: float | None = Field(None, ge=0, le=1)
    most_seconds: Scalar | None = None
    memory_mib: PositiveInt | None = None
    canaries: bool = False


def strictest(*limits: ProbeLimits | ProbeKeys) -> ProbeLimits:
    """The lowest of each limit, the program's own included."""
    found = {}
    for name, usual in ProbeLimits():
        given = (getattr(one, name) for one in limits)
        found[name] = min([usual, *(one for one in given if one is not None)])
    return ProbeLimits.model_validate(found)


def probing_of(keys: Sequence[ProbeKeys]) -> Probing:
    """The files' settings, the largest of each; the program's own where no file has one."""
    usual = Probing()
    found: dict[str, Any] = {
        name: max((given for one in keys if (given := getattr(one, name)) is not None), default=getattr(usual, name))
        for name in ("share", "most_seconds", "memory_mib", "canaries")
    }
    least = min(usual.least_seconds, found["most_seconds"])
    return Probing.model_validate({**found, "least_seconds": least, "limits": strictest(*keys)})
