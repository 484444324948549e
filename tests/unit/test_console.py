# SPDX-License-Identifier: Apache-2.0
"""What a terminal shows of events."""

from __future__ import annotations

import io
import os
import sys

import pytest
from rich.console import Console

from fedmed_desktop import events
from fedmed_desktop.cli.console import LineFace, TableFace

STEP = events.TrainingStep(
    site="North", round=2, step=50, steps=100, loss=0.5, learning_rate=1e-3, tokens_per_second=900, memory_mib=100
)


def test_that_a_reader_who_leaves_does_not_end_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with monkeypatch.context() as patch, io.TextIOWrapper(io.FileIO(writer, "w"), write_through=True) as pipe:
        patch.setattr(sys, "stdout", pipe)
        face = LineFace()
        face.emit(STEP)
        face.emit(STEP)


def test_that_the_table_has_a_row_per_site_with_its_step_and_loss() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    face = TableFace("title", console)
    face.emit(events.PhaseChanged(site="North", round=2, phase="training"))
    face.emit(STEP)
    console.print(face._table())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "North" in shown and "50 of 100" in shown and "0.500" in shown and "training" in shown


def test_that_news_waits_while_somebody_is_asked() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    face = TableFace("title", console)
    opened = events.RoundOpened(round=1, attempt=1, sites=("North",), closes=STEP.time)
    with face.shown():
        with face.question():
            face.emit(opened)
            assert "round 1 opened" not in console.file.getvalue()  # type: ignore[attr-defined]
        assert "round 1 opened" in console.file.getvalue()  # type: ignore[attr-defined]
