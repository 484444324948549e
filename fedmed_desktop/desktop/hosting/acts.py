# SPDX-License-Identifier: Apache-2.0
"""Acts of a person who hosts: what is asked before each, and what is said once it is done. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from ...overview import ActName, Overview, SiteRow
from ...wording import later, together, tr
from ..look.questions import Words
from ..work.hosted import Hosted

# How long an invitation can be used, in days; the first is the usual one.
VALID_DAYS: Final = {"7": later("7 days"), "1": later("1 day"), "30": later("30 days")}


@dataclass(frozen=True)
class Wish:
    """An act with what the person saw when they chose it: the coordinator refuses it where that is no longer so."""

    act: ActName
    site: str = ""
    key: str = ""
    round: int = 0
    attempt: int = 0
    adapter: str = ""
    valid: timedelta = timedelta(days=7)
    rotates: bool = False


def on_federation(act: ActName, seen: Overview) -> Wish:
    """The act on what the overview shows."""
    return Wish(act, round=seen.round, attempt=seen.attempt, adapter=seen.adapter)


def question(wish: Wish, seen: Overview) -> Words | None:
    """None for what can be taken back, or has a dialog of its own."""
    match wish.act:
        case "pause":
            return Words(
                tr("Pause the federation?"),
                tr(
                    "No round begins or closes, and no deadline passes, until you resume it. Sites finish what they "
                    "have begun, and what they send still counts."
                ),
                tr("Pause"),
                tr("Let it go on"),
            )
        case "close":
            return _about_closing(seen)
        case "publish":
            return Words(
                tr("End the federation with the adapter of round {round}?").format(round=seen.adapter_round),
                together(
                    tr("It becomes the final one, and no round follows. What sites send in this round is not used."),
                    tr("This cannot be undone."),
                ),
                tr("End and publish"),
                tr("Go on with the rounds"),
            )
        case "revoke":
            return about_removal(wish.site, next((site for site in seen.sites if site.name == wish.site), None))
        case _:
            return None


def _about_closing(seen: Overview) -> Words:
    if seen.phase == "gathering":
        return Words(
            tr("Begin without the sites that are missing?"),
            tr("The first round begins with the sites that have joined. Others can join later, for the next one."),
            tr("Begin the round"),
            tr("Wait for more sites"),
        )
    if seen.phase == "evaluating":
        return Words(
            tr("Wait no longer for scores?"),
            tr("The federation finishes with the scores that have come."),
            tr("Finish"),
            tr("Go on waiting"),
        )
    late = seen.asked - seen.updates
    waits = tr("%n site(s) that have not sent are not waited for; their work in this round is not used.", "", late)
    return Words(
        tr("Close round {round} now?").format(round=seen.round),
        together(tr("It is combined from the updates that have come: {count}.").format(count=seen.updates), waits),
        tr("Close the round"),
        tr("Go on waiting"),
    )


def about_removal(name: str, site: SiteRow | None) -> Words:
    """Question before a site is removed, or an invitation that nobody has used (`site` None)."""
    if site is None:
        return Words(
            tr("Take back the invitation of {site}?").format(site=name),
            tr("Nobody can join with it any longer. You can invite this site again."),
            tr("Take it back"),
            tr("Leave it"),
        )
    return Words(
        tr("Remove {site}?").format(site=name),
        together(
            tr("Its connection ends, and no round waits for it any more. What it has sent before still counts."),
            tr("To let it back in, invite it again."),
        ),
        tr("Remove the site"),
        tr("Keep it"),
    )


def about_stopping() -> Words:
    """Question before the coordinator on this computer is stopped."""
    return Words(
        tr("Stop serving the federation?"),
        tr(
            "Sites wait until you serve it again. Nothing is lost: everything goes on where it was, and what they are "
            "training goes on at the sites."
        ),
        tr("Stop serving"),
        tr("Go on serving"),
    )


def about_forgetting(federation: str) -> Words:
    """Question before a federation that another computer serves is shown no longer."""
    return Words(
        tr("No longer look after {federation}?").format(federation=federation),
        tr("The federation goes on without you. To look after it again you need another invitation as a host."),
        tr("No longer look after it"),
        tr("Stay its host"),
    )


def about_the_end(hosted: Hosted) -> Words:
    """Asked when the window is closed while the coordinator runs."""
    return Words(
        tr("Go on serving {federation}?").format(federation=hosted.name),
        together(
            tr(
                "The coordinator can run on without this window: rounds go on, and you find it again at the next "
                "start. It runs until you stop it, log out, or switch the computer off."
            ),
            tr("If it stops, sites wait for it; nothing is lost."),
        ),
        tr("Go on serving, and close"),
        tr("Stay"),
        tr("Stop serving, and close"),
    )


def done(wish: Wish) -> str:
    """A sentence for after it was done; "" where the page shows it anyway."""
    match wish.act:
        case "confirm":
            return tr("{site} is admitted.").format(site=wish.site)
        case "revoke":
            return tr("{site} can no longer take part.").format(site=wish.site)
        case "close":
            return tr("The round no longer waits for anyone.")
        case _:
            return ""
