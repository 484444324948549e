# SPDX-License-Identifier: Apache-2.0
"""Decisions of a site in its audit chain: each before its effect and after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from ..errors import UserFacingError
from ..federation import part_actions as do
from ..federation.gate import POLICY, RULE
from ..federation.work import Entry
from .audit import Audit
from .audit_row import Action, AuditEntry, Meaning, Role, named, state_word
from .chain import linked

_ACTIONS: Final[Mapping[do.Decision, Action]] = {
    "first_approved": "first_approved",
    "approved": "approved",
    "taken_back": "taken_back",
    "released": "released",
    "kept": "kept",
    "expired": "expired",
    "asked_again": "asked_again",
    "acknowledged": "receipt_verified",
    "refused": "update_refused",
}
_MEANINGS: Final[Mapping[do.Decision, Meaning]] = {
    "first_approved": "approve",
    "approved": "approve",
    "kept": "reject",
    "taken_back": "withdraw",
}
_PROGRAMS: Final[Mapping[str, Role]] = {"agent": "agent", "coordinator": "coordinator", RULE: "rule", POLICY: "rule"}
# What the coordinator said has happened already: there is nothing to intend.
_TOLD: Final = frozenset({"acknowledged", "refused"})


class DecisionAudit:
    """The entries about a site's updates in its chain. Blocks on the disk; any thread."""

    def __init__(self, audit: Audit) -> None:
        self.audit = audit

    def intend(self, given: do.Record, entry: Entry, after: str, now: datetime) -> None:
        """Writes what is about to be decided. Raises UserFacingError where the disk takes nothing: then it is not."""
        decided = _entry(given, entry, after)
        self.audit.append(*([_by_policy(given, decided)] if given.policy else []), decided, now=now)

    def result(self, given: do.Record, entry: Entry, after: str, now: datetime) -> None:
        """Writes that it was; at the latest with the next entry, since the decision holds."""
        if given.decision not in _TOLD:
            self.audit.note(_entry(given, entry, after).model_copy(update={"stage": "done"}), now=now)

    def check_release(self, sha256: str, round_number: int, now: datetime) -> None:
        """Raises UserFacingError unless the chain says that this update was to be released; notes that it leaves."""
        if not self.audit.has("released", sha256, "intent"):
            raise UserFacingError("audit.no_intent", sha256=sha256[:12], path=str(self.audit.path))
        if not self.audit.has("upload_began", sha256, "intent"):
            self.audit.append(_of_update("upload_began", sha256, round_number), now=now)

    def begin(self, entries: Iterable[Entry], is_new: bool, now: datetime) -> None:
        """Takes over the releases of a time without a chain, if it is new; ends intents that a crash left open."""
        by_hash = {entry.sha256: entry for entry in entries}
        if is_new:
            left = [one for one in by_hash.values() if one.state in ("released", "acknowledged")]
            earlier = [_of_update("released", one.sha256, one.plan.round, after=one.state) for one in left]
            upgraded = AuditEntry(action_code="upgraded", role="agent", object_type="program")
            if earlier and not self.audit.head():
                self.audit.append(upgraded, *earlier, now=now)
        decisions = set(_ACTIONS.values())
        for row in self.audit.open_intents():
            if row.action_code in decisions and row.object_hash in by_hash:
                is_done = by_hash[row.object_hash].state == row.after
                self.audit.append(row.result("done" if is_done else "failed"), now=now)


def _entry(given: do.Record, entry: Entry, after: str) -> AuditEntry:
    told = given.decision in _TOLD
    return AuditEntry(
        action_code=_ACTIONS[given.decision],
        stage="done" if told else "intent",
        role=_PROGRAMS.get(given.by, "operator"),
        actor_name=given.by,
        object_type="update",
        object_hash=entry.sha256,
        round=entry.plan.round,
        before=entry.state,
        after=after,
        reason=state_word(given.code) if given.decision == "refused" else given.reason,
        meaning=_MEANINGS.get(given.decision, "") if given.by != "agent" else "",
        evidence=linked("", entry.update.model_dump_json(), entry.evidence.model_dump_json()),
        peer="coordinator" if told else "",
        peer_head=given.peer_head,
    )


def _by_policy(given: do.Record, decided: AuditEntry) -> AuditEntry:
    """The rule of the site's policy on whose word the next entry's decision is, and the file that it stands in."""
    return AuditEntry(
        action_code="policy_decided",
        role="rule",
        object_type="rule",
        object_id=named(given.rule),
        object_hash=given.policy,
        round=decided.round,
        after=decided.action_code,
        evidence=decided.evidence,
    )


def _of_update(action: Action, sha256: str, round_number: int, after: str = "") -> AuditEntry:
    about = {"object_type": "update", "object_hash": sha256, "round": round_number, "after": after}
    return AuditEntry(action_code=action, stage="intent", role="agent", actor_name="agent", **about)
