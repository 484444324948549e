# SPDX-License-Identifier: Apache-2.0
"""Readers of the formats in which people have their notes; one file each, all giving the same records."""

from __future__ import annotations

from .detect import READERS, SUFFIXES, reader_for
from .record import REFUSALS, REMARKS, Reader, Record, Remark, RemarkCode

__all__ = ["READERS", "REFUSALS", "REMARKS", "SUFFIXES", "Reader", "Record", "Remark", "RemarkCode", "reader_for"]
