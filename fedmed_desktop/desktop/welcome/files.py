# SPDX-License-Identifier: Apache-2.0
"""Looks at this computer. Not for the GUI thread: torch is loaded to find a GPU, which takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...site.findings import Finding
from ...site.preflight import Asked, computer


def look(folder: Path, ask_torch: Callable[[Asked], Asked]) -> list[Finding]:
    """Finds what `--check` would, as far as no model and no coordinator are known."""
    return computer(folder, ask_torch(Asked()).gpu)
