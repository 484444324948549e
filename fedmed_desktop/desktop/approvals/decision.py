# SPDX-License-Identifier: Apache-2.0
"""State of the decision on one update, and what may be done about it now."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from ...events import UpdateRefused
from ...federation.work import Entry
from ...wording import later, sentence, together, tr
from ..work.desk import Desk
from ..work.judgement import Judgement, Way
from .policy import held_back
from .sheet import grouped, shown_hash, title

# What most people write (inferred); they go into the reason as they stand. The first follows what was measured.
_BY_SCORES: Final[dict[Way, str]] = {
    "better": later("Scores improved"),
    "same": later("Scores are no better"),
    "worse": later("Scores became worse"),
    "nothing": later("It finds nothing yet"),
}
_ALWAYS: Final = (later("As agreed for the pilot"), later("Test run"))
NOT_LEFT: Final = later("Nothing of this update has left.")

Stage = Literal["decide", "countdown", "sending", "received", "refused", "kept", "expired"]
_STAGES: Final[dict[str, Stage]] = {
    "pending": "decide",
    "approved": "countdown",
    "released": "sending",
    "acknowledged": "received",
    "refused": "refused",
    "kept": "kept",
    "expired": "expired",
}
WORDS: Final[dict[Stage, str]] = {
    "decide": later("waiting"),
    "countdown": later("sending soon"),
    "sending": later("sending"),
    "received": later("received"),
    "refused": later("refused"),
    "kept": later("kept"),
    "expired": later("round closed"),
}
CONSEQUENCES: Final = later(
    "Hold decides nothing. Keep leaves it here for this round. Send can be taken back for ten seconds."
)
HELD: Final = later("Held. Nothing of this update has left.")
TAKEN_BACK: Final = later("Taken back. Nothing of this update has left.")
PROGRAM_CLOSED: Final = later("Your approval was taken back because the program closed.")
WORK_STOPPED: Final = later("Your approval was taken back because the work was stopped.")
_STOPPED_REASON: Final = "the work was stopped"  # as the record has it where a session ends within the ten seconds
AWAY: Final = later("The host's computer cannot be reached. You can decide now; it is sent once it can be.")
ENTER_NEVER_SENDS: Final = later("Enter never sends. Press the space bar, or click.")
ANSWERING: Final = later("Your decision is being recorded.")
TICK_FIRST: Final = later("Tick what you have seen above; then it can be sent.")
NO_NAME: Final = later("Write your name first, for the people who read this record later.")
NO_REASON: Final = later("Write a reason first, for the people who read this record later.")


@dataclass(frozen=True)
class Outcome:
    """Outcome of a decision: a word with its icon and tone, one or two sentences, and how much is sent (0 to 1)."""

    headline: str
    text: str
    icon: str
    tone: Literal["accent", "ok", "warn", "bad", "ink"]
    share: float | None = None


def stage(entry: Entry) -> Stage:
    return _STAGES[entry.state]


def usual_reasons(verdict: Judgement) -> tuple[str, ...]:
    """Reasons that are offered: none that the scores do not bear out."""
    measured = verdict.before is not None and (verdict.is_sure or verdict.way == "worse")
    first = _BY_SCORES.get(verdict.way) if measured or verdict.way == "nothing" else None
    return tuple(tr(reason) for reason in ((first,) if first else ()) + _ALWAYS)


def missing_name(name: str) -> str:
    """The sentence for a name that is none; "" for one that will do."""
    return "" if name.strip() else tr(NO_NAME)


def missing_reason(reason: str) -> str:
    """The sentence for a reason that is none; "" for one that will do."""
    return "" if reason.strip() else tr(NO_REASON)


def why_not_now(entry: Entry, desk: Desk) -> str:
    """Sentence on why no decision can be taken at the moment; "" where the agent waits for one."""
    if desk.closing:
        return tr("The program is closing. The update will be here at the next start.")
    if not desk.running:
        return tr("The work has stopped. Continue it on the page Rounds; then you can decide.")
    if desk.asked == entry.sha256:
        return ""
    if not desk.connected:
        return tr("The coordinator does not answer. You can decide once it does.")
    return tr("The coordinator is not asking for this one now. You can decide once it does.")


def taken_back(entry: Entry, desk: Desk) -> str:
    """Sentence that the approval of a waiting update was taken back, and why; "" where the last word is another."""
    last = next((told for told in reversed(desk.record.decisions) if told.sha256 == entry.sha256), None)
    if last is None or last.decision != "taken_back":
        return ""
    if last.by == "agent":
        return tr(PROGRAM_CLOSED)
    return tr(WORK_STOPPED if last.reason == _STOPPED_REASON else TAKEN_BACK)


def last_reason(entry: Entry, desk: Desk) -> str:
    """The reason of the latest approval of this update, so that nobody has to write it twice; "" without one."""
    approvals = (told for told in reversed(desk.record.decisions) if told.decision == "approved")
    return next((told.reason for told in approvals if told.sha256 == entry.sha256), "")


def seconds_left(entry: Entry, now: datetime) -> float:
    """Seconds until an approval is in effect; 0 once it is, or where there is none."""
    return max(0.0, (entry.effective - now).total_seconds()) if entry.effective else 0.0


def countdown(entry: Entry, now: datetime, *, connected: bool = True) -> tuple[str, str]:
    """Headline and sentence while an approval can be taken back."""
    left = math.ceil(seconds_left(entry, now))
    if not connected:
        headline = tr("Final in %n second(s)", "", left) if left else tr("Final now")
        text = tr(
            "The host's computer cannot be reached: the update is sent once it can, and nobody can take it back then."
        )
        return headline, together(tr(NOT_LEFT), text)
    if not left:
        return tr("Leaving now"), tr("It can no longer be taken back.")
    text = together(tr(NOT_LEFT), tr("After that it can no longer be taken back."))
    return tr("Leaves in %n second(s)", "", left), text


def outcome(entry: Entry, desk: Desk) -> Outcome:
    """Outcome of an entry whose countdown is over."""
    stays = (
        tr("The adapter stays on this computer.") if entry.update.parts else tr("The report stays on this computer.")
    )
    match stage(entry):
        case "sending":
            return _sending(entry, desk)
        case "received":
            text = tr("The coordinator has exactly what you approved. Receipt: {hash}.")
            text = text.format(hash=grouped(shown_hash(entry)))
            return Outcome(tr("Received"), text, "check", "ok")
        case "refused":
            text = together(_why_refused(entry, desk), tr("It does not count in this round."), stays)
            return Outcome(tr("Refused by the coordinator"), text, "warning", "bad")
        case "kept":
            return Outcome(tr("Kept on site"), together(stays, tr(NOT_LEFT)), "lock", "ink")
        case _:
            text = together(tr("The round closed before it was sent."), stays)
            return Outcome(tr("The round closed without it"), text, "clock", "warn")


def _why_refused(entry: Entry, desk: Desk) -> str:
    """Reason of a refusal, with its numbers as long as this program has heard them: the record keeps the code alone."""
    if isinstance(desk.failure, UpdateRefused) and desk.failure.update == entry.sha256:
        return sentence(desk.failure.code, desk.failure.params)
    return sentence(entry.code, {})


def ended(entry: Entry, desk: Desk) -> str:
    """The outcome in one line, for when the next update is already on the screen; "" while it goes on."""
    if stage(entry) not in ("received", "kept"):
        return ""
    told = outcome(entry, desk)
    return f"{title(entry)}: {told.headline[0].lower()}{told.headline[1:]}. {told.text}"


def _waits_for_coordinator(entry: Entry, desk: Desk) -> bool:
    """True if it is certain that nothing has left: the agent, which asked since its start, has not offered it yet. A
    restarted program does not know, and neither does one whose agent has gone on to something else.
    """
    phase = desk.phase
    return phase is not None and phase.phase == "approval" and phase.round == entry.plan.round


def _sending(entry: Entry, desk: Desk) -> Outcome:
    if held := held_back(entry, desk):
        return Outcome(tr("Approved"), together(held, tr("It can no longer be taken back.")), "clock", "warn")
    if _waits_for_coordinator(entry, desk):
        text = tr("Waiting for the coordinator; nothing has left yet. It can no longer be taken back.")
        return Outcome(tr("Approved"), text, "clock", "accent")
    on_its_way = desk.work.phase == "uploading" and desk.work.round == entry.plan.round
    text = tr("It can no longer be taken back. The coordinator fetches exactly what you approved.")
    if not desk.connected:
        text = tr("It can no longer be taken back. The coordinator does not answer; sending continues once it does.")
    share = (desk.work.share if on_its_way else None) or 0.0
    return Outcome(tr("Sending"), text, "upload", "accent", share if entry.update.parts else None)
