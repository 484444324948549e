# SPDX-License-Identifier: Apache-2.0
"""A site of two processes under torchrun: when the one that follows is killed, all end, and the next start goes on."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import psutil
import pytest

from fedmed_desktop import events
from fedmed_desktop.coordinator.founding import found_federation
from fedmed_desktop.federation import TrainingSettings
from fedmed_desktop.federation.spec import LoraSettings, RoundSettings
from tests.parts.loopback import coordinator
from tests.parts.training import NOTES, TYPES

pytestmark = [pytest.mark.slow, pytest.mark.integration]

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 900.0
TORCHRUN: Final = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "fedmed_desktop")
TERMINATED_LATE: Final = """
import os, signal, sys
from fedmed_desktop.cli import main
from fedmed_desktop.training.processes import Processes
close = Processes.close
def closing(self):
    os.kill(os.getpid(), signal.SIGTERM)
    close(self)
Processes.close = closing
sys.exit(main())
"""
"""The site's program, to which torchrun's SIGTERM comes when the event loop has just closed."""


async def started(*arguments: object, **variables: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"} | variables,
    )


async def until(process: asyncio.subprocess.Process, words: str | None = None) -> str:
    """What was said up to the line with these words, or to the end."""
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(PATIENCE):
        while line := (await process.stdout.readline()).decode(errors="replace"):
            said += line
            if words and words in line:
                break
    return said


async def ended(process: asyncio.subprocess.Process) -> int:
    """Its status; torchrun takes its processes with it."""
    if process.returncode is None:
        process.terminate()
    return await process.wait()


def second_of(process: asyncio.subprocess.Process) -> psutil.Process:
    """The process that follows."""
    children = psutil.Process(process.pid).children(recursive=True)
    return next(child for child in children if child.environ().get("RANK") == "1")


@asynccontextmanager
async def site_options(folder: Path, model: Path) -> AsyncIterator[tuple[object, ...]]:
    """The options of a site with a federation of 150 steps that is open for it."""
    notes = folder / "notes"
    notes.mkdir()
    for split in ("train", "validation"):
        rows = [json.dumps(note.model_dump(mode="json", exclude_defaults=True)) for note in getattr(NOTES, split)]
        (notes / f"{split}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    spec, initial = found_federation(
        model,
        LoraSettings(rank=4, alpha=8),
        0,
        name="Test",
        types=TYPES,
        rounds=1,
        score_on="loss",
        training=TrainingSettings(steps=150, batch_size=4, max_tokens=96, checkpoint_steps=10),
        round=RoundSettings(sites=1, quorum=1, training_minutes=60, approval_minutes=60),
    )
    seen: list[events.Event] = []
    async with coordinator(folder / "coordinator", spec, seen, initial=initial) as (_, port):
        site = ("--site", "--join", f"ws://127.0.0.1:{port}", "--name", "A", "--model", model, "--notes", notes)
        yield (*site, "--data-dir", folder / "A", "--approve-rule", "test")


async def test_that_a_killed_process_ends_the_site_and_the_next_start_goes_on_from_its_checkpoint(
    tmp_path: Path, tiny_model: Path
) -> None:
    async with site_options(tmp_path, tiny_model) as options:
        first = await started(*TORCHRUN, *options)
        try:
            said = await until(first, "step 50 of 150")
            assert "step 50 of 150" in said, said
            second_of(first).kill()
            said += await until(first)
            assert await first.wait() != 0
            assert "Another process of this site has ended" in said, said
        finally:
            await ended(first)
        again = await started(*TORCHRUN, *options)
        try:
            said = await until(again)
            assert await again.wait() == 0, said
            assert "step 25 of 150" not in said and "step 150 of 150" in said
            assert said.count("The federation has finished") == 1
        finally:
            await ended(again)


async def test_that_a_site_says_why_it_ends_even_where_it_is_told_to_stop_at_its_very_end(
    tmp_path: Path, tiny_model: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        line = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1]), "WORLD_SIZE": "2"}
    async with site_options(tmp_path, tiny_model) as options:
        second = await started("-m", "fedmed_desktop", *options, **line, RANK="1")
        first = await started("-c", TERMINATED_LATE, *options, **line, RANK="0")
        try:
            said = await until(first, "step 50 of 150")
            assert "step 50 of 150" in said, said
            second.kill()
            said += await until(first)
            assert await first.wait() == 2, said
            assert "Another process of this site has ended" in said, said
        finally:
            await ended(second)
            await ended(first)
