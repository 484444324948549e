# SPDX-License-Identifier: Apache-2.0
"""Rules of the desktop that one careless line would break: who may be connected to what, and what knows no Qt."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.parts.views import DESKTOP, imports_qt

FILES = sorted(DESKTOP.rglob("*.py"))
FACADE = DESKTOP / "widgets" / "__init__.py"
PLAIN = [path for path in FILES if not imports_qt(path) and path != FACADE]


def name(path: Path) -> str:
    return path.relative_to(DESKTOP).as_posix()


def calls(path: Path, method: str) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method:
            yield node


def targets(path: Path) -> Iterator[tuple[ast.Call, ast.expr]]:
    """What signals and single shots of a timer call, with the call that says so."""
    for call in calls(path, "connect"):
        yield call, call.args[0]
    for call in calls(path, "singleShot"):
        yield call, call.args[-1]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_that_signals_end_in_methods(path: Path) -> None:
    """A lambda, a partial or a function runs in the thread that emits, even with a queued connection."""
    for call, target in targets(path):
        assert isinstance(target, ast.Attribute), f"line {call.lineno}: connect to a method of a QObject"


class Classes:
    """The classes of some files: their methods, which of those are slots, and which names hold their instances."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.slots: dict[str, dict[str, bool]] = {}
        self._bases: dict[str, list[str]] = {}
        self._held: dict[str, set[str]] = {}
        trees = [ast.parse(source) for source in sources.values()]
        for node in (node for tree in trees for node in ast.walk(tree)):
            if isinstance(node, ast.ClassDef):
                methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
                self.slots.setdefault(node.name, {}).update({method.name: _is_slot(method) for method in methods})
                self._bases[node.name] = [ast.unparse(base) for base in node.bases]
        for node in (node for tree in trees for node in ast.walk(tree)):
            self._hold(node)

    def _hold(self, node: ast.AST) -> None:
        """x = C(...), self.x = C(...), with several at once; x: C as parameter or variable."""
        pairs: list[tuple[ast.expr | ast.arg, ast.expr | None]] = []
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs += zip(target.elts, node.value.elts, strict=False)
                else:
                    pairs.append((target, node.value))
        elif isinstance(node, ast.AnnAssign):
            pairs.append((node.target, node.annotation))
        elif isinstance(node, ast.arg):
            pairs.append((node, node.annotation))
        for target, value in pairs:
            holder = target.arg if isinstance(target, ast.arg) else ast.unparse(target).rpartition(".")[2]
            kind = ast.unparse(value.func if isinstance(value, ast.Call) else value) if value else ""
            if kind in self.slots:
                self._held.setdefault(holder, set()).add(kind)

    def _method(self, owner: str, method: str) -> str | None:
        """The class that defines it: the owner or one it inherits from; None where that is Qt, or nobody."""
        if method in self.slots.get(owner, {}):
            return owner
        return next((found for base in self._bases.get(owner, ()) if (found := self._method(base, method))), None)

    def not_slots(self, owner: str, target: str) -> list[str]:
        """Methods that a connection to `target`, written in a class, may end in although they are no slots.

        Of self: its own or inherited. Of another object: of each class that its name is known to hold; where none is
        known, of every class that has such a method, and one slot among them is enough.
        """
        where, _, called = target.rpartition(".")
        kinds = {owner} if where == "self" else self._held.get(where.rpartition(".")[2], set())
        known = [found for kind in kinds if (found := self._method(kind, called))]
        if known or where == "self" or kinds:
            return [f"{kind}.{called}" for kind in known if not self.slots[kind][called]]
        anywhere = [kind for kind, slots in self.slots.items() if called in slots]
        return [] if any(self.slots[kind][called] for kind in anywhere) else [f"{kind}.{called}" for kind in anywhere]


def _is_slot(method: ast.FunctionDef) -> bool:
    return any(ast.unparse(decorator).partition("(")[0] == "Slot" for decorator in method.decorator_list)


CLASSES = Classes({name(path): path.read_text("utf-8") for path in FILES})


def owners(path: Path) -> dict[int, str]:
    """The class around each call, by the call's line."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef):
            found |= {call.lineno: node.name for call in ast.walk(node) if isinstance(call, ast.Call)}
    return found


@pytest.mark.parametrize("path", FILES, ids=name)
def test_that_methods_connected_to_are_slots(path: Path) -> None:
    """PySide6 finds the thread of a receiver by its slot; a method without @Slot may run in the emitter's thread."""
    around = owners(path)
    for call, target in targets(path):
        missing = CLASSES.not_slots(around.get(call.lineno, ""), ast.unparse(target))
        assert not missing, f"line {call.lineno}: {', '.join(missing)} needs @Slot"


SAMPLE = """
class Page(QWidget):
    done = Signal()
    def plain(self): ...
    @Slot(int)
    def good(self): ...
class Card(Page):
    def good_by_another_name(self): ...
class Engine(QObject):
    @Slot()
    def plain(self): ...
def wire(page: Page, engine: Engine):
    self.card, self._other = Card(), Page()
"""


@pytest.mark.parametrize(
    ("target", "missing"),
    [
        ("self.plain", ["Page.plain"]),
        ("self.good", []),
        ("self.close", []),  # Qt's
        ("self.done", []),  # a signal
        ("page.plain", ["Page.plain"]),
        ("self._window.page.plain", ["Page.plain"]),
        ("engine.plain", []),
        ("self.card.plain", ["Page.plain"]),
        ("self._other.good", []),
        ("self.card.close", []),
        ("unknown.plain", []),  # one of that name is a slot
        ("unknown.good_by_another_name", ["Card.good_by_another_name"]),
        ("unknown.quit", []),
    ],
)
def test_that_a_missing_slot_is_seen_across_objects(target: str, missing: list[str]) -> None:
    assert Classes({"sample.py": SAMPLE}).not_slots("Card", target) == missing


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
