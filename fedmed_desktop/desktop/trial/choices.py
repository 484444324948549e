# SPDX-License-Identifier: Apache-2.0
"""Try it: which models a note can be read with, and what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ...clinical.modifiers import MODIFIERS
from ...clinical.reading import SENTENCE_TOKENS, ReadingSettings
from ...demo.settings import MODIFIERS as DEMO_MODIFIERS
from ...demo.settings import TYPES
from ...errors import UserFacingError
from ...federation import FederationSpec
from ...scores import TASKS, TaskName
from ...site.fitted import FITTED
from ...wording import task_name, tr
from ..look.fields import Choice
from ..work.desk import Desk
from ..work.news import Side
from ..work.requests import AdapterFiles, EvaluationWanted, TrialRequest
from .adapters import files_of, is_own_update

# Keys of choices: the base model, an adapter in a folder, one held here by its sha256, and such a one read with this
# site's own part.
BASE = "base"
FOLDER = "folder:"
BLOB = "blob:"
OWN = "own:"
WHOLE_NOTE = ReadingSettings(max_tokens=1024, max_new_tokens=256)  # more of a note is read for its codes or summary
_DOES_NOT_FIT = ("training.no_such_layer", "training.layer_shape")


@dataclass(frozen=True)
class TrialWish:
    """Request of the page, by key on each side (None: this side is not used). `model` None: the session's. The right
    side, which has the adapter, is read first.

    `question` and `options` are those of the task "questions".
    """

    text: str
    types: tuple[str, ...]
    left: str | None
    right: str | None
    model: Path | None = None
    task: TaskName = "entities"
    question: str = ""
    options: tuple[str, ...] = ()

    @property
    def sides(self) -> tuple[Side, ...]:
        """Sides that are used, in the order in which they are read."""
        keys: dict[Side, str | None] = {"right": self.right, "left": self.left}
        return tuple(side for side, key in keys.items() if key is not None)


def task_choices(desk: Desk) -> list[Choice]:
    """The tasks of the federation that can be asked about a note; without a federation all of them."""
    asked = desk.spec.tasks if desk.spec else TASKS
    return [Choice(task, task_name(task)) for task in asked if task != "text"]


def choices(desk: Desk, adapter: Path | None = None, bundled: Path | None = None) -> list[Choice]:
    """Base first, then what this desktop has: a given adapter, the federation's newest, the one that was fitted to
    this site's notes, the one that waits, and that which is `bundled` with the model.
    """
    found = [Choice(BASE, tr("Base model"))]
    if adapter:
        found.append(
            Choice(f"{FOLDER}{adapter}", tr("Adapter {name}").format(name=f"{adapter.parent.name}/{adapter.name}"))
        )
    if desk.scored:
        found.append(Choice(f"{FOLDER}{desk.scored.report.parent / 'adapter'}", tr("Federation, final")))
    elif desk.record.final:
        found += _of_federation(desk, desk.record.final, tr("final"))
    elif newest := _newest(desk):
        number, sha256 = newest
        found += _of_federation(desk, sha256, tr("round {number}").format(number=number))
    if desk.fitted and desk.fitted.has_gained and desk.session and desk.session.final:
        found.append(Choice(f"{FOLDER}{desk.session.final.with_name(FITTED)}", tr("Fitted to our notes")))
    if (entry := desk.pending or desk.counting_down) and (part := entry.update.parts.get("adapter")):
        found.append(Choice(f"{BLOB}{part.sha256}", tr("Waiting for your approval")))
    if bundled:
        found.append(Choice(f"{FOLDER}{bundled}", tr("Trained on public texts")))
    return found


def _of_federation(desk: Desk, sha256: str, when: str) -> list[Choice]:
    """The federation's model, and this site's where it keeps a part for itself."""
    found = [Choice(f"{BLOB}{sha256}", tr("Federation, {when}").format(when=when))]
    own = Choice(f"{OWN}{sha256}", tr("This site's model, {when}").format(when=when))
    return [*found, own] if desk.has_own else found


def _newest(desk: Desk) -> tuple[int, str] | None:
    """The latest round whose combined adapter is here, and its sha256: what the round after it starts from."""
    starts = [(entry.plan.round, entry.plan.start) for entry in desk.record.entries if entry.plan.round > 1]
    if desk.fetched and desk.fetched.round > 1:
        starts.append((desk.fetched.round, desk.fetched.start))
    if not starts:
        return None
    number, sha256 = max(starts)
    return number - 1, sha256


def in_plain_words(error: UserFacingError) -> UserFacingError:
    """The error as a person is told it: which layer it was is for the log."""
    if error.code not in _DOES_NOT_FIT:
        return error
    plain = UserFacingError("desktop.other_model")
    plain.__cause__ = error
    return plain


def best_adapter(desk: Desk) -> Choice | None:
    """The adapter that an evaluation compares with the base: the federation's, unless there is only another."""
    return next((choice for choice in choices(desk) if choice.key != BASE), None)


def request_for(
    wish: TrialWish,
    desk: Desk,
    bundled_model: Path,
    blob: Callable[[str], Path | None],
    own: Mapping[str, Path] = MappingProxyType({}),
) -> TrialRequest:
    """The wish with its files; `blob` says where an adapter with a hash lies, `own` has the site's own parts.
    Raises UserFacingError: not here.
    """

    def files(key: str) -> AdapterFiles | None:
        if key.startswith(OWN):
            return files_of(key.removeprefix(OWN), desk, blob, own)
        if key.startswith(BLOB):
            sha256 = key.removeprefix(BLOB)
            # What waits for approval was trained with the site's own parts; the federation's model is without them.
            return files_of(sha256, desk, blob, own if is_own_update(sha256, desk) else {})
        return AdapterFiles(Path(key.removeprefix(FOLDER))) if key.startswith(FOLDER) else None

    sides = {side: files((wish.left if side == "left" else wish.right) or BASE) for side in wish.sides}
    model = wish.model or (desk.session.model if desk.session else bundled_model)
    spec = desk.spec
    return TrialRequest(
        text=wish.text,
        types=wish.types or (tuple(spec.types) if spec else TYPES),
        model=model,
        sides=sides,
        form=spec.answer_form if spec else "html",
        lengths=spec.training if spec else ReadingSettings() if wish.task == "entities" else WHOLE_NOTE,
        # The bundled model was trained on sentences.
        text_tokens=SENTENCE_TOKENS if model == bundled_model else None,
        prompting=spec.prompt if spec else "plain",
        task=wish.task,
        modifiers=_modifiers(spec, is_bundled=model == bundled_model),
        question=wish.question,
        options=wish.options,
    )


def _modifiers(spec: FederationSpec | None, *, is_bundled: bool) -> tuple[str, ...]:
    """The federation's, or those that a demonstration has taught the bundled model; of another one nothing is known."""
    if spec:
        return tuple(spec.modifiers)
    return DEMO_MODIFIERS if is_bundled else tuple(sorted(MODIFIERS))


def evaluation_for(
    notes: Path,
    types_map: Path | None,
    desk: Desk,
    bundled_model: Path,
    blob: Callable[[str], Path | None],
    own: Mapping[str, Path],
) -> EvaluationWanted:
    """An evaluation with the best adapter that there is. Raises UserFacingError: it is no longer here."""
    best = best_adapter(desk)
    found = request_for(TrialWish("", (), best.key if best else BASE, None), desk, bundled_model, blob, own)
    name = best.label if best else ""
    return EvaluationWanted(notes, found.model, types_map, found.sides["left"], name, desk.spec)
