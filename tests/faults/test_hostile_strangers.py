# SPDX-License-Identifier: Apache-2.0
"""Strangers that mean harm, before the coordinator knows who they are: what each of them gets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from fedmed_desktop.coordinator import limits
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.protocol.messages import VERSION, Challenge
from fedmed_desktop.protocol.wire import MAX_HELLO_BYTES
from fedmed_desktop.site.tls import context_for
from fedmed_desktop.wording import SENTENCES
from tests.parts.federation import small_spec
from tests.parts.hostile import HOSTILE, Target, attacked, greeting, signed_hello
from tests.parts.loopback import PATIENCE

pytestmark = pytest.mark.integration

MISSING = ...
NOT_UNDERSTOOD, NOT_PROVED, UNKNOWN = "protocol.not_understood", "join.not_proved", "join.no_invitation"
NOBODY = "nobody"
OTHER = PrivateKey(b"o" * 32)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """After all attacks the honest site does its part in the round."""
    with attacked(tmp_path_factory.mktemp("coordinator"), small_spec(rounds=1, sites=2, quorum=1)) as found:
        yield found
        asyncio.run(found.finish())


# -- a hello, field by field -------------------------------------------------------------------------------------------

HELLOS: list[tuple[str, Any, str]] = [
    ("version", MISSING, NOT_UNDERSTOOD),
    ("version", None, NOT_UNDERSTOOD),
    ("version", str(VERSION), NOT_UNDERSTOOD),
    ("version", 5.5, NOT_UNDERSTOOD),
    ("version", True, "join.version"),
    ("version", VERSION - 1, "join.version"),
    ("version", VERSION + 1, "join.version"),
    ("version", -1, "join.version"),
    ("version", 2**70, "join.version"),
    ("site", MISSING, NOT_UNDERSTOOD),
    ("site", None, NOT_UNDERSTOOD),
    ("site", 7, NOT_UNDERSTOOD),
    ("site", ["Honest"], NOT_UNDERSTOOD),
    ("site", "", NOT_UNDERSTOOD),
    ("site", "x" * 300, NOT_UNDERSTOOD),
    ("site", "x" * MAX_HELLO_BYTES, "close 1009"),
    ("site", "a\0b", NOT_UNDERSTOOD),
    ("site", "a\nb", NOT_PROVED),
    ("site", "\u202egnp.exe", NOT_UNDERSTOOD),
    ("site", "H\u200bonest", NOT_UNDERSTOOD),
    ("site", "../../etc/passwd", NOT_UNDERSTOOD),
    ("site", "..\\..\\host", NOT_UNDERSTOOD),
    ("key", MISSING, NOT_UNDERSTOOD),
    ("key", None, NOT_UNDERSTOOD),
    ("key", "ab", NOT_UNDERSTOOD),
    ("key", "AB" * 32, NOT_UNDERSTOOD),
    ("key", "zz" * 32, NOT_UNDERSTOOD),
    ("key", OTHER.public, NOT_PROVED),
    ("key", "00" * 32, NOT_PROVED),
    ("key", "01" + "00" * 31, NOT_PROVED),
    ("key", "ff" * 32, NOT_PROVED),
    ("base", MISSING, NOT_UNDERSTOOD),
    ("base", "../" * 10, NOT_UNDERSTOOD),
    ("base", 0, NOT_UNDERSTOOD),
    ("base", "00" * 32, "join.other_base"),
    ("rank_cap", 0, NOT_UNDERSTOOD),
    ("rank_cap", -3, NOT_UNDERSTOOD),
    ("rank_cap", 2**60, NOT_UNDERSTOOD),
    ("rank_cap", 1.5, NOT_UNDERSTOOD),
    ("rank_cap", "8", NOT_UNDERSTOOD),
    ("rank_cap", False, NOT_UNDERSTOOD),
    ("code", "", NOT_UNDERSTOOD),
    ("code", "abcd", NOT_UNDERSTOOD),
    ("code", "AB" * 16, NOT_UNDERSTOOD),
    ("code", ["ab" * 16], NOT_UNDERSTOOD),
    ("token", "short", NOT_UNDERSTOOD),
    ("token", "x" * 129, NOT_UNDERSTOOD),
    ("token", 5, NOT_UNDERSTOOD),
    ("token", "x" * 64, UNKNOWN),
    ("signature", MISSING, NOT_PROVED),
    ("signature", None, NOT_UNDERSTOOD),
    ("signature", "", NOT_UNDERSTOOD),
    ("signature", "ab", NOT_UNDERSTOOD),
    ("signature", "00" * 64, NOT_PROVED),
    ("signature", "ff" * 64, NOT_PROVED),
    ("binding", {"nonce": "ab" * 32}, NOT_PROVED),
    ("binding", {"tls": "ab" * 32}, NOT_PROVED),
    ("binding", {"tls": ""}, NOT_PROVED),
    ("binding", {"coordinator": OTHER.public}, NOT_PROVED),
    ("type", "ask", NOT_UNDERSTOOD),
    ("type", MISSING, NOT_UNDERSTOOD),
    ("admin", True, NOT_UNDERSTOOD),
    ("state", "admitted", NOT_UNDERSTOOD),
]


@pytest.mark.parametrize(("name", "value", "code"), HELLOS, ids=lambda one: str(one)[:20])
async def test_that_a_hello_that_is_wrong_in_one_field_is_refused(
    name: str, value: Any, code: str, target: Target
) -> None:
    assert await greeting(target, {name: value}, NOBODY) == code
    assert code in SENTENCES or code.startswith("close")


FRAMES: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", NOT_UNDERSTOOD),
    "binary": (b"\0" * 60, NOT_UNDERSTOOD),
    "a pickle": (b"\x80\x04cos\nsystem\n(S'true'\ntR.", NOT_UNDERSTOOD),
    "not json": ("{", NOT_UNDERSTOOD),
    "a list": ("[]", NOT_UNDERSTOOD),
    "a number": ("1e999", NOT_UNDERSTOOD),
    "deep": ("[" * 4000, NOT_UNDERSTOOD),
    "deep tables": ('{"type":' * 500, NOT_UNDERSTOOD),
    "another message": ('{"type": "progress", "round": 1, "phase": "training"}', NOT_UNDERSTOOD),
    "one of the coordinator": ('{"type": "goodbye", "code": "x", "final": true}', NOT_UNDERSTOOD),
    "a huge version": ('{"type": "hello", "version": ' + "9" * 4000 + "}", "join.version"),
    "half a surrogate": ('{"type": "hello", "site": "\\ud800"}', NOT_UNDERSTOOD),
    "too long": ("x" * (MAX_HELLO_BYTES + 1), "close 1009"),
}


@pytest.mark.parametrize("frame", FRAMES)
async def test_that_a_first_frame_that_is_no_hello_is_refused(frame: str, target: Target) -> None:
    said, code = FRAMES[frame]
    assert await greeting(target, said, NOBODY) == code


# -- keys, connections and invitations ---------------------------------------------------------------------------------


async def test_that_a_hello_of_another_connection_is_worth_nothing(target: Target) -> None:
    async with target.raw(HOSTILE) as site:
        recorded = signed_hello(site, await site.hear(Challenge), {})
    assert await greeting(target, recorded) == NOT_PROVED


async def test_that_a_signature_for_another_purpose_proves_nothing(target: Target) -> None:
    async with target.raw(HOSTILE) as site:
        given = await site.hear(Challenge)
        said = json.loads(signed_hello(site, given, {}))
    content = {name: value for name, value in said.items() if name not in ("type", "signature")}
    bound = {"nonce": given.nonce, "tls": given.tls, "coordinator": given.key}
    assert await greeting(target, {"signature": site.key.sign("offer", {**content, **bound})}) == NOT_PROVED


async def invitation(target: Target, site: str, valid: timedelta = timedelta(days=1)) -> str:
    return await asyncio.to_thread(lambda: target.registry.invite(site, valid, datetime.now(UTC), "test").hex())


async def test_that_an_invitation_lets_in_one_key_once_and_no_other_afterwards(target: Target) -> None:
    code = await invitation(target, "Used")
    assert await greeting(target, {"code": code}, "first") == "welcome"
    assert await greeting(target, {"code": code}, "second") == "join.code_used"
    assert await greeting(target, {"code": code}, "first") == "welcome"


async def test_that_of_two_who_come_with_one_code_at_once_one_gets_in(target: Target) -> None:
    code = await invitation(target, "Raced")
    came = await asyncio.gather(*(greeting(target, {"code": code}, f"racer {number}") for number in range(4)))
    assert sorted(came) == ["join.code_used"] * 3 + ["welcome"]


async def test_that_a_refused_hello_does_not_use_up_its_code(target: Target) -> None:
    code = await invitation(target, "Spared")
    assert await greeting(target, {"code": code, "base": "00" * 32}, "spared") == "join.other_base"
    assert await greeting(target, {"code": code, "signature": "00" * 64}, "thief") == NOT_PROVED
    assert await greeting(target, {"code": code}, "spared") == "welcome"


async def test_that_an_expired_invitation_is_refused(target: Target) -> None:
    code = await invitation(target, "Late", timedelta(seconds=-1))
    assert await greeting(target, {"code": code}, NOBODY) == "join.code_expired"


async def test_that_a_revoked_invitation_is_refused(target: Target) -> None:
    code = await invitation(target, "Unwanted")
    await asyncio.to_thread(target.registry.revoke, "Unwanted", datetime.now(UTC), "test")
    assert await greeting(target, {"code": code}, NOBODY) == "join.code_unknown"


async def test_that_a_replaced_invitation_is_refused(target: Target) -> None:
    first = await invitation(target, "Twice")
    await invitation(target, "Twice")
    assert await greeting(target, {"code": first}, NOBODY) == "join.code_unknown"


async def test_that_a_revoked_key_stays_out_with_and_without_an_old_code(target: Target) -> None:
    code = await invitation(target, "Gone")
    assert await greeting(target, {"code": code}, "gone") == "welcome"
    await asyncio.to_thread(target.registry.revoke, "Gone", datetime.now(UTC), "test")
    assert await greeting(target, {}, "gone") == "join.revoked"
    assert await greeting(target, {"code": code}, "gone") == "join.revoked"


# -- half handshakes ---------------------------------------------------------------------------------------------------

CLIENT_HELLO = bytes.fromhex("16030103e8010003e40303")
UPGRADE = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
KEY = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

BEFORE_TLS = {
    "nothing at all": b"",
    "half a client hello": CLIENT_HELLO,
    "a record that is too long": bytes.fromhex("160301ffff") + bytes(2**14),
    "an alert": bytes.fromhex("15030100020228"),
    "plain HTTP": b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "SSL 2": bytes.fromhex("802e0100020015000000100100800200800300800400800500800600400700c0"),
    "noise": bytes(range(256)) * 20,
}


@pytest.mark.parametrize("said", BEFORE_TLS)
async def test_that_a_half_handshake_is_hung_up_on(said: str, target: Target) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    writer.write(BEFORE_TLS[said])
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectionError):
            assert not (await reader.read(2**16)).startswith(b"HTTP")  # a TLS alert at most
            assert await reader.read() == b""
    writer.transport.abort()


async def test_that_old_versions_of_tls_are_refused(target: Target) -> None:
    context = context_for(roots=False)
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", target.port, ssl=context)


# None: hung up on without an answer.
REQUESTS: dict[str, tuple[str, int | None]] = {
    "no websocket": ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 426),
    "a post": ("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n", None),
    "no key": (UPGRADE + "Sec-WebSocket-Version: 13\r\n\r\n", 400),
    "a bad key": (UPGRADE + "Sec-WebSocket-Key: AA==\r\nSec-WebSocket-Version: 13\r\n\r\n", 400),
    "an old version": (UPGRADE + KEY + "Sec-WebSocket-Version: 8\r\n\r\n", 400),
    "no version": (UPGRADE + KEY + "\r\n", 400),
    "another host": (UPGRADE.replace("127.0.0.1", "evil.example") + KEY + "Sec-WebSocket-Version: 13\r\n\r\n", 403),
    "two hosts": (UPGRADE + "Host: evil.example\r\n" + KEY + "Sec-WebSocket-Version: 13\r\n\r\n", 403),
    "a page": (UPGRADE + KEY + "Origin: https://evil.example\r\nSec-WebSocket-Version: 13\r\n\r\n", 403),
    "a path out of the root": ("GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 426),
    "the status through a proxy": ("GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nForwarded: for=1.2.3.4\r\n\r\n", 403),
    "many headers": ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + "A: b\r\n" * 200 + "\r\n", 431),
    "a long line": ("GET /" + "x" * 9000 + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 414),
    "HTTP 2": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None),
}


async def requested(target: Target, said: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port, ssl=context_for(roots=False))
    writer.write(said)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read(2**16)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("request_", REQUESTS)
async def test_that_a_wrong_request_gets_a_status_and_no_websocket(request_: str, target: Target) -> None:
    said, status = REQUESTS[request_]
    answer = await requested(target, said.encode())
    assert answer.split(b" ")[1:2] == ([str(status).encode()] if status else []), answer


async def test_that_endless_headers_are_cut_off(target: Target) -> None:
    before = target.server.listener.gate.refused["stranger_bytes"]
    endless = ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + f"A: {'b' * 4000}\r\n" * 8).encode()
    assert b" 101 " not in await requested(target, endless)
    assert target.server.listener.gate.refused["stranger_bytes"] == before + 1
    assert len(endless) > limits.MAX_STRANGER_BYTES


# -- frames of the websocket itself ------------------------------------------------------------------------------------


def frame(first: int, data: bytes, second: int | None = None, length: bytes = b"") -> bytes:
    """One masked frame; the mask is zero."""
    size = len(data) | 0x80 if second is None else second
    return bytes([first, size]) + length + bytes(4) + data


RAW_FRAMES = {
    "deflated": (frame(0xC1, b"\xab\x56\x4a"), 1002),
    "a deflate bomb": (frame(0xC2, b"\0" * 100), 1002),
    "not masked": (b"\x81\x02hi", 1002),
    "an unknown kind": (frame(0x83, b"x"), 1002),
    "a long ping": (frame(0x89, b"x" * 126, 0xFE, (126).to_bytes(2, "big")), 1002),
    "half a ping": (frame(0x09, b"x"), 1002),
    "a continuation of nothing": (frame(0x80, b"x"), 1002),
    "no UTF-8": (frame(0x81, b"\xff\xfe"), 1007),
    "a length of terabytes": (frame(0x82, b"x" * 4, 0xFF, (2**42).to_bytes(8, "big")), 1009),
    "a negative length": (frame(0x82, b"x" * 4, 0xFF, b"\xff" * 8), 1009),
    "pieces without an end": (frame(0x01, b"x" * 100) + frame(0x00, b"x" * 120) * 40, 1009),
    "a close code that is none": (frame(0x88, b"\x03\xed"), 1002),
}


@pytest.mark.parametrize("said", RAW_FRAMES)
async def test_that_a_wrong_frame_closes_the_line(said: str, target: Target) -> None:
    data, code = RAW_FRAMES[said]
    opening = (UPGRADE + KEY + "Sec-WebSocket-Version: 13\r\n\r\n").encode()
    answer = await requested_whole(target, opening, data)
    assert answer.endswith(b"") and code.to_bytes(2, "big") in answer.partition(b"signature")[2], answer


async def requested_whole(target: Target, opening: bytes, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port, ssl=context_for(roots=False))
    try:
        writer.write(opening)
        async with asyncio.timeout(PATIENCE):
            answer = await reader.readuntil(b'"signature"')
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                answer += await reader.read()
        return answer
    finally:
        writer.transport.abort()


async def test_that_deflate_is_not_agreed_to(target: Target) -> None:
    async with connect(
        f"wss://127.0.0.1:{target.port}", ssl=context_for(roots=False), compression="deflate", proxy=None
    ) as line:
        assert line.protocol.extensions == []
    with pytest.raises(InvalidStatus):
        async with connect(f"wss://127.0.0.1:{target.port}", ssl=context_for(roots=False), origin="null", proxy=None):
            pass


# -- last, since it bars new sites for a while -------------------------------------------------------------------------


async def test_that_who_guesses_codes_is_heard_no_more_and_no_name_helps(target: Target) -> None:
    assert await greeting(target, {"site": "Honest"}, NOBODY) == UNKNOWN
    assert await greeting(target, {"site": "Нonest"}, NOBODY) == UNKNOWN
    tries = [await greeting(target, {"code": os.urandom(16).hex()}, NOBODY) for _ in range(20)]
    assert set(tries) <= {"join.code_unknown", "limit.guesses"} and tries[-1] == "limit.guesses"
    assert await greeting(target, {}) == "welcome"
