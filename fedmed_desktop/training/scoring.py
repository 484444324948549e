# SPDX-License-Identifier: Apache-2.0
"""Losses on shared notes or the coordinator's own, by which some methods weigh updates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from ..clinical import Entity, Note, apply_types
from ..clinical.tasks import Task
from ..federation.spec import FederationSpec
from ..federation.work import Control
from ..lora import Adapter
from .batches import Encoder
from .chat import Prompting
from .evaluation import Evaluator
from .loading import LoadedBase


class SharedNotesScorer:
    """Measures adapters on notes by these tasks (none: on the text itself). One thread at a time.

    The base is loaded at the first. The notes are in the federation's types (`asked_for`).
    """

    def __init__(
        self,
        base: LoadedBase,
        notes: Sequence[Note],
        tasks: Sequence[Task],
        max_tokens: int,
        loss_on: Literal["answer", "all"] = "answer",
        prompting: Prompting = "plain",
    ) -> None:
        self._base, self._notes, self._tasks = base, tuple(notes), tuple(tasks)
        self._max_tokens: int = max_tokens
        self._loss_on: Literal["answer", "all"] = loss_on
        self._prompting: Prompting = prompting
        self._evaluator: Evaluator | None = None

    def loss(self, adapter: Adapter, frozen: Adapter | None = None, control: Control | None = None) -> float:
        """Nats per supervised token of the base with this adapter, and with `frozen` beside it.

        Raises UserFacingError (the model cannot be loaded or is another, no note fits), Stopped.
        """
        base = self._base.get()
        base.use_threads()
        if self._evaluator is None:
            self._evaluator = Evaluator(base, Encoder(base.tokenizer, self._tasks, self._prompting))
        base.lora.attach(adapter, frozen)
        check = (control or Control()).check
        return self._evaluator.loss_of(self._notes, self._max_tokens, self._loss_on, check)


def shared_notes(spec: FederationSpec) -> list[Note]:
    """The notes of a specification, in its types; entities of blanks only are left out."""
    notes = []
    for number, shared in enumerate(spec.shared_notes, start=1):
        entities = [
            Entity(id=f"T{i}", start=one.start, end=one.end, type=one.type, text=words)
            for i, one in enumerate(shared.entities, start=1)
            if (words := shared.text[one.start : one.end]).strip()
        ]
        notes.append(Note(id=f"shared-{number}", text=shared.text, entities=tuple(entities)))
    return asked_for(notes, spec.types)


def asked_for(notes: Sequence[Note], types: Sequence[str], modifiers: Collection[str] = ()) -> list[Note]:
    """Notes in the federation's types, made fit for prompts: no overlapping entities; without types, none at all."""
    if not types:
        return without_entities(notes)
    return apply_types(notes, types, {name: name for name in types}, modifiers)[0]


def without_entities(notes: Sequence[Note]) -> list[Note]:
    """The notes as texts."""
    return [note.model_copy(update={"entities": (), "relations": ()}) for note in notes]
