# SPDX-License-Identifier: Apache-2.0
"""What a site takes from, and tells, somebody who answers in the coordinator's place or is a hostile coordinator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from fedmed_desktop import events
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.protocol.handshake import challenge
from fedmed_desktop.protocol.invitation import Invitation
from fedmed_desktop.protocol.messages import VERSION, Goodbye, Hello, Receipt, Welcome, decode, encode
from fedmed_desktop.protocol.signing import Bond
from fedmed_desktop.site import Jobs
from fedmed_desktop.site.link import check_address
from tests.parts.federation import FINGERPRINT, small_spec
from tests.parts.loopback import agent, all_of, running, until
from tests.parts.told import told_as

KEY = PrivateKey.new()
ONE = small_spec(rounds=1, sites=1, quorum=1)


class Standing:
    """Stands in a coordinator's place and keeps what it hears."""

    def __init__(self) -> None:
        self.port, self.said = 0, list[Hello]()

    async def hear(self, line: ServerConnection) -> Hello:
        await line.send(encode(challenge(KEY, "ab" * 32, "")))
        hello = decode(str(await line.recv()))
        assert isinstance(hello, Hello)
        self.said.append(hello)
        return hello

    async def answer(self, line: ServerConnection) -> None:
        await self.hear(line)

    @asynccontextmanager
    async def there(self) -> AsyncIterator[None]:
        async with serve(self.answer, "127.0.0.1", 0, compression=None) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            yield


async def test_a_goodbye_of_somebody_who_has_proved_nothing_ends_no_site(tmp_path: Path, jobs: Jobs) -> None:
    class Liar(Standing):
        async def answer(self, line: ServerConnection) -> None:
            await line.send(encode(Goodbye(code="join.revoked", params={"site": "A"}, final=True)))

    seen, liar = list[events.Event](), Liar()
    async with liar.there(), running(agent(tmp_path, "A", liar.port, jobs, seen)) as (task,):
        await until(lambda: task.done() or len([e for e in all_of(seen, events.ConnectionChanged) if e.code]) > 1)
        assert not task.done()
    assert "join.revoked" not in {event.code for event in all_of(seen, events.ConnectionChanged)}


def test_an_old_token_is_not_shown_to_whom_an_invitation_leads(tmp_path: Path, jobs: Jobs) -> None:
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "token").write_text("t" * 64)
    for invitation in (Invitation("127.0.0.1:1", KEY.fingerprint, b"c" * 16, "A"), None):
        site = agent(tmp_path, "A", 1, jobs, [], invitation=invitation)
        site._identify()
        hello = site._hello(challenge(KEY, "ab" * 32, ""))
        site.close()
        assert (hello.code is None) == (hello.token == "t" * 64) == (invitation is None)


def test_a_code_is_shown_until_the_key_is_known_and_not_again(tmp_path: Path, jobs: Jobs) -> None:
    """Else somebody who guesses codes behind the same address could keep a site that has joined from coming back."""
    invitation = Invitation("127.0.0.1:1", KEY.fingerprint, b"c" * 16, "A")
    site = agent(tmp_path, "A", 1, jobs, [], invitation=invitation)
    site._identify()
    given = challenge(KEY, "ab" * 32, "")
    assert site._hello(given).code == site._hello(given).code == (b"c" * 16).hex()
    site._remember(Welcome(version=VERSION, site="A", federation="ab" * 32, spec=ONE, round=1, phase="open"))
    assert site._hello(given).code is None
    site.close()


async def test_receipts_of_what_a_site_never_sent_leave_nothing_on_its_disk(tmp_path: Path, jobs: Jobs) -> None:
    heard = asyncio.Event()

    class Flooding(Standing):
        async def answer(self, line: ServerConnection) -> None:
            hello = await self.hear(line)
            bond = Bond("ab" * 32, hello.key, KEY.public)
            about = {"spec": ONE, "round": 1, "phase": "open"}
            await line.send(encode(Welcome(version=VERSION, site="A", federation=bond.federation, **about)))
            receipt = Receipt(round=1, update="cd" * 32, time=datetime.now(UTC))
            await line.send(encode(bond.signed(KEY, receipt)))
            await line.send("no message")
            await line.wait_closed()
            heard.set()

    flooding = Flooding()
    async with flooding.there():
        site = agent(tmp_path, "A", flooding.port, jobs, [])
        async with running(site):
            await asyncio.wait_for(heard.wait(), 20)
            assert site.outbox.recall("federation") and site.outbox.recall(f"receipt {'cd' * 32}") is None


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..example"])
def test_an_address_that_no_name_server_could_be_asked_for_is_no_address(host: str) -> None:
    with told_as("is not a coordinator's address"):
        check_address(f"wss://{host}:8765")


def test_codes_and_tokens_are_in_no_line_of_a_log() -> None:
    invitation = Invitation("h:1", KEY.fingerprint, b"secretsecretsecr", "A")
    hello = Hello(
        version=VERSION, site="A", key=KEY.public, base=FINGERPRINT, code="5ec7e7" * 5 + "00", token="t0ken" * 8
    )
    assert "secret" not in repr(invitation)
    assert "5ec7e7" not in repr(hello) and "t0ken" not in repr(hello)
