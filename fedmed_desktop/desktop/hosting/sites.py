# SPDX-License-Identifier: Apache-2.0
"""A federation as its host sees it: the plain verdict first, then one line for each site. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

from ...overview import InvitationRow, Overview, SiteRow
from ...standing import SiteWord
from ...wording import clock, later, sentence, together, tr
from ..work.judgement import change_of_hundred

Connection = Literal["connecting", "connected", "lost", "refused", "waiting"]

COLUMNS: Final = (
    later("Site"), later("In this round"), later("Connected"), later("Rank"), later("Score"), later("Last seen"),
)  # fmt: skip
INVITED: Final = (later("Invited"), later("Can join until"))

# Drawing, tone and words of a site's progress.
_WORDS: Final[dict[SiteWord, tuple[str, str, str]]] = {
    "waiting": ("clock", "dim", later("Waiting for the round")),
    "not_asked": ("clock", "dim", later("Not asked in this round")),
    "training": ("refresh", "accent", later("Training")),
    "paused": ("pause", "dim", later("Paused at the site")),
    "approval": ("approvals", "accent", later("Waiting for its decision")),
    "sending": ("upload", "accent", later("Sending")),
    "sent": ("check", "ok", later("Sent")),
    "kept": ("lock", "dim", later("Sends nothing in this round")),
    "missing": ("warning", "warn", later("Did not answer in time")),
    "offline": ("offline", "warn", later("Offline")),
}
NOTHING: Final = "–"


class Line(NamedTuple):
    """One site in words, with the drawing and tone that stand before its progress."""

    texts: tuple[str, ...]
    icon: str
    tone: str


@dataclass(frozen=True)
class Told:
    """The plain words first; `tone` as of a VerdictLine."""

    words: str
    tone: str
    sentence: str


def verdict(seen: Overview | None, connection: Connection, now: datetime, problem: str = "") -> Told:
    """Words that a host should read first. `problem`: why there is no connection, where that is known."""
    if connection == "refused":
        return Told(tr("The coordinator does not let you in"), "bad", problem)
    if connection == "waiting":
        return Told(
            tr("Waiting to be confirmed"),
            "dim",
            tr("The person who runs the coordinator compares six words with you by phone, then lets you in."),
        )
    if connection == "lost" or (seen is None and problem):
        old = tr("What you see below is from before the connection was lost.") if seen else ""
        tries = tr("The program keeps trying.")
        return Told(tr("No connection to the coordinator"), "warn", together(problem, old, tries))
    if seen is None:
        return Told(tr("Connecting to the coordinator…"), "dim", "")
    told = _of_phase(seen, now)
    waiting = sum(site.state == "waiting" for site in seen.sites)
    if not waiting:
        return told
    asks = tr("%n site(s) wait until you have compared six words and confirmed them.", "", waiting)
    return Told(told.words, "warn" if told.tone == "dim" else told.tone, together(told.sentence, asks))


def _of_phase(seen: Overview, now: datetime) -> Told:
    if seen.held_up:
        return Told(tr("The coordinator has to wait"), "warn", sentence(seen.held_up, {}))
    if seen.paused_by_host:
        return Told(
            tr("Paused by a host"), "warn", tr("No round begins or closes until it is resumed. No deadline passes.")
        )
    match seen.phase:
        case "paused":
            return Told(
                tr("Round {round} has stopped: too few sites have sent").format(round=seen.round),
                "warn",
                tr("Resume it, and its sites are asked once more."),
            )
        case "gathering":
            return _gathering(seen, now)
        case "combining":
            return Told(tr("The updates of round {round} are being combined").format(round=seen.round), "dim", "")
        case "evaluating":
            return Told(tr("The last round is done; the final adapter is being scored"), "ok", _until(seen, now))
        case "finished":
            return Told(
                tr("The federation has finished"), "ok",
                tr("Its final adapter is the one of round {round}.").format(round=seen.adapter_round),
            )  # fmt: skip
        case _:
            words = tr("{sent} of {asked} sites have sent").format(sent=seen.updates, asked=seen.asked)
            return Told(words, "ok" if seen.updates >= seen.quorum else "dim", _until(seen, now))


def _gathering(seen: Overview, now: datetime) -> Told:
    joined = sum(site.word is not None for site in seen.sites)
    begins = tr("The first round begins once {expected} sites have joined.").format(expected=seen.expected)
    if not joined:
        return Told(tr("Waiting for the first site"), "dim", together(tr("Invite the sites."), begins))
    if seen.joins_until:
        begins = tr("The first round begins once all have joined, or at {time} with those that have.")
        begins = begins.format(time=clock(seen.joins_until, now))
    words = tr("{joined} of {expected} sites have joined").format(joined=joined, expected=seen.expected)
    return Told(words, "dim", begins)


def _until(seen: Overview, now: datetime) -> str:
    if seen.phase == "open":
        needs = tr("Round {round} of {rounds} needs {quorum} updates.")
        needs = needs.format(round=seen.round, rounds=seen.rounds, quorum=seen.quorum)
        closes = (
            tr("It closes at {time}, or once all have answered.").format(time=clock(seen.closes, now))
            if seen.closes
            else tr("It closes once all have answered.")
        )
        return together(needs, closes)
    return tr("It finishes at {time} at the latest.").format(time=clock(seen.closes, now)) if seen.closes else ""


def lines(seen: Overview, now: datetime) -> list[Line]:
    """The sites in the order of their names, those who wait for the host before all others."""
    return [line(site, now) for site in ordered(seen)]


def ordered(seen: Overview) -> list[SiteRow]:
    """The sites as the table has them: those who wait first, those who were removed last."""
    places = {"waiting": 0, "admitted": 1, "revoked": 2}
    return sorted(seen.sites, key=lambda site: places[site.state])


def line(site: SiteRow, now: datetime) -> Line:
    drawing, tone, progress = _progress(site, now)
    connected = tr("Yes") if site.connected else tr("No")
    rank = str(site.rank) if site.rank else NOTHING
    heard = tr("now") if site.connected else clock(site.last_seen, now) if site.last_seen else NOTHING
    return Line((site.name, progress, connected, rank, _score(site), heard), drawing, tone)


def _progress(site: SiteRow, now: datetime) -> tuple[str, str, str]:
    if site.state == "waiting":
        return "warning", "warn", tr("Waiting for you to confirm it")
    if site.state == "revoked":
        return "cross", "dim", tr("Removed")
    if site.word is None:
        return "clock", "dim", tr("Has not connected yet")
    drawing, tone, words = _WORDS[site.word]
    if site.quiet_since is None:
        return drawing, tone, tr(words)
    minutes = int((now - site.quiet_since).total_seconds() // 60)
    quiet = tr("{words}, no progress for %n min", "", max(0, minutes)).format(words=tr(words))
    return "warning", "warn", quiet


def _score(site: SiteRow) -> str:
    """Score on the site's own validation notes, before and after its own training; else the losses."""
    result = site.result
    if result is None:
        return NOTHING
    if result.score_after is not None:
        return change_of_hundred(result.score_before, result.score_after)
    if result.loss_after is not None:
        return tr("loss {value:.2f}").format(value=result.loss_after)
    return NOTHING


def invitation_texts(row: InvitationRow, now: datetime) -> tuple[str, ...]:
    """An open invitation, as the table below the sites has it."""
    name = tr("{name} (a new key)").format(name=row.name) if row.rotates else row.name
    name = tr("{name} (as a host)").format(name=name) if row.role == "host" else name
    return name, clock(row.until, now)
