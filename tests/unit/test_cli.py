# SPDX-License-Identifier: Apache-2.0
"""The command line's frame: which mode, what it is given, and what becomes of its faults."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fedmed_desktop import cli
from fedmed_desktop.cli import desktop
from fedmed_desktop.cli.demo import Face, choose_face
from fedmed_desktop.desktop.options import DesktopOptions

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
        "fedmed-desktop: There is no federation specification at x.toml. Check the path; "
        "the host writes the file with --new-federation.\n"
    )


def test_that_ctrl_c_is_no_traceback(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([mode, "stop"]) == 130
    assert capsys.readouterr().err == "fedmed-desktop: stopped\n"


LOADED = """
import asyncio, sys
from fedmed_desktop.cli import main
from fedmed_desktop.resources import resource

def run(work):
    work.close()
    print("fedmed_desktop.training.preparation" in sys.modules)
    return 0

asyncio.run = run
model, notes = str(resource("demo_model")), str(resource("demo_notes") / "Lakeview")
join = ["--join", "ws://127.0.0.1:1", "--name", "Site", "--data-dir", "not-made"]
main(["--site", "--model", model, "--notes", notes, *join])
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_that_output_which_nobody_reads_is_no_traceback(unbuffered: str) -> None:
    read, write = os.pipe()
    os.close(read)  # as `| head` does once it has enough
    environ = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-m", "fedmed_desktop", "--check-policy"]
    found = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=120, env=environ)
    os.close(write)
    assert found.returncode == 1 and found.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="of POSIX shells")
def test_that_an_output_closed_before_the_start_is_no_traceback() -> None:
    command = f"exec {shlex.quote(sys.executable)} -m fedmed_desktop --check-policy >&-"
    found = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8:strict"])
def test_that_no_name_ends_the_program_whatever_the_encoding_of_its_output(tmp_path: Path, encoding: str) -> None:
    data_dir = os.fsencode(tmp_path) + b"/\xfcber" if os.name == "posix" else os.fsencode(tmp_path / "Łódź")
    command = [sys.executable, "-m", "fedmed_desktop", "--check", "--data-dir", data_dir]
    environ = {**os.environ, "PYTHONIOENCODING": encoding}
    found = subprocess.run(command, capture_output=True, env=environ, timeout=60)
    assert (found.returncode, found.stderr) == (0, b"") and b"Disk: " in found.stdout


def test_that_what_is_typed_in_another_encoding_is_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fedmed_desktop", "--site", "--invitation", "-", "--model", "m", "--notes", "n"]
    environ = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    found = subprocess.run(
        [*command, "--data-dir", tmp_path], input=b"fedmed:gepr\xfcft", capture_output=True, env=environ, timeout=60
    )
    assert found.returncode == 2 and b"This invitation is mistyped" in found.stderr


LOGGED = """
import logging, sys
from pathlib import Path
from fedmed_desktop.cli.logs import log_to_stderr

log_to_stderr("info", Path(sys.argv[1]))
for number in range(200):
    logging.info("line %d", number)
"""


def test_that_the_last_lines_of_a_log_are_written_before_the_program_ends(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", LOGGED, str(tmp_path / "log")], capture_output=True, text=True, timeout=60, check=True
    )
    assert len((tmp_path / "log").read_text("utf-8").splitlines()) == len(found.stderr.splitlines()) == 200


HELPED = """
import contextlib, io, sys
from fedmed_desktop.cli import main

for mode in sys.argv[1:]:
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        main([mode, "--help"])
print(*sorted({"numpy", "websockets", "cryptography"} & sys.modules.keys()))
"""


def test_that_the_options_of_a_mode_are_told_before_anything_heavy_is_loaded() -> None:
    modes = ["--site", "--coordinator", "--invite", "--sites", "--confirm", "--revoke", "--backup", "--export-round"]
    found = subprocess.run(
        [sys.executable, "-c", HELPED, *modes], capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout.split() == []


@pytest.mark.slow
def test_that_a_site_loads_torch_where_ctrl_c_counts_at_once() -> None:
    found = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=120, check=True)
    assert found.stdout == "True\n", "inside asyncio.run, Ctrl-C waits for the next await"


@pytest.fixture
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have a display")
def test_that_without_a_display_the_desktop_says_what_to_use(
    no_display: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([]) == 2
    said = capsys.readouterr().err
    assert said.startswith("fedmed-desktop: There is no display") and "--demo --terminal" in said


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have a display")
def test_that_the_gui_script_says_where_qt_cannot_start(
    no_display: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fedmed-desktop-gui"])
    assert cli.main_gui() == 2
    assert "There is no display" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["fedmed-desktop-gui", "--joyn"])
    assert cli.main_gui() == 2
    assert "--joyn" in capsys.readouterr().err


def opened(*arguments: str) -> DesktopOptions:
    return desktop.parse(desktop.make_parser("fedmed-desktop"), arguments)


def test_that_the_desktop_is_told_what_was_asked_for() -> None:
    assert opened() == DesktopOptions()
    assert opened("--join", "ws://127.0.0.1:1", "--data-dir", "d") == DesktopOptions(
        join="ws://127.0.0.1:1", data_dir=Path("d")
    )
    assert opened("--try", "model") == DesktopOptions(try_model="model")
    assert opened("--try", "model", "adapter") == DesktopOptions(try_model="model", try_adapter=Path("adapter"))


@pytest.mark.parametrize(
    "arguments", [("--try", "model", "adapter", "adapter"), ("--try",), ("--try", "model", "--join", "ws://x")]
)
def test_that_a_trial_is_of_one_model_and_one_adapter(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        opened(*arguments)
    assert "--try" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("terminal", "offscreen", "platform", "face"),
    [
        (False, False, "xcb", Face.WINDOWS),
        (False, False, "wayland", Face.WINDOWS),
        (False, False, None, Face.TERMINAL),
        (False, False, "offscreen", Face.OFFSCREEN),
        (False, True, "xcb", Face.OFFSCREEN),
        (False, True, None, Face.OFFSCREEN),
        (True, False, "xcb", Face.TERMINAL),
        (True, False, None, Face.TERMINAL),
    ],
)
def test_that_a_demonstration_is_shown_where_somebody_looks(
    terminal: bool, offscreen: bool, platform: str | None, face: Face
) -> None:
    assert choose_face(terminal, offscreen, platform) is face


def test_that_a_demonstration_cannot_be_both_in_the_terminal_and_offscreen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--demo", "--terminal", "--offscreen"])
    assert "--offscreen and --terminal do not go together" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have a display")
def test_that_a_demonstration_without_a_display_says_that_it_runs_in_the_terminal(
    no_display: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["--demo", "--notes", str(tmp_path / "none"), "--report", str(tmp_path / "report")]) == 2
    notice, mistake = capsys.readouterr().err.splitlines()
    assert notice == "fedmed-desktop: there is no display, so the demonstration runs in the terminal"
    assert "There is no notes folder" in mistake


def test_that_an_unknown_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--coordinate"])
    assert end.value.code == 2
    assert "there is no option --coordinate here. Did you mean --coordinator?" in capsys.readouterr().err


def test_that_new_files_are_private(mode: str, tmp_path: Path) -> None:
    os.umask(0o022)
    cli.main([mode])
    (tmp_path / "notes").touch()
    assert (tmp_path / "notes").stat().st_mode & 0o077 == 0
