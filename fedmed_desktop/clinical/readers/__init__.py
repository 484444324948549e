# SPDX-License-Identifier: Apache-2.0
"""Readers of the formats in which people have their notes; one file each, all giving the same records."""

from __future__ import annotations

from .brat_folder import with_spans, write_brat
from .columns import Columns
from .detect import READERS, SUFFIXES, reader_for
from .record import REFUSALS, REMARKS, Reader, Record, Remark, RemarkCode
from .tables import TableReader

__all__ = [
    "READERS",
    "REFUSALS",
    "REMARKS",
    "SUFFIXES",
    "Columns",
    "Reader",
    "Record",
    "Remark",
    "RemarkCode",
    "TableReader",
    "reader_for",
    "with_spans",
    "write_brat",
]
