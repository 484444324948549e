# SPDX-License-Identifier: Apache-2.0
"""The headless coordinator: rounds, ledger, websocket server. No torch, no Qt."""

from .host import Host
from .server import CoordinatorServer

__all__ = ["CoordinatorServer", "Host"]
