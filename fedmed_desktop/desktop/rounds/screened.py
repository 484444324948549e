# SPDX-License-Identifier: Apache-2.0
"""Line about what screening found in this site's own update of the last round. No Qt."""

from __future__ import annotations

from typing import Final

from ...standing import Finding
from ...wording import later, together, tr
from ..work.desk import Desk

_SENTENCES: Final[dict[Finding, str]] = {
    "norm": later("Your update of round {round} changed the model more than updates usually do. It counted as it is."),
    "clipped": later("Your update of round {round} changed the model more than allowed, so it was shortened."),
    "cosine": later("Your update of round {round} points away from the others'. It counted all the same."),
    "not_chosen": later("Your update of round {round} was not combined: others were nearer to one another."),
}


def screened_line(desk: Desk) -> str:
    """One sentence for each finding; "" where there is none, which is the usual case."""
    last = desk.standing.history[-1] if desk.standing and desk.standing.history else None
    if last is None or desk.ended:
        return ""
    return together(*(tr(_SENTENCES[finding]).format(round=last.round) for finding in last.findings))
