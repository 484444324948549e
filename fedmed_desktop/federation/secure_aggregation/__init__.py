# SPDX-License-Identifier: Apache-2.0
"""Secure aggregation: the coordinator learns the sum of the updates and no single one. No I/O.

Bonawitz et al. 2017 (CCS; eprint 2017/281) for sites that are few and stay for hours, so that every two of them share a
mask. Needs three sites in each sum. guide/security.md says what it protects against.
"""

from .fixed_point import Encoded, Layout, decoded, encoded
from .masker import Masker, Secrets
from .masks import Numbers
from .unmasking import fits, threshold, total
from .values import (
    LEAST_SITES,
    Keys,
    Masking,
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
    "decoded",
    "encoded",
    "fits",
    "threshold",
    "threshold_of",
    "total",
]
