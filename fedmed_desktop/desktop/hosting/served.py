# SPDX-License-Identifier: Apache-2.0
"""Sentences about the coordinator that runs on this computer. No Qt."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ...wording import together, tr
from ..work.hosted import Hosted

State = Literal["starting", "serving", "stopping", "stopped", "failed"]


class Verdict(NamedTuple):
    """The plain words first, then what follows from them; `tone` as of a VerdictLine."""

    words: str
    tone: str
    sentence: str


def verdict(hosted: Hosted, state: State, fault: str = "") -> Verdict:
    """`fault`: what the coordinator said last where it ended by itself, or why it could not be started."""
    match state:
        case "starting":
            return Verdict(tr("The coordinator is starting…"), "dim", tr("This takes some seconds."))
        case "stopping":
            return Verdict(
                tr("The coordinator is finishing its work…"),
                "dim",
                tr("If it is combining updates, this may take half a minute."),
            )
        case "serving" if hosted.network:
            return Verdict(
                tr("The federation is served at {address}").format(address=hosted.public),
                "ok",
                tr("Sites can join while this computer is on. They find it by the address in their invitations."),
            )
        case "serving":
            return Verdict(
                tr("The federation is served on this computer"),
                "ok",
                tr("Only sites on this computer can join, at {address}.").format(address=hosted.public),
            )
        case "failed":
            kept = tr("What has been done so far is kept.")
            return Verdict(tr("The coordinator has stopped by itself"), "bad", together(fault, kept))
        case _:
            return Verdict(
                tr("The federation is not served now"),
                "warn",
                tr(
                    "Sites are waiting for it. Nothing is lost: once it runs again, everything continues where it "
                    "stopped."
                ),
            )


def facts(hosted: Hosted) -> list[tuple[str, str]]:
    """Name and value of what a host may be asked for."""
    reach = tr("Other computers, encrypted") if hosted.network else tr("This computer only")
    confirm = tr("Wait until you have compared six words") if hosted.confirm else tr("Take part at once")
    shown = [(tr("Certificate"), str(hosted.certificate))] if hosted.certificate else []
    return [
        (tr("Address"), hosted.public),
        (tr("Who can reach it"), reach),
        (tr("New sites"), confirm),
        *shown,
        (tr("Folder"), str(hosted.folder)),
    ]
