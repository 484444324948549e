# SPDX-License-Identifier: Apache-2.0
"""Row of an audit chain: who did what to which object, when, why and with which result.

No field can take a note's text: all are names, hashes, numbers and words of closed sets, but for the operator's own
reason, which only a site's chain may hold.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import partial
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, model_validator

from ..bounds import Count, PositiveInt
from ..federation.names import clean_name
from ..federation.values import Frozen, Sha256

Side = Literal["site", "coordinator"]
Role = Literal["operator", "host", "agent", "coordinator", "rule"]
"""Who acted: a site's operator, the coordinator's host, the program of either, or a rule that a person set up."""

Stage = Literal["intent", "done", "failed"]
"""An intent is written before the effect, the result after it. What just happens, such as a receipt, is "done"."""

Action = Literal[
    # the program and its keys
    "started", "stopped", "key_made", "key_moved", "key_lost", "key_rotated", "certificate_made", "upgraded",
    # who takes part
    "invited", "joined", "left", "join_refused", "confirmed", "revoked", "rotated",
    # a round at a site
    "plan_received", "training_began", "training_ended", "policy_decided", "first_approved", "approved", "released",
    "kept", "taken_back", "asked_again", "expired", "declined", "upload_began", "receipt_verified",
    # a round at the coordinator
    "round_opened", "update_accepted", "update_refused", "update_flagged", "round_closed", "adapter_published",
    "paused", "resumed", "finished",
    # what was checked, and what was carried by hand
    "adapter_verified", "signature_refused", "act_refused", "backup_made", "exported", "imported", "pruned", "reviewed",
]  # fmt: skip

ObjectType = Literal[
    "", "program", "federation", "site", "host", "key", "invitation", "plan", "update", "round", "adapter", "rule",
    "file", "entry",
]  # fmt: skip
Meaning = Literal["", "approve", "reject", "withdraw", "confirm", "revoke", "review"]
"""What a person's decision means, as an electronic signature has to say."""

_MOST_REASON: Final = 2000
_MOST_NAME: Final = 120
_STATE: Final = r"^([a-z0-9][a-z0-9_.:-]{0,79})?$"


def _one_line(most: int, text: object) -> object:
    """The text as it may be stored: one line, of a length; what a terminal or an encoding might take amiss is gone."""
    if not isinstance(text, str):
        return text
    seen = "".join(" " if unicodedata.category(sign) in ("Cc", "Zl", "Zp") else sign for sign in text)
    line = " ".join(seen.encode("utf-8", "replace").decode().split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _object_name(text: str) -> str:
    return clean_name(text) if text else text


Name = Annotated[str, BeforeValidator(partial(_one_line, _MOST_NAME)), Field(max_length=_MOST_NAME)]
Reason = Annotated[str, BeforeValidator(partial(_one_line, _MOST_REASON)), Field(max_length=_MOST_REASON)]
ObjectName = Annotated[str, AfterValidator(_object_name)]
State = Annotated[str, Field(pattern=_STATE)]
"""A code or the name of a state, such as `pending`; never a sentence."""


class AuditEntry(Frozen):
    """Event as its writer tells it.

    `object_id`: a name or a number of the object, `object_hash` its sha256 (an update's, a plan's, a key's).
    `evidence`: sha256 of all that was decided on; where a host acts from a desktop, the fingerprint of the host's key,
    as `actor_name` is its name. `peer`: the other side's name, where the event is between both, and `peer_head` the
    last hash of its chain, as it said: a chain whose end was cut off is found out by the other side's.
    """

    action_code: Action
    stage: Stage = "done"
    role: Role
    actor_name: Name = ""
    object_type: ObjectType = ""
    object_id: ObjectName = ""
    object_hash: Sha256 | Literal[""] = ""
    round: Count = 0
    before: State = ""
    after: State = ""
    reason: Reason = ""
    meaning: Meaning = ""
    evidence: Sha256 | Literal[""] = ""
    peer: ObjectName = ""
    peer_head: Sha256 | Literal[""] = ""


class AuditRow(AuditEntry):
    """An entry as it stands in the chain; `hash` covers the hash of the row before and all other fields but `seq`.

    `owner`: the site's name, or the federation's; `host_id`: fingerprint of the owner's key, empty before it has one.
    """

    time_utc: AwareDatetime
    tz: str = Field(pattern=r"^[+-]\d\d:\d\d$")
    actor_os_user: Name
    side: Side
    owner: Name
    app_version: Annotated[str, Field(max_length=64)]
    host_id: Sha256 | Literal[""]
    seq: PositiveInt = 1
    hash: Sha256 | Literal[""] = ""

    @model_validator(mode="after")
    def _reasons_stay_at_their_site(self) -> AuditRow:
        if self.side == "coordinator" and self.reason:
            raise ValueError("a person's reason stays in the site's own chain")
        return self

    def result(self, stage: Stage) -> AuditEntry:
        """The entry that tells what came of this intent."""
        return AuditEntry(**{name: getattr(self, name) for name in AuditEntry.model_fields} | {"stage": stage})


COLUMNS: Final = (
    *("time_utc", "tz", "side", "owner", "host_id", "app_version", "role", "actor_name", "actor_os_user"),
    *("action_code", "stage", "object_type", "object_id", "object_hash", "round", "before", "after"),
    *("reason", "meaning", "evidence", "peer", "peer_head"),
)
"""The columns in the order in which a row's hash covers them. Append only, as the schema."""


def state_word(code: str) -> str:
    """A code that came from elsewhere, as a state may be written; "other" where it has another form."""
    return code if re.fullmatch(_STATE, code) else "other"


def named(text: str) -> str:
    """A name as an entry may hold it; one that an earlier version took, and this one would not, by its hash."""
    try:
        return clean_name(text)
    except ValueError:
        return f"name {hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:12]}"
