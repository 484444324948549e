# SPDX-License-Identifier: Apache-2.0
"""`--check-notes` says first whether notes can be used, then why not and where; its exit status says the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.clinical.checking import NotesCheck
from fedmed_desktop.federation.spec import dump_spec
from fedmed_desktop.resources import resource
from tests.parts.method import spec_of

GOOD = '{"id": "%s", "text": "No pain, aspirin helped %s.", "entities": [%s]}'
MENTION = '{"id": "T1", "start": 3, "end": 7, "type": "Sign", "text": "pain"}'


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(GOOD % (n, n, MENTION) for n in range(30)))
    return path


def test_that_usable_notes_end_with_status_0_and_the_verdict_comes_first(
    notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check-notes", str(notes)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("These notes can be used. Look at the points below first.\n")
    assert "train 24, validation 3, test 3" in said and "aspirin" not in said


def test_that_a_bad_row_is_named_and_ends_with_status_1(notes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes.write_text(notes.read_text() + "\nnot json\n")
    assert main(["--check-notes", str(notes)]) == 1
    said = capsys.readouterr().out
    assert said.startswith("These notes cannot be used yet.\nWRONG") and "notes.jsonl, row 31" in said


def test_that_the_most_frequent_types_are_listed_and_the_others_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [GOOD % (n, n, MENTION.replace("Sign", f"Kind{min(n, 30)}")) for n in range(60)]
    (tmp_path / "many.jsonl").write_text("\n".join(rows))
    assert main(["--check-notes", str(tmp_path / "many.jsonl"), "--no-cache"]) == 0
    said = capsys.readouterr().out
    assert "Kind30" in said and "and 6 more types" in said and "Relations" not in said


def test_that_json_is_the_check_itself(notes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check-notes", str(notes), "--json"]) == 0
    check = NotesCheck.model_validate_json(capsys.readouterr().out)
    assert check.notes == 30 and check.proposed is not None


def test_that_a_federation_is_asked_with_the_types_file_beside_the_notes(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = spec_of("fedavg")
    (tmp_path / "spec.toml").write_text(dump_spec(spec))
    arguments = ["--check-notes", str(notes), "--federation", str(tmp_path / "spec.toml"), "--json"]
    assert main(arguments) == 1
    assert json.loads(capsys.readouterr().out)["federation"]["types"] is None
    (tmp_path / "types.toml").write_text(f'[types.map]\nSign = "{spec.types[0]}"\n')
    assert main(arguments) == 0
    worth = json.loads(capsys.readouterr().out)["federation"]
    assert worth["tasks"] == {"entities": 30} and worth["types"]["entities"] == {spec.types[0]: 30}


def test_that_the_split_is_written_and_can_be_checked(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check-notes", str(notes), "--split-into", str(tmp_path / "site")]) == 0
    assert f"Wrote 24 train, 3 validation, 3 test notes into {tmp_path / 'site'}" in capsys.readouterr().out
    assert main(["--check-notes", str(tmp_path / "site")]) == 0
    assert main(["--check-notes", str(notes), "--split-into", str(tmp_path / "site")]) == 2
    assert "already has a train.jsonl" in capsys.readouterr().err


LOADED = """
import sys
from fedmed_desktop.cli import main
status = main(sys.argv[1:])
print(status, *sorted({"torch", "transformers", "PySide6"} & sys.modules.keys()), file=sys.stderr)
"""


def test_that_tokens_of_the_base_model_are_counted_without_torch(notes: Path) -> None:
    command = [sys.executable, "-c", LOADED, "--check-notes", str(notes), "--model", str(resource("demo_model"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stderr == "0\n" and "at 800 tokens" in done.stdout and "30 whole" in done.stdout


def test_that_a_model_without_a_tokenizer_is_told(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check-notes", str(notes), "--model", str(tmp_path)]) == 2
    assert "no tokenizer.json" in capsys.readouterr().err


def test_that_copies_of_notes_can_be_removed(
    notes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "cache"
    monkeypatch.setattr("fedmed_desktop.clinical.readers.cache.cache_folder", lambda: kept)
    (kept / "entry").mkdir(parents=True)
    (kept / "entry" / "part.parquet").write_bytes(bytes(3 * 2**20))
    assert main(["--check-notes", "--clear-cache"]) == 0
    assert "3.0 MiB" in capsys.readouterr().err and not kept.exists()
    assert main(["--check-notes", "--clear-cache", str(notes)]) == 0
    assert "30 in 1 file" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--check-notes"])
