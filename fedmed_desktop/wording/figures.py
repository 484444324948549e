# SPDX-License-Identifier: Apache-2.0
"""Numbers and moments as the reader's language writes them; any thread. English until somebody says otherwise.

Faces write numbers with `written` or through fields of a text of tr() (`{count:,}`), and moments with `moment`. What
programs read (JSON, CSV, the record) and the log are written by Python itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from string import Formatter
from typing import Any, Final, Literal

from ..errors import Size

Moment = Literal["clock", "weekday", "near", "date", "day", "minute", "stamp"]

_ENGLISH_MOMENTS: Final[Mapping[Moment, str]] = {
    "clock": "%H:%M",
    "weekday": "%a %H:%M",
    "near": "%a %d %b, %H:%M",
    "date": "%d %b %H:%M",
    "day": "%Y-%m-%d",
    "minute": "%Y-%m-%d %H:%M",
    "stamp": "%Y-%m-%d %H:%M:%S",
}
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FOUR_DIGITS: Final = re.compile(r"(?<![\d,])(\d),(\d{3})(?![\d,])")


def _in_english(time: datetime, kind: Moment) -> str:
    """Names are ours: Qt has switched the C library, which strftime asks, to the system's language."""
    format_ = _ENGLISH_MOMENTS[kind].replace("%a", _DAYS[time.weekday()]).replace("%b", _MONTHS[time.month - 1])
    return time.strftime(format_)


@dataclass(frozen=True)
class Customs:
    """Customs of a language: the sign between thousands, the decimal sign, what stands for "%", and moments.

    `whole_thousands`: four digits stand without a sign between them, as Spanish wants it. `byte`: the letter of a unit
    of bytes, as French writes "Mo".
    """

    group: str = ","
    point: str = "."
    percent: str = "%"
    whole_thousands: bool = False
    moment: Callable[[datetime, Moment], str] = _in_english
    byte: str = "B"


ENGLISH: Final = Customs()
_customs: list[Customs] = [ENGLISH]
_for_a_file: ContextVar[bool] = ContextVar("for a file", default=False)


def use_customs(chosen: Customs) -> None:
    """Writes like this from now on."""
    _customs[:] = [chosen]


def is_for_a_file() -> bool:
    """Tells whether what is said here and now is for a file, in English."""
    return _for_a_file.get()


def customs() -> Customs:
    """Customs that count here and now."""
    return ENGLISH if _for_a_file.get() else _customs[0]


@contextmanager
def in_english() -> Iterator[None]:
    """Texts, numbers and moments in English, whatever the reader's language is: for files that others read too."""
    before = _for_a_file.set(True)
    try:
        yield
    finally:
        _for_a_file.reset(before)


def written(value: float, spec: str = ",") -> str:
    """A number by a format of Python's (",", ".2f", ".0%"), with the signs of the reader's language."""
    said, signs = format(value, spec), customs()
    if signs is ENGLISH:
        return said
    if signs.whole_thousands:
        said = _FOUR_DIGITS.sub(r"\1\2", said)
    return said.translate({ord(","): signs.group, ord("."): signs.point, ord("%"): signs.percent})


def unit(of: Literal["k", "M", "G"]) -> str:
    """Unit of so many bytes, such as "MB"; powers of 1000, as on every screen."""
    return of + customs().byte


def amount(size: float) -> str:
    """Bytes as a person reads them: "69 kB", "20.2 MB", "212 GB"."""
    if size < 1e6:
        return f"{written(size / 1e3, ',.0f')} {unit('k')}"
    count, of = (size / 1e9, unit("G")) if size >= 1e9 else (size / 1e6, unit("M"))
    return f"{written(count, ',.1f' if count < 100 else ',.0f')} {of}"


class Template(str):
    """A text whose fields are filled in with numbers as `written` writes them."""

    __slots__ = ()

    def format(self, *args: Any, **kwargs: Any) -> str:
        return _FORMATTER.vformat(self, args, kwargs)

    def format_map(self, mapping: Mapping[str, Any], /) -> str:  # type: ignore[override]  # str wants less of it
        return _FORMATTER.vformat(self, (), mapping)


class _Written(Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, Size):
            return amount(value)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return written(value, format_spec) if is_number else format(value, format_spec)


_FORMATTER: Final = _Written()


def moment(time: datetime, kind: Moment) -> str:
    """A moment on this computer's clock; it knows its zone."""
    return customs().moment(time.astimezone(), kind)


def clock(time: datetime, now: datetime | None = None) -> str:
    """The time of day; with the day unless it is that of `now`. Both know their zones."""
    is_today = now is not None and time.astimezone().date() == now.astimezone().date()
    return moment(time, "clock" if is_today else "near")
