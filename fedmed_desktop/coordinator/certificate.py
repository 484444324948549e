# SPDX-License-Identifier: Apache-2.0
"""The coordinator's TLS key and certificate: its own, made and renewed by itself, or those of a hospital's authority.

Sites trust the coordinator's identity, which signs the TLS key at every connection. So an own certificate need not be
believed by anybody, and it can be renewed, even with another key, without unsettling those who have joined.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..errors import UserFacingError, disk_fault, reason_of
from ..files import make_folder, write_durably

_log = logging.getLogger(__name__)

_KEY, _CERTIFICATE = "tls-key.pem", "tls-certificate.pem"
# Longer ones are refused by some programs (398 days is the limit of browsers).
_LIFE: Final = timedelta(days=397)
# A site's clock may be slow by hours; the certificate is valid there all the same.
_BACKDATED: Final = timedelta(days=1)
# Forward secrecy and authenticated encryption only; TLS 1.3 has no others. They concern TLS 1.2.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
# A certificate has room for them; a host with hundreds of container networks has more addresses than anyone asks for.
_MOST_NAMES: Final = 100


@dataclass(frozen=True)
class ServerTls:
    """TLS of a coordinator: key, certificate and settings. `renewed` gives the one for connections from now on.

    `key_sha256` is that of the public key (SubjectPublicKeyInfo) in hex, which a site sees too; `names` are the hosts
    in the certificate, in small letters, with `*.` where it has a wildcard.
    """

    context: ssl.SSLContext = field(repr=False, compare=False)
    key_sha256: str
    not_after: datetime
    names: frozenset[str]
    own: bool
    renewed: Callable[[datetime], ServerTls] = field(repr=False, compare=False)


def own_certificate(data_dir: Path, names: Iterable[str], now: datetime) -> ServerTls:
    """Certificate of the coordinator's own making for `names` and this computer's names and addresses.

    Made at the first call, and again with the same key once a third of its life is left or a name is new. Raises
    UserFacingError where the folder cannot be read or written.
    """
    names = tuple(names)
    key_file, file = make_folder(data_dir) / _KEY, data_dir / _CERTIFICATE
    key = _own_key(key_file)
    wanted = _general_names([*names, "localhost", socket.gethostname(), *own_addresses()])
    certificate = _still_good(file, key, wanted, now)
    if certificate is None:
        certificate = _signed(key, wanted, now)
        write_durably(file, certificate.public_bytes(serialization.Encoding.PEM))
        _log.info("a TLS certificate was made, valid until %s", certificate.not_valid_after_utc.date())
    return _serving(file, key_file, certificate, True, partial(own_certificate, data_dir, names))


def given_certificate(certificate: Path, key: Path, now: datetime) -> ServerTls:
    """Certificate of an authority: a PEM file with the coordinator's own first and then those above it, and its key.

    Raises UserFacingError that says what is wrong with the files. `renewed` reads them again.
    """
    private = _given_key(key)
    chain = _given_chain(certificate)
    keys = [_spki(one.public_key()) for one in chain]
    if (own := _spki(private.public_key())) != keys[0]:
        code = "certificate.order" if own in keys else "certificate.other_key"
        raise UserFacingError(code, path=str(certificate), key=str(key))
    first = chain[0]
    if now >= first.not_valid_after_utc:
        date = f"{first.not_valid_after_utc:%Y-%m-%d}"
        raise UserFacingError("certificate.expired", path=str(certificate), date=date)
    if now < first.not_valid_before_utc:
        date = f"{first.not_valid_before_utc:%Y-%m-%d %H:%M}"
        raise UserFacingError("certificate.not_yet", path=str(certificate), date=date)
    return _serving(certificate, key, first, False, partial(given_certificate, certificate, key))


# -- files -----------------------------------------------------------------------------------------------------------


def _own_key(file: Path) -> ec.EllipticCurvePrivateKey:
    """The TLS key; a new one where there is none, or none that can be used: nobody has been told to expect this one."""
    try:
        if file.exists():
            key = serialization.load_pem_private_key(file.read_bytes(), None)
            if isinstance(key, ec.EllipticCurvePrivateKey):
                return key
    except OSError as error:
        raise disk_fault(error, file) from error
    except (TypeError, ValueError):
        _log.warning("the TLS key in %s is damaged; a new one is made", file)
    made = ec.generate_private_key(ec.SECP256R1())
    write_durably(file, _pem(made))
    return made


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, none)


def _still_good(
    file: Path, key: ec.EllipticCurvePrivateKey, wanted: list[x509.GeneralName], now: datetime
) -> x509.Certificate | None:
    """The certificate of an earlier start, unless a new one is due."""
    try:
        found = x509.load_pem_x509_certificate(file.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_fault(error, file) from error
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return None
    life = found.not_valid_after_utc - found.not_valid_before_utc
    young = found.not_valid_before_utc <= now < found.not_valid_after_utc - life / 3
    # One that names more than is wanted stays: networks come and go.
    return found if young and _spki(found.public_key()) == _spki(key.public_key()) and {*wanted} <= {*names} else None


def _given_key(file: Path) -> PrivateKeyTypes:
    """The key; one that is locked with a password is told apart, else OpenSSL would ask for it on the terminal."""
    try:
        return serialization.load_pem_private_key(_bytes(file), None)
    except TypeError as error:
        raise UserFacingError("certificate.key_locked", path=str(file)) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UserFacingError("certificate.no_key", path=str(file)) from error


def _given_chain(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_bytes(file))
    except ValueError as error:
        raise UserFacingError("certificate.no_pem", path=str(file)) from error


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise UserFacingError("certificate.missing", path=str(file)) from None
    except OSError as error:
        raise UserFacingError("certificate.unreadable", path=str(file), reason=reason_of(error)) from error


# -- certificates ----------------------------------------------------------------------------------------------------


def _signed(key: ec.EllipticCurvePrivateKey, names: list[x509.GeneralName], now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fedmed-desktop coordinator")])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now - _BACKDATED + _LIFE)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _general_names(hosts: Iterable[str]) -> list[x509.GeneralName]:
    """Hosts as a certificate names them, each once; those that it cannot name are left out."""
    found: dict[x509.GeneralName, None] = {}
    for host in hosts:
        try:
            address = ipaddress.ip_address(host.strip("[]"))
            if not address.is_unspecified and not getattr(address, "scope_id", None):
                found[x509.IPAddress(address)] = None
        except ValueError:
            with contextlib.suppress(UnicodeError, ValueError):  # no DNS name, such as a computer's name with a blank
                found[x509.DNSName(host.rstrip(".").encode("idna").decode().lower())] = None
    return list(found)[:_MOST_NAMES]


def own_addresses() -> list[str]:
    """Addresses of this computer's networks; ones of a single cable (link-local) are left out."""
    import psutil

    kinds = (socket.AF_INET, socket.AF_INET6)
    found = [one.address for all_of in psutil.net_if_addrs().values() for one in all_of if one.family in kinds]
    return sorted(address for address in found if "%" not in address)


def _spki(key: PublicKeyTypes) -> bytes:
    """SubjectPublicKeyInfo of a public key, which is what all kinds of keys have in common."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _serving(
    file: Path, key_file: Path, certificate: x509.Certificate, own: bool, renewed: Callable[[datetime], ServerTls]
) -> ServerTls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    # Nothing to go on with: a connection of days needs no quick second one, and tickets weaken forward secrecy.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    try:
        context.load_cert_chain(file, key_file)
    except OSError as error:  # ssl.SSLError is one: a key too short for today's rules, say
        reason = (error.reason or "").replace("_", " ").lower() if isinstance(error, ssl.SSLError) else reason_of(error)
        raise UserFacingError("certificate.unreadable", path=str(file), reason=reason) from error
    digest = hashlib.sha256(_spki(certificate.public_key())).hexdigest()
    return ServerTls(context, digest, certificate.not_valid_after_utc, _names(certificate), own, renewed)


def _names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return frozenset()
    hosts = names.get_values_for_type(x509.DNSName)
    return frozenset([*map(str.lower, hosts), *map(str, names.get_values_for_type(x509.IPAddress))])
