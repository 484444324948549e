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

# name -> (what for, how its time counts)
_WORDS: Final[dict[DeadlineName, tuple[str, str]]] = {
    "join": (later("Join"), later("{time} after the first site, once there are enough")),
    "download": (later("Download"), later("{time} without progress")),
    "train": (later("Train"), later("{time} after the round was opened")),
    "approve": (later("Approve"), later("{time} after the operator was asked")),
    "upload": (later("Upload"), later("{time} without progress")),
}


def deadline_rows(desk: Desk, now: datetime) -> list[tuple[str, str]]:
    """Name, and how long it is with its end where one is known; empty before the specification is."""
    if desk.spec is None:
        return []
    found = []
    for name, time in desk.spec.round.deadlines.items():
        what, how = _WORDS[name]
        words = tr(how).format(time=elapsed(time.total_seconds()))
        end = _end(desk, name)
        ends = (
            (tr("until {time}") if end > now else tr("over since {time}")).format(time=clock(end, now)) if end else ""
        )
        found.append((tr(what), " · ".join(filter(None, (words, ends)))))
    return found


def _end(desk: Desk, name: DeadlineName) -> datetime | None:
    """When it ends; those that begin anew at each step, or at other sites, have no end that is known here."""
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
