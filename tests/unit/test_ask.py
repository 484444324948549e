# SPDX-License-Identifier: Apache-2.0
"""The question on the terminal: it shows all that would leave, and only an answer to it counts."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError
from rich.console import Console

from fedmed_desktop.cli.ask import TerminalApprover, evidence_table
from fedmed_desktop.cli.console import BufferedFace, LineFace
from fedmed_desktop.federation import Part, Plan, TrainingSettings
from fedmed_desktop.federation import part_actions as do
from fedmed_desktop.federation.evidence import MaskedAmong
from fedmed_desktop.federation.gate import assent
from fedmed_desktop.federation.policy import Decision, InForce, Layer, Policy
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.protocol.masking import MaskPeers
from fedmed_desktop.scores import AS_SIGNED
from fedmed_desktop.site import Verdict
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.outbox import Outbox
from fedmed_desktop.wording.probes import revealed, verdict
from tests.parts.federation import INITIAL, LORA, moved, result_of
from tests.parts.scene import REVEALING


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    plan = Plan(round=2, start=INITIAL.sha256, rank=LORA.rank, training=TrainingSettings(steps=4), seed=1)
    outbox = Outbox(tmp_path / "site.sqlite", BlobStore(tmp_path / "blobs"))
    made = outbox.put(plan, result_of(plan, INITIAL, moved(INITIAL, 1)), datetime.now(UTC))
    outbox.close()
    return made


def test_that_every_blob_and_every_scalar_is_shown(entry: Entry) -> None:
    console = Console(file=io.StringIO(), width=160)
    console.print(evidence_table(entry, "ws://127.0.0.1:1"))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert entry.update.parts["adapter"].sha256[:16] in shown
    for name, value in entry.update.report:
        assert value in (None, {}) or name.replace("_", " ") in shown
    assert "10 found, 0 invented, 0 missed" in shown


def test_that_an_operator_at_a_terminal_reads_that_nobody_sees_a_masked_update_alone(entry: Entry) -> None:
    among = MaskedAmong(sites=("A", "B", "C"), phrase="six-words", clipped=3, values=1000)
    masked = replace(entry, evidence=entry.evidence.model_copy(update={"masked": among}))
    console = Console(file=io.StringIO(), width=160)
    console.print(evidence_table(masked, "ws://127.0.0.1:1"))
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert "masked The coordinator cannot see this update alone, only the sum of those of these sites:" in lines
    assert {"A, B, C", "words six-words (all of these sites see the same)", "cut off 3 of 1,000 values"} <= {*lines}


def test_that_names_from_elsewhere_are_shown_as_they_are(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("A", "B[/b]", "[conceal]C", ":x:")
    among = MaskedAmong(sites=names, phrase="six-words", clipped=0, values=1000)
    masked = replace(entry, evidence=entry.evidence.model_copy(update={"masked": among}))
    approver = TerminalApprover(BufferedFace(LineFace()), "ws://127.0.0.1:1")
    approver._console.file, approver._console.width = (shown := io.StringIO()), 160
    approver._console.print(evidence_table(masked, "ws://127.0.0.1:1"))
    assert ", ".join(names) in shown.getvalue()
    with pytest.raises(ValidationError, match="is no name of a site"):
        MaskPeers(round=1, number=1, keys={}, sites={"B[/b]": PrivateKey.new().public})


def test_that_each_part_each_count_of_a_histogram_and_the_shared_loss_are_shown(entry: Entry) -> None:
    parts = {**entry.update.parts, "control": Part(sha256="c" * 64, size=1234)}
    report = entry.update.report.model_copy(update={"histogram": {"Cardiology": 31, "Urology": 7}})
    update = entry.update.model_copy(update={"parts": parts, "report": report})
    console = Console(file=io.StringIO(), width=160)
    console.print(evidence_table(replace(entry, update=update), "ws://127.0.0.1:1"))
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert "leaves control: 1,234 bytes, sha256 cccccccccccccccc.." in lines
    assert "leaves: histogram, Cardiology 31" in lines and "leaves: histogram, Urology 7" in lines
    assert "leaves: shared loss 0.7500" in lines


def test_that_a_decision_records_the_hash_of_all_that_was_shown(tmp_path: Path, entry: Entry) -> None:
    outbox = Outbox(tmp_path / "site.sqlite", BlobStore(tmp_path / "blobs"))
    outbox.decide(do.Record(entry.sha256, "kept", "Ada", "no"), datetime.now(UTC))
    recorded = outbox.decisions()[-1]
    outbox.close()
    shown = entry.update.model_dump_json(context=AS_SIGNED)
    assert recorded.content == hashlib.sha256(shown.encode()).hexdigest()
    assert entry.update.report.scores_after


def answered(entry: Entry, monkeypatch: pytest.MonkeyPatch, lines: str, policy: InForce) -> Verdict:
    """The verdict of a person who types these lines once they are asked."""

    async def ask() -> Verdict:
        approver = TerminalApprover(BufferedFace(LineFace()), "ws://127.0.0.1:1", lambda: policy)
        monkeypatch.setattr(approver, "_who", "ann")
        asked = asyncio.create_task(approver.decide(entry))
        await asyncio.sleep(0)  # the lines come after the question
        os.write(writer, lines.encode())
        return await asyncio.wait_for(asked, 5)

    reader, writer = os.pipe()
    with os.fdopen(reader) as typed:
        monkeypatch.setattr(sys, "stdin", typed)
        try:
            return asyncio.run(ask())
        finally:
            os.close(writer)
            for thread in threading.enumerate():
                if thread.name == "stdin":
                    thread.join()


def test_that_a_second_person_is_asked_for_by_name_at_the_first_ones_account(
    entry: Entry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two = InForce((Layer(Policy(four_eyes=True)),))
    first = answered(entry, monkeypatch, "send\nfine\n", two)
    assert (first.by, first.reason) == ("ann", "fine")
    assert "before a second person has approved it as well" in capsys.readouterr().out
    waits = replace(entry, first_by="ann")
    second = answered(waits, monkeypatch, "send\nfine too\nbob\n", two)
    assert (second.approve, second.by, second.reason) == (True, "bob", "fine too (at the account of ann)")
    assert "ann has approved it. Your hospital's policy asks for a second person." in capsys.readouterr().out
    nobody = answered(waits, monkeypatch, "send\nfine too\nRule\n", two)
    assert assent(two, Decision("ask", "four_eyes"), nobody.by, "ann").code == "policy.same_person", "asked again"
    other = answered(replace(entry, first_by="eve"), monkeypatch, "send\nfine too\n", two)
    assert (other.by, other.reason) == ("ann", "fine too")


@pytest.mark.parametrize("typed", ["", "not now\n"])
def test_that_where_nobody_can_answer_the_update_waits_and_the_terminal_says_so(
    typed: str, entry: Entry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    stdin = os.fdopen(reader)
    monkeypatch.setattr(sys, "stdin", stdin)

    async def ask() -> bool:
        asked = asyncio.create_task(TerminalApprover(BufferedFace(LineFace()), "ws://127.0.0.1:1").decide(entry))
        await asyncio.sleep(0)  # the lines come after the question
        os.write(writer, typed.encode())
        os.close(writer)
        done, _ = await asyncio.wait([asked], timeout=0.3)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        return bool(done)

    with stdin:
        assert not asyncio.run(ask())
    assert "Nobody can answer here: there is no terminal." in (said := capsys.readouterr().out)
    assert "--approve-rule" in said


def test_that_what_was_typed_before_the_question_is_no_answer(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    typed = os.fdopen(reader)
    monkeypatch.setattr(sys, "stdin", typed)

    async def ask_twice() -> tuple[Verdict, bool]:
        approver = TerminalApprover(BufferedFace(LineFace()), "ws://127.0.0.1:1")
        os.write(writer, b"keep\nfirst\nsend\nstale\n")
        first = await asyncio.wait_for(approver.decide(entry), 5)
        await asyncio.sleep(0.1)  # the stale lines have been read by now
        second = asyncio.create_task(approver.decide(entry))
        done, _ = await asyncio.wait([second], timeout=0.3)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        return first, bool(done)

    try:
        first, answered = asyncio.run(ask_twice())
    finally:
        os.close(writer)
        for thread in threading.enumerate():
            if thread.name == "stdin":
                thread.join()
        typed.close()
    assert (first.approve, first.reason) == (False, "first")
    assert not answered


def test_that_the_terminal_says_the_same_about_what_it_may_reveal_as_the_desktop(entry: Entry) -> None:
    told = replace(entry, evidence=entry.evidence.model_copy(update={"probes": REVEALING}))
    console = Console(file=io.StringIO(), width=400)
    console.print(evidence_table(told, "ws://127.0.0.1:1"))
    lines = [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert f"may reveal {verdict(REVEALING)}" in lines
    rows = list(revealed(told))
    assert len(rows) == 4 and all(any(row.sentence in line and row.word in line for line in lines) for row in rows)
