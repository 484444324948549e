# SPDX-License-Identifier: Apache-2.0
"""The desktop's rooms: who may import whom, and that a view, which is a module of a room without Qt, reads no file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.views import DESKTOP, NO_VIEWS, ROOMS, VIEWS, WATCH

# A room imports only from lower ones, so that rooms side by side can be read, and thrown away, one without the other.
STOREYS = {
    "look": 0,
    "widgets": 1,
    "charts": 2,
    "work": 3,
    "guide": 4,
    "notes": 4,
    "checks": 4,
    **dict.fromkeys(
        ("rounds", "join", "approvals", "monitor", "trial", "experiment", "history", "settings", "hosting"), 5
    ),
    "welcome": 6,  # leads through parts of other rooms
    "frame": 7,
    "": 8,  # what lies in desktop/ itself puts the program together
}

# Functions and methods that ask for a file or a folder, whoever they belong to.
ASKS = frozenset(
    {
        "open",
        "read_text",
        "write_text",
        "read_bytes",
        "write_bytes",
        "exists",
        "is_file",
        "is_dir",
        "is_symlink",
        "stat",
    }
    | {"lstat", "iterdir", "glob", "rglob", "mkdir", "rmdir", "unlink", "touch", "rename"}
    | {"resolve", "connect", "resource", "weight_files", "decoder_linears", "file_state", "fingerprint"}
)
READS = ("read_", "load_", "write_", "save_", "open_", "look_at_model", "look_at_notes")
TEXTS = frozenset({"read_invitation"})  # read a text, not a file
MODULES = frozenset({"os", "io", "shutil", "socket", "sqlite3", "subprocess", "tempfile", "tomllib", "csv", "glob"})


def name(path: Path) -> str:
    return path.relative_to(DESKTOP).as_posix()


def neighbours(path: Path) -> Iterator[str]:
    """Rooms that a file imports from; "" for desktop/ itself."""
    own = path.relative_to(DESKTOP).parent.parts
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and 0 < node.level <= len(own) + 1:
            origin = [*own[: len(own) - node.level + 1], *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                room = (origin or [alias.name])[0]
                yield room if (DESKTOP / room).is_dir() else ""


def test_that_every_room_has_a_storey_and_imports_only_from_below() -> None:
    assert {room.name for room in ROOMS} | {""} == STOREYS.keys()
    wrong = [
        f"{name(path)} may not import from {other or 'desktop'}"
        for room in (DESKTOP, *ROOMS)
        for path in sorted(room.glob("*.py"))
        for other in neighbours(path)
        if (own := room.name if room != DESKTOP else "") != other and STOREYS[other] >= STOREYS[own]
    ]
    assert not wrong, "\n".join(wrong)


def file_access(source: str) -> list[str]:
    """Calls and imports of a module that may touch a file, with their lines."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ASKS or (called.startswith(READS) and called not in TEXTS):
                found.append(f"line {node.lineno}: {called}()")
        elif isinstance(node, ast.Import):
            found += [f"line {node.lineno}: {alias.name}" for alias in node.names if alias.name in MODULES]
        elif isinstance(node, ast.ImportFrom):
            module = (node.module or "").split(".")
            if (node.level == 0 and module[0] in MODULES) or (node.level and module[-1] == "files"):
                found.append(f"line {node.lineno}: {node.module}")
            names = [alias.name for alias in node.names if alias.name not in TEXTS]
            found += [f"line {node.lineno}: {found_name}" for found_name in names if found_name.startswith(READS)]
    return found


def test_that_views_name_nothing_that_touches_a_file() -> None:
    assert len(VIEWS) > 25, "the search looks in the wrong place"
    assert all((DESKTOP / path).exists() for path in NO_VIEWS)
    found = {name(path): file_access(path.read_text("utf-8")) for path in VIEWS}
    assert not {path: lines for path, lines in found.items() if lines}


@pytest.mark.parametrize(
    "line",
    [
        "open('x')",
        "Path('x').read_text('utf-8')",
        "folder.exists()",
        "import socket",
        "from tomllib import load",
        "from .files import open_experiment",
        "from ...clinical import read_notes_folder",
        "load_adapter(path)",
    ],
)
def test_that_the_search_sees_file_access(line: str) -> None:
    assert file_access(line)


def test_that_the_watch_sees_a_view_that_opens_a_file(tmp_path: Path) -> None:
    """As code that stands in a view would; and not where the view was handed a function that reads."""
    (tmp_path / "note.txt").write_text("A note.", "utf-8")
    spaces: list[dict[str, object]] = []
    for path in (VIEWS[0], DESKTOP / "join" / "files.py"):
        space: dict[str, object] = {"place": tmp_path / "note.txt"}
        exec(compile("def read(): return place.read_text('utf-8')\ndef call(fn): return fn()", path, "exec"), space)
        spaces.append(space)
    view, files = spaces
    files["read"]()  # type: ignore[operator]
    view["call"](files["read"])  # type: ignore[operator]
    assert not WATCH.found
    view["read"]()  # type: ignore[operator]
    found, WATCH.found = WATCH.found, []
    assert len(found) == 1 and name(VIEWS[0]) in found[0] and "note.txt" in found[0]
