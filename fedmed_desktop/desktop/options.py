# SPDX-License-Identifier: Apache-2.0
"""Options of the command line for the desktop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DesktopOptions:
    """None stands for what was not asked for: the desktop then opens on what it knows from earlier."""

    join: str | None = None  # an invitation, a file with one, or an address: to fill in the join form with
    try_model: str | None = None  # a model folder, or a hub id in the local cache: opens on Try it
    try_adapter: Path | None = None
    data_dir: Path | None = None
