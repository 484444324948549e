# SPDX-License-Identifier: Apache-2.0
"""A crash of the process is told at the next start, once, and in words without values."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fedmed_desktop.desktop.frame.place import Place
from fedmed_desktop.desktop.settings.support import log_part
from fedmed_desktop.wording import told

RUN = """
import faulthandler, sys
from pathlib import Path
from fedmed_desktop.desktop.frame.place import Place
place = Place(Path(sys.argv[1]))
print(place.trouble.code if place.trouble else "none")
if sys.argv[2] == "crash":
    faulthandler._sigsegv()
place.leave()
"""


def run(folder: Path, how: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-c", RUN, str(folder), how], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout.strip()


def test_that_a_crash_is_told_at_the_next_start_and_not_again(tmp_path: Path) -> None:
    assert run(tmp_path, "crash")[0] != 0
    assert run(tmp_path, "leave") == (0, "desktop.crashed")
    assert run(tmp_path, "leave") == (0, "none")
    log = (tmp_path / "log" / "fedmed-desktop.log").read_text("utf-8")
    assert "crashed the last time" in log and "Segmentation fault" in log and "<module>" in log
    assert "in <module>" in log_part(log), "the support bundle has the places"
    assert not (tmp_path / "log" / "crash.txt").exists()


def test_that_a_program_that_was_killed_did_not_crash(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "crash.txt").touch()  # as a kill, or a power cut, leaves it
    place = Place(tmp_path)
    assert place.trouble is None
    place.leave()


def test_that_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "crash.txt").write_text("Fatal Python error: Segmentation fault\n")
    place = Place(tmp_path)
    assert place.is_ours and place.trouble is not None and "support bundle" in told(place.trouble)
    place.leave()
