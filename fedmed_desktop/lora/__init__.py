# SPDX-License-Identifier: Apache-2.0
"""Low-rank adapters as values: Module and Adapter, their wire bytes (`blob`) and their algebra (`algebra`)."""

from fedmed_desktop.lora.adapter import Adapter
from fedmed_desktop.lora.blob import BlobHeader, BlobReader, read_blob_header
from fedmed_desktop.lora.load import load_adapter
from fedmed_desktop.lora.module import Module

__all__ = ["Adapter", "BlobHeader", "BlobReader", "Module", "load_adapter", "read_blob_header"]
