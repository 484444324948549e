# SPDX-License-Identifier: Apache-2.0
"""The training loop: LoRA factors by AdamW or SGD, exact resume, a look at the control at every micro-step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from ..clinical import mention_starts
from ..errors import UserFacingError
from ..federation.accounting import Budget
from ..federation.plan import Plan
from ..federation.work import Control, Stopped
from ..lora import Adapter
from .base import BaseModel
from .batches import Example, Examples, Schedule, collate
from .checkpoints import Checkpoint
from .gradients import Work, accumulate
from .importance import Importance
from .leading import Leader
from .moments import FIRST, SECOND, Moments, begun, kept
from .objectives import Correction, Penalties, Variate
from .private import PrivateSteps
from .rates import rate_shares

CPU_MICRO_TOKENS = 1024
"""Padded tokens of a micro-batch on the CPU where the plan names no size: more fall out of the caches (measured: a
batch of 16 notes is a fifth faster in two halves)."""

LOSS_SCALE = 2.0**12
"""What a loss is multiplied by where gradients pass through float16, whose smallest numbers are not small enough
(Micikevicius et al. 2018, section 3.2; the value is inferred). It falls where they then are too large."""

_LOWER = 0.25


@dataclass(frozen=True)
class StepDone:
    """One optimiser step; `step` counts from 1. `tokens` are those computed on, without padding."""

    step: int
    loss: float
    learning_rate: float
    tokens: int
    seconds: float


@dataclass
class Progress:
    """Progress in this round so far; written into checkpoints. The loss is the task's alone, and unscaled."""

    step: int = 0
    loss_sum: float = 0.0
    labels: int = 0
    seconds: float = 0.0
    rate_sum: float = 0.0
    loss_scale: float = 1.0

    @property
    def mean_loss(self) -> float | None:
        return self.loss_sum / self.labels if self.labels else None


class Training:
    """One round's training of the adapters in the base's slot, in one thread; same seed, same bits (CPU).

    `start` is the attached shared adapter; a personal one beside it is trained too, in both factors. `variate` is for a
    plan with a ControlVariate, `budget` for one with differential privacy, `own` (work.Given.own) for one that keeps
    the optimiser's moments. Raises UserFacingError if the variate does not have the start's shape, or the budget has no
    room for the steps.
    """

    def __init__(
        self,
        base: BaseModel,
        examples: Examples,
        plan: Plan,
        start: Adapter,
        checkpoint: Checkpoint,
        variate: Variate | None = None,
        budget: Budget | None = None,
        own: Mapping[str, Adapter] | None = None,
    ) -> None:
        if plan.training.privacy and budget is None:
            raise ValueError("the plan asks for privacy, and no budget is given")
        self._base, self._examples, self._settings, self._plan = base, examples.items, plan.training, plan
        self._checkpoint = checkpoint
        if plan.training.mention_weight != 1:
            _check_marks(examples.items)
        self._schedule = Schedule([len(e) for e in examples.items], plan.training.batch_size, plan.seed)
        base.lora.freeze(plan.freeze)
        self._trained = base.lora.trained()
        private = plan.training.privacy and budget
        self._private = PrivateSteps(base, examples, plan, self._trained, private) if private else None
        per_epoch = (self._private or self._schedule).steps_per_epoch
        self.steps = plan.training.steps or max(1, round((plan.training.epochs or 0) * per_epoch))
        settings = plan.training
        self._rate_share = rate_shares(settings.schedule, self.steps, settings.warmup_share, plan.round, plan.rounds)
        self._leader = Leader(base.processes, base, plan) if base.processes else None
        placed = base.lora.placed(start) if plan.proximal or plan.variate else {}
        self._penalties = Penalties(base.lora, plan.objective, placed)
        self._correction = Correction(base.lora, variate or Variate(), placed) if plan.variate else None
        self._importance = Importance(base.lora.shared()) if plan.importance else None
        self._raw_correction = plan.variate is not None and plan.variate.form == "gradient"
        self._start_gradient: dict[str, Tensor] = {}
        self._optimizer = self._new_optimizer()
        self._begun = begun(base.lora, own or {}, self._trained) if settings.keep_moments else {}
        self._optimizer.state.update({self._trained[name]: one.state() for name, one in self._begun.items()})
        self._micro = plan.training.micro_batch_size
        self.progress = Progress(loss_scale=LOSS_SCALE if base.device.dtype == torch.float16 else 1.0)
        self._restore()
        if self._private:
            self._private.begin(self.progress.step, self.steps)

    def run(self, done: Callable[[StepDone], None], control: Control) -> None:
        """Does all remaining steps. On Stopped the checkpoint has the last whole step."""
        written = self.progress.step
        try:
            if self._raw_correction and not self._start_gradient:
                self._start_gradient = self._mean_gradient(control)
            while self.progress.step < self.steps:
                done(self._step(control))
                if self.progress.step % self._settings.checkpoint_steps == 0 or self.progress.step == self.steps:
                    self._save()
                    written = self.progress.step
        except Stopped:
            if written != self.progress.step or written == 0:
                self._save()
            raise

    def kept_control(self) -> tuple[Adapter, Adapter]:
        """(new c_i, its change) after `run`, as B and A with the start's scales; zeros for factors always frozen.

        Raises LookupError if the plan has no ControlVariate.
        """
        if self._correction is None:
            raise LookupError("the plan has no control variate")
        if self._raw_correction:
            return self._correction.kept_of_gradient(self._start_gradient)
        return self._correction.kept_of_way(self.progress.rate_sum)

    def kept_moments(self) -> dict[str, Adapter]:
        """The optimiser's moments after `run`, for the site's next round; none where the plan does not ask for them."""
        return kept(self._base.lora, self._optimizer, self._trained) if self._settings.keep_moments else {}

    def importance(self) -> dict[str, float]:
        """Each module's share of importance after `run`; empty where the plan does not ask for it."""
        return self._importance.shares() if self._importance else {}

    def _new_optimizer(self) -> torch.optim.Optimizer:
        parameters, rate = list(self._trained.values()), self._settings.learning_rate
        if self._settings.optimizer == "sgd":
            return torch.optim.SGD(parameters, lr=rate, weight_decay=self._settings.weight_decay)
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=self._settings.weight_decay, fused=True)

    def _mean_gradient(self, control: Control) -> dict[str, Tensor]:
        """Mean of the task's raw gradients by batch at the start, without penalty, clipping and correction.

        Over one pass of the site's examples, or the round's batches if those are fewer.
        """
        batches = min(self.steps, self._schedule.steps_per_epoch)
        sums = {name: torch.zeros_like(parameter) for name, parameter in self._trained.items()}
        task_alone = Penalties(self._base.lora, (), {})
        for step in range(batches):
            examples = [self._examples[i] for i in self._schedule.batch(step)]
            self._gradients(examples, control, task_alone)
            for name, parameter in self._trained.items():
                if parameter.grad is not None:
                    sums[name] += parameter.grad
            self._optimizer.zero_grad()
        return {name: total / batches for name, total in sums.items()}

    def _step(self, control: Control) -> StepDone:
        started = time.perf_counter()
        step = self.progress.step
        rate = self._settings.learning_rate * self._rate_share(step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        if self._private:
            loss_sum, labels, tokens, waited = self._private_gradients(self._private, control)
        else:
            examples = [self._examples[i] for i in self._schedule.batch(step)]
            loss_sum, labels, tokens, waited = self._gradients(examples, control, self._penalties)
        if not math.isfinite(loss_sum):
            raise UserFacingError("training.diverged", step=step + 1, rate=rate)
        if self._importance:
            self._importance.add()
        if (penalty := self._penalties.of_factors()) is not None:
            penalty.backward()  # type: ignore[no-untyped-call]
        self._clip_and_correct()
        self._optimizer.step()
        self._optimizer.zero_grad()
        seconds = time.perf_counter() - started - waited
        self.progress.step += 1
        self.progress.loss_sum += loss_sum
        self.progress.labels += labels
        self.progress.seconds += seconds
        self.progress.rate_sum += rate
        loss = loss_sum / labels if labels else self.progress.mean_loss or 0.0  # a private draw may be empty
        return StepDone(step + 1, loss, rate, tokens, seconds)

    def _clip_and_correct(self) -> None:
        """Corrects raw gradients before clipping, and with a control of form "sgd" after it."""
        if self._correction is not None and self._raw_correction:
            self._correction.apply()
        if self._settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(list(self._trained.values()), self._settings.clip_norm)
        if self._correction is not None and not self._raw_correction:
            self._correction.apply()

    def _gradients(
        self, examples: list[Example], control: Control, penalties: Penalties
    ) -> tuple[float, int, int, float]:
        """Gradients of the whole effective batch; in smaller micro-batches where memory demands it.

        Returns the summed loss, labels, tokens and the seconds that a pause took.
        """
        watch = _Watch(control)
        while True:
            work = self._work(examples)
            loss_sum = self._accumulate(work, watch.look, penalties)
            if loss_sum is not None and self._unscaled():
                return loss_sum, work.labels, work.tokens, watch.waited
            self._optimizer.zero_grad()
            if loss_sum is None:
                self._base.memory.ran_out(max(len(batch.lengths) for batch in work.batches), max(map(len, examples)))

    def _private_gradients(self, private: PrivateSteps, control: Control) -> tuple[float, int, int, float]:
        """The same with differential privacy; the step counts as spent from here on, whatever becomes of it."""
        watch = _Watch(control)
        watch.look()
        drawn = private.draw()
        examples = [self._examples[at] for at, _ in drawn]
        loss_sum: float | None = None
        while examples and loss_sum is None:
            work = self._work(examples)
            try:
                loss_sum = private.add(work, drawn, watch.look)
            except torch.OutOfMemoryError:
                pass  # what follows is outside, since the error's frames hold the tensors
            if loss_sum is None:
                self._optimizer.zero_grad()
                self._base.memory.ran_out(max(len(batch.lengths) for batch in work.batches), max(map(len, examples)))
        private.finish()
        labels = sum(example.labels(self._settings.loss_on) for example in examples)
        return loss_sum or 0.0, labels, sum(map(len, examples)), watch.waited

    def _unscaled(self) -> bool:
        """Takes the loss' scale off the gradients; False if they were too large for float16, and the scale is lower."""
        scale = self.progress.loss_scale
        if scale == 1.0:
            return True
        gradients = [parameter.grad for parameter in self._trained.values() if parameter.grad is not None]
        if not torch.isfinite(torch.stack([gradient.sum() for gradient in gradients])).all():
            self.progress.loss_scale = max(1.0, scale * _LOWER)
            return False
        torch._foreach_mul_(gradients, 1 / scale)
        return True

    def _accumulate(self, work: Work, look: Callable[[], None], penalties: Penalties) -> float | None:
        """The loss of a whole step, whose gradients are on the parameters then; None where memory was too small."""
        try:
            if self._leader:
                return self._leader.accumulate(work, self._trained, penalties, look)
            return accumulate(self._base, work, penalties, look)
        except torch.OutOfMemoryError:
            return None  # what follows is outside, since the error's frames hold the tensors
        except Stopped:
            self._optimizer.zero_grad()
            raise

    def _work(self, examples: list[Example]) -> Work:
        at = torch.device("cpu")
        loss_on, weight = self._settings.loss_on, self._settings.mention_weight
        batches = [collate(rows, loss_on, at, weight) for rows in self._micro_batches(examples)]
        labels, tokens = sum(len(batch.labels) for batch in batches), sum(batch.count for batch in batches)
        return Work(batches, labels, tokens, self.progress.loss_scale)

    def _micro_batches(self, examples: list[Example]) -> Iterator[list[Example]]:
        longest = max(map(len, examples))
        rows = self._micro or len(examples)
        if self._micro is None and self._base.device.name == "cpu":
            rows = max(1, CPU_MICRO_TOKENS // longest)
        if self._base.processes:
            rows = min(rows, -(-len(examples) // self._base.processes.place.count))
        rows = self._base.memory.rows(rows, longest)
        return (examples[i : i + rows] for i in range(0, len(examples), rows))

    def _save(self) -> None:
        tensors: dict[str, Tensor] = {f"control/{name}": total for name, total in self._start_gradient.items()}
        for name, parameter in self._trained.items():
            tensors[name] = parameter
            state = self._optimizer.state.get(parameter, {})
            for moment in (FIRST, SECOND):
                if moment in state:
                    tensors[f"{moment}/{name}"] = state[moment]
        if self._importance:
            tensors["importance"] = self._importance.sums
        self._checkpoint.write(asdict(self.progress), tensors)

    def _restore(self) -> None:
        found = self._checkpoint.read()
        if found is None:
            return
        account, tensors = found
        if not (self._trained.keys() <= tensors.keys() and asdict(self.progress).keys() <= account.keys()):
            return
        self.progress = Progress(**{name: account[name] for name in asdict(self.progress)})
        if self._importance:
            self._importance.sums.copy_(tensors["importance"])
        for name, parameter in self._trained.items():
            with torch.no_grad():
                parameter.copy_(tensors[name])
            if f"{FIRST}/{name}" in tensors:
                first, second = (tensors[f"{one}/{name}"].to(parameter.device) for one in (FIRST, SECOND))
                earlier = self._begun[name].steps if name in self._begun else 0
                self._optimizer.state[parameter] = Moments(first, second, earlier).state(self.progress.step)
            if (gradient := tensors.get(f"control/{name}")) is not None:
                self._start_gradient[name] = gradient.to(parameter.device)


def _check_marks(examples: Sequence[Example]) -> None:
    marked = [example for example in examples if mention_starts(example.asked.answer)]
    if marked and not any(example.begins for example in marked):
        raise UserFacingError("training.tokenizer_without_places")


class _Watch:
    """Looks at the control, and knows how long that took: a pause is not training."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self.waited = 0.0

    def look(self) -> None:
        began = time.perf_counter()
        self._control.check()
        self.waited += time.perf_counter() - began
