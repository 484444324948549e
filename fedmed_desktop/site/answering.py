# SPDX-License-Identifier: Apache-2.0
"""A site's answer to the plan of a round: fetched, carried out, decided on, offered, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from .. import events
from ..errors import UserFacingError
from ..federation import Control, LocalResult, Plan
from ..protocol.messages import Decline, OfferUpdate, Receipt, Refused
from ..storage import Entry, Journal, Outbox
from .computing import Computing
from .decisions import Decisions
from .download import Downloads
from .holdings import Holdings
from .link import Link
from .phases import Phases


class Answering:
    """On the agent's loop: one plan at a time, in a task of its own; what that raises goes to `done`.

    A plan that comes again is answered again, from the outbox where the answer is there already.
    """

    def __init__(
        self,
        site: str,
        *,
        outbox: Outbox,
        holdings: Holdings,
        downloads: Downloads,
        computing: Computing,
        decisions: Decisions,
        phases: Phases,
        journal: Journal,
        link: Link,
        emit: Callable[[events.Event], None],
        clock: Callable[[], datetime],
        done: Callable[[asyncio.Future[Any]], None],
    ) -> None:
        self._site = site
        self._outbox = outbox
        self._holdings = holdings
        self._downloads = downloads
        self._computing = computing
        self._decisions = decisions
        self._phases = phases
        self._journal = journal
        self._link = link
        self._emit = emit
        self._clock = clock
        self._done = done
        self._plan: Plan | None = None
        self._attempt = 1
        self._work: asyncio.Task[None] | None = None
        self._offered: set[str] = set()
        self._answered = asyncio.Event()

    async def asked(self, plan: Plan, attempt: int) -> None:
        """Begins to answer. What was under way for another plan ends first."""
        self._attempt = attempt
        if plan == self._plan and self._work and not self._work.done():
            # The coordinator may have missed it, or begun to count anew; an operator's time depends on it.
            self._phases.tell_again(plan.round)
            return
        if plan != self._plan:
            await self._close_before(plan.round)
        self._plan = plan
        self._start(self._answer(plan, self._phases.new_control()), f"round {plan.round} of {self._site}")

    async def not_asked(self, round_number: int) -> None:
        """The round goes on without this site: what still ran or waited for an earlier one is over."""
        if self._plan is None or self._plan.round < round_number:
            await self._close_before(round_number)
            self._phases.enter(round_number, "not_asked")

    async def instead(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Ends what is under way and does this, which a later plan may end in turn."""
        await self.end()
        self._start(work(), f"work of {self._site}")

    async def end(self) -> None:
        """What is under way ends, a training at a checkpoint."""
        self._phases.control.stop()
        if self._work:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
            self._work = None

    async def offer_again(self) -> None:
        """On a new connection, where nothing of the earlier offers is known to have arrived."""
        self._offered.clear()
        for entry in await asyncio.to_thread(self._outbox.in_state, "released"):
            await self._offer(entry)

    async def verdict(self, message: Receipt | Refused) -> None:
        """The coordinator's, on something that was sent; repeated or unknown ones change nothing."""
        released = await asyncio.to_thread(self._outbox.in_state, "released")
        entry = next((entry for entry in released if entry.sha256 == message.update), None)
        if entry is None:
            return
        if isinstance(message, Receipt):
            await asyncio.to_thread(self._outbox.acknowledged, message.update, self._clock())
            self._answered.set()
            self._emit(events.ReceiptReceived(site=self._site, round=message.round, update=message.update))
            self._phases.enter(message.round, "sent")
            return
        await asyncio.to_thread(self._outbox.refused, message.update, message.code, self._clock())
        self._answered.set()
        self._emit(
            events.UpdateRefused(
                site=self._site, round=message.round, update=message.update, code=message.code, params=message.params
            )
        )
        if self._plan in (None, entry.plan):  # else another plan of the round is being answered
            await self._link.send(Decline(round=message.round, code="failed"))

    async def _close_before(self, round_number: int) -> None:
        await self.end()
        self._decisions.expire_before(round_number)
        await self._computing.forget_checkpoints_before(round_number)
        await asyncio.to_thread(self._journal.thin_before, round_number)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._work = asyncio.create_task(work, name=name)
        self._work.add_done_callback(self._done)

    async def _answer(self, plan: Plan, control: Control) -> None:
        try:
            entry = await self._decided(plan, control)
        except UserFacingError as error:
            # A full disk, for one. This round has failed here; nothing that was not written counts as done, and the
            # site goes on with what is on disk when it is asked again.
            self._emit(events.Failed(site=self._site, round=plan.round, code=error.code, params=error.params))
            await self._link.send(Decline(round=plan.round, code="failed"))
            return
        if entry.state == "released":
            await self._offer(entry)
        elif entry.state in ("kept", "expired"):
            await self._link.send(Decline(round=plan.round, code="kept" if entry.state == "kept" else "expired"))
        elif entry.state == "refused":
            await self._link.send(Decline(round=plan.round, code="failed"))

    async def _decided(self, plan: Plan, control: Control) -> Entry:
        """The plan's update, made if need be, and decided on. Raises UserFacingError."""
        entry = await asyncio.to_thread(self._outbox.for_plan, plan)
        if entry is None:
            result = await self._carry_out(plan, control)
            await asyncio.to_thread(self._holdings.keep, plan, result)
            entry = await asyncio.to_thread(self._outbox.put, plan, result, self._clock())
            await self._computing.forget_checkpoints(plan)
        entry = await self._decisions.made(self._decisions.reopened(entry, self._attempt))
        if entry.state == "kept":
            self._decisions.remember_attempt(entry, self._attempt)
        return entry

    async def _carry_out(self, plan: Plan, control: Control) -> LocalResult:
        self._phases.enter(plan.round, "downloading")
        for sha256 in plan.blobs:
            await self._downloads.fetch(sha256, plan.round)
        self._emit(events.PlanFetched(site=self._site, round=plan.round, start=plan.start, frozen=plan.frozen))
        if plan.variate:
            await self._all_answered(plan.round)
        given = await asyncio.to_thread(self._holdings.given, plan)
        return await self._computing.carry_out(plan, given, control)

    async def _all_answered(self, round_number: int) -> None:
        """Until the coordinator has said of each earlier update whether it counts: c_i moves only with those.

        A receipt that a cut has swallowed is told again after the next welcome, perhaps after the round's plan.
        """
        while True:
            self._answered.clear()
            released = await asyncio.to_thread(self._outbox.in_state, "released")
            if all(entry.plan.round >= round_number for entry in released):
                return
            await self._answered.wait()

    async def _offer(self, entry: Entry) -> None:
        if entry.sha256 in self._offered or self._link.connection is None:
            return
        self._offered.add(entry.sha256)
        self._phases.enter(entry.plan.round, "uploading")
        await self._link.send(OfferUpdate(update=entry.update))
