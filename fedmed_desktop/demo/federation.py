# SPDX-License-Identifier: Apache-2.0
"""A whole federation in one process: embedded coordinator, real site agents, real websockets, one base model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import events
from ..clinical import SiteNotes, read_notes_folder
from ..coordinator import CoordinatorServer, Host
from ..coordinator.founding import found_federation
from ..errors import UserFacingError
from ..federation import FederationSpec
from ..federation.record import RoundsState
from ..federation.spec import RoundSettings
from ..lora import Adapter
from ..site import Approver, Backoff, Jobs, RuleApprover, SiteAgent
from ..storage import BlobStore, Decision
from ..training.preparation import LoadedBase, trainer_factory
from .settings import LORA, TRAINING, TYPES, DemoOptions

DEMO_RULE = "demo rule: partners approve everything at once"


@dataclass(frozen=True)
class DemoSite:
    """A site of the demonstration and its notes, as they lie in its folder."""

    name: str
    folder: Path
    notes: SiteNotes


@dataclass(frozen=True)
class Finished:
    """What a federation leaves: its state, its final adapter and each site's record of decisions."""

    spec: FederationSpec
    state: RoundsState
    adapter: Adapter
    decisions: dict[str, list[Decision]]


def demo_sites(options: DemoOptions) -> list[DemoSite]:
    """The sites whose notes lie in the notes folder; raises UserFacingError naming what is missing or wrong."""
    if not options.notes.is_dir():
        raise UserFacingError("demo.no_notes", path=str(options.notes))
    folders = sorted(path for path in options.notes.iterdir() if path.is_dir())
    wanted = options.sites or len(folders)
    if len(folders) < max(wanted, 1):
        raise UserFacingError("demo.too_few_sites", path=str(options.notes), found=len(folders), wanted=wanted)
    return [DemoSite(folder.name, folder, read_notes_folder(folder)) for folder in folders[:wanted]]


def demo_spec(options: DemoOptions, sites: list[DemoSite]) -> tuple[FederationSpec, Adapter]:
    """The demonstration's specification for these sites, and its first adapter."""
    return found_federation(
        options.model,
        LORA,
        options.seed,
        name="Demonstration",
        types=TYPES,
        rounds=options.rounds,
        method={"name": options.method},
        training=TRAINING,
        round=RoundSettings(sites=len(sites), quorum=max(1, len(sites) - 1)),
    )


async def run_federation(
    spec: FederationSpec,
    initial: Adapter,
    sites: list[DemoSite],
    base: LoadedBase,
    jobs: Jobs,
    folder: Path,
    operator: Approver | None,
    emit: Callable[[events.Event], None],
) -> Finished:
    """Runs all rounds. The first site is the operator's; without an `operator`, the demo rule decides there too."""
    blobs = BlobStore(folder / "coordinator" / "blobs")
    blobs.write(initial.to_blob())
    host = Host(spec, folder / "coordinator", emit)
    try:
        async with CoordinatorServer(host, "127.0.0.1", 0, emit) as server:
            await host.start()
            agents = [
                _agent(site, spec, base, jobs, folder, server.port, operator if number == 0 else None, emit)
                for number, site in enumerate(sites)
            ]
            decisions: dict[str, list[Decision]] = {}
            async with asyncio.TaskGroup() as group:
                fault = group.create_task(host.wait_for_fault())
                runs = [group.create_task(_run(agent, decisions)) for agent in agents]
                await asyncio.gather(*runs)
                fault.cancel()
            final = host.rounds.state.start
            return Finished(spec, host.rounds.state, Adapter.from_blob(blobs.read(final)), decisions)
    finally:
        await host.stop()


async def _run(agent: SiteAgent, decisions: dict[str, list[Decision]]) -> None:
    await agent.run()
    decisions[agent.name] = agent.decisions


def _agent(
    site: DemoSite,
    spec: FederationSpec,
    base: LoadedBase,
    jobs: Jobs,
    folder: Path,
    port: int,
    operator: Approver | None,
    emit: Callable[[events.Event], None],
) -> SiteAgent:
    return SiteAgent(
        name=site.name,
        address=f"ws://127.0.0.1:{port}",
        data_dir=folder / site.name,
        base_fingerprint=spec.base.fingerprint,
        make_trainer=trainer_factory(base, site.name, site.notes, site.folder),
        approver=operator or RuleApprover(DEMO_RULE),
        jobs=jobs,
        emit=emit,
        backoff=Backoff(first=0.1, most=2.0),
    )
