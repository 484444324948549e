# SPDX-License-Identifier: Apache-2.0
"""Entries of a site's audit chain about its plans; those about its decisions are written by the outbox."""

from __future__ import annotations

from ..errors import UserFacingError
from ..federation import FederationSpec, Plan, Update
from ..federation import part_actions as do
from ..storage.audit_row import AuditEntry, state_word


def joined(spec: FederationSpec, federation: str) -> AuditEntry:
    """The coordinator has welcomed this site for the first time; `federation` names it in all that is signed."""
    return AuditEntry(
        action_code="joined",
        role="agent",
        object_type="federation",
        object_hash=federation,
        after=state_word(spec.environment),
    )


def signature_refused(kind: str) -> AuditEntry:
    """A message of this kind was not signed by the coordinator that this site has joined."""
    return AuditEntry(action_code="signature_refused", role="agent", before=state_word(kind), peer="coordinator")


def plan_received(plan: Plan) -> AuditEntry:
    return AuditEntry(action_code="plan_received", role="coordinator", peer="coordinator", **_about(plan))


def training_began(plan: Plan) -> tuple[AuditEntry, ...]:
    """The adapter to start from has the hash that the plan names, and the work begins."""
    start = AuditEntry(
        action_code="adapter_verified", role="agent", object_type="adapter", object_hash=plan.start, round=plan.round
    )
    return start, AuditEntry(
        action_code="training_began", stage="intent", role="agent", after=plan.kind, **_about(plan)
    )


def training_ended(plan: Plan, outcome: Update | UserFacingError) -> AuditEntry:
    if isinstance(outcome, UserFacingError):
        about = _about(plan) | {"stage": "failed", "after": state_word(outcome.code)}
    else:
        about = _about(plan) | {"object_type": "update", "object_hash": outcome.sha256, "after": plan.kind}
    return AuditEntry(action_code="training_ended", role="agent", **about)


def declined(round_number: int, code: str) -> AuditEntry:
    about = {"object_type": "round", "round": round_number, "after": state_word(code), "peer": "coordinator"}
    return AuditEntry(action_code="declined", role="agent", **about)


def final_verified(action: do.Conclude) -> AuditEntry:
    about = {"object_type": "adapter", "object_hash": action.adapter, "after": "final"}
    return AuditEntry(action_code="adapter_verified", role="agent", **about)


def _about(plan: Plan) -> dict[str, object]:
    return {"object_type": "plan", "object_hash": plan.sha256, "round": plan.round}
