# SPDX-License-Identifier: Apache-2.0
"""What a terminal shows of events."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from fedmed_desktop import events
from fedmed_desktop.cli.console import BufferedFace, LineFace
from fedmed_desktop.cli.table import TableFace

STEP = events.TrainingStep(
    site="North", round=2, step=50, steps=100, loss=0.5, learning_rate=1e-3, tokens_per_second=900, memory_mib=100
)


@contextmanager
def stdout_to(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard output as a program has it, buffered, over this file descriptor."""
    with monkeypatch.context() as patch:
        stream = io.TextIOWrapper(io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False)), encoding="utf-8")
        patch.setattr(sys, "stdout", stream)
        yield


def read_all(descriptor: int) -> str:
    os.set_blocking(descriptor, False)
    found = b""
    while True:
        try:
            data = os.read(descriptor, 2**16)
        except BlockingIOError:
            return found.decode()
        found += data


def test_that_a_reader_who_leaves_does_not_end_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with stdout_to(writer, monkeypatch):
        face = BufferedFace(LineFace())
        face.emit(STEP)
        face.emit(STEP)
        face.flush()
        face.say("still there")
    os.close(writer)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_that_a_full_disk_behind_the_output_costs_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = os.open("/dev/full", os.O_WRONLY)
    with stdout_to(writer, monkeypatch):
        face = BufferedFace(LineFace())
        for _ in range(5):
            face.emit(STEP)
        face.flush()
        assert not face._waiting
    os.close(writer)


def test_that_a_pipe_that_nobody_reads_holds_nothing_up_and_what_was_left_out_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    with stdout_to(writer, monkeypatch):
        face = BufferedFace(LineFace(), most=50)
        while not face._busy:  # until the pipe is full and the face's thread waits for a reader
            face.say("x" * 2**16)
            face.flush(0.05)
        began = time.monotonic()
        for number in range(1000):
            face.say(f"line {number}")
        face.flush(0.1)
        assert time.monotonic() - began < 5, "saying something waited for a reader"
        assert len(face._waiting) == 50
        text = read_all(reader)
        while "line 999" not in text:
            text += read_all(reader)
        face.flush()
    for end in (reader, writer):
        os.close(end)
    assert "lines were left out" in text and "line 999" in text and "line 100\n" not in text


def test_that_lines_come_in_order_and_before_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    face = BufferedFace(LineFace())
    with face.shown():
        for number in range(20):
            face.say(f"line {number}")
    assert capsys.readouterr().out.splitlines() == [f"line {number}" for number in range(20)]


def test_that_the_table_has_a_row_per_site_with_its_step_and_loss() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    face = TableFace("title", console)
    face.emit(events.PhaseChanged(site="North", round=2, phase="training"))
    face.emit(STEP)
    console.print(face._table())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "North" in shown and "50 of 100" in shown and "0.500" in shown and "training" in shown


def test_that_a_coordinators_words_give_the_terminal_no_commands_and_make_no_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "Pilot\x1b[2J\x9b1A\nNorth: approved by ann"
    joined = events.Joined(
        site="North", round=1, federation=name, environment="test", method="fedavg", rounds=3, sites=3, types=("drug",)
    )
    LineFace().emit(joined)
    said = capsys.readouterr().out
    assert "takes part in Pilot?[2J?1A?North: approved" in said and said.count("\n") == 1


def test_that_names_in_the_table_are_shown_as_they_are() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    face = TableFace("Pilot [beta] [/a]", console)
    face.emit(STEP.model_copy(update={"site": "North [old] [/b]"}))
    console.print(face._table())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Pilot [beta] [/a]" in shown and "North [old] [/b]" in shown


def test_that_news_waits_while_somebody_is_asked() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    face = TableFace("title", console)
    opened = events.RoundOpened(round=1, attempt=1, sites=("North",), closes=STEP.time)
    with face.shown():
        with face.question():
            face.emit(opened)
            assert "round 1 opened" not in console.file.getvalue()  # type: ignore[attr-defined]
        assert "round 1 opened" in console.file.getvalue()  # type: ignore[attr-defined]


def test_that_a_site_without_progress_says_for_how_long_in_its_row_and_in_a_line() -> None:
    console = Console(file=io.StringIO(), width=140)
    face = TableFace("Federation", console)
    since = datetime.now(UTC) - timedelta(minutes=12)
    face.emit(events.SiteQuiet(site="North", round=2, since=since))
    console.print(face._table())
    face.emit(events.SiteQuiet(site="North", round=2))
    console.print(face._table())
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.count("no progress for 12 min") == 1
    assert f"no progress since {since:%H:%M} UTC" in shown and "makes progress again" in shown


def test_that_a_round_that_did_not_wait_for_all_says_why_it_closed() -> None:
    console = Console(file=io.StringIO(), width=140)
    face = TableFace("Federation", console)
    for reason in ("answered", "train", "approve", "download", "upload"):
        face.emit(events.RoundClosed(round=2, reason=reason, updates=3))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.count("round 2 closed with 3 updates") == 4 and "answered" not in shown
    assert "time for approvals" in shown and "progress with their uploads" in shown
