# SPDX-License-Identifier: Apache-2.0
"""The house has floors: a package imports only from floors below its own, and torch and Qt stay where they belong."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "fedmed_desktop"

FLOORS = {
    "bounds": 0, "errors": 0, "events": 0, "files": 0, "resources": 0, "scores": 0, "standing": 0,
    "lora": 1, "clinical": 1, "federation": 1,
    "training": 2, "protocol": 2, "storage": 2,
    "site": 3, "coordinator": 3,
    "wording": 4,
    "demo": 5, "lab": 5,
    "desktop": 6,
    "cli": 7,
    "__main__": 8,
}  # fmt: skip
SAME_FLOOR = {
    ("federation", "lora"),
    ("events", "scores"),
    ("scores", "bounds"),
    ("standing", "bounds"),
    ("events", "standing"),
    ("standing", "scores"),
    ("files", "errors"),
}

# Allowed by the floors, but the lab runs rounds without a coordinator: what both need lies below both.
APART = {("lab", "coordinator")}

TORCH = frozenset({"torch", "transformers", "peft", "bitsandbytes", "accelerate", "tokenizers"})
QT = frozenset({"PySide6", "pyqtgraph", "shiboken6"})
AT_HOME = {"training": TORCH, "desktop": QT}  # who may import them
MAY_LOAD = {"training": TORCH, "demo": TORCH, "lab": TORCH, "desktop": QT}  # what importing the package may load
MAY_IMPORT_TRAINING = {"training", "demo", "lab", "desktop.app", "cli"}

# Rules of the federation and its messages: time and input are handed in, so that tests drive them without waiting.
# protocol.wire holds what both ends of a connection share, beside the messages themselves.
PURE = {"federation", "protocol"}
EDGES = {"protocol.wire"}
IMPURE = frozenset({"asyncio", "http", "selectors", "socket", "sqlite3", "ssl", "subprocess", "time", "websockets"})
IMPURE_CALLS = frozenset({"now", "utcnow", "today", "Thread", "Timer"})

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
UNITS = sorted({path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES})


def unit_of(module: str) -> str:
    """fedmed_desktop.lora.algebra -> lora; the package itself, which holds the version only, -> ""."""
    return module.partition(".")[2].partition(".")[0]


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at any depth of its code, by absolute name."""
    package = list(path.relative_to(PACKAGE.parent).parent.parts)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*origin, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_that_every_package_has_a_floor() -> None:
    assert set(UNITS) <= FLOORS.keys(), "give the new package a floor"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_that_imports_only_go_down(path: Path) -> None:
    own = unit_of(module_of(path))
    for module in imports(path):
        other = unit_of(module) if module.startswith("fedmed_desktop.") else ""
        if other in FLOORS and other != own:
            assert FLOORS[other] < FLOORS[own] or (own, other) in SAME_FLOOR, f"{own} may not import {module}"
            assert (own, other) not in APART, f"{own} may not import {module}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_that_torch_and_qt_stay_at_home(path: Path) -> None:
    own = unit_of(module_of(path))
    named = {module.partition(".")[0] for module in imports(path)} & (TORCH | QT)
    assert named <= AT_HOME.get(own, frozenset()), f"{own} may not import {sorted(named)}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_that_only_composition_roots_import_training(path: Path) -> None:
    if any(unit_of(module) == "training" for module in imports(path) if module.startswith("fedmed_desktop.")):
        module = module_of(path).removeprefix("fedmed_desktop.")
        assert {module, unit_of(module_of(path))} & MAY_IMPORT_TRAINING, f"{module} is handed a Trainer instead"


PURE_FILES = [
    path
    for path in FILES
    if unit_of(module_of(path)) in PURE and module_of(path).removeprefix("fedmed_desktop.") not in EDGES
]


@pytest.mark.parametrize("path", PURE_FILES, ids=name)
def test_that_rules_and_messages_know_no_clock_no_socket_and_no_thread(path: Path) -> None:
    assert not {module.partition(".")[0] for module in imports(path)} & IMPURE
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in IMPURE_CALLS, f"line {node.lineno}: the caller hands this in"


LOAD = """
import importlib, json, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(getattr(package, "__path__", []), sys.argv[1] + "."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
print(json.dumps(sorted({module.partition(".")[0] for module in sys.modules})))
"""


@pytest.mark.parametrize("unit", [unit for unit in UNITS if not MAY_LOAD.get(unit) and unit != "__main__"])
def test_that_importing_a_package_loads_nothing_heavy(unit: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD, f"fedmed_desktop.{unit}"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not set(json.loads(done.stdout)) & (TORCH | QT)
