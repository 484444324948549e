# SPDX-License-Identifier: Apache-2.0
"""Random numbers that nobody can repeat: keyed by the operating system, by a cipher, and never by a plan's seed.

Whoever knew the noise of differential privacy, or which notes a step took, could take it off again; the coordinator
knows every seed.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from ..arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class SecretRandom:
    """A stream of AES-256 in counter mode under a key of its own.

    `key`: 32 bytes, given by tests, and where a sum that a crash cut off must come out the same.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._stream = Cipher(AES(key or secrets.token_bytes(32)), CTR(bytes(16))).encryptor()

    def uniforms(self, count: int) -> NDArray[np.float64]:
        """Uniform in (0, 1), of 53 bits."""
        words = np.frombuffer(self._stream.update(bytes(8 * count)), np.uint64)
        return ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53

    def normals(self, count: int) -> NDArray[np.float64]:
        """Standard normal, by Box and Muller; 8.6 at most."""
        half = -(-count // 2)
        radius = np.sqrt(-2.0 * np.log(self.uniforms(half)))
        angle = 2.0 * np.pi * self.uniforms(half)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
