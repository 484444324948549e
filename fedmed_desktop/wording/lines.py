# SPDX-License-Identifier: Apache-2.0
"""Events as lines of plain text, for logs and pipes: the same words wherever something is written down."""

from __future__ import annotations

from datetime import datetime

from .. import events
from ..scores import Scores
from . import printable, sentence
from .figures import clock
from .remarks import unread_sentence
from .tasks import task_name

PHASES: dict[str, str] = {
    "joining": "joining",
    "waiting": "waiting for its turn",
    "downloading": "fetching the adapter",
    "scoring_before": "scoring before",
    "training": "training",
    "scoring_after": "scoring after",
    "measuring": "measuring",
    "approval": "needs approval",
    "uploading": "sending",
    "sent": "sent",
    "kept": "kept on site",
    "missed": "round closed without it",
    "not_asked": "not asked in this round",
    "evaluating": "final scoring",
    "paused": "paused",
    "finished": "finished",
}


CLOSINGS: dict[str, str] = {
    "answered": "all sites have answered",
    "download": "the rest made no progress with their downloads in time",
    "train": "the time for training was up",
    "approve": "the time for approvals was up",
    "upload": "the rest made no progress with their uploads in time",
    "host": "its host closed it",
    "deadline": "its time was up",  # in rounds that an earlier version closed
}

_SEEN = {"update": "its update has arrived"}


def counted(count: int, thing: str) -> str:
    """Count of a thing, as in "1 round" and "2 rounds"."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def closing(reason: str) -> str:
    """Says why a round closed, in words."""
    return CLOSINGS.get(reason, reason)


def line(event: events.Event) -> str | None:
    """One plain line for a log; None for what would only fill it (steps, progress, chunks, standings)."""
    said = _of_site(event)
    return printable(said) if said else said


def _of_site(event: events.Event) -> str | None:
    """Line on what happens at a site."""
    match event:
        case events.ConnectionChanged(state="lost"):
            why = sentence(event.code or "", event.params)
            return f"{event.site}: {why} Next try in {event.retry_seconds:.0f} s."
        case events.ConnectionChanged():
            return f"{event.site}: {event.state} {event.address}"
        case events.Joined():
            return (
                f"{event.site}: takes part in {event.federation} ({event.environment}): {event.method}, "
                f"{counted(event.rounds, 'round')}, {counted(event.sites, 'site')} expected, "
                f"types {', '.join(event.types)}"
            )
        case events.IdentityShown():
            waits = " This site waits until the host has confirmed it." if event.waits else ""
            return f"{event.site}: six words to compare by phone: {event.phrase}.{waits}"
        case events.PhaseChanged(phase="evaluating" | "finished" as phase):  # after the last round
            return f"{event.site}: {PHASES[phase]}"
        case events.PhaseChanged():
            return f"{event.site}: round {event.round}: {PHASES[event.phase]}"
        case events.Prepared():
            linked = ""
            if event.relations or event.relations_dropped:
                linked = f" Modifiers: {_listed(event.relations)}; {event.relations_dropped} other relations dropped."
            unread = unread_sentence(event.unread, event.unread_files, event.files_unread)
            return (
                f"{event.site}: {event.notes:,} training notes with {_listed(event.entities)}; "
                f"{event.dropped} nested or discontinuous entities dropped; not known to the federation and ignored: "
                f"{_listed(event.ignored)}.{linked} {event.device} Threads: {event.threads}."
            ) + (f" {unread}" if unread else "")
        case events.TrainingStep() if event.step == event.steps or event.step % 25 == 0:
            return (
                f"{event.site}: round {event.round}: step {event.step} of {event.steps}, loss {event.loss:.3f}, "
                f"{event.tokens_per_second:,.0f} tokens/s"
            )
        case events.Evaluated():
            return f"{event.site}: round {event.round}: {event.moment}: loss {event.loss:.3f}, {_scored(event.scores)}"
        case events.DecisionRecorded():
            because = f": {event.reason}" if event.reason else ""
            under = f" (policy: {event.rule})" if event.rule else ""
            decision, second, by = event.decision, "", "the program" if event.by == "agent" else event.by
            if decision == "first_approved":
                decision, second = "approved", ", waits for a second person"
            return f"{event.site}: round {event.round}: {decision} by {by}{second}{under}{because}"
        case events.PolicySaid(opens=datetime() as opens):
            there = clock(opens)
            return f"{event.site}: round {event.round}: approved; your hospital's policy (hours) lets it leave {there}."
        case events.PolicySaid() if event.action != "allow":
            return f"{event.site}: round {event.round}: {sentence(event.code, event.params)}"
        case events.ReceiptReceived():
            return f"{event.site}: round {event.round}: receipt for {event.update[:12]}"
        case events.UpdateRefused():
            return f"{event.site}: round {event.round}: refused: {sentence(event.code, event.params)}"
        case _:
            return _of_federation(event)


def _of_federation(event: events.Event) -> str | None:
    """Lines on what a coordinator sees, and on what may happen anywhere."""
    match event:
        case events.SiteSeen():
            return f"{event.site}: {PHASES[event.phase] if event.phase else _SEEN.get(event.state, event.state)}"
        case events.RoundOpened():
            again = f" again (attempt {event.attempt}), as it had too few updates," if event.attempt > 1 else ""
            return f"round {event.round} opened{again} for {', '.join(event.sites)}"
        case events.RoundClosed():
            return f"round {event.round} closed with {counted(event.updates, 'update')}: {closing(event.reason)}"
        case events.SiteQuiet(since=None):
            return f"{event.site}: makes progress again"
        case events.SiteQuiet():
            return f"{event.site}: round {event.round}: no progress since {event.since:%H:%M} UTC"
        case events.RoundCombined():
            figures = "".join(f"; {name} {value:.4g}" for name, value in sorted(event.measures.items()))
            missed = "" if event.residual is None else f"; residual {event.residual:.4f}"
            return f"round {event.round} combined: {event.adapter[:12]} (weights {_shares(event)}{missed}{figures})"
        case events.UpdateScreened(site=""):
            return f"round {event.round}: {sentence(event.code, event.params)}"
        case events.UpdateScreened():
            return f"{event.site}: round {event.round}: {sentence(event.code, event.params)}"
        case events.FederationPaused(reason="host"):
            return f"round {event.round} paused by a host, who can resume it from the desktop; so does --resume here"
        case events.FederationPaused() if event.reason != "quorum":
            why = sentence(event.reason, event.params)
            return f"round {event.round} paused: {why} It continues by itself once that is solved."
        case events.FederationResumed():
            return f"round {event.round} continues"
        case events.FederationPaused():
            return f"round {event.round} paused: too few updates. Start again with --resume to ask the sites once more."
        case events.FederationFinished():
            return f"{event.site or 'federation'}: finished with {event.adapter[:12]}"
        case events.Warned(site=""):
            return sentence(event.code, event.params)
        case events.Failed() | events.Warned():
            return f"{event.site}: round {event.round}: {sentence(event.code, event.params)}"
        case _:
            return None


def _shares(event: events.RoundCombined) -> str:
    """Each site's weight; with its rank where they differ."""
    mixed = len(set(event.ranks.values())) > 1
    return ", ".join(
        f"{site} {weight:.2f}" + (f" at rank {event.ranks[site]}" if mixed and site in event.ranks else "")
        for site, weight in sorted(event.weights.items())
    )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"


def _scored(scores: Scores) -> str:
    """ "F1 0.612", or each of several tasks by its name."""
    if len(scores.scored) <= 1:
        return f"F1 {scores.headline:.3f}"
    return ", ".join(f"{task_name(task)} {scores[task].headline:.3f}" for task in scores.scored)
