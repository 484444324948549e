# SPDX-License-Identifier: Apache-2.0
"""Canaries in the notes: after a federation with a real model no file, log or event outside the notes holds one."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedmed_desktop import events
from fedmed_desktop.demo.settings import DemoOptions
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.site import Jobs, Verdict
from fedmed_desktop.storage.audit_file import as_csv, as_json, verify_audit

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.demo.federation import demo_sites, demo_spec, run_federation
    from fedmed_desktop.training.preparation import LoadedBase

# In the text, in what is annotated, and in the notes' own names.
CANARIES = ("zyxophan", "Brustschmerzgefühl", "Qwertzmann", "mrn-4471-canary")
REASON = "the-operators-own-words"


def write_notes(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    text = "Qwertzmann took zyxophan against Brustschmerzgefühl ."
    entities = []
    for kind, word in (("Chemical", "zyxophan"), ("Disease", "Brustschmerzgefühl")):
        start = text.index(word)
        entities.append({"id": kind, "start": start, "end": start + len(word), "type": kind, "text": word})
    for split, number in (("train", count), ("validation", 2), ("test", 2)):
        rows = [{"id": f"mrn-4471-canary-{split}-{i}", "text": text, "entities": entities} for i in range(number)]
        body = "".join(json.dumps(row | {"relations": []}, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(body, encoding="utf-8")
    (folder / "types.toml").write_text('[types.map]\nChemical = "drug"\nDisease = "problem"\n', encoding="utf-8")


def forms(word: str) -> set[bytes]:
    """Every form in which a program may write a word: UTF-8 and -16, and with JSON's escapes; in either case."""
    words = {word, word.lower(), json.dumps(word)[1:-1]}
    return {one.encode(code) for one in words for code in ("utf-8", "utf-16-le", "utf-16-be", "cp1252")}


def found(word: str, *folders: Path) -> Iterator[str]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and any(form in path.read_bytes() for form in forms(word)):
                yield f"{word} in {path.relative_to(folder)}"


class Looks:
    """Stands in for an operator: looks for canaries on the disk at each question, while checkpoints are there too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.seen: list[str] = []

    async def decide(self, entry: Entry) -> Verdict:
        self.seen += [place for word in CANARIES for place in found(word, self._folder)]
        return Verdict(approve=True, by="Ada", reason=REASON, delay=timedelta(0))


def test_that_no_note_text_is_in_any_file_log_or_event(
    tmp_path: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("North", "South"):
        write_notes(tmp_path / "notes" / name, 6)
    options = DemoOptions(rounds=1, model=tiny_model, notes=tmp_path / "notes")
    sites = demo_sites(options)
    spec, initial = demo_spec(options, sites)
    seen: list[events.Event] = []
    folder, operator, jobs = tmp_path / "federation", Looks(tmp_path / "federation"), Jobs()
    base = LoadedBase(tiny_model)
    try:
        work = run_federation(spec, initial, sites, base, jobs, folder, operator, seen.append, lambda agent: None)
        asyncio.run(work)
    finally:
        jobs.close()
    chains = list(folder.rglob("audit.sqlite"))
    assert len(chains) == 3
    for chain in chains:
        verdict = verify_audit(chain)
        assert verdict.fault is None and len(verdict.file.rows) > 5
        (chain.parent / "audit.json").write_bytes(as_json(verdict.file))
        (chain.parent / "audit.csv").write_bytes(as_csv(verdict.file))
    said = tmp_path / "said"
    said.mkdir()
    out, err = capfd.readouterr()
    told = "\n".join(event.model_dump_json() for event in seen)
    (said / "all").write_text("\n".join((caplog.text, out, err, told)), "utf-8")

    assert operator.seen == []
    home = Path(os.environ["HOME"])
    assert [place for word in CANARIES for place in found(word, folder, said, home)] == []
    assert [*found("zyxophan", tmp_path / "notes")], "the canaries can be found where they are"
    at_site = [*found(REASON, folder / "sites" / "North")]
    assert at_site and not [*found(REASON, folder / "coordinator"), *found(REASON, folder / "sites" / "South")]
