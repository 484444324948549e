# SPDX-License-Identifier: Apache-2.0
"""The training loop: LoRA factors by AdamW, exact resume, a look at the control at every micro-step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UserFacingError
from ..federation.plan import TrainingSettings
from ..federation.work import Control, Stopped
from .base import BaseModel
from .batches import Batch, Example, Examples, Schedule, collate
from .checkpoints import Checkpoint

CPU_MICRO_TOKENS = 1024
"""Padded tokens of a micro-batch on the CPU where the plan names no size: more fall out of the caches (measured: a
batch of 16 notes is a fifth faster in two halves)."""


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
    """What has been done so far in this round; written into checkpoints."""

    step: int = 0
    loss_sum: float = 0.0
    labels: int = 0
    seconds: float = 0.0

    @property
    def mean_loss(self) -> float | None:
        return self.loss_sum / self.labels if self.labels else None


class Training:
    """One round's training of the adapter in the base's slot. Runs in one thread; same seed, same bits (CPU)."""

    def __init__(
        self,
        base: BaseModel,
        examples: Examples,
        settings: TrainingSettings,
        freeze: tuple[Literal["A", "B"], ...],
        seed: int,
        checkpoint: Checkpoint,
    ) -> None:
        self._base, self._examples, self._settings = base, examples.items, settings
        self._checkpoint = checkpoint
        self._schedule = Schedule([len(e) for e in examples.items], settings.batch_size, seed)
        self.steps = settings.steps or max(1, round((settings.epochs or 0) * self._schedule.steps_per_epoch))
        base.lora.freeze(freeze)
        self._trained = {n: p for n, p in base.lora.parameters().items() if p.requires_grad}
        for parameter in self._trained.values():
            parameter.grad = None  # a training on the same base that ended in a fault may have left some
        self._optimizer = torch.optim.AdamW(
            list(self._trained.values()), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self._micro = settings.micro_batch_size
        self.progress = Progress()
        self._restore()

    def run(self, done: Callable[[StepDone], None], control: Control) -> None:
        """All remaining steps. On Stopped the last whole step lies in the checkpoint."""
        written = self.progress.step
        try:
            while self.progress.step < self.steps:
                done(self._step(control))
                if self.progress.step % self._settings.checkpoint_steps == 0 or self.progress.step == self.steps:
                    self._save()
                    written = self.progress.step
        except Stopped:
            if written != self.progress.step or written == 0:
                self._save()
            raise

    def _step(self, control: Control) -> StepDone:
        started = time.perf_counter()
        step = self.progress.step
        examples = [self._examples[i] for i in self._schedule.batch(step)]
        rate = self._settings.learning_rate * learning_rate_share(step, self.steps, self._settings.warmup_share)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        loss_sum, labels, tokens, waited = self._gradients(examples, control)
        if not math.isfinite(loss_sum):
            raise UserFacingError("training.diverged", step=step + 1, rate=rate)
        if self._settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(list(self._trained.values()), self._settings.clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        seconds = time.perf_counter() - started - waited
        self.progress.step += 1
        self.progress.loss_sum += loss_sum
        self.progress.labels += labels
        self.progress.seconds += seconds
        return StepDone(step + 1, loss_sum / labels, rate, tokens, seconds)

    def _gradients(self, examples: list[Example], control: Control) -> tuple[float, int, int, float]:
        """Gradients of the whole effective batch; halves the micro-batch as often as memory demands.

        Returns the summed loss, labels, tokens and the seconds that a pause took.
        """
        while True:
            try:
                return self._accumulate(examples, control)
            except torch.OutOfMemoryError:
                self._optimizer.zero_grad()
                rows = max(map(len, self._micro_batches(examples)))
                if rows == 1:
                    raise UserFacingError("training.out_of_memory", device=self._base.device.name) from None
                self._micro = rows // 2
                torch.cuda.empty_cache()

    def _accumulate(self, examples: list[Example], control: Control) -> tuple[float, int, int, float]:
        batches = [
            collate(rows, self._settings.loss_on, self._base.device.torch) for rows in self._micro_batches(examples)
        ]
        labels = sum(len(batch.labels) for batch in batches)
        loss_sum = waited = 0.0
        try:
            for batch in batches:
                waiting = time.perf_counter()
                control.check()
                waited += time.perf_counter() - waiting
                loss = label_losses(self._base, batch)
                (loss / labels).backward()  # type: ignore[no-untyped-call]
                loss_sum += loss.item()
        except Stopped:
            self._optimizer.zero_grad()
            raise
        return loss_sum, labels, sum(batch.count for batch in batches), waited

    def _micro_batches(self, examples: list[Example]) -> Iterator[list[Example]]:
        rows = self._micro or len(examples)
        if self._micro is None and self._base.device.name == "cpu":
            rows = max(1, CPU_MICRO_TOKENS // max(map(len, examples)))
        return (examples[i : i + rows] for i in range(0, len(examples), rows))

    def _save(self) -> None:
        tensors: dict[str, Tensor] = {}
        for name, parameter in self._trained.items():
            tensors[name] = parameter
            state = self._optimizer.state.get(parameter, {})
            for moment in ("exp_avg", "exp_avg_sq"):
                if moment in state:
                    tensors[f"{moment}/{name}"] = state[moment]
        self._checkpoint.write(asdict(self.progress), tensors)

    def _restore(self) -> None:
        found = self._checkpoint.read()
        if found is None or not self._trained.keys() <= found[1].keys():
            return
        account, tensors = found
        self.progress = Progress(**{name: account[name] for name in asdict(self.progress)})
        for name, parameter in self._trained.items():
            with torch.no_grad():
                parameter.copy_(tensors[name])
            if self.progress.step:
                self._optimizer.state[parameter] = self._moments(parameter, tensors, name)

    def _moments(self, parameter: nn.Parameter, tensors: dict[str, Tensor], name: str) -> dict[str, Any]:
        device = parameter.device
        moments: dict[str, Any] = {m: tensors[f"{m}/{name}"].to(device) for m in ("exp_avg", "exp_avg_sq")}
        return {"step": torch.tensor(float(self.progress.step), device=device), **moments}


def label_losses(base: BaseModel, batch: Batch) -> Tensor:
    """Cross-entropy (nats) summed over the labels of a batch."""
    with base.device.autocast():
        logits = base.selected_logits(batch.predicts, input_ids=batch.tokens, use_cache=False)
    return functional.cross_entropy(logits, batch.labels, reduction="sum")


def learning_rate_share(step: int, steps: int, warmup_share: float) -> float:
    """Share of the peak rate at `step` (from 0): linear over int(share * steps) steps, then cosine towards 0."""
    warmup = int(warmup_share * steps)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
