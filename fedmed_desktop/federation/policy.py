# SPDX-License-Identifier: Apache-2.0
"""A site's policy: what may leave it at all, when, and on whose word. Written at the site, and never sent. Pure.

A policy only ever tightens what the program does by itself. "allow" adds nothing to the program's own rules: where a
person would be asked, the person is still asked, and an update leaves without one only where the operator has set that
up as well (a rule that approves, `--approve-rule`). "ask" takes a rule's approval away; "deny" takes everybody's.
Several files hold together: the strictest answer counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from typing import Final, Literal

from pydantic import field_validator, model_validator

from ..bounds import Count, Number, PositiveFloat, PositiveInt, Scalar
from .deputies import Deputy, Name, with_deputies
from .hours import Window, opening
from .probes import BADNESS, Light, ProbeKeys, Probing, probing_of
from .update import Report
from .values import Frozen

Action = Literal["allow", "ask", "deny"]
STRICTNESS: Final[Mapping[Action, int]] = {"allow": 0, "ask": 1, "deny": 2}
# Names of a report's scalars; its kind says which of the two reports it is, and always goes with it.
SCALARS: Final = tuple(name for name in Report.model_fields if name != "kind")
Params = Mapping[str, str | int | float]
_EMPTY: Final = Report(notes=0)
_ANY_DAY: Final = datetime(2024, 1, 1, tzinfo=UTC)


class Rule(Frozen):
    """One rule. It holds where all its conditions do; without conditions, always.

    `most_...` and `least_...` include the number itself. `norm_ratio`: the update's norm by that of the site's update
    before; `f1_gain`: F1 over all types on the site's validation notes, after training less before; `light`: the worst
    of what the probes found is this or worse.
    """

    name: Name
    action: Action
    federation: tuple[Name, ...] = ()
    method: tuple[Name, ...] = ()
    environment: Literal["test", "production"] | None = None
    kind: Literal["train", "evaluate"] | None = None
    most_rank: PositiveInt | None = None
    over_rank: PositiveInt | None = None
    most_norm_ratio: Scalar | None = None
    over_norm_ratio: Scalar | None = None
    least_f1_gain: Number | None = None
    under_f1_gain: Number | None = None
    light: Literal["amber", "red"] | None = None

    @model_validator(mode="after")
    def _light_allows_nothing(self) -> Rule:
        if self.light is not None and self.action == "allow":  # a file with lower limits would then let more leave
            raise ValueError("light is for rules that ask or deny")
        return self

    def holds(self, facts: Facts) -> bool | None:
        """Tells whether the rule holds; None where that depends on a fact that is not known."""
        found = tuple(self._conditions(facts))
        return False if False in found else None if None in found else True

    def _conditions(self, facts: Facts) -> Iterator[bool | None]:
        yield facts.federation in self.federation or not self.federation
        yield facts.method in self.method or not self.method
        yield self.environment in (None, facts.environment)
        yield self.kind in (None, facts.kind)
        for most, least, value in (
            (self.most_rank, None, facts.rank),
            (self.most_norm_ratio, None, facts.norm_ratio),
            (None, self.least_f1_gain, facts.f1_gain),
        ):
            if most is not None or least is not None:
                yield None if value is None else (most is None or value <= most) and (least is None or value >= least)
        for over, under, value in (
            (self.over_rank, None, facts.rank),
            (self.over_norm_ratio, None, facts.norm_ratio),
            (None, self.under_f1_gain, facts.f1_gain),
        ):
            if over is not None or under is not None:
                yield None if value is None else (over is None or value > over) and (under is None or value < under)
        if self.light is not None:
            yield None if facts.light is None else BADNESS[facts.light] >= BADNESS[self.light]


class Policy(Frozen):
    """One file's policy. A key that is not given limits nothing, except `default`: a policy asks a person.

    `most_epsilon`: the most of its privacy budget that the site may spend in a federation; one without differential
    privacy is ruled out. `scalars`: those of the report that may leave, by their names there. `hours`: windows in which
    anything of an update may leave. `approvers`: names of accounts; a `deputy` stands in for one of them on some days.
    `four_eyes`: two different people must approve. The first `rule` that holds decides, else `default`. `worst_light`:
    the worst that the probes may find; `probes`: how they are judged.
    """

    most_rank: PositiveInt | None = None
    most_bytes: PositiveInt | None = None
    least_notes: Count | None = None
    most_epsilon: PositiveFloat | None = None
    scalars: tuple[str, ...] | None = None
    hours: tuple[Window, ...] = ()
    approvers: tuple[Name, ...] | None = None
    deputy: tuple[Deputy, ...] = ()
    four_eyes: bool = False
    worst_light: Literal["green", "amber"] | None = None
    probes: ProbeKeys = ProbeKeys()
    rule: tuple[Rule, ...] = ()
    default: Action = "ask"

    @field_validator("scalars")
    @classmethod
    def _are_known(cls, scalars: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if unknown := sorted(set(scalars or ()) - set(SCALARS)):
            raise ValueError(f"{unknown[0]!r} is no number of a report; known: {', '.join(SCALARS)}")
        return scalars

    @model_validator(mode="after")
    def _deputies_stand_in_for_approvers(self) -> Policy:
        known = {name.strip().casefold() for name in self.approvers or ()}
        for one in self.deputy:
            if one.instead_of.strip().casefold() not in known:
                raise ValueError(f"{one.instead_of!r} is none of the approvers, so nobody can stand in for them")
        return self

    @model_validator(mode="after")
    def _rules_have_names_of_their_own(self) -> Policy:
        names = [rule.name for rule in self.rule]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two rules are called {twice[0]!r}")
        if taken := sorted(set(names) & set(Policy.model_fields)):
            raise ValueError(f"a rule cannot be called {taken[0]!r}, which is a key of the policy")
        return self


@dataclass(frozen=True)
class Layer:
    """One file's policy, and which file. `fault`: why the file counts for nothing; nothing may leave then."""

    policy: Policy
    path: str = ""
    sha256: str = ""
    fault: tuple[str, Params] | None = None
    ignored: tuple[str, ...] = ()  # keys that another file has locked


@dataclass(frozen=True)
class Facts:
    """Facts of an update, or of the plan for one; None where they are not known.

    `private`: whether it is trained with differential privacy; `epsilon`: what is spent with it. `scalars`: those that
    the report tells, which was made under the policy of its time.
    """

    federation: str
    environment: str
    method: str
    kind: str
    rank: int | None = None
    bytes: int | None = None
    notes: int | None = None
    norm_ratio: float | None = None
    f1_gain: float | None = None
    private: bool | None = None
    epsilon: float | None = None
    light: Light | None = None
    scalars: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Decision:
    """Word of a policy, the rule that says so, and the file with it (sha256). `code` and `params` make the sentence.

    `rule` is the rule's name or the policy's key; "" where there is no policy.
    """

    action: Action
    rule: str = ""
    source: str = ""
    code: str = ""
    params: Params = field(default_factory=dict)


@dataclass(frozen=True)
class InForce:
    """The policy in force at a site: every file that holds here. Without any, all that the program does is allowed."""

    layers: tuple[Layer, ...] = ()
    zone: tzinfo | None = None  # whose clock the hours count on; None: this computer's
    day: date | None = None  # today at the site, for deputies; None: nobody stands in

    @property
    def people(self) -> int:
        """Number of different people that an approval takes."""
        return 2 if any(layer.policy.four_eyes for layer in self.layers) else 1

    @property
    def approvers(self) -> frozenset[str] | None:
        """People who may approve today, whatever case the files write them in; None for anybody at this site."""
        given = ((layer.policy.approvers, layer.policy.deputy) for layer in self.layers)
        named = [with_deputies(names, those, self.day) for names, those in given if names is not None]
        alike = [{name.strip().casefold() for name in names} for names in named]
        first = (name for name in named[0] if all(name.strip().casefold() in one for one in alike)) if named else ()
        return frozenset(first) if named else None

    @property
    def scalars(self) -> frozenset[str] | None:
        """Scalars that may leave; None for all."""
        return _common(layer.policy.scalars for layer in self.layers)

    @property
    def most_epsilon(self) -> float | None:
        """Epsilon that may be spent in a federation; None for as much as it asks for."""
        return min((found for layer in self.layers if (found := layer.policy.most_epsilon) is not None), default=None)

    @property
    def probing(self) -> Probing:
        """Settings by which what an update may reveal is looked for here, and judged."""
        return probing_of([layer.policy.probes for layer in self.layers])

    def opening(self, after: datetime) -> datetime | None:
        """Time from which something may leave, `after` at the earliest; None for never."""
        return opening((layer.policy.hours for layer in self.layers), after, self.zone)


def decide(policy: InForce, facts: Facts) -> Decision:
    """The strictest that any file says about an update; of equally strict answers the first."""
    found = [*_never(policy), *(word for layer in policy.layers for word in _words(layer, facts))]
    return max(found, key=lambda word: STRICTNESS[word.action], default=Decision("allow"))


def _words(layer: Layer, facts: Facts) -> Iterator[Decision]:
    yield from _limits(layer, facts)
    policy = layer.policy
    if policy.four_eyes:
        yield Decision("ask", "four_eyes", layer.sha256, "policy.two_people", {"rule": "four_eyes"})
    if policy.approvers is not None:
        named = {"rule": "approvers", "names": ", ".join(policy.approvers)}
        yield Decision("ask", "approvers", layer.sha256, "policy.named_people", named)
    if policy.worst_light is not None and facts.light is None and facts.kind == "train":
        yield Decision("ask", "worst_light", layer.sha256, "policy.not_probed", {"rule": "worst_light"})
    yield _ruled(layer, facts)


def _never(policy: InForce) -> Iterator[Decision]:
    """A refusal where the hours of several files have no minute in common."""
    if policy.opening(_ANY_DAY) is None:
        yield Decision("deny", "hours", policy.layers[0].sha256, "policy.never_open", {"rule": "hours"})


def _limits(layer: Layer, facts: Facts) -> Iterator[Decision]:
    """Refusals by the limits, which no rule can lift."""
    if layer.fault is not None:
        code, params = layer.fault
        yield Decision("deny", "unreadable", layer.sha256, code, params)
    most, least = layer.policy.most_rank, layer.policy.least_notes
    if most is not None and facts.rank is not None and facts.kind == "train" and facts.rank > most:
        yield _beyond(layer, "most_rank", "policy.rank", most=most, found=facts.rank)
    most = layer.policy.most_bytes
    if most is not None and facts.bytes is not None and facts.bytes > most:
        yield _beyond(layer, "most_bytes", "policy.bytes", most=f"{most:,}", found=f"{facts.bytes:,}")
    if least is not None and facts.notes is not None and facts.notes < least:
        yield _beyond(layer, "least_notes", "policy.few_notes", least=f"{least:,}", found=f"{facts.notes:,}")
    allowed = layer.policy.most_epsilon
    if allowed is not None and facts.private is False and facts.kind == "train":
        yield _beyond(layer, "most_epsilon", "policy.not_private", most=allowed)
    if allowed is not None and facts.epsilon is not None and facts.epsilon > allowed:
        yield _beyond(layer, "most_epsilon", "policy.epsilon", most=allowed, found=facts.epsilon)
    worst = layer.policy.worst_light
    if worst is not None and facts.light is not None and BADNESS[facts.light] > BADNESS[worst]:
        yield _beyond(layer, "worst_light", "policy.reveals", most=worst, found=facts.light)

    if layer.policy.scalars is not None and (more := sorted(facts.scalars - set(layer.policy.scalars))):
        yield _beyond(layer, "scalars", "policy.scalar", scalar=more[0])


def _beyond(layer: Layer, rule: str, code: str, **params: str | float) -> Decision:
    return Decision("deny", rule, layer.sha256, code, {"rule": rule, **params})


def _ruled(layer: Layer, facts: Facts) -> Decision:
    """The word of the first rule that holds. One that hangs on a fact that is not known may turn it into a question."""
    unknown = ""
    for rule in layer.policy.rule:
        holds = rule.holds(facts)
        if holds:
            asks = rule.action == "allow" and unknown
            return _said("ask" if asks else rule.action, unknown if asks else rule.name, layer)
        if holds is None and rule.action != "allow":
            unknown = unknown or rule.name
    asks = layer.policy.default == "allow" and unknown
    return _said("ask" if asks else layer.policy.default, unknown if asks else "default", layer)


def _said(action: Action, rule: str, layer: Layer) -> Decision:
    return Decision(action, rule, layer.sha256, _SAYS[action], {"rule": rule})


_SAYS: Final[Mapping[Action, str]] = {
    "allow": "policy.allows",
    "ask": "policy.asks",
    "deny": "policy.denies",
}


def refusal(policy: InForce, facts: Facts) -> Decision | None:
    """Decision against an update that could never leave, whatever its numbers, before it is made; None if it could."""
    if never := next(_never(policy), None):
        return never
    for layer in policy.layers:
        if word := next(_limits(layer, facts), None):
            return word
        for rule in layer.policy.rule:
            holds = rule.holds(facts)
            if holds is None and rule.action != "deny":
                break
            if holds:
                if rule.action == "deny":
                    return _said("deny", rule.name, layer)
                break
        else:
            if layer.policy.default == "deny":
                return _said("deny", "default", layer)
    return None


def stripped(policy: InForce, report: Report) -> Report:
    """The report without the scalars that may not leave: each is as where nothing was measured."""
    if policy.scalars is None:
        return report
    return report.model_copy(update={name: getattr(_EMPTY, name) for name in told(report) - policy.scalars})


def told(report: Report) -> frozenset[str]:
    """Names of the scalars that a report tells: others are as where nothing was measured."""
    return frozenset(name for name in SCALARS if getattr(report, name) != getattr(_EMPTY, name))


def _common(lists: Iterator[tuple[str, ...] | None]) -> frozenset[str] | None:
    """Names that each list has which is given; None where none is."""
    given = [frozenset(names) for names in lists if names is not None]
    return frozenset.intersection(*given) if given else None
