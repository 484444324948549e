# SPDX-License-Identifier: Apache-2.0
"""The one answer to "what is going on, and what do I do now?": a state, two sentences, and at most one next step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from ... import events
from ...wording import later, sentence, together, tr
from ..work.desk import Desk
from ..work.progress import duration
from .duration import preparing
from .standstill import standstill

State = Literal[
    "not_joined", "connecting", "unconfirmed", "agreement", "preparing", "gathering", "waiting", "downloading",
    "training", "scoring", "approval", "countdown", "uploading", "sent", "kept", "missed", "combining", "paused",
    "standstill", "offline", "failed", "finished", "closing",
]  # fmt: skip
NextStep = Literal["join", "agree", "review", "take_back", "resume", "retry", "change", "results"]
Tone = Literal["", "accent", "ok", "warn", "bad"]

# state -> (icon, word for lists and the header); states are told by icon and word, never by colour alone
LOOKS: Final[dict[State, tuple[str, str, Tone]]] = {
    "not_joined": ("link", later("Not joined"), ""),
    "connecting": ("refresh", later("Connecting"), ""),
    "unconfirmed": ("clock", later("Waiting for the host"), "warn"),
    "agreement": ("approvals", later("Your agreement"), "warn"),
    "preparing": ("refresh", later("Preparing"), "accent"),
    "gathering": ("people", later("Waiting for sites"), ""),
    "waiting": ("clock", later("Waiting"), ""),
    "downloading": ("download", later("Downloading"), "accent"),
    "training": ("monitor", later("Training"), "accent"),
    "scoring": ("monitor", later("Scoring"), "accent"),
    "approval": ("approvals", later("Your approval"), "warn"),
    "countdown": ("clock", later("Sending soon"), "warn"),
    "uploading": ("upload", later("Uploading"), "accent"),
    "sent": ("check", later("Sent"), "ok"),
    "kept": ("lock", later("Kept on site"), ""),
    "missed": ("clock", later("Round closed"), "warn"),
    "combining": ("rounds", later("Combining"), "accent"),
    "paused": ("pause", later("Paused"), "warn"),
    "standstill": ("pause", later("Stopped"), "warn"),
    "offline": ("offline", later("Offline"), "warn"),
    "failed": ("warning", later("Failed"), "bad"),
    "finished": ("check", later("Finished"), "ok"),
    "closing": ("clock", later("Closing"), ""),
}
STILL_HERE: Final = later("Nothing of it has left this computer.")
STEPS: Final = (later("Download"), later("Train"), later("Your approval"), later("Upload"), later("Combine"))
LAST_STEPS: Final = (STEPS[0], later("Score"), STEPS[2], STEPS[3], later("Finish"))
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
        return tr(LOOKS[self.state][1])

    @property
    def tone(self) -> Tone:
        return LOOKS[self.state][2]


def status(desk: Desk, now: datetime) -> Status:
    """The status that the Rounds page shows; everything else that shows a state shows this one's."""
    if desk.closing:
        return Status("closing", tr("Closing"), tr("Finishing and saving the current step. Nothing is lost."))
    if desk.session is None:
        return Status(
            "not_joined",
            tr("No federation yet"),
            tr("Join one with the invitation that its host gave you, or look at a demonstration first."),
            "join",
            tr("Join a federation"),
        )
    return (
        _over(desk)
        or _held_up(desk)
        or _asks(desk)
        or _needs_a_person(desk, now)
        or _working(desk)
        or _line_down(desk)
        or _unconfirmed(desk)
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
        text = desk.fatal.sentence if desk.fatal else tr("The work stopped. What was recorded is kept.")
        return Status("failed", tr("This cannot continue"), text, "retry", tr("Change and try again"))
    if desk.record.final or (desk.ended and desk.ended.reason == "finished"):
        if desk.running and desk.is_demo:
            done = desk.work.busy and desk.work.total
            text = tr("The final adapter is being scored on test notes that were never used for training.")
            scored = tr("{done} of {total} sites are scored.").format(done=desk.work.done, total=desk.work.total)
            return Status("finished", tr("All rounds are done"), f"{text} {scored}" if done else text)
        text = tr("Its final adapter is on this computer. Try it on a note, beside the base model.")
        if desk.session and desk.session.final:
            text += " " + tr("It is saved in {folder}.").format(folder=desk.session.final)
        return Status("finished", tr("The federation has finished"), text, "results", tr("Try it on a note"))
    if desk.ended and desk.is_demo:
        text = tr("It starts over.")
        return Status("not_joined", tr("The demonstration was stopped"), text, "retry", tr("See it again"))
    if desk.ended:
        text = tr("Nothing was lost. You can continue where you stopped.")
        return Status("not_joined", tr("Stopped"), text, "retry", tr("Continue"))
    return None


def _held_up(desk: Desk) -> Status | None:
    if not isinstance(desk.failure, events.Failed) or desk.failure.retry_seconds is None:
        return None
    why = sentence(desk.failure.code, desk.failure.params)
    return Status("failed", tr("There is a problem"), together(why, tr("This site tries again by itself.")))


def _asks(desk: Desk) -> Status | None:
    if not desk.asks_agreement or desk.spec is None:
        return None
    text = tr("Nothing is trained before you agree. Below you see who asks, and what would be shared.")
    headline = tr("Take part in {federation}?").format(federation=desk.spec.name)
    return Status("agreement", headline, text, "agree", tr("Take part"))


def _needs_a_person(desk: Desk, now: datetime) -> Status | None:
    if entry := desk.counting_down:
        left = max(0, round((entry.effective - now).total_seconds())) if entry.effective else 0
        when = tr("It leaves in {left} s.").format(left=left) if left else tr("It leaves now.")
        text = together(when, tr("Until then you can take it back."))
        return Status("countdown", tr("You approved it"), text, "take_back", tr("Take back"))
    if (entry := desk.pending) is None:
        return None
    what = _what_waits(desk)
    if desk.asked != entry.sha256:
        if not desk.connected:
            what += " " + tr("The coordinator does not answer yet; you can decide once it does.")
        return Status("approval", tr("Waiting for your decision"), what, "review", tr("Review"))
    return Status("approval", tr("Ready for your decision"), what, "review", tr("Review and decide"))


def _what_waits(desk: Desk) -> str:
    entry = desk.pending
    assert entry is not None
    notes, site = entry.update.report.notes, _example_site(desk)
    is_final = entry.update.report.kind == "evaluate"
    if site and is_final:
        what = tr("The scores of the final adapter on %n example note(s) of {site} are waiting.", "", notes)
    elif site:
        what = tr("The adapter trained on %n example note(s) of {site} is waiting.", "", notes)
    elif is_final:
        what = tr("The scores of the final adapter on %n of your notes are waiting.", "", notes)
    else:
        what = tr("The adapter trained on %n of your notes is waiting.", "", notes)
    return f"{what.format(site=site)} {tr(STILL_HERE)}"


def _example_site(desk: Desk) -> str:
    """The site that the person plays in a demonstration, where the notes are not theirs; else ""."""
    return desk.session.site if desk.is_demo and desk.session else ""


def _working(desk: Desk) -> Status | None:
    phase, site = phase_of(desk), _example_site(desk)
    if desk.paused:
        text = tr("Training has stopped at its current step. If the round closes meanwhile, it closes without you.")
        return Status("paused", tr("You paused the work"), text, "resume", tr("Continue"))
    if isinstance(desk.failure, events.Failed):
        why = sentence(desk.failure.code, desk.failure.params)
        text = together(why, tr("This site takes part again in the next round."))
        return Status("failed", tr("This round failed here"), text)
    if phase in ("scoring_before", "scoring_after", "measuring", "evaluating"):
        text = together(_scoring(phase, site), tr("Nothing leaves this computer."), desk.awake.sentence)
        return Status("scoring", tr("Scoring"), text)
    if phase == "training":
        learns = tr("The model learns from your notes on this computer.")
        if site:
            learns = tr("The model learns from example notes of {site} on this computer.").format(site=site)
        text = together(learns, tr("Nothing leaves it; you decide afterwards."), desk.awake.sentence)
        return Status("training", tr("Training"), text)
    return None


def _scoring(phase: str, site: str) -> str:
    """A sentence on what is scored; `site` where its example notes are used."""
    match phase:
        case "scoring_before":
            text = tr("The adapter that arrived is scored on some of your notes, so that you can see what changes.")
            other = tr("The adapter that arrived is scored on example notes of {site}, so that you see what changes.")
        case "scoring_after":
            text = tr("The trained adapter is scored on some of your notes.")
            other = tr("The trained adapter is scored on example notes of {site}.")
        case "evaluating":
            text = tr("The federation's final adapter is scored on your test notes.")
            other = tr("The federation's final adapter is scored on example test notes of {site}.")
        case _:
            text = other = tr("How far the adapter has moved is being measured.")
    return other.format(site=site) if site else text


def _line_down(desk: Desk) -> Status | None:
    connection = desk.connection
    if connection is None or connection.state == "connected" or (desk.is_demo and desk.joined is None):
        return None
    if connection.state == "connecting" and desk.joined is None:
        text = tr("Connecting to the coordinator at {address}.").format(address=connection.address)
        return Status("connecting", tr("Connecting"), text)
    if connection.state == "connecting":
        return _away(desk, tr("Connecting again."))
    why = sentence(connection.code or "link.closed", connection.params or {"address": connection.address})
    if (connection.retry_seconds or 0) >= 50:
        why += " " + tr("Next try in {time}.").format(time=duration(connection.retry_seconds or 0.0))
    return _away(desk, why)


def _away(desk: Desk, why: str) -> Status:
    if desk.joined is None and not desk.record.entries:  # never there: the address may be the wrong one
        return Status("offline", tr("The host's computer cannot be reached"), why, "change", tr("Change how to join"))
    if phase_of(desk) == "uploading":
        text = together(tr("It is sent once the coordinator is back."), why)
        return Status("offline", tr("Approved, waiting for the coordinator"), text)
    return Status("offline", tr("The host's computer cannot be reached"), together(why, tr("Nothing is lost.")))


def _unconfirmed(desk: Desk) -> Status | None:
    if desk.identity is None or not desk.identity.waits:
        return None
    text = tr("This site is connected, and takes part as soon as the host confirms it. Nothing has left this computer.")
    return Status("unconfirmed", tr("Waiting for the host to confirm this site"), text)


def _answered(desk: Desk) -> Status | None:
    phase = phase_of(desk)
    if isinstance(desk.failure, events.UpdateRefused) or phase == "refused":
        why = f"{sentence(desk.failure.code, desk.failure.params)} " if desk.failure else ""
        stays = tr("The adapter stays on this computer.")
        return Status("failed", tr("The coordinator refused the update"), f"{why}{stays}")
    if phase == "uploading":
        return Status("uploading", tr("Sending the adapter"), tr("The coordinator fetches exactly what you approved."))
    if words := standstill(desk.standing):
        return Status("standstill", *words)
    if phase == "sent" and desk.standing and desk.standing.phase == "combining":
        return Status(
            "combining", tr("Combining"), tr("The coordinator combines the sites' adapters into the next one.")
        )
    if phase == "sent":
        return Status(
            "sent", tr("Your part is done"), tr("The coordinator has it; the receipt is kept. Waiting for others.")
        )
    if phase == "kept":
        return Status(
            "kept", tr("Kept on this computer"), tr("You decided not to send this one. Waiting for the next round.")
        )
    if phase == "missed":
        return Status(
            "missed", tr("The round closed without it"), tr("The adapter stays here. Waiting for the next round.")
        )
    if phase == "not_asked":
        return Status(
            "waiting",
            tr("Not asked in this round"),
            tr(
                "Everything is fine; there is nothing to do here. The round continues with other sites: not every "
                "site is asked in each round, and a site that joins late waits for the next one."
            ),
        )
    return None


def _idle(desk: Desk) -> Status:
    if phase_of(desk) == "downloading" and (desk.prepared or (desk.work.share or 1.0) < 1.0):
        return Status(
            "downloading", tr("Fetching the adapter"), tr("The adapter that this round starts from is on its way.")
        )
    if desk.prepared is None:
        return Status("preparing", tr("Preparing"), preparing(desk))
    if desk.standing and desk.standing.phase == "gathering":
        count, expected = desk.standing.connected, desk.joined.sites if desk.joined else 0
        here = tr("%n site(s) connected.", "", count)
        if expected:
            here = tr("{count} of %n site(s) connected.", "", expected).format(count=count)
        all_of_them = tr("The first round opens once all of them are.")
        return Status("gathering", tr("Waiting for others"), together(here, all_of_them))
    busy = next((site for site, work in sorted(desk.others.items()) if work.busy), "")
    if busy:
        text = tr("{site} computes first; the sites share this computer.").format(site=busy)
        return Status("waiting", tr("Waiting for its turn"), text)
    if phase_of(desk) == "waiting" and desk.standing and desk.standing.phase in ("open", "evaluating"):
        return Status("waiting", tr("Waiting for its turn"), tr("This computer is finishing something else first."))
    return Status("waiting", tr("Waiting for the next round"), tr("There is nothing to do here until it opens."))


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
