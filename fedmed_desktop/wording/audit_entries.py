# SPDX-License-Identifier: Apache-2.0
"""Plain words for what the entries of an audit chain hold: what was done, by whom, with which result."""

from __future__ import annotations

from typing import Final, Literal

from .translation import later, tr

Kind = Literal["decisions", "rounds", "federation", "program"]

_ACTIONS: Final[dict[str, tuple[Kind, str]]] = {
    "started": ("program", later("Site opened in the program")),
    "stopped": ("program", later("Site closed in the program")),
    "key_made": ("program", later("Secret key made")),
    "key_moved": ("program", later("Secret key moved to another place")),
    "key_lost": ("program", later("Secret key missing")),
    "key_rotated": ("program", later("Secret key replaced")),
    "certificate_made": ("program", later("Certificate made")),
    "upgraded": ("program", later("Record begun by a newer version of the program")),
    "backup_made": ("program", later("Backup made")),
    "pruned": ("program", later("Old updates deleted")),
    "reviewed": ("program", later("Record reviewed")),
    "invited": ("federation", later("Site invited")),
    "joined": ("federation", later("Federation joined")),
    "left": ("federation", later("Federation left")),
    "join_refused": ("federation", later("Request to join refused")),
    "confirmed": ("federation", later("Site confirmed")),
    "revoked": ("federation", later("Site removed")),
    "rotated": ("federation", later("Site's key replaced")),
    "signature_refused": ("federation", later("Message with a wrong signature refused")),
    "act_refused": ("federation", later("Act without the right to it refused")),
    "plan_received": ("rounds", later("Plan received")),
    "training_began": ("rounds", later("Training started")),
    "training_ended": ("rounds", later("Training ended")),
    "declined": ("rounds", later("Round declined")),
    "upload_began": ("rounds", later("Upload started")),
    "receipt_verified": ("rounds", later("Receipt checked")),
    "adapter_verified": ("rounds", later("Adapter checked")),
    "exported": ("rounds", later("Exported to a file")),
    "imported": ("rounds", later("Imported from a file")),
    "round_opened": ("rounds", later("Round opened")),
    "round_closed": ("rounds", later("Round closed")),
    "update_accepted": ("rounds", later("Update accepted")),
    "update_refused": ("rounds", later("Update refused")),
    "update_flagged": ("rounds", later("Update flagged as unusual")),
    "adapter_published": ("rounds", later("Adapter published")),
    "paused": ("rounds", later("Federation paused")),
    "resumed": ("rounds", later("Federation resumed")),
    "finished": ("rounds", later("Federation finished")),
    "policy_decided": ("decisions", later("Policy rule applied")),
    "first_approved": ("decisions", later("First of two approvals")),
    "approved": ("decisions", later("Approval of an update")),
    "released": ("decisions", later("Release for sending")),
    "kept": ("decisions", later("Decision to keep the update")),
    "taken_back": ("decisions", later("Approval taken back")),
    "asked_again": ("decisions", later("Decision asked for again")),
    "expired": ("decisions", later("No decision in time")),
}
_REFUSALS: Final = frozenset(
    {"join_refused", "signature_refused", "act_refused", "update_refused", "key_lost", "expired", "declined"}
)
_STAGES: Final = {"intent": later("Intended"), "done": later("Done"), "failed": later("Failed")}
_MEANT: Final = {
    "intent": later("Written before it was done, so that nothing happens without a trace."),
    "done": later("Written once it was done."),
    "failed": later("It was begun but did not finish."),
}
_ROLES: Final = {
    "operator": later("A person at this site"),
    "host": later("The person who hosts the federation"),
    "agent": later("The program"),
    "coordinator": later("The coordinator"),
    "rule": later("A rule that a person set up"),
}
_MEANINGS: Final = {
    "approve": later("Approval"),
    "reject": later("Rejection"),
    "withdraw": later("Withdrawal of an approval"),
    "confirm": later("Confirmation"),
    "revoke": later("Removal"),
    "review": later("Review"),
}
_OBJECTS: Final = {
    "program": later("the program"),
    "federation": later("federation"),
    "site": later("site"),
    "host": later("host"),
    "key": later("key"),
    "invitation": later("invitation"),
    "plan": later("plan"),
    "update": later("update"),
    "round": later("round"),
    "adapter": later("adapter"),
    "rule": later("rule"),
    "file": later("file"),
    "entry": later("entry of this record"),
}
_STATES: Final = {
    "pending": later("waiting for a decision"),
    "approved": later("approved"),
    "released": later("released for sending"),
    "acknowledged": later("received by the coordinator"),
    "kept": later("kept at this site"),
    "refused": later("refused by the coordinator"),
    "expired": later("too late"),
    "train": later("train"),
    "evaluate": later("evaluate"),
    "final": later("final adapter"),
    "test": later("a test environment"),
    "production": later("real use"),
}


def action_words(code: str) -> str:
    """Heading that says what was done; a newer version's code as it is."""
    return tr(_ACTIONS[code][1]) if code in _ACTIONS else code


def action_kind(code: str) -> Kind:
    return _ACTIONS[code][0] if code in _ACTIONS else "program"


def is_trouble(code: str, stage: str) -> bool:
    """Tells whether somebody who looks through the record would want to see this: failed, refused, lost or missed."""
    return stage == "failed" or code in _REFUSALS


def stage_words(stage: str) -> str:
    return tr(_STAGES.get(stage, stage))


def stage_meant(stage: str) -> str:
    return tr(_MEANT.get(stage, ""))


def role_words(role: str) -> str:
    return tr(_ROLES.get(role, role))


def meaning_words(meaning: str) -> str:
    return tr(_MEANINGS.get(meaning, meaning))


def object_words(kind: str) -> str:
    return tr(_OBJECTS.get(kind, kind))


def state_words(state: str) -> str:
    return tr(_STATES.get(state, state))
