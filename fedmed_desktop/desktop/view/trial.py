# SPDX-License-Identifier: Apache-2.0
"""Try it: which models a note can be read with, and what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...clinical import AnswerForm
from ...clinical.reading import SENTENCE_TOKENS, Lengths, ReadingSettings
from ...demo.settings import TYPES
from ...errors import UserFacingError
from ...lora import load_adapter
from ...lora.base_model import decoder_linears
from .desk import Desk
from .items import Side

BASE = "base"
FOLDER = "folder:"
BLOB = "blob:"
_DOES_NOT_FIT = ("training.no_such_layer", "training.layer_shape")


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
    elif newest := _newest(desk):
        number, sha256 = newest
        found.append(Choice(f"{BLOB}{sha256}", f"Federation, round {number}"))
    if (entry := desk.pending or desk.counting_down) and (part := entry.update.parts.get("adapter")):
        found.append(Choice(f"{BLOB}{part.sha256}", "Waiting for your approval"))
    return found


def _newest(desk: Desk) -> tuple[int, str] | None:
    """The latest round whose combined adapter is here, and its sha256: what the round after it starts from."""
    starts = [(entry.plan.round, entry.plan.start) for entry in desk.record.entries if entry.plan.round > 1]
    phase, fetched = desk.phase, desk.fetched
    # Whole bytes are not yet a checked file: that is certain once the round does something else with it.
    if fetched and fetched.round > 1 and phase and (phase.phase, phase.round) != ("downloading", fetched.round):
        starts.append((fetched.round, fetched.blob))
    if not starts:
        return None
    number, sha256 = max(starts)
    return number - 1, sha256


def check_adapter(adapter: Path, model: Path) -> None:
    """Whether an adapter fits a model, from its files alone; a model that is no folder here is not looked into.

    Reads files, not for the GUI thread. Raises UserFacingError: no adapter, no model, or `desktop.other_model`, caused
    by one that names the layer.
    """
    modules = load_adapter(adapter)
    if not model.is_dir():
        return
    layers = decoder_linears(model)
    for name, module in modules.items():
        shape = layers.get(name) or _same_layer(name, layers)
        if shape is None:
            raise UserFacingError("desktop.other_model") from UserFacingError("training.no_such_layer", name=name)
        if shape != module.shape:
            found, expected = (f"{d} x {k}" for d, k in (module.shape, shape))
            raise UserFacingError("desktop.other_model") from UserFacingError(
                "training.layer_shape", name=name, found=found, expected=expected
            )


def _same_layer(name: str, layers: Mapping[str, tuple[int, int]]) -> tuple[int, int] | None:
    """Some models' files leave out the first part of the names that their layers have once they are loaded."""
    return next((shape for other, shape in layers.items() if name.endswith(f".{other}")), None)


def in_plain_words(error: UserFacingError) -> UserFacingError:
    """What reading met, as the person is told: which layer it was is for the log."""
    if error.code not in _DOES_NOT_FIT:
        return error
    plain = UserFacingError("desktop.other_model")
    plain.__cause__ = error
    return plain


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
