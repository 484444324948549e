# SPDX-License-Identifier: Apache-2.0
"""packaging/bootstrap.py as a newcomer meets it: a real process each time, with stand-ins for venv, pip and pytest.

The stand-ins play what takes a network or a full disk; the slow test at the end is pip's own word.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are made for a POSIX environment")

VENV = """
import os, pathlib, sys
if os.environ.get("VENV_SAYS"):
    sys.exit(os.environ["VENV_SAYS"])
folder = pathlib.Path(sys.argv[-1])
(folder / "bin").mkdir(parents=True)
(folder / "bin/python").symlink_to(sys.executable)
(folder / "pyvenv.cfg").touch()
"""

PIP = """
import json, os, pathlib, sys
if "config" in sys.argv:
    sys.exit(print(os.environ.get("PIP_CONFIG", "")))
if any(word.startswith("uv==") for word in sys.argv):
    if not os.environ.get("UV_COMES"):
        sys.exit("ERROR: No matching distribution found for uv")
    sys.exit()
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + chr(10))
if any(word.endswith(("base.txt", "desktop.txt", "dev.txt")) for word in sys.argv):
    if os.environ.get("PIP_HANGS"):
        os.kill(os.getppid(), 9)
    print("Collecting torch==2.13.0")
    print("Downloading torch-2.13.0-cp311-none.whl (190.2 MB)")
    if os.environ.get("PIP_SAYS"):
        sys.exit(os.environ["PIP_SAYS"])
"""

UV = """
import json, os, sys
with open(os.environ["CALLS"], "a") as calls:
    settings = {key: value for key, value in os.environ.items() if key.startswith("UV_")}
    calls.write(json.dumps(["uv", *sys.argv[1:], settings]) + chr(10))
sys.exit(os.environ.get("UV_SAYS"))
"""

PYTEST = """
import os, sys
print("tests ran in", os.getcwd(), "with", sys.argv[1:])
sys.exit(7)
"""

PROGRAM = """
import sys
print("the program ran with", sys.argv[1:])
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that the bootstrap looks at, and nothing of ours to run."""
    folder = tmp_path / "check out"
    shutil.copytree(ROOT / "packaging" / "pins", folder / "packaging" / "pins")
    shutil.copy(ROOT / "packaging" / "bootstrap.py", folder / "packaging")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, body in {"venv": VENV, "pip": PIP, "uv": UV, "pytest": PYTEST, "fedmed_desktop": PROGRAM}.items():
        (tmp_path / "stand-ins" / name).mkdir(parents=True)
        (tmp_path / "stand-ins" / name / "__init__.py").touch()
        (tmp_path / "stand-ins" / name / "__main__.py").write_text(body, "utf-8")
    return folder


@pytest.fixture
def run(checkout: Path, tmp_path: Path) -> Run:
    def start(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        # without the uv of whoever runs the tests
        stand_ins = {
            "PATH": os.defpath,
            "PYTHONPATH": str(tmp_path / "stand-ins"),
            "CALLS": str(tmp_path / "calls"),
            "PYTHONSAFEPATH": "1",
        }
        return subprocess.run(
            [sys.executable, str(checkout / "packaging" / "bootstrap.py"), *arguments],
            env={**os.environ, **stand_ins, **settings},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return start


def calls(tmp_path: Path) -> list[list[str]]:
    """What pip was asked, and forgets it."""
    if not (tmp_path / "calls").exists():
        return []
    lines = (tmp_path / "calls").read_text("utf-8").splitlines()
    (tmp_path / "calls").unlink()
    return [json.loads(line) for line in lines]


def test_that_the_program_gets_its_arguments_and_gives_its_status(run: Run, checkout: Path) -> None:
    done = run("test", "-q", "--help", "tests/contracts")
    assert done.returncode == 7, done.stderr
    assert done.stdout.endswith(f"tests ran in {checkout} with ['-q', '--help', 'tests/contracts']\n")


def test_that_pip_installs_the_build_tools_then_everything_then_this_checkout(
    run: Run, checkout: Path, tmp_path: Path
) -> None:
    run("--torch-index", "http://127.0.0.1:9/cpu", "test")
    build, everything, ours = calls(tmp_path)
    assert build[-1].endswith("build.txt")
    assert everything[everything.index("-r") + 1].endswith("dev.txt")
    assert everything[everything.index("--extra-index-url") + 1] == "http://127.0.0.1:9/cpu"
    assert ours[-4:] == ["--no-deps", "--no-build-isolation", "-e", str(checkout)]


def test_that_uv_installs_where_it_comes_and_is_set_up_as_pip_is(run: Run, checkout: Path, tmp_path: Path) -> None:
    config = "global.index-url='http://old'\nglobal.extra-index-url='http://a\\nhttp://b'\n"
    config += ":env:.index-url='http://new'\nglobal.find-links='/w /x'\ninstall.trusted-host='a'\nglobal.quiet='1'"
    run("--torch-index", "http://127.0.0.1:9/cpu", "test", UV_COMES="1", PIP_CONFIG=config)
    build, everything, ours = calls(tmp_path)
    assert build[:4] == ["uv", "pip", "install", "--python"] and build[-2].endswith("build.txt")
    assert everything[-3:-1] == ["--extra-index-url", "http://127.0.0.1:9/cpu"]
    assert ours[-5:-1] == ["--no-deps", "--no-build-isolation", "-e", str(checkout)]
    expected = {"UV_DEFAULT_INDEX": "http://new", "UV_INDEX": "http://a http://b", "UV_FIND_LINKS": "/w,/x"}
    assert (expected | {"UV_INSECURE_HOST": "a"}).items() <= ours[-1].items()  # type: ignore[attr-defined]
    assert "bootstrap:" not in run("test").stdout


def test_that_pip_tries_where_uv_fails(run: Run, tmp_path: Path) -> None:
    done = run("test", UV_COMES="1", UV_SAYS="error: no such index")
    assert done.returncode == 7 and "pip tries" in done.stdout
    assert [call[0] for call in calls(tmp_path)] == ["uv", "install", "install", "install"]


def test_that_the_whole_suite_runs_in_parallel_and_a_selection_does_not(run: Run) -> None:
    assert run("test").stdout.endswith("with ['-n', 'auto', '--dist', 'loadfile']\n")
    assert run("test", "-k", "name").stdout.endswith("with ['-k', 'name']\n")


@pytest.mark.parametrize(("mode", "flags"), [("desktop", []), ("demo", ["--demo"])])
def test_that_what_opens_windows_gets_qt(mode: str, flags: list[str], run: Run, tmp_path: Path) -> None:
    done = run(mode, "--report", "out")
    assert "Qt is 0.1 GB" in done.stdout
    assert done.stdout.endswith(f"the program ran with {[*flags, '--report', 'out']}\n")
    assert calls(tmp_path)[1][-1].endswith("desktop.txt")


def test_that_a_coordinator_needs_no_torch(run: Run, tmp_path: Path) -> None:
    run("coordinator", "--help")
    asked = calls(tmp_path)
    assert asked and not any("torch" in word for call in asked for word in call)


def test_that_benchmarks_run_with_all_that_tests_need(run: Run, checkout: Path, tmp_path: Path) -> None:
    suite = checkout / "packaging" / "benchmarks" / "run.py"
    suite.parent.mkdir()
    suite.write_text('import sys\nprint("measured", sys.argv[1:])\n', "utf-8")
    assert run("bench", "startup", "--runs", "1").stdout.endswith("measured ['startup', '--runs', '1']\n")
    assert calls(tmp_path)[1][-1].endswith("dev.txt")


def test_that_the_second_time_is_silent(run: Run, tmp_path: Path) -> None:
    assert "bootstrap: installing" in run("test").stdout
    assert calls(tmp_path)
    again = run("test")
    assert again.stdout.startswith("tests ran") and not again.stderr
    assert not calls(tmp_path)


def test_that_a_smaller_need_is_met_already(run: Run, tmp_path: Path) -> None:
    run("test")
    calls(tmp_path)
    assert "bootstrap:" not in run("coordinator").stdout
    assert not calls(tmp_path)


@pytest.mark.parametrize("changed", ["packaging/pins/base.txt", "packaging/pins/dev.txt", "pyproject.toml"])
def test_that_changed_pins_are_installed(changed: str, run: Run, checkout: Path, tmp_path: Path) -> None:
    run("test")
    calls(tmp_path)
    with (checkout / changed).open("a") as file:
        file.write("# changed\n")
    assert "bootstrap: installing" in run("test").stdout
    assert "making a new one" not in run("test").stdout
    assert len(calls(tmp_path)) == 3


def test_that_an_environment_killed_in_the_middle_is_made_again(run: Run, checkout: Path) -> None:
    assert run("test", PIP_HANGS="1").returncode == -9
    (checkout / ".venv" / "half-a-package").touch()
    again = run("test")
    assert "left half made: making a new one" in again.stdout
    assert again.returncode == 7
    assert not (checkout / ".venv" / "half-a-package").exists()


def test_that_an_environment_of_another_python_or_place_is_made_again(run: Run, checkout: Path) -> None:
    run("test")
    stamp = checkout / ".venv" / "bootstrap.json"
    stamp.write_text(json.dumps({**json.loads(stamp.read_text("utf-8")), "python": "3.9"}), "utf-8")
    assert "made by another Python" in run("test").stdout
    shutil.move(checkout / ".venv", checkout / "moved")
    assert "in another place" in run("test", "--venv", str(checkout / "moved")).stdout


def test_that_an_environment_without_its_python_is_made_again(run: Run, checkout: Path) -> None:
    run("test")
    (checkout / ".venv" / "bin" / "python").unlink()
    assert "without its Python: making a new one" in run("test").stdout


def test_that_an_environment_made_by_hand_is_used(run: Run, checkout: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(checkout / ".venv")], check=True)
    (checkout / ".venv" / "mine").touch()
    assert run("test").returncode == 7
    assert (checkout / ".venv" / "mine").exists()


def test_that_an_environment_made_by_hand_without_pip_is_made_again(run: Run, checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "pyvenv.cfg").touch()
    done = run("test")
    assert "without pip, or of another Python: making a new one" in done.stdout
    assert done.returncode == 7


def test_that_a_folder_of_something_else_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-a-friend").touch()
    done = run("test", "--venv", str(tmp_path / "letters"))
    assert done.returncode == 1 and "holds something else" in done.stderr
    assert (tmp_path / "letters" / "to-a-friend").exists()


NO_MATCH = "ERROR: No matching distribution found for torch==2.13.0"
STOPPED = {
    # what pip says, what we say, the command to go on with
    "network": (
        f"WARNING: Retrying after NewConnectionError\n{NO_MATCH}",
        "does not answer: is there a network?",
        "When",
    ),
    "disk": ("ERROR: [Errno 28] No space left on device", "No space is left on the disk.", "bootstrap.py test --venv"),
    "missing": (
        NO_MATCH,
        "The package index has no torch==2.13.0 for Python",
        "python3.12 packaging/bootstrap.py test",
    ),
    "certificate": ("SSLCertVerificationError(1, ...", "does not trust the certificate", "PIP_CERT=/path/to/ca.pem py"),
    "other": ("ERROR: something new\nhint: look above", "(ERROR: something new)", "To try again: "),
}


@pytest.mark.parametrize(("said", "sentence", "command"), STOPPED.values(), ids=STOPPED)
def test_that_what_stops_pip_is_one_sentence_with_a_command(
    said: str, sentence: str, command: str, run: Run, checkout: Path
) -> None:
    done = run("test", PIP_SAYS=said)
    assert done.returncode == 1
    assert sentence in done.stderr and command in done.stderr and done.stderr.count("\n") == 1
    assert said in (checkout / ".venv" / "bootstrap.log").read_text("utf-8")
    assert "making a new one" not in run("test").stdout, "what pip installed before it stopped is built on"


def test_that_a_python_without_venv_is_explained(run: Run) -> None:
    done = run(
        "test", VENV_SAYS="The virtual environment was not created successfully because ensurepip is not available."
    )
    assert done.returncode == 1
    assert "sudo apt install python3." in done.stderr and done.stderr.count("\n") == 1


def test_that_a_place_that_cannot_be_written_is_explained(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("test", "--venv", str(tmp_path / "file" / "venv"))
    assert done.returncode == 1
    assert "bootstrap: " in done.stderr and done.stderr.count("\n") == 1


def test_that_too_old_a_python_is_told_which_one_to_use(checkout: Path, tmp_path: Path) -> None:
    """The version is played; `ast` says that a real old one can read the file."""
    script = checkout / "packaging" / "bootstrap.py"
    play = (
        "import runpy, sys; sys.version_info = 3, 8, 18; del sys.argv[0]; runpy.run_path(sys.argv[0], None, '__main__')"
    )
    done = subprocess.run([sys.executable, "-c", play, str(script), "demo"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("bootstrap: fedmed-desktop needs Python 3.11 or newer, and this is 3.8.18. Run: ")
    assert done.stderr.endswith("packaging/bootstrap.py demo\n") and done.stderr.count("\n") == 1
    ast.parse(script.read_text("utf-8"), feature_version=(3, 8))


@pytest.mark.slow
def test_that_real_pip_without_a_network_is_understood(checkout: Path) -> None:
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")} | nowhere
    command = [sys.executable, str(checkout / "packaging" / "bootstrap.py"), "coordinator"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "The package index does not answer" in done.stderr and done.stderr.count("\n") == 1
