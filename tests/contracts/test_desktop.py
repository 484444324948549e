# SPDX-License-Identifier: Apache-2.0
"""Rules of the desktop that one careless line would break: who may be connected to what, and what knows no Qt."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest

from tests.parts.sources import Check, Source, offenders, source
from tests.parts.views import DESKTOP, imports_qt

FILES = [source(path) for path in sorted(DESKTOP.rglob("*.py"))]
PLAIN = [path for path in sorted(DESKTOP.rglob("*.py")) if not imports_qt(path)]
PLAIN.remove(DESKTOP / "widgets" / "__init__.py")


def calls(source: Source, method: str) -> Iterator[ast.Call]:
    for node in source.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method:
            yield node


def targets(source: Source) -> Iterator[tuple[ast.Call, ast.expr]]:
    """Receivers of signals and of a timer's single shots, with the calls that name them."""
    for call in calls(source, "connect"):
        yield call, call.args[0]
    for call in calls(source, "singleShot"):
        yield call, call.args[-1]


def no_methods(source: Source) -> Iterator[str]:
    """Signals that end in a lambda, a partial or a function: it runs in the thread that emits, even queued."""
    for call, target in targets(source):
        if not isinstance(target, ast.Attribute):
            yield f"line {call.lineno}: connect to a method of a QObject"


class Classes:
    """The classes of some files: their methods, which of those are slots, and which names hold their instances."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.slots: dict[str, dict[str, bool]] = {}
        self._bases: dict[str, list[str]] = {}
        self._held: dict[str, set[str]] = {}
        for node in (node for found in sources for node in found.nodes):
            if isinstance(node, ast.ClassDef):
                methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
                self.slots.setdefault(node.name, {}).update({method.name: _is_slot(method) for method in methods})
                self._bases[node.name] = [ast.unparse(base) for base in node.bases]
        for node in (node for found in sources for node in found.nodes):
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


CLASSES = Classes(FILES)


def owners(source: Source) -> dict[int, str]:
    """The class around each call, by the call's line."""
    found = {}
    for node in source.nodes:
        if isinstance(node, ast.ClassDef):
            found |= {call.lineno: node.name for call in ast.walk(node) if isinstance(call, ast.Call)}
    return found


def no_slots(source: Source) -> Iterator[str]:
    """PySide6 finds the thread of a receiver by its slot; a method without @Slot may run in the emitter's thread."""
    around = owners(source)
    for call, target in targets(source):
        missing = CLASSES.not_slots(around.get(call.lineno, ""), ast.unparse(target))
        if missing:
            yield f"line {call.lineno}: {', '.join(missing)} needs @Slot"


def other_parameters(source: Source) -> Iterator[str]:
    """@Slot(str) on a method that takes two: Qt would register another signature than the one that is called."""
    for method in (node for node in source.nodes if isinstance(node, ast.FunctionDef)):
        most = len(method.args.args) - 1
        least = most - len(method.args.defaults)
        for decorator in method.decorator_list:
            is_slot = isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "Slot"
            if is_slot and not least <= len(decorator.args) <= most:
                yield f"line {method.lineno}: {method.name} has other parameters than its @Slot"


def executed(source: Source) -> Iterator[str]:
    """exec() runs a second event loop in the first; the application's own loop is the one exception."""
    for call in calls(source, "exec"):
        if ast.unparse(call.func) != "app.exec":
            yield f"line {call.lineno}: use open()"


def filled_before_translated(source: Source) -> Iterator[str]:
    """tr(f"...") is looked up after it was filled in, so it is never found."""
    for call in calls(source, "tr"):
        if any(isinstance(argument, ast.JoinedStr) for argument in call.args):
            yield f"line {call.lineno}: translate first, then fill in"


FOR_A_FILE = ("settings/support.py", "settings/files.py")  # the bundle for others, in English
NUMERIC = re.compile(r"[^%]*[#,.]|.*[efg%]$")


def english_numbers(source: Source) -> Iterator[str]:
    """f"{loss:.3f}" has an English point in every language."""
    if source.name.endswith(FOR_A_FILE):
        return
    for node in source.nodes:
        if isinstance(node, ast.FormattedValue) and isinstance(node.format_spec, ast.JoinedStr):
            spec = "".join(str(part.value) for part in node.format_spec.values if isinstance(part, ast.Constant))
            if NUMERIC.match(spec):
                yield f"line {node.lineno}: written({ast.unparse(node.value)}, {spec!r})"


CHECKS: tuple[Check, ...] = (
    no_methods,
    no_slots,
    other_parameters,
    executed,
    filled_before_translated,
    english_numbers,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_that_no_module_breaks_a_rule(check: Check) -> None:
    assert not (found := offenders(check, FILES)), found


@pytest.mark.parametrize(
    ("check", "line"),
    [
        (no_methods, "button.clicked.connect(lambda: None)"),
        (no_methods, "QTimer.singleShot(0, close)"),
        (no_slots, "QTimer.singleShot(0, unknown.apply_theme_without_slot)"),
        (other_parameters, "@Slot(str)\n        def begin(self, name, longer): ..."),
        (executed, "dialog.exec()"),
        (filled_before_translated, "self.tr(f'{count} rounds')"),
        (english_numbers, "label.setText(f'{loss:.3f}')"),
    ],
)
def test_that_the_check_sees_it(check: Check, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Source("sample.py", f"class Page:\n    def apply_theme_without_slot(self):\n        {line}")
    monkeypatch.setitem(globals(), "CLASSES", Classes([sample]))
    assert offenders(check, [sample])


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
    assert Classes([Source("sample.py", SAMPLE)]).not_slots("Card", target) == missing


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
