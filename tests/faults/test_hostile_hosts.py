# SPDX-License-Identifier: Apache-2.0
"""Who is no host acts as one, acts are repeated or carried elsewhere, and hosts that were shut out: all for nothing."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fedmed_desktop.coordinator import limits
from fedmed_desktop.federation.rounds import Rounds
from fedmed_desktop.protocol.handshake import answered_by_host
from fedmed_desktop.protocol.hosting import (
    Act,
    CloseRound,
    HostAnswer,
    HostBond,
    HostHello,
    InviteSite,
    Pause,
    Publish,
    RevokeSite,
)
from fedmed_desktop.protocol.messages import (
    UNSIGNED,
    VERSION,
    Challenge,
    Goodbye,
    Hello,
    Message,
    Progress,
    Receipt,
    Welcome,
)
from fedmed_desktop.storage.registry import REGISTRY_FILE, Registry
from tests.parts.federation import small_spec
from tests.parts.hosting import RawHost, audited, code_for
from tests.parts.loopback import RawSite, coordinator, until

TWO = small_spec(rounds=2, sites=2, quorum=1)
ACTS: tuple[Act, ...] = (
    Pause(),
    RevokeSite(site="B"),
    InviteSite(site="C", minutes=60),
    CloseRound(round=1, attempt=1),
    Publish(adapter=TWO.base.initial),
)


def untouched(rounds: Rounds) -> bool:
    return rounds.state.held is None and rounds.state.phase == "open" and rounds.state.sites == ["A", "B"]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.act)
async def test_that_a_site_that_says_a_hosts_message_is_refused_counted_and_told(
    tmp_path: Path, act: Act, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        coordinator(tmp_path, TWO, []) as (host, port),
        RawHost(port, "A", "1" * 64) as one,
        RawSite(port, "B", "2" * 64) as other,
    ):
        await RawSite.greet(one)
        welcome = await one.hear(Welcome)
        await other.join()
        await until(lambda: host.rounds.state.phase == "open")
        key = one.bond.site  # even signed as a host's, with all that a site knows
        one.bond_of_host = HostBond(welcome.federation, key, one.bond.coordinator, "0" * 64)
        await one.say(one.signed(1, act))
        assert (await one.hear(Goodbye)).code == "protocol.not_understood"
        await until(lambda: "A" not in host.sessions)
        assert untouched(host.rounds) and host.admission.registry.invitations(datetime.now(UTC)) == ()
    assert "cut off (not_understood; 1 so far)" in caplog.text
    told = audited(tmp_path, "act_refused")
    assert [(row.peer, row.before, row.stage) for row in told] == [("A", "host_act", "failed")]


async def test_that_the_registry_says_who_is_a_host_and_no_hello_does(tmp_path: Path) -> None:
    async with coordinator(tmp_path, TWO, []) as (host, port):
        async with RawSite(port, "A", "1" * 64) as site:
            await site.join()
        async with RawHost(port, "A", "1" * 64) as site:
            await site.greet()
            told = await site.hear(Goodbye)
            assert (told.code, told.final) == ("join.not_host", True)
        async with RawHost(port, "X", "3" * 64) as stranger:  # although a site could come without an invitation here
            await stranger.greet()
            assert (await stranger.hear(Goodbye)).code == "join.not_host"
        code = code_for(tmp_path, "H")
        async with RawSite(port, "B", "2" * 64) as site:
            await site.greet(code=code.hex())
            assert (await site.hear(Goodbye)).code == "join.code_of_other_role"
        async with RawHost(port, "A", "1" * 64) as site:  # a site's key stays a site's, whatever code it brings
            await site.greet(code=code.hex())
            assert (await site.hear(Goodbye)).code == "join.not_host"
        of_site = code_for(tmp_path, "C", "site")
        async with RawHost(port, "H", "4" * 64) as person:
            await person.greet(code=of_site.hex())
            assert (await person.hear(Goodbye)).code == "join.code_of_other_role"
        async with RawHost(port, "H", "4" * 64) as person:
            assert (await person.enter(code)).name == "H"  # all that was refused left the code good
        async with RawHost(port, "I", "5" * 64) as person:
            await person.greet(code=code.hex())
            assert (await person.hear(Goodbye)).code == "join.code_used"
        async with RawSite(port, "H", "4" * 64) as person:
            await person.greet()
            assert (await person.hear(Goodbye)).code == "join.is_host"
        assert host.rounds.state.sites == ["A"]


async def test_that_a_hello_of_a_site_is_no_hosts_and_one_of_another_connection_neither(tmp_path: Path) -> None:
    code = None
    async with coordinator(tmp_path, TWO, []) as (_, port):
        code = code_for(tmp_path, "H")
        async with RawHost(port, "H", "4" * 64) as person:
            given = await person.hear(Challenge)
            hello = HostHello(version=VERSION, name="H", key=person.key.public, code=code.hex())
            as_site = person.key.sign("hello", {"nonce": given.nonce})
            for signature in (UNSIGNED, as_site):
                assert signature != answered_by_host(person.key, given, hello).signature
            await person.say(hello.model_copy(update={"signature": as_site}))
            assert (await person.hear(Goodbye)).code == "join.not_proved"
        async with RawHost(port, "H", "4" * 64) as person:
            await person.hear(Challenge)
            await person.say(answered_by_host(person.key, given, hello))  # the challenge of before
            assert (await person.hear(Goodbye)).code == "join.not_proved"


async def test_that_an_act_counts_once_and_on_its_own_connection_only(tmp_path: Path) -> None:
    async with coordinator(tmp_path, TWO, []) as (host, port):
        async with RawHost(port, "H", "4" * 64) as person:
            await person.enter(code_for(tmp_path, "H"))
            said = person.signed(3, Pause())
            assert (await person.do(3, Pause())).code == ""
            seen = host.rounds.state.held
            assert seen and (await person.do(4, Pause())).code == "hosting.is_paused"
            await person.say(said)
            answer = await person.hear(HostAnswer)
            assert (answer.number, answer.code) == (3, "hosting.replayed")
            assert (await person.do(2, Pause())).code == "hosting.replayed"
        async with RawHost(port, "H", "4" * 64) as person:
            await person.enter()
            await person.say(said)  # the very same act again, signed for the connection before
            assert (await person.hear(Goodbye)).code == "protocol.signature"
        assert host.rounds.state.held == seen
    assert [row.peer for row in audited(tmp_path, "signature_refused")] == ["H"]
    assert [row.before for row in audited(tmp_path, "act_refused")] == ["pause", "pause"]


async def test_that_a_changed_act_or_one_of_another_key_ends_the_connection(tmp_path: Path) -> None:
    async with coordinator(tmp_path, TWO, []) as (host, port):
        code = code_for(tmp_path, "H")
        for number, change in enumerate(({"number": 2}, {"act": RevokeSite(site="A")}, {"signature": "ab" * 64})):
            async with RawHost(port, "H", "4" * 64) as person:
                await person.enter(None if number else code)
                await person.say(person.signed(1, Pause()).model_copy(update=change))
                assert (await person.hear(Goodbye)).code == "protocol.signature"
        assert host.rounds.state.held is None


@pytest.mark.parametrize(
    "message",
    [
        Progress(round=1, phase="training"),
        Receipt(round=1, update="ab" * 32, time=datetime(2026, 1, 1, tzinfo=UTC)),
        Hello(version=VERSION, site="H", key="ab" * 32, base="ab" * 32),
    ],
    ids=lambda message: message.type,
)
async def test_that_a_host_who_talks_like_a_site_is_sent_away(tmp_path: Path, message: Message) -> None:
    async with coordinator(tmp_path, TWO, []) as (host, port), RawHost(port, "H", "4" * 64) as person:
        await person.enter(code_for(tmp_path, "H"))
        await person.say(message)
        assert (await person.hear(Goodbye)).code == "protocol.not_understood"
        assert host.rounds.state.sites == [] and host.rounds.state.phase == "gathering"


async def test_that_bytes_and_what_is_too_long_end_a_hosts_connection(tmp_path: Path) -> None:
    async with coordinator(tmp_path, TWO, []) as (_, port):
        code = code_for(tmp_path, "H")
        async with RawHost(port, "H", "4" * 64) as person:
            await person.enter(code)
            await person.say(b"chunk")
            assert (await person.hear(Goodbye)).code == "protocol.not_understood"
        async with RawHost(port, "H", "4" * 64) as person:
            await person.enter()
            await person.say(" " * 5000)
            await person.line.wait_closed()
            assert person.line.close_code == 1009  # longer than any act: it was never held


async def test_that_a_host_who_was_shut_out_can_do_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedmed_desktop.coordinator import admission

    async with coordinator(tmp_path, TWO, []) as (host, port), RawHost(port, "H", "4" * 64) as person:
        await person.enter(code_for(tmp_path, "H"))
        await until(lambda: host.admission.member("H") is not None)
        monkeypatch.setattr(admission, "_LOOK_SECONDS", 60.0)  # before anybody has looked at the registry again
        with closing(Registry(tmp_path / REGISTRY_FILE)) as registry:
            registry.revoke("H", datetime.now(UTC), "shell")
        await person.say(person.signed(1, Pause()))
        told = await person.hear(Goodbye)
        assert (told.code, told.final) == ("join.revoked", True)
        assert host.rounds.state.held is None
        async with RawHost(port, "H", "4" * 64) as again:
            await again.greet()
            assert (await again.hear(Goodbye)).code == "join.revoked"
    async with coordinator(tmp_path, TWO, []) as (host, port), RawHost(port, "H", "4" * 64) as again:
        await again.greet()
        assert (await again.hear(Goodbye)).code == "join.revoked"


async def test_that_a_connected_host_is_ended_within_a_moment_of_the_revocation(tmp_path: Path) -> None:
    async with coordinator(tmp_path, TWO, []) as (_, port), RawHost(port, "H", "4" * 64) as person:
        await person.enter(code_for(tmp_path, "H"))
        with closing(Registry(tmp_path / REGISTRY_FILE)) as registry:
            registry.revoke("H", datetime.now(UTC), "shell")
        assert (await person.hear(Goodbye)).code == "join.revoked"


async def test_that_acts_are_limited_and_each_host_has_its_own_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_ACTS_PER_MINUTE", 3)
    async with (
        coordinator(tmp_path, TWO, []) as (_, port),
        RawHost(port, "H", "4" * 64) as person,
        RawHost(port, "I", "5" * 64) as other,
    ):
        await person.enter(code_for(tmp_path, "H"))
        await other.enter(code_for(tmp_path, "I"))
        answers = [await person.do(number, RevokeSite(site="nobody")) for number in range(1, 5)]
        assert [one.code for one in answers] == [*["registry.unknown_site"] * 3, "limit.acts"]
        assert answers[-1].retryable and len(audited(tmp_path, "revoked")) == 6
        assert (await other.do(1, RevokeSite(site="nobody"))).code == "registry.unknown_site"


async def test_that_the_code_of_a_host_expires_and_a_lost_folder_gets_a_new_key(tmp_path: Path) -> None:
    async with coordinator(tmp_path, TWO, []) as (_, port):
        with closing(Registry(tmp_path / REGISTRY_FILE)) as registry:
            old = datetime.now(UTC) - timedelta(days=2)
            late = registry.invite("H", timedelta(days=1), old, "shell", "host")
            async with RawHost(port, "H", "4" * 64) as person:
                await person.greet(code=late.hex())
                assert (await person.hear(Goodbye)).code == "join.code_expired"
            async with RawHost(port, "H", "4" * 64) as person:
                await person.enter(code_for(tmp_path, "H"))
                code = registry.rotate("H", timedelta(days=1), datetime.now(UTC), "shell")
                async with RawHost(port, "H", "6" * 64) as anew:
                    assert (await anew.enter(code)).name == "H"
                assert (await person.hear(Goodbye)).code in ("join.replaced", "join.other_key")
            async with RawHost(port, "H", "4" * 64) as person:
                await person.greet()
                assert (await person.hear(Goodbye)).code == "join.revoked"
