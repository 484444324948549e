# SPDX-License-Identifier: Apache-2.0
"""A run for tests of the Monitor: the events that a site would have told, with a plausible course and a fixed seed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from fedmed_desktop import events
from fedmed_desktop.federation import FederationSpec, Part, Plan, Report, TrainingSettings, Update
from fedmed_desktop.federation.evidence import Evidence
from fedmed_desktop.federation.work import Entry
from fedmed_desktop.scores import Counts, Scores, TaskScores
from fedmed_desktop.site import Record
from fedmed_desktop.standing import ClosedRound

SITE = "Riverside"
START = datetime(2026, 3, 2, 9, 14, tzinfo=UTC)
PAUSE_S = 240.0  # between the end of one round's training and the next one's first step


def moment(round_number: int, step: int, steps: int) -> datetime:
    return START + timedelta(seconds=(round_number - 1) * (steps + PAUSE_S) + step)


def step(
    number: int, round_number: int = 1, steps: int = 150, loss: float | None = None, time: datetime | None = None
) -> events.TrainingStep:
    """One step; its loss falls from about 2.7 to 0.5 over three rounds unless it is given."""
    way = ((round_number - 1) * steps + number) / (3 * steps)
    noise = np.random.default_rng(round_number * 100_000 + number).normal(0, 0.11)
    return events.TrainingStep(
        time=time or moment(round_number, number, steps),
        site=SITE,
        round=round_number,
        step=number,
        steps=steps,
        loss=float(0.48 + 2.2 * np.exp(-4.2 * way) + noise) if loss is None else loss,
        learning_rate=2e-4 * (1 - number / (steps + 1)),
        tokens_per_second=3412.0 + 40 * noise,
        memory_mib=9345.0,
    )


def scored(round_number: int, when: Literal["before", "after"], steps: int = 150) -> events.Evaluated:
    gain = round_number - (0.35 if when == "before" else 0)
    hit = {"drug": 0.50 + 0.08 * gain, "problem": 0.44 + 0.07 * gain, "test": 0.30 + 0.06 * gain}
    strict = {
        name: Counts(tp=round(120 * f1), fp=120 - round(120 * f1), fn=120 - round(120 * f1)) for name, f1 in hit.items()
    }
    return events.Evaluated(
        time=moment(round_number, 0 if when == "before" else steps, steps),
        site=SITE,
        round=round_number,
        moment=when,
        loss=1.75 * 0.62 ** (round_number - (1 if when == "before" else 0)) + 0.3,
        scores=Scores.of_entities(TaskScores(strict=strict, unified=Counts(tp=1))),
    )


def run(rounds: int = 3, steps: int = 150, last_step: int | None = None) -> list[events.Event]:
    """`rounds` rounds of `steps`, the last of which is only at `last_step` where that is given."""
    told: list[events.Event] = []
    for number in range(1, rounds + 1):
        is_open = number == rounds and last_step is not None
        told.append(events.TransferProgress(
            site=SITE, round=number, direction="down", blob=f"{number:064x}", bytes=20_214_000, total=20_214_000
        ))  # fmt: skip
        told.append(scored(number, "before", steps))
        told += [step(n, number, steps) for n in range(1, (last_step if is_open and last_step else steps) + 1)]
        if not is_open:
            told.append(scored(number, "after", steps))
    return told


def standing(
    rounds: int = 2, ranks: tuple[int, ...] = (8, 16), others: tuple[int, ...] = (4, 8)
) -> events.StandingChanged:
    history = tuple(
        ClosedRound(
            round=n + 1,
            closed=START + timedelta(hours=n + 1),
            sent=3,
            scores_before=None,
            scores_after=None,
            residual=0.1,
            weight=0.4,
            model_drift=0.42 - 0.05 * n,
            performance_drift=0.62 - 0.2 * n,
            rank=ranks[min(n, len(ranks) - 1)],
            other_ranks=others,
        )
        for n in range(rounds)
    )
    return events.StandingChanged(
        site=SITE, round=rounds + 1, rounds=10, attempt=1, phase="open", opened=START, closes=None,
        sites={"training": 3}, connected=3, history=history,
    )  # fmt: skip


def entry(
    round_number: int,
    state: str = "acknowledged",
    model: float | None = 0.3,
    steps: int = 150,
    semantic: float | None = None,
) -> Entry:
    plan = Plan(round=round_number, start="0" * 64, rank=16, training=TrainingSettings(steps=steps), seed=round_number)
    losses = {f"loss_{when}": scored(round_number, when, steps).loss for when in ("before", "after")}
    report = Report(notes=2310, steps=steps, **losses)
    update = Update(
        round=round_number, parts={"adapter": Part(sha256=f"{round_number + 100:064x}", size=16_830_000)}, report=report
    )
    performance = None if model is None else 0.4
    evidence = Evidence(model_drift=model, performance_drift=performance, semantic_drift=semantic, rank=16)
    return Entry(
        sha256=update.sha256, plan=plan, update=update, evidence=evidence, state=state, effective=None, code=""  # type: ignore[arg-type]
    )  # fmt: skip


def record(*entries: Entry, spec: FederationSpec | None = None) -> Record:
    return Record(spec=spec, entries=entries, decisions=(), final=None)
