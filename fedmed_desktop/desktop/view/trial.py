# SPDX-License-Identifier: Apache-2.0
"""Try it: which models a note can be read with, and what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...clinical import AnswerForm
from ...clinical.reading import SENTENCE_TOKENS, Lengths, ReadingSettings
from ...demo.settings import TYPES
from ...errors import UserFacingError
from .desk import Desk
from .items import Side

BASE = "base"
FOLDER = "folder:"
BLOB = "blob:"


@dataclass(frozen=True)
class TrialRequest:
    """Read `text` with the model in `model`: on each side with an adapter (a PEFT folder or a blob) or without one.

    `types` are looked for; `form` and `lengths` are the federation's, or the usual ones. `text_tokens`: how much of the
    note is read at once, where that should be less than fits.
    """

    text: str
    types: tuple[str, ...]
    model: Path
    sides: dict[Side, Path | None]
    form: AnswerForm
    lengths: Lengths
    text_tokens: int | None


@dataclass(frozen=True)
class Choice:
    """One way to read a note. `key`: "base", "blob:SHA256" of an adapter held here, or "folder:PATH"."""

    key: str
    label: str


@dataclass(frozen=True)
class TrialWish:
    """What the page asks for: by key on each side (None: this side is not used). `model` None: the session's."""

    text: str
    types: tuple[str, ...]
    left: str
    right: str | None
    model: Path | None = None


def choices(desk: Desk, adapter: Path | None = None) -> list[Choice]:
    """Base first, then what this desktop has: a given adapter, the federation's newest, the one that waits."""
    found = [Choice(BASE, "Base model")]
    if adapter:
        found.append(Choice(f"{FOLDER}{adapter}", f"Adapter {adapter.parent.name}/{adapter.name}"))
    if desk.scored:
        found.append(Choice(f"{FOLDER}{desk.scored.report.parent / 'adapter'}", "Federation, final"))
    elif desk.record.final:
        found.append(Choice(f"{BLOB}{desk.record.final}", "Federation, final"))
    elif (entry := desk.last_entry) and entry.plan.round > 1:
        found.append(Choice(f"{BLOB}{entry.plan.start}", f"Federation, round {entry.plan.round - 1}"))
    if (entry := desk.pending or desk.counting_down) and (part := entry.update.parts.get("adapter")):
        found.append(Choice(f"{BLOB}{part.sha256}", "Waiting for your approval"))
    return found


def request_for(wish: TrialWish, desk: Desk, bundled_model: Path, blob: Callable[[str], Path | None]) -> TrialRequest:
    """The wish with its files; `blob` says where an adapter with a hash lies. Raises UserFacingError: not here."""

    def path(key: str) -> Path | None:
        if key.startswith(BLOB):
            sha256 = key.removeprefix(BLOB)
            if (found := blob(sha256)) is None:
                raise UserFacingError("storage.no_blob", sha256=sha256)
            return found
        return Path(key.removeprefix(FOLDER)) if key.startswith(FOLDER) else None

    sides: dict[Side, Path | None] = {"left": path(wish.left)}
    if wish.right is not None:
        sides["right"] = path(wish.right)
    model = wish.model or (desk.session.model if desk.session else bundled_model)
    spec = desk.spec
    return TrialRequest(
        text=wish.text,
        types=wish.types or (tuple(spec.types) if spec else TYPES),
        model=model,
        sides=sides,
        form=spec.answer_form if spec else "html",
        lengths=spec.training if spec else ReadingSettings(),
        # The bundled model was trained on sentences.
        text_tokens=SENTENCE_TOKENS if model == bundled_model else None,
    )
