# SPDX-License-Identifier: Apache-2.0
"""Audit chains for tests and pictures: a site's course through three rounds, all of it invented."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from fedmed_desktop.storage.audit import FILE, Audit
from fedmed_desktop.storage.audit_row import AuditEntry
from tests.parts.scene import NOW

OPERATOR: Final = "Dr. Ruth Okafor"
REASON: Final = "Scores improved on both types, and the probes found nothing."
KEY: Final = "5d" * 32


def entry(code: str, **more: Any) -> AuditEntry:
    return AuditEntry(**{"action_code": code, "role": "agent", **more})


def one_round(number: int, *, refused: bool = False) -> tuple[AuditEntry, ...]:
    sha, plan = f"{number:02x}" * 32, f"{number + 160:02x}" * 32
    about = {"object_type": "update", "object_hash": sha, "round": number}
    signed = {"role": "operator", "actor_name": OPERATOR, "reason": REASON, "meaning": "approve", "evidence": "7e" * 32}
    end = (
        entry("update_refused", role="coordinator", peer="coordinator", reason="update.round_closed", **about)
        if refused
        else entry("receipt_verified", peer="coordinator", **about)
    )
    return (
        entry("plan_received", role="coordinator", object_type="plan", object_hash=plan, round=number),
        entry("training_began", stage="intent", object_type="plan", object_hash=plan, round=number, after="train"),
        entry("training_ended", after="train", **about),
        entry("approved", stage="intent", before="pending", after="approved", **signed, **about),
        entry("approved", before="pending", after="approved", **signed, **about),
        entry("released", stage="intent", actor_name="agent", before="approved", after="released", **about),
        entry("upload_began", stage="intent", actor_name="agent", **about),
        end,
    )


def write_record(folder: Path, rounds: int = 3, owner: str = "Lakeview", now: datetime = NOW) -> Path:
    """The chain of a site that has been through so many rounds, the last of which was refused; its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(Audit(folder / FILE, "site", owner, host_id=KEY)) as audit:
        audit._os_user = "rokafor"
        time = now - timedelta(hours=3 * rounds)
        began = (
            entry("started", object_type="program"),
            entry("key_made", object_type="key", object_hash=KEY),
            entry("joined", object_type="federation", object_hash="fe" * 32, after="test"),
        )
        audit.append(*began, now=time)
        for number in range(1, rounds + 1):
            for part in one_round(number, refused=number == rounds):
                time += timedelta(minutes=11)
                audit.append(part, now=time)
    return folder
