# SPDX-License-Identifier: Apache-2.0
"""All sites' notes in one place, for the centralised baseline; no federation may have that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..clinical import SiteNotes
from .partition import LabSite

EVERYBODY: Final = "everybody"
"""The name of that site: an engine knows it beside those that are open."""


def pooled_site(sites: Sequence[LabSite]) -> LabSite:
    """A site with everybody's notes. It is measured at the sites: for its own report one validation note is enough."""
    return LabSite(
        name=EVERYBODY,
        notes=SiteNotes([note for site in sites for note in site.notes.train], sites[0].notes.validation[:1], None),
        types=tuple(sorted({name for site in sites for name in site.types})),
    )
