# SPDX-License-Identifier: Apache-2.0
"""A person who hosts from a desktop: what is shown, and what each act does, over real sockets and files."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.coordinator import CoordinatorServer, Host
from fedmed_desktop.coordinator import hosting as host_sessions
from fedmed_desktop.coordinator.certificate import own_certificate
from fedmed_desktop.coordinator.verifying import verify_ledger
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation.inputs import PausedByHost
from fedmed_desktop.identity import fingerprint
from fedmed_desktop.lora import Adapter
from fedmed_desktop.lora.blob import decode_blob
from fedmed_desktop.protocol.hosting import Invited
from fedmed_desktop.protocol.invitation import read_invitation
from fedmed_desktop.protocol.messages import Decline, Finished, NotAsked, Progress, Receipt, Waiting
from fedmed_desktop.site import Jobs
from fedmed_desktop.site.hosting import HostAgent, linked_host
from fedmed_desktop.storage import BlobStore, Ledger
from fedmed_desktop.storage.ledger import FILE as LEDGER
from fedmed_desktop.storage.registry import REGISTRY_FILE, Registry
from fedmed_desktop.wording import told
from tests.parts.federation import INITIAL, moved, result_of, small_spec
from tests.parts.hosting import audited, code_for, hosting, invitation_for
from tests.parts.loopback import RawSite, agent, all_of, coordinator, running, until
from tests.unit.test_decided import BY

TWO = small_spec(rounds=2, sites=2, quorum=1)


def quick(host: Host) -> None:
    host.bulletin.interval = 0.01


async def send(host: Host, site: RawSite, seed: int = 1) -> None:
    """Answers the plan that comes next."""
    plan = await site.plan()
    start = Adapter(decode_blob(host.blobs.path(plan.start).read_bytes()))
    await site.offer(result_of(plan, start, moved(start, seed)))
    await site.hear(Receipt)


async def test_that_a_host_sees_each_site_and_is_none(tmp_path: Path) -> None:
    seen = list[events.Event]()
    async with coordinator(tmp_path / "c", TWO, seen) as (host, port):
        quick(host)
        invitation = invitation_for(tmp_path / "c", host, port, "Dr. Host")
        async with (
            hosting(tmp_path / "h", port, invitation) as work,
            RawSite(port, "A", "1" * 64) as one,
            RawSite(port, "B", "2" * 64) as other,
        ):
            await work.is_in()
            await one.join()
            await other.join()
            await one.say(Progress(round=1, phase="training"))
            now = await work.sees(lambda now: any(site.phase == "training" for site in now.sites))
            assert [site.name for site in now.sites] == ["A", "B"] and now.phase == "open" and now.quorum == 1
            assert now.sites[0].word == "training" and now.sites[0].connected and now.sites[0].key == one.key.public
            assert host.rounds.state.sites == ["A", "B"] and host.rounds.state.plans.keys() == {"A", "B"}
            await send(host, one)
            now = await work.sees(lambda now: now.updates == 1)
            assert now.sites[0].word == "sent" and now.sites[0].result_round == 1
            assert now.sites[0].result and now.sites[0].result.notes > 0
            await send(host, other, 2)
            now = await work.sees(lambda now: len(now.history) == 1 and now.round == 2)
            assert now.history[0].sites.keys() == {"A", "B"} and now.adapter_round == 1
            assert sum(one.weight or 0 for one in now.history[0].sites.values()) == pytest.approx(1)
            assert now.adapter == now.history[0].adapter == host.rounds.state.start
            await one.line.close()
            now = await work.sees(lambda now: not now.sites[0].connected)
            assert now.sites[0].last_seen and now.sites[0].word == "offline"
            words = [event.phrase for event in all_of(work.seen, events.IdentityShown)]
            assert words == [event.phrase for event in all_of(seen, events.IdentityShown) if event.site == "Dr. Host"]
    assert linked_host(tmp_path / "h") and not (tmp_path / "h" / "site.sqlite").exists()


async def test_that_a_site_is_invited_confirmed_and_removed_from_a_desktop(tmp_path: Path, jobs: Jobs) -> None:
    """Over TLS, as across hospitals."""
    folder, spec = tmp_path / "c", small_spec(rounds=1, sites=1, quorum=1)
    BlobStore(folder / "blobs").write(INITIAL.to_blob())
    host = Host(spec, folder, lambda event: None, confirm_sites=True)
    tls = own_certificate(folder, ["localhost"], datetime.now(UTC))
    async with CoordinatorServer(host, "127.0.0.1", 0, lambda event: None, tls=tls) as server:
        quick(host)
        await host.start()
        invitation = invitation_for(folder, host, server.port, "Dr. Host")
        async with hosting(tmp_path / "h", server.port, invitation, tls=True) as work:
            await until(lambda: bool(all_of(work.seen, events.IdentityShown)))
            with closing(Registry(folder / REGISTRY_FILE)) as registry:  # a host, too, waits where all are confirmed
                registry.confirm("Dr. Host", datetime.now(UTC), "shell")
            await work.is_in()
            with pytest.raises(UserFacingError, match=r"registry.no_address"):
                await work.agent.invite("Mercy", timedelta(days=1))
            host.admission.announce(f"127.0.0.1:{server.port}", host.key.fingerprint, False, spec.name)
            made = await work.agent.invite("Mercy", timedelta(days=1))
            assert isinstance(made, Invited) and made.confirms and made.line in made.file_text
            assert "Mercy" not in repr(made)
            given = read_invitation(made.line)
            assert (given.role, given.site) == ("site", "Mercy")
            await work.sees(lambda now: [one.name for one in now.invitations] == ["Mercy"] and now.invites)
            seen = list[events.Event]()
            async with running(agent(tmp_path, "Mercy", 0, jobs, seen, invitation=given)) as [task]:
                now = await work.sees(lambda now: [one.state for one in now.sites] == ["waiting"])
                row = now.sites[0]
                assert row.connected and row.key and row.words
                assert row.words == all_of(seen, events.IdentityShown)[0].phrase
                with pytest.raises(UserFacingError, match=r"hosting.other_key"):
                    await work.agent.confirm("Mercy", "ab" * 32)
                assert not host.rounds.state.sites
                await work.agent.confirm("Mercy", row.key)
                await asyncio.wait_for(task, 20)
            await work.agent.revoke("Mercy")
            now = await work.sees(lambda now: [one.state for one in now.sites] == ["revoked"])
        await host.stop()
    told = audited(folder, "invited", "confirmed", "revoked")
    own = [(row.action_code, row.stage, row.after) for row in told if row.actor_name == "Dr. Host"]
    assert own == [
        ("invited", "intent", ""),
        ("invited", "failed", "registry.no_address"),
        ("invited", "intent", ""),
        ("invited", "done", ""),
        ("confirmed", "intent", ""),
        ("confirmed", "failed", "hosting.other_key"),
        ("confirmed", "intent", ""),
        ("confirmed", "done", ""),
        ("revoked", "intent", ""),
        ("revoked", "done", ""),
    ]
    keys = {row.evidence for row in told if row.actor_name == "Dr. Host"}
    linked = work.agent._key
    assert linked and keys == {fingerprint(linked.public)}
    came = [(row.object_id, row.object_hash) for row in audited(folder, "joined") if row.role == "host"]
    assert came == [("Dr. Host", fingerprint(linked.public))]


async def test_that_a_pause_lets_a_round_stand_and_outlives_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    async with coordinator(folder, TWO, []) as (host, port):
        quick(host)
        async with hosting(tmp_path / "h", port, invitation_for(folder, host, port, "H")) as work:
            await work.is_in()
            async with RawSite(port, "A", "1" * 64) as one, RawSite(port, "B", "2" * 64) as other:
                await one.join()
                await other.join()
                await one.plan()
                await work.agent.pause()
                now = await work.sees(lambda now: now.paused_by_host)
                assert now.phase == "paused" and now.closes is None and "pause" in now.refusals
                with pytest.raises(UserFacingError, match=r"hosting.is_paused"):
                    await work.agent.pause()
                await send(host, other)
                assert host.rounds.state.updates.keys() == {"B"}  # what comes meanwhile counts
                await one.say(Decline(round=1, code="kept"))
                await until(lambda: host.rounds.state.declined == {"A": "kept"})
                assert host.rounds.state.phase == "paused"  # although all have answered
    async with coordinator(folder, TWO, [], port=port) as (host, port):
        quick(host)
        async with hosting(tmp_path / "h", port) as work, RawSite(port, "A", "1" * 64) as one:
            await work.sees(lambda now: now.paused_by_host)  # without an invitation: the folder remembers
            await one.join()
            await work.agent.resume()
            now = await work.sees(lambda now: now.round == 2)
            assert now.history[0].reason == "answered" and now.history[0].declined == {"A": "kept"}
            assert (await one.plan()).round == 2
    told = [(row.action_code, row.stage, row.role) for row in audited(folder, "paused", "resumed")]
    assert told == [
        ("paused", "intent", "host"),
        ("paused", "done", "host"),
        ("paused", "failed", "host"),
        ("resumed", "intent", "host"),
        ("resumed", "done", "host"),
    ]


async def test_that_a_pause_while_updates_are_combined_holds_the_next_round(tmp_path: Path) -> None:
    async with coordinator(tmp_path / "c", small_spec(rounds=2, sites=1, quorum=1), []) as (host, port):
        quick(host)
        combining = host.combining
        begun, spawn = list[object](), combining.spawn
        combining.spawn = begun.append  # type: ignore[method-assign, assignment]
        async with (
            hosting(tmp_path / "h", port, invitation_for(tmp_path / "c", host, port, "H")) as work,
            RawSite(port, "A") as one,
        ):
            await one.join()
            await send(host, one)
            await work.sees(lambda now: now.phase == "combining")
            await work.agent.pause()
            with pytest.raises(UserFacingError, match=r"hosting.combining"):
                await work.agent.publish(host.rounds.state.start)
            spawn(begun[0])  # type: ignore[arg-type]
            now = await work.sees(lambda now: now.phase == "paused")
            assert now.round == 2 and now.adapter_round == 1 and now.asked == 0
            await work.agent.resume()
            assert (await one.plan()).round == 2


async def test_that_a_round_is_closed_once_its_quorum_is_there(tmp_path: Path) -> None:
    async with coordinator(tmp_path / "c", small_spec(rounds=2, sites=3, quorum=2), []) as (host, port):
        quick(host)
        async with (
            hosting(tmp_path / "h", port, invitation_for(tmp_path / "c", host, port, "H")) as work,
            RawSite(port, "A", "1" * 64) as one,
            RawSite(port, "B", "2" * 64) as other,
        ):
            await work.is_in()
            await one.join()
            with pytest.raises(UserFacingError, match=r"hosting.too_few_sites"):
                await work.agent.close_round(1, 1)
            await other.join()
            await work.sees(lambda now: len(now.sites) == 2)
            await work.agent.close_round(1, 1)  # no more sites are waited for
            await send(host, one)
            with pytest.raises(UserFacingError, match=r"hosting.no_quorum .*quorum=2, round=1, updates=1"):
                await work.agent.close_round(1, 1)
            async with RawSite(port, "C", "3" * 64) as late:
                await late.join()
                assert (await late.hear(NotAsked)).round == 1
                await send(host, other, 2)
                await work.sees(lambda now: now.round == 2)
                with pytest.raises(UserFacingError, match=r"hosting.other_round .*round=2"):
                    await work.agent.close_round(1, 1)
                await send(host, one, 3)
                await send(host, late, 4)
                now = await work.sees(lambda now: now.updates == 2)
                assert "close" not in now.refusals
                await work.agent.close_round(2, 1)
                now = await work.sees(lambda now: len(now.history) == 2)
                assert now.history[1].reason == "host" and now.history[1].missing == ("B",)


async def test_that_publishing_ends_the_federation_with_the_last_closed_rounds_adapter(tmp_path: Path) -> None:
    folder, spec = tmp_path / "c", small_spec(rounds=3, sites=2, quorum=2)
    async with coordinator(folder, spec, []) as (host, port):
        quick(host)
        async with (
            hosting(tmp_path / "h", port, invitation_for(folder, host, port, "H")) as work,
            RawSite(port, "A", "1" * 64) as one,
            RawSite(port, "B", "2" * 64) as other,
        ):
            await one.join()
            await other.join()
            with pytest.raises(UserFacingError, match=r"hosting.nothing_closed"):
                await asyncio.wait_for(publish_when_in(work.agent, spec.base.initial), 20)
            await send(host, one)
            await send(host, other, 2)
            now = await work.sees(lambda now: now.round == 2)
            with pytest.raises(UserFacingError, match=r"hosting.other_adapter"):
                await work.agent.publish(spec.base.initial)
            await send(host, one, 3)  # of a round that is never combined; its receipt holds
            counted = host.rounds.receipt_for("A", 2)
            await work.agent.publish(now.adapter)
            for site in (one, other):
                assert (await site.hear(Finished)).adapter == now.adapter
            now = await work.sees(lambda now: now.phase == "finished")
            assert set(now.refusals) == {"pause", "resume", "close", "publish"} and len(now.history) == 1
    async with coordinator(folder, spec, [], port=port) as (host, port), RawSite(port, "B", "2" * 64) as site:
        await site.join()
        assert (await site.hear(Finished)).adapter == now.adapter
        assert host.rounds.receipt_for("A", 2) == counted and not host.rounds.state.evaluation
    assert verify_ledger(folder).faults == []
    with closing(Ledger(folder / LEDGER, spec)) as ledger:
        ledger.append(PausedByHost(by=BY), datetime.now(UTC))
    assert "host did not sign" in told(verify_ledger(folder).faults[0])
    done = [(row.object_hash, row.actor_name) for row in audited(folder, "finished") if row.stage == "done"]
    assert done == [(now.adapter, "H"), (now.adapter, "")]


async def publish_when_in(work: HostAgent, adapter: str) -> None:
    while work.overview is None:  # noqa: ASYNC110 - it has no event of its own
        await asyncio.sleep(0.005)
    await work.publish(adapter)


async def test_that_a_site_is_finished_by_what_a_host_publishes(tmp_path: Path, jobs: Jobs) -> None:
    """A real site's agent, in the middle of its work."""
    spec = small_spec(rounds=5, sites=1, quorum=1)
    async with coordinator(tmp_path / "c", spec, []) as (host, port):
        quick(host)
        async with (
            hosting(tmp_path / "h", port, invitation_for(tmp_path / "c", host, port, "H")) as work,
            running(site := agent(tmp_path, "A", port, jobs, [])) as [task],
        ):
            now = await work.sees(lambda now: bool(now.history) and "publish" not in now.refusals)
            await work.agent.pause()
            now = await work.sees(lambda now: now.phase == "paused")
            await work.agent.publish(now.adapter)
            assert await asyncio.wait_for(task, 20) == now.adapter
            assert site.final_adapter(now.adapter).sha256 == now.adapter


async def test_that_two_hosts_act_at_once_and_each_act_counts_once(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    async with coordinator(folder, TWO, []) as (host, port):
        quick(host)
        first, second = (invitation_for(folder, host, port, name) for name in ("One", "Two"))
        async with hosting(tmp_path / "1", port, first) as one, hosting(tmp_path / "2", port, second) as two:
            await one.is_in()
            await two.is_in()
            both = await asyncio.gather(one.agent.pause(), two.agent.pause(), return_exceptions=True)
            assert [type(found) for found in both].count(UserFacingError) == 1
            now = await two.sees(lambda now: now.paused_by_host)
            assert [(row.name, row.connected) for row in now.hosts] == [("One", True), ("Two", True)]
            with pytest.raises(UserFacingError, match=r"hosting.not_a_site"):
                await one.agent.revoke("Two")
            with pytest.raises(UserFacingError, match=r"hosting.not_a_site"):
                await one.agent.revoke((now.hosts[1].fingerprint or "")[:16])
            assert host.admission.member("Two").state == "admitted"  # type: ignore[union-attr]
            code_for(folder, "Three")
            for act in (one.agent.revoke("three"), one.agent.invite("Three", timedelta(days=1))):  # only invited yet
                with pytest.raises(UserFacingError, match=r"hosting.not_a_site"):
                    await act
    tried = [(row.object_type, row.stage) for row in audited(folder, "revoked", "invited") if row.actor_name == "One"]
    assert tried == [("host", stage) for _ in range(4) for stage in ("intent", "failed")]


async def test_that_a_lost_connection_comes_back_and_an_act_in_between_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out, done = host_sessions.carry_out, asyncio.Event()

    async def cut(host: Host, act: object, by: object) -> None:
        """Does what is asked, and loses the line before it can say so."""
        await carry_out(host, act, by)  # type: ignore[arg-type]
        done.set()
        session = next(iter(server_sessions[0].values()))
        session.connection.transport.abort()  # type: ignore[attr-defined]

    server_sessions = list[dict[str, object]]()
    init = host_sessions.HostSession.__init__

    def noted(self: host_sessions.HostSession, *args: object) -> None:
        init(self, *args)  # type: ignore[arg-type]
        server_sessions[:] = [{self.site: self}]

    monkeypatch.setattr(host_sessions.HostSession, "__init__", noted)
    async with coordinator(tmp_path / "c", TWO, []) as (host, port):
        quick(host)
        async with hosting(tmp_path / "h", port, invitation_for(tmp_path / "c", host, port, "H")) as work:
            await work.is_in()
            monkeypatch.setattr(host_sessions, "carry_out", cut)
            with pytest.raises(UserFacingError, match=r"hosting.no_answer"):
                await work.agent.pause()
            monkeypatch.setattr(host_sessions, "carry_out", carry_out)
            assert done.is_set()
            await until(
                lambda: len([e for e in all_of(work.seen, events.ConnectionChanged) if e.state == "connected"]) > 1
            )
            await until(lambda: work.agent._bond is not None)
            await work.sees(lambda now: now.paused_by_host)  # it was done
            with pytest.raises(UserFacingError, match=r"hosting.is_paused"):  # asking again does no harm
                await work.agent.pause()
    with pytest.raises(UserFacingError, match=r"hosting.offline"):
        await work.agent.resume()


async def test_that_a_site_that_waits_is_seen_and_other_folders_are_refused(tmp_path: Path, jobs: Jobs) -> None:
    folder = tmp_path / "c"
    async with coordinator(folder, TWO, [], confirm_sites=True) as (host, port):
        invitation = invitation_for(folder, host, port, "H")
        with pytest.raises(UserFacingError, match=r"invitation.of_host"):
            agent(tmp_path, "H", port, jobs, [], invitation=invitation)
        of_site = invitation_for(folder, host, port, "S", "site")
        keep = {"show": lambda now: None, "emit": lambda event: None}
        with pytest.raises(UserFacingError, match=r"invitation.of_site"):
            HostAgent(data_dir=tmp_path / "h", invitation=of_site, **keep)
        with pytest.raises(UserFacingError, match=r"hosting.no_invitation"):
            HostAgent(data_dir=tmp_path / "h", **keep)
        with pytest.raises(UserFacingError, match=r"hosting.other_folder"):
            HostAgent(data_dir=folder, invitation=invitation, **keep)
        async with RawSite(port, "S") as site:
            await site.greet(code=of_site.code.hex())
            await site.hear(Waiting)
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / "host.json").write_text(json.dumps({"name": 3}))
    with pytest.raises(UserFacingError, match=r"storage.damaged"):
        HostAgent(data_dir=tmp_path / "h", **keep)
