# SPDX-License-Identifier: Apache-2.0
"""Questions before something that would surprise a person: the words, and whether to ask at all."""

from __future__ import annotations

from typing import NamedTuple

from ...wording import tr
from ..work.desk import Desk


class Words(NamedTuple):
    """A question in a line, what follows from it, and its two verbs; `no` changes nothing."""

    title: str
    text: str
    yes: str
    no: str


def about_leaving(desk: Desk) -> Words:
    if desk.is_demo:
        return Words(
            tr("End the demonstration?"),
            tr("It starts from the beginning next time. What it has written so far is not kept."),
            tr("End it"),
            tr("Continue"),
        )
    return Words(
        tr("Stop taking part?"),
        tr(
            "This site no longer answers the coordinator. What it holds stays on this computer, and it can join again "
            "with the same folder."
        ),
        tr("Stop taking part"),
        tr("Continue"),
    )


def about_closing(desk: Desk) -> Words | None:
    """Only where somebody would lose time: a demonstration starts over, a training stands still."""
    if desk.running and desk.is_demo:
        return Words(
            tr("Close the demonstration?"),
            tr("It starts from the beginning next time. What it has written so far is not kept."),
            tr("Close"),
            tr("Keep watching"),
        )
    if desk.running and desk.computing.phase == "training":
        return Words(
            tr("Close while training?"),
            tr("Training stops at its current step, is saved, and continues when you open the program again."),
            tr("Stop and close"),
            tr("Keep training"),
        )
    return None
