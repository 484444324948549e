# SPDX-License-Identifier: Apache-2.0
"""Federations of real processes, over TLS, in which some get SIGKILL at random instants and are started again.

python -m tests.parts.kills FOLDER NAME        # one site: what such a federation starts
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from fedmed_desktop import events
from fedmed_desktop.coordinator.inviting import issue
from fedmed_desktop.federation import Control, FederationSpec, LocalResult, Plan, dump_spec, load_spec
from fedmed_desktop.federation.work import Emit, Given
from fedmed_desktop.protocol.invitation import read_invitation
from fedmed_desktop.site import Jobs, RuleApprover, SiteAgent
from fedmed_desktop.site.tls import context_for
from fedmed_desktop.storage import BlobStore, Ledger
from tests.parts.federation import FINGERPRINT, INITIAL, NumpyTrainer, small_spec
from tests.parts.loopback import QUICK

ROOT: Final = Path(__file__).resolve().parents[2]
SITES: Final = ("Alpha", "Beta")
COORDINATOR: Final = "coordinator"
SPEC: Final = small_spec(rounds=2, sites=2, quorum=2)
PATIENCE: Final = 120.0
_TRAINING: Final = 0.1  # seconds, so that a kill may hit it


@dataclass
class KilledRun:
    """One federation: who was killed when, how long coordinators took to serve again, and what is wrong."""

    seed: int
    killed: list[str] = field(default_factory=list)
    serving: list[float] = field(default_factory=list)  # seconds from the start of a process to its first answer
    active: float = 0.0
    receipts: int = 0
    final: str = ""
    faults: list[str] = field(default_factory=list)


class Program:
    """A process and what it has said."""

    def __init__(self, *command: str) -> None:
        self._command = command
        self.lines: list[str] = []
        self.process: asyncio.subprocess.Process
        self._reading: asyncio.Task[None]

    async def start(self) -> Program:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading

    async def until(self, words: str) -> None:
        while not any(words in line for line in self.lines):
            if self.process.returncode is not None:
                raise AssertionError(f"no {words!r}: {self.lines}")
            await asyncio.sleep(0.005)

    @property
    def final(self) -> str | None:
        return next((line.split()[1] for line in self.lines if line.startswith("final ")), None)


class Killed:
    """One federation in a folder."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.run = KilledRun(seed)
        self._folder = folder
        self._port = free_port()
        self.programs: dict[str, Program] = {}
        self._receipts: set[str] = set()  # lines that sites have said, the killed ones too

    async def serve(self) -> int:
        """Starts the coordinator and invites both sites; the port."""
        data = self._folder / COORDINATOR
        BlobStore(data / "blobs").write(INITIAL.to_blob())
        (self._folder / "federation.toml").write_text(dump_spec(SPEC))
        await self.start(COORDINATOR)
        for site in SITES:
            now, address = datetime.now(UTC), f"127.0.0.1:{self._port}"
            issue(data, site, timedelta(days=1), now, "test", out=self._folder, address=address)
        return self._port

    async def join(self) -> None:
        await asyncio.gather(*(self.start(site) for site in SITES))

    async def start(self, who: str) -> None:
        if who != COORDINATOR:
            self.programs[who] = await Program("-m", "tests.parts.kills", str(self._folder), who).start()
            await self.programs[who].until("ready")
            return
        began = time.monotonic()
        where = ("--config", str(self._folder / "federation.toml"), "--data-dir", str(self._folder / COORDINATOR))
        command = ("-m", "fedmed_desktop", "--coordinator", *where, "--port", str(self._port), "--tls")
        self.programs[who] = program = await Program(*command).start()
        while not await answers(self._port):
            if program.process.returncode is not None or time.monotonic() - began > PATIENCE:
                raise AssertionError(f"the coordinator does not serve: {program.lines}")
            await asyncio.sleep(0.01)
        self.run.serving.append(time.monotonic() - began)

    async def kill(self, who: str) -> None:
        """Kills it, wherever it is in its work, and starts it again; not a site that has ended."""
        program = self.programs[who]
        if program.final or program.process.returncode is not None:
            return
        await program.kill()
        self._keep_receipts(program)
        self.run.killed.append(who)
        if not program.final:
            await self.start(who)

    def _keep_receipts(self, program: Program) -> None:
        self._receipts |= {line for line in program.lines if line.startswith("receipt ")}

    async def end(self) -> None:
        """Waits for both sites, then kills the coordinator too and looks at what it has on its disk."""
        try:
            async with asyncio.timeout(PATIENCE):
                for site in SITES:
                    await self.programs[site].process.wait()
        except TimeoutError:
            self.run.faults.append("hangs")
        for name, program in self.programs.items():
            await program.kill()
            self._keep_receipts(program)
            if name != COORDINATOR and program.final is None:
                self.run.faults.append(f"{name}: {program.lines[-5:]}")
        finals = {self.programs[site].final or "" for site in SITES}
        self.run.final = ", ".join(sorted(finals))
        self._look()

    def _look(self) -> None:
        spec: FederationSpec = load_spec(self._folder / "federation.toml")
        ledger = Ledger(self._folder / COORDINATOR / "coordinator.sqlite", spec, lambda fault: None, True)
        try:
            history = ledger.load_rounds(spec).state.history
        finally:
            ledger.close()
        counted = {(record.round, site): one.update.sha256 for record in history for site, one in record.sites.items()}
        if counted.keys() != {(number, site) for number in (1, 2) for site in SITES}:
            self.run.faults.append(f"in the result: {sorted(counted)}")
        for line in self._receipts:
            _, site, number, update = line.split()
            if int(number) <= SPEC.rounds:
                self.run.receipts += 1
                if counted.get((int(number), site)) != update:
                    self.run.faults.append(f"a receipt for what is not in the result: {line}")


async def killed_run(seed: int, active: float) -> KilledRun:
    """Up to three kills at instants within `active` seconds of work; none for a seed below zero."""
    folder = Path(tempfile.mkdtemp(prefix="kill"))
    rng = random.Random(seed)
    federation = Killed(folder, seed)
    try:
        await federation.serve()
        await federation.join()
        began = time.monotonic()
        kills = rng.randint(1, 3) if seed >= 0 else 0
        for _ in range(kills):
            await asyncio.sleep(rng.uniform(0, 0.9 * active / kills))
            await federation.kill(rng.choice((COORDINATOR, *SITES)))
        await federation.end()
        federation.run.active = time.monotonic() - began
    except AssertionError as error:
        federation.run.faults.append(str(error))
    finally:
        for program in federation.programs.values():
            await program.kill()
        shutil.rmtree(folder, ignore_errors=True)
    return federation.run


async def killed_runs(seeds: Iterable[int], say: Callable[[str], None]) -> dict[str, Any]:
    """Many of them; what `packaging/benchmarks/faults.py --kill` prints."""
    calm = await killed_run(-1, 0.0)
    assert not calm.faults, calm.faults
    runs = []
    for seed in seeds:
        run = await killed_run(seed, calm.active)
        if run.final != calm.final:
            run.faults.append(f"another final hash: {run.final}")
        if run.faults:
            say(f"seed {seed}, killed {', '.join(run.killed)}: {'; '.join(run.faults)}")
        runs.append(run)
    again = sorted(seconds for run in runs for seconds in run.serving[1:])
    names = [name for run in runs for name in run.killed]
    return {
        "runs": len(runs),
        "bad": [{"seed": run.seed, "faults": run.faults} for run in runs if run.faults],
        "killed": {name: names.count(name) for name in (COORDINATOR, *SITES)},
        "receipts": sum(run.receipts for run in runs),
        "serving again": {
            "times": len(again),
            **{
                f"p{part}": round(again[int(part / 100 * (len(again) - 1))], 2)
                for part in (0, 50, 90, 99, 100)
                if again
            },
        },
        "final": calm.final,
    }


async def answers(port: int) -> bool:
    """Whether a coordinator there says that it is alive."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context_for(roots=False))
    except (OSError, ssl.SSLError):
        return False
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        return re.match(rb"HTTP/1.1 200 ", await reader.read(100)) is not None
    except OSError:
        return False
    finally:
        writer.transport.abort()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Slow(NumpyTrainer):
    def train_round(self, plan: Plan, given: Given, checkpoints: Path, emit: Emit, control: Control) -> LocalResult:
        time.sleep(_TRAINING)
        return super().train_round(plan, given, checkpoints, emit, control)


def site(folder: Path, name: str) -> None:
    """One site's process: says when it is ready, what it has receipts for, and the final hash."""

    def emit(event: events.Event) -> None:
        if isinstance(event, events.ReceiptReceived):
            _say(f"receipt {name} {event.round} {event.update}")

    invitation = read_invitation((folder / f"{name}.fedmed").read_text("utf-8"))
    jobs = Jobs()
    try:
        agent = SiteAgent(
            name=name,
            address=invitation.url,
            data_dir=folder / name,
            base_fingerprint=FINGERPRINT,
            make_trainer=lambda spec: _Slow(ord(name[0])),
            approver=RuleApprover("test rule"),
            jobs=jobs,
            emit=emit,
            invitation=invitation,
            backoff=QUICK,
        )
        _say("ready")
        _say(f"final {asyncio.run(agent.run())}")
    finally:
        jobs.close()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    site(Path(sys.argv[1]), sys.argv[2])
