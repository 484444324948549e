# SPDX-License-Identifier: Apache-2.0
"""Handshake: each side proves that it owns its key, on this connection and no other, before anything else is said.

The coordinator speaks first. Its identity key signs the public key of its TLS certificate, which the site compares
with the one that the connection really has: so a man in the middle, who has another TLS key, is found out, and
certificates may change without unsettling anyone. The site then signs the coordinator's nonce and both keys, so that
its signature is of no use on any other connection.

On a plain connection there is no TLS key to sign: it is for one computer only.
"""

from __future__ import annotations

from ..errors import UserFacingError
from ..identity import Content, PrivateKey, fingerprint, is_signed
from .hosting import HostHello
from .messages import VERSION, Challenge, Hello, decode

_SHOWN = 16  # hex digits of a fingerprint in a sentence: 64 bits


def challenge(key: PrivateKey, nonce: str, tls: str) -> Challenge:
    """The coordinator's first message. `nonce`: 32 fresh random bytes in hex, for this connection alone."""
    open_challenge = Challenge(version=VERSION, nonce=nonce, key=key.public, tls=tls)
    return open_challenge.model_copy(update={"signature": key.sign("challenge", _offered(open_challenge))})


def challenge_in(frame: str | bytes) -> Challenge:
    """The challenge that a connection begins with. Raises UserFacingError where it begins with something else."""
    given = decode(frame if isinstance(frame, str) else "")
    if not isinstance(given, Challenge):  # a goodbye neither: anybody on the line could say it
        raise UserFacingError("protocol.not_understood", place=given.type, reason="a challenge comes first")
    return given


def check_challenge(given: Challenge, tls: str, expected: str | None) -> None:
    """Checks, at the site, who the coordinator is.

    `tls`: sha256 of the TLS public key that the connection really has ("" for a plain one). `expected`: the fingerprint
    in the invitation, or of the coordinator that the site joined; None where any is taken (on this computer only).

    Raises UserFacingError, never retryable: another coordinator, an intercepted connection, another version.
    """
    if given.version != VERSION:
        raise UserFacingError("join.version", site=VERSION, coordinator=given.version)
    found = fingerprint(given.key)
    if expected is not None and found != expected:
        raise UserFacingError("link.other_coordinator", found=found[:_SHOWN], expected=expected[:_SHOWN])
    if not is_signed(given.key, "challenge", _offered(given), given.signature):
        raise UserFacingError("link.not_proved", found=found[:_SHOWN])
    if given.tls != tls:
        raise UserFacingError("link.intercepted", found=tls[:_SHOWN] or "-", expected=given.tls[:_SHOWN] or "-")


def answered(key: PrivateKey, given: Challenge, hello: Hello) -> Hello:
    """The site's answer, signed for this challenge."""
    return hello.model_copy(update={"signature": key.sign("hello", _answer(given, hello))})


def answered_by_host(key: PrivateKey, given: Challenge, hello: HostHello) -> HostHello:
    """A host's answer, signed for this challenge. A site's signature is never good for it, nor the reverse."""
    return hello.model_copy(update={"signature": key.sign("host hello", _answer(given, hello))})


def check_hello(given: Challenge, hello: Hello | HostHello) -> None:
    """Checks, at the coordinator, that the site or host owns its key. Raises UserFacingError("join.not_proved")."""
    purpose, name = ("hello", hello.site) if isinstance(hello, Hello) else ("host hello", hello.name)
    if not is_signed(hello.key, purpose, _answer(given, hello), hello.signature):
        raise UserFacingError("join.not_proved", site=name)


def _offered(given: Challenge) -> Content:
    return {"version": given.version, "nonce": given.nonce, "tls": given.tls}


def _answer(given: Challenge, hello: Hello | HostHello) -> Content:
    said = hello.model_dump(exclude={"type", "signature"})
    return {**said, "nonce": given.nonce, "tls": given.tls, "coordinator": given.key}
