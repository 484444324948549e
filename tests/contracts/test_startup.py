# SPDX-License-Identifier: Apache-2.0
"""Asking the command line something loads neither torch nor Qt, in a fresh interpreter. Times: packaging/benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fedmed_desktop import __version__
from fedmed_desktop.resources import resource

HEAVY = {"torch", "transformers", "peft", "accelerate", "bitsandbytes", "tokenizers", "PySide6", "pyqtgraph"}

# What `--coordinator` loads until it serves.
SERVING = ", ".join(
    f"fedmed_desktop.{name}"
    for name in ("cli.coordinator", "cli.console", "coordinator.server", "coordinator.errands", "coordinator.founding")
)

ASK = """
import json, runpy, sys
sys.argv = ["fedmed-desktop", *sys.argv[2:]]
modules, status = sys.orig_argv[-len(sys.argv)], 0
try:
    runpy.run_module("fedmed_desktop", run_name="__main__", alter_sys=False)
except SystemExit as end:
    status = end.code
with open(modules, "w") as file:
    json.dump(sorted({name.partition(".")[0] for name in sys.modules}), file)
sys.exit(status)
"""


def ask(tmp_path: Path, *arguments: str, status: int = 0) -> tuple[str, set[str]]:
    """What the command answers, and the top-level modules that it loaded for that."""
    modules = tmp_path / "modules.json"
    command = [sys.executable, "-c", ASK, str(modules), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stderr
    assert bool(done.stderr) == bool(status)
    return done.stdout + done.stderr, set(json.loads(modules.read_text("utf-8")))


def test_that_the_version_is_told_without_numpy(tmp_path: Path) -> None:
    answer, modules = ask(tmp_path, "--version")
    assert answer == f"fedmed-desktop {__version__}\n"
    assert not modules & (HEAVY | {"numpy", "pydantic", "websockets"})


def test_that_help_names_every_mode_without_numpy(tmp_path: Path) -> None:
    answer, modules = ask(tmp_path, "--help")
    assert all(flag in answer for flag in ("--coordinator", "--site", "--demo", "--new-federation", "--version"))
    assert all(option in answer for option in ("--join INVITATION", "--try MODEL [ADAPTER", "--data-dir DIR"))
    assert not modules & (HEAVY | {"numpy", "pydantic", "websockets"})


@pytest.mark.parametrize("mode", ["--coordinator", "--site", "--demo", "--new-federation"])
def test_that_the_help_of_a_mode_loads_neither_torch_nor_qt(mode: str, tmp_path: Path) -> None:
    answer, modules = ask(tmp_path, mode, "--help")
    assert f"usage: fedmed-desktop {mode}" in answer
    assert not modules & HEAVY


@pytest.mark.parametrize("missing", ["model", "notes"])
def test_that_a_site_is_told_what_is_missing_before_torch_is_loaded(missing: str, tmp_path: Path) -> None:
    there = {"model": str(resource("demo_model")), "notes": str(resource("demo_notes") / "Lakeview")}
    paths = there | {missing: str(tmp_path / "nowhere")}
    site = ("--site", "--join", "ws://127.0.0.1:9", "--name", "A", "--data-dir", str(tmp_path / "data"))
    said, modules = ask(tmp_path, *site, "--model", paths["model"], "--notes", paths["notes"], status=2)
    assert "nowhere" in said and not modules & HEAVY


def test_that_the_window_comes_up_without_what_only_one_of_its_actions_needs() -> None:
    names = ("torch", "zxingcpp", "keyring", "cryptography.x509", "psutil")
    script = f"import sys, fedmed_desktop.desktop.app; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "[]\n"


def test_that_a_coordinator_waits_without_what_only_a_round_or_one_of_its_options_needs() -> None:
    libraries = "numpy", "rich", "psutil", "cryptography.x509", "urllib.request", "html", "dp_accounting", "scipy"
    sites = "federation.evidence", "federation.part", "federation.policy", "storage.journal", "storage.outbox"
    rare = "coordinator.carrying", "protocol.bundle", "storage.backup", "lab", "site", "training"
    names = (*sorted(HEAVY), *libraries, *(f"fedmed_desktop.{name}" for name in (*sites, *rare)))
    script = f"import sys, {SERVING}; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "[]\n"


def test_that_mistakes_in_an_experiment_are_told_before_torch_is_loaded() -> None:
    script = "import sys, fedmed_desktop.cli.lab, fedmed_desktop.lab.run; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "False\n"
