# SPDX-License-Identifier: Apache-2.0
"""Files of notes at a path, each with its reader: one file, a folder in one format, or a folder of files of any.

Every way to notes goes through here, so that what is checked is what is read. Whatever is not read has its name told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import UserFacingError
from ..notes import Note
from .brat import ANNOTATION, TEXT, BratReader
from .detect import reader_for
from .plain import ASIDE, SUFFIXES
from .record import Reader

_NO_NOTES: Final = re.compile(r".+\.(toml|conf|md|rst|py|sha256|md5)", re.IGNORECASE)
_LONGEST_ID: Final = 180


@dataclass(frozen=True)
class Part:
    """A file, or a folder in one format. `name`: as it is called within the path that was asked for, "" for itself."""

    path: Path
    reader: Reader
    name: str = ""


@dataclass(frozen=True)
class Parts:
    """Parts at a path, in the order of their names, and the names of the files that are not read.

    Hidden files, descriptions (README, LICENSE, .md) and settings (.toml, .conf) are neither.
    """

    read: tuple[Part, ...]
    unread: tuple[str, ...] = ()


def parts_of(path: Path) -> Parts:
    """The parts at a path. Raises UserFacingError as reader_for does, where there is nothing to read."""
    if not path.is_dir():
        return Parts((Part(path, reader_for(path)),))
    try:
        reader = reader_for(path)
    except UserFacingError:
        found = Parts(*_file_by_file(path))
        if not found.read:
            raise
        return found
    taken = (TEXT, ANNOTATION) if isinstance(reader, BratReader) else SUFFIXES
    return Parts((Part(path, reader),), tuple(name for name in _names(path) if not name.lower().endswith(taken)))


def _file_by_file(folder: Path, before: str = "") -> tuple[tuple[Part, ...], tuple[str, ...]]:
    read: list[Part] = []
    unread: list[str] = []
    for one in sorted(folder.iterdir()):
        name = before + one.name
        if _is_aside(one.name):
            continue
        try:
            read.append(Part(one, reader_for(one), name))
        except UserFacingError:
            if one.is_dir() and not one.is_symlink():
                parts, others = _file_by_file(one, f"{name}/")
                read += parts
                unread += others
            else:
                unread.append(name)
    return tuple(read), tuple(unread)


def _names(folder: Path) -> Iterator[str]:
    """All files that may be someone's notes, as paths within the folder."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = Path(place).relative_to(folder).as_posix()
        before = "" if inside == "." else f"{inside}/"
        yield from (before + name for name in sorted(names) if not _is_aside(name))


def beside(folder: Path, read: Iterable[Path]) -> list[str]:
    """Names of what may be notes in a folder of which these files and folders are read."""
    taken = set(read)
    return sorted(one.name for one in folder.iterdir() if one not in taken and not _is_aside(one.name))


def _is_aside(name: str) -> bool:
    return name.startswith(".") or bool(ASIDE.match(name) or _NO_NOTES.fullmatch(name))


def named_apart(notes: Iterable[Note]) -> Iterator[Note]:
    """The notes of several files: of those with the same id, the later ones get another."""
    last: dict[str, int] = {}  # by name: how far its own namesakes were counted, 1 for those given here
    for note in notes:
        name, number = note.id, last.get(note.id, 1)
        while name in last:
            number += 1
            name = f"{note.id[:_LONGEST_ID]}~{number}"
        last[note.id] = number
        last.setdefault(name, 1)
        yield note if name == note.id else note.model_copy(update={"id": name})
