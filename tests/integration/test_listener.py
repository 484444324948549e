# SPDX-License-Identifier: Apache-2.0
"""The coordinator's listener over real sockets: TLS, what strangers may do, and how long it waits for anyone."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from fedmed_desktop.coordinator import limits
from fedmed_desktop.coordinator.certificate import ServerTls, own_certificate
from fedmed_desktop.coordinator.gate import Visitor
from fedmed_desktop.coordinator.listener import Listener
from fedmed_desktop.coordinator.probe import BYTES
from fedmed_desktop.errors import UserFacingError, cannot_listen
from fedmed_desktop.site.tls import context_for, peer_key
from tests.parts.loopback import PATIENCE, until
from tests.parts.told import told_as

CLIENT_HELLO = bytes.fromhex("16030103e8010003e40303")  # of a handshake that says 1000 bytes in its first message


@pytest.fixture
def tls(tmp_path: Path) -> ServerTls:
    return own_certificate(tmp_path, ["fed.hospital.org"], datetime.now(UTC))


@pytest.fixture
def as_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections of this computer count as ones from elsewhere."""
    monkeypatch.setattr(limits, "is_own", lambda address: False)


@asynccontextmanager
async def listening(
    tls: ServerTls | None = None, attend: Callable[[Listener, Visitor], Awaitable[None]] | None = None
) -> AsyncIterator[Listener]:
    warned: list[UserFacingError] = []

    async def greet(connection: Visitor) -> None:
        if attend:
            await attend(made, connection)
            return
        with contextlib.suppress(ConnectionClosed):
            if await connection.recv() == "hello":
                made.admitted(connection)
            await connection.send(json.dumps([connection.address, connection.tls_key]))
            await connection.wait_closed()

    made = Listener("127.0.0.1", 0, greet, lambda: {"phase": "open"}, warned.append, tls)
    async with made:
        yield made


@asynccontextmanager
async def line(made: Listener, **settings: object) -> AsyncIterator[ClientConnection]:
    scheme, context = ("wss", context_for(roots=False)) if made.gate.tls else ("ws", None)
    async with connect(f"{scheme}://127.0.0.1:{made.port}", ssl=context, proxy=None, **settings) as found:  # type: ignore[arg-type]
        yield found


async def greeted(found: ClientConnection) -> list[str]:
    await found.send("hello")
    return list(json.loads(await found.recv()))


async def silent(made: Listener, lines: contextlib.AsyncExitStack, said: bytes = b"") -> asyncio.StreamReader:
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
    lines.callback(lambda: writer.transport.abort())  # which also keeps the writer
    writer.write(said)
    return reader


async def hung_up(reader: asyncio.StreamReader) -> bool:
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE):
            return await reader.read() == b""
    return True


async def answer(made: Listener, path: str, *lines: str, host: str = "127.0.0.1") -> tuple[int, bytes]:
    context = context_for(roots=False) if made.gate.tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port, ssl=context)
    writer.write("\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode())
    async with asyncio.timeout(PATIENCE):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
    return int(head.split()[1]), body


# -- encrypted or not --------------------------------------------------------------------------------------------------


async def test_a_site_is_served_with_tls_and_its_session_knows_the_key_it_was_shown(tls: ServerTls) -> None:
    async with listening(tls) as made, line(made) as found:
        assert await greeted(found) == ["127.0.0.1", tls.key_sha256]
        assert peer_key(found.transport.get_extra_info("ssl_object")) == tls.key_sha256
        assert (made.gate.connections, made.gate.strangers, made.gate.handshakes) == (1, 0, 0)
        assert made.gate.bytes_in > 0 and made.gate.bytes_out > 0


async def test_a_site_of_this_computer_is_served_without_tls() -> None:
    async with listening() as made:
        async with line(made) as found:
            assert await greeted(found) == ["127.0.0.1", ""]
        await until(lambda: made.gate.connections == 0)


def test_without_tls_only_this_computer_is_served() -> None:
    with told_as("would not be encrypted"):
        Listener("0.0.0.0", 0, lambda connection: asyncio.sleep(0), dict, lambda fault: None)


async def test_a_renewed_certificate_serves_those_who_come_later(tls: ServerTls) -> None:
    async with listening(tls) as made, line(made) as before:
        await made.renew(datetime.now(UTC) + timedelta(days=300))
        assert made.gate.tls != tls and made.gate.tls
        async with line(made) as after:
            shown = [one.transport.get_extra_info("ssl_object").getpeercert(True) for one in (before, after)]
            assert shown[0] != shown[1]
            assert await greeted(before) == await greeted(after) == ["127.0.0.1", tls.key_sha256]


async def test_a_certificate_that_cannot_be_renewed_is_told_and_the_old_one_stays(
    tls: ServerTls, tmp_path: Path
) -> None:
    warned: list[UserFacingError] = []
    made = Listener("127.0.0.1", 0, lambda connection: asyncio.sleep(0), dict, warned.append, tls)
    (tmp_path / "tls-key.pem").unlink()
    (tmp_path / "tls-key.pem").mkdir()
    await made.renew(datetime.now(UTC))
    assert [fault.code for fault in warned] == ["storage.fault"] and made.gate.tls is tls


async def test_large_messages_pass_both_ways_with_tls(tls: ServerTls) -> None:
    async def echo(made: Listener, connection: Visitor) -> None:
        made.admitted(connection)
        connection.protocol.max_message_size = 2**22
        async for frame in connection:
            await connection.send(frame)

    async with listening(tls, echo) as made, line(made, max_size=2**22, compression=None) as found:
        for size in (2**14 - 8, 2**15, 2**20, 2**22):
            await found.send(bytes(size))
            assert await found.recv() == bytes(size)


async def test_a_long_answer_arrives_whole_although_the_connection_ends_with_it(tls: ServerTls) -> None:
    async with listening(tls) as made:
        made._status = lambda: {"sites": "x" * 2**23}
        assert len((await answer(made, "/status"))[1]) == 2**23 + len('{"sites": ""}')


async def test_no_more_is_encrypted_than_the_socket_takes(tls: ServerTls) -> None:
    """OpenSSL keeps room for what waits encrypted as long as the connection lasts, and a site waits for days."""
    encrypted: list[int] = []

    async def say_much(made: Listener, connection: Visitor) -> None:
        made.admitted(connection)
        await connection.recv()
        sending = asyncio.create_task(connection.send(bytes(2**24)))
        await until(lambda: connection.transport.get_write_buffer_size() > 0)
        inner = connection.transport._ssl_protocol  # type: ignore[attr-defined]
        encrypted.append(inner._outgoing.pending + inner._transport.get_write_buffer_size())
        await sending
        await connection.send("done")

    async with listening(tls, say_much) as made, line(made, max_size=2**25) as found:
        await found.send("hello")
        assert await found.recv() == bytes(2**24) and await found.recv() == "done"
    assert encrypted[0] < 2**18, encrypted


# -- strangers ---------------------------------------------------------------------------------------------------------


async def test_begun_handshakes_are_few_and_an_honest_site_gets_in_between(
    tls: ServerTls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_HANDSHAKES", 3)
    async with listening(tls) as made, contextlib.AsyncExitStack() as lines:
        begun = [await silent(made, lines, CLIENT_HELLO) for _ in range(3)]
        await until(lambda: made.gate.handshakes == 3)
        assert await hung_up(await silent(made, lines))  # the others are as young
        assert made.gate.refused["handshakes"] == 1
        monkeypatch.setattr(limits, "HANDSHAKE_PATIENCE", -1.0)
        async with line(made) as found:
            assert await greeted(found)
        assert await hung_up(begun[0])
        assert made.gate.handshakes == 2


async def test_a_handshake_that_stands_still_is_ended(
    tls: ServerTls, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "HANDSHAKE_SECONDS", 0.05)
    async with listening(tls) as made, contextlib.AsyncExitStack() as lines:
        assert await hung_up(await silent(made, lines, CLIENT_HELLO))
        await until(lambda: made.gate.connections == made.gate.strangers == made.gate.handshakes == 0)
        assert made.gate.refused["handshake_failed"] == 1
    assert "handshake_failed" not in caplog.text  # from this computer, as by --status, which tries both ways


async def test_a_handshake_that_says_too_much_is_cut_off(tls: ServerTls) -> None:
    record = bytes.fromhex("1603014000")  # 16 KiB follow, of a first message that is longer still
    async with listening(tls) as made, contextlib.AsyncExitStack() as lines:
        reader = await silent(made, lines, record + bytes.fromhex("0101ff00") + bytes(limits.MAX_STRANGER_BYTES))
        assert await hung_up(reader)
        assert made.gate.refused["stranger_bytes"] == 1


async def test_what_is_no_tls_is_cut_off(tls: ServerTls) -> None:
    async with listening(tls) as made, contextlib.AsyncExitStack() as lines:
        assert await hung_up(await silent(made, lines, b"GET /status HTTP/1.1\r\n\r\n"))


async def test_connections_are_bounded_and_one_that_ends_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 4)
    async with listening() as made, contextlib.AsyncExitStack() as lines:
        for _ in range(4):
            await silent(made, lines)
        await until(lambda: made.gate.connections == 4)
        with pytest.raises((OSError, InvalidMessage)):
            await connect(f"ws://127.0.0.1:{made.port}", proxy=None)
        await lines.aclose()
        await until(lambda: made.gate.connections == 0)
        async with line(made) as found:
            assert await greeted(found)
    assert made.gate.refused == {"connections": 1}


@pytest.mark.usefixtures("as_strangers")
@pytest.mark.parametrize(
    ("limit", "most", "reason"),
    [
        ("MAX_FROM_ADDRESS", 2, "connections_of_address"),
        ("MAX_STRANGERS_FROM_ADDRESS", 2, "strangers_of_address"),
        ("MAX_JOINS_PER_MINUTE", 2, "joins_of_address"),
    ],
)
async def test_one_address_cannot_take_all(
    limit: str, most: int, reason: str, tls: ServerTls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, limit, most)
    async with listening(tls) as made, contextlib.AsyncExitStack() as lines:
        for _ in range(most):
            await silent(made, lines, CLIENT_HELLO)
        assert await hung_up(await silent(made, lines, CLIENT_HELLO))
        assert made.gate.refused == {reason: 1}
        monkeypatch.setattr(limits, "is_own", lambda address: True)  # and others are served all the same
        async with line(made) as found:
            assert await greeted(found)


async def test_a_flood_leaves_few_lines_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 1)
    caplog.set_level(logging.WARNING)
    async with listening() as made, contextlib.AsyncExitStack() as lines:
        await silent(made, lines)
        for _ in range(20):
            assert await hung_up(await silent(made, lines))
        assert made.gate.refused["connections"] == 20
    assert len([one for one in caplog.records if one.name.endswith("gate")]) == 1


async def test_a_coordinator_that_stops_waits_for_no_handshake(tls: ServerTls) -> None:
    async with contextlib.AsyncExitStack() as lines:
        async with asyncio.timeout(limits.HANDSHAKE_SECONDS / 2):
            async with listening(tls) as made:
                await silent(made, lines, CLIENT_HELLO)
                await until(lambda: made.gate.handshakes == 1)


# -- plain requests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_watcher_learns_only_that_the_coordinator_lives(encrypted: bool, tls: ServerTls) -> None:
    async with listening(tls if encrypted else None) as made:
        status, body = await answer(made, "/healthz")
        assert (status, json.loads(body)) == (200, {"status": "ok"})
        assert (await answer(made, "/status"))[1] == b'{"phase": "open"}'


async def test_the_status_is_only_for_this_computer(tls: ServerTls, monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(tls) as made:
        assert (await answer(made, "/status", "X-Forwarded-For: 192.0.2.7"))[0] == 403
        monkeypatch.setattr(limits, "is_here", lambda address, called: False)
        assert (await answer(made, "/status"))[0] == 403
        assert (await answer(made, "/healthz"))[0] == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("fed.hospital.org:443", 200),
        ("FED.hospital.org.", 200),
        ("198.51.100.7", 200),
        ("[2001:db8::1]:8765", 200),
        ("evil.example", 403),
        ("hospital.org", 403),
        ("", 403),
    ],
)
async def test_with_tls_a_request_names_the_coordinator(host: str, status: int, tls: ServerTls) -> None:
    async with listening(tls) as made:
        assert (await answer(made, "/healthz", host=host))[0] == status
        assert (await answer(made, "/healthz", "Origin: https://evil.example", host=host))[0] == 403


async def test_a_web_page_cannot_open_a_websocket(tls: ServerTls) -> None:
    async with listening(tls) as made:
        with pytest.raises(InvalidStatus) as refused:
            async with line(made, additional_headers={"Origin": "https://127.0.0.1"}):
                pass
        assert refused.value.response.status_code == 403


# -- slow readers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encrypted", [False, True])
async def test_who_does_not_read_is_dropped_and_others_do_not_notice(
    encrypted: bool, tls: ServerTls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DRAIN_SECONDS", 0.1)

    async def flood(made: Listener, connection: Visitor) -> None:
        made.admitted(connection)
        with contextlib.suppress(ConnectionClosed):
            wanted = await connection.recv()
            for _ in range(200 if wanted == "much" else 1):
                await connection.send(bytes(2**19))
            await connection.wait_closed()

    settings = {"max_queue": 1, "max_size": 2**20, "ping_interval": None, "close_timeout": 0.1}
    async with listening(tls if encrypted else None, flood) as made, line(made, **settings) as slow:
        await slow.send("much")
        await until(lambda: made.gate.refused["slow_reader"] == 1)
        async with line(made, **settings) as quick:
            await quick.send("little")
            assert len(await quick.recv()) == 2**19
        await until(lambda: made.gate.connections == 0)


# -- before joining ----------------------------------------------------------------------------------------------------


async def test_a_site_can_compare_clocks_and_measure_its_connection_but_only_so_often(tls: ServerTls) -> None:
    async with listening(tls) as made:
        given = [await answer(made, "/probe") for _ in range(5)]
        assert [(status, len(body)) for status, body in given[:4]] == [(200, BYTES)] * 4
        assert given[4][0] == 429 and len(given[4][1]) < 100
        assert (await answer(made, "/probe", "Origin: https://page.example"))[0] == 403
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port, ssl=context_for(roots=False))
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.transport.abort()
    date = next(line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("Date: "))
    assert abs(parsedate_to_datetime(date) - datetime.now(UTC)) < timedelta(minutes=1)


def test_that_an_address_of_another_computer_is_not_told_as_a_port_in_use() -> None:
    bound = "error while attempting to bind on address ('192.0.2.1', 8765): cannot assign requested address"
    with told_as("port 8765 of 192.0.2.1 here: cannot assign requested address. .*an address of this computer"):
        raise cannot_listen(OSError(errno.EADDRNOTAVAIL, bound), "192.0.2.1", 8765)
