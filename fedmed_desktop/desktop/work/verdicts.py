# SPDX-License-Identifier: Apache-2.0
"""Verdicts on what was typed, in words that a person can act on. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from ...errors import UserFacingError, disk_fault
from ...wording import later, sentence, together, told, tr
from ..look.fields import EMPTY, Verdict

# What went wrong for those who do not know the files; the details follow for those who made them.
_PLAINLY: Final = {
    "clinical.types_file": later("This file is not a types map."),
    "clinical.notes_file": later("One of the notes cannot be used."),
    "clinical.notes_format": later("The notes are in a format that this program does not read."),
    "clinical.notes_row": later("One of the notes does not have the format of a note."),
    "clinical.notes_rows": later("Some of the notes do not have the format of a note."),
    "clinical.notes_unreadable": later("The notes in this folder cannot be read."),
    "clinical.notes_split_missing": later("This is not a folder of notes, or some of them are missing."),
    "model.no_file": later("This is not the folder of a language model."),
    "model.damaged": later("This language model is damaged."),
}


def folder_of(typed: str) -> Path:
    """The path that was typed, absolute; "~" is the person's home."""
    with suppress(RuntimeError):  # nobody here has that name
        return Path(typed).expanduser().absolute()
    return Path(typed).absolute()


def judged(typed: str, check: Callable[[str], str]) -> Verdict:
    """The verdict of `check` on what was typed, without blanks around it; EMPTY where nothing was."""
    typed = typed.strip()
    return caught(typed, check) if typed else EMPTY


def caught(typed: str, check: Callable[[str], str]) -> Verdict:
    try:
        return Verdict("right", check(typed))
    except UserFacingError as error:
        if plainly := _PLAINLY.get(error.code):
            return Verdict("wrong", together(tr(plainly), tr("Details: {error}").format(error=told(error))))
        return Verdict("wrong", told(error))
    except OSError as error:  # a folder that may not be looked into, a share that has gone
        return Verdict("wrong", told(disk_fault(error, Path(typed))))
    except (ValueError, RuntimeError):  # no path at all, or the home of a user that does not exist
        return Verdict("wrong", sentence("desktop.no_path", {}))
