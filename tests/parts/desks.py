# SPDX-License-Identifier: Apache-2.0
"""A desk in every state that there is, made of what a site really says: events, and the record of a real outbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import get_args

from fedmed_desktop import events
from fedmed_desktop.desktop.rounds.status import State
from fedmed_desktop.desktop.work.desk import Desk
from fedmed_desktop.desktop.work.news import AgreementAsked, DemoScored, Item, Problem, SessionEnded, SessionStarted
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import part_actions as do
from fedmed_desktop.scores import Counts, Scores, TaskScores
from fedmed_desktop.standing import ClosedRound, FederationPhase, SiteWord
from tests.parts.approval import ADDRESS, AFTER, BEFORE, NOW, Site

SITE = "north"
PHRASE = "amber-otter-candle-river-jacket-moon"
OPENED, CLOSES = NOW - timedelta(minutes=34), NOW + timedelta(minutes=72)
STATES: tuple[State, ...] = get_args(State)


def scores(drug: float, problem: float) -> Scores:
    """Counts of 100 of each type with these F1 scores, to two decimals."""
    strict = {
        name: Counts(tp=round(100 * f1), fp=100 - round(100 * f1), fn=100 - round(100 * f1))
        for name, f1 in (("drug", drug), ("problem", problem))
    }
    return Scores.of_entities(TaskScores(strict=strict, lenient=strict))


def closed(number: int, before: float, after: float, sent: int = 4) -> ClosedRound:
    return ClosedRound(
        round=number, closed=OPENED - timedelta(hours=3 - number), sent=sent, scores_before=scores(before, before),
        scores_after=scores(after, after), residual=0.2, weight=0.25, model_drift=0.2, performance_drift=0.1, rank=16,
        other_ranks=(8, 16),
    )  # fmt: skip


def standing(
    phase: FederationPhase = "open", number: int = 3, sites: dict[SiteWord, int] | None = None, connected: int = 4
) -> events.StandingChanged:
    words: dict[SiteWord, int] = {"sent": 2, "training": 1, "approval": 1}
    is_open = phase == "open"
    return events.StandingChanged(
        site=SITE, round=number, rounds=10, attempt=1, phase=phase, opened=None if phase == "gathering" else OPENED,
        closes=CLOSES if is_open else None, sites=words if sites is None else sites, connected=connected,
        history=tuple(closed(n, 0.06 * n + 0.2, 0.06 * n + 0.3) for n in range(1, number)),
    )  # fmt: skip


def connection(state: str, code: str | None = None, retry: float | None = None) -> events.ConnectionChanged:
    return events.ConnectionChanged.model_validate(
        {"site": SITE, "state": state, "address": ADDRESS, "code": code, "params": {"address": ADDRESS} if code else {},
         "retry_seconds": retry}
    )  # fmt: skip


def identity(waits: bool = False) -> events.IdentityShown:
    return events.IdentityShown(
        site=SITE, phrase=PHRASE, site_fingerprint="ab" * 32, coordinator_fingerprint="cd" * 32, waits=waits
    )


def phase(name: events.Phase, number: int = 3) -> events.PhaseChanged:
    return events.PhaseChanged(site=SITE, round=number, phase=name)


JOINED = events.Joined(
    site=SITE, federation="Riverside federation", environment="test", method="fed_medlora", rounds=10, sites=4,
    types=("drug", "problem"),
)  # fmt: skip
PREPARED = events.Prepared(
    site=SITE, notes=2310, entities={"drug": 900, "problem": 1100}, ignored={}, dropped=0, device="CPU", threads=1
)


class Story:
    """A site that has taken part in two rounds, on a real outbox; what happens next is told by `tell`."""

    def __init__(self, folder: Path, *, earlier: int = 2) -> None:
        self.site = Site(folder)
        self.site.spec = self.site.spec.model_copy(update={"rounds": 10})
        self.desk = self.site.desk
        for number in range(1, earlier + 1):
            entry = self.site.trained(
                number, before=scores(0.1 + 0.2 * number, 0.3), after=scores(0.2 * number + 0.3, 0.4)
            )
            self.site.approve(entry)
            self.site.release(entry)
            self.site.outbox.decide(do.Record(entry.sha256, "acknowledged", "coordinator"), NOW)
        self.site.refresh()
        self.tell(JOINED, PREPARED)
        if earlier:
            self.tell(standing())

    def tell(self, *items: Item) -> None:
        self.desk.fold(items)

    def final(self) -> None:
        self.site.desk.fold([replace(self.desk.record, final="f" * 64)])


def _bare(*items: Item) -> Callable[[Path], Desk]:
    def make(folder: Path) -> Desk:
        desk = Desk()
        desk.fold([SessionStarted("site", SITE, ADDRESS, (SITE,), folder / "notes", folder / "model"), *items])
        return desk

    return make


def _round(*items: Item, earlier: int = 2) -> Callable[[Path], Desk]:
    def make(folder: Path) -> Desk:
        story = Story(folder, earlier=earlier)
        story.tell(*items)
        story.site.outbox.close()
        return story.desk

    return make


def decided(act: str) -> Callable[[Path], Desk]:
    """A round up to the operator's decision, and what became of it."""

    def make(folder: Path) -> Desk:
        story = Story(folder)
        story.tell(phase("training"), phase("scoring_after"), phase("approval"))
        entry = story.site.trained(3, before=BEFORE, after=AFTER)
        if act in ("approve", "release", "sent", "combining", "refused"):
            story.site.approve(entry)
        if act in ("release", "sent", "combining", "refused"):
            story.site.release(entry)
            story.tell(phase("uploading"))
        if act in ("sent", "combining"):
            story.site.outbox.decide(do.Record(entry.sha256, "acknowledged", "coordinator"), NOW)
            story.site.refresh()
            story.tell(events.ReceiptReceived(site=SITE, round=3, update=entry.sha256), phase("sent"))
        if act == "combining":
            story.tell(standing("combining", sites={"sent": 4}))
        if act == "keep":
            story.site.keep(entry)
            story.tell(phase("kept"))
        if act == "expire":
            story.site.expire(entry)
            story.tell(phase("missed"))
        if act == "refused":
            wrong = do.Record(entry.sha256, "refused", "coordinator", code="update.wrong_norm")
            story.site.outbox.decide(wrong, NOW)
            story.site.refresh()
            story.tell(
                events.UpdateRefused(
                    site=SITE,
                    round=3,
                    update=entry.sha256,
                    code="update.wrong_norm",
                    params={"found": 2, "reported": 1},
                )
            )
        story.site.outbox.close()
        return story.desk

    return make


def _finished(folder: Path) -> Desk:
    story = Story(folder)
    story.tell(standing("finished", number=10, sites={"sent": 4}))
    story.final()
    story.tell(SessionEnded("finished"))
    story.site.outbox.close()
    return story.desk


def _nobody(_folder: Path) -> Desk:
    return Desk()


def _closing(folder: Path) -> Desk:
    desk = _round(phase("training"))(folder)
    desk.closing = True
    return desk


MAKERS: dict[State, Callable[[Path], Desk]] = {
    "not_joined": _nobody,
    "connecting": _bare(connection("connecting")),
    "unconfirmed": _bare(connection("connected"), identity(waits=True)),
    "agreement": _round(AgreementAsked(True), standing("gathering", number=1), earlier=0),
    "preparing": _bare(connection("connected"), JOINED),
    "gathering": _round(standing("gathering", number=1, sites={"waiting": 2}, connected=2), earlier=0),
    "waiting": _round(phase("waiting")),
    "downloading": _round(phase("downloading")),
    "training": _round(phase("training")),
    "scoring": _round(phase("scoring_after")),
    "approval": decided("ask"),
    "countdown": decided("approve"),
    "uploading": decided("release"),
    "sent": decided("sent"),
    "kept": decided("keep"),
    "missed": decided("expire"),
    "combining": decided("combining"),
    "paused": _round(phase("training"), phase("paused")),
    "standstill": _round(standing("paused"), phase("sent")),
    "offline": _round(connection("lost", "link.unreachable", 60.0)),
    "failed": _bare(
        Problem.of(UserFacingError("join.other_base", found="a" * 8, expected="b" * 8), "", fatal=True),
        SessionEnded("failed"),
    ),
    "finished": _finished,
    "closing": _closing,
}


def failed_round(folder: Path) -> Desk:
    return _round(
        phase("training"),
        events.Failed(site=SITE, round=3, code="training.diverged", params={"step": 12, "rate": 0.002}),
    )(folder)


def refused(folder: Path) -> Desk:
    return decided("refused")(folder)


def stopped(folder: Path) -> Desk:
    return _round(phase("training"), SessionEnded("stopped"))(folder)


def finished_demo(folder: Path) -> Desk:
    desk = _finished(folder)
    columns = ("All sites", "Hillcrest", "Lakeview", "Riverside")
    rows: Sequence[tuple[str, tuple[float, ...]]] = (
        ("Before the federation", (0.0, 0.0, 0.0, 0.0)),
        ("Hillcrest alone", (0.330, 0.652, 0.201, 0.188)),
        ("Federation", (0.460, 0.417, 0.450, 0.491)),
    )
    desk.fold(
        [
            DemoScored(
                {"entities": {name: dict(zip(columns, f1, strict=True)) for name, f1 in rows}},
                Path("demo-report"),
                374.0,
            )
        ]
    )
    return desk


@contextmanager
def local_time(monkeypatch: object, zone: str) -> Iterator[None]:
    """The computer's zone, as the C library has it."""
    import time

    monkeypatch.setenv("TZ", zone)  # type: ignore[attr-defined]
    time.tzset()
    try:
        yield
    finally:
        monkeypatch.undo()  # type: ignore[attr-defined]
        time.tzset()
