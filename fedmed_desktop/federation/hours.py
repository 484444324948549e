# SPDX-License-Identifier: Apache-2.0
"""Hours of the week in which something may leave a site, and when the next of them begin. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final, Literal, get_args

from pydantic import Field, field_validator

from .values import Frozen

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = get_args(Day)

# Weekly hours that several files give have opened together within a week, or never do; one more for a change of clocks.
_NEVER: Final = timedelta(days=9)


class Window(Frozen):
    """Hours on some days of the week, by the clock of the site. One that closes no later than it opens ends the day
    after.
    """

    days: tuple[Day, ...] = Field(DAYS, min_length=1)
    opens: time
    closes: time

    @field_validator("opens", "closes")
    @classmethod
    def _is_local(cls, value: time) -> time:
        if value.tzinfo is not None:
            raise ValueError('write a time of the site\'s own clock, such as "08:30"')
        return value

    def around(self, day: date, zone: tzinfo | None) -> tuple[datetime, datetime]:
        """Time when it opens on this day, and time when it then closes."""
        last = day + timedelta(days=self.closes <= self.opens)
        return _moment(day, self.opens, zone), _moment(last, self.closes, zone)


def opening(hours: Iterable[Sequence[Window]], after: datetime, zone: tzinfo | None = None) -> datetime | None:
    """The first moment, not before `after`, at which each of these lists of windows is open; None if there is none.

    An empty list is always open. `zone`: whose clock counts; None for that of this computer.
    """
    lists, at = [windows for windows in hours if windows], after
    while at <= after + _NEVER:
        following = max((_next(windows, at, zone) for windows in lists), default=at)
        if following == at:
            return at
        at = following
    return None


def _next(windows: Sequence[Window], after: datetime, zone: tzinfo | None) -> datetime:
    today = after.astimezone(zone).date()
    found = []
    for day in (today + timedelta(days=number) for number in range(-1, 9)):
        for window in windows:
            if DAYS[day.weekday()] in window.days:
                opens, closes = window.around(day, zone)
                if closes > after:
                    found.append(max(opens, after))
    return min(found)


def _moment(day: date, at: time, zone: tzinfo | None) -> datetime:
    there = datetime.combine(day, at)
    return (there.astimezone() if zone is None else there.replace(tzinfo=zone)).astimezone(UTC)
