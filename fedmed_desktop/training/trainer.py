# SPDX-License-Identifier: Apache-2.0
"""A round at a site: score, train, score again, measure. The site agent, the demo and the lab share it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from ..clinical import Note, SiteNotes, histogram
from ..clinical.tasks import Task
from ..errors import UserFacingError
from ..events import Evaluated, GenerationProgress, Warned
from ..federation.check import check_values
from ..federation.evidence import Evidence
from ..federation.plan import FACTORS, Plan, TrainingSettings
from ..federation.probes import Probing
from ..federation.sending import LOST, sent
from ..federation.spec import FederationSpec, ShareSettings
from ..federation.update import Part, Report, Update
from ..federation.work import Control, Emit, Given, LocalResult
from ..lora import Adapter, algebra
from ..lora.rotation import rotated
from ..scores import Scores
from .base import BaseModel
from .batches import Encoder, Examples
from .chat import Prompting, checked_frame
from .checkpoints import Checkpoint
from .evaluation import Evaluation, Evaluator, no_notes, reportable
from .evidence import evidence
from .job import Job
from .loop import Training
from .overlooked import Overlooked, overlooked
from .private import check_splits
from .probes.site import SiteProbes
from .remembered import what_is_asked
from .scoring import shared_notes
from .site_notes import EncodedNotes, Split
from .site_tasks import all_tasks, site_tasks
from .starting import CONTROL, PERSONAL, SiteAdapters, for_scoring, for_training, resized, variate

__all__ = ["SiteTrainer", "Split", "resized"]

ADAPTER_PART, CONTROL_PART = "adapter", "control"

Moment = Literal["before", "after", "final"]

_MOMENTS: Final[Mapping[Moment, str]] = {"before": "before training", "after": "after training", "final": "at the end"}


@dataclass(frozen=True)
class _Trained:
    """Outcome of a training: the adapters as they act now, what is offered and what the site keeps."""

    adapters: SiteAdapters
    blobs: dict[str, bytes]
    own: dict[str, Adapter]
    steps: int
    seconds: float
    mean_loss: float | None
    importance: dict[str, float]


class SiteTrainer:
    """A base model and one site's notes in the federation's types; implements federation.work.Trainer.

    The site is taught and scored on `tasks`, in which its own types are; without any it learns the text itself. With
    `score_on` "loss" no answers are generated and all scores are empty. On the notes `shared` it measures its model
    after training, by `shared_tasks`. One job at a time, events from the calling thread; trainers may share a base, but
    not at the same time. `scores_update` False: nobody reads what its own model is worth, and it is not measured.
    """

    scores_update = True

    def __init__(
        self,
        base: BaseModel,
        site: str,
        notes: SiteNotes,
        tasks: Sequence[Task],
        share: ShareSettings | None = None,
        *,
        score_on: Literal["answers", "loss"] = "answers",
        types: Collection[str] | None = None,
        shared: Sequence[Note] = (),
        shared_tasks: Sequence[Task] = (),
        prompting: Prompting = "plain",
        probing: Callable[[], Probing] | None = None,
    ) -> None:
        self._base, self._site, self._notes = base, site, notes
        self.tasks = tuple(tasks)
        self._encoder = Encoder(base.tokenizer, tasks, prompting)
        self._evaluator = Evaluator(base, self._encoder)
        self._share, self._types = share or ShareSettings(), types
        self._answers = score_on == "answers"
        self._shared = tuple(shared)
        self._shared_evaluator = Evaluator(base, Encoder(base.tokenizer, shared_tasks or tasks, prompting))
        self._encoded = EncodedNotes(base, self._encoder, notes)
        self._told_of: list[Overlooked] = []
        self._probes = SiteProbes(base, probing)

    @classmethod
    def for_spec(
        cls,
        spec: FederationSpec,
        base: BaseModel,
        site: str,
        notes: SiteNotes,
        types: Sequence[str],
        modifiers: Sequence[str] | None = None,
        probing: Callable[[], Probing] | None = None,
    ) -> Self:
        """A trainer for this federation; `types` and `modifiers` are those that the site annotates (None: all).

        Raises UserFacingError.
        """
        tasks = site_tasks(spec, notes.train, types, modifiers)
        if not tasks and spec.tasks != ("text",):  # it would learn the text itself
            raise UserFacingError("training.no_labels", tasks=", ".join(spec.tasks))
        shared = shared_notes(spec) if spec.method.scored_by == "sites" and spec.shared_notes else []
        checked_frame(base.tokenizer, spec.prompt, spec.base.chat_template)
        return cls(
            base,
            site,
            notes,
            tasks,
            spec.share,
            score_on=spec.score_on,
            types=spec.types,
            shared=shared,
            shared_tasks=site_tasks(spec, shared, spec.types) or all_tasks(spec),
            prompting=spec.prompt,
            probing=probing,
        )

    def train_round(self, plan: Plan, given: Given, checkpoints: Path, emit: Emit, control: Control) -> LocalResult:
        """Trains and measures; resumes from `checkpoints` of the same plan, adapters and notes.

        The report's norms are of the shared adapter, from the site's own start, which completes an offered single
        factor. Evidence and later scores are of the offered bytes. Phases: scoring_before, training, scoring_after,
        measuring. Raises Stopped, UserFacingError; ValueError if the plan names an adapter that is not given.
        """
        job = Job(self._site, plan, emit, control)
        self._base.use_threads()
        train, validation = self.examples("train", plan.training), self.examples("validation", plan.training)
        if not train.items:
            raise no_notes("train")
        if plan.training.privacy:
            check_splits(self._notes, plan.training.privacy)
        self._tell(job, train, validation)
        taught = self._probes.taught(train, plan)
        key = self._key(plan, given, taught.examples, validation)
        begun = for_training(plan, given)

        job.enter("scoring_before")
        self._attach(begun)
        before = self._before(job, validation, Checkpoint(checkpoints, "before", key))

        job.enter("training")
        self._attach(begun)
        trained = self._train(job, given, begun, taught.examples, Checkpoint(checkpoints, "training", key))

        job.enter("scoring_after")
        self._attach(trained.adapters)
        after = self._evaluate(job, validation, "after") if self.scores_update else None
        shared_loss = self._shared_loss(job)

        job.enter("measuring")
        budget = given.budget if plan.training.privacy else None
        moved = algebra.distances(trained.adapters.shared, begun.shared)
        report = Report(
            notes=train.notes,
            supervised_tokens=train.supervised(plan.training.loss_on),
            steps=trained.steps,
            train_loss=None if budget else trained.mean_loss,  # no noise covers it
            loss_before=before.loss,
            loss_after=after.loss if after else None,
            shared_loss=shared_loss,
            histogram=self._histogram(),
            scores_before=before.scores,
            scores_after=after.scores if after else Scores(),
            start_norm=algebra.norm(begun.shared),
            update_norm=math.hypot(*moved.values()),
            effective_rank=algebra.effective_rank(trained.adapters.shared),
            importance=trained.importance,
            seconds=round(job.seconds, 3),
            **(budget.told() if budget else {}),
        )
        hashed = ((name, hashlib.sha256(blob).hexdigest(), len(blob)) for name, blob in trained.blobs.items())
        parts = {name: Part(sha256=sha256, size=size) for name, sha256, size in hashed}
        update = Update(round=plan.round, parts=parts, report=self._told(report))
        length, held_out = (trained.steps, trained.seconds), (validation, self.examples("test", plan.training))
        probes = self._probes.found(plan, taught, held_out, trained.adapters, begun, *length, job.control)
        found = evidence(plan, trained.adapters.shared, report, validation.notes, moved, probes)
        return LocalResult(update, trained.blobs, found, trained.own, tuple(budget.ledger.spent()) if budget else ())

    def _histogram(self) -> dict[str, int]:
        if self._share.histogram == "none":
            return {}
        return histogram(self._notes.train, self._share.histogram, self._types)

    def evaluate(self, plan: Plan, given: Given, emit: Emit, control: Control) -> LocalResult:
        """Scores the given adapters on the test notes, else on the validation notes. Raises like train_round."""
        job = Job(self._site, plan, emit, control)
        self._base.use_threads()
        split: Split = "test" if self._notes.test else "validation"
        examples = self.examples(split, plan.training)
        job.enter("evaluating")
        adapters = for_scoring(plan, given)
        self._attach(adapters)
        final = self._evaluate(job, examples, "final", split)
        report = Report(
            kind="evaluate",
            notes=examples.notes,
            supervised_tokens=examples.supervised(plan.training.loss_on),
            loss_after=final.loss,
            scores_after=final.scores,
            start_norm=algebra.norm(adapters.shared),
            effective_rank=algebra.effective_rank(adapters.shared),
            seconds=round(job.seconds, 3),
        )
        update = Update(round=plan.round, parts={}, report=self._told(report))
        rank = max(adapters.shared.ranks.values())
        return LocalResult(update, {}, Evidence(rank=rank, scores_after=final.scores))

    def measure(self, plan: Plan, given: Given, split: Split, control: Control, *, answers: bool = True) -> Evaluation:
        """Loss of the given adapters on one split and, with `answers`, scores if asked for; no training and no events.

        Raises Stopped, UserFacingError (no notes there that fit), ValueError like train_round.
        """
        job = Job(self._site, plan, lambda event: None, control)
        self._base.use_threads()
        self._attach(for_scoring(plan, given))
        return self._evaluate(job, self.examples(split, plan.training), "final", split, answers=answers)

    def score_adapter(
        self, adapter: Adapter | None, notes: Sequence[Note], settings: TrainingSettings, control: Control | None = None
    ) -> Scores:
        """Scores of an adapter (None: of the base alone) on any notes of the federation's types."""
        control = control or Control()
        self._base.use_threads()
        questions = self._encoder.encode(notes, self._base.room(settings.max_tokens), reading=True)
        self._base.lora.attach(adapter)
        return self._evaluator.scores(questions, settings.max_new_tokens, check=control.check)

    def examples(self, split: Split, settings: TrainingSettings) -> Examples:
        """The notes of a split as they are taught, in tokens; made once."""
        return self._encoded.taught(split, settings)

    def _attach(self, adapters: SiteAdapters) -> None:
        self._base.lora.attach(adapters.shared, adapters.frozen, adapters.personal)

    def _train(
        self, job: Job, given: Given, begun: SiteAdapters, examples: Examples, checkpoint: Checkpoint
    ) -> _Trained:
        plan, slot = job.plan, self._base.lora
        if plan.rotation is not None and plan.shared != FACTORS:
            raise ValueError("a rotation needs both factors: it would turn the one that is held too")
        corrected = variate(plan, given, begun.shared)
        training = Training(self._base, examples, plan, begun.shared, checkpoint, corrected, given.budget, given.own)
        self._base.device.begin_peak()
        training.run(lambda done: job.step(done, training.steps, self._base.device.peak_memory_mib()), job.control)
        shared, personal = slot.read(), slot.read_personal() if begun.personal else None
        for name, module in shared.items():
            check_values(name, module)
        if plan.rotation is not None:
            shared = rotated(shared, begun.shared, plan.round, plan.rotation)
        offered = sent(plan, given, begun.shared, shared)
        shared, blobs = offered.adapter, {ADAPTER_PART: offered.blob}
        own: dict[str, Adapter] = dict.fromkeys(plan.own, shared) | training.kept_moments()
        if offered.lost is not None:
            own[LOST] = offered.lost
        if personal is not None:
            own[PERSONAL] = personal
        if corrected is not None:
            own[CONTROL], change = training.kept_control()
            blobs[CONTROL_PART] = change.to_blob()
        adapters = SiteAdapters(shared, begun.frozen, personal)
        done = training.progress
        return _Trained(adapters, blobs, own, done.step, done.seconds, done.mean_loss, training.importance())

    def _tell(self, job: Job, train: Examples, validation: Examples) -> None:
        """Says once what of the notes is not used: nothing is left out in silence."""
        for code, params in overlooked(train, validation, self._base.room(job.plan.training.max_tokens)):
            if (code, params) not in self._told_of:
                self._told_of.append((code, params))
                job.emit(Warned(code=code, params=params, **job.where))

    def _told(self, report: Report) -> Report:
        """The report without what the federation does not share."""
        if self._share.scores:
            return report
        return report.model_copy(update={"scores_before": Scores(), "scores_after": Scores()})

    def _shared_loss(self, job: Job) -> float | None:
        """Loss of the attached adapters on the notes that the federation shares for this; None without any."""
        if not self._shared:
            return None
        settings = job.plan.training
        check = job.control.check
        loss = self._shared_evaluator.loss_of(self._shared, settings.max_tokens, settings.loss_on, check)
        return reportable(loss, "on the notes that the federation shares")

    def _before(self, job: Job, validation: Examples, kept: Checkpoint) -> Evaluation:
        """Scores of the start; kept on disk, so that a resume goes straight on with training."""
        if (found := kept.read()) is not None:
            before = Evaluation(found[0]["loss"], Scores.model_validate(found[0]["scores"]))
            job.emit(Evaluated(moment="before", loss=before.loss, scores=before.scores, **job.where))
            return before
        before = self._evaluate(job, validation, "before")
        kept.write({"loss": before.loss, "scores": before.scores.model_dump()}, {})
        return before

    def _evaluate(
        self, job: Job, examples: Examples, moment: Moment, split: Split = "validation", *, answers: bool = True
    ) -> Evaluation:
        settings = job.plan.training
        if not examples.items:
            raise no_notes(split)
        questions = self._encoded.asked(split, settings) if self._answers and answers else None
        total = len(questions.items) if questions else 0
        found = self._evaluator.evaluate(
            examples,
            questions,
            settings,
            _MOMENTS[moment],
            lambda done: job.emit(GenerationProgress(done=done, total=total, **job.where)),
            job.control.check,
        )
        job.emit(Evaluated(moment=moment, loss=found.loss, scores=found.scores, **job.where))
        return found

    def identity(self, plan: Plan, given: Given) -> str:
        """Identity of a round's result in federations that differ in their methods alone; not of privacy's noise."""
        work = self._key(plan, given, self.examples("train", plan.training), self.examples("validation", plan.training))
        return json.dumps([work, self._site, self._histogram(), [note.model_dump_json() for note in self._shared]])

    def _key(self, plan: Plan, given: Given, train: Examples, validation: Examples) -> str:
        """Identity of a round's work: where it differs, a checkpoint is of something else."""
        beside = [adapter.sha256 if adapter else None for adapter in (given.start, given.frozen, given.control)]
        own = {name: adapter.sha256 for name, adapter in given.own.items()}
        content = [plan.model_dump(mode="json"), beside, own, train.sha256, validation.sha256, self._answers]
        if self._answers:
            content += what_is_asked(self._encoded.asked("validation", plan.training))
        content += [str(self._base.folder.resolve()), str(self._base.device.dtype), self._base.device.quantization]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
