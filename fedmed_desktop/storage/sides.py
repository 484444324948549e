# SPDX-License-Identifier: Apache-2.0
"""Check that a data folder belongs to a site, a coordinator or a host, so that none is taken for another."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from ..errors import UserFacingError

_SITE: Final = "site.sqlite"
_COORDINATOR: Final = "coordinator.sqlite"
HOST: Final = "host.json"


def check_side(folder: Path, own: Literal["site", "coordinator", "host"]) -> None:
    """Raises UserFacingError where another side keeps its data in the folder, and this one does not.

    One that has both was given to the other side by mistake, with an earlier version; it goes on.
    """
    of_site, of_coordinator = (folder / _SITE).exists(), (folder / _COORDINATOR).exists()
    if own != "host" and (folder / HOST).exists():
        raise UserFacingError("storage.of_host", path=str(folder))
    if own == "host" and (of_site or of_coordinator):
        raise UserFacingError("hosting.other_folder", path=str(folder))
    if own == "site" and of_coordinator and not of_site:
        raise UserFacingError("storage.of_coordinator", path=str(folder))
    if own == "coordinator" and of_site and not of_coordinator:
        raise UserFacingError("storage.of_site", path=str(folder))
