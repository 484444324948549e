# SPDX-License-Identifier: Apache-2.0
"""What a round does at a site: score, train, score again, measure. The site agent, the demo and the lab share it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict

from ..clinical import AnswerForm, Note, SiteNotes
from ..errors import UserFacingError
from ..events import Evaluated, GenerationProgress, Phase, PhaseChanged, TrainingStep
from ..federation.drift import model_drift, performance_drift
from ..federation.plan import Plan, TrainingSettings
from ..federation.spec import ShareSettings
from ..federation.update import Part, Report, Update
from ..federation.work import Control, Emit, Evidence, Given, LocalResult
from ..lora import Adapter, algebra
from ..scores import Scores
from .base import BaseModel
from .batches import Encoder, Examples
from .checkpoints import Checkpoint
from .evaluation import Evaluation, Evaluator
from .loop import StepDone, Training

ADAPTER_PART = "adapter"


class SiteTrainer:
    """A base model and one site's notes, which have the federation's types already (clinical.apply_types).

    `types` are those that the site is asked for and scored on. Implements federation.work.Trainer: one job at a time,
    events from the calling thread. Several trainers may share a base, but not at the same time.
    """

    def __init__(
        self,
        base: BaseModel,
        site: str,
        notes: SiteNotes,
        types: Sequence[str],
        form: AnswerForm = "html",
        share: ShareSettings | None = None,
    ) -> None:
        self._base, self._site, self._notes = base, site, notes
        self._encoder = Encoder(base.tokenizer, tuple(types), form)
        self._evaluator = Evaluator(base, self._encoder, tuple(types), form)
        self._share = share or ShareSettings()
        self._encoded: dict[tuple[str, int], Examples] = {}

    def train_round(self, plan: Plan, given: Given, checkpoints: Path, emit: Emit, control: Control) -> LocalResult:
        """Trains and measures; resumes from `checkpoints` where they are of the same plan, adapter and notes.

        Phases: scoring_before, training, scoring_after, measuring. Raises Stopped, UserFacingError.
        """
        if plan.frozen is not None:
            raise UserFacingError("training.frozen_adapter")
        job = _Job(self._site, plan, emit, control)
        self._base.use_threads()
        settings = plan.training
        train, validation = self._examples("train", settings), self._examples("validation", settings)
        if not train.items:
            raise _no_notes("training")
        key = self._key(plan, given.start, train, validation)
        start = resized(given.start, plan.rank, plan.seed)

        job.enter("scoring_before")
        self._base.lora.attach(start)
        before = self._before(job, validation, Checkpoint(checkpoints, "before", key))

        job.enter("training")
        self._base.lora.attach(start)
        training = Training(
            self._base, train, settings, plan.freeze, plan.seed, Checkpoint(checkpoints, "training", key)
        )
        training.run(lambda done: job.step(done, training.steps, self._base.device.peak_memory_mib()), job.control)
        blob = self._base.lora.read().to_blob()

        job.enter("scoring_after")
        after = Adapter.from_blob(blob)
        self._base.lora.attach(after)
        evaluated = self._evaluate(job, validation, "after")

        job.enter("measuring")
        report = Report(
            notes=len(self._notes.train),
            supervised_tokens=train.supervised(settings.loss_on),
            steps=training.progress.step,
            train_loss=training.progress.mean_loss,
            loss_before=before.loss,
            loss_after=evaluated.loss,
            scores_before=before.scores,
            scores_after=evaluated.scores,
            start_norm=algebra.norm(start),
            update_norm=algebra.distance(after, start),
            effective_rank=algebra.effective_rank(after),
            seconds=round(job.seconds, 3),
        )
        part = Part(sha256=hashlib.sha256(blob).hexdigest(), size=len(blob))
        update = Update(round=plan.round, parts={ADAPTER_PART: part}, report=self._shared(report))
        found = evidence(plan, start, after, report, len(self._split("validation")))
        return LocalResult(update, {ADAPTER_PART: blob}, found)

    def evaluate(self, plan: Plan, given: Given, emit: Emit, control: Control) -> LocalResult:
        """Scores what is given on the test notes, or on the validation notes where there are none; no blobs."""
        start = given.start
        job = _Job(self._site, plan, emit, control)
        self._base.use_threads()
        split: Literal["test", "validation"] = "test" if self._notes.test else "validation"
        examples = self._examples(split, plan.training)
        job.enter("evaluating")
        self._base.lora.attach(start)
        final = self._evaluate(job, examples, "final")
        report = Report(
            kind="evaluate",
            notes=len(self._split(split)),
            supervised_tokens=examples.supervised(plan.training.loss_on),
            loss_after=final.loss,
            scores_after=final.scores,
            start_norm=algebra.norm(start),
            effective_rank=algebra.effective_rank(start),
            seconds=round(job.seconds, 3),
        )
        update = Update(round=plan.round, parts={}, report=self._shared(report))
        return LocalResult(update, {}, Evidence(rank=max(start.ranks.values()), scores_after=final.scores))

    def _shared(self, report: Report) -> Report:
        """The report without what the federation does not share."""
        if self._share.scores:
            return report
        return report.model_copy(update={"scores_before": Scores(), "scores_after": Scores()})

    def score_adapter(
        self, adapter: Adapter | None, notes: Sequence[Note], settings: TrainingSettings, control: Control | None = None
    ) -> Scores:
        """Scores of an adapter (None: of the base alone) on any notes of the federation's types."""
        control = control or Control()
        self._base.use_threads()
        examples = self._encoder.encode(notes, settings.max_tokens)
        if adapter is None:
            self._base.lora.detach()
        else:
            self._base.lora.attach(adapter)
        return self._evaluator.scores(examples, settings.max_new_tokens, check=control.check)

    def _before(self, job: _Job, validation: Examples, kept: Checkpoint) -> Evaluation:
        """Scores of the start; kept on disk, so that a resume goes straight on with training."""
        if (found := kept.read()) is not None:
            before = Evaluation(found[0]["loss"], Scores.model_validate(found[0]["scores"]))
            job.emit(Evaluated(moment="before", loss=before.loss, scores=before.scores, **job.where))
            return before
        before = self._evaluate(job, validation, "before")
        kept.write({"loss": before.loss, "scores": before.scores.model_dump()}, {})
        return before

    def _evaluate(self, job: _Job, examples: Examples, moment: Literal["before", "after", "final"]) -> Evaluation:
        settings, total = job.plan.training, len(examples.items)
        if not total:
            raise _no_notes("validation" if moment != "final" else "test")
        loss = self._evaluator.loss(examples, settings.loss_on, job.control.check)
        scores = self._evaluator.scores(
            examples,
            settings.max_new_tokens,
            lambda done: job.emit(GenerationProgress(done=done, total=total, **job.where)),
            job.control.check,
        )
        job.emit(Evaluated(moment=moment, loss=loss, scores=scores, **job.where))
        return Evaluation(loss, scores)

    def _examples(self, split: Literal["train", "validation", "test"], settings: TrainingSettings) -> Examples:
        key = (split, settings.max_tokens)
        if key not in self._encoded:
            self._encoded[key] = self._encoder.encode(self._split(split), settings.max_tokens)
        return self._encoded[key]

    def _split(self, split: Literal["train", "validation", "test"]) -> Sequence[Note]:
        notes: Sequence[Note] | None = getattr(self._notes, split)
        return notes or ()

    def _key(self, plan: Plan, start: Adapter, train: Examples, validation: Examples) -> str:
        """Identity of a round's work: where it differs, a checkpoint is of something else."""
        content = [plan.model_dump(mode="json"), start.sha256, train.sha256, validation.sha256]
        content += [str(self._base.folder.resolve()), str(self._base.device.dtype), self._base.device.quantization]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class _Where(TypedDict):
    site: str
    round: int


class _Job:
    """One call: where its events come from, its clock, and a pause that can be seen."""

    def __init__(self, site: str, plan: Plan, emit: Emit, control: Control) -> None:
        self.plan, self.emit, self.control = plan, emit, control
        self._site = site
        self._started = time.monotonic()

    @property
    def where(self) -> _Where:
        return {"site": self._site, "round": self.plan.round}

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def enter(self, phase: Phase) -> None:
        self.control.check()
        self.emit(PhaseChanged(phase=phase, **self.where))

    def step(self, done: StepDone, steps: int, memory_mib: float) -> None:
        self.emit(
            TrainingStep(
                step=done.step,
                steps=steps,
                loss=done.loss,
                learning_rate=done.learning_rate,
                tokens_per_second=done.tokens / max(done.seconds, 1e-9),
                memory_mib=memory_mib,
                **self.where,
            )
        )


def resized(adapter: Adapter, rank: int, seed: int) -> Adapter:
    """The adapter at a plan's rank: larger modules truncated, smaller ones grown with fresh rows from `seed`."""
    smaller, _ = algebra.shrink(adapter, rank)
    return algebra.grow(smaller, rank, seed)


def evidence(plan: Plan, start: Adapter, after: Adapter, report: Report, validation_notes: int) -> Evidence:
    """How an update differs from what came before, and what it is worth; the operator's, never sent."""
    references = plan.references
    model = performance = None
    if references is not None:
        model = model_drift(report.update_norm, report.start_norm, references.median_update_norm)
        performance = performance_drift(report.loss_before or 0.0, references.loss)
    return Evidence(
        model_drift=model,
        performance_drift=performance,
        rank=max(after.ranks.values()),
        scores_before=report.scores_before,
        scores_after=report.scores_after,
        validation_notes=validation_notes,
    )


def _no_notes(split: str) -> UserFacingError:
    return UserFacingError("training.no_notes", split=split)
