# SPDX-License-Identifier: Apache-2.0
"""An evaluation as it is shown: the verdict in a sentence, then a table with intervals. No Qt."""

from __future__ import annotations

from ...wording import together, tr, written
from ..look.runs import RunView, without_result
from ..work.news import EvaluatedRow, EvaluationShown
from ..work.scored import Key, headline_name, is_shown_mean, part_name


def evaluation_view(shown: EvaluationShown) -> RunView:
    match shown.state:
        case "waiting" | "stopped" | "failed":
            return without_result(shown.state, tr("Not evaluated"), shown.sentence)
        case "loading":
            return RunView(tr("Reading the notes and the model…"), "dim")
        case "running":
            share = shown.done / shown.total if shown.total else None
            said = tr("{done} of {total} answers").format(done=written(shown.done), total=written(shown.total))
            return RunView(tr("Evaluating…"), "dim", said, share)
    return _done(shown)


def _done(shown: EvaluationShown) -> RunView:
    adapter = shown.adapter
    kept = [row for row in shown.rows if row.measure != "mean" or is_shown_mean(row.name)]
    kept = [row for row in kept if row.measure != "unified"]
    compared = any(row.adapted is not None for row in kept)
    headings = [tr("Measure"), tr("Base model")]
    headings += [adapter, tr("Difference")] if compared else []
    rows = tuple(_row(row, compared) for row in kept)
    verdict, tone = _verdict(kept, adapter) if compared else (tr("The base model was scored."), "ok")
    on = tr("On %n note(s); in brackets the 95 % interval of each score.", "", shown.notes)
    few = tr("With one document or patient there are no intervals.") if shown.documents < 2 else ""
    return RunView(verdict, tone, together(on, few), None, (*headings, tr("In the notes")), rows)


def _verdict(rows: list[EvaluatedRow], adapter: str) -> tuple[str, str]:
    """Judges by the measures of whole tasks: which are better, which worse, beyond chance."""
    whole = [row for row in rows if row.name == "all" and row.measure == "strict"]
    whole += [row for row in rows if row.task == "summaries"]
    better = [row for row in whole if row.is_clear and (row.difference or 0) > 0]
    worse = [row for row in whole if row.is_clear and (row.difference or 0) < 0]
    names = ", ".join(dict.fromkeys(headline_name(row.task, several=True) for row in worse or better))
    if worse:
        return tr("{adapter} is worse than the base model: {tasks}.").format(adapter=adapter, tasks=names), "bad"
    if better:
        return tr("{adapter} is better than the base model: {tasks}.").format(adapter=adapter, tasks=names), "ok"
    return tr("No difference beyond chance between {adapter} and the base model.").format(adapter=adapter), "warn"


def _row(row: EvaluatedRow, compared: bool) -> tuple[str, ...]:
    cells = [_name(row), _with_interval(row.value, row.interval)]
    if compared:
        cells.append(_with_interval(row.adapted, row.adapted_interval) if row.adapted is not None else "–")
        word = (tr("higher") if (row.difference or 0) > 0 else tr("lower")) if row.is_clear else tr("not clear")
        cells.append(
            f"{written(row.difference, '+.2f')} · {word}".replace("-", "−") if row.difference is not None else "–"
        )
    return (*cells, written(row.support))


def _name(row: EvaluatedRow) -> str:
    if row.measure == "mean":
        return f"\u2003{part_name(Key(row.task, 'mean', row.name))}"
    name = headline_name(row.task, several=True)
    if row.name != "all":
        name = f"\u2003{part_name(Key(row.task, 'type', row.name))}"
    if row.measure != "lenient":
        return name
    said = tr("{measure}, categories") if row.task == "codes" else tr("{measure}, lenient")
    return said.format(measure=name)


def _with_interval(value: float, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return written(value, ".2f")
    return tr("{value} ({low} to {high})").format(
        value=written(value, ".2f"), low=written(interval[0], ".2f"), high=written(interval[1], ".2f")
    )
