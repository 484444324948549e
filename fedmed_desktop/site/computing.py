# SPDX-License-Identifier: Apache-2.0
"""Plans carried out on the working thread: the trainer, its checkpoints, and what it says meanwhile."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import events
from ..federation import Control, FederationSpec, Given, LocalResult, Plan, Trainer
from ..files import make_folder
from ..storage.journal import Journal
from .jobs import JobRunner


class Computing:
    """Runs plans, from the agent's loop; what a trainer emits is passed on from the working thread."""

    def __init__(
        self,
        folder: Path,
        make_trainer: Callable[[FederationSpec], Trainer],
        jobs: JobRunner,
        journal: Journal,
        emit: Callable[[events.Event], None],
        enter: Callable[[int, events.Phase], None],
    ) -> None:
        self._folder = folder
        self._make_trainer = make_trainer
        self._jobs = jobs
        self._journal = journal
        self._emit = emit
        self._enter = enter
        self.trainer: asyncio.Future[Trainer] | None = None

    def prepare(self, spec: FederationSpec, done: Callable[[asyncio.Future[Any]], None]) -> None:
        """Makes the trainer, once, on the working thread; `done` is called with the outcome."""
        if self.trainer is None:
            # On the working thread, not here: the line stays alive while another site of this process trains.
            self.trainer = asyncio.ensure_future(self._jobs.run(lambda: self._make_trainer(spec)))
            self.trainer.add_done_callback(done)

    async def carry_out(self, plan: Plan, given: Given, control: Control) -> LocalResult:
        """Trains or evaluates. Cancelled, it ends the work at a checkpoint first. Raises UserFacingError."""
        assert self.trainer is not None
        trainer = await asyncio.shield(self.trainer)  # a round that ends must not take the trainer with it
        folder = make_folder(self._checkpoints(plan))

        def job() -> LocalResult:
            try:
                control.check()
                if plan.kind == "evaluate":
                    return trainer.evaluate(plan, given, self._said, control)
                return trainer.train_round(plan, given, folder, self._said, control)
            finally:
                self._journal.flush()

        self._enter(plan.round, "waiting")
        work = asyncio.ensure_future(self._jobs.run(job))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            control.stop()
            await asyncio.gather(work, return_exceptions=True)
            raise

    def _said(self, event: events.Event) -> None:
        """Passes on an event of the trainer; called on the working thread."""
        if isinstance(event, events.PhaseChanged):
            self._journal.flush()
            self._enter(event.round, event.phase)
            return
        if isinstance(event, events.TrainingStep | events.Evaluated):
            self._journal.append(event)
        self._emit(event)

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def forget(self, plan: Plan) -> None:
        """Deletes the plan's checkpoints: its update is in the outbox."""
        shutil.rmtree(self._checkpoints(plan), ignore_errors=True)

    def forget_before(self, round_number: int) -> None:
        """Deletes the checkpoints of closed rounds, adapters trained on notes, and thins out their measurements."""
        for folder in (self._folder / "checkpoints").glob("round-*"):
            number = folder.name.removeprefix("round-")  # none in a copy that somebody has made of one
            if number.isdecimal() and int(number) < round_number:
                shutil.rmtree(folder, ignore_errors=True)
        self._journal.thin_before(round_number)

    def _checkpoints(self, plan: Plan) -> Path:
        return self._folder / "checkpoints" / f"round-{plan.round}"
