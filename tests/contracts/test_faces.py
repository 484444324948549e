# SPDX-License-Identifier: Apache-2.0
"""What a face (desktop, command line, wording) may know of the work: events, and the read models named here."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "fedmed_desktop"
FACES = ("desktop", "cli", "wording")
MAY_IMPORT = {
    # Read models: what was recorded, decided and measured, as values.
    "storage": {"Decision", "Entry", "Record"},
    "storage.results": {"Results", "read_results"},
    "storage.journal": {"MOST_STEPS", "stride_of"},  # which steps of a long round are kept
    # What a face asks of a site, and what a site asks of the person at a face.
    "site": {"TAKE_BACK", "Approver", "Jobs", "RuleApprover", "SiteAgent", "Verdict", "operating_user", "with_own_b"},
    "site.folder": {"carry_over"},
    "site.link": {"check_address"},
}


def taken(path: Path) -> set[tuple[str, str]]:
    """(module, name) of everything that a file takes from storage or site; imports inside the package are relative."""
    package = path.relative_to(PACKAGE).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            origin = [*package[: len(package) - node.level + 1], *(node.module.split(".") if node.module else [])]
            if node.level <= len(package) + 1 and origin and origin[0] in ("storage", "site"):
                found |= {(".".join(origin), alias.name) for alias in node.names}
    return found


def test_that_faces_know_events_and_read_models_only() -> None:
    files = {path: taken(path) for face in FACES for path in (PACKAGE / face).rglob("*.py")}
    refused = [
        f"{path.relative_to(PACKAGE)} may not take {name} from {module}"
        for path, names in files.items()
        for module, name in sorted(names)
        if name not in MAY_IMPORT.get(module, ())
    ]
    assert not refused, "\n".join(refused)


def test_that_nothing_is_allowed_that_no_face_takes() -> None:
    used = {pair for face in FACES for path in (PACKAGE / face).rglob("*.py") for pair in taken(path)}
    assert used == {(module, name) for module, names in MAY_IMPORT.items() for name in names}


def test_that_imports_inside_the_package_are_relative() -> None:
    """So that the tests of who imports whom see all of them, and a folder can move."""
    wrong = [
        f"{path.relative_to(PACKAGE)}, line {node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").startswith("fedmed_desktop"))
        or (isinstance(node, ast.Import) and any(alias.name.startswith("fedmed_desktop") for alias in node.names))
    ]
    assert not wrong, "\n".join(wrong)
