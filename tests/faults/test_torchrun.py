# SPDX-License-Identifier: Apache-2.0
"""A site of two processes under torchrun: when the one that follows is killed, all end, and the next start goes on."""

from __future__ import annotations

import asyncio
import json
import os
import sys
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
TORCHRUN: Final = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")


async def started(*arguments: object) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *TORCHRUN,
        "fedmed_desktop",
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
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


async def test_that_a_killed_process_ends_the_site_and_the_next_start_goes_on_from_its_checkpoint(
    tmp_path: Path, tiny_model: Path
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    for split in ("train", "validation"):
        rows = [json.dumps(note.model_dump(mode="json", exclude_defaults=True)) for note in getattr(NOTES, split)]
        (notes / f"{split}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    spec, initial = found_federation(
        tiny_model,
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
    async with coordinator(tmp_path / "coordinator", spec, seen, initial=initial) as (_, port):
        site = ("--site", "--join", f"ws://127.0.0.1:{port}", "--name", "A", "--model", tiny_model, "--notes", notes)
        options = (*site, "--data-dir", tmp_path / "A", "--approve-rule", "test")
        first = await started(*options)
        try:
            said = await until(first, "step 50 of 150")
            assert "step 50 of 150" in said, said
            second_of(first).kill()
            said += await until(first)
            assert await first.wait() != 0
            assert "Another process of this site has ended" in said, said
        finally:
            await ended(first)
        again = await started(*options)
        try:
            said = await until(again)
            assert await again.wait() == 0, said
            assert "step 25 of 150" not in said and "step 150 of 150" in said
            assert said.count("The federation has finished") == 1
        finally:
            await ended(again)
