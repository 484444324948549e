# SPDX-License-Identifier: Apache-2.0
"""Approval asked for on the terminal, with the evidence printed first."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Final

from rich.console import Console
from rich.table import Table

from ..federation import scalars
from ..federation.policy import InForce
from ..federation.work import Entry
from ..site import TAKE_BACK, Verdict, operating_user
from ..wording import together
from ..wording.probes import revealed, verdict
from ..wording.protection import protection
from .console import BufferedFace

_QUESTION: Final = "Send it, keep it on this computer, or hold (ask again)? [send/keep/hold] "

_NOBODY: Final = (
    "\nNobody can answer here: there is no terminal. The update stays on this computer and waits. "
    "Start the site again in a terminal to decide, or with --approve-rule."
)


class Lines:
    """Lines of standard input for coroutines. A daemon thread reads, so that the program can end without it."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def _read(self) -> None:
        try:
            for text in sys.stdin:
                self._loop.call_soon_threadsafe(self._queue.put_nowait, text.strip())
            self._loop.call_soon_threadsafe(self._queue.put_nowait, None)
        except RuntimeError:
            return  # the program is ending and its loop is closed

    def forget(self) -> None:
        """Drops lines typed before the question: they are not its answer."""
        ended = False
        while not self._queue.empty():
            ended = self._queue.get_nowait() is None
        if ended:
            self._queue.put_nowait(None)

    async def next(self) -> str | None:
        """The next line; None once the input has ended."""
        if (text := await self._queue.get()) is None:
            self._queue.put_nowait(None)  # for whoever asks next
        return text


class TerminalApprover:
    """Asks a person. Enter alone holds: nothing irrevocable happens by accident."""

    def __init__(self, face: BufferedFace, destination: str, policy: Callable[[], InForce] = InForce) -> None:
        self._face = face
        self._destination = destination
        self._policy = policy
        self._console = Console(markup=False, emoji=False)  # names and words come from elsewhere
        self._lines: Lines | None = None
        self._who = operating_user()

    async def decide(self, entry: Entry) -> Verdict:
        """Returns the person's decision. After "hold" the next Enter asks again."""
        self._lines = self._lines or Lines()
        with self._face.question():
            self._lines.forget()
            self._console.print(evidence_table(entry, self._destination))
            if entry.first_by:
                print(f"{entry.first_by} has approved it. Your hospital's policy asks for a second person.")
            while True:
                print(_QUESTION, end="", flush=True)
                answer = await self._lines.next()
                if answer is None:
                    print(_NOBODY, flush=True)
                    await asyncio.Event().wait()
                if answer in ("send", "keep"):
                    break
                print("Held. Nothing has left this computer. Press Enter to be asked again.", flush=True)
                await self._lines.next()
            print("Reason (kept in this site's record, never sent): ", end="", flush=True)
            reason = await self._lines.next() or ""
            if answer == "send" and entry.first_by.casefold() == self._who.casefold():
                print("Name of the second person (their account here): ", end="", flush=True)
                return Verdict.of_second(await self._lines.next() or "", self._who, reason)
            if answer == "send":
                self._say_when(entry)
        return Verdict(approve=answer == "send", by=self._who, reason=reason)

    def _say_when(self, entry: Entry) -> None:
        if self._policy().people > 1 and not entry.first_by:
            print("Nothing leaves before a second person has approved it as well.")
            return
        seconds = int(TAKE_BACK.total_seconds())
        print(f"The first byte may leave in {seconds} seconds; stop the program to take it back.")


def evidence_table(entry: Entry, destination: str) -> Table:
    """Facts for an operator's decision: the bytes that leave, their scores and their drift."""
    update, report, evidence = entry.update, entry.update.report, entry.evidence
    title = f"Update for round {entry.plan.round}" if update.parts else "Final scores of the federation's adapter here"
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column()
    table.add_row("to", destination)
    for name, part in sorted(update.parts.items()):
        table.add_row("leaves", f"{name}: {part.size:,} bytes, sha256 {part.sha256[:16]}..")
    if not update.parts:
        table.add_row("leaves", "scores only, no adapter")
    if among := evidence.masked:
        table.add_row("masked", "The coordinator cannot see this update alone, only the sum of those of these sites:")
        table.add_row("", ", ".join(among.sites))
        table.add_row("words", f"{among.phrase} (all of these sites see the same)")
        if among.clipped:
            table.add_row("cut off", f"{among.clipped:,} of {among.values:,} values")
    for name, value in scalars(report):
        table.add_row(f"leaves: {name}", value)
    if promise := protection(entry.plan, report, evidence):
        table.add_row("privacy", promise)
    table.add_row("never", "note text, labels, names, your reason")
    earlier = {(task, kind): counts for task, kind, counts in evidence.scores_before.by_type()}
    for task, kind, after in evidence.scores_after.by_type():
        before = earlier.get((task, kind))
        named = kind if len(evidence.scores_after.tasks) == 1 else f"{task}: {kind}"
        table.add_row(f"F1 {named}", (f"{before.f1:.2f} -> " if before else "") + f"{after.f1:.2f}")
    if update.parts:
        table.add_row("model drift", _measured(evidence.model_drift))
        table.add_row("performance drift", _measured(evidence.performance_drift))
        if evidence.semantic_drift is not None:
            table.add_row("semantic drift", _measured(evidence.semantic_drift))
        table.add_row("rank", str(evidence.rank))
        table.add_row("may reveal", verdict(evidence.probes))
        for row in revealed(entry):
            table.add_row(f"  {row.name}", together(f"{row.word}.", row.sentence, row.numbers))
    return table


def _measured(value: float | None) -> str:
    return "first round: no reference yet" if value is None else f"{value:.2f}"
