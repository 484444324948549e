# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a base model, with or without an adapter, on notes: its answers and their scores.

Torch is loaded with the first evaluation, so that what is wrong with notes, tasks and files is told before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..clinical import AnswerForm, Note
from ..clinical.tasks import Prediction, Relations, Task, made_tasks
from ..errors import UserFacingError
from ..federation import Control, TrainingSettings
from ..lora import Adapter
from ..scores import TASKS, TaskName, TaskScores
from ..training.chat import Prompting

if TYPE_CHECKING:
    from ..training.base import BaseModel
    from ..training.loading import LoadedBase

# A window's prompt and answer, and its answer: what the papers' own scripts use (800), and room for mark-up.
WINDOW = TrainingSettings(epochs=1, max_tokens=800, max_new_tokens=400)


@dataclass(frozen=True)
class NoteResult:
    """One task on one note. Intervals are drawn by `document`: the patient, else the document, else the note itself."""

    note: Note
    task: TaskName
    prediction: Prediction
    scores: TaskScores

    @property
    def document(self) -> str:
        return self.note.patient or self.note.document or self.note.id


@dataclass(frozen=True)
class EvaluationRequest:
    """A model and notes, in the types that `tasks` ask for, to evaluate it on; `adapter` None: the base alone.

    `end_to_end`: modifiers are asked of the mentions that the model found itself, instead of the notes' own. That needs
    both tasks, entities and relations.
    """

    notes: Sequence[Note]
    tasks: Sequence[Task]
    adapter: Adapter | None = None
    frozen: Adapter | None = None
    personal: Adapter | None = None
    settings: TrainingSettings = field(default=WINDOW)
    prompting: Prompting = "plain"
    end_to_end: bool = False


def tasks_of(
    notes: Sequence[Note],
    names: Collection[TaskName],
    types: Collection[str],
    modifiers: Collection[str] = (),
    form: AnswerForm = "html",
) -> tuple[Task, ...]:
    """The named tasks that the notes have labels for; without names, all that they have.

    Raises UserFacingError where they have labels for none, or lack those of a named one.
    """
    found = tuple(task for task in made_tasks(names or TASKS, types, modifiers, form) if task.taught_by(notes))
    lacking = set(names) - {task.name for task in found}
    if lacking or not found:
        named = ", ".join(name for name in TASKS if name in lacking)
        raise UserFacingError("evaluation.no_labels", tasks=named or "any task")
    return found


def evaluate(
    base: LoadedBase,
    request: EvaluationRequest,
    progress: Callable[[int, int], None] = lambda done, total: None,
    control: Control | None = None,
) -> list[NoteResult]:
    """Results task by task, in the notes' order. On the calling thread; `progress` gets prompts done and in all.

    Raises Stopped, UserFacingError (no note fits, a model or adapter that does not).
    """
    from ..training.batches import Encoder
    from ..training.evaluation import Evaluator

    control = control or Control()
    model = base.get()
    model.use_threads()
    later = [task for task in request.tasks if isinstance(task, Relations) and request.end_to_end]
    encoder = Encoder(model.tokenizer, [task for task in request.tasks if task not in later], request.prompting)
    model.lora.attach(request.adapter, request.frozen, request.personal)
    questions = encoder.encode(request.notes, model.room(request.settings.max_tokens), reading=True)
    if not questions.items:
        raise UserFacingError("training.no_notes", split="given")
    total = len(questions.items)
    found = Evaluator(model, encoder).predictions(
        questions, request.settings.max_new_tokens, lambda done: progress(done, total), control.check
    )
    results = [
        NoteResult(one.note, one.task.name, prediction, one.task.score(one.note, prediction))
        for one, prediction in found
    ]
    for task in later:
        results += _on_found(model, request, task, results, lambda done: progress(total + done, total + done), control)
    return sorted(results, key=lambda one: TASKS.index(one.task))


def _on_found(
    model: BaseModel,
    request: EvaluationRequest,
    relations: Relations,
    results: Sequence[NoteResult],
    progress: Callable[[int], None],
    control: Control,
) -> list[NoteResult]:
    """Relations of the mentions in these results, of notes that are labelled for both tasks."""
    from ..training.end_to_end import linked

    settings = request.settings
    read = [one for one in results if one.task == "entities" and relations.labelled(one.note)]
    links = linked(
        model,
        [one.note for one in read],
        [one.prediction.spans for one in read],
        relations,
        model.room(settings.max_tokens),
        settings.max_new_tokens,
        progress,
        control.check,
        request.prompting,
    )
    found = [(one.note, Prediction(links=those)) for one, those in zip(read, links, strict=True)]
    return [NoteResult(note, relations.name, said, relations.score(note, said)) for note, said in found]
