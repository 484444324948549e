# SPDX-License-Identifier: Apache-2.0
"""A site that takes part by files alone: the same checks, approval, audit and final hash as over a line."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop import events
from fedmed_desktop.cli import main
from fedmed_desktop.coordinator import Host
from fedmed_desktop.coordinator.carrying import Carrying
from fedmed_desktop.coordinator.errands import Errands
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import FederationSpec
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.protocol.bundle import CARRIED, MAX_HEAD_BYTES, for_coordinator, for_site, sealed
from fedmed_desktop.protocol.handshake import challenge
from fedmed_desktop.protocol.invitation import Invitation
from fedmed_desktop.protocol.messages import Ask, Decline, Want, encode
from fedmed_desktop.site import Approver, Jobs, RuleApprover, SiteAgent, Verdict
from fedmed_desktop.storage.audit_file import verify_audit
from fedmed_desktop.storage.bundle_file import read_bundle, write_bundle
from fedmed_desktop.storage.registry import REGISTRY_FILE, Registry
from fedmed_desktop.storage.secrets import load_key
from tests.parts.federation import FINGERPRINT, INITIAL, small_spec
from tests.parts.loopback import RawSite, agent, coordinator, running, until
from tests.parts.plan import MethodTrainer
from tests.parts.site import SPEC as ONE_SITE
from tests.parts.told import told_as
from tests.parts.way_down import FIRST, down_spec

TWO = small_spec(rounds=2, sites=2, quorum=2)
IN_FEWER_BITS = down_spec(rounds=2, sites=2, quorum=2)
FIRSTS = {INITIAL.sha256: INITIAL, FIRST.sha256: FIRST}
FAR = "Far Clinic"


class Carrier:
    """A person with a medium between the coordinator and the far site."""

    def __init__(self, folder: Path, host: Host, invitations: dict[str, Invitation], jobs: Jobs) -> None:
        self.folder, self.host, self.jobs = folder, host, jobs
        self.carrying = Carrying(host, folder / "c", lambda event: None)
        self.invitation, self.near = invitations[FAR], invitations["Near"]
        self.to_site, self.to_coordinator = folder / "to-site.tar", folder / "to-coordinator.tar"
        self.seen = list[events.Event]()
        self.invited = True

    def agent(self, approver: Approver | None = None) -> SiteAgent:
        return SiteAgent(
            name=self.invitation.site,
            address=self.invitation.url,
            invitation=self.invitation if self.invited else None,
            data_dir=self.folder / "far",
            base_fingerprint=FINGERPRINT,
            make_trainer=lambda spec: MethodTrainer(ord(FAR[0])),
            approver=approver or RuleApprover("test rule"),
            jobs=self.jobs,
            emit=self.seen.append,
            bundles=(self.to_site, self.to_coordinator),
        )

    async def export(self) -> str:
        return (await self.carrying.export(FAR, self.to_site, "host")).says

    async def export_when_asked(self) -> str:
        """Exports until the site is asked, or told the end: before that the other site has yet to send."""
        async with asyncio.timeout(20):
            while (says := await self.export()) == "wait":  # noqa: ASYNC110 - what is waited for has no event of its own
                await asyncio.sleep(0.02)
        return says

    async def work(self) -> str:
        """The site takes what came and answers; "" or the final hash."""
        async with asyncio.timeout(20):
            return await self.agent().run()

    async def take(self) -> list[str]:
        came = await self.carrying.take(self.to_coordinator, "host")
        return [f"{one.outcome} {one.round} {one.code}".strip() for one in came.answers]

    async def join(self) -> None:
        assert await self.export() == "invited"
        await self.work()
        assert await self.take() == []


@asynccontextmanager
async def carried(
    folder: Path, spec: FederationSpec, jobs: Jobs, seen: list[events.Event]
) -> AsyncIterator[tuple[Carrier, int]]:
    async with coordinator(folder / "c", spec, seen, initial=FIRSTS[spec.base.initial]) as (host, port):
        invitations = dict[str, Invitation]()
        with contextlib.closing(Registry(folder / "c" / REGISTRY_FILE)) as registry:
            for name in (FAR, "Near"):
                code = registry.invite(name, timedelta(days=7), datetime.now(UTC), "host")
                # Nobody ever calls the far site's address.
                address = f"{'far.example.org' if name == FAR else '127.0.0.1'}:{port}"
                invitations[name] = Invitation(address, host.key.fingerprint, code, name)
        yield Carrier(folder, host, invitations, jobs), port


async def online(folder: Path, spec: FederationSpec, jobs: Jobs) -> str:
    """The final hash of the same federation where both sites have a line."""
    async with coordinator(folder / "c", spec, [], initial=FIRSTS[spec.base.initial]) as (_, port):
        far, near = (agent(folder, name, port, jobs, [], MethodTrainer(ord(name[0]))) for name in (FAR, "Near"))
        async with running(far, near) as tasks:
            async with asyncio.timeout(20):
                one, other = await asyncio.gather(*tasks)
    assert one == other
    return one


@pytest.mark.parametrize("spec", [TWO, IN_FEWER_BITS], ids=["whole", "in fewer bits"])
async def test_that_a_federation_with_a_site_without_a_line_ends_as_one_with_lines(
    spec: FederationSpec, tmp_path: Path, jobs: Jobs
) -> None:
    expected = await online(tmp_path / "online", spec, jobs)
    seen = list[events.Event]()
    async with carried(tmp_path, spec, jobs, seen) as (carrier, port):
        await carrier.join()
        near = SiteAgent(
            name="Near",
            address=f"ws://127.0.0.1:{port}",
            invitation=carrier.near,
            data_dir=tmp_path / "near",
            base_fingerprint=FINGERPRINT,
            make_trainer=lambda spec: MethodTrainer(ord("N")),
            approver=RuleApprover("test rule"),
            jobs=jobs,
            emit=lambda event: None,
        )
        async with running(near) as (task,):
            await until(lambda: carrier.host.rounds.state.phase == "open")
            said = list[str]()
            while (now := await carrier.export_when_asked()) != "finished":
                assert now in ("asked", "to_score")
                assert await carrier.work() == ""
                carrier.invited = False  # it knows its coordinator now
                said += await carrier.take()
            final = await carrier.work()
            async with asyncio.timeout(20):
                assert await task == final == expected
    assert said == ["counted 1", "counted 2", "counted 3"]
    assert not [event for event in carrier.seen if isinstance(event, events.Warned)]  # files hold adapters whole
    for side, other in (("c", "far"), ("far", "c")):
        verdict = verify_audit(tmp_path / side, tmp_path / other)
        assert verdict.fault is None and verdict.compared
        assert {"exported", "imported"} <= {row["action_code"] for row in verdict.file.rows}


async def test_that_what_is_carried_twice_counts_once(tmp_path: Path, jobs: Jobs) -> None:
    async with carried(tmp_path, ONE_SITE, jobs, []) as (carrier, _):
        await carrier.join()
        await carrier.export()
        await carrier.work()
        assert await carrier.take() == ["counted 1"]
        assert await carrier.take() == ["counted 1"]
        await carrier.work()  # the old bundle once more
        assert await carrier.take() == ["counted 1"]
        assert await carrier.export() == "asked"
        await carrier.work()
        assert await carrier.take() == ["counted 2"]
        decisions = [one.decision for one in carrier.agent().decisions if one.round == 1]
        assert decisions == ["approved", "released", "acknowledged"]


async def test_that_a_site_whose_line_comes_up_while_its_file_is_taken_waits_for_the_end(
    tmp_path: Path, jobs: Jobs
) -> None:
    async with carried(tmp_path, ONE_SITE, jobs, []) as (carrier, port):
        await carrier.join()
        await carrier.export()
        await carrier.work()
        begun, go_on, check_part = asyncio.Event(), asyncio.Event(), carrier.host.checking.check_part

        async def slow(*given: Any) -> None:
            begun.set()
            await go_on.wait()
            await check_part(*given)

        carrier.host.checking.check_part = slow  # type: ignore[method-assign]
        taking = asyncio.create_task(carrier.take())
        await begun.wait()
        async with RawSite(port, FAR) as line:
            line.key = load_key(tmp_path / "far", "site")[0]
            line.hello = line.hello.model_copy(update={"key": line.key.public})
            line.bond = replace(line.bond, site=line.key.public)
            await line.greet()
            await asyncio.sleep(0.2)
            go_on.set()
            async with asyncio.timeout(20):
                assert await taking == ["counted 1"]
            assert (await line.plan()).round == 2


class Refuses(RuleApprover):
    async def decide(self, entry: Entry) -> Verdict:
        return replace(await super().decide(entry), approve=False)


async def test_that_what_the_person_keeps_does_not_leave_and_is_declined(tmp_path: Path, jobs: Jobs) -> None:
    async with carried(tmp_path, ONE_SITE, jobs, []) as (carrier, _):
        await carrier.join()
        await carrier.export()
        async with asyncio.timeout(20):
            await carrier.agent(Refuses("no")).run()
        assert read_bundle(carrier.to_coordinator, MAX_HEAD_BYTES).places == {}
        assert await carrier.take() == ["declined 1 kept"]


async def test_that_a_bundle_by_another_or_for_another_is_refused(tmp_path: Path, jobs: Jobs) -> None:
    async with carried(tmp_path, ONE_SITE, jobs, []) as (carrier, _):
        await carrier.join()
        await carrier.export()
        whole = carrier.to_site.read_bytes()
        file = read_bundle(carrier.to_site, MAX_HEAD_BYTES)
        with told_as("is for Far Clinic"):
            for_site(file.head, "Near", carrier.invitation.fingerprint)
        with told_as("not the coordinator"):
            for_site(file.head, FAR, PrivateKey.new().fingerprint)
        assert any(isinstance(one, Ask) for one in for_site(file.head, FAR, carrier.invitation.fingerprint).said())
        changed = json.loads(file.head)
        changed["body"] = changed["body"].replace('"kind\\":\\"train', '"kind\\":\\"evaluate').replace("2", "3", 1)
        write_bundle(carrier.to_site, json.dumps(changed).encode(), {})
        with told_as("changed after it was signed"):
            await carrier.work()
        carrier.to_site.write_bytes(whole)
        with told_as("was made for a site"):
            await carrier.carrying.take(carrier.to_site, "host")
        await carrier.work()
        damaged = bytearray(carrier.to_coordinator.read_bytes())
        ((start, _),) = read_bundle(carrier.to_coordinator, MAX_HEAD_BYTES).places.values()
        damaged[start + 100] ^= 1  # the head is whole, and so is its signature
        carrier.to_coordinator.write_bytes(damaged)
        with told_as("bytes of .* have changed"):
            await carrier.take()
        damaged[start + 100] ^= 1
        carrier.to_coordinator.write_bytes(damaged)
        assert await carrier.take() == ["counted 1"]


async def test_that_who_was_never_invited_gets_nothing_and_brings_nothing(tmp_path: Path, jobs: Jobs) -> None:
    async with carried(tmp_path, ONE_SITE, jobs, []) as (carrier, _):
        with told_as("No site has the name"):
            await carrier.carrying.export("Stranger", carrier.to_site, "host")
        await carrier.export()
        carrier.invited = False
        with pytest.raises(UserFacingError) as caught:
            await carrier.work()
        assert caught.value.code == "link.no_invitation"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"messages": (encode(Want(sha256=INITIAL.sha256)),)}, "not from a site's file"),
        ({"messages": ("?",)}, "message"),
        ({"messages": (encode(Decline(round=1, code="kept")),)}, "signature"),
        ({"blobs": {"a" * 64: 5}}, "does not hold what"),
        ({"hello": None}, "not signed by the sender"),
        ({"way": "to site"}, "was made for a site"),
        ({"format": 2}, "another version"),
        ({"challenge": challenge(PrivateKey.new(), "0" * 64, CARRIED)}, "not the coordinator"),
    ],
)
async def test_that_a_hostile_site_s_bundle_is_refused_whole(
    change: dict[str, object], words: str, tmp_path: Path, jobs: Jobs
) -> None:
    async with carried(tmp_path, ONE_SITE, jobs, []) as (carrier, _):
        await carrier.join()
        await carrier.export()
        await carrier.work()
        key = load_key(tmp_path / "far", "site")[0]
        own, _ = for_coordinator(read_bundle(carrier.to_coordinator, MAX_HEAD_BYTES).head, carrier.host.key.fingerprint)
        bundle = own.model_copy(update={"blobs": {}, "messages": ()} | change)
        write_bundle(carrier.to_coordinator, sealed(key, bundle), {})
        before = carrier.host.rounds.dump()
        with told_as(words):
            await carrier.take()
        assert carrier.host.rounds.dump() == before


@pytest.mark.parametrize("runs", [True, False])
async def test_that_the_commands_carry_a_round_whether_the_coordinator_runs_or_not(
    runs: bool, tmp_path: Path, jobs: Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    async with contextlib.AsyncExitStack() as running_one:
        carrier, _ = await running_one.enter_async_context(carried(tmp_path, ONE_SITE, jobs, []))
        if runs:
            watch = asyncio.create_task(Errands(carrier.host, tmp_path / "c", lambda event: None).watch())
        else:
            await running_one.aclose()

        async def command(*arguments: object) -> tuple[int, str]:
            given = [*map(str, arguments), "--data-dir", str(tmp_path / "c")]
            status = await asyncio.to_thread(main, given)
            said = capsys.readouterr()
            return status, said.out + said.err

        async def export() -> str:
            status, said = await command("--export-round", "far clinic", "--out", carrier.to_site)
            assert status == 0, said
            return said

        async def take() -> tuple[int, str]:
            return await command("--import-update", carrier.to_coordinator)

        assert "prove its key" in await export()
        await carrier.work()
        assert "has joined" in (await take())[1]
        for number in (1, 2, 3):
            assert f"its part of round {number}" in await export()
            await carrier.work()
            assert await take() == (
                0,
                f"The update of {FAR} for round {number} counts. Its receipt goes with the next export.\n",
            )
        assert "to score the final adapter" in await export()
        await carrier.work()
        scored = f"The update of {FAR} for the final scoring counts. Its receipt goes with the next export.\n"
        assert await take() == (0, scored)
        assert "has finished" in await export()
        assert await carrier.work() != ""
        carrier.to_coordinator.write_bytes(b"?" * 2000)
        status, said = await take()
        assert status == 2 and f"{carrier.to_coordinator} cannot be used" in said  # the file that was given, not a copy
        if runs:
            watch.cancel()
    assert not list((tmp_path / "c" / "errands").iterdir())


def test_that_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    from fedmed_desktop.coordinator.errands import Errand, hand_over

    with told_as("There is no file .*answer"):
        hand_over(tmp_path, Errand(kind="import", by="host"), tmp_path / "answer", lambda made: None)
    assert not (tmp_path / "errands").exists()
