# SPDX-License-Identifier: Apache-2.0
"""From a pending update to a decision in effect: asks, records, waits out the time for taking back, releases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from .. import events
from ..errors import UserFacingError
from ..storage import Entry, Outbox
from .approval import Approver

Decided = Literal["approved", "released", "kept", "taken_back", "expired"]


class Decisions:
    """One site's decisions, on the agent's loop; `phase` is told when an update begins to wait, or waited in vain."""

    def __init__(
        self,
        site: str,
        outbox: Outbox,
        approver: Approver,
        emit: Callable[[events.Event], None],
        phase: Callable[[int, events.Phase], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._site = site
        self._outbox = outbox
        self._approver = approver
        self._emit = emit
        self._phase = phase
        self._clock = clock
        self._taken_back = asyncio.Event()

    def take_back_unreleased(self) -> None:
        """At start and end: an approval that was not in effect when the program ended is a question again."""
        for entry in self._outbox.take_back_unreleased(self._clock()):
            self._note(entry, "taken_back", "agent", "the program ended before the approval was in effect")

    def reopened(self, entry: Entry, attempt: int) -> Entry:
        """What was kept is a question again where the coordinator asks anew; at the same attempt it stays kept."""
        if entry.state != "kept" or attempt <= int(self._outbox.recall(f"attempt {entry.sha256}") or attempt):
            return entry
        return self._outbox.ask_again(entry.sha256, self._clock())

    def remember_attempt(self, entry: Entry, attempt: int) -> None:
        """At which of the coordinator's attempts the update was kept."""
        self._outbox.remember(f"attempt {entry.sha256}", str(attempt))

    async def made(self, entry: Entry) -> Entry:
        """Until the update is released, kept or expired. An approval comes into effect only here, while we run."""
        while entry.state in ("pending", "approved"):
            entry = await (self._ask(entry) if entry.state == "pending" else self._until_effective(entry))
        return entry

    def take_back(self, sha256: str, by: str, reason: str) -> None:
        """Undoes an approval that is not yet in effect. Raises UserFacingError if it is."""
        entry = self._outbox.take_back(sha256, by, reason, self._clock())
        self._note(entry, "taken_back", by, reason)
        self._taken_back.set()

    def expire_before(self, round_number: int) -> None:
        """Rounds before this one are closed: what still waits for a decision stays at the site."""
        for entry in self._outbox.in_state("pending", "approved"):
            if entry.plan.round < round_number:
                for gone in self._outbox.expire(entry.plan.round, self._clock()):
                    self._note(gone, "expired", "agent", "round closed")
                self._phase(entry.plan.round, "missed")

    async def _ask(self, entry: Entry) -> Entry:
        round_number = entry.plan.round
        self._emit(
            events.UpdatePending(site=self._site, round=round_number, update=entry.sha256, bytes=entry.update.size)
        )
        self._phase(round_number, "approval")
        verdict = await self._approver.decide(entry)
        now = self._clock()
        sha256, by, reason = entry.sha256, verdict.by, verdict.reason
        if not verdict.approve:
            entry = await self._recorded(lambda: self._outbox.keep(sha256, by, reason, now), "kept", by, reason)
            self._phase(round_number, "kept")
            return entry
        self._taken_back.clear()
        return await self._recorded(
            lambda: self._outbox.approve(sha256, by, reason, now, verdict.delay), "approved", by, reason
        )

    async def _recorded(self, write: Callable[[], Entry], decision: Decided, by: str, reason: str) -> Entry:
        """Written on another thread, then told. Cancelled meanwhile it still tells what was written: the record and
        the events must say the same."""

        async def both() -> Entry:
            entry = await asyncio.to_thread(write)
            self._note(entry, decision, by, reason)
            return entry

        work = asyncio.create_task(both())
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            if not work.cancelled():
                work.exception()  # who asked is gone; what is on disk holds
            raise

    async def _until_effective(self, entry: Entry) -> Entry:
        assert entry.effective is not None
        try:
            async with asyncio.timeout(max(0.0, (entry.effective - self._clock()).total_seconds())):
                await self._taken_back.wait()
        except TimeoutError:
            try:
                now = max(self._clock(), entry.effective)
                return await self._recorded(lambda: self._outbox.release(entry.sha256, now), "released", "agent", "")
            except UserFacingError as error:
                if error.code != "storage.not_released":
                    raise
        # Taken back, if at the last moment: what the outbox says holds.
        return self._outbox.entry(entry.sha256)

    def _note(self, entry: Entry, decision: Decided, by: str, reason: str) -> None:
        self._emit(
            events.DecisionRecorded(
                site=self._site,
                round=entry.plan.round,
                update=entry.sha256,
                decision=decision,
                by=by,
                reason=reason,
            )
        )
