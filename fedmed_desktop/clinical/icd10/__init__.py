# SPDX-License-Identifier: Apache-2.0
"""ICD-10-CM: the bundled table, codes that a note may mean, and what ranked codes are worth."""

from __future__ import annotations

from .candidates import Candidate, CodeIndex, bundled_index
from .measures import score_codes
from .table import CodeTable, Term, bundled_table, category, dotted, read_table

__all__ = [
    "Candidate",
    "CodeIndex",
    "CodeTable",
    "Term",
    "bundled_index",
    "bundled_table",
    "category",
    "dotted",
    "read_table",
    "score_codes",
]
