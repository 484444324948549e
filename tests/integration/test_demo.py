# SPDX-License-Identifier: Apache-2.0
"""The demonstration end to end at toy size: a real (random) language model, real sockets, real SQLite."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fedmed_desktop import events
from fedmed_desktop.clinical import read_notes_folder
from fedmed_desktop.demo.settings import LORA, SCORED_NOTES, SHARED_NOTES, DemoOptions
from fedmed_desktop.federation import Given, LocalResult, Plan
from fedmed_desktop.federation.methods import METHODS
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.lora import Adapter, algebra
from fedmed_desktop.lora.base_model import weight_count
from fedmed_desktop.site import Jobs, Record, SiteAgent, Verdict
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.outbox import Outbox
from tests.parts.told import told_as

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.demo.federation import DemoSite, demo_sites, demo_spec
    from fedmed_desktop.demo.run import DemoResult, run_demo
    from fedmed_desktop.training.preparation import LoadedBase
    from fedmed_desktop.training.trainer import SiteTrainer


TEXTS = ("Lithium caused tremor .", "Aspirin was given for pain .", "Fever followed the dose of cefazolin .")
DRUGS = ("Lithium", "Aspirin", "cefazolin")
PROBLEMS = ("tremor", "pain", "Fever")


def write_notes(folder: Path, count: int, prefix: str, linked: bool = False) -> None:
    """`linked`: a dosage stands at the end of each note, and a relation says that it is the drug's."""
    folder.mkdir(parents=True)
    for split, number in (("train", count), ("validation", 2), ("test", 3)):
        rows = []
        for i in range(number):
            text = TEXTS[i % 3]
            entities = []
            for kind, word in (("Chemical", DRUGS[i % 3]), ("Disease", PROBLEMS[i % 3])):
                start = text.index(word)
                entities.append(
                    {"id": f"{kind}{i}", "start": start, "end": start + len(word), "type": kind, "text": word}
                )
            relations = []
            if linked:
                text = f"{text[:-1]}: 5 mg."
                place = {"start": len(text) - 5, "end": len(text) - 1}
                entities.append({"id": f"Dose{i}", "type": "Dose", "text": "5 mg", **place})
                relations = [{"head": f"Dose{i}", "tail": f"Chemical{i}", "type": "of"}]
            row = {"id": f"{prefix}-{split}-{i}", "text": text, "entities": entities, "relations": relations}
            rows.append(json.dumps(row))
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    types = '[types.map]\nChemical = "drug"\nDisease = "problem"\n' + 'Dose = "dosage"\n' * linked
    (folder / "types.toml").write_text(types, encoding="utf-8")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    for name, count in (("North", 6), ("South", 9)):
        write_notes(tmp_path / "notes" / name, count, name)
    return tmp_path / "notes"


class Person:
    """Stands in for an operator at a terminal: keeps the first update, sends the others."""

    def __init__(self) -> None:
        self.asked: list[Entry] = []

    async def decide(self, entry: Entry) -> Verdict:
        self.asked.append(entry)
        return Verdict(approve=len(self.asked) > 1, by="Ada", reason="looked at it", delay=timedelta(0))


def demonstrate(options: DemoOptions, person: Person | None = None) -> tuple[DemoResult, list[events.Event]]:
    seen: list[events.Event] = []
    return asyncio.run(run_demo(options, person, seen.append)), seen


def test_that_a_demonstration_reports_every_round_and_compares_on_test_notes(
    notes: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, train_round = list[tuple[int, set[str]]](), SiteTrainer.train_round

    def watched(self: SiteTrainer, plan: Plan, given: Given, *rest: Any) -> LocalResult:
        begun.append((plan.round, set(given.own)))
        return train_round(self, plan, given, *rest)

    monkeypatch.setattr(SiteTrainer, "train_round", watched)
    options = DemoOptions(rounds=2, model=tiny_model, notes=notes, report=tmp_path / "report", compare=True, threads=1)
    result, seen = demonstrate(options)
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    # In the federation and alone, optimisers go on from their own moments; what is fitted begins once, without.
    assert sorted(begun, key=lambda one: one[0]) == [(1, set())] * 6 + [(2, {"means", "squares"})] * 4
    assert report["method"] == "fed_medlora"
    assert {"seed", "seconds", "peak_memory_mib", "machine", "versions"} <= report.keys()
    assert [entry["round"] for entry in report["rounds"]] == [1, 2]
    north = report["rounds"][0]["sites"]["North"]
    assert north["notes"] == 6
    assert north["bytes_up"] == north["bytes_down"] > 10_000
    full, moved = 2 * weight_count(tiny_model), report["traffic"]
    assert north["percent_of_full_model"] == pytest.approx(100 * 2 * north["bytes_up"] / full, rel=1e-3)
    assert moved["full_model"] == full and moved["received"] > 2 * 2 * north["bytes_up"]
    share = 100 * moved["sent"] / full / 2 / len(report["rounds"][0]["sites"])
    assert moved["sent_percent_of_full_model_per_site_and_round"] == pytest.approx(share, rel=1e-3)
    assert north["approved_by"] == "rule"
    assert north["loss_after"] < north["loss_before"]
    assert north["drift"].keys() == {"model", "performance"}
    scores = {"f1_strict", "f1_lenient", "f1_unified", "by_type"}
    assert scores <= report["test"]["before"].keys()
    assert scores <= report["test"]["federation"].keys()
    assert report["test"]["alone"].keys() == {"North", "South"}
    assert scores == report["test"]["alone"]["North"]["pooled"].keys() == report["test"]["alone"]["North"]["own"].keys()
    assert (
        report["test"]["fitted"].keys() == {"North", "South"}
        and scores == report["test"]["fitted"]["North"]["own"].keys()
    )
    weights = [site["weight"] for site in report["rounds"][0]["sites"].values()]
    assert sum(weights) == pytest.approx(1)
    assert Adapter.load_peft(tmp_path / "report" / "adapter").ranks == result.finished.adapter.ranks
    assert any(isinstance(event, events.TrainingStep) for event in seen)
    assert any(isinstance(event, events.PhaseChanged) for event in seen), "each site tells its phase"
    assert not any(isinstance(event, events.SiteSeen) and event.phase for event in seen), "and only once"
    prepared = {event.site: event for event in seen if isinstance(event, events.Prepared)}
    assert prepared["North"].notes == 6 and prepared["North"].entities == {"drug": 6, "problem": 6}
    assert "CPU in float32" in prepared["North"].device
    assert [entry.evidence.probes for entry in result.finished.record.entries if entry.plan.kind == "train"] == [
        None
    ] * 2


def test_that_sites_train_on_the_tasks_that_they_have_labels_of_and_each_is_scored_by_its_name(
    notes: Path, tiny_model: Path, tmp_path: Path
) -> None:
    write_notes(notes / "West", 4, "West", linked=True)
    options = DemoOptions(rounds=1, model=tiny_model, notes=notes, report=tmp_path / "report", threads=1)
    result, seen = demonstrate(options)
    assert result.federation.pooled.scored == ("entities", "relations")
    assert {site: scores.scored for site, scores in result.federation.by_site.items()} == {
        "North": ("entities",),
        "South": ("entities",),
        "West": ("entities", "relations"),
    }
    asked = result.federation.by_site["West"]["relations"].strict
    assert asked.keys() == {"dosage"}, "the site does not mark the others"
    prepared = {event.site: event for event in seen if isinstance(event, events.Prepared)}
    assert (prepared["West"].relations, prepared["North"].relations) == ({"dosage": 4}, {})
    report = json.loads(result.report.read_text())
    assert {"headline", "entities", "relations"} <= report["test"]["federation"].keys()
    assert report["test"]["federation"]["own"]["North"].keys() == {"headline", "entities"}
    assert report["rounds"][0]["sites"]["West"]["scores_after"]["relations"]["by_type"].keys() == {"dosage"}


@pytest.fixture(scope="module")
def bundled(_late_imports: None) -> list[DemoSite]:
    """The sites with the notes that come with the program, which are thousands."""
    return demo_sites(DemoOptions())


def test_that_what_is_told_at_the_end_is_of_all_test_notes_whatever_rounds_are_scored_on(
    bundled: list[DemoSite],
) -> None:
    whole = [read_notes_folder(site.folder) for site in bundled]
    assert [len(site.notes.validation) for site in bundled] == [SCORED_NOTES] * 3
    assert [site.notes.test for site in bundled] == [notes.test for notes in whole]
    assert [site.notes.train for site in bundled] == [notes.train for notes in whole]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_that_every_method_that_can_be_chosen_has_a_demonstration(method: str, bundled: list[DemoSite]) -> None:
    spec, _ = demo_spec(DemoOptions(method=method), bundled)
    assert spec.method.name == method
    assert (len(spec.shared_notes) == SHARED_NOTES) == (spec.method.scored_by == "sites")


@pytest.mark.parametrize("method", ["fedex", "fedopal", "fedsa", "scaffold"])
@pytest.mark.slow
def test_that_a_report_has_whole_models_whatever_lies_beside_the_adapter(
    method: str, notes: Path, tiny_model: Path, tmp_path: Path
) -> None:
    options = DemoOptions(rounds=2, method=method, model=tiny_model, notes=notes, report=tmp_path / "report", threads=1)
    result, _ = demonstrate(options)
    finished = result.finished
    own = {"North", "South"} if method in ("fedopal", "fedsa") else set()
    assert finished.at_site.keys() == own
    assert {path.name for path in options.report.iterdir() if path.is_dir()} == {
        "adapter",
        *(f"adapter-{site}" for site in own),
    }
    assert (finished.state.frozen is not None) == (method == "fedex")
    if method == "fedex":
        report = json.loads(result.report.read_text())
        assert report["frozen"] == finished.state.frozen and max(finished.adapter.ranks.values()) > LORA.rank
    for adapter in finished.at_site.values():
        assert algebra.distance(adapter, finished.adapter) > 0


@pytest.mark.slow
def test_that_the_same_seed_gives_the_same_adapter_and_another_seed_another(
    notes: Path, tiny_model: Path, tmp_path: Path
) -> None:
    def final(seed: int, name: str) -> str:
        options = DemoOptions(rounds=1, seed=seed, model=tiny_model, notes=notes, report=tmp_path / name, threads=1)
        return demonstrate(options)[0].finished.state.start

    assert final(0, "a") == final(0, "b") != final(1, "c")


@pytest.mark.slow
def test_that_what_the_operator_keeps_never_counts_and_the_round_goes_on_without_it(
    notes: Path, tiny_model: Path, tmp_path: Path
) -> None:
    person = Person()
    options = DemoOptions(rounds=2, model=tiny_model, notes=notes, report=tmp_path / "report", threads=1)
    result, seen = demonstrate(options, person)
    first, second = result.finished.state.history
    assert first.declined == {"North": "kept"} and set(first.sites) == {"South"}
    assert set(second.sites) == {"North", "South"}
    kept = person.asked[0].update.parts["adapter"].sha256
    sent = {e.blob for e in seen if isinstance(e, events.TransferProgress) and e.direction == "up"}
    assert kept not in sent and sent
    assert all(entry.evidence.probes for entry in person.asked if entry.plan.kind == "train")  # somebody looks


def test_that_a_notes_folder_without_sites_is_refused_in_words_and_leaves_no_report(
    tmp_path: Path, tiny_model: Path
) -> None:
    report = tmp_path / "report"
    (tmp_path / "empty").mkdir()
    with told_as("has notes of 0 sites"):
        demonstrate(DemoOptions(model=tiny_model, notes=tmp_path / "empty", report=report))
    with told_as("no notes folder"):
        demonstrate(DemoOptions(model=tiny_model, notes=tmp_path / "nowhere", report=report))
    assert not report.exists()


def test_that_one_site_s_mistake_ends_the_demonstration_in_its_own_sentence(
    notes: Path, tiny_model: Path, tmp_path: Path
) -> None:
    (notes / "South" / "types.toml").write_text('[types.map]\nChemical = "poison"\n')
    with told_as("poison"):
        demonstrate(DemoOptions(model=tiny_model, notes=notes, report=tmp_path / "report", threads=1))
    (notes / "South").rename(notes / "South; north")
    with told_as("cannot be a site's name"):
        demonstrate(DemoOptions(model=tiny_model, notes=notes, report=tmp_path / "report", threads=1))


def test_that_a_demonstration_that_pauses_ends_and_says_so(notes: Path, tiny_model: Path, tmp_path: Path) -> None:
    class Refuser:
        async def decide(self, entry: Entry) -> Verdict:
            return Verdict(approve=False, by="Ada", reason="no", delay=timedelta(0))

    options = DemoOptions(sites=1, rounds=1, model=tiny_model, notes=notes, report=tmp_path / "report", threads=1)
    with told_as("stopped twice because too few updates were sent"):
        asyncio.run(run_demo(options, Refuser(), lambda event: None))


@pytest.mark.slow
def test_that_final_scores_kept_at_a_site_are_measured_for_the_table(
    notes: Path, tiny_model: Path, tmp_path: Path
) -> None:
    class KeepsScores:
        async def decide(self, entry: Entry) -> Verdict:
            return Verdict(approve=bool(entry.update.parts), by="Ada", reason="no scores", delay=timedelta(0))

    options = DemoOptions(rounds=1, model=tiny_model, notes=notes, report=tmp_path / "report", threads=1)
    result = asyncio.run(run_demo(options, KeepsScores(), lambda event: None))
    assert result.finished.state.evaluation.keys() == {"South"}
    assert result.federation.by_site.keys() == {"North", "South"}


def test_that_hidden_folders_are_no_sites(notes: Path) -> None:
    (notes / ".cache").mkdir()
    assert [site.name for site in demo_sites(DemoOptions(notes=notes))] == ["North", "South"]


def test_that_a_face_brings_its_own_thread_and_base_and_knows_the_operators_agent_before_it_runs(
    notes: Path, tiny_model: Path, tmp_path: Path
) -> None:
    known: list[tuple[SiteAgent, Record]] = []
    executor = ThreadPoolExecutor(1, thread_name_prefix="face")
    threads: set[str] = set()

    def emit(event: events.Event) -> None:
        if isinstance(event, events.TrainingStep):
            threads.add(threading.current_thread().name)

    jobs, base = Jobs(executor), LoadedBase(tiny_model, threads=1)
    options = DemoOptions(rounds=1, model=tiny_model, notes=notes, report=tmp_path / "report")
    result = asyncio.run(
        run_demo(
            options,
            None,
            emit,
            jobs=jobs,
            joined=lambda agent: known.append((agent, agent.record())),
            data_dir=tmp_path / "kept",
            base=base,
        )
    )
    [(agent, before)] = known
    assert agent.name == "North" and before == Record(None, (), (), None)
    assert agent.record().final == result.finished.state.start
    assert (tmp_path / "kept" / "sites" / "North" / "site.sqlite").exists()
    steps = [event for event in agent.measured() if isinstance(event, events.TrainingStep)]
    assert steps and steps[-1].step == steps[-1].steps
    assert executor.submit(base.get).result(10).threads == 1  # the thread still serves, with this base
    jobs.close()
    assert len(threads) == 1 and threads.pop().startswith("face")


@pytest.mark.parametrize("moment", ["training", "comparing", "asking"])
def test_that_a_cancelled_demonstration_ends_within_a_step_and_closes_all(
    moment: str, notes: Path, tiny_model: Path, tmp_path: Path
) -> None:
    class Waits:
        async def decide(self, entry: Entry) -> Verdict:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError("never answers")

    begun = asyncio.Event()
    options = DemoOptions(
        rounds=1, model=tiny_model, notes=notes, report=tmp_path / "report", threads=1, compare=moment == "comparing"
    )

    async def cancelled() -> float:
        loop = asyncio.get_running_loop()

        def emit(event: events.Event) -> None:
            if moment == "asking" or not isinstance(event, events.TrainingStep):
                return
            if event.site.endswith("alone") == (moment == "comparing"):
                loop.call_soon_threadsafe(begun.set)

        operator = Waits() if moment == "asking" else None
        demo = asyncio.create_task(run_demo(options, operator, emit, jobs=jobs, data_dir=tmp_path / "kept"))
        await asyncio.wait_for(begun.wait(), 60)
        demo.cancel()
        at = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await demo
        return time.monotonic() - at

    jobs = Jobs()
    assert asyncio.run(cancelled()) < 3
    assert asyncio.run(asyncio.wait_for(jobs.run(lambda: True), 1))  # nothing is left running on the thread
    jobs.close()
    for name in ("North", "South"):  # every file is let go of
        folder = tmp_path / "kept" / "sites" / name
        Outbox(folder / "site.sqlite", BlobStore(folder / "blobs")).close()


def test_that_a_demonstrations_own_folder_is_not_made_anew_by_a_look_back(
    notes: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    known: list[SiteAgent] = []
    options = DemoOptions(rounds=1, sites=1, model=tiny_model, notes=notes, report=tmp_path / "report", threads=1)
    asyncio.run(run_demo(options, None, lambda event: None, joined=known.append))
    assert known[0].measured() == [] and known[0].record().final
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.slow
def test_that_the_command_prints_lines_and_a_table_where_there_is_no_terminal(
    notes: Path, tiny_model: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "fedmed_desktop", "--demo", "--terminal", "--rounds", "1"]
    done = subprocess.run(
        [
            *command,
            "--model",
            str(tiny_model),
            "--notes",
            str(notes),
            "--report",
            str(tmp_path / "out"),
            "--threads",
            "1",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "NO_COLOR": "1"},
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert "approved by rule: demo rule" in done.stdout
    assert "Federation" in done.stdout and "Before the federation" in done.stdout
    assert (tmp_path / "out" / "report.json").exists()


@pytest.mark.slow
def test_that_the_command_draws_windows_that_nobody_sees_and_leaves_their_pictures(
    notes: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "fedmed_desktop", "--demo", "--offscreen", "--rounds", "1", "--threads", "1"]
    done = subprocess.run(
        [*command, "--model", str(tiny_model), "--notes", str(notes), "--report", str(out)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "NO_COLOR": "1"},
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert "approved by rule: demo rule" in done.stdout and "Federation" in done.stdout
    for name in ("rounds", "monitor", "approvals"):
        picture = (out / f"{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG") and len(picture) > 10_000, name
        assert struct.unpack(">II", picture[16:24]) == (1280, 720)
    [only] = json.loads((out / "report.json").read_text("utf-8"))["rounds"]
    assert [only["sites"][site]["approved_by"] for site in ("North", "South")] == ["rule", "rule"]
