# SPDX-License-Identifier: Apache-2.0
"""Offers and declines of a site, with what is signed beside them. They read the disk: not for an event loop."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from ..federation import Plan, Update
from ..protocol.messages import Decline, OfferUpdate
from ..storage.audit import Audit
from ..storage.outbox import Outbox

_BLIND: Final = "blinds approvals"  # the fact in the outbox: 32 secret bytes in hex


def offer(update: Update, attempt: int, outbox: Outbox, audit: Audit) -> OfferUpdate:
    """Offer of a released update, unsigned. Raises UserFacingError where nobody approved it."""
    plan, approval = outbox.entry(update.sha256).plan, _blinded(outbox, outbox.approval(update.sha256))
    return OfferUpdate(update=update, plan=plan.sha256, attempt=attempt, approval=approval, audit=audit.head() or None)


def _blinded(outbox: Outbox, approval: str) -> str:
    """The approval's hash under a secret of this site: by the row's own, a guessed name and time could be checked."""
    if (secret := outbox.recall(_BLIND)) is None:
        secret = secrets.token_hex(32)
        outbox.remember(_BLIND, secret)
    return hashlib.sha256(bytes.fromhex(secret + approval)).hexdigest()


def decline(round_number: int, code: str, plan: Plan | None, attempt: int, audit: Audit) -> Decline:
    """Decline of a round, unsigned; it names `plan` if that is the round's."""
    about = plan.sha256 if plan and plan.round == round_number else None
    told = {"round": round_number, "code": code, "plan": about, "attempt": attempt, "audit": audit.head() or None}
    return Decline.model_validate(told)
