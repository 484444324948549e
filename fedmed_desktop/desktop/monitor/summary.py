# SPDX-License-Identifier: Apache-2.0
"""Texts and key figures of the Monitor, and the span of x that it shows while it follows."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from ...wording import later, together, tr, unit, written
from ...wording.sizes import percent_of
from ..charts.columns import NAN
from ..charts.scales import Axis, number
from ..work.curves import DRIFTS, Curves
from ..work.desk import Desk
from ..work.judgement import notes_of
from ..work.layers import where
from ..work.news import Load
from .series import RankChange, Series

_NAMES = {
    "model": later("model"), "performance": later("performance"), "semantic": later("semantic"),
    "combined": later("combined"),
}  # fmt: skip
_TREND_OVER = 50  # steps
_STEADY = 0.02  # a smaller relative change of the smoothed loss is no trend; inferred


_FEW_STEPS = 20  # before so many nobody can tell how it goes; inferred


class Figure(NamedTuple):
    """A number on a card: `unit` and `note` may be empty."""

    value: str
    unit: str = ""
    note: str = ""


class Figures(NamedTuple):
    """The cards beside the charts. `scores`: (task, type or mean, before and after) under `scores_name`; `scores_of`
    says of which round and notes.
    """

    speed: Figure
    memory: Figure
    moved: Figure
    rate: Figure
    scores_name: str
    scores_of: str
    scores: tuple[tuple[str, str], ...]


def subtitle(desk: Desk) -> str:
    """Subtitle such as "Round 3 of 10 · Riverside"."""
    parts = []
    if desk.round:
        rounds = desk.standing.rounds if desk.standing else (desk.spec.rounds if desk.spec else 0)
        said = tr("Round {round} of {rounds}") if rounds else tr("Round {round}")
        parts.append(said.format(round=desk.round, rounds=rounds))
    if desk.session:
        parts.append(desk.session.site)
    return " · ".join(parts)


def waiting(desk: Desk) -> tuple[str, str]:
    """Headline and sentence while there is nothing to draw."""
    if desk.session is None:
        return (
            tr("Nothing to show yet"),
            tr("Training is drawn here once this computer takes part in a federation."),
        )
    text = tr("Training is drawn here as soon as it starts on {notes}.").format(notes=notes_of(desk))
    return tr("Waiting for the first step"), text


def figures(series: Series, full: int | None = None, load: Load | None = None) -> Figures:
    """`full`: bytes of the whole base model, where they are known; `load`: of the computer, while it trains."""
    speed, memory, rate = (series.latest(n) for n in ("tokens_per_second", "memory_mib", "learning_rate"))
    up, down = series.bytes_moved()
    round_number, scores, all_f1 = series.last_scores()
    name = tr("Found correctly, of 100") if all_f1 else tr("Points, of 100")
    return Figures(
        speed=Figure(written(speed, ",.0f"), tr("tokens/s")) if math.isfinite(speed) else Figure("–"),
        memory=_memory(memory, load),
        moved=Figure(
            f"{written(up / 1e6, ',.1f')} / {written(down / 1e6, ',.1f')}", unit("M"), _beside_model(up + down, full)
        ),
        rate=Figure(number(rate)) if math.isfinite(rate) else Figure("–"),
        scores_name=name,
        scores_of=tr("In round {n}, on notes kept aside").format(n=round_number),
        scores=tuple((measure, _gain(before if all_f1 else NAN, after, before)) for measure, before, after in scores),
    )


def _memory(mebibytes: float, load: Load | None) -> Figure:
    """The most that training took, and below it how busy the computer is now."""
    note = load.words if load else ""
    if not math.isfinite(mebibytes):
        return Figure("–")
    return Figure(written(mebibytes * 2**20 / 1e9, ",.1f"), unit("G"), note)


def _beside_model(moved: int, full: int | None) -> str:
    return tr("{share} of the full model").format(share=percent_of(moved, full)) if full and moved else ""


def _gain(before: float, after: float, known: float) -> str:
    """Scores before and after; the last that is known where one is missing, or where there is no room for both."""
    if math.isnan(after):
        return written(100 * known, ".0f")
    return (
        written(100 * after, ".0f")
        if math.isnan(before)
        else f"{written(100 * before, '.0f')} → {written(100 * after, '.0f')}"
    )


def span(series: Series, axis: Axis) -> tuple[float, float]:
    """Ends of the x axis while following: all there is, and room up to the next quarter of the current round. The axis
    then moves four times in a round rather than at every step.
    """
    end = series.extent(axis)
    if axis == "step" and series.curves.current:
        _, step, steps = series.curves.current
        quarter = math.ceil(4 * step / steps) * steps / 4
        end = max(end, end - step + quarter)
    end = max(end, 1.0)
    return -0.01 * end, 1.01 * end  # markers at the ends are not cut in half


def place(series: Series, axis: Axis, x: float) -> str:
    """Name of the step at an x, such as "round 2, step 48"."""
    found = series.step_at(axis, x)
    return tr("round {round}, step {step:,}").format(round=found[0], step=found[1]) if found else ""


_TRENDS = {"falling": later("falling"), "rising": later("rising"), "steady": later("steady")}


def trend(series: Series) -> str:
    """ "falling", "rising" or "steady" in the reader's language; "" with too few steps."""
    found = _change(series)
    return tr(_TRENDS[found]) if found else ""


def verdict(series: Series) -> tuple[str, Literal["ok", "warn", "dim"]]:
    """Says how training goes in plain words, and the tone: by the smoothed loss, and the loss on notes kept aside."""
    if series.curves.current is None:
        return "", "dim"
    if np.isfinite(series.training("step")[1]).sum() < _FEW_STEPS:
        return tr("Training has just begun"), "dim"
    aside = series.validation("step")[1]
    if aside.size >= 2 and aside[-1] > (1 + _STEADY) * aside[-2]:
        return tr("Training needs a look: errors on notes kept aside are rising"), "warn"
    match _change(series):
        case "falling":
            return tr("Training is going well: errors are falling"), "ok"
        case "rising":
            return tr("Training needs a look: errors are rising"), "warn"
        case _:
            return tr("Training is steady: errors stay about the same"), "dim"


def _change(series: Series) -> Literal["falling", "rising", "steady", ""]:
    """The smoothed loss against that of fifty steps before; "" with too few steps."""
    values = series.training("step", "0.9")[1][-_TREND_OVER:]
    values = values[np.isfinite(values)]
    if values.size < 2:
        return ""
    change = float(values[-1] - values[0])
    if abs(change) <= _STEADY * abs(float(values[0])):
        return "steady"
    return "falling" if change < 0 else "rising"


def loss_sentence(series: Series) -> str:
    """Sentence such as "Training loss, round 2 step 812, 1.24, falling"."""
    if series.curves.current is None:
        return tr("Waiting for the first step")
    round_number, step, _ = series.curves.current
    at = tr("round {round} step {step:,}").format(round=round_number, step=step)
    parts = [tr("Training loss"), at, number(series.latest("loss")), trend(series)]
    x, loss = series.validation("step")
    if x.size:
        parts.append(tr("validation loss {loss}").format(loss=number(float(loss[-1]))))
    return ", ".join(part for part in parts if part)


def drift_sentence(series: Series) -> str:
    """The last known value of each."""
    last = {name: series.drift(name, "step")[1] for name in DRIFTS}
    known = [f"{tr(_NAMES[name])} {number(float(v[-1]))}" for name, v in last.items() if v.size]
    return tr("Drift: {values}").format(values=", ".join([*known, *_unmeasured(series)]))


def unmeasured(series: Series) -> str:
    """The drifts of this site that are not known, and why; "" where all are."""
    return " · ".join(_unmeasured(series))


def _unmeasured(series: Series) -> list[str]:
    """The combined one is a method's own number, that the coordinator keeps: no site measures it."""
    missing = [name for name in DRIFTS if name != "combined" and not series.drift(name, "step")[1].size]
    never = tr("{drift} not measured, because no counts are shared")
    yet = tr("{drift} not measured yet")
    return [
        (yet if name != "semantic" or series.curves.shares_counts else never).format(drift=tr(_NAMES[name]))
        for name in missing
    ]


def rank_sentence(series: Series) -> str:
    _, rank = series.rank("step")
    if not rank.size:
        return tr("Rank: not known yet")
    change = rank_change(series)
    said = tr("Rank {rank:.0f} at this site").format(rank=rank[-1])
    return f"{said}, {change}" if change else said


def rank_change(series: Series) -> str:
    """The last change of this site's rank and its reason, such as "raised in round 2: 8 to 16, as combined drift was
    0.62, above 0.6".
    """
    changes = series.rank_changes()
    if not changes:
        return ""
    last = changes[-1]
    said = tr("raised in round {round}: {before} to {after}")
    if last.after < last.before:
        said = tr("lowered in round {round}: {before} to {after}")
    said = said.format(round=last.round, before=last.before, after=last.after)
    reason = _reason(series, last)
    return tr("{change}, {reason}").format(change=said, reason=reason) if reason else said


def _reason(series: Series, change: RankChange) -> str:
    """Says why the rank changed, as far as the method's settings and the drift that was told say so."""
    follows, levels = series.curves.rank_follows, series.curves.thresholds
    if follows == "schedule":
        return tr("as the method plans")
    if follows != "drift" or math.isnan(change.drift):
        return ""
    drift = number(change.drift)
    if levels and change.drift >= levels[-1]:
        return tr("as combined drift was {drift}, above {level:g}").format(drift=drift, level=levels[-1])
    if levels and change.drift <= levels[0]:
        return tr("as combined drift was {drift}, below {level:g}").format(drift=drift, level=levels[0])
    return tr("as combined drift was {drift}").format(drift=drift)


def layers_sentence(curves: Curves) -> str:
    """Says where the change of the latest round is, and how large it was beside the round before."""
    if not curves.layers:
        return tr("Once a round's training is done, this shows how much each layer has changed.")
    *earlier, last = sorted(curves.layers)
    size, times = (math.hypot(*curves.layers[last].values()), "")
    if earlier and (before := math.hypot(*curves.layers[earlier[-1]].values())):
        times = tr("The whole change is {times:.1f} times as large as in round {round}.")
        times = times.format(times=size / before, round=earlier[-1])
    at = tr("Round {round}.").format(round=last)
    return together(at, where({layer: norm**2 for layer, norm in curves.layers[last].items()}), times)
