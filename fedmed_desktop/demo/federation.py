# SPDX-License-Identifier: Apache-2.0
"""A whole federation in one process: embedded coordinator, real site agents, real websockets, one base model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from .. import events
from ..clinical import SiteNotes, apply_types, read_notes_folder
from ..coordinator import CoordinatorServer, Host
from ..coordinator.founding import found_federation, lacking
from ..errors import UserFacingError
from ..federation import FederationSpec
from ..federation.methods import usual
from ..federation.methods.fitting import refusal_of_moments
from ..federation.names import site_name
from ..federation.probes import Probing
from ..federation.record import RoundsState
from ..federation.spec import SharedNote, shared_note
from ..lora import Adapter
from ..lora.load import load_adapter
from ..site import Approver, Backoff, Jobs, RuleApprover, SiteAgent
from ..storage import BlobStore
from ..storage.outbox import Decision, Record
from ..training.outline import adaptable_linears
from ..training.preparation import LoadedBase, site_types_map, trainer_factory
from .settings import (
    DEMO_RULE,
    LORA,
    MODIFIERS,
    OVERFITTED_NOTES,
    SCORED_NOTES,
    SHARED_NOTES,
    TASKS,
    TYPES,
    DemoOptions,
    site_folders,
)
from .turns import Turns


@dataclass(frozen=True)
class DemoSite:
    """A site of the demonstration and the notes in its folder."""

    name: str
    folder: Path
    notes: SiteNotes


@dataclass(frozen=True)
class Finished:
    """Everything that a federation leaves behind.

    `at_socket`: bytes that the coordinator received and sent, beside the whole model's. `adapter` is all that the
    federation added to the base, as one adapter; `at_site` the same with the part that a site keeps. `record`: what the
    first site knows.
    """

    spec: FederationSpec
    state: RoundsState
    adapter: Adapter
    decisions: dict[str, list[Decision]]
    at_socket: dict[str, int | None]
    at_site: dict[str, Adapter]
    record: Record


def demo_sites(options: DemoOptions) -> list[DemoSite]:
    """The sites with notes in the notes folder. Raises UserFacingError naming what is missing or wrong."""
    folders = site_folders(options)
    for folder in folders:
        site_name(folder.name)
    sites = [DemoSite(folder.name, folder, read_notes_folder(folder)) for folder in folders]
    if options.notes == DemoOptions().notes:
        sites = [replace(site, notes=_scored_on_fewer(site.notes)) for site in sites]
    if options.overfitted:
        few = replace(sites[0].notes, train=sites[0].notes.train[:OVERFITTED_NOTES])
        sites[0] = replace(sites[0], notes=few)
    return sites


def _scored_on_fewer(notes: SiteNotes) -> SiteNotes:
    return replace(notes, validation=notes.validation[:SCORED_NOTES])


def demo_spec(options: DemoOptions, sites: list[DemoSite]) -> tuple[FederationSpec, Adapter]:
    """The demonstration's specification for these sites, and its first adapter."""
    return found_federation(
        options.model,
        LORA,
        options.seed,
        name="Demonstration",
        environment="test",
        tasks=TASKS,
        types=TYPES,
        modifiers=MODIFIERS,
        modules=adaptable_linears(options.model),
        begin_with=load_adapter(options.begins_with) if options.begins_with else None,
        rounds=options.rounds,
        method={"name": options.method},
        training=options.training.model_copy(update={"keep_moments": not _refuses_moments(options.method)}),
        round={"sites": len(sites), "quorum": max(1, len(sites) - 1)},
        **_asked_for(options, sites),
    )


def _refuses_moments(method: str) -> bool:
    return refusal_of_moments(method, usual(method)) is not None


def _asked_for(options: DemoOptions, sites: list[DemoSite]) -> dict[str, Any]:
    """Settings that the chosen method needs in a specification. Of notes, only the bundled ones are shared."""
    misfit = lacking(options.method)
    if misfit == "methods.needs_histogram":
        return {"share": {"histogram": "types"}}
    if misfit == "methods.no_shared_notes" and options.notes == DemoOptions().notes:
        return {"shared_notes": tuple(_public_notes(sites))}
    return {}


def _public_notes(sites: list[DemoSite]) -> Iterator[SharedNote]:
    """The first validation notes of each site in turn, in the demonstration's types."""
    typed = [apply_types(site.notes.validation, TYPES, site_types_map(site.folder))[0] for site in sites]
    return map(shared_note, islice(chain.from_iterable(zip(*typed, strict=False)), SHARED_NOTES))


async def run_federation(
    spec: FederationSpec,
    initial: Adapter,
    sites: list[DemoSite],
    base: LoadedBase,
    jobs: Jobs,
    folder: Path,
    operator: Approver | None,
    emit: Callable[[events.Event], None],
    joined: Callable[[SiteAgent], None],
) -> Finished:
    """Runs all rounds. The first site is the operator's; without an `operator`, the demo rule decides there too.

    That site computes first in each round, so that whoever watches has something to see and to decide while the others
    compute. Its adapters are probed for what they may reveal only where an operator reads the findings.

    `joined` gets the operator's agent before any agent runs.
    Raises UserFacingError, also if the federation pauses: nobody could resume a demonstration.
    """
    paused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    turns = Turns(jobs)

    def watch(event: events.Event) -> None:
        if isinstance(event, events.FederationPaused) and event.reason == "quorum" and not paused.done():
            # Always from the loop: the coordinator says so, not the working thread.
            paused.set_exception(UserFacingError("demo.paused", round=event.round))
        if isinstance(event, events.RoundOpened):
            turns.new_round()
        if not (isinstance(event, events.SiteSeen) and event.phase):  # the site itself has said so, also here
            emit(event)

    blobs = BlobStore(folder / "coordinator" / "blobs")
    blobs.write(initial.to_blob())
    host = Host(spec, folder / "coordinator", watch)
    try:
        async with CoordinatorServer(host, "127.0.0.1", 0, watch) as server:
            await host.start()
            with ExitStack() as opened:
                agents = []
                for number, site in enumerate(sites):
                    agent = SiteAgent(
                        name=site.name,
                        address=f"ws://127.0.0.1:{server.port}",
                        data_dir=folder / "sites" / site.name,
                        base_fingerprint=spec.base.fingerprint,
                        make_trainer=trainer_factory(
                            base,
                            site.name,
                            site.notes,
                            site.folder,
                            emit,
                            probing=Probing if operator and number == 0 else None,
                        ),
                        approver=operator if operator and number == 0 else RuleApprover(DEMO_RULE),
                        jobs=turns.others if number else turns.first,
                        emit=emit,
                        backoff=Backoff(first=0.1, most=2.0),
                    )
                    agents.append(agent)
                    opened.callback(agent.close)
                joined(agents[0])
                await _all_finished([asyncio.ensure_future(host.wait_for_fault()), paused], [a.run() for a in agents])
            at_socket = server.traffic()
            return _finished(spec, host, agents, at_socket)
    finally:
        await host.stop()


def _finished(spec: FederationSpec, host: Host, agents: list[SiteAgent], at_socket: dict[str, int | None]) -> Finished:
    """Gather what the federation leaves behind."""
    state = host.rounds.state
    own = {agent.name: agent.holdings.own_final(state.start, state.frozen) for agent in agents}
    return Finished(
        spec=spec,
        state=state,
        adapter=agents[0].final_adapter(state.start),
        decisions={agent.name: agent.decisions for agent in agents},
        at_site={name: adapter for name, adapter in own.items() if adapter is not None},
        at_socket=at_socket,
        record=agents[0].record(),
    )


async def _all_finished(faults: list[asyncio.Future[None]], runs: list[Coroutine[Any, Any, str]]) -> None:
    """Waits for all runs. The first that fails, or the first fault, ends them all and is raised."""
    tasks = [asyncio.ensure_future(run) for run in runs]
    everything = asyncio.ensure_future(asyncio.gather(*tasks))
    waiting: list[asyncio.Future[Any]] = [everything, *faults]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for fault in faults:
            if fault.done():
                fault.result()
        everything.result()
    finally:
        waiting += tasks
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
