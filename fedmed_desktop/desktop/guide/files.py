# SPDX-License-Identifier: Apache-2.0
"""The guide's pages and pictures, which are files in `resources/guide`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from ...federation.methods import METHODS
from ...resources import resource
from .search import GuideSearch

PAGES: Final = (
    "walk-through",
    *("rounds", "join", "monitor", "approvals", "try-it", "notes", "history", "settings"),
    *("tasks", "methods", "privacy", "words", "hosting"),
)
# Pages that are reached by a link, too many for the list of contents, and the page that they stand under there.
UNDER: Final = {
    **{f"method-{name}": "methods" for name in METHODS},
    "ranks-by-importance": "methods",
    "walk-join": "walk-through",
    "first-run": "rounds",
    "fitted": "rounds",
    "formats": "notes",
    "evaluate": "tasks",
    "leaves": "privacy",
    "security": "privacy",
    "epsilon": "privacy",
    "client-privacy": "privacy",
    "secure-aggregation": "privacy",
    "reveals": "privacy",
    "policy": "privacy",
    "host-desktop": "hosting",
    "host-here": "hosting",
    "operations": "hosting",
    "carried": "hosting",
    "deadlines": "hosting",
    "training": "hosting",
    "screening": "hosting",
    "transfer": "hosting",
    "models": "hosting",
    "gpus": "hosting",
    "lab": "hosting",
    "architecture": "hosting",
}


@cache
def guide_text(page: str) -> str:
    """A page's Markdown, read once. Raises FileNotFoundError for a name that is not one of the guide's."""
    return resource(f"guide/{page}.md").read_text("utf-8")


def guide_title(page: str) -> str:
    """A page's heading, as the list of contents shows it."""
    return guide_text(page).partition("\n")[0].removeprefix("#").strip()


def guide_picture(name: str) -> Path:
    """File of a picture, by the name that pages give it. Raises FileNotFoundError for one that the guide has not."""
    return resource(f"guide/{name}")


@cache
def guide_search() -> GuideSearch:
    """Search in all pages, made when the guide is first opened: 20 ms of processor."""
    return GuideSearch({page: guide_text(page) for page in (*PAGES, *UNDER)})
