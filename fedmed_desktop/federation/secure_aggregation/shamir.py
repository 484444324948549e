# SPDX-License-Identifier: Apache-2.0
"""Shamir's secret sharing (1979) of 32 bytes, over the integers modulo the smallest prime above 2^256.

Any `threshold` shares give the secret, fewer say nothing about it. Written here because no well-kept library shares 32
bytes: PyCryptodome's takes 16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

PRIME: Final = 2**256 + 297
SECRET_BYTES: Final = 32
SHARE_BYTES: Final = 33  # a number below PRIME

Random = Callable[[int], bytes]
"""So many unpredictable bytes; os.urandom but in tests."""


def split(secret: bytes, threshold: int, many: int, random: Random) -> list[bytes]:
    """The shares number 1 to `many`, SHARE_BYTES each, of a secret of SECRET_BYTES."""
    assert len(secret) == SECRET_BYTES and 1 <= threshold <= many
    # 16 bytes more than a number has: what is left modulo PRIME is uniform to 2^-128.
    rest = [int.from_bytes(random(SHARE_BYTES + 16), "big") % PRIME for _ in range(threshold - 1)]
    coefficients = [*rest, int.from_bytes(secret, "big")]
    shares = []
    for x in range(1, many + 1):
        y = 0
        for coefficient in coefficients:
            y = (y * x + coefficient) % PRIME
        shares.append(y.to_bytes(SHARE_BYTES, "big"))
    return shares


def joined(shares: Mapping[int, bytes]) -> bytes | None:
    """The secret, from exactly `threshold` shares by their numbers; None if they are none of one secret's.

    Wrong shares may also give another secret: who asks compares it with what is known of it.
    """
    total = 0
    for x, share in shares.items():
        above, below = 1, 1
        for other in shares:
            if other != x:
                above, below = above * other % PRIME, below * (other - x) % PRIME
        total += int.from_bytes(share, "big") * above * pow(below, -1, PRIME)
    total %= PRIME
    return total.to_bytes(SECRET_BYTES, "big") if total < 2 ** (8 * SECRET_BYTES) else None
