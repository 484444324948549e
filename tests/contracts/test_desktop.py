# SPDX-License-Identifier: Apache-2.0
"""Rules of the desktop that one careless line would break: who may be connected to what, and what knows no Qt."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DESKTOP = Path(__file__).parents[2] / "fedmed_desktop" / "desktop"
FILES = sorted(DESKTOP.rglob("*.py"))
PLAIN = [*sorted((DESKTOP / "view").glob("*.py")), DESKTOP / "options.py", DESKTOP / "preflight.py"]


def name(path: Path) -> str:
    return path.relative_to(DESKTOP).as_posix()


def calls(path: Path, method: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method:
            yield node


@pytest.mark.parametrize("path", FILES, ids=name)
def test_that_signals_end_in_methods(path: Path) -> None:
    """A lambda, a partial or a function runs in the thread that emits, even with a queued connection."""
    for call in calls(path, "connect"):
        target = call.args[0]
        assert isinstance(target, ast.Attribute), f"line {call.lineno}: connect to a method of a QObject"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_that_methods_connected_to_are_slots(path: Path) -> None:
    """PySide6 finds the thread of a receiver by its slot; a method without @Slot may run in the emitter's thread."""
    tree = ast.parse(path.read_text("utf-8"))
    for owner in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        own = {item.name: item for item in owner.body if isinstance(item, ast.FunctionDef)}
        for call in (node for node in ast.walk(owner) if isinstance(node, ast.Call)):
            if not (isinstance(call.func, ast.Attribute) and call.func.attr == "connect" and call.args):
                continue
            target = call.args[0]
            where, _, called = ast.unparse(target).rpartition(".")
            if where == "self" and (method := own.get(called)):
                decorators = {ast.unparse(d).partition("(")[0] for d in method.decorator_list}
                assert "Slot" in decorators, f"line {call.lineno}: {owner.name}.{called} needs @Slot"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_that_dialogs_are_opened_not_executed(path: Path) -> None:
    """exec() runs a second event loop in the first; the application's own loop is the one exception."""
    for call in calls(path, "exec"):
        assert ast.unparse(call.func) == "app.exec", f"line {call.lineno}: use open()"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_that_translated_texts_are_no_f_strings(path: Path) -> None:
    """tr(f"...") is looked up after it was filled in, so it is never found."""
    for call in calls(path, "tr"):
        assert not any(isinstance(argument, ast.JoinedStr) for argument in call.args), f"line {call.lineno}"


LOAD = """
import importlib, json, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
print(json.dumps(sorted({module.partition(".")[0] for module in sys.modules})))
"""


def test_that_what_is_shown_is_decided_without_qt() -> None:
    modules = [".".join(path.relative_to(DESKTOP.parents[1]).with_suffix("").parts) for path in PLAIN]
    done = subprocess.run([sys.executable, "-c", LOAD, *modules], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not set(json.loads(done.stdout)) & {"PySide6", "pyqtgraph", "shiboken6", "torch"}


def test_that_the_window_opens_without_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD, "fedmed_desktop.desktop.app"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not set(json.loads(done.stdout)) & {"torch", "transformers", "peft"}
