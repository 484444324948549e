# SPDX-License-Identifier: Apache-2.0
"""Sessions on the network thread: a site's part in a federation, or a whole demonstration; told as items. What it takes
to make an agent or a demonstration (torch, for one) is a `Backend`'s matter, which `app` supplies.
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Literal, Protocol

from ... import events
from ...demo.settings import DemoOptions
from ...errors import UserFacingError
from ...federation import Control
from ...site import Approver, Jobs, SiteAgent, operating_user
from ...site.fitted import FITTED, kept_outcome
from ...site.folder import has_checkpoint
from .interrupted import interrupted_at, told_interrupted
from .news import AgreementAsked, DemoScored, FittingShown, Item, Measured, Problem, SessionEnded
from .requests import EvaluationWanted, FittingWanted, JoinRequest, TrialRequest

Put = Callable[[Item], None]

# After these the site's record has changed, or is known for the first time.
_RECORDED = (
    events.Joined,
    events.UpdatePending,
    events.DecisionRecorded,
    events.ReceiptReceived,
    events.UpdateRefused,
    events.FederationFinished,
)


class Backend(Protocol):
    """The work that needs torch. `make_agent`, `prepare_demo`, `read`, `evaluate`, `fit` are called on the training
    thread."""

    def make_agent(
        self, request: JoinRequest, approver: Approver, jobs: Jobs, emit: Callable[[events.Event], None]
    ) -> SiteAgent: ...

    def export(self, agent: SiteAgent, request: JoinRequest, adapter: str) -> Path: ...

    def prepare_demo(self) -> None: ...

    async def run_demo(
        self,
        options: DemoOptions,
        approver: Approver,
        jobs: Jobs,
        emit: Callable[[events.Event], None],
        joined: Callable[[SiteAgent], None],
    ) -> DemoScored: ...

    def read(self, request: TrialRequest, put: Put, control: Control) -> None: ...

    def evaluate(self, wanted: EvaluationWanted, put: Put, control: Control) -> None: ...

    def fit(self, wanted: FittingWanted, put: Put, control: Control) -> None: ...


class Session:
    """One session: its agent, once there is one, and what it says. Everything on the network thread but `over`."""

    def __init__(self, backend: Backend, jobs: Jobs, approver: Approver, put: Put) -> None:
        self._backend = backend
        self._jobs = jobs
        self._approver = approver
        self._put = put
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self.agent: SiteAgent | None = None
        self.over = False

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Starts `site` or `demo`; however that ends, SessionEnded is the last thing that is said."""
        self._task = asyncio.get_running_loop().create_task(work, name="session")
        self._task.add_done_callback(self._ended)

    def stop(self) -> None:
        """Ends the work at its next step, with a checkpoint. `over` once that is done; asking twice changes nothing. An
        approval that is not in effect yet is taken back: nothing may be said to leave while nobody can send it.
        """
        if self._task is None or self._stopping or self.over:
            return
        self._stopping = True
        try:
            self._take_back()
        finally:
            self._task.cancel()

    def _take_back(self) -> None:
        for entry in self.agent.record().entries if self.agent else ():
            if self.agent and entry.state == "approved":
                with contextlib.suppress(UserFacingError):  # in effect since this moment: it is sent at the next start
                    self.agent.take_back(entry.sha256, operating_user(), "the work was stopped")

    async def site(self, request: JoinRequest) -> None:
        """Takes part in a federation until that has finished."""
        agent = await self._made(request)
        try:
            measured = await asyncio.to_thread(agent.measured)
            self._put(Measured(tuple(measured)))
            self._opened(agent)
            if kept := await asyncio.to_thread(kept_outcome, request.data_dir / FITTED):
                self._put(FittingShown("done", outcome=kept))
            if last := interrupted_at(agent.record(), measured):
                is_saved = await asyncio.to_thread(has_checkpoint, request.data_dir, last.round)
                self._put(told_interrupted(last, is_saved))
            if not request.agreed and not agent.record().entries:  # who has taken part has agreed
                agent.pause()
                self._put(AgreementAsked(True))
            final = await agent.run()
            await asyncio.to_thread(self._backend.export, agent, request, final)
        finally:
            agent.close()  # its folder is free again, also where it never ran

    async def _made(self, request: JoinRequest) -> SiteAgent:
        """The agent. Where the person stops meanwhile, what the job still makes lets go of its folder again."""
        making = asyncio.ensure_future(
            self._jobs.run(lambda: self._backend.make_agent(request, self._approver, self._jobs, self._emit))
        )
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            for made in await asyncio.gather(making, return_exceptions=True):
                if isinstance(made, SiteAgent):
                    made.close()
            raise

    async def demo(self, options: DemoOptions) -> None:
        """Runs a demonstration to its scores."""
        await self._jobs.run(self._backend.prepare_demo)
        self._put(await self._backend.run_demo(options, self._approver, self._jobs, self._emit, self._opened))

    def _ended(self, task: asyncio.Task[None]) -> None:
        reason: Literal["finished", "stopped", "failed"] = "stopped"
        if not task.cancelled():
            error = task.exception()
            reason = "failed" if error else "finished"
            if error:
                details = "".join(traceback.format_exception(error))
                self._put(Problem.of(error, details, fatal=True))
        self.over = True  # before it is told: the next session may begin at once
        self._put(SessionEnded(reason))

    def _opened(self, agent: SiteAgent) -> None:
        """Emits the record of earlier starts before any new event."""
        self.agent = agent
        self._put(agent.record())

    def _emit(self, event: events.Event) -> None:
        self._put(event)
        if isinstance(event, _RECORDED) and self.agent and event.site == self.agent.name:
            self._put(self.agent.record())
