# SPDX-License-Identifier: Apache-2.0
"""What lies where a mode is to write: it is never written over unasked, and that is said before any work."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.files import write_durably
from fedmed_desktop.storage.bundle_file import write_bundle
from tests.parts.told import told_as

SITE = ("--site", "--join", "ws://127.0.0.1:9", "--name", "A", "--model", "m", "--notes", "n", "--data-dir", "data")
NEW = {
    "evaluation": ("--evaluate", "--model", "m", "--notes", "n", "--out"),
    "fitting": ("--fit", "--federation", "f", "--adapter", "a", "--model", "m", "--notes", "n", "--out"),
    "fitting of a site": ("--fit", "--data-dir", "data", "--model", "m", "--notes", "n", "--out"),
    "audit": ("--verify-audit", "data", "--export"),
    "demonstration": ("--demo", "--terminal", "--model", "m", "--report"),
}
CARRIED = {
    "export": ("--export-round", "A", "--data-dir", "data", "--out"),
    "answer": (*SITE, "--bundle-in", "in", "--bundle-out"),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("command", "said"),
    [(one, f". Choose another name after {one[-1]}") for one in NEW.values()]
    + [(one, " and is not an earlier carried round") for one in CARRIED.values()],
    ids=[*NEW, *CARRIED],
)
@pytest.mark.parametrize("there", ["file.json", "folder.json/file"])
def test_that_nothing_is_written_over(
    command: tuple[str, ...], said: str, there: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(there).parent.mkdir(exist_ok=True)
    Path(there).write_text("a person's", "utf-8")
    target = there.partition("/")[0]
    assert main([*command, target]) == 2
    assert f"{target} is there already{said}" in capsys.readouterr().err
    assert Path(there).read_text("utf-8") == "a person's"


@pytest.mark.parametrize("mode", NEW)
def test_that_an_empty_folder_will_do(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.json").mkdir()
    assert main([*NEW[mode], "empty.json"]) == 2
    assert "is there already" not in capsys.readouterr().err


@pytest.mark.parametrize("mode", CARRIED)
def test_that_a_carried_round_replaces_an_earlier_one(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_bundle(Path("earlier"), b"{}", {})
    assert main([*CARRIED[mode], "earlier"]) == 2
    assert "is there already" not in capsys.readouterr().err


def test_that_an_answer_does_not_replace_what_it_answers(capsys: pytest.CaptureFixture[str]) -> None:
    write_bundle(Path("in"), b"{}", {})
    assert main([*CARRIED["answer"], "./in"]) == 2
    assert "and another file, which goes back" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["table.md", "loss.svg", "results.csv"])
def test_that_a_lab_begins_in_no_folder_where_a_file_has_the_name_of_its_own(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    (Path("out") / name).write_text("a person's", "utf-8")
    assert main(["--lab", "quick", "--out", "out"]) == 2
    assert f"has a {name}, but not the experiment" in capsys.readouterr().err
    assert (Path("out") / name).read_text("utf-8") == "a person's"


def test_that_what_did_not_fit_on_the_disk_does_not_stay_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    Path("there").write_bytes(b"before")
    monkeypatch.setattr(os, "fsync", full)
    with told_as("The disk is full"):
        write_durably(Path("there"), b"after")
    assert [path.name for path in Path().iterdir()] == ["there"] and Path("there").read_bytes() == b"before"
    Path("there.partial").mkdir()
    with told_as("there"):
        write_durably(Path("there"), b"after")
    assert Path("there.partial").is_dir(), "a folder of somebody else's"
