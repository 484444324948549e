# SPDX-License-Identifier: Apache-2.0
"""Looks through notes, and writes the split that was proposed. Not for the GUI thread: a gigabyte takes minutes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ...clinical import RelationRule, read_relations_map, read_types_map
from ...clinical.checking import DEFAULT_TOKENS, Checked, Tokens, check_notes, types_file
from ...clinical.readers.cache import NotesCache
from ...errors import UserFacingError
from ...federation import FederationSpec
from ...wording import told
from ..work.verdicts import folder_of
from .view import NotesView, view_of

TokensOf = Callable[[Path], Tokens]
"""Makes what counts tokens as the base model in a folder does. Raises UserFacingError where it has no tokenizer."""


class Stopped(Exception):
    """Raised where the look was stopped: nobody wants its result any more."""


@dataclass(frozen=True)
class Wish:
    """Notes to look through: `types_map` and `model` where a person has chosen some, `spec` of who has joined.

    `joining`: they were just read to be trained on, so that a copy of large ones is kept anyway, and is read here.
    """

    notes: str
    types_map: str = ""
    model: str = ""
    spec: FederationSpec | None = None
    joining: bool = False

    @property
    def cache(self) -> NotesCache | None:
        return NotesCache() if self.joining else None


@dataclass
class Progress:
    """Rows that were read so far; `stop` ends the look at the next one. Written on one thread, read on another."""

    rows: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        self._stop.set()

    def tell(self, rows: int) -> None:
        self.rows = rows
        if self._stop.is_set():
            raise Stopped


@dataclass(frozen=True)
class Looked:
    """Outcome of a look: the check and how it is shown, or the sentence why nothing could be read."""

    checked: Checked | None = None
    view: NotesView | None = None
    problem: str = ""


def look_through(wish: Wish, progress: Progress, tokens_of: TokensOf | None = None) -> Looked:
    """Reads all notes; of those of somebody who does not join, no copy is kept. Raises Stopped."""
    progress.tell(0)
    try:
        path = folder_of(wish.notes)
        spec = wish.spec
        types_map, relations_map = _maps(path, wish.types_map) if spec else (None, None)
        checked = check_notes(
            path,
            wanted=spec,
            types_map=types_map,
            relations_map=relations_map,
            tokens=_tokens(wish.model, tokens_of),
            max_tokens=spec.training.max_tokens if spec else DEFAULT_TOKENS,
            cache=wish.cache,
            progress=progress.tell,
        )
    except (UserFacingError, OSError) as error:
        return Looked(problem=told(error))
    return Looked(checked, view_of(checked.check))


def write_split(checked: Checked, folder: str, cache: NotesCache | None = None) -> str:
    """Writes the proposed split into a folder. Returns "" or the sentence why it could not be done."""
    try:
        checked.write_split(Path(folder), cache)
    except (UserFacingError, OSError) as error:
        return told(error)
    return ""


def _maps(notes: Path, given: str) -> tuple[dict[str, str] | None, dict[str, RelationRule] | None]:
    path = folder_of(given) if given.strip() else types_file(notes)
    return (read_types_map(path), read_relations_map(path)) if path else (None, None)


def _tokens(model: str, tokens_of: TokensOf | None) -> Tokens | None:
    """None where no model is known yet, or its tokenizer cannot be read: the notes can be looked through without."""
    if not model.strip() or tokens_of is None:
        return None
    try:
        return tokens_of(folder_of(model))
    except UserFacingError:
        return None
