# SPDX-License-Identifier: Apache-2.0
"""The note that is to be read, and what is to be found in it: limits, and the types as typed. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...errors import UserFacingError
from ...scores import TaskName
from ...wording import task_name, tr, written

MOST_CHARACTERS: Final = 20_000  # about ten pages; a small model on a laptop reads that for minutes (inferred)
MOST_BYTES: Final = 4 * MOST_CHARACTERS  # no character of UTF-8 has more than four
MOST_TYPES: Final = 12
MOST_OPTIONS: Final = 8


@dataclass(frozen=True)
class Asking:
    """A note, and what is to be asked about it."""

    text: str
    types: tuple[str, ...]
    task: TaskName = "entities"
    question: str = ""
    options: tuple[str, ...] = ()

    @property
    def marks(self) -> bool:
        """True if the answer is marks in the text."""
        return self.task in ("entities", "relations")


def about(asking: Asking, model: str) -> str:
    """Says in one line which note is read, what is asked, and of which model where the person chose one."""
    what = tr("looks for {types}").format(types=", ".join(asking.types))
    if asking.task != "entities":
        what = asking.question or task_name(asking.task)
    what = tr("{n} characters · {what}").format(n=written(len(asking.text)), what=what)
    return f"{model} · {what}" if model else what


def check_note(text: str) -> None:
    """Raises UserFacingError (`clinical.note_empty`, `desktop.note_too_long`)."""
    if not text.strip():
        raise UserFacingError("clinical.note_empty")
    if len(text) > MOST_CHARACTERS:
        raise UserFacingError("desktop.note_too_long", limit=MOST_CHARACTERS)


def asked_types(typed: str) -> tuple[str, ...]:
    """ "drug, problem" -> ("drug", "problem"), as a federation's types are written: plain lower-case words. Raises
    UserFacingError (`clinical.no_types_asked`, `desktop.type_word`, `desktop.types_many`).
    """
    names = [name.strip().lower().replace(" ", "_") for name in typed.replace(";", ",").split(",")]
    found = tuple(dict.fromkeys(name for name in names if name))
    if not found:
        raise UserFacingError("clinical.no_types_asked")
    if wrong := next((name for name in found if not name.isidentifier()), None):
        raise UserFacingError("desktop.type_word", name=wrong[:40])
    if len(found) > MOST_TYPES:
        raise UserFacingError("desktop.types_many", limit=MOST_TYPES)
    return found


def asked_options(question: str, typed: str) -> tuple[str, tuple[str, ...]]:
    """ "Is it new?", "yes | no" -> ("Is it new?", ("yes", "no")). Raises UserFacingError (`desktop.no_question`,
    `desktop.options_few`, `desktop.options_many`).
    """
    found = tuple(dict.fromkeys(" ".join(part.split()) for part in typed.split("|") if part.strip()))
    if not question.strip():
        raise UserFacingError("desktop.no_question")
    if len(found) < 2:
        raise UserFacingError("desktop.options_few")
    if len(found) > MOST_OPTIONS:
        raise UserFacingError("desktop.options_many", limit=MOST_OPTIONS)
    return " ".join(question.split()), found
