# SPDX-License-Identifier: Apache-2.0
"""Files of `resources/` that the look is read from: themes and line drawings. Small, and read once."""

from __future__ import annotations

import tomllib
from functools import lru_cache

from ...resources import resource
from .tokens import THEMES, Tokens, tokens_of


def load_tokens(name: str) -> Tokens:
    """Tokens of "light", "dark" or "contrast". Raises ValueError if the file holds anything but "#RRGGBB" colours."""
    if name not in THEMES:
        raise ValueError(f"no theme {name!r}; there are {', '.join(THEMES)}")
    return tokens_of(name, tomllib.loads(resource(f"themes/{name}.toml").read_text("utf-8")))


@lru_cache(maxsize=64)
def _drawing(name: str) -> str:
    return resource(f"icons/{name}.svg").read_text("utf-8")


def svg(name: str, rgb: str) -> str:
    """The drawing in one colour "#RRGGBB", as SVG text. Raises FileNotFoundError for a name without a drawing."""
    return _drawing(name).replace("currentColor", rgb)
