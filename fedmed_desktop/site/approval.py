# SPDX-License-Identifier: Apache-2.0
"""The decision whether an update leaves: by a person at some face, or by a rule that is recorded as such."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from ..federation.gate import RULE
from ..federation.names import PROGRAMS
from ..federation.work import Entry

# How long a person can withdraw an approval before the first byte may move.
TAKE_BACK = timedelta(seconds=10)


@dataclass(frozen=True)
class Verdict:
    """A decision with who made it and why. `delay` is zero for rules only: nobody is there to take it back."""

    approve: bool
    by: str
    reason: str
    delay: timedelta = TAKE_BACK

    @classmethod
    def of_second(cls, name: str, account: str, reason: str, delay: timedelta = TAKE_BACK) -> Verdict:
        """The approval of a second person who sits at the first one's account, and says who they are."""
        given = "" if name.strip().casefold() in PROGRAMS else name.strip()  # "" is nobody, who is asked again
        return cls(True, given, f"{reason} (at the account of {account})", delay)


class Approver(Protocol):
    """Asked about each pending update, on the agent's loop; cancelled when the round closes. No answer means hold."""

    async def decide(self, entry: Entry) -> Verdict: ...


class RuleApprover:
    """Approves everything at once. The record says "rule" and the reason that a person gave when setting it up."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def decide(self, entry: Entry) -> Verdict:
        return Verdict(approve=True, by=RULE, reason=self._reason, delay=timedelta(0))
