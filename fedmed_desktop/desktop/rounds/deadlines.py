# SPDX-License-Identifier: Apache-2.0
"""The five deadlines in words: how long each is and when it ends; and the line about sites without progress. No Qt."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from ...standing import DeadlineName
from ...wording import later, tr
from ..work.desk import Desk
from ..work.progress import elapsed
from .heading import clock

# name -> (what for, from when its time counts)
_WORDS: Final[dict[DeadlineName, tuple[str, str]]] = {
    "join": (later("Join"), later("after the first site")),
    "download": (later("Download"), later("without progress")),
    "train": (later("Train"), later("after the opening")),
    "approve": (later("Approve"), later("after the question")),
    "upload": (later("Upload"), later("without progress")),
}
COLUMNS: Final = (later("Deadline"), later("How long"), later("Counted"), later("Ends"))


def deadline_rows(desk: Desk, now: datetime) -> list[tuple[str, ...]]:
    """All five in the order of COLUMNS, with an end where one is known; empty before the specification is."""
    if desk.spec is None:
        return []
    found: list[tuple[str, ...]] = []
    for name, time in desk.spec.round.deadlines.items():
        what, counted = _WORDS[name]
        end = _end(desk, name)
        ends = clock(end, now) if end else "–"
        found.append((tr(what), elapsed(time.total_seconds()), tr(counted), ends))
    return found


def _end(desk: Desk, name: DeadlineName) -> datetime | None:
    """End of a deadline; those that begin anew at each step, or at other sites, have no end that is known here."""
    if desk.standing is None or desk.ended:
        return None
    return {"join": desk.standing.joins_until, "train": desk.standing.closes}.get(name)


def quiet_line(desk: Desk, now: datetime) -> str:
    """ "2 sites have made no progress for 12 min", or ""."""
    standing = desk.standing
    if standing is None or not standing.quiet or standing.quiet_since is None or desk.ended:
        return ""
    since = (now - standing.quiet_since).total_seconds()
    return tr("%n site(s) have made no progress for {time}.", "", standing.quiet).format(time=elapsed(max(0.0, since)))
