# SPDX-License-Identifier: Apache-2.0
"""Words for a federation that stands still, and why."""

from __future__ import annotations

from ...standing import FederationStanding
from ...wording import tr


def standstill(standing: FederationStanding | None) -> tuple[str, str] | None:
    """Headline and text; None while it goes on."""
    if standing is None:
        return None
    if standing.held_up:
        return tr("The coordinator has to wait"), tr(
            "Its disk is full, or a file is missing there. It continues by itself once that is solved; there is "
            "nothing to do here."
        )
    if standing.phase != "paused":
        return None
    if standing.paused_by_host:
        return tr("The host has paused the federation"), tr(
            "No round begins or ends until the host lets it go on; there is nothing to do here."
        )
    return tr("The federation has stopped"), tr(
        "Too few sites sent an adapter in this round. Its host can resume it; there is nothing to do here."
    )
