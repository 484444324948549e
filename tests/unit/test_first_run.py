# SPDX-License-Identifier: Apache-2.0
"""The first run's pages, without Qt: where each answer leads, and that each page can be skipped and gone back to."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.desktop.welcome.steps import STEPS, FirstRun, Purpose
from fedmed_desktop.site.preflight import Gpu, computer
from fedmed_desktop.wording.findings import finding_line, subject


def walked(run: FirstRun) -> list[str]:
    """Pages that come until the end."""
    seen = [run.step]
    while run.outcome is None:
        run = run.forward()
        seen.append(run.step)
    return seen


@pytest.mark.parametrize(
    ("purpose", "left"),
    [("join", ["computer", "join", "notes", "end"]), ("try", ["computer", "end"]), ("demo", ["end"])],
)
def test_that_each_purpose_leads_through_what_it_needs(purpose: Purpose, left: list[str]) -> None:
    run = FirstRun().choose(purpose)
    assert walked(run) == left
    while run.outcome is None:
        run = run.forward()
    assert run.outcome == purpose and run.forward() == run


def test_that_who_chooses_nothing_and_skips_all_begins_nothing() -> None:
    run = FirstRun()
    assert walked(run) == [*STEPS, "end"]
    for _ in STEPS:
        run = run.forward()
    assert run.outcome == "nothing"


@given(st.lists(st.sampled_from(["forward", "back", "join", "try", "demo"]), max_size=12))
def test_that_every_way_can_be_gone_back_and_dismissed(moves: list[str]) -> None:
    run = FirstRun()
    for move in moves:
        if run.outcome is None:
            run = run.forward() if move == "forward" else run.back() if move == "back" else run.choose(move)  # type: ignore[arg-type]
    assert run.dismiss().outcome == "nothing"
    assert 0 <= run.number <= len(run.path) and (run.step == "end" or run.step in run.path)
    if run.outcome is None and run.step != "purpose":
        assert run.back().forward() == run
    assert FirstRun().back() == FirstRun()


def lines(tmp_path: Path, gpu: Gpu | None) -> dict[str, str]:
    return {subject(found): finding_line(found) for found in computer(tmp_path, gpu)}


def test_that_a_gpu_is_named_with_what_it_suffices_for(tmp_path: Path) -> None:
    said = lines(tmp_path, Gpu("NVIDIA H200", 141_000_000_000, 139_000_000_000))
    assert said["GPU"] == "The program can train on NVIDIA H200, which has 141 GB of memory."
    assert "about 55.8 billion weights" in said["What it can train"], "(141 - 1.5) / (2 * 1.25)"


@pytest.mark.parametrize(
    ("memory", "words"),
    [(16_500_000_000, "3.0 billion"), (4_000_000_000, "500 million"), (1_500_000_000, "hardly enough memory")],
)
def test_that_without_a_gpu_the_computers_memory_counts(
    tmp_path: Path, memory: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = psutil.virtual_memory()._replace(total=memory, available=memory)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: there)
    said = lines(tmp_path, None)
    assert "No GPU was found" in said["GPU"] and words in said["What it can train"] and "free" in said["Disk"]
