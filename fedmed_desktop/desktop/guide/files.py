# SPDX-License-Identifier: Apache-2.0
"""The guide's pages, as they lie in `resources/guide`."""

from __future__ import annotations

from functools import cache
from typing import Final

from ...federation.methods import METHODS
from ...resources import resource

PAGES: Final = ("rounds", "join", "monitor", "approvals", "try-it", "methods", "privacy")
# One page for each method, reached from "methods" and from where a method is chosen; too many for the list of contents.
METHOD_PAGES: Final = tuple(f"method-{name}" for name in METHODS)


@cache
def guide_text(page: str) -> str:
    """Read once. A page's Markdown. Raises FileNotFoundError for a name that is none of the guide's."""
    return resource(f"guide/{page}.md").read_text("utf-8")


def guide_title(page: str) -> str:
    """Its heading, as the list of contents names it."""
    return guide_text(page).partition("\n")[0].removeprefix("#").strip()
