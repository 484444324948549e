# SPDX-License-Identifier: Apache-2.0
"""Write the pins: exact versions of everything that pyproject.toml's ranges need, on every system, with markers.

    .venv/bin/python packaging/pins/compile.py [--upgrade]

pip resolves for this machine; what only other systems or Python versions need is found by walking the metadata.
One file per need, each on top of the one before: build, base (coordinator), site, desktop, lab, dev. A version that is
pinned already stays while the ranges allow it; --upgrade takes the newest of everything that is not held.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PINS = Path(__file__).resolve().parent
ROOT = PINS.parent.parent

# Not the newest on purpose: a newer torch is a decision (wheels for CPU and CUDA, results), not an update; and this Qt
# is the newest that is good for every Python (6.12 frees None on 3.11), so that all run what is tested.
HELD = ("torch==2.13.0", "PySide6-Essentials==6.11.3")

PLATFORMS = (
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "aarch64"},
    {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
)
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
ENVIRONMENTS = tuple(
    {**platform, "python_version": python, "python_full_version": f"{python}.0", "implementation_name": "cpython"}
    | {"platform_python_implementation": "CPython"}
    for platform in PLATFORMS
    for python in PYTHONS
)
SOME_PLATFORMS = tuple(f"sys_platform {op} '{name}'" for op in ("==", "!=") for name in ("linux", "win32", "darwin"))
SOME_PYTHONS = tuple(f"python_version {op} '{python}'" for op in ("<", ">=") for python in PYTHONS[1:])
EVERYWHERE = frozenset(range(len(ENVIRONMENTS)))

Needs = dict[str, frozenset[int]]  # package -> environments (indices) in which it is needed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true", help="forget the pins of before")
    kept = [] if parser.parse_args().upgrade else pinned()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    roots = {
        "build": [
            *project["build-system"]["requires"],
            "editables",
            "pip",
        ],  # editables: what hatchling -e installs with
        "base": project["project"]["dependencies"],
        **{extra: with_inner_extras(extra, extras) for extra in ("site", "desktop", "lab", "dev")},
    }
    packages = resolve([*itertools.chain(*roots.values()), *HELD], kept)
    written: Needs = {}
    below = None
    for group, requirements in roots.items():
        needs = closure(requirements, packages, kept)
        lines = [
            f"{packages[name]['name']}=={public(packages[name]['version'])}{marker(name, where)}\n"
            for name, where in sorted(needs.items())
            if not where <= written.get(name, frozenset())
        ]
        head = "# Made by packaging/pins/compile.py from pyproject.toml: edit that instead.\n"
        include = f"-r {below}.txt\n" if below else ""
        (PINS / f"{group}.txt").write_text(head + include + "".join(lines), "utf-8")
        print(f"{group}.txt: {len(lines)} packages")
        written |= {name: where | written.get(name, frozenset()) for name, where in needs.items()}
        below = group


def pinned() -> list[str]:
    """The pins of before, but for what is held: a changed hold wins."""
    held = {canonicalize_name(Requirement(text).name) for text in HELD}
    lines = [line for path in sorted(PINS.glob("*.txt")) for line in path.read_text("utf-8").splitlines()]
    return [line for line in lines if line[0] not in "#-" and canonicalize_name(Requirement(line).name) not in held]


def with_inner_extras(extra: str, extras: dict[str, list[str]]) -> list[str]:
    """An extra's requirements; one that names the project itself stands for the extras that it asks for."""
    requirements = []
    for text in extras[extra]:
        inner = Requirement(text)
        if inner.name == "fedmed-desktop":
            requirements += [text for name in sorted(inner.extras) for text in with_inner_extras(name, extras)]
        else:
            requirements.append(text)
    return requirements


def resolve(requirements: list[str], kept: list[str], *options: str) -> dict[str, dict[str, Any]]:
    """Packages that pip would install here into an empty environment: metadata by name. `kept`: constraints."""
    with tempfile.TemporaryDirectory() as folder:
        report, constraints = Path(folder) / "report.json", Path(folder) / "kept.txt"
        constraints.write_text("\n".join(kept), "utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", *options]
        subprocess.run([*command, "-c", str(constraints), "--report", str(report), *requirements], check=True)
        installs = json.loads(report.read_text("utf-8"))["install"]
    return {canonicalize_name(install["metadata"]["name"]): install["metadata"] for install in installs}


def closure(requirements: list[str], packages: dict[str, dict[str, Any]], kept: list[str]) -> Needs:
    """All that these need, directly or not. Packages that this machine lacks are looked up and added to `packages`."""
    needs: Needs = {}
    todo = [
        (requirement, frozenset(index for index in EVERYWHERE if applies(requirement, index, set())))
        for requirement in map(Requirement, requirements)
    ]
    seen: set[tuple[str, frozenset[int]]] = set()
    while todo:
        requirement, where = todo.pop()
        if (str(requirement), where) in seen:
            continue
        seen.add((str(requirement), where))
        name = canonicalize_name(requirement.name)
        if name not in packages:
            # without its marker, which is not true here; neither is that of its pin
            bare = [line.partition(";")[0] for line in kept]
            packages |= resolve([f"{requirement.name}{requirement.specifier}"], bare, "--no-deps")
        needs[name] = needs.get(name, frozenset()) | where
        for text in packages[name].get("requires_dist") or ():
            dependency = Requirement(text)
            if there := frozenset(index for index in where if applies(dependency, index, requirement.extras)):
                todo.append((dependency, there))
    return needs


def applies(dependency: Requirement, environment: int, extras: set[str]) -> bool:
    """Tells whether a package that was asked for with these extras needs this dependency in that environment."""
    return dependency.marker is None or any(
        dependency.marker.evaluate({**ENVIRONMENTS[environment], "extra": extra}) for extra in extras or {""}
    )


def marker(name: str, where: frozenset[int]) -> str:
    """The shortest marker that is true in exactly these environments."""
    if where == EVERYWHERE:
        return ""
    pairs = (" and ".join(pair) for pair in itertools.product(SOME_PLATFORMS, SOME_PYTHONS))
    for text in (*SOME_PLATFORMS, *SOME_PYTHONS, *pairs):
        if where == frozenset(i for i in EVERYWHERE if applies(Requirement(f"{name} ; {text}"), i, set())):
            return f" ; {text}"
    raise SystemExit(f"no simple marker says where {name} is needed: {[ENVIRONMENTS[i] for i in sorted(where)]}")


def public(version: str) -> str:
    """Version without its local part: 2.13.0 is met by 2.13.0+cpu."""
    return version.partition("+")[0]


if __name__ == "__main__":
    main()
