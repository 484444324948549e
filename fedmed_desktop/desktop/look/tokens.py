# SPDX-License-Identifier: Apache-2.0
"""Colours of a theme by name, and how well one is seen on another. No Qt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Template
from types import MappingProxyType
from typing import Any, Final

THEMES: Final = ("light", "dark", "contrast")
SERIES: Final = tuple(f"series_{n}" for n in range(1, 6))
ENTITIES: Final = tuple(f"entity_{n}" for n in range(1, 7))
ENTITY_FILL: Final = 0.18  # share of an entity's colour in the ground behind its words
_SURFACES: Final = ("bg", "card", "nav", "field")
_SOFT: Final = {"soft": "accent", "ok_soft": "ok", "warn_soft": "warn", "bad_soft": "bad"}

# What is written on what: text needs 4.5:1 (7:1 in the contrast theme). WCAG 2.2, 1.4.3 and 1.4.6.
TEXT_ON: Final[tuple[tuple[str, str], ...]] = (
    *((ink, ground) for ground in _SURFACES for ink in ("ink", "dim", "accent", "ok", "warn", "bad")),
    *(("ink", ground) for ground in ("hover", "pressed", *_SOFT)),
    *((ink, ground) for ground in ("hover", "soft") for ink in ("dim", "accent")),
    *((ink, ground) for ground, ink in _SOFT.items()),
    *(("on_accent", ground) for ground in ("accent", "accent_hover", "accent_pressed")),
    *((name, ground) for name in SERIES for ground in ("card",)),
)
# `line` (between rows) is ornament: nothing is lost without it.
# What must be told from its ground without being text: outlines of controls, chart lines, the focus ring. 3:1, 1.4.11.
MARKS_ON: Final[tuple[tuple[str, str], ...]] = (
    *((mark, ground) for ground in _SURFACES for mark in ("edge", "outline", "focus", "accent")),
    *((mark, "card") for mark in (*SERIES, "faint")),
    *(("focus", ground) for ground in ("hover", "soft")),
    ("on_accent", "accent"),  # the ring inside a filled button
    *(("card", ground) for ground in ("ok", "bad")),  # the mark inside a step's circle
)


@dataclass(frozen=True)
class Tokens:
    """One theme's colours, "#RRGGBB" by name. Raises KeyError for a name that the theme lacks."""

    name: str
    is_dark: bool
    colors: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.colors[name]

    def entity_fill(self, name: str) -> str:
        """Ground behind words of an entity: its colour thinned into the card's."""
        return mixed(self[name], self["card"], ENTITY_FILL)


def tokens_of(name: str, table: Mapping[str, Any]) -> Tokens:
    """Tokens from a theme's file as TOML gives it. Raises ValueError if it holds anything but "#RRGGBB" colours."""
    for token, value in table["colors"].items():
        if not re.fullmatch(r"#[0-9A-Fa-f]{6}", value):
            raise ValueError(f"theme {name}: {token} is {value!r}, not #RRGGBB")
    return Tokens(name, table["dark"], MappingProxyType(table["colors"]))


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def luminance(color: str) -> float:
    """Relative luminance of "#RRGGBB", 0 (black) to 1 (white). WCAG 2.2, "relative luminance"."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(color))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21. WCAG 2.2, "contrast ratio"."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def mixed(color: str, ground: str, share: float) -> str:
    """`share` (0 to 1) of a colour laid over a ground, as "#RRGGBB"."""
    parts = (round(c * share + g * (1 - share)) for c, g in zip(_channels(color), _channels(ground), strict=True))
    return "#" + "".join(f"{part:02X}" for part in parts)


def text_px(size: float, scale: float) -> int:
    """Pixels of a letter, icon or control of `size` at text scale 1."""
    return round(size * scale)


def gap_px(size: float, scale: float) -> int:
    """Pixels of empty space: it grows half as fast as text, so that 200 % text still fits a small screen."""
    return round(size * (1 + scale) / 2)


class _Values(Mapping[str, str]):
    """Values that a style sheet may name: a token, `px14` (grows with the text), `gap8` (empty space),
    `round14` (half of px14 and its border: Qt rounds no corner by more than half) or a given path.
    """

    def __init__(self, tokens: Tokens, scale: float, paths: Mapping[str, str]) -> None:
        self.tokens, self.scale, self.paths = tokens, scale, paths

    def __getitem__(self, name: str) -> str:
        if found := re.fullmatch(r"(px|gap|round)(\d+)", name):
            size = (gap_px if found[1] == "gap" else text_px)(int(found[2]), self.scale)
            return f"{(size + 2) // 2 if found[1] == 'round' else size}px"
        return self.paths[name] if name in self.paths else self.tokens[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self.tokens.colors, *self.paths))

    def __len__(self) -> int:
        return len(self.tokens.colors) + len(self.paths)


def filled_stylesheet(template: str, tokens: Tokens, scale: float, paths: Mapping[str, str]) -> str:
    """A Qt style sheet with its `$names` filled in. Raises KeyError for a name that is neither token, size nor path."""
    return Template(template).substitute(_Values(tokens, scale, paths))
