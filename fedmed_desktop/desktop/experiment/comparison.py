# SPDX-License-Identifier: Apache-2.0
"""An experiment's results as they are shown: for each setting a table of methods, and the lines of its charts.

Comparing needs the lab, which is imported when a folder is opened: the program starts without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ...storage.results import Results
from ..charts.columns import Numbers

if TYPE_CHECKING:
    from ...lab.compare import Comparison, Setting
    from ...lab.compare import Line as Result
    from ...lab.curves import Quantity

MOST_LINES: Final = 24  # in a chart: a folder may name any number of methods
LABEL_LENGTH: Final = 40
_NONE: Final = "–"


@dataclass(frozen=True)
class Course:
    """A method's line. Shapes (points,): x never falls; `sd` is NaN where one seed was run.

    `is_reference`: nothing federated; where it was measured once, a level from end to end.
    """

    label: str
    x: Numbers
    y: Numbers
    sd: Numbers
    is_reference: bool = False


@dataclass(frozen=True)
class Sheet:
    """One setting. `rows` belong to `labels`; charts: loss, drift and rank by round, loss and F1 by `unit` moved."""

    title: str
    labels: tuple[str, ...]
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    loss: tuple[Course, ...]
    drift: tuple[Course, ...]
    rank: tuple[Course, ...]
    loss_by_bytes: tuple[Course, ...]
    f1_by_bytes: tuple[Course, ...]
    unit: str

    @property
    def drawn(self) -> tuple[str, ...]:
        """The methods that have a line."""
        return self.labels[:MOST_LINES]


@dataclass(frozen=True)
class Experiment:
    """A whole folder. `remarks`: what a reader must know; `lacks`: what is not there; "" where nothing is amiss."""

    name: str
    subtitle: str
    lacks: str
    remarks: tuple[str, ...]
    sheets: tuple[Sheet, ...]


def experiment_of(results: Results) -> Experiment:
    """Everything that is shown of results: seconds for a large folder's, so on a thread of its own."""
    from ...lab.compare import compare

    on_test = {found.setting: found for found in compare(results.rows, "test")}
    compared = compare(results.rows)
    return Experiment(
        name=results.experiment,
        subtitle=_subtitle(results),
        lacks=_lacks(results),
        remarks=_remarks(results, compared),
        sheets=tuple(_sheet(found, on_test.get(found.setting), results) for found in compared),
    )


def short(label: str) -> str:
    """Labels come from a file that anybody may have written."""
    return label if len(label) <= LABEL_LENGTH else f"{label[: LABEL_LENGTH - 1]}…"


def _subtitle(results: Results) -> str:
    seeds = len({row.seed for row in results.rows})
    methods = len({row.label for row in results.rows if row.kind == "federation"})
    return " · ".join((_counted(methods, "method"), _counted(seeds, "seed"), _counted(results.threads, "thread")))


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _lacks(results: Results) -> str:
    parts = []
    if missing := max(0, results.cells - len(results.done)):
        parts.append(f"{missing:,} of {results.cells:,} cells are still to run; means are over those that are there.")
    if results.failed:
        name, failure = min(results.failed.items())
        others = [short(other) for other in sorted(results.failed)[1:]]
        more = f" and {len(others) - 2:,} more" if len(others) > 2 else ""
        parts.append(f"{short(name)} has no result and is in no mean: {failure.sentence}")
        if others:
            parts.append(f"Nor have: {'; '.join(others[:2])}{more}.")
    return " ".join(parts)


def _remarks(results: Results, compared: Sequence[Comparison]) -> tuple[str, ...]:
    from ...lab.report import baselines, inferred, kept

    found = [line.loss_difference for one in compared for line in one.lines if line.loss_difference]
    remarks = ["Loss is after the last round, on the validation notes of all sites; lower is better."]
    if found:
        remarks.append("Each method is set against the best of the other federated ones.")
    remarks += [words.replace("`", "").replace("*", "") for words in (*kept(results), *baselines(compared))]
    if any(line.loss.sd is not None for one in compared for line in one.lines):
        remarks.append("± is the standard deviation over seeds.")
    if any(one.interval for one in found):
        remarks.append(
            "Intervals of few seeds are much too narrow: lower and higher stand only where a paired t-test over seeds "
            "finds a difference as well. No difference shown is no proof that there is none."
        )
    if any(one.interval is None for one in found):
        remarks.append("With one seed there is no interval: how much another seed would change is not known.")
    if any(len(one.lines) > MOST_LINES for one in compared):
        remarks.append(f"The charts have the first {MOST_LINES} methods only.")
    if any(line.worse_than_alone for one in compared for line in one.lines):
        remarks.append("Worse than alone counts the sites of all seeds whose loss is above that of training by itself.")
    if any(line.drift for one in compared for line in one.lines):
        remarks.append("Drift is computed in this project's own way.")
    remarks += [words.replace("`", "") for words in inferred(results)]
    return tuple(remarks)


# -- the table ---------------------------------------------------------------------------------------------------------


def _sheet(found: Comparison, test: Comparison | None, results: Results) -> Sheet:
    from ...lab.report import title

    labels = tuple(line.label for line in found.lines)
    columns = _columns(found.lines, {line.label: line for line in test.lines} if test else {})
    drawn = set(labels[:MOST_LINES])
    by_bytes = {quantity: _by_bytes(results, found.setting, quantity, drawn) for quantity in ("loss", "f1")}
    most = max((course.x[-1] for courses in by_bytes.values() for course in courses), default=0.0)
    unit, size = next(((u, s) for u, s in (("GB", 1e9), ("MB", 1e6)) if most >= 10 * s), ("kB", 1e3))
    return Sheet(
        title=title(found.setting),
        labels=labels,
        headings=tuple(columns),
        rows=tuple(zip(*columns.values(), strict=True)),
        loss=_courses(results, found.setting, "loss", drawn),
        drift=_courses(results, found.setting, "drift", drawn),
        rank=_courses(results, found.setting, "rank", drawn),
        loss_by_bytes=_scaled(by_bytes["loss"], size),
        f1_by_bytes=_scaled(by_bytes["f1"], size),
        unit=unit,
    )


def _columns(lines: Sequence[Result], test: dict[str, Result]) -> dict[str, list[str]]:
    """Heading -> a word for each method; what nobody measured has no column."""
    from ...lab.report import megabytes, rank, spread, worse

    columns = {
        "Method": [short(line.label) for line in lines],
        "Loss": [spread(line.loss) for line in lines],
        **dict(zip(("Against", "Difference", "95 % interval", "What it shows"), _differences(lines), strict=True)),
        "Worst site": [spread(line.worst_loss) for line in lines],
        "Worse than alone": [worse(line) for line in lines],
        "F1": [spread(line.f1) for line in lines],
        "Worst site's F1": [spread(line.worst_f1) for line in lines],
        "Drift": [spread(line.drift, 2) for line in lines],
        "Rank, mean / last": [rank(line) for line in lines],
        "MB moved": [megabytes(line) for line in lines],
        "Test loss": [spread(test[line.label].loss) if line.label in test else _NONE for line in lines],
    }
    return {name: words for name, words in columns.items() if name == "Method" or set(words) != {_NONE}}


def _differences(lines: Sequence[Result]) -> list[list[str]]:
    """In percent; where the baseline is 0, as it is."""
    from ...lab.report import percent, shown, signed

    rows = []
    for line in lines:
        found = line.loss_difference
        if found is None:
            rows.append([_NONE] * 4)
            continue
        size = signed(found.absolute) if found.relative is None else percent(found.relative)
        ends = found.relative_interval
        interval = f"{percent(ends[0])} to {percent(ends[1])}" if ends else _NONE
        if found.interval and not ends:
            interval = f"{signed(found.interval[0])} to {signed(found.interval[1])}"
        rows.append([short(found.baseline), size, interval, shown(found)])
    return [list(column) for column in zip(*rows, strict=True)]


# -- the charts --------------------------------------------------------------------------------------------------------


def _courses(results: Results, setting: Setting, quantity: Quantity, drawn: set[str]) -> tuple[Course, ...]:
    from ...lab.curves import curves_of

    found = [curve for curve in curves_of(results.rows, setting, quantity) if curve.label in drawn]
    last = max((curve.rounds[-1] for curve in found), default=0.0)
    courses = []
    for curve in found:
        is_reference = curve.kind != "federation"
        if is_reference and quantity != "loss":
            continue
        x, y, sd = curve.rounds, curve.mean, curve.sd
        if is_reference and len(x) == 1:
            x, y, sd = np.array([0.0, max(last, 1.0)]), np.repeat(y, 2), np.repeat(sd, 2)
        courses.append(Course(curve.label, x, y, sd, is_reference))
    return tuple(courses)


def _by_bytes(results: Results, setting: Setting, quantity: Quantity, drawn: set[str]) -> tuple[Course, ...]:
    """x is in bytes that all sites had moved when the score was measured."""
    from ...lab.curves import curves_of

    moved = {curve.label: curve for curve in curves_of(results.rows, setting, "bytes")}
    courses = []
    for curve in curves_of(results.rows, setting, quantity):
        if curve.kind == "federation" and curve.label in drawn:
            x = moved[curve.label].mean[np.isin(moved[curve.label].rounds, curve.rounds)]
            courses.append(Course(curve.label, np.maximum.accumulate(x), curve.mean, curve.sd))
    return tuple(courses)


def _scaled(courses: Sequence[Course], size: float) -> tuple[Course, ...]:
    return tuple(Course(course.label, course.x / size, course.y, course.sd) for course in courses)
