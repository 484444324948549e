# SPDX-License-Identifier: Apache-2.0
"""A site: its agent, the person's approval, one thread for training, and a connection that comes back by itself."""

from ..storage.audit import operating_user
from ..storage.outbox import Record
from .agent import SiteAgent
from .approval import TAKE_BACK, Approver, RuleApprover, Verdict
from .holdings import as_one, with_own_b
from .hosting import HostAgent, LinkedHost, linked_host
from .jobs import JobRunner, Jobs
from .link import Backoff

__all__ = [
    "TAKE_BACK",
    "Approver",
    "Backoff",
    "HostAgent",
    "JobRunner",
    "Jobs",
    "LinkedHost",
    "Record",
    "RuleApprover",
    "SiteAgent",
    "Verdict",
    "as_one",
    "linked_host",
    "operating_user",
    "with_own_b",
]
