# SPDX-License-Identifier: Apache-2.0
"""Low-rank adapters as values: Module and Adapter, their wire bytes (`blob`) and their algebra (`algebra`)."""

from .adapter import Adapter
from .blob import BlobReader
from .load import load_adapter
from .module import Module

__all__ = ["Adapter", "BlobReader", "Module", "load_adapter"]
