# SPDX-License-Identifier: Apache-2.0
"""Questions before something that would surprise a person: the words, and whether to ask at all."""

from __future__ import annotations

from typing import NamedTuple

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
            "End the demonstration?",
            "It starts over the next time. What it wrote so far is not kept.",
            "End it",
            "Go on",
        )
    return Words(
        "Stop taking part?",
        "This site no longer answers the coordinator. What it holds stays on this computer, and it can join again with "
        "the same folder.",
        "Stop taking part",
        "Go on",
    )


def about_closing(desk: Desk) -> Words | None:
    """Only where somebody would lose time: a demonstration starts over, a training stands still."""
    if desk.running and desk.is_demo:
        return Words(
            "Close the demonstration?",
            "It starts over the next time. What it wrote so far is not kept.",
            "Close",
            "Go on watching",
        )
    if desk.running and desk.computing.phase == "training":
        return Words(
            "Close while training?",
            "Training stops at its present step, is saved, and goes on when you open the program again.",
            "Stop and close",
            "Go on training",
        )
    return None
