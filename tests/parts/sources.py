# SPDX-License-Identifier: Apache-2.0
"""The repository's files, each read and parsed once, and the list of what a check finds wrong in them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "fedmed_desktop"
SKIPPED = {".git", ".venv", "__pycache__", "dist", "build", "demo-report", "node_modules"}


@dataclass(frozen=True)
class Source:
    """A file's text under its name, which is its path from the repository's root, with slashes."""

    name: str
    text: str

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of its syntax tree, the module first."""
        return tuple(ast.walk(ast.parse(self.text)))

    @property
    def module(self) -> str:
        """Dotted name: fedmed_desktop.lora for fedmed_desktop/lora/__init__.py."""
        return self.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def imports(self) -> tuple[tuple[int, str], ...]:
        """Line and absolute name of everything that it imports, at any depth of its code."""
        package = self.name.split("/")[:-1]
        found: list[tuple[int, str]] = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                origin = package[: len(package) - node.level + 1] if node.level else []
                module = ".".join([*origin, *([node.module] if node.module else [])])
                found += [(node.lineno, f"{module}.{alias.name}") for alias in node.names]
        return tuple(found)


Check = Callable[[Source], Iterable[str]]  # one line of text for each thing that is wrong


@cache
def source(path: Path) -> Source:
    return Source(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))


@cache
def files(*suffixes: str) -> tuple[Source, ...]:
    """The repository's own files with these suffixes, those of hidden folders other than .ci left out."""
    found = []
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part in SKIPPED or (part.startswith(".") and part != ".ci") for part in parts[:-1])
        if not hidden and path.suffix in suffixes and path.is_file():
            found.append(source(path))
    return tuple(found)


def modules() -> tuple[Source, ...]:
    """The package's modules."""
    return tuple(found for found in files(".py") if found.name.startswith("fedmed_desktop/"))


def offenders(check: Check, sources: Iterable[Source]) -> str:
    """All that a check finds, one `file: what` a line; "" where everything is in order."""
    return "\n".join(f"{found.name}: {offence}" for found in sources for offence in check(found))
