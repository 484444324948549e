# SPDX-License-Identifier: Apache-2.0
"""The site agent: outbox, approval, training on one working thread, a link that comes back."""

from ..storage import Record
from .agent import SiteAgent
from .approval import TAKE_BACK, Approver, RuleApprover, Verdict, operating_user
from .holdings import as_one, with_own_b
from .jobs import Jobs
from .link import Backoff

__all__ = [
    "TAKE_BACK",
    "Approver",
    "Backoff",
    "Jobs",
    "Record",
    "RuleApprover",
    "SiteAgent",
    "Verdict",
    "as_one",
    "operating_user",
    "with_own_b",
]
