# SPDX-License-Identifier: Apache-2.0
"""The line drawings of `resources/icons/`, in one colour each. No Qt."""

from __future__ import annotations

from functools import lru_cache

from ...resources import resource


@lru_cache(maxsize=64)
def _drawing(name: str) -> str:
    return resource(f"icons/{name}.svg").read_text("utf-8")


def svg(name: str, rgb: str) -> str:
    """The drawing in one colour "#RRGGBB", as SVG text. Raises FileNotFoundError for a name without a drawing."""
    return _drawing(name).replace("currentColor", rgb)
