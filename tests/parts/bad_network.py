# SPDX-License-Identifier: Apache-2.0
"""A small federation on a bad network: two sites, one of them through a line whose faults a seed decides."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Literal
from unittest import mock

from fedmed_desktop import events
from fedmed_desktop.coordinator import CoordinatorServer, Host, authentication, limits
from fedmed_desktop.coordinator.certificate import own_certificate
from fedmed_desktop.coordinator.inviting import issue
from fedmed_desktop.federation.spec import BaseModelSpec, LoraSettings
from fedmed_desktop.lora import Adapter
from fedmed_desktop.protocol import wire
from fedmed_desktop.protocol.invitation import Invitation
from fedmed_desktop.site import Jobs, link
from fedmed_desktop.storage import BlobStore
from tests.parts.faulty_line import BEFORE_ANY, CHANGES, KINDS, Direction, Fault, FaultyLine, Kind
from tests.parts.federation import FINGERPRINT, small_spec
from tests.parts.loopback import agent, all_of, running

Phase = Literal["connect", "TLS", "handshake", "download", "approval", "upload", "receipt", "final"]
PHASES: Final[tuple[Phase, ...]] = (
    "connect",
    "TLS",
    "handshake",
    "download",
    "approval",
    "upload",
    "receipt",
    "final",
)
SITES: Final = ("Alpha", "Beta")
# Two chunks and a bit, so that a transfer can be resumed by offset.
SHAPES: Final = {"model.layers.0.mlp.up_proj": (70_000, 8)}
START: Final = Adapter.initial(SHAPES, 4, 2.0, seed=0)
SPEC: Final = small_spec(
    rounds=1,
    sites=2,
    quorum=2,
    base=BaseModelSpec(fingerprint=FINGERPRINT, initial=START.sha256, modules=SHAPES),
    lora=LoraSettings(rank=4, alpha=8),
)
# Bytes of a connection's beginning in which TLS is agreed on, or the websocket is asked for without it.
_OPENING: Final = {"up": 300, "down": 150}

_INTRODUCTION: Final = ("connect", "TLS", "handshake")

Marks = dict[Phase, dict[Direction, tuple[int, int]]]


@contextmanager
def impatient() -> Iterator[None]:
    """What takes tens of seconds between computers far apart takes one or two here, so that dead lines are noticed."""
    with (
        mock.patch.multiple(wire, PING_INTERVAL=0.5, PING_TIMEOUT=2.0, CLOSE_TIMEOUT=1.0),
        mock.patch.multiple(limits, HANDSHAKE_SECONDS=2.0),
        mock.patch.multiple(authentication, _HELLO_SECONDS=2.0),
        mock.patch.multiple(link, _CHALLENGE_SECONDS=2.0, Connect=partial(link.Connect, open_timeout=2.0)),
    ):
        yield


@dataclass
class Run:
    """One federation: what happened on the line, and what came of it."""

    seed: int
    tls: bool
    phase: Phase | None = None
    struck: list[Fault] = field(default_factory=list)
    connections: int = 0
    seconds: float = 0.0
    final: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)  # of the outcome: none, if all is well


@asynccontextmanager
async def served(folder: Path, tls: bool, seen: list[events.Event]) -> AsyncIterator[tuple[Host, int]]:
    BlobStore(folder / "blobs").write(START.to_blob())
    host = Host(SPEC, folder, seen.append)
    host.retry = 0.05
    certificate = own_certificate(folder, ["127.0.0.1"], datetime.now(UTC)) if tls else None
    names = ["127.0.0.1"] if tls else []
    try:
        async with CoordinatorServer(host, "127.0.0.1", 0, seen.append, certificate, names) as server:
            await host.start()
            yield host, server.port
    finally:
        await host.stop()


def invited(data_dir: Path, site: str, port: int) -> Invitation:
    now = datetime.now(UTC)
    address = f"127.0.0.1:{port}"
    return issue(data_dir, site, timedelta(days=1), now, "test", out=data_dir / "out", address=address).invitation


class _Watched(list[events.Event]):
    def __init__(self, watch: Callable[[events.Event], None] | None) -> None:
        super().__init__()
        self._watch = watch

    def append(self, event: events.Event) -> None:
        super().append(event)
        if self._watch:
            self._watch(event)


async def federation(
    folder: Path, seed: int, tls: bool, faults: list[Fault], patience: float, watch: Callable[..., None] | None = None
) -> Run:
    """Runs it to its end, or to the end of patience; `watch` is told each event of Alpha with its line."""
    run, all_jobs, began = Run(seed, tls), [Jobs(), Jobs()], time.monotonic()
    try:
        async with served(folder / "c", tls, []) as (host, port), FaultyLine(port, faults) as line:
            seen = _Watched(partial(watch, line) if watch else None)
            sites = []
            for name, to, jobs in zip(SITES, (line.port, port), all_jobs, strict=True):
                given = await asyncio.to_thread(invited, folder / "c", name, to) if tls else None
                sites.append(agent(folder, name, to, jobs, seen if name == SITES[0] else [], invitation=given))
            async with running(*sites) as tasks:
                done, left = await asyncio.wait(tasks, timeout=patience)
                run.faults += [f"{task.get_name()} hangs" for task in left]
                for task in done:
                    if error := task.exception():
                        run.faults.append(f"{task.get_name()} has ended: {error!r}")
                    else:
                        run.final.add(task.result())
            run.struck, run.connections = line.struck, line.connections
            _look(run, host, seen)
    finally:
        for jobs in all_jobs:
            jobs.close()
    run.seconds = time.monotonic() - began
    return run


def _look(run: Run, host: Host, seen: list[events.Event]) -> None:
    history = host.rounds.state.history
    if [sorted(record.sites) for record in history] != [list(SITES)]:
        run.faults.append(f"the round has {[sorted(record.sites) for record in history]}, {host.rounds.state.phase}")
    if any(record.declined for record in history):
        run.faults.append(f"declined: {[record.declined for record in history]}")
    receipts = Counter(event.update for event in all_of(seen, events.ReceiptReceived) if event.round == 1)
    counted = Counter(one.update.sha256 for record in history for site, one in record.sites.items() if site == SITES[0])
    if receipts.keys() - counted.keys() or any(times > 1 for times in counted.values()):
        run.faults.append(f"receipts for {receipts}, in the result {counted}")
    for event in all_of(seen, events.Failed):
        run.faults.append(f"failed: {event.code}")


class Ruler:
    """Measures, in an undisturbed federation, at which bytes of Alpha's line each phase lies."""

    def __init__(self) -> None:
        self._at: dict[str, dict[str, int]] = {}

    def __call__(self, line: FaultyLine, event: events.Event) -> None:
        match event:
            case events.IdentityShown():
                self._note("handshake", line)
            case events.PlanFetched(round=1):
                self._note("download", line)
            case events.TransferProgress(direction="up"):
                self._note("approval", line)  # ends with the first piece that leaves
            case events.ReceiptReceived(round=1):
                self._note("upload", line)
                self._at["upload"]["up"] -= 64  # of its last piece
                self._at["upload"]["down"] = self._at["approval"]["down"]
                self._note("receipt", line)
            case events.FederationFinished():
                self._note("final", line)

    def _note(self, phase: str, line: FaultyLine) -> None:
        self._at.setdefault(phase, dict(line.bytes))

    def marks(self) -> Marks:
        found: Marks = {"connect": {"up": (BEFORE_ANY, 0), "down": (BEFORE_ANY, 0)}}
        before: dict[str, int] = {"up": 0, "down": 0}
        for phase in PHASES[1:]:
            after = _OPENING if phase == "TLS" else self._at[phase]
            found[phase] = {"up": (before["up"], after["up"]), "down": (before["down"], after["down"])}
            before = after
        return found


async def measured(folder: Path, tls: bool) -> tuple[Run, Marks]:
    """An undisturbed federation, and where its phases lie."""
    ruler = Ruler()
    run = await federation(folder, -1, tls, [], 60.0, ruler)
    assert not run.faults, run.faults
    return run, ruler.marks()


def planned(seed: int, tls: bool, marks: Marks) -> tuple[Phase, list[Fault]]:
    """The faults of a seed: one of each kind in each phase for 80 seeds in a row; from 160 on up to two more.

    Over a plain line, which lies within one computer, nothing is changed while the two sides introduce themselves:
    whoever says something else there is somebody else, which is final. With several faults nobody can tell which bytes
    those are.
    """
    rng, several = random.Random(seed), seed >= 160
    kinds = KINDS if tls or not several else tuple(kind for kind in KINDS if kind not in CHANGES)
    phase, kind = PHASES[seed % len(PHASES)], kinds[seed // len(PHASES) % len(kinds)]
    if not tls and phase in _INTRODUCTION and kind in CHANGES:
        kind = "cut"
    more = [(rng.choice(PHASES), rng.choice(kinds)) for _ in range(rng.randrange(3) if several else 0)]
    return phase, [_fault(rng, which, marks[where]) for where, which in ((phase, kind), *more)]


def _fault(rng: random.Random, kind: Kind, where: dict[Direction, tuple[int, int]]) -> Fault:
    ways = [way for way, (begin, end) in sorted(where.items()) if end > begin]
    way = rng.choice(ways)
    begin, end = where[way]
    at = BEFORE_ANY if begin == BEFORE_ANY else rng.randrange(begin, end)
    amount = rng.randrange(500_000, 5_000_000) if kind == "throttle" else rng.choice((1, 7, 64, 1000, 9000))
    seconds = rng.uniform(0.001, 0.02) if kind == "delay" else rng.uniform(0.1, 3.0)
    return Fault(kind, way, at, amount, seconds)
