# SPDX-License-Identifier: Apache-2.0
"""The pins are exact, name no index, and are what pyproject.toml's ranges allow."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PINS = ROOT / "packaging" / "pins"
LAYERS = ("build", "base", "site", "desktop", "lab", "dev")


def lines(layer: str) -> list[str]:
    return [line for line in (PINS / f"{layer}.txt").read_text("utf-8").splitlines() if not line.startswith("#")]


def pins(layer: str) -> dict[str, Requirement]:
    found = [Requirement(line) for line in lines(layer) if not line.startswith("-r")]
    return {canonicalize_name(pin.name): pin for pin in found}


@pytest.mark.parametrize("layer", LAYERS)
def test_that_every_line_is_one_exact_version_or_the_layer_below(layer: str) -> None:
    below = LAYERS[: LAYERS.index(layer)][-1:]
    assert [line for line in lines(layer) if line.startswith("-")] == [f"-r {name}.txt" for name in below]
    for pin in pins(layer).values():
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), pin


def test_that_the_pins_are_within_the_ranges() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    wanted = {
        "build": project["build-system"]["requires"],
        "base": project["project"]["dependencies"],
        **{extra: [text for text in extras[extra] if not text.startswith("fedmed-desktop[")] for extra in LAYERS[2:]},
    }
    wanted["dev"] += [text for text in extras["cluster"] if not text.startswith("fedmed-desktop[")]
    known: dict[str, Requirement] = {}
    for layer in LAYERS:
        known |= pins(layer)
        for requirement in map(Requirement, wanted[layer]):
            pin = known.get(canonicalize_name(requirement.name))
            assert pin is not None, f"{layer}.txt lacks {requirement}: run packaging/pins/compile.py"
            version = str(pin.specifier).removeprefix("==")
            assert requirement.specifier.contains(version), f"{pin} is outside {requirement}"


def test_that_an_extra_that_takes_in_another_is_pinned_on_top_of_it() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    inner = {extra: [text for text in extras[extra] if text.startswith("fedmed-desktop[")] for extra in LAYERS[2:]}
    assert inner == {
        "site": [],
        "desktop": ["fedmed-desktop[site]"],
        "lab": ["fedmed-desktop[site]"],
        "dev": ["fedmed-desktop[cluster,desktop]"],
    }
    assert "fedmed-desktop[lab]" in extras["cluster"]


def test_that_qt_is_one_version_that_does_not_crash_python_3_11() -> None:
    qt = {
        name: str(pin.specifier) for name, pin in pins("desktop").items() if name in ("pyside6-essentials", "shiboken6")
    }
    assert len(qt) == 2 and len(set(qt.values())) == 1
    assert not any(pin.marker for name, pin in pins("desktop").items() if name in qt)
    assert Requirement("qt<6.12").specifier.contains(qt["shiboken6"].removeprefix("=="))


def test_that_a_coordinator_gets_no_torch() -> None:
    assert not (pins("build").keys() | pins("base").keys()) & {"torch", "transformers", "peft", "pyside6-essentials"}


def test_that_a_site_without_a_screen_gets_no_qt() -> None:
    assert not pins("site").keys() & {"pyside6-essentials", "shiboken6", "pyqtgraph"}
