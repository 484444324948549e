# SPDX-License-Identifier: Apache-2.0
"""Programs in packaging/, most of which no test runs, ask the package only for what it has."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGING = Path(__file__).parents[2] / "packaging"
PROGRAMS = sorted(path.relative_to(PACKAGING).as_posix() for path in PACKAGING.rglob("*.py"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_that_a_program_imports_only_names_that_the_package_has(program: str) -> None:
    missing = [f"{module}.{name}" for module, name in _imported(PACKAGING / program) if not _has(module, name)]
    assert not missing


def _imported(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of what is taken from the package, in functions too, and in programs that stand in strings."""
    waiting = [path.read_text("utf-8")]
    while waiting:
        for node in ast.walk(ast.parse(waiting.pop())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "fedmed_desktop":
                yield from ((str(node.module), alias.name) for alias in node.names)
            elif isinstance(node, ast.Constant) and "\nfrom fedmed_desktop." in str(node.value):
                waiting.append(str(node.value))


def _has(module: str, name: str) -> bool:
    return hasattr(importlib.import_module(module), name) or find_spec(f"{module}.{name}") is not None
