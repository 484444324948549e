# SPDX-License-Identifier: Apache-2.0
"""Places where the program's own files lie, in the three ways it can be installed."""

from __future__ import annotations

import sys
from pathlib import Path


def resource(name: str) -> Path:
    """Path of a bundled file or folder: source tree (`resources/`), wheel (`_resources` in the package) or frozen app.

    Raises FileNotFoundError with every place looked at, which means a broken installation.
    """
    package = Path(__file__).resolve().parent
    places = [package.parent / "resources", package / "_resources"]
    if frozen := getattr(sys, "_MEIPASS", None):
        places.insert(0, Path(frozen) / "resources")
    for place in places:
        if (found := place / name).exists():
            return found
    raise FileNotFoundError(f"resource {name!r} is in none of {', '.join(map(str, places))}")
