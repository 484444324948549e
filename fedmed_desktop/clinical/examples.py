# SPDX-License-Identifier: Apache-2.0
"""The bundled example notes: synthetic, to try a model without a patient's words."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

from ..resources import resource


@dataclass(frozen=True)
class Example:
    """A synthetic note and what it is called in a list."""

    title: str
    text: str


def examples() -> list[Example]:
    """Examples in the order in which they are offered. Raises FileNotFoundError where the installation is broken."""
    folder = resource("examples")
    listed = tomllib.loads((folder / "examples.toml").read_text("utf-8"))["example"]
    return [Example(entry["title"], (folder / entry["file"]).read_text("utf-8").strip()) for entry in listed]
