# SPDX-License-Identifier: Apache-2.0
"""State that survives a crash: the coordinator's ledger, a site's outbox, blobs, and what a site keeps for itself."""

from ..federation.work import Entry
from .blobs import BlobStore
from .journal import Journal
from .ledger import Ledger
from .outbox import Decision, Outbox, Record
from .own import OwnStore

__all__ = ["BlobStore", "Decision", "Entry", "Journal", "Ledger", "Outbox", "OwnStore", "Record"]
