# SPDX-License-Identifier: Apache-2.0
"""A federation for tests of the desktop: notes, specification, a coordinator in its own process, another site."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

from fedmed_desktop import events
from fedmed_desktop.coordinator.founding import found_federation, write_federation
from fedmed_desktop.federation import TrainingSettings
from fedmed_desktop.federation.spec import LoraSettings, RoundSettings
from fedmed_desktop.lora.base_model import fingerprint
from fedmed_desktop.protocol.invitation import Invitation
from fedmed_desktop.site import Backoff, Jobs, RuleApprover, SiteAgent
from tests.parts.federation import NumpyTrainer


def write_notes(folder: Path, drug: str = "Aspirin") -> Path:
    folder.mkdir(parents=True)
    for split, count in (("train", 6), ("validation", 2), ("test", 2)):
        rows = []
        for number in range(count):
            text = f"{drug} was given {number} times and helped ."
            entity = {"id": "e", "start": 0, "end": len(drug), "type": "drug", "text": drug}
            rows.append({"id": f"{split}{number}", "text": text, "entities": [entity], "relations": []})
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def found(
    folder: Path, model: Path, *, rounds: int = 1, steps: int = 4, sites: int = 1, quorum: int = 1, **waits: float
) -> Path:
    """A federation in which one update is enough, its specification written; `waits` are minutes of RoundSettings."""
    training = TrainingSettings(
        steps=steps, batch_size=2, learning_rate=0.01, max_tokens=64, max_new_tokens=8, checkpoint_steps=1
    )
    spec, initial = found_federation(
        model,
        LoraSettings(rank=16, alpha=32),
        0,
        name="Riverside federation",
        types=("drug",),
        rounds=rounds,
        training=training,
        round=RoundSettings(sites=sites, quorum=quorum, **waits),
    )
    return write_federation(spec, initial, folder)


class Coordinator:
    """`python -m fedmed_desktop --coordinator`, with its data in a folder and always on the same port."""

    def __init__(self, folder: Path, spec: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._spec, self.data, self._log = spec, folder / "data", folder / "coordinator.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def start(self, *options: str) -> None:
        """Returns at once; a desktop connects when it listens."""
        command = (sys.executable, "-m", "fedmed_desktop", "--coordinator", "--config", self._spec)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*map(str, command), "--data-dir", str(self.data), "--port", str(self.port), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )

    def said(self) -> str:
        return self._log.read_text("utf-8") if self._log.exists() else ""

    def listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
            return True
        return False

    def status(self) -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status", timeout=20) as answer:
            return dict(json.load(answer))

    def site(self, name: str) -> dict[str, bool]:
        """What it knows of a site: connected, sent, awaits_approval, declined."""
        known: dict[str, dict[str, object]] = self.status()["sites"]  # type: ignore[assignment]
        nothing = dict.fromkeys(("connected", "sent", "awaits_approval", "declined"), False)
        return nothing | {word: bool(value) for word, value in known.get(name, {}).items()}

    def freeze(self) -> None:
        """It neither answers nor hangs up, as a computer that has gone to sleep."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> int:
        """As systemd would; its exit status."""
        assert self._process is not None
        self._process.terminate()
        status = self._process.wait(60)
        self._process = None
        return status

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up. A frozen one dies as well."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def command(*options: str) -> str:
    """What `python -m fedmed_desktop` with these options prints; a host's commands beside the coordinator."""
    program = (sys.executable, "-m", "fedmed_desktop", *options)
    done = subprocess.run(program, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


class PartnerProcess:
    """`python -m fedmed_desktop --site`: another site with notes and training of its own, which approves by rule."""

    def __init__(self, folder: Path, invitation: str, model: Path, notes: Path) -> None:
        folder.mkdir(parents=True)
        self._log = folder / "site.log"
        options = ("--invitation", invitation, "--model", model, "--notes", notes, "--data-dir", folder / "data")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fedmed_desktop", "--site", *map(str, options), "--approve-rule", "agreed"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )

    def said(self) -> str:
        return self._log.read_text("utf-8")

    def ended(self, seconds: float = 60.0) -> int:
        """Its exit status, once the federation has finished."""
        return self._process.wait(seconds)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Partner:
    """Another site, on a thread of its own: its numbers are made up, its agent and its connection are real."""

    def __init__(self, folder: Path, address: str, model: Path, invitation: Invitation | None = None) -> None:
        self.trainer = NumpyTrainer()
        self._said: list[events.Event] = []
        self._agent = SiteAgent(
            name=invitation.site if invitation else "South",
            address=invitation.url if invitation else address,
            invitation=invitation,
            data_dir=folder,
            base_fingerprint=fingerprint(model),
            make_trainer=lambda spec: self.trainer,
            approver=RuleApprover("test"),
            jobs=(jobs := Jobs()),
            emit=self._said.append,
            backoff=Backoff(first=0.1, most=0.3),
        )
        self._jobs = jobs
        self._thread = threading.Thread(target=self._run, name="partner")
        self._stopped = threading.Event()

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        work = asyncio.create_task(self._agent.run())
        stopped = asyncio.create_task(asyncio.to_thread(self._stopped.wait))
        await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        self._stopped.set()
        await stopped

    def words(self) -> str:
        """The six that its screen shows now."""
        return next(event.phrase for event in reversed(self._said) if isinstance(event, events.IdentityShown))

    def stop(self) -> None:
        self.trainer.hold.set()
        self._stopped.set()
        self._thread.join()
        self._jobs.close()
