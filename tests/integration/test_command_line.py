# SPDX-License-Identifier: Apache-2.0
"""Mistakes at the command line: one sentence, exit status 2, nothing written over."""

from __future__ import annotations

import json
import socket
import tomllib
from pathlib import Path

import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.federation import dump_spec, load_spec
from fedmed_desktop.federation.methods import METHODS, usual
from fedmed_desktop.lora import Adapter
from tests.parts.federation import moved

NOTE = {"id": "1", "text": "Lithium caused tremor .", "relations": []}
ENTITY = {"id": "e", "start": 0, "end": 7, "type": "Chemical", "text": "Lithium"}


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    status = main([str(argument) for argument in arguments])
    return status, capsys.readouterr().err


@pytest.fixture
def federation(tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    out = tmp_path / "federation"
    status, _ = run(capsys, "--new-federation", "--model", tiny_model, "--notes-types", "drug, problem", "--out", out)
    assert status == 0
    return out / "federation.toml"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_notes(folder: Path, *rows: object) -> Path:
    folder.mkdir(parents=True)
    for split in ("train", "validation"):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_that_a_new_federation_is_a_readable_file_with_its_first_adapter_beside_it(
    federation: Path, tiny_model: Path
) -> None:
    spec = load_spec(federation)
    assert spec.types == ("drug", "problem")
    assert len(spec.base.modules) == 14 and (federation.parent / f"{spec.base.initial}.safetensors").exists()
    assert tomllib.loads(federation.read_text())["method"] == {"name": "fed_medlora"}


@pytest.mark.parametrize("environment", [None, "test", "production"])
def test_that_a_new_federation_is_a_test_unless_it_is_said_to_be_production(
    environment: str | None, tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ["--environment", environment] if environment else []
    out = tmp_path / "federation"
    run(capsys, "--new-federation", "--model", tiny_model, "--notes-types", "drug", "--out", out, *said)
    assert load_spec(out / "federation.toml").environment == (environment or "test")


def test_that_a_federation_is_never_written_over(
    federation: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = federation.read_bytes()
    status, said = run(
        capsys, "--new-federation", "--model", tiny_model, "--notes-types", "drug", "--out", federation.parent
    )
    assert status == 2 and "already exists" in said
    assert federation.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--notes-types", "Drug!"), "not a lower-case word"),
        (("--notes-types", "drug", "--method", "fedmagic"), "no method fedmagic. Choose one of adaptive_fedlora, fed_"),
        (("--notes-types", "drug", "--method", "scaffold", "--combine", "stack"), 'Write combine = "factors"'),
        (("--notes-types", "drug", "--quorum", "9"), "quorum 9 is more than"),
        (("--notes-types", "drug", "--quorum", "3", "--clients", "2"), "more than the 2 sites that are asked"),
        (("--notes-types", "drug", "--rank", "2000"), "lora.rank: it must be 1024 or less"),
    ],
)
def test_that_a_wrong_setting_of_a_new_federation_is_named(
    arguments: tuple[str, ...], words: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = run(capsys, "--new-federation", "--model", tiny_model, "--out", tmp_path / "f", *arguments)
    assert status == 2 and words in said and "Traceback" not in said
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("task", ["entities", "text"])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_that_every_method_can_be_founded_with_all_its_settings_in_the_file(
    method: str, task: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    types = ["--notes-types", "drug"] if task == "entities" else []
    made = ["--new-federation", "--model", tiny_model, "--task", task, *types, "--method", method]
    assert main([str(one) for one in (*made, "--out", tmp_path)]) == 0
    said, spec = capsys.readouterr().out, load_spec(tmp_path / "federation.toml")
    settings = METHODS[method](name=method).model_dump(mode="json", exclude_none=True)
    measured = {"measured_by": "coordinator"} if method == "fed_medlora_plus" else {}
    written = tomllib.loads((tmp_path / "federation.toml").read_text())
    assert written["method"] == settings | measured and spec.combine == usual(method) and spec.tasks == (task,)
    assert ("--score-with MODEL NOTES" in said) == bool(measured)
    counted = "types" if task == "entities" else "specialties"
    assert spec.share.histogram == (counted if method == "adaptive_fedlora" else "none")
    assert ("share.histogram" in said) == (method == "adaptive_fedlora")


def test_that_a_new_federation_says_how_updates_combine_and_how_many_sites_are_asked(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ["--new-federation", "--model", tiny_model, "--notes-types", "drug", "--method", "fedavg"]
    few = ["--combine", "product", "--sites", "6", "--clients", "3"]
    assert run(capsys, *made, "--out", tmp_path / "few", *few) == (0, "")
    spec = load_spec(tmp_path / "few" / "federation.toml")
    assert (spec.combine, spec.round.sites, spec.round.clients, spec.round.quorum) == ("product", 6, 3, 2)
    assert run(capsys, *made, "--out", tmp_path / "all") == (0, "")
    assert load_spec(tmp_path / "all" / "federation.toml").round.clients is None


def test_that_a_folder_without_a_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none").mkdir()
    status, said = run(
        capsys, "--new-federation", "--model", tmp_path / "none", "--notes-types", "drug", "--out", tmp_path / "f"
    )
    assert status == 2 and "config.json" in said


def test_that_a_coordinator_names_the_wrong_key_of_its_specification(
    federation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    federation.write_text(federation.read_text().replace("quorum = ", "qorum = "))
    status, said = run(capsys, "--coordinator", "--config", federation, "--data-dir", tmp_path / "data")
    assert status == 2 and "round.qorum" in said and "quorum" in said


def test_that_a_coordinator_needs_its_first_adapter(
    federation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    next(federation.parent.glob("*.safetensors")).unlink()
    status, said = run(capsys, "--coordinator", "--config", federation, "--data-dir", tmp_path / "data")
    assert status == 2 and "first adapter" in said


def test_that_a_port_in_use_is_said_with_the_option_that_mends_it(
    federation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        serve = ("--coordinator", "--config", federation, "--data-dir", tmp_path / "data", "--port")
        status, said = run(capsys, *serve, port)
        assert status == 2 and port in said and "Choose another with --port" in said
        status, said = run(capsys, *serve, "0", "--metrics", f"127.0.0.1:{port}")
        assert status == 2 and port in said and "Choose another with --metrics" in said


def test_that_asking_an_absent_coordinator_for_its_status_is_answered_in_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, said = run(capsys, "--coordinator", "--status", "--port", str(free_port()))
    assert status == 2 and "No coordinator answers" in said


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((), "no notes"),
        (({"id": "1", "texts": "x", "entities": []},), "row 1"),
        ((NOTE | {"entities": [ENTITY | {"end": 99}]},), "row 1"),
    ],
)
def test_that_notes_with_a_fault_are_refused_before_anything_else_happens(
    rows: tuple[object, ...], words: str, tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = write_notes(tmp_path / "notes", *rows)
    status, said = run(
        capsys,
        *("--site", "--join", "ws://127.0.0.1:1", "--name", "A", "--model", tiny_model),
        *("--notes", notes, "--data-dir", tmp_path / "data", "--approve-rule", "test"),
    )
    assert status == 2 and words in said and "Lithium" not in said
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"--name": "no/slash"}, "cannot be a site's name"),
        ({"--join": "http://127.0.0.1:1"}, ":8765, or ws://127.0.0.1:8765 on this computer"),
        ({"--join": "ws://192.0.2.1:8765"}, "an invitation, which has an encrypted address"),
        ({"--model": "someone/some-model"}, "hf download someone/some-model"),
        ({"--notes": "nowhere"}, "nowhere"),
        ({"--approve-rule": " "}, "needs a reason"),
        ({"--types-map": "nowhere.toml"}, "types file nowhere.toml does not exist"),
    ],
)
def test_that_a_wrong_option_of_a_site_is_refused_in_words(
    changes: dict[str, str], words: str, tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {
        "--join": "ws://127.0.0.1:1",
        "--name": "A",
        "--model": str(tiny_model),
        "--notes": str(write_notes(tmp_path / "notes", NOTE | {"entities": [ENTITY]})),
        "--data-dir": str(tmp_path / "data"),
        "--approve-rule": "test",
    } | changes
    status, said = run(capsys, "--site", *[part for pair in options.items() for part in pair])
    assert status == 2 and words in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--demo", "--method", "fedmagic"), "method"),
        (("--demo", "--sites", "9"), "9 are needed"),
        (("--demo", "--report", "/proc/nowhere"), "/proc/nowhere"),
        (("--demo", "--model", "/nowhere"), "/nowhere"),
    ],
)
def test_that_a_wrong_option_of_the_demonstration_is_refused_before_it_begins(
    arguments: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = () if "--report" in arguments else ("--report", tmp_path / "report")
    status, said = run(capsys, *arguments, "--terminal", *report)
    assert status == 2 and words in said and "Traceback" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("--demo", "--seed", "-1"),
        ("--demo", "--seed", str(2**32)),
        ("--demo", "--rounds", "0"),
        ("--coordinator", "--port", "70000"),
        ("--coordinator", "--score-notes", "several"),
        ("--new-federation", "--clients", "0"),
        ("--new-federation", "--quorum", "0"),
        ("--new-federation", "--steps", "0"),
        ("--new-federation", "--shared-count", "51"),
        ("--new-federation", "--rounds", "0"),
        ("--new-federation", "--sites", "two"),
        ("--new-federation", "--rank", "0"),
        ("--new-federation", "--epsilon", "0"),
        ("--new-federation", "--epochs", "inf"),
    ],
)
def test_that_a_number_out_of_range_is_named_with_its_option(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(list(arguments))
    assert arguments[1] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "types", "words"),
    [
        ((), (), "--notes-types is needed"),
        (("--task", "text"), ("--notes-types", "drug"), "leave out --notes-types"),
        (("--task", "images"), ("--notes-types", "drug"), "choose one of"),
        (("--combine", "magic"), ("--notes-types", "drug"), "choose one of"),
    ],
)
def test_that_options_that_do_not_go_together_are_named(
    task: tuple[str, ...], types: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--new-federation", "--model", "nowhere", "--out", str(tmp_path / "f"), *task, *types])
    assert left.value.code == 2 and words in capsys.readouterr().err and not (tmp_path / "f").exists()


@pytest.mark.parametrize("place", ["/proc/x", "file", "file/data"])
def test_that_a_data_folder_that_cannot_be_made_is_named(
    place: str, federation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    status, said = run(capsys, "--coordinator", "--config", federation, "--data-dir", tmp_path / place)
    assert status == 2 and place in said and "cannot be made: a file or a system folder is in its place" in said


def test_that_a_seed_out_of_range_is_named_by_a_new_federation(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = run(
        capsys,
        *("--new-federation", "--model", tiny_model, "--notes-types", "drug"),
        *("--out", tmp_path / "f", "--seed", "-1"),
    )
    assert status == 2 and "seed" in said


def test_that_keys_of_the_specification_are_named_as_the_file_has_them(
    federation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = federation.read_text()
    for wrong, words in (
        (written.replace("[method]", "[method]\nfoo = 1"), "method.foo"),
        ('"a.b" = 1\n' + written, "a.b"),
    ):
        federation.write_text(wrong)
        status, said = run(capsys, "--coordinator", "--config", federation, "--data-dir", tmp_path / "data")
        assert status == 2 and words in said


# -- notes that updates are weighed by ---------------------------------------------------------------------------------

SHARED = NOTE | {"entities": [ENTITY | {"type": "drug"}]}


@pytest.fixture
def weighed(tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A federation whose sites measure their models on notes that all may read."""
    notes, out = write_notes(tmp_path / "shared", SHARED, SHARED | {"id": "2"}), tmp_path / "weighed"
    made = ["--new-federation", "--model", tiny_model, "--notes-types", "drug,problem", "--method", "fed_medlora_plus"]
    status, _ = run(capsys, *made, "--out", out, "--shared-notes", notes / "train.jsonl", "--shared-count", "1")
    assert status == 0
    return out / "federation.toml"


def test_that_shared_notes_go_into_the_specification_in_the_federations_types(weighed: Path) -> None:
    (note,) = load_spec(weighed).shared_notes
    assert note.text == NOTE["text"] and [(one.start, one.end, one.type) for one in note.entities] == [(0, 7, "drug")]


def test_that_texts_are_shared_without_their_entities(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = write_notes(tmp_path / "shared", SHARED) / "train.jsonl"
    made = ["--new-federation", "--model", tiny_model, "--task", "text", "--method", "fed_medlora_plus"]
    assert run(capsys, *made, "--out", tmp_path / "text", "--shared-notes", notes) == (0, "")
    spec = load_spec(tmp_path / "text" / "federation.toml")
    assert spec.method.scored_by == "sites" and spec.types == ()
    assert [(note.text, note.entities) for note in spec.shared_notes] == [(NOTE["text"], ())]


def test_that_a_specification_whose_sites_measure_needs_notes_for_that(
    weighed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weighed.write_text(dump_spec(load_spec(weighed).model_copy(update={"shared_notes": ()})))
    status, said = run(capsys, "--coordinator", "--config", weighed, "--data-dir", tmp_path / "c")
    assert status == 2 and "[[shared_notes]]" in said and 'measured_by = "coordinator"' in said


def test_that_a_coordinator_says_whether_it_needs_something_to_score_with(
    weighed: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["--coordinator", "--config", weighed, "--data-dir", tmp_path / "c", "--port", "0"]
    scoring = ["--score-with", tiny_model, tmp_path / "shared"]
    status, said = run(capsys, *start, *scoring)
    assert status == 2 and "Leave out --score-with" in said
    weighed.write_text(weighed.read_text().replace('measured_by = "sites"', 'measured_by = "coordinator"'))
    status, said = run(capsys, *start)
    assert status == 2 and "--score-with MODEL NOTES" in said
    status, said = run(capsys, *start, "--score-with", tiny_model, tmp_path / "nowhere.jsonl")
    assert status == 2 and "nowhere.jsonl does not exist" in said
    (tmp_path / "other").mkdir()
    for file in tiny_model.iterdir():
        (tmp_path / "other" / file.name).write_bytes(file.read_bytes())
    config = tmp_path / "other" / "config.json"
    config.write_text(config.read_text() + " ")
    status, said = run(capsys, *start, "--score-with", tmp_path / "other", tmp_path / "shared")
    assert status == 2 and "is not the federation's base" in said


def test_that_a_coordinators_scorer_measures_adapters_with_the_federations_base(
    weighed: Path, tiny_model: Path, tmp_path: Path
) -> None:
    from fedmed_desktop.cli.scoring import make_scorer

    spec = load_spec(weighed)
    initial = Adapter.from_blob((weighed.parent / f"{spec.base.initial}.safetensors").read_bytes())
    scorer = make_scorer(spec, str(tiny_model), tmp_path / "shared", 5)
    base, other = scorer.loss(initial), moved(initial, 1)
    assert 0 < base < 100 and scorer.loss(other) != base
    assert scorer.loss(initial, frozen=other) == pytest.approx(scorer.loss(other), rel=1e-4)
