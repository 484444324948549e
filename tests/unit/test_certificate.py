# SPDX-License-Identifier: Apache-2.0
"""Certificates of the coordinator, and what a site makes of them, over real TLS connections."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from fedmed_desktop.coordinator.certificate import ServerTls, given_certificate, own_certificate
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.site.tls import context_for, peer_key, tls_fault
from tests.parts.tls import Authority
from tests.parts.told import told_as

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def read(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "tls-certificate.pem").read_bytes())


# -- its own ---------------------------------------------------------------------------------------------------------


def test_a_coordinator_makes_its_key_and_certificate_once(tmp_path: Path) -> None:
    one = own_certificate(tmp_path, ["fed.hospital.org", "192.0.2.7"], NOW)
    serial = read(tmp_path).serial_number
    again = own_certificate(tmp_path, ["fed.hospital.org", "192.0.2.7"], NOW + timedelta(days=200))
    assert again == one and one.own and read(tmp_path).serial_number == serial
    assert (tmp_path / "tls-key.pem").stat().st_mode & 0o77 == 0 or os.name == "nt"


def test_the_certificate_names_hosts_and_addresses_of_the_coordinator(tmp_path: Path) -> None:
    tls = own_certificate(tmp_path, ["Fed.Hospital.org.", "192.0.2.7", "köln.example", "2001:db8::1"], NOW)
    assert {
        "fed.hospital.org",
        "192.0.2.7",
        "xn--kln-sna.example",
        "2001:db8::1",
        "localhost",
        "127.0.0.1",
    } <= tls.names
    names = read(tmp_path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ipaddress.ip_address("192.0.2.7") in names.get_values_for_type(x509.IPAddress)


def test_a_host_that_no_certificate_can_name_is_left_out(tmp_path: Path) -> None:
    tls = own_certificate(tmp_path, ["", "0.0.0.0", "::", "a" * 70 + ".org", "fine.org"], NOW)
    assert "fine.org" in tls.names and not any(name.startswith(("0.0.0.0", "aaa")) for name in tls.names)


def test_the_certificate_is_renewed_with_the_same_key_before_it_expires(tmp_path: Path) -> None:
    one = own_certificate(tmp_path, [], NOW)
    later = one.renewed(NOW + timedelta(days=300))
    assert later.key_sha256 == one.key_sha256 and later.not_after > one.not_after + timedelta(days=290)
    assert later.context is not one.context


def test_the_certificate_is_renewed_for_a_new_name_and_kept_for_one_less(tmp_path: Path) -> None:
    one = own_certificate(tmp_path, ["old.org"], NOW)
    wider = own_certificate(tmp_path, ["old.org", "new.org"], NOW + timedelta(days=1))
    assert wider.not_after > one.not_after and wider.key_sha256 == one.key_sha256
    assert own_certificate(tmp_path, ["new.org"], NOW + timedelta(days=2)).not_after == wider.not_after


def test_a_certificate_made_while_the_clock_was_ahead_is_made_again(tmp_path: Path) -> None:
    own_certificate(tmp_path, [], NOW + timedelta(days=900))
    assert own_certificate(tmp_path, [], NOW).not_after < NOW + timedelta(days=400)


@pytest.mark.parametrize("file", ["tls-key.pem", "tls-certificate.pem"])
def test_a_damaged_file_of_its_own_is_made_again(tmp_path: Path, file: str) -> None:
    own_certificate(tmp_path, [], NOW)
    (tmp_path / file).write_bytes(b"\0" * 40)
    tls = own_certificate(tmp_path, [], NOW)
    assert own_certificate(tmp_path, [], NOW) == tls


def test_a_key_that_cannot_be_read_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "tls-key.pem").mkdir()
    with told_as("it is a folder, not a file"):
        own_certificate(tmp_path, [], NOW)


# -- of an authority -------------------------------------------------------------------------------------------------


def test_a_given_certificate_is_used_and_read_again_on_renewal(tmp_path: Path) -> None:
    authority = Authority(tmp_path, NOW)
    files = authority.issue("fed.hospital.org")
    tls = given_certificate(files.chain, files.key, NOW)
    assert not tls.own and tls.names == {"fed.hospital.org"}
    authority.issue("fed.hospital.org", ends=NOW + timedelta(days=200))
    assert tls.renewed(NOW).not_after > tls.not_after


def test_what_is_wrong_with_given_files_is_said(tmp_path: Path) -> None:
    authority = Authority(tmp_path, NOW)
    one, other = authority.issue("one.org"), authority.issue("other.org")
    with told_as("There is no file .*gone.pem"):
        given_certificate(tmp_path / "gone.pem", one.key, NOW)
    with told_as("one.org.key is not a certificate in PEM form"):
        given_certificate(one.key, one.key, NOW)
    with told_as("one.org.pem is not a private key"):
        given_certificate(one.chain, one.chain, NOW)
    with told_as("does not belong to the certificate"):
        given_certificate(one.chain, other.key, NOW)
    old = authority.issue("old.org", ends=NOW - timedelta(days=3))
    with told_as("expired on 2026-11-25"):
        given_certificate(old.chain, old.key, NOW)
    early = authority.issue("early.org", begins=NOW + timedelta(hours=2))
    with told_as("not valid before 2026-11-28 14:00 UTC"):
        given_certificate(early.chain, early.key, NOW)
    locked = authority.issue("locked.org", password=b"secret")
    with told_as("locked with a password"):
        given_certificate(locked.chain, locked.key, NOW)


def test_a_chain_in_the_wrong_order_is_recognised(tmp_path: Path) -> None:
    authority = Authority(tmp_path, NOW)
    files = authority.issue("fed.org")
    files.chain.write_bytes(authority.root.read_bytes() + files.chain.read_bytes())
    with told_as("but not the first one"):
        given_certificate(files.chain, files.key, NOW)


# -- what a site sees ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def answering(context: ssl.SSLContext | None) -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if context is None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


async def shaken(port: int, context: ssl.SSLContext, host: str = "127.0.0.1") -> ssl.SSLObject:
    _reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
    found: ssl.SSLObject = writer.get_extra_info("ssl_object")
    writer.transport.abort()
    return found


async def fault(port: int, context: ssl.SSLContext, host: str = "127.0.0.1") -> UserFacingError:
    with pytest.raises(ssl.SSLError) as caught:
        await shaken(port, context, host)
    return tls_fault(caught.value, "fed.org:8765", NOW)


async def test_a_site_sees_the_key_that_the_coordinator_signs(tmp_path: Path) -> None:
    tls = own_certificate(tmp_path, [], datetime.now(UTC))
    async with answering(tls.context) as port:
        found = await shaken(port, context_for(roots=False))
    assert peer_key(found) == tls.key_sha256
    assert found.version() == "TLSv1.3" and found.compression() is None


@pytest.mark.parametrize("shown", [None, b"", b"0\x82", bytes(500)])
def test_a_certificate_that_cannot_be_read_is_nobodys(shown: bytes | None) -> None:
    class Shown(ssl.SSLSocket):
        def getpeercert(self, binary_form: bool = False) -> bytes | None:  # type: ignore[override]
            return shown

    found = peer_key(Shown.__new__(Shown))
    assert len(found) == 64 and found != hashlib.sha256(shown or b"").hexdigest()


async def test_tls_1_2_is_spoken_with_forward_secrecy_and_nothing_older_is(tmp_path: Path) -> None:
    tls = own_certificate(tmp_path, [], datetime.now(UTC))
    context = context_for(roots=False)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with answering(tls.context) as port:
        found = await shaken(port, context)
    assert found.version() == "TLSv1.2" and str(found.cipher()).startswith("('ECDHE-ECDSA-AES256-GCM")
    assert tls.context.minimum_version == context.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_with_roots_only_a_trusted_certificate_of_that_host_will_do(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = Authority(tmp_path, now)
    good, old = authority.issue("fed.org"), authority.issue("old.org", ends=now - timedelta(days=3))
    early = authority.issue("early.org", begins=now + timedelta(days=3))
    context = context_for(roots=True)
    context.load_verify_locations(authority.root)
    async with answering(given_certificate(good.chain, good.key, now).context) as port:
        assert await shaken(port, context, "fed.org")
        assert (await fault(port, context, "other.org")).code == "link.certificate_host"
        assert (await fault(port, context)).code == "link.certificate_host"
        untrusted = await fault(port, context_for(roots=True), "fed.org")
        assert (untrusted.code, untrusted.retryable) == ("link.certificate_untrusted", False)
    async with answering(given_certificate(old.chain, old.key, now - timedelta(days=4)).context) as port:
        with told_as("has expired; this computer's clock says 2026-11-28 12:00 UTC"):
            raise await fault(port, context, "old.org")
    async with answering(given_certificate(early.chain, early.key, now + timedelta(days=4)).context) as port:
        assert (await fault(port, context, "early.org")).code == "link.certificate_not_yet"


async def test_a_server_without_tls_is_recognised() -> None:
    async with answering(None) as port:
        found = await fault(port, context_for(roots=False))
    assert (found.code, found.retryable) == ("link.not_tls", False)


def test_a_server_with_outdated_tls_is_recognised(tmp_path: Path) -> None:
    tls = own_certificate(tmp_path, [], datetime.now(UTC))
    tls.context.maximum_version = ssl.TLSVersion.TLSv1_2
    context = context_for(roots=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()  # asyncio's servers hang up before they say why
    client, server = context.wrap_bio(down, up), tls.context.wrap_bio(up, down, server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    with pytest.raises(ssl.SSLError):
        server.do_handshake()
    with pytest.raises(ssl.SSLError) as caught:
        client.do_handshake()
    assert tls_fault(caught.value, "fed.org:8765", NOW).code == "link.tls_version"


def test_a_connection_that_the_line_damaged_is_tried_again() -> None:
    error = ssl.SSLError(1, "damaged")
    assert tls_fault(error, "fed.org:8765", NOW).retryable


def test_two_coordinators_have_two_keys(tmp_path: Path) -> None:
    found: set[str] = {own_certificate(tmp_path / name, [], NOW).key_sha256 for name in ("a", "b")}
    assert len(found) == 2 and isinstance(own_certificate(tmp_path / "a", [], NOW), ServerTls)
