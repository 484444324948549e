# SPDX-License-Identifier: Apache-2.0
"""The house has floors: a package imports only from floors below its own, and torch and Qt stay where they belong."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.parts.sources import Check, Source, files, modules, offenders

FLOORS = {
    "arrays": 0, "bounds": 0, "errors": 0, "events": 0, "files": 0, "identity": 0, "resources": 0,
    "scores": 0, "standing": 0, "overview": 0,
    "lora": 1, "clinical": 1, "federation": 1,
    "training": 2, "protocol": 2, "storage": 2,
    "site": 3, "coordinator": 3,
    "wording": 4,
    "demo": 5, "evaluation": 5, "lab": 5,
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
    ("identity", "errors"),
    ("events", "identity"),
    ("overview", "bounds"),
    ("overview", "events"),
    ("overview", "identity"),
    ("overview", "standing"),
}

# Allowed by the floors, but the lab runs rounds without a coordinator: what both need lies below both.
APART = {("lab", "coordinator")}

TORCH = frozenset({"torch", "transformers", "peft", "bitsandbytes", "accelerate", "tokenizers"})
QT = frozenset({"PySide6", "pyqtgraph", "shiboken6"})
SLOW_TO_LOAD = TORCH - {"tokenizers"} | {"matplotlib", "pandas", "scipy", "spacy"}
AT_HOME = {"training": TORCH, "desktop": QT}  # who may import them
MAY_LOAD = {
    "training": TORCH,
    "demo": TORCH,
    "evaluation": TORCH,
    "lab": TORCH,
    "desktop": QT,
}  # what importing the package may load
MAY_IMPORT_TRAINING = {"training", "demo", "evaluation", "lab", "desktop.app", "cli"}

# Rules of the federation and its messages: time and input are handed in, so that tests drive them without waiting.
# protocol.wire holds what both ends of a connection share, beside the messages themselves.
PURE = {"federation", "protocol"}
EDGES = {"protocol.wire"}
IMPURE = frozenset({"asyncio", "http", "selectors", "socket", "sqlite3", "ssl", "subprocess", "time", "websockets"})
IMPURE_CALLS = frozenset({"now", "utcnow", "today", "Thread", "Timer"})

MODULES = [module for module in modules() if module.name != "fedmed_desktop/__init__.py"]


def unit_of(module: str) -> str:
    """fedmed_desktop.lora.algebra -> lora; the package itself, which holds the version only, -> ""."""
    return module.partition(".")[2].partition(".")[0] if module.startswith("fedmed_desktop") else ""


UNITS = sorted({unit_of(module.module) for module in MODULES})


def upward(source: Source) -> Iterator[str]:
    """Imports from the same floor or a higher one."""
    own = unit_of(source.module)
    for line, module in source.imports:
        other = unit_of(module)
        if other in FLOORS and other != own:
            down = FLOORS[other] < FLOORS[own] or (own, other) in SAME_FLOOR
            if not down or (own, other) in APART:
                yield f"line {line}: {own} may not import {module}"


def far_from_home(source: Source) -> Iterator[str]:
    """Imports of torch and Qt outside the packages that they belong to."""
    allowed = AT_HOME.get(unit_of(source.module), frozenset())
    for line, module in source.imports:
        if module.partition(".")[0] in (TORCH | QT) - allowed:
            yield f"line {line}: imports {module}"


def trainers(source: Source) -> Iterator[str]:
    """Imports of training in modules that are handed a Trainer instead."""
    if not {source.module.removeprefix("fedmed_desktop."), unit_of(source.module)} & MAY_IMPORT_TRAINING:
        yield from (f"line {line}: {module}" for line, module in source.imports if unit_of(module) == "training")


def impurities(source: Source) -> Iterator[str]:
    """Clocks, sockets and threads, which the caller hands in."""
    for line, module in source.imports:
        if module.partition(".")[0] in IMPURE:
            yield f"line {line}: imports {module}"
    for node in source.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in IMPURE_CALLS:
            yield f"line {node.lineno}: the caller hands in {node.func.attr}()"


def absolute(source: Source) -> Iterator[str]:
    """Imports of the package by its name: relative ones let a folder move."""
    for node in source.nodes:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        if any(name.partition(".")[0] == "fedmed_desktop" for name in names):
            yield f"line {node.lineno}: the import is not relative"


def before_any_test(source: Source) -> Iterator[str]:
    """Imports at the top of a test's module: every process of a run collects all tests, and needs torch for few."""
    later = ast.If | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    now = [node for node in ast.iter_child_nodes(source.nodes[0]) if not isinstance(node, later)]
    top = {getattr(node, "lineno", 0) for statement in now for node in ast.walk(statement)}
    for line, module in source.imports:
        if line in top and module.partition(".")[0] in SLOW_TO_LOAD:
            yield f"line {line}: write it under TYPE_CHECKING: {module}"


TESTS = [found for found in files(".py") if found.name.startswith("tests/")]
PURE_MODULES = [
    module
    for module in MODULES
    if unit_of(module.module) in PURE and module.module.removeprefix("fedmed_desktop.") not in EDGES
]
CHECKS: dict[Check, list[Source]] = {
    upward: MODULES,
    far_from_home: MODULES,
    trainers: MODULES,
    impurities: PURE_MODULES,
    absolute: MODULES,
    before_any_test: TESTS,
}


def test_that_every_package_has_a_floor() -> None:
    assert set(UNITS) <= FLOORS.keys(), "give the new package a floor"
    assert len(PURE_MODULES) > 20, "the search looks in the wrong place"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_that_no_module_breaks_a_rule(check: Check) -> None:
    assert not (found := offenders(check, CHECKS[check])), found


@pytest.mark.parametrize(
    ("check", "name", "line"),
    [
        (upward, "lora/algebra.py", "from ..site.agent import SiteAgent"),
        (upward, "lora/algebra.py", "def late():\n    from .. import storage"),
        (upward, "lora/algebra.py", "from ..clinical import notes"),  # the same floor
        (upward, "lab/run.py", "from ..coordinator import host"),
        (far_from_home, "lora/algebra.py", "import torch.nn"),
        (far_from_home, "training/loop.py", "from PySide6.QtCore import Slot"),
        (far_from_home, "desktop/frame/window.py", "import torch"),
        (trainers, "site/agent.py", "from ..training import loop"),
        (impurities, "federation/rounds.py", "import time"),
        (impurities, "federation/rounds.py", "datetime.now()"),
        (absolute, "site/agent.py", "import fedmed_desktop.lora"),
        (absolute, "site/agent.py", "from fedmed_desktop import lora"),
        (before_any_test, "training/loop.py", "import torch"),
    ],
)
def test_that_the_check_sees_it(check: Check, name: str, line: str) -> None:
    assert offenders(check, [Source(f"fedmed_desktop/{name}", line)])


LOAD = """
import importlib, json, pkgutil, sys
heavy, found = set(sys.argv[1].split()), {}
for unit in sys.argv[2:]:
    package = importlib.import_module(unit)
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), unit + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found[unit] = sorted(heavy & {name.partition(".")[0] for name in sys.modules})
print(json.dumps(found))
"""


def test_that_importing_a_package_loads_nothing_heavy() -> None:
    """One after the other in one process: the first that has something to answer for is the one that loaded it."""
    units = [unit for unit in sorted(UNITS, key=lambda unit: FLOORS[unit]) if not MAY_LOAD.get(unit)]
    names = [f"fedmed_desktop.{unit}" for unit in units if unit != "__main__"]
    assert len(names) > 15
    done = subprocess.run(
        [sys.executable, "-c", LOAD, " ".join(TORCH | QT), *names], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert {unit: heavy for unit, heavy in json.loads(done.stdout).items() if heavy} == {}
