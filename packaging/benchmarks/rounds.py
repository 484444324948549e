# SPDX-License-Identifier: Apache-2.0
"""Rounds over loopback: time, CPU and memory of the transfer and combination, beside a raw websocket and a socket.

    PYTHONPATH=. .venv/bin/python packaging/benchmarks/rounds.py [--mebibytes N] [--sites N] [--runs N] [--keep]
        [--check]

One coordinator process (`fedmed-desktop --coordinator`) and a process for each site, whose trainer has its update ready
before it joins: what is left is the transfer down and up, every check, every write to disk and the combination. A round
takes from its opening to its closing as the coordinator's ledger has them. The peers move the same bytes, down and back
up, between as many processes: `websocket` with the same library and frames, every byte hashed with sha256 by its
receiver, and `socket`, which hashes nothing; neither writes to disk, checks or combines. `durable` is that websocket
whose receivers also write what they get to a file and force it to disk. An `empty` round has a tiny adapter.
`tls` is ours as between two computers: by invitation, and encrypted.

The arms alternate, so that a busy machine slows all alike. CPU seconds are those of all processes, less what they had
used before the round. Memory is the coordinator's peak beyond what it held when it began to listen, in adapters. Prints
tables and JSON; seconds are of this machine only, so `--check` looks at ratios and memory, and at the empty round;
`--keep` writes results/rounds.json. Linux only: processes are looked at in /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import shutil
import signal
import statistics
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from arms import Arm, Ratio, Told, in_turn
from raw_lines import KINDS, Process, raw, say, stopped

from fedmed_desktop import events
from fedmed_desktop.coordinator.inviting import issue
from fedmed_desktop.federation import (
    Control,
    FederationSpec,
    LocalResult,
    Part,
    Plan,
    Report,
    TrainingSettings,
    Update,
    dump_spec,
    load_spec,
)
from fedmed_desktop.federation.evidence import Evidence
from fedmed_desktop.federation.spec import BaseModelSpec, LoraSettings, RoundSettings
from fedmed_desktop.federation.work import Emit, Given
from fedmed_desktop.lora import Adapter, Module, algebra
from fedmed_desktop.protocol.invitation import read_invitation
from fedmed_desktop.scores import Scores
from fedmed_desktop.site import Jobs, RuleApprover, SiteAgent
from fedmed_desktop.storage import BlobStore, Ledger

ROOT: Final = Path(__file__).resolve().parents[2]
LORA: Final = LoraSettings(rank=16, alpha=64)
SIDE: Final = 4096  # of the adapted matrices: two of them in rank 16 are one mebibyte
FINGERPRINT: Final = hashlib.sha256(b"base").hexdigest()
EMPTY_ROUNDS: Final = 20
MOST_ADAPTERS, MOST_EMPTY = 4.0, 0.2
BOUNDS: Final = {("ours", "websocket", "seconds"): 2.0}
RATIOS: Final = [
    Ratio(arm, peer, figure, most=BOUNDS.get((arm, peer, figure)))
    for arm in ("ours", "tls")
    for peer in KINDS
    for figure in ("seconds", "cpu")
]


def main() -> int:
    options = arguments()
    if options.name:
        return site(options)
    with tempfile.TemporaryDirectory() as folder:
        fresh, size = (Path(folder) / str(number) for number in itertools.count()), options.mebibytes
        arms: dict[str, Arm] = {
            "ours": lambda: ours(next(fresh), options.sites, size),
            "tls": lambda: ours(next(fresh), options.sites, size, tls=True),
            **{kind: partial(raw, kind, options.sites, size) for kind in KINDS},
            "empty": lambda: ours(next(fresh), options.sites, 0),
            "empty tls": lambda: ours(next(fresh), options.sites, 0, tls=True),
        }
        case = in_turn(f"{size} MiB to {options.sites} sites and back", arms, options.runs)
    told = Told("rounds", [case], RATIOS, {"sites": options.sites, "mebibytes": size, "runs": options.runs})
    told.show()
    if options.keep:
        told.keep()
    small = case.median("ours", "adapters") < MOST_ADAPTERS and case.median("empty tls", "seconds") < MOST_EMPTY
    return 0 if (told.good and small) or not options.check else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mebibytes", type=int, default=64, metavar="N", help="size of the adapter (64)")
    parser.add_argument("--sites", type=int, default=4, metavar="N", help="(4)")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="of each arm (5)")
    parser.add_argument("--keep", action="store_true", help="write results/rounds.json")
    parser.add_argument("--check", action="store_true", help="status 1 where a bound is missed")
    parser.add_argument("--name", default="", help=argparse.SUPPRESS)
    parser.add_argument("--invitation", default="", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def start(mebibytes: int) -> Adapter:
    """The federation's first adapter: this large, or as small as can be."""
    shapes = {f"model.layers.{n}.q_proj": (SIDE, SIDE) for n in range(2 * mebibytes)} if mebibytes else {"q": (16, 16)}
    return Adapter.initial(shapes, LORA.rank, LORA.scale, seed=0)


def trained(adapter: Adapter, name: str) -> Adapter:
    """The adapter after a site's training: every value has moved."""
    rng = np.random.default_rng(list(name.encode()))
    modules = {}
    for module_name, module in adapter.items():
        b, a = (0.01 * rng.standard_normal(one.shape, dtype=np.float32) for one in (module.B, module.A))
        modules[module_name] = Module(module.B + b, module.A + a, module.scale)
    return Adapter(modules)


class Ready:
    """A trainer that has the first round's update at hand; in later ones the adapter must be small."""

    def __init__(self, initial: Adapter, name: str) -> None:
        self._name = name
        self._first = self._result(initial)

    def _result(self, adapter: Adapter) -> tuple[Report, bytes, Part]:
        after = trained(adapter, self._name)
        report = Report(
            notes=10,
            supervised_tokens=70,
            steps=4,
            loss_before=1.0,
            loss_after=0.5,
            start_norm=algebra.norm(adapter),
            update_norm=algebra.distance(after, adapter),
            effective_rank=1.0,
        )
        blob = after.to_blob()
        return report, blob, Part(sha256=hashlib.sha256(blob).hexdigest(), size=len(blob))

    def train_round(self, plan: Plan, given: Given, checkpoints: Path, emit: Emit, control: Control) -> LocalResult:
        report, blob, part = self._first if plan.round == 1 else self._result(given.start)
        update = Update(round=plan.round, parts={"adapter": part}, report=report)
        return LocalResult(update, {"adapter": blob}, Evidence(rank=plan.rank))

    def evaluate(self, plan: Plan, given: Given, emit: Emit, control: Control) -> LocalResult:
        report = Report(kind="evaluate", notes=10, scores_after=Scores())
        return LocalResult(Update(round=plan.round, parts={}, report=report), {}, Evidence(rank=plan.rank))


def founded(folder: Path, sites: int, mebibytes: int) -> tuple[Path, FederationSpec]:
    """The specification's file, with the first adapter where the coordinator looks for it."""
    initial = start(mebibytes)
    spec = FederationSpec(
        name="Rounds",
        types=("drug",),
        rounds=1 if mebibytes else EMPTY_ROUNDS,
        base=BaseModelSpec(fingerprint=FINGERPRINT, initial=initial.sha256, modules=dict(initial.shapes)),
        combine="factors",
        lora=LORA,
        training=TrainingSettings(steps=4),
        round=RoundSettings(sites=sites, quorum=sites),
    )
    folder.mkdir()
    (folder / "federation.toml").write_text(dump_spec(spec))
    BlobStore(folder / "coordinator" / "blobs").write(initial.to_blob())
    return folder / "federation.toml", load_spec(folder / "federation.toml")


def ours(folder: Path, sites: int, mebibytes: int, tls: bool = False) -> dict[str, float]:
    """One federation: median seconds of a round, CPU seconds of all processes, peak memory of the coordinator."""
    config, spec = founded(folder, sites, mebibytes)
    data = folder / "coordinator"
    command = ["--coordinator", "--config", str(config), "--data-dir", str(data), "--port", "0"]
    coordinator = Process("-m", "fedmed_desktop", *command, *(["--tls"] if tls else []))
    with stopped([coordinator]) as processes:
        port = int(coordinator.line().partition("127.0.0.1:")[2].partition(",")[0])
        if tls:
            assert "--invite" in coordinator.line()
        idle = coordinator.memory("VmRSS")
        names = [f"site {number}" for number in range(sites)]
        at = ("--port", str(port), "--folder", str(folder), "--mebibytes", str(mebibytes))
        processes += [Process(__file__, "--name", one, *at, *invited(data, one, tls)) for one in names]
        for process in processes[1:]:
            assert process.line() == "ready"
        before = sum(process.cpu() for process in processes)
        for process in processes[1:]:
            process.go()
        for process in processes[1:]:
            assert process.line() == "closed"
        cpu = sum(process.cpu() for process in processes) - before
        own_cpu, peak = coordinator.cpu(), coordinator.memory("VmHWM") - idle
    ledger = Ledger(data / "coordinator.sqlite", spec, lambda fault: None, True)
    history = ledger.load_rounds(spec).state.history
    ledger.close()
    seconds = statistics.median((one.closed - one.opened).total_seconds() for one in history)
    shutil.rmtree(folder)
    adapters = peak / (mebibytes * 2**20) if mebibytes else 0.0
    return {"seconds": seconds, "cpu": cpu / len(history), "coordinator": own_cpu, "adapters": adapters}


def invited(data: Path, name: str, tls: bool) -> list[str]:
    """Settings that a site is told beyond the port, where the line is encrypted."""
    if not tls:
        return []
    issued = issue(data, name, timedelta(hours=1), datetime.now(UTC), "benchmark", out=data.parent)
    return ["--invitation", issued.invitation.line()]


def site(options: argparse.Namespace) -> int:
    """One site's process: ready, joins upon a signal, says when the last round has closed."""
    trainer = Ready(start(options.mebibytes), options.name)
    invitation = read_invitation(options.invitation) if options.invitation else None
    last = 1 if options.mebibytes else EMPTY_ROUNDS
    told = False

    def emit(event: events.Event) -> None:
        nonlocal told
        if not told and isinstance(event, events.PhaseChanged) and event.round > last:  # the closing evaluation begins
            told = True
            say("closed")

    async def take_part() -> None:
        going = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, going.set)
        jobs = Jobs()
        agent = SiteAgent(
            name=options.name,
            address=f"{'wss' if invitation else 'ws'}://127.0.0.1:{options.port}",
            invitation=invitation,
            data_dir=options.folder / options.name,
            base_fingerprint=FINGERPRINT,
            make_trainer=lambda spec: trainer,
            approver=RuleApprover("benchmark"),
            jobs=jobs,
            emit=emit,
        )
        say("ready")
        await going.wait()
        await agent.run()
        await asyncio.Event().wait()

    asyncio.run(take_part())
    return 0


if __name__ == "__main__":
    sys.exit(main())
