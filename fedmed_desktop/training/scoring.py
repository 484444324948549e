# SPDX-License-Identifier: Apache-2.0
"""Losses on shared notes or the coordinator's own, by which some methods weigh updates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ..clinical import AnswerForm, Entity, Note, apply_types
from ..federation.spec import FederationSpec
from ..federation.work import Control
from ..lora import Adapter
from .batches import Encoder, Task
from .evaluation import Evaluator
from .loading import LoadedBase


class SharedNotesScorer:
    """Measures adapters on notes that are asked for all `types`. One thread at a time; the base is loaded at the first.

    Of overlapping entities the longest stays, as at a site. Raises UserFacingError if the notes annotate other types
    only.
    """

    def __init__(
        self,
        base: LoadedBase,
        notes: Sequence[Note],
        types: Sequence[str],
        form: AnswerForm,
        task: Task,
        max_tokens: int,
        loss_on: Literal["answer", "all"] = "answer",
    ) -> None:
        self._base, self._notes = base, asked_for(notes, types, task)
        self._types, self._form, self._task = tuple(types), form, task
        self._max_tokens: int = max_tokens
        self._loss_on: Literal["answer", "all"] = loss_on
        self._evaluator: Evaluator | None = None

    def loss(self, adapter: Adapter, frozen: Adapter | None = None, control: Control | None = None) -> float:
        """Nats per supervised token of the base with this adapter, and with `frozen` beside it.

        Raises UserFacingError (the model cannot be loaded or is another, no note fits), Stopped.
        """
        base = self._base.get()
        base.use_threads()
        if self._evaluator is None:
            encoder = Encoder(base.tokenizer, self._types, self._form, self._task)
            self._evaluator = Evaluator(base, encoder, self._types, self._form)
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
    return asked_for(notes, spec.types, spec.task)


def asked_for(notes: Sequence[Note], types: Sequence[str], task: Task) -> list[Note]:
    """Notes in the federation's types, made fit for prompts: no overlapping entities, and none for a text."""
    if task == "text":
        return without_entities(notes)
    return apply_types(notes, types, {name: name for name in types})[0]


def without_entities(notes: Sequence[Note]) -> list[Note]:
    """The notes as texts."""
    return [note.model_copy(update={"entities": (), "relations": ()}) for note in notes]
