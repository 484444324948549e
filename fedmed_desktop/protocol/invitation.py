# SPDX-License-Identifier: Apache-2.0
"""Invitation of a site, or of a host, in one line: where the coordinator is, how to know it, and a code for one use.

    fedmed:<base32 of: version, flags, fingerprint, code, address and name (each after its length), checksum>

That of a host has version 2, which programs without hosts take for a newer one, and its flag; so a program knows for
which role it is before it calls. What the code is good for, the coordinator's registry says.

Base32 has one case, no punctuation and a compact form in QR codes. The checksum finds what was mistyped or cut off
before any connection is tried; it protects against mistakes, not against people.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from urllib.parse import urlsplit

from ..errors import UserFacingError
from ..federation.names import clean_name

SCHEME: Final = "fedmed:"
CODE_BYTES: Final = 16
FILE_SUFFIX: Final = ".fedmed"
# A line is at most 570 signs long; a file has a few lines of comment, and people paste whole e-mails.
MOST_TEXT: Final = 20_000

_VERSION: Final = 1
_HOST_VERSION: Final = 2
_ROOTS: Final = 1
_HOST: Final = 2
_CHECKSUM_BYTES: Final = 4
_FINGERPRINT_BYTES: Final = 32
_MOST_PIECES: Final = 200  # that a line may be broken into
_MOST_BYTES: Final = 255  # of an address, and of a name
# Blanks, line breaks, and the marks that mail programs and typists put between or around the signs.
_PASSED_OVER: Final = re.compile("[\\s\u200b\ufeff>\\-]+")
_BODY: Final = re.compile("fedmed:([a-z0-9\\s\u200b\ufeff>\\-]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Invitation:
    """Invitation that a host gives to a site, or to another host. `code` is secret until it has been used.

    `address`: host and port, an IPv6 address in brackets. `fingerprint`: of the coordinator's identity key, in hex.
    `site`: the name in the federation that it is for, a host's too. `roots`: the TLS certificate is one that the
    system's roots confirm. `role`: what it lets one be.
    """

    address: str
    fingerprint: str
    code: bytes = field(repr=False)
    site: str
    roots: bool = False
    role: Literal["site", "host"] = "site"

    @property
    def url(self) -> str:
        return f"wss://{self.address}"

    def line(self) -> str:
        """The invitation as one line. Raises ValueError for a value that no invitation can have."""
        address, name = self.address.encode(), self.site.encode()
        if len(address) > _MOST_BYTES or len(name) > _MOST_BYTES or len(self.code) != CODE_BYTES:
            raise ValueError("too long for an invitation")
        version, flags = (_HOST_VERSION, _HOST) if self.role == "host" else (_VERSION, 0)
        body = bytes([version, flags | (_ROOTS if self.roots else 0)]) + bytes.fromhex(self.fingerprint) + self.code
        body += bytes([len(address)]) + address + bytes([len(name)]) + name
        return SCHEME + base64.b32encode(body + _checksum(body)).decode().rstrip("=").lower()


def read_invitation(text: str) -> Invitation:
    """Finds and reads the invitation in a text: the line alone, a .fedmed file, or the e-mail around it.

    Raises UserFacingError, before any connection: none in it, mistyped, or of a newer version.
    """
    if len(text) > MOST_TEXT:
        raise UserFacingError("invitation.too_long")
    found = _BODY.search(text)
    if not found:
        raise UserFacingError("invitation.none")
    data = _decoded(found[1])
    body = data[:-_CHECKSUM_BYTES]
    if body[:1] not in (bytes([_VERSION]), bytes([_HOST_VERSION])):
        raise UserFacingError("invitation.newer", found=data[0], known=_HOST_VERSION)
    try:
        return _parsed(body)
    except (ValueError, IndexError):  # whole, so it was made so
        raise UserFacingError("invitation.damaged") from None


def file_text(invitation: Invitation, federation: str, until: datetime) -> str:
    """Content of an invitation's file: the line, after what a person should know about it."""
    what = f"as a host of {federation}" if invitation.role == "host" else f"to {federation}"
    return (
        f"# Invitation of {invitation.site} {what}, valid until {until:%Y-%m-%d %H:%M} UTC, for one use.\n"
        "# Keep it secret until it has been used. Open it with fedmed-desktop: Join, Open file.\n"
        f"{invitation.line()}\n"
    )


def _decoded(body: str) -> bytes:
    """Reads what belongs to the line: it may be broken over lines, and a message may go on after it."""
    signs = ""
    for piece in _PASSED_OVER.split(body.upper())[:_MOST_PIECES]:
        signs += piece
        with contextlib.suppress(binascii.Error):
            data = base64.b32decode(signs + "=" * (-len(signs) % 8))
            whole = base64.b32encode(data).decode().rstrip("=") == signs  # spare bits of the last sign are zero
            if whole and _checksum(data[:-_CHECKSUM_BYTES]) == data[-_CHECKSUM_BYTES:]:
                return data
    raise UserFacingError("invitation.mistyped")


def _parsed(body: bytes) -> Invitation:
    at = 2 + _FINGERPRINT_BYTES
    fingerprint, code = body[2:at].hex(), body[at : at + CODE_BYTES]
    address, at = _text(body, at + CODE_BYTES)
    name, at = _text(body, at)
    flags, role = (_ROOTS | _HOST, "host") if body[0] == _HOST_VERSION else (_ROOTS, "site")
    if at != len(body) or body[1] & ~flags or (role == "host") != bool(body[1] & _HOST) or clean_name(name) != name:
        raise ValueError
    if not is_address(address):
        raise ValueError
    return Invitation(address, fingerprint, code, name, bool(body[1] & _ROOTS), "host" if role == "host" else "site")


def is_address(text: str) -> bool:
    """Tells whether this is a host and a port, such as federation.example.org:8765 or [::1]:8765."""
    try:
        parts = urlsplit(f"//{text}")
        return bool(parts.netloc == text and parts.hostname and parts.port and "@" not in text)
    except ValueError:
        return False


def _text(body: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + body[at]
    if end > len(body):
        raise ValueError
    return body[at + 1 : end].decode(), end


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(b"fedmed-desktop invitation\0" + body).digest()[:_CHECKSUM_BYTES]
