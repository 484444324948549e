# SPDX-License-Identifier: Apache-2.0
"""Bundles: what one side would say to the other on a connection, signed, for a site that has none.

A coordinator's bundle holds its challenge and what it would say after the site's answer; the site's holds that
challenge once more, the site's answer to it, and what the site would say. So both prove their keys at every exchange,
and all checks are those of a connection. Blobs lie beside the bundle in the same file (storage.bundle_file).
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError

from ..bounds import Count, PositiveInt
from ..errors import UserFacingError
from ..federation.values import Frozen, Sha256
from ..identity import Content, PrivateKey, PublicKey, Signature, is_signed
from .handshake import check_challenge, check_hello
from .messages import MAX_MESSAGE_BYTES, VERSION, Challenge, Hello, Message, SiteName, decode, encode

# A challenge names the TLS key of its connection. No key has this hash, so what is signed for a bundle is of no use on
# a connection, and the other way round.
CARRIED: Final = hashlib.sha256(b"fedmed-desktop bundle").hexdigest()
FORMAT: Final = 1

# A coordinator says less than ten things to a site, and a site offers at most one update for each round.
MOST_MESSAGES: Final = 64
MAX_HEAD_BYTES: Final = 4 * MAX_MESSAGE_BYTES

Way = Literal["to site", "to coordinator"]
_OTHER_WAY: Final[dict[Way, str]] = {"to site": "bundle.for_site", "to coordinator": "bundle.for_coordinator"}


class Bundle(Frozen):
    """Contents of a file that is carried. `site`: its name in the federation. `blobs`: the size of each, by
    sha256.
    """

    format: Count = FORMAT
    way: Way
    site: SiteName
    challenge: Challenge
    hello: Hello | None = None
    messages: tuple[Annotated[str, Field(max_length=MAX_MESSAGE_BYTES)], ...] = Field((), max_length=MOST_MESSAGES)
    blobs: dict[Sha256, PositiveInt] = Field({}, max_length=4 * MOST_MESSAGES)

    def said(self) -> list[Message]:
        """The messages. Raises UserFacingError for one that cannot be read."""
        return [decode(text) for text in self.messages]


class _Sealed(Frozen):
    body: str
    key: PublicKey
    signature: Signature


def texts(messages: list[Message]) -> tuple[str, ...]:
    """Messages as a bundle holds them."""
    return tuple(encode(message) for message in messages)


def sealed(key: PrivateKey, bundle: Bundle) -> bytes:
    """The bundle as it is written, signed by its sender."""
    body = bundle.model_dump_json()
    signature = key.sign("bundle", _content(body))
    return _Sealed(body=body, key=key.public, signature=signature).model_dump_json().encode()


def for_site(data: bytes, site: str, coordinator: str) -> Bundle:
    """Reads, at a site, what the coordinator with this fingerprint says to it. Raises UserFacingError."""
    bundle, key = _opened(data, "to site")
    check_challenge(bundle.challenge, CARRIED, coordinator)
    if key != bundle.challenge.key:
        raise UserFacingError("bundle.other_key")
    if bundle.site != site:
        raise UserFacingError("bundle.other_site", found=bundle.site, site=site)
    return bundle


def for_coordinator(data: bytes, coordinator: str) -> tuple[Bundle, Hello]:
    """Reads, at the coordinator with this fingerprint, what a site says that owns its key. Raises UserFacingError."""
    bundle, key = _opened(data, "to coordinator")
    check_challenge(bundle.challenge, CARRIED, coordinator)
    if bundle.hello is None or key != bundle.hello.key:
        raise UserFacingError("bundle.other_key")
    check_hello(bundle.challenge, bundle.hello)
    return bundle, bundle.hello


def _opened(data: bytes, way: Way) -> tuple[Bundle, str]:
    """A bundle, and the key that signed it."""
    try:
        seal = _Sealed.model_validate_json(data, strict=True)
        if not is_signed(seal.key, "bundle", _content(seal.body), seal.signature):
            raise UserFacingError("bundle.signature")
        bundle = Bundle.model_validate_json(seal.body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "bundle"
        raise UserFacingError("bundle.not_understood", place=place[:200]) from None
    if bundle.format != FORMAT or bundle.challenge.version != VERSION:
        raise UserFacingError("bundle.version", found=bundle.challenge.version, known=VERSION)
    if bundle.way != way:
        raise UserFacingError(_OTHER_WAY[bundle.way])
    return bundle, seal.key


def _content(body: str) -> Content:
    return {"body": hashlib.sha256(body.encode()).hexdigest()}
