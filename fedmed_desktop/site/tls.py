# SPDX-License-Identifier: Apache-2.0
"""TLS at a site: trusted certificates, the coordinator's real public key, and errors in plain codes."""

from __future__ import annotations

import hashlib
import ssl
from datetime import datetime
from typing import Final

from ..errors import UserFacingError

# Verification results of OpenSSL (x509_vfy.h).
_SIGNATURE_DAMAGED: Final = 7
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_HOST: Final = (62, 64)  # of a name, of an address
# What OpenSSL calls an answer that is no TLS at all.
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "PACKET_LENGTH_TOO_LONG")
_NO_COMMON_VERSION: Final = ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE")


def context_for(roots: bool) -> ssl.SSLContext:
    """TLS context with which this site connects.

    With `roots`, the certificate must be of an authority that this system trusts, and for the coordinator's host.
    Without, any will do: the coordinator then proves by the signature of its identity that the TLS key is its own.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    if roots:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def peer_key(ssl_object: ssl.SSLObject | ssl.SSLSocket) -> str:
    """sha256, in hex, of the public key (SubjectPublicKeyInfo) of the certificate that the other side has shown.

    A certificate that cannot be read gives what no coordinator has signed.
    """
    from cryptography import x509  # only once there is a connection
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    certificate = ssl_object.getpeercert(binary_form=True) or b""
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return hashlib.sha256(b"unreadable" + certificate).hexdigest()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def tls_fault(error: ssl.SSLError, address: str, now: datetime) -> UserFacingError:
    """The error to tell the user after a failed TLS connection; retryable only where the line may be at fault."""
    clock = f"{now:%Y-%m-%d %H:%M}"
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (_NOT_YET_VALID, _EXPIRED):
            code = "link.certificate_expired" if error.verify_code == _EXPIRED else "link.certificate_not_yet"
            return UserFacingError(code, address=address, clock=clock)
        if error.verify_code in _OTHER_HOST:
            return UserFacingError("link.certificate_host", address=address)
        if error.verify_code != _SIGNATURE_DAMAGED:
            reason = (error.verify_message or "unknown").lower()
            return UserFacingError("link.certificate_untrusted", address=address, reason=reason)
    found = getattr(error, "reason", None)  # only where OpenSSL gave one
    if found in _NOT_TLS:
        return UserFacingError("link.not_tls", address=address)
    if found in _NO_COMMON_VERSION:
        return UserFacingError("link.tls_version", address=address)
    reason = (found or "it was cut off").replace("_", " ").lower()
    return UserFacingError("link.tls_failed", retryable=True, address=address, reason=reason)
