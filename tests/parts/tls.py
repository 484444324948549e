# SPDX-License-Identifier: Apache-2.0
"""Certificates of an authority that exists in tests only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Issued:
    """Files of one certificate: `chain` holds the authority's after it."""

    chain: Path
    key: Path


class Authority:
    def __init__(self, folder: Path, now: datetime) -> None:
        self._folder = folder
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Hospital authority")
        self._certificate = (
            self._builder(self._name, self._key, now - timedelta(days=1), now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.root = folder / "root.pem"
        self.root.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    def issue(
        self, host: str, begins: datetime | None = None, ends: datetime | None = None, password: bytes | None = None
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        ends = ends or self._now + timedelta(days=90)
        begins = begins or min(self._now, ends) - timedelta(days=1)
        certificate = (
            self._builder(_name(host), key, begins, ends)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        issued = Issued(self._folder / f"{host}.pem", self._folder / f"{host}.key")
        issued.chain.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in (certificate, self._certificate)))
        lock: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
        issued.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
        return issued

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, ends: datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
