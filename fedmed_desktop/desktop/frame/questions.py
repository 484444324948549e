# SPDX-License-Identifier: Apache-2.0
"""Confirmation questions: their words, and whether to ask at all."""

from __future__ import annotations

from datetime import datetime

from ...wording import clock, together, tr
from ..look.questions import Words
from ..work.desk import Desk


def about_staying() -> Words:
    """Asked once, where there is a tray and a federation that would go on without the window."""
    return Words(
        tr("Keep taking part while the window is closed?"),
        tr(
            "The program can stay in the tray, beside the clock: rounds go on, and you are told when a decision waits. "
            "If it closes, this site does not answer until you open it again. Your choice applies from now on; "
            "Settings can change it."
        ),
        tr("Stay in the tray"),
        tr("Keep the window open"),
        tr("Close the program"),
    )


def about_leaving(desk: Desk) -> Words:
    if desk.is_demo:
        return Words(
            tr("End the demonstration?"),
            tr("It starts from the beginning next time. What it has written so far is not kept."),
            tr("End it"),
            tr("Keep watching"),
        )
    return Words(
        tr("Stop taking part?"),
        tr(
            "This site no longer answers the coordinator. What it holds stays on this computer, and it can join again "
            "with the same folder."
        ),
        tr("Stop taking part"),
        tr("Keep taking part"),
    )


def about_closing(desk: Desk, now: datetime) -> Words | None:
    """Question before closing, only where somebody would lose something: a demonstration starts over, a training stands
    still, a decision that waits may come too late, a fitting is lost.
    """
    if desk.running and desk.is_demo:
        return Words(
            tr("Close the demonstration?"),
            tr("It starts from the beginning next time. What it has written so far is not kept."),
            tr("Close"),
            tr("Keep watching"),
        )
    if desk.running and (desk.counting_down or desk.pending):
        return _about_a_decision(desk, now)
    if desk.running and desk.computing.phase == "training":
        return Words(
            tr("Close while training?"),
            tr("Training stops at its current step, is saved, and continues when you open the program again."),
            tr("Stop and close"),
            tr("Keep training"),
        )
    if desk.fits:
        return Words(
            tr("Close while a model is being fitted?"),
            tr("What it has learned from your notes so far is not kept. You can start it again at any time."),
            tr("Stop and close"),
            tr("Keep training"),
        )
    return None


def about_beginning(desk: Desk) -> Words | None:
    """Question before a session begins, where that would end a fitting."""
    if not desk.fits:
        return None
    return Words(
        tr("Begin while a model is being fitted?"),
        tr("The fitting stops. What it has learned from your notes so far is not kept."),
        tr("Stop it and begin"),
        tr("Keep training"),
    )


def _about_a_decision(desk: Desk, now: datetime) -> Words:
    closes = desk.standing.closes if desk.standing else None
    until = tr("If nobody decides before the round closes, it closes without this site.")
    if closes and closes > now:
        until = tr("The round closes at {time}; if nobody has decided by then, it closes without this site.")
        until = until.format(time=clock(closes, now))
    if desk.counting_down:
        text = together(tr("Your approval is taken back, and you are asked again at the next start."), until)
        return Words(tr("Close before it is sent?"), text, tr("Close"), tr("Let it be sent"))
    text = together(tr("While this program is closed, nobody is notified."), until)
    return Words(tr("Close while your decision is awaited?"), text, tr("Close"), tr("Stay open"))
