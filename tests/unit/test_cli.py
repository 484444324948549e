# SPDX-License-Identifier: Apache-2.0
"""The command line's frame: which mode, what it is given, and what becomes of its faults."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fedmed_desktop import cli

HANDLER = """
import os
from fedmed_desktop.errors import UserFacingError

def run(arguments):
    print(arguments, oct(os.umask(0o077)))
    if "stop" in arguments:
        raise KeyboardInterrupt
    if "err" in arguments:
        raise UserFacingError("spec.missing", path="x.toml")
    return 5
"""


@pytest.fixture
def mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "a_mode_for_tests.py").write_text(HANDLER, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(cli.MODES, "--probe", ("for tests", "a_mode_for_tests:run"))
    return "--probe"


def test_that_a_mode_gets_the_other_arguments_and_gives_the_status(
    mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([mode, "--rounds", "3"]) == 5
    assert capsys.readouterr().out == "['--rounds', '3'] 0o77\n"


def test_that_a_users_mistake_is_one_sentence(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([mode, "err"]) == 2
    assert capsys.readouterr().err == (
        "fedmed-desktop: There is no federation specification at x.toml. Write one with --new-federation.\n"
    )


def test_that_ctrl_c_is_no_traceback(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([mode, "stop"]) == 130
    assert capsys.readouterr().err == "fedmed-desktop: stopped\n"


def test_that_no_mode_shows_the_modes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "--coordinator" in capsys.readouterr().err


def test_that_an_unknown_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--coordinate"])
    assert end.value.code == 2
    assert "--coordinate" in capsys.readouterr().err


def test_that_new_files_are_private(mode: str, tmp_path: Path) -> None:
    os.umask(0o022)
    cli.main([mode])
    (tmp_path / "notes").touch()
    assert (tmp_path / "notes").stat().st_mode & 0o077 == 0
