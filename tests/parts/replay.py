# SPDX-License-Identifier: Apache-2.0
"""A working day of a site as its desktop is told of it, hour by hour, for replaying in minutes: events, no sockets.

Sixteen rounds of half an hour: 1,200 steps each, transfers both ways, scores before and after, the coordinator's word
every second, and a line that is lost and found again every twenty minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from fedmed_desktop import events
from fedmed_desktop.desktop.work.news import Item, SessionStarted
from fedmed_desktop.scores import Counts, Scores, TaskScores
from fedmed_desktop.standing import ClosedRound

SITE: Final = "Lakeview"
ADDRESS: Final = "wss://coordinator.example.org:8765"
BEGAN: Final = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HOURS, ROUND_S, STEPS, BLOB = 8, 1800, 1200, 20_214_000
ROUNDS: Final = HOURS * 3600 // ROUND_S
_LOST_EVERY_S: Final = 1200
_TRAINS_FROM, _TRAINS_UNTIL = 200, 1400  # seconds of a round; a step each second


def session() -> SessionStarted:
    return SessionStarted("site", SITE, ADDRESS, (SITE,), Path("/srv/lakeview/notes"), Path("/srv/models/clinical-1b"))


def second(number: int) -> Iterator[Item]:
    """All that is told in this second of the day, from 0 to HOURS * 3600 - 1."""
    time = BEGAN + timedelta(seconds=number)
    at, round_number = number % ROUND_S, number // ROUND_S + 1
    if number % _LOST_EVERY_S in (0, 10):
        lost = number % _LOST_EVERY_S == 0
        yield events.ConnectionChanged(
            time=time, site=SITE, state="lost" if lost else "connected", address=ADDRESS,
            code="link.closed" if lost else None, params={"address": ADDRESS}, retry_seconds=10.0 if lost else None,
        )  # fmt: skip
    yield _standing(time, round_number)
    if at in _PHASES:
        yield events.PhaseChanged(time=time, site=SITE, round=round_number, phase=_PHASES[at])
    if at < 100 or 1600 <= at < 1700:
        yield _moved(time, round_number, at)
    if at in (_TRAINS_FROM - 1, _TRAINS_UNTIL):
        yield _scored(time, round_number, at)
    elif 100 <= at < _TRAINS_FROM or _TRAINS_UNTIL < at < 1500:
        yield events.GenerationProgress(time=time, site=SITE, round=round_number, done=at % 100, total=100)
    if _TRAINS_FROM <= at < _TRAINS_UNTIL:
        yield _step(time, round_number, at - _TRAINS_FROM + 1)


_PHASES: Final[dict[int, events.Phase]] = {
    0: "downloading",
    100: "scoring_before",
    _TRAINS_FROM: "training",
    _TRAINS_UNTIL: "scoring_after",
    1500: "approval",
    1600: "uploading",
    1700: "sent",
}


def _standing(time: datetime, round_number: int) -> events.StandingChanged:
    history = tuple(
        ClosedRound(
            round=n, closed=BEGAN + timedelta(seconds=n * ROUND_S), sent=5, scores_before=None, scores_after=None,
            residual=0.1, weight=0.2, model_drift=0.3, performance_drift=0.4, rank=16, other_ranks=(8, 16, 16, 32),
        )
        for n in range(1, round_number)
    )  # fmt: skip
    opened = BEGAN + timedelta(seconds=(round_number - 1) * ROUND_S)
    return events.StandingChanged(
        time=time, site=SITE, round=round_number, rounds=ROUNDS, attempt=1, phase="open", opened=opened,
        closes=opened + timedelta(seconds=ROUND_S), sites={"training": 4, "sent": 1}, connected=5, history=history,
    )  # fmt: skip


def _moved(time: datetime, round_number: int, at: int) -> events.TransferProgress:
    is_down = at < 100
    return events.TransferProgress(
        time=time, site=SITE, round=round_number, direction="down" if is_down else "up",
        blob=f"{2 * round_number + is_down:064x}", bytes=BLOB * (at % 100 + 1) // 100, total=BLOB,
    )  # fmt: skip


def _scored(time: datetime, round_number: int, at: int) -> events.Evaluated:
    right = 40 + 3 * round_number
    strict = {name: Counts(tp=right, fp=100 - right, fn=100 - right) for name in ("drug", "problem", "test")}
    return events.Evaluated(
        time=time, site=SITE, round=round_number, moment="before" if at < _TRAINS_UNTIL else "after",
        loss=2 / round_number, scores=Scores.of_entities(TaskScores(strict=strict, unified=Counts(tp=1))),
    )  # fmt: skip


def _step(time: datetime, round_number: int, step: int) -> events.TrainingStep:
    return events.TrainingStep(
        time=time, site=SITE, round=round_number, step=step, steps=STEPS, loss=2 / round_number + (step % 7) / 50,
        learning_rate=1e-4, tokens_per_second=3400.0 + step % 13, memory_mib=9345.0,
    )  # fmt: skip
