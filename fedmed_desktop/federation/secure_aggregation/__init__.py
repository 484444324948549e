# SPDX-License-Identifier: Apache-2.0
"""Secure aggregation: the coordinator learns the sum of the updates and no single one. No I/O.

Bonawitz et al. 2017 (CCS; eprint 2017/281) for sites that are few and stay for hours, so that every two of them share a
mask. Needs three sites in each sum. guide/security.md says what it protects against.
"""

from ..plan import Masking
from .fixed_point import Encoded, Layout, blob_of, check_blob, decoded, encoded, numbers_of
from .masker import Masker, Secrets
from .masks import Numbers
from .unmasking import fits, opens, threshold, total
from .values import (
    LEAST_SITES,
    Keys,
    Opening,
    Reveal,
    SealedShares,
    SecureAggregationSettings,
    Session,
    agrees,
    threshold_of,
)

__all__ = [
    "LEAST_SITES",
    "Encoded",
    "Keys",
    "Layout",
    "Masker",
    "Masking",
    "Numbers",
    "Opening",
    "Reveal",
    "SealedShares",
    "Secrets",
    "SecureAggregationSettings",
    "Session",
    "agrees",
    "blob_of",
    "check_blob",
    "decoded",
    "encoded",
    "fits",
    "numbers_of",
    "opens",
    "threshold",
    "threshold_of",
    "total",
]
