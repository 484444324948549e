# SPDX-License-Identifier: Apache-2.0
"""Joining over TLS with an invitation: who gets in, who is found out, and what a revocation ends."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.cli.status import status_lines
from fedmed_desktop.coordinator import CoordinatorServer, Host
from fedmed_desktop.coordinator.certificate import own_certificate
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import FederationSpec
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.protocol.handshake import answered, challenge, check_challenge, check_hello
from fedmed_desktop.protocol.invitation import Invitation
from fedmed_desktop.protocol.messages import VERSION, Hello, Receipt
from fedmed_desktop.protocol.signing import Bond
from fedmed_desktop.site import Jobs, RuleApprover, SiteAgent
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.registry import REGISTRY_FILE, Registry
from tests.parts.federation import FINGERPRINT, INITIAL, NumpyTrainer, small_spec
from tests.parts.loopback import PATIENCE, QUICK, all_of, running, until
from tests.parts.told import told_as

ONE = small_spec(rounds=1, sites=1, quorum=1)


class Hosted:
    """A coordinator over TLS, and the host who invites."""

    def __init__(self, folder: Path, host: Host, server: CoordinatorServer, seen: list[events.Event]) -> None:
        self.folder, self.host, self.port, self.seen = folder, host, server.port, seen
        self.server = server
        self.registry = Registry(folder / REGISTRY_FILE)  # as a command beside the coordinator has it

    def invite(self, name: str, valid: timedelta = timedelta(days=7), made: datetime | None = None) -> Invitation:
        code = self.registry.invite(name, valid, made or datetime.now(UTC), "host")
        return Invitation(f"127.0.0.1:{self.port}", self.host.key.fingerprint, code, name)


@asynccontextmanager
async def hosted(
    folder: Path, spec: FederationSpec = ONE, confirm: bool = False, port: int = 0
) -> AsyncIterator[Hosted]:
    BlobStore(folder / "blobs").write(INITIAL.to_blob())
    seen = list[events.Event]()
    host = Host(spec, folder, seen.append, confirm_sites=confirm)
    tls = own_certificate(folder, ["localhost"], datetime.now(UTC))
    try:
        async with CoordinatorServer(host, "127.0.0.1", port, seen.append, tls=tls) as server:
            await host.start()
            made = Hosted(folder, host, server, seen)
            try:
                yield made
            finally:
                made.registry.close()
    finally:
        await host.stop()


def invited(
    folder: Path, invitation: Invitation | None, jobs: Jobs, seen: list[events.Event], address: str = "", name: str = ""
) -> SiteAgent:
    return SiteAgent(
        name=invitation.site if invitation else name,
        address=invitation.url if invitation else address,
        invitation=invitation,
        data_dir=folder,
        base_fingerprint=FINGERPRINT,
        make_trainer=lambda spec: NumpyTrainer(7),
        approver=RuleApprover("test rule"),
        jobs=jobs,
        emit=seen.append,
        backoff=QUICK,
    )


async def ended(agent: SiteAgent) -> str:
    return await asyncio.wait_for(agent.run(), PATIENCE)


async def test_a_site_joins_with_its_invitation_and_comes_back_without(tmp_path: Path, jobs: Jobs) -> None:
    async with hosted(tmp_path / "c", small_spec(rounds=1, sites=2, quorum=2)) as made:
        seen = list[events.Event]()
        site = tmp_path / "köln"
        invitation = made.invite("Universitätsklinikum Köln")
        async with running(invited(site, invitation, jobs, seen)):
            await until(lambda: bool(all_of(seen, events.Joined)))
        again = list[events.Event]()
        async with running(invited(site, None, jobs, again, invitation.url, invitation.site)):
            await until(lambda: bool(all_of(again, events.Joined)))
        (own,) = {event.phrase for event in all_of(seen, events.IdentityShown)}
        (hosts,) = {event.phrase for event in all_of(made.seen, events.IdentityShown)}
        assert own == hosts and len(own.split("-")) == 6
        assert made.host.rounds.state.sites == ["Universitätsklinikum Köln"]


async def test_a_whole_round_over_tls_leaves_proofs_on_both_sides(tmp_path: Path, jobs: Jobs) -> None:
    async with hosted(tmp_path / "c") as made:
        agent = invited(tmp_path / "a", made.invite("Mercy General"), jobs, [])
        await ended(agent)
        (update,) = [one for one in agent.record().entries if one.state == "acknowledged" and one.plan.kind == "train"]
        stored = made.host._ledger._inputs.rows(made.host._ledger._database)
    assert any('"proof":{"key"' in row[2] for row in stored)
    from fedmed_desktop.storage.outbox import Outbox

    outbox = Outbox(tmp_path / "a" / "site.sqlite", BlobStore(tmp_path / "a" / "blobs"))
    receipt = Receipt.model_validate_json(outbox.recall(f"receipt {update.sha256}") or "")
    federation = outbox.recall("federation") or ""
    outbox.close()
    keys = {event.site_fingerprint for event in all_of(made.seen, events.IdentityShown)}
    assert len(keys) == 1 and receipt.plan == update.plan.sha256
    registry = Registry(tmp_path / "c" / REGISTRY_FILE)
    (member,) = registry.members()
    registry.close()
    Bond(federation, member.key or "", made.host.key.public).check(receipt)


async def test_who_has_no_right_to_join_is_told_why_for_good(tmp_path: Path, jobs: Jobs) -> None:
    async with hosted(tmp_path / "c") as made:
        wrong = replace(made.invite("A"), code=secrets.token_bytes(16))
        with told_as("invitation"):
            await ended(invited(tmp_path / "guessed", wrong, jobs, []))
        late = made.invite("B", timedelta(hours=1), datetime.now(UTC) - timedelta(hours=2))
        with told_as("expired"):
            await ended(invited(tmp_path / "late", late, jobs, []))
        once = made.invite("C")
        async with running(invited(tmp_path / "first", once, jobs, [])):
            await until(lambda: "C" in made.host.rounds.state.sites)
        with told_as("used already"):
            await ended(invited(tmp_path / "second", once, jobs, []))
        assert made.host.rounds.state.sites == ["C"]


async def test_another_coordinator_at_the_same_address_is_found_out(tmp_path: Path, jobs: Jobs) -> None:
    async with hosted(tmp_path / "c") as made:
        invitation, port = made.invite("A"), made.port
    async with hosted(tmp_path / "d", port=port):
        with told_as("not the coordinator that the invitation is from") as caught:
            await ended(invited(tmp_path / "a", invitation, jobs, []))
        assert not caught.value.retryable


async def test_a_new_certificate_and_a_new_tls_key_unsettle_nobody(tmp_path: Path, jobs: Jobs) -> None:
    spec = small_spec(rounds=1, sites=2, quorum=2)
    async with hosted(tmp_path / "c", spec) as made:
        invitation, port = made.invite("A"), made.port
        seen = list[events.Event]()
        async with running(invited(tmp_path / "a", invitation, jobs, seen)):
            await until(lambda: bool(all_of(seen, events.Joined)))
    for file in (tmp_path / "c").glob("tls-*.pem"):
        file.unlink()
    async with hosted(tmp_path / "c", spec, port=port):
        again = list[events.Event]()
        async with running(invited(tmp_path / "a", None, jobs, again, invitation.url, "A")):
            await until(lambda: bool(all_of(again, events.Joined)))


async def test_a_revoked_site_is_gone_within_a_second_and_stays_out(tmp_path: Path, jobs: Jobs) -> None:
    async with hosted(tmp_path / "c", small_spec(rounds=1, sites=2, quorum=2)) as made:
        async with running(invited(tmp_path / "a", made.invite("A"), jobs, [])) as (task,):
            await until(lambda: "A" in made.host.sessions)
            began = asyncio.get_running_loop().time()
            await asyncio.to_thread(made.registry.revoke, "A", datetime.now(UTC), "host")
            with told_as("shut out"):
                await asyncio.wait_for(task, PATIENCE)
            assert asyncio.get_running_loop().time() - began < 5, "promised: 1 s; a loaded machine needs more"
        assert not made.host.sessions
        with told_as("shut out"):
            await ended(invited(tmp_path / "a", None, jobs, [], f"wss://127.0.0.1:{made.port}", "A"))


async def test_a_site_waits_until_the_host_has_confirmed_it(tmp_path: Path, jobs: Jobs) -> None:
    async with hosted(tmp_path / "c", confirm=True) as made:
        seen = list[events.Event]()
        async with running(invited(tmp_path / "a", made.invite("A"), jobs, seen)) as (task,):
            await until(lambda: any(event.waits for event in all_of(seen, events.IdentityShown)))
            await until(lambda: any(event.waits for event in all_of(made.seen, events.IdentityShown)))
            assert not all_of(seen, events.Joined) and made.host.rounds.state.sites == []
            assert "  A: waits for --confirm" in list(status_lines(made.server.status()))
            await asyncio.to_thread(made.registry.confirm, "A", datetime.now(UTC), "host")
            await asyncio.wait_for(task, PATIENCE)


async def test_a_site_rotates_its_key_and_the_old_one_no_longer_counts(tmp_path: Path, jobs: Jobs) -> None:
    async with hosted(tmp_path / "c", small_spec(rounds=1, sites=2, quorum=2)) as made:
        first = invited(tmp_path / "a", made.invite("A"), jobs, [])
        async with running(first) as (task,):
            await until(lambda: "A" in made.host.sessions)
            code = await asyncio.to_thread(made.registry.rotate, "A", timedelta(days=1), datetime.now(UTC), "host")
            seen = list[events.Event]()
            invitation = Invitation(f"127.0.0.1:{made.port}", made.host.key.fingerprint, code, "A")
            async with running(invited(tmp_path / "new", invitation, jobs, seen)):
                await until(lambda: bool(all_of(seen, events.Joined)))
                with pytest.raises(UserFacingError):
                    await asyncio.wait_for(task, PATIENCE)


async def test_a_lost_registry_is_told_and_lets_nobody_in(tmp_path: Path, jobs: Jobs) -> None:
    async with hosted(tmp_path / "c") as made:
        await ended(invited(tmp_path / "a", made.invite("A"), jobs, []))
    for file in (tmp_path / "c").glob("registry.sqlite*"):
        file.unlink()
    with told_as("missing"):
        async with hosted(tmp_path / "c"):
            pass


async def test_an_address_elsewhere_needs_an_invitation(tmp_path: Path, jobs: Jobs) -> None:
    with told_as("Ask its host for an invitation"):
        await ended(invited(tmp_path / "a", None, jobs, [], "wss://127.0.0.1:1", "A"))


async def test_a_data_folder_takes_no_invitation_of_another_coordinator(tmp_path: Path, jobs: Jobs) -> None:
    seen = list[events.Event]()
    async with hosted(tmp_path / "c", small_spec(rounds=1, sites=2, quorum=2)) as made:
        agent = invited(tmp_path / "a", made.invite("A"), jobs, seen)
        async with running(agent):
            await until(lambda: bool(all_of(seen, events.Joined)))
    shutil.rmtree(tmp_path / "c")
    async with hosted(tmp_path / "c", small_spec(rounds=1, sites=2, quorum=2)) as made:
        with told_as("from another coordinator"):
            await ended(invited(tmp_path / "a", made.invite("A"), jobs, []))


# -- the handshake by itself -------------------------------------------------------------------------------------------

HOST, SITE = PrivateKey(bytes(32)), PrivateKey(bytes([1] * 32))
NONCE, TLS = "ab" * 32, "cd" * 32
HELLO = Hello(version=VERSION, site="A", key=SITE.public, base="ef" * 32)


def test_a_man_in_the_middle_is_found_out_by_his_tls_key() -> None:
    with told_as("stands between"):
        check_challenge(challenge(HOST, NONCE, TLS), "00" * 32, HOST.fingerprint)
    with told_as("could not prove"):
        check_challenge(challenge(HOST, NONCE, TLS).model_copy(update={"tls": "00" * 32}), "00" * 32, HOST.fingerprint)
    with told_as("not the coordinator"):
        check_challenge(challenge(SITE, NONCE, TLS), TLS, HOST.fingerprint)


@pytest.mark.parametrize("change", [{"nonce": "00" * 32}, {"tls": "00" * 32}, {"key": SITE.public}])
def test_an_answer_is_worth_nothing_on_another_connection(change: dict[str, str]) -> None:
    given = challenge(HOST, NONCE, TLS)
    hello = answered(SITE, given, HELLO)
    check_hello(given, hello)
    with told_as("could not prove"):
        check_hello(given.model_copy(update=change), hello)


@pytest.mark.parametrize("change", [{"site": "B"}, {"code": "0" * 32}, {"rank_cap": 1}, {"key": HOST.public}])
def test_an_answer_cannot_be_changed(change: dict[str, object]) -> None:
    given = challenge(HOST, NONCE, TLS)
    with told_as("could not prove"):
        check_hello(given, answered(SITE, given, HELLO).model_copy(update=change))
