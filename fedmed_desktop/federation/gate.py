# SPDX-License-Identifier: Apache-2.0
"""Enforcement of a site's policy: before joining, on a plan, on its result, and on a person's decision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from .. import events
from ..errors import UserFacingError
from ..scores import Scores
from . import part_actions as do
from .plan import Plan
from .policy import Decision, Facts, InForce, Params, decide, refusal, stripped, told
from .probes import strictest, worst
from .spec import FederationSpec
from .work import Entry, LocalResult

# Whose a decision is, where it is not a person's.
RULE, POLICY = "rule", "policy"


@dataclass(frozen=True)
class Assent:
    """Outcome of an approval: the decision that is recorded, or None and the sentence why it does not count."""

    decision: Literal["first_approved", "approved", "kept"] | None
    code: str = ""
    params: Params = field(default_factory=dict)
    holds: bool = False  # nobody is there to be asked once more


def assent(policy: InForce, word: Decision, by: str, first_by: str) -> Assent:
    """Weighs somebody's approval of an update, about which the policy says `word`; `first_by` has approved it first.

    A refusal costs the round only where nobody is there who could do anything about it.
    """
    if word.action == "deny":
        return Assent("kept", word.code, word.params) if by == RULE else Assent(None, word.code, word.params)
    if by == RULE:
        return Assent("approved") if word.action == "allow" else Assent(None, word.code, word.params, holds=True)
    if policy.approvers is not None and not any(same_person(by, name) for name in policy.approvers):
        names = ", ".join(sorted(policy.approvers))
        return Assent(None, "policy.not_approver", {"name": by, "names": names})
    if policy.people < 2:
        return Assent("approved")
    if not first_by:
        return Assent("first_approved")
    is_other = by.strip() and not same_person(by, first_by)
    return Assent("approved") if is_other else Assent(None, "policy.same_person", {"name": first_by})


def same_person(one: str, other: str) -> bool:
    """Tells whether two names are of one person, whatever their case: some systems write account names in capitals."""
    return one.strip().casefold() == other.strip().casefold()


class Gate:
    """A site's policy, and what follows from it at each of those moments. `entries`: all of the site's updates."""

    def __init__(self, site: str, entries: Mapping[str, Entry]) -> None:
        self.policy = InForce()
        self._site = site
        self._entries = entries

    def check_spec(self, spec: FederationSpec) -> None:
        """Raises UserFacingError, naming the rule, where nothing that this federation asks for could leave."""
        private = spec.training.privacy is not None
        self._check(Facts(spec.name, spec.environment, spec.method.name, "train", private=private), spec)

    def check_plan(self, plan: Plan, spec: FederationSpec) -> None:
        """The same for one plan, before any work on it."""
        private = plan.training.privacy is not None
        self._check(
            Facts(spec.name, spec.environment, spec.method.name, plan.kind, plan.largest_rank, private=private), spec
        )

    def _check(self, facts: Facts, spec: FederationSpec) -> None:
        allowed = self.policy.scalars
        if facts.kind == "train" and allowed is not None and (missing := sorted(spec.method.needs - allowed)):
            raise UserFacingError("policy.scalar_needed", scalar=missing[0], method=spec.method.name, name=spec.name)
        if word := refusal(self.policy, facts):
            raise UserFacingError(word.code, retryable=False, **word.params)

    def prepared(self, result: LocalResult) -> LocalResult:
        """The result with only those scalars in its report that may leave. The site itself still knows the others."""
        update, evidence = result.update, result.evidence
        if self.policy.layers and update.report.kind == "train" and evidence.training_notes is None:
            evidence = evidence.model_copy(update={"training_notes": update.report.notes})
        report = stripped(self.policy, update.report)
        return replace(result, update=update.model_copy(update={"report": report}), evidence=evidence)

    def word(self, entry: Entry, spec: FederationSpec | None) -> Decision:
        """Decision of the policy on an update of this federation."""
        if not self.policy.layers:
            return Decision("allow")
        assert spec is not None  # there is no update without one
        return decide(self.policy, _facts(entry, spec, self._entries.values(), self.policy))

    def said(
        self, entry: Entry, spec: FederationSpec | None, opens: datetime | None = None
    ) -> Iterator[events.PolicySaid]:
        """The same for faces; nothing where there is no policy. `opens`: it is approved and waits for this."""
        if not self.policy.layers:
            return
        word, approvers = self.word(entry, spec), self.policy.approvers
        yield events.PolicySaid(
            site=self._site,
            round=entry.plan.round,
            update=entry.sha256,
            action=word.action,
            rule=word.rule,
            code=word.code,
            params=dict(word.params),
            people=self.policy.people,
            approvers=None if approvers is None else tuple(sorted(approvers)),
            opens=opens,
        )

    def taken(self, entry: Entry, spec: FederationSpec | None, given: do.Record) -> do.Record | Assent:
        """The decision that is recorded on somebody's answer; where an approval does not count, why."""
        word = self.word(entry, spec)
        approves = given.decision == "approved"
        found = assent(self.policy, word, given.by, entry.first_by) if approves else Assent("kept")
        if found.decision is None:
            return found
        if approves and found.decision == "kept":
            given = replace(given, by=POLICY, reason=word.rule)
        return replace(given, decision=found.decision, rule=word.rule, policy=word.source)

    def release(self, entry: Entry, spec: FederationSpec | None, now: datetime) -> tuple[do.Record, datetime | None]:
        """An approval's time has come: how it takes effect, or is taken back, and when it may if not now."""
        word, opens = self.word(entry, spec), self.policy.opening(now)
        if word.action == "deny" or opens is None:
            return self.taken_back(entry, spec, word.rule), None
        released = do.Record(entry.sha256, "released", "agent", rule=word.rule, policy=word.source)
        return released, opens if opens > now else None

    def taken_back(self, entry: Entry, spec: FederationSpec | None, reason: str) -> do.Record:
        word = self.word(entry, spec)
        return do.Record(entry.sha256, "taken_back", POLICY, reason, rule=word.rule, policy=word.source)


def _facts(entry: Entry, spec: FederationSpec, entries: Iterable[Entry], policy: InForce) -> Facts:
    report, evidence, plan = entry.update.report, entry.evidence, entry.plan
    trains, counted = plan.kind == "train", evidence.training_notes
    before, after = evidence.scores_before, evidence.scores_after
    probes = evidence.probes
    limits = strictest(policy.probing.limits, probes.limits) if probes else None  # of then and of now
    return Facts(
        spec.name,
        spec.environment,
        spec.method.name,
        plan.kind,
        plan.largest_rank,
        bytes=entry.update.size,
        notes=(report.notes if counted is None else counted) if trains else None,
        norm_ratio=_norm_ratio(entry, entries) if trains else None,
        f1_gain=after.headline - before.headline if Scores() not in (before, after) else None,
        private=plan.training.privacy is not None,
        epsilon=evidence.epsilon_spent if trains else None,
        light=worst(probes, limits) if trains else "green",
        scalars=told(report),
    )


def _norm_ratio(entry: Entry, entries: Iterable[Entry]) -> float | None:
    """The update's norm by that of the site's latest one before; None for the first."""
    earlier = [one for one in entries if one.plan.round < entry.plan.round and one.update.report.update_norm > 0]
    if not earlier:
        return None
    return entry.update.report.update_norm / max(earlier, key=lambda one: one.plan.round).update.report.update_norm
