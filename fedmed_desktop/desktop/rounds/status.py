# SPDX-License-Identifier: Apache-2.0
"""The one answer to "what is going on, and what do I do now?": a state, two sentences, and at most one next step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from ... import events
from ...wording import sentence
from ..work.desk import Desk
from ..work.progress import duration

State = Literal[
    "not_joined", "connecting", "preparing", "gathering", "waiting", "downloading", "training", "scoring",
    "approval", "countdown", "uploading", "sent", "kept", "missed", "combining", "paused", "standstill", "offline",
    "failed", "finished", "closing",
]  # fmt: skip
NextStep = Literal["join", "review", "take_back", "resume", "retry", "change", "results"]
Tone = Literal["", "accent", "ok", "warn", "bad"]

# state -> (icon, word for lists and the header); states are told by icon and word, never by colour alone
LOOKS: Final[dict[State, tuple[str, str, Tone]]] = {
    "not_joined": ("link", "Not joined", ""),
    "connecting": ("refresh", "Connecting", ""),
    "preparing": ("refresh", "Preparing", "accent"),
    "gathering": ("people", "Waiting for sites", ""),
    "waiting": ("clock", "Waiting", ""),
    "downloading": ("download", "Downloading", "accent"),
    "training": ("monitor", "Training", "accent"),
    "scoring": ("monitor", "Scoring", "accent"),
    "approval": ("approvals", "Your approval", "warn"),
    "countdown": ("clock", "Sending soon", "warn"),
    "uploading": ("upload", "Uploading", "accent"),
    "sent": ("check", "Sent", "ok"),
    "kept": ("lock", "Kept on site", ""),
    "missed": ("clock", "Round closed", "warn"),
    "combining": ("rounds", "Combining", "accent"),
    "paused": ("pause", "Paused", "warn"),
    "standstill": ("pause", "At a standstill", "warn"),
    "offline": ("offline", "Offline", "warn"),
    "failed": ("warning", "Failed", "bad"),
    "finished": ("check", "Finished", "ok"),
    "closing": ("clock", "Closing", ""),
}
STILL_HERE: Final = "Nothing of it has left this computer."
STEPS: Final = ("Download", "Train", "Your approval", "Upload", "Combine")
LAST_STEPS: Final = ("Download", "Score", "Your approval", "Upload", "Finish")
_STEP_OF: Final[dict[State, int]] = {
    "downloading": 0, "training": 1, "scoring": 1, "approval": 2, "countdown": 2, "kept": 2, "uploading": 3, "sent": 4,
    "combining": 4,
}  # fmt: skip


@dataclass(frozen=True)
class Status:
    """`headline` in a few words, `text` in one or two sentences; `action` is the one next step, if there is one."""

    state: State
    headline: str
    text: str
    action: NextStep | None = None
    action_label: str = ""

    @property
    def icon(self) -> str:
        return LOOKS[self.state][0]

    @property
    def word(self) -> str:
        return LOOKS[self.state][1]

    @property
    def tone(self) -> Tone:
        return LOOKS[self.state][2]


def status(desk: Desk, now: datetime) -> Status:
    """The status that the Rounds page shows; everything else that shows a state shows this one's."""
    if desk.closing:
        return Status("closing", "Closing", "The present step is being finished and saved. Nothing is lost.")
    if desk.session is None:
        return Status(
            "not_joined",
            "No federation yet",
            "Join one with the address that its host gave you, or look at a demonstration first.",
            "join",
            "Join a federation",
        )
    return (
        _over(desk)
        or _held_up(desk)
        or _needs_a_person(desk, now)
        or _working(desk)
        or _line_down(desk)
        or _answered(desk)
        or _idle(desk)
    )


# What became of an update, by the site's record: after a restart no event tells of it again.
_SETTLED: Final = {
    "released": "uploading", "acknowledged": "sent", "kept": "kept", "expired": "missed", "refused": "refused",
}  # fmt: skip


def phase_of(desk: Desk) -> str:
    """The site's phase in the round that is on: what it told last, else what its record says; "" before either."""
    phase = desk.phase.phase if desk.phase else ""
    entry = desk.last_entry
    if phase in ("", "joining") and desk.standing and entry and entry.plan.round == desk.standing.round:
        return _SETTLED.get(entry.state, phase)
    return phase


def _over(desk: Desk) -> Status | None:
    if desk.ended and desk.ended.reason == "failed":
        text = desk.fatal.sentence if desk.fatal else "The work stopped. What was recorded is kept."
        return Status("failed", "This cannot go on", text, "retry", "Change and try again")
    if desk.record.final or (desk.ended and desk.ended.reason == "finished"):
        if desk.running and desk.is_demo:
            done = desk.work.busy and desk.work.total
            where = f" {desk.work.done} of {desk.work.total} sites are scored." if done else ""
            return Status(
                "finished",
                "All rounds are done",
                f"The final adapter is being scored on test notes that no training saw.{where}",
            )
        where = f" It lies in {desk.session.final}." if desk.session and desk.session.final else ""
        return Status(
            "finished",
            "The federation has finished",
            f"Its final adapter is on this computer. Try it on a note, beside the base model.{where}",
            "results",
            "Try it on a note",
        )
    if desk.ended and desk.is_demo:
        return Status("not_joined", "The demonstration was ended", "It starts over.", "retry", "See it again")
    if desk.ended:
        return Status("not_joined", "Stopped", "Nothing was lost. Go on where you left.", "retry", "Go on")
    return None


def _held_up(desk: Desk) -> Status | None:
    if not isinstance(desk.failure, events.Failed) or desk.failure.retry_seconds is None:
        return None
    why = sentence(desk.failure.code, desk.failure.params)
    return Status("failed", "Something is in the way", f"{why} This site tries again by itself.")


def _needs_a_person(desk: Desk, now: datetime) -> Status | None:
    if entry := desk.counting_down:
        left = max(0, round((entry.effective - now).total_seconds())) if entry.effective else 0
        when = f"in {left} s" if left else "now"
        return Status(
            "countdown",
            "You approved it",
            f"The first byte leaves {when}. Until then you can take it back.",
            "take_back",
            "Take back",
        )
    if (entry := desk.pending) is None:
        return None
    what = _what_waits(desk)
    if desk.asked != entry.sha256:
        line = "" if desk.connected else " The coordinator does not answer yet; you can decide once it does."
        return Status("approval", "Waiting for your decision", f"{what}{line}", "review", "Review")
    return Status("approval", "Ready for your decision", what, "review", "Review and decide")


def _what_waits(desk: Desk) -> str:
    entry = desk.pending
    assert entry is not None
    notes = f"{entry.update.report.notes:,} {whose(desk)}"
    if entry.update.report.kind == "evaluate":
        return f"The scores of the final adapter on {notes} are waiting. {STILL_HERE}"
    return f"The adapter trained on {notes} is waiting. {STILL_HERE}"


def whose(desk: Desk) -> str:
    """In a demonstration the person plays a site; the notes are not theirs."""
    return f"example notes of {desk.session.site}" if desk.is_demo and desk.session else "of your notes"


def _working(desk: Desk) -> Status | None:
    phase, notes = phase_of(desk), whose(desk)
    if desk.paused:
        return Status(
            "paused",
            "You paused the work",
            "Training stands still at its present step. The round goes on without you once it closes.",
            "resume",
            "Go on",
        )
    if isinstance(desk.failure, events.Failed):
        why = sentence(desk.failure.code, desk.failure.params)
        return Status("failed", "This round failed here", f"{why} This site takes part again in the next round.")
    if phase in ("scoring_before", "scoring_after", "measuring", "evaluating"):
        moment = {
            "scoring_before": f"The adapter that arrived is scored on some {notes}, so that you can see what changes.",
            "scoring_after": f"The trained adapter is scored on some {notes}.",
            "measuring": "How far the adapter has moved is being measured.",
            "evaluating": f"The federation's final adapter is scored on test notes, {notes}.",
        }[phase]
        return Status("scoring", "Scoring", f"{moment} Nothing leaves this computer.")
    if phase == "training":
        learns = (
            f"The model learns from {notes} on this computer."
            if desk.is_demo
            else ("The model learns from your notes on this computer.")
        )
        return Status("training", "Training", f"{learns} Nothing leaves it; you decide afterwards.")
    return None


def _line_down(desk: Desk) -> Status | None:
    connection = desk.connection
    if connection is None or connection.state == "connected":
        return None
    if connection.state == "connecting" and desk.joined is None:
        return Status("connecting", "Connecting", f"Calling the coordinator at {connection.address}.")
    if connection.state == "connecting":
        return _away(desk, "Calling it again.")
    why = sentence(connection.code or "link.closed", connection.params or {"address": connection.address})
    again = (
        f" Next try in {duration(connection.retry_seconds or 0.0)}." if (connection.retry_seconds or 0) >= 50 else ""
    )
    return _away(desk, f"{why}{again}")


def _away(desk: Desk, why: str) -> Status:
    if desk.joined is None and not desk.record.entries:  # never there: the address may be the wrong one
        return Status("offline", "The coordinator is away", why, "change", "Change the address")
    if phase_of(desk) == "uploading":
        return Status(
            "offline", "Approved, waiting for the coordinator", f"It is sent once the coordinator is back. {why}"
        )
    return Status("offline", "The coordinator is away", f"{why} Nothing is lost.")


def _answered(desk: Desk) -> Status | None:
    phase = phase_of(desk)
    if isinstance(desk.failure, events.UpdateRefused) or phase == "refused":
        why = f"{sentence(desk.failure.code, desk.failure.params)} " if desk.failure else ""
        return Status("failed", "The coordinator refused the update", f"{why}The adapter stays on this computer.")
    if phase == "uploading":
        return Status("uploading", "Sending the adapter", "The coordinator fetches exactly what you approved.")
    if desk.standing and desk.standing.held_up:
        return Status(
            "standstill",
            "The coordinator has to wait",
            "Its disk is full, or a file is missing there. It continues by itself once that is solved; there is "
            "nothing to do here.",
        )
    if desk.standing and desk.standing.phase == "paused":
        return Status(
            "standstill",
            "The federation stands still",
            "Too few sites sent an adapter in this round. Its host can resume it; there is nothing to do here.",
        )
    if phase == "sent" and desk.standing and desk.standing.phase == "combining":
        return Status("combining", "Combining", "The coordinator combines the sites' adapters into the next one.")
    if phase == "sent":
        return Status("sent", "Your part is done", "The coordinator has it; the receipt is kept. Waiting for others.")
    if phase == "kept":
        return Status("kept", "Kept on this computer", "You decided not to send this one. Waiting for the next round.")
    if phase == "missed":
        return Status("missed", "The round closed without it", "The adapter stays here. Waiting for the next round.")
    if phase == "not_asked":
        return Status(
            "waiting",
            "Not asked in this round",
            "It goes on with other sites: not every one is asked in each round, and who joins late waits for the next. "
            "All is well; there is nothing to do here.",
        )
    return None


def _idle(desk: Desk) -> Status:
    if phase_of(desk) == "downloading" and (desk.prepared or (desk.work.share or 1.0) < 1.0):
        return Status("downloading", "Fetching the adapter", "The adapter that this round starts from is on its way.")
    if desk.prepared is None:
        return Status("preparing", "Preparing", "Reading your notes and loading the base model.")
    if desk.standing and desk.standing.phase == "gathering":
        count, expected = desk.standing.connected, desk.joined.sites if desk.joined else 0
        sites = "site" if (expected or count) == 1 else "sites"
        here = f"{count}{f' of {expected}' if expected else ''} {sites} {'is' if count == 1 else 'are'} here."
        return Status("gathering", "Waiting for others", f"{here} The first round opens once all of them are.")
    busy = next((site for site, work in sorted(desk.others.items()) if work.busy), "")
    if busy:
        return Status("waiting", "Waiting for its turn", f"{busy} computes first; the sites share this computer.")
    if phase_of(desk) == "waiting" and desk.standing and desk.standing.phase in ("open", "evaluating"):
        return Status("waiting", "Waiting for its turn", "This computer finishes something else first.")
    return Status("waiting", "Waiting for the next round", "There is nothing to do here until it opens.")


def step(desk: Desk, state: State) -> tuple[int, bool]:
    """The stepper's current step (0 to 4; -1 before a round) and whether it has failed."""
    if state in _STEP_OF:
        return _STEP_OF[state], False
    phase = phase_of(desk)
    turn = 1 if desk.phase and desk.phase.round else -1
    at = {
        "downloading": 0, "waiting": turn, "training": 1, "scoring_before": 1, "scoring_after": 1, "measuring": 1,
        "evaluating": 1, "approval": 2, "kept": 2, "uploading": 3, "refused": 3, "sent": 4,
    }.get(phase, -1)  # fmt: skip
    return at, state == "failed" and at >= 0
