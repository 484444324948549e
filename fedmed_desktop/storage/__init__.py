# SPDX-License-Identifier: Apache-2.0
"""State that survives a crash: the coordinator's ledger, a site's outbox, blobs, and what a site keeps for itself.

What sites alone need is imported from its own module, so that a coordinator does not load it.
"""

from .blobs import BlobStore
from .ledger import Ledger

__all__ = ["BlobStore", "Ledger"]
