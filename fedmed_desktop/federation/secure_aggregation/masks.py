# SPDX-License-Identifier: Apache-2.0
"""Masks and seals: X25519, HKDF-SHA256, ChaCha20 and ChaCha20-Poly1305, all from `cryptography`.

A mask is a ChaCha20 keystream read as numbers of 32 bits. Every key is used for one mask or one seal, so a nonce of
zeros is never met twice under the same key; seals draw one nevertheless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ...arrays import np
from .shamir import Random
from .values import Session

if TYPE_CHECKING:
    from numpy.typing import NDArray

Numbers: TypeAlias = "NDArray[np.uint32]"

_NONCE: Final = 12
# Bytes of keystream at a time: these and the numbers that they are added to stay in a core's cache.
_PIECE: Final = 2**18
_ZEROS: Final = bytes(_PIECE)


def public_of(secret: bytes) -> str:
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw().hex()


def pair_mask_key(session: Session, secret: bytes, other: str) -> bytes:
    """Key of the mask between two sites, from the secret mask key of one and the public one of the other."""
    return _derived(session, "pair mask", _shared(secret, other))


def self_mask_key(session: Session, seed: bytes) -> bytes:
    return _derived(session, "self mask", seed)


def add_mask(numbers: Numbers, key: bytes, sign: int = 1) -> None:
    """Adds the mask of this key to the numbers in place, modulo 2^32, or takes it away (`sign` -1)."""
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
    piece = bytearray(_PIECE)
    mask = np.frombuffer(piece, dtype="<u4")
    change = np.add if sign > 0 else np.subtract
    for at in range(0, len(numbers), _PIECE // 4):
        part = numbers[at : at + _PIECE // 4]
        stream.update_into(_ZEROS[: 4 * len(part)], piece)
        change(part, mask[: len(part)], out=part)


def sign_between(one: str, other: str) -> int:
    """Sign with which `one` adds the mask that it has with `other`, which adds it with the opposite one."""
    return 1 if one < other else -1


def sealed(
    session: Session, secret: bytes, to: str, names: tuple[str, str], among: bytes, plain: bytes, random: Random
) -> bytes:
    """Bytes that only the owner of the public key `to` can read. `names`: of sender and receiver, `among` all."""
    nonce = random(_NONCE)
    return nonce + _cipher(session, secret, to, names).encrypt(nonce, plain, among)


def unsealed(
    session: Session, secret: bytes, of: str, names: tuple[str, str], among: bytes, box: bytes
) -> bytes | None:
    """Opens what the owner of the public key `of` has sealed for this secret; None if it was not sealed so."""
    try:
        return _cipher(session, secret, of, names).decrypt(box[:_NONCE], box[_NONCE:], among)
    except InvalidTag:
        return None


def _cipher(session: Session, secret: bytes, other: str, names: tuple[str, str]) -> ChaCha20Poly1305:
    about = "\0".join(("seal", *names))
    return ChaCha20Poly1305(_derived(session, about, _shared(secret, other)))


def is_usable(public: str) -> bool:
    """False for a public key of small order, with which everybody shares the same secret."""
    try:
        _shared(bytes(range(32)), public)
    except ValueError:
        return False
    return True


def _shared(secret: bytes, other: str) -> bytes:
    """Raises ValueError for a key that is not usable."""
    public = X25519PublicKey.from_public_bytes(bytes.fromhex(other))
    return X25519PrivateKey.from_private_bytes(secret).exchange(public)


def _derived(session: Session, purpose: str, material: bytes) -> bytes:
    info = b"fedmed-desktop " + purpose.encode()
    return HKDF(SHA256(), length=32, salt=session.binding, info=info).derive(material)
