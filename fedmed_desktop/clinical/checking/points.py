# SPDX-License-Identifier: Apache-2.0
"""The verdict on checked notes: what keeps them from being used, and what a person should look at first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ...errors import UserFacingError
from .values import ForFederation, NotesCheck, Point

_NAMED: Final = 3  # files; the remarks have more


def points(check: NotesCheck, identified: int, unknown: UserFacingError | None) -> tuple[Point, ...]:
    """Points in the order of their weight. `identified`: notes with a suspected identifier. `unknown`: why none of the
    types is the federation's."""
    found = [*_of_rows(check), *_of_split(check)]
    if check.federation is not None and check.notes:
        found += _of_federation(check.federation, check.notes, unknown)
    if unread := [one for one in check.remarks if one.code == "file_not_read"]:
        names = ", ".join(place.file for place in unread[0].places[:_NAMED])
        found.append(_warning("notes_check.files_not_read", count=unread[0].rows, names=names))
    if identified:
        found.append(_warning("notes_check.identifiers", count=identified))
    if check.alike.across_splits:
        found.append(_warning("notes_check.alike_across", count=check.alike.across_splits))
    elif check.alike.notes:
        found.append(_warning("notes_check.alike", count=check.alike.notes, groups=check.alike.groups))
    if check.labels.unlabelled and check.federation is None:
        found.append(_warning("notes_check.unlabelled", count=check.labels.unlabelled))
    if check.fitting is not None and check.fitting.cut:
        found.append(_warning("notes_check.cut", count=check.fitting.cut, most=check.fitting.max_tokens))
    return tuple(sorted(found, key=lambda point: point.level != "wrong"))


def _of_rows(check: NotesCheck) -> Iterator[Point]:
    if not check.notes:
        yield _wrong("notes_check.no_notes")
    if check.refused:
        yield _wrong("notes_check.refused", count=check.refused)


def _of_split(check: NotesCheck) -> Iterator[Point]:
    if check.splits:
        for split in ("train", "validation"):
            if split not in check.splits:
                yield _wrong("notes_check.split_missing", split=split)
    elif check.proposed is not None:
        if check.proposed.groups < 2:
            yield _wrong("notes_check.one_group")
        else:
            yield _warning("notes_check.no_split")


def _of_federation(worth: ForFederation, notes: int, unknown: UserFacingError | None) -> Iterator[Point]:
    none = not any(worth.tasks.values())
    if none:
        yield _wrong("notes_check.no_task", name=worth.name, tasks=", ".join(worth.tasks))
    if unknown is not None and {"entities", "relations"} & worth.tasks.keys():
        params = {name: value for name, value in unknown.params.items() if isinstance(value, str | int)}
        # Without a single mention a site takes part in other tasks; training refuses mentions that it cannot place.
        refused = none or unknown.params["found"] != "none"
        yield Point(level="wrong" if refused else "warning", code=unknown.code, params=params)
    elif worth.missing_types and worth.tasks.get("entities"):
        yield _warning("notes_check.types_missing", types=", ".join(worth.missing_types))
    for task, count in worth.tasks.items():
        if not count and not none:
            yield _warning("notes_check.task_missing", task=task)


def _warning(code: str, **params: str | int) -> Point:
    return Point(level="warning", code=code, params=params)


def _wrong(code: str, **params: str | int) -> Point:
    return Point(level="wrong", code=code, params=params)
