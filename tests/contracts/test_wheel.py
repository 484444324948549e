# SPDX-License-Identifier: Apache-2.0
"""The built wheel holds the program and its own files, and finds them where there is no source tree."""

from __future__ import annotations

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = folder.glob("*.whl")
    return found


def test_that_every_bundled_file_is_inside(wheel: Path) -> None:
    resources = ROOT / "resources"
    expected = {path.relative_to(resources).as_posix() for path in resources.rglob("*") if path.is_file()}
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert any(name.startswith("demo_notes/") for name in expected)
    assert {f"fedmed_desktop/_resources/{name}" for name in expected} <= inside


def test_that_only_the_program_is_inside(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"fedmed_desktop", next(top for top in tops if top.endswith(".dist-info"))}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in zipfile.ZipFile(wheel).namelist())


def test_that_the_wheel_has_a_console_script_and_a_gui_script(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (place,) = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
    scripts = configparser.ConfigParser()
    scripts.read_string(archive.read(place).decode())
    assert dict(scripts["console_scripts"]) == {"fedmed-desktop": "fedmed_desktop.cli:main"}
    assert dict(scripts["gui_scripts"]) == {"fedmed-desktop-gui": "fedmed_desktop.cli:main_gui"}


def test_that_the_unpacked_wheel_finds_its_files_and_answers(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    ask = (
        "import sys; sys.path.insert(0, sys.argv[1]); import fedmed_desktop.cli as cli; "
        "from fedmed_desktop.resources import resource; print(resource('demo_notes')); cli.main(['--version'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask, str(tmp_path / "site")], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    place, version = done.stdout.splitlines()
    assert Path(place) == tmp_path / "site" / "fedmed_desktop" / "_resources" / "demo_notes"
    assert version.startswith("fedmed-desktop ")
