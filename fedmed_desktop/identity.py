# SPDX-License-Identifier: Apache-2.0
"""Identity of a site or a coordinator: its Ed25519 key, what it signs, and the six words that two people compare."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Annotated, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import Field

from .errors import UserFacingError

PublicKey = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""Raw Ed25519 public key, 32 bytes in hex."""

Signature = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
"""Ed25519 signature, 64 bytes in hex."""

Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""sha256 of a raw public key, in hex."""

Content = Mapping[str, str | int | None]

_WORDS: Final = 6
_BITS_OF_A_WORD: Final = 11
# The words have 66 bits, and who stands between two people chooses keys on both sides: some 2^33 tries give two sets of
# keys with the same words. So each try is slow, 16 MiB and about 0.1 s: decades of a processor. Inferred.
_COST: Final = 2**14
_MOST_KNOWN: Final = 1000


class PrivateKey:
    """Ed25519 private key. Never printed: its repr shows the public half."""

    def __init__(self, raw: bytes) -> None:
        """`raw`: the 32 bytes of the seed. Raises ValueError for any other length."""
        self._key = Ed25519PrivateKey.from_private_bytes(raw)
        self.public: str = self._key.public_key().public_bytes_raw().hex()

    @classmethod
    def new(cls) -> PrivateKey:
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def raw(self) -> bytes:
        """The 32 secret bytes, for storing them."""
        return self._key.private_bytes_raw()

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public)

    def sign(self, purpose: str, content: Content) -> str:
        """Signs the content for one purpose: a signature for another purpose, or another content, never verifies."""
        return self._key.sign(canonical(purpose, content)).hex()

    def __repr__(self) -> str:
        return f"PrivateKey(public={self.public})"


def fingerprint(public: str) -> str:
    """Fingerprint of a public key."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()


def is_signed(public: str, purpose: str, content: Content, signature: str) -> bool:
    """Tells whether the owner of this key signed this content for this purpose. False too for a malformed key."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), canonical(purpose, content))
    except (InvalidSignature, ValueError):
        return False
    return True


def verify(public: str, purpose: str, content: Content, signature: str) -> None:
    """Raises UserFacingError("identity.signature") unless the owner of this key signed this content."""
    if not is_signed(public, purpose, content, signature):
        raise UserFacingError("identity.signature", purpose=purpose, fingerprint=fingerprint(public)[:16])


def canonical(purpose: str, content: Content) -> bytes:
    """The bytes that are signed: the purpose, then JSON with sorted keys, without blanks, in UTF-8."""
    body = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return b"fedmed-desktop " + purpose.encode() + b"\0" + body.encode()


def phrase(one: str, other: str) -> str:
    """Six words that two public keys give, in either order: equal on both screens only if both know the same keys."""
    return phrase_of((one, other))


def phrase_of(keys: Iterable[str]) -> str:
    """Six words that these public keys give together, in any order. Takes a tenth of a second, once for each set."""
    return _phrase(b"".join(sorted(map(bytes.fromhex, keys))))


@lru_cache(maxsize=_MOST_KNOWN)
def _phrase(keys: bytes) -> str:
    slow = Scrypt(salt=b"fedmed-desktop phrase", length=32, n=_COST, r=8, p=1)
    number, words = int.from_bytes(slow.derive(keys), "big"), _words()
    return "-".join(words[(number >> (_BITS_OF_A_WORD * at)) % len(words)] for at in range(_WORDS))


@cache
def _words() -> tuple[str, ...]:
    from mnemonic import Mnemonic  # read only where a phrase is shown

    return tuple(Mnemonic("english").wordlist)
