# SPDX-License-Identifier: Apache-2.0
"""What holds for the repository as a whole: licence lines, no machine or registry named, no stubs, honest errors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from fedmed_desktop.wording import SENTENCES

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "fedmed_desktop"
SKIPPED = {".git", ".venv", "__pycache__", "dist", "build", "demo-report", "node_modules"}
MAX_LINES = 400

# Put together here, so that this file does not name them
REGISTRIES = [
    "pypi" + ".org",
    "python" + "hosted",
    "download." + "pytorch.org",
    "conda." + "anaconda",
    "npmjs" + ".org",
]
SOMEBODYS_HOME = re.compile(r"(?<![\w.])/(?:home|Users|root)/")
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")


def files(*suffixes: str) -> list[Path]:
    found = []
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part in SKIPPED or (part.startswith(".") and part != ".ci") for part in parts[:-1])
        if path.is_file() and not hidden and path.suffix in suffixes:
            found.append(path)
    return found


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


PYTHON = files(".py")
TEXT = files(".py", ".toml", ".txt", ".md", ".json", ".cfg", ".yml", ".yaml", ".sh", "")
MODULES = [path for path in PYTHON if path.is_relative_to(PACKAGE)]


def test_that_there_is_something_to_look_at() -> None:
    assert {"packaging/bootstrap.py", "tests/conftest.py", "fedmed_desktop/errors.py"} <= {name(p) for p in PYTHON}
    assert {"README.md", "pyproject.toml", "packaging/pins/base.txt", ".ci/run"} <= {name(p) for p in TEXT}


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_that_a_file_begins_with_its_licence(path: Path) -> None:
    assert path.read_text("utf-8").startswith("# SPDX-License-Identifier: Apache-2.0\n")


@pytest.mark.parametrize("path", TEXT, ids=name)
def test_that_no_registry_and_no_machine_is_named(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not [word for word in REGISTRIES if word in text]
    assert not SOMEBODYS_HOME.findall(text)


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_that_nothing_is_left_for_later(path: Path) -> None:
    assert not UNFINISHED.findall(path.read_text("utf-8"))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_that_a_module_is_small_and_has_no_stub(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= MAX_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Raise) and node.exc is not None:
            assert "NotImplementedError" not in ast.dump(node.exc), f"line {node.lineno} is a stub"


def test_that_packaging_is_a_folder_and_no_package() -> None:
    assert not list((ROOT / "packaging").rglob("__init__.py")), "it would shadow the library of that name"


def raised(path: Path) -> Iterator[tuple[int, str, set[str] | None]]:
    """Line, code and parameter names of each UserFacingError made in a file; None: **parameters hide them."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "UserFacingError" and node.args:
            keywords = {keyword.arg for keyword in node.keywords}
            names = None if None in keywords else {word for word in keywords if word and word != "retryable"}
            for part in ast.walk(node.args[0]):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield node.lineno, part.value, names


def placeholders(sentence: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(sentence) if field is not None}


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_that_every_error_raised_has_its_sentence_and_fills_it(path: Path) -> None:
    for line, code, names in raised(path):
        assert code in SENTENCES, f"line {line}: {code} has no sentence"
        if names is not None:
            assert placeholders(SENTENCES[code]) <= names, f"line {line}: {code} lacks a parameter"


@pytest.mark.parametrize("code", sorted(SENTENCES))
def test_that_a_sentence_is_a_sentence_and_is_used(code: str) -> None:
    assert re.fullmatch(r"[a-z_]+(\.[a-z_0-9]+)+", code)
    end = SENTENCES[code].rstrip(")\"'")
    assert end.endswith((".", "?")) or ": " in end, "a sentence ends with a full stop, or with a command to run"
    used = (path for path in MODULES if path.parent != PACKAGE / "wording" and f'"{code}"' in path.read_text("utf-8"))
    assert any(used), f"no module says {code}"
