# SPDX-License-Identifier: Apache-2.0
"""The head of the Rounds page and its line about the sites, in words. No Qt."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from ...standing import FederationStanding, SiteWord
from ...wording import moment, tr
from ..work.desk import Desk
from ..work.progress import elapsed
from .status import LAST_STEPS, STEPS, State, phase_of, step

# In the order in which a reader wants them: those that are done first.
_WORDS: Final[tuple[SiteWord, ...]] = (
    "sent", "sending", "approval", "training", "waiting", "not_asked", "paused", "kept", "missing", "offline",
)  # fmt: skip
_OWN: Final[dict[State, SiteWord]] = {
    "training": "training", "scoring": "training", "approval": "approval", "countdown": "approval",
    "uploading": "sending", "sent": "sent", "kept": "kept", "paused": "paused", "missed": "missing",
}  # fmt: skip


def title(desk: Desk) -> str:
    """ "Round 3 of 10", or what there is to say before the first round and after the last."""
    standing = desk.standing
    rounds = standing.rounds if standing else desk.spec.rounds if desk.spec else 0
    if desk.record.final or (standing and standing.phase == "finished"):
        if standing and standing.round < standing.rounds:  # its host has ended it
            return tr("The federation has finished")
        return tr("All %n round(s) are done", "", rounds)
    if standing and standing.phase == "evaluating":
        return tr("Final scores")
    if not desk.round or (standing and standing.phase == "gathering" and standing.round <= 1):
        return desk.federation or (desk.joined.federation if desk.joined else "") or tr("Rounds")
    said = tr("Round {round} of {rounds}") if rounds else tr("Round {round}")
    return said.format(round=desk.round, rounds=rounds)


def is_last(desk: Desk) -> bool:
    """Tells whether the rounds are over and the final adapter is being scored at the sites."""
    if desk.standing and desk.standing.phase in ("evaluating", "finished"):
        return True
    last = desk.last_entry
    return bool(desk.record.final or (last and last.plan.kind == "evaluate"))


def steps(desk: Desk, state: State) -> tuple[tuple[str, ...], int, bool]:
    """The stepper's words, the step that is on (-1: no round is on) and whether it has failed."""
    if (
        state in ("finished", "not_joined", "connecting", "unconfirmed", "agreement", "preparing", "gathering")
        or desk.ended
    ):
        return STEPS, -1, False
    at, failed = step(desk, state)
    return LAST_STEPS if is_last(desk) else STEPS, at, failed


def caption(desk: Desk, now: datetime) -> str:
    """Says when the round began and closes, in the computer's own time; only what is known."""
    standing = desk.standing
    if standing is None or standing.phase == "finished" or desk.ended:
        return ""
    parts = []
    if standing.attempt > 1:
        parts.append(tr("attempt {number}").format(number=standing.attempt))
    if standing.opened:
        parts.append(tr("started {time}").format(time=clock(standing.opened, now)))
    if standing.closes:
        left = (standing.closes - now).total_seconds()
        closes = tr("closes {time}, in {left}") if left > 0 else tr("closes now")
        parts.append(closes.format(time=clock(standing.closes, now), left=elapsed(left)))
    line = " · ".join(parts)
    return line[:1].upper() + line[1:]


def method(desk: Desk) -> str:
    """Name of the federation's method, as its specification has it; "" before that is known."""
    return desk.spec.method.name if desk.spec else desk.joined.method if desk.joined else ""


def round_line(desk: Desk, now: datetime) -> str:
    """Round in short, for where there is one line: "Round 3 of 10 · closes 11:00"; "" before the first round."""
    standing = desk.standing
    if not desk.round or standing is None or standing.phase == "gathering":
        return ""
    if standing.closes and standing.closes > now:
        return f"{title(desk)} · " + tr("closes {time}").format(time=clock(standing.closes, now))
    return title(desk)


def sites_line(desk: Desk, state: State) -> tuple[str, str]:
    """Number of sites that take part, and their progress: "4 sites take part", "2 have sent · 1 is training (you)"."""
    standing = desk.standing
    if standing is None:
        return "", ""
    if standing.phase == "gathering":
        return _gathering(standing, desk.joined.sites if desk.joined else 0)
    known = sum(standing.sites.values())
    if not known:
        return tr("Other sites"), tr("none yet") if desk.connected else tr(
            "not known while the host's computer cannot be reached"
        )
    parts = []
    for word in _WORDS:
        if count := standing.sites.get(word, 0):
            is_you = count == 1 and _own_word(desk, state) == word
            parts.append(tr("{sites} (you)").format(sites=_counted(word, 1)) if is_you else _counted(word, count))
    return tr("%n site(s) take part", "", known), " · ".join(parts)


def _counted(word: SiteWord, n: int) -> str:
    match word:
        case "sent":
            return tr("%n have sent", "", n)
        case "sending":
            return tr("%n are sending", "", n)
        case "approval":
            return tr("%n wait for approval", "", n)
        case "training":
            return tr("%n are training", "", n)
        case "waiting":
            return tr("%n wait", "", n)
        case "not_asked":
            return tr("%n are not asked", "", n)
        case "paused":
            return tr("%n have paused", "", n)
        case "kept":
            return tr("%n keep their adapters", "", n)
        case "missing":
            return tr("%n sent nothing", "", n)
        case "offline":
            return tr("%n are offline", "", n)


def _own_word(desk: Desk, state: State) -> SiteWord | None:
    return "not_asked" if state == "waiting" and phase_of(desk) == "not_asked" else _OWN.get(state)


def _gathering(standing: FederationStanding, expected: int) -> tuple[str, str]:
    here = tr("%n site(s) connected", "", standing.connected)
    before = tr("{count} expected before round {round}").format(count=expected, round=standing.round)
    return here, before if expected else ""


def clock(time: datetime, now: datetime) -> str:
    """09:14 today, "Mon 09:14" within a week, else with the date."""
    days = abs((time.astimezone().date() - now.astimezone().date()).days)
    return moment(time, "clock" if days == 0 else "weekday" if days < 7 else "date")
