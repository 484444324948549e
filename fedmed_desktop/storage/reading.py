# SPDX-License-Identifier: Apache-2.0
"""Reading of values from rows, checked against the same bounds as on the wire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from ..errors import UserFacingError
from .chain import damaged_row

T = TypeVar("T")
Warn = Callable[[UserFacingError], None]


def parsed(kind: TypeAdapter[T], body: str, path: Path, table: str, row: int, warn: Warn | None = None) -> T:
    """Reads the value in a row.

    With `warn`, a value that an earlier version accepted and this one would not is brought to the nearest bound (or
    left out), and `warn` is told which row: a federation must not end for it. Else raises UserFacingError naming it.
    """
    try:
        return kind.validate_json(body)
    except ValidationError as error:
        fault = error
    first = fault.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])[:200]
    if warn is not None and (value := _within_bounds(kind, body, fault)) is not None:
        warn(UserFacingError("storage.row_out_of_bounds", path=str(path), table=table, row=row, place=place))
        return value
    raise damaged_row(path, table, row, f"cannot be read ({place or 'all of it'}: {first['msg'][:200]})") from fault


def moment(text: str, path: Path, table: str, row: int) -> datetime:
    """Reads the time in a row; raises UserFacingError naming the row."""
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise damaged_row(path, table, row, f"has no time ({text[:40]!r})") from error


def _within_bounds(kind: TypeAdapter[T], body: str, fault: ValidationError) -> T | None:
    try:
        data = from_json(body)
        for one in fault.errors(include_url=False, include_input=False):
            _mend(data, one)
        return kind.validate_json(to_json(data))
    except (ValueError, LookupError, TypeError):  # bounds are not what is wrong
        return None


def _mend(data: Any, fault: ErrorDetails) -> None:
    """Sets the value to its bound, or removes it so that its default counts."""
    place: tuple[Any, ...] = fault["loc"]
    for part in place[:-1]:
        if isinstance(data, list) or part in data:  # else it is the tag of a union, which is not in the row
            data = data[part]
    context = fault.get("ctx", {})
    if fault["type"] in ("less_than_equal", "greater_than_equal"):
        data[place[-1]] = context["le" if "le" in context else "ge"]
    else:
        del data[place[-1]]
