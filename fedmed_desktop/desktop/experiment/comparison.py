# SPDX-License-Identifier: Apache-2.0
"""An experiment's results as they are shown: for each setting a table of methods, and the lines of its charts.
Comparing needs the lab, which is imported when a folder is opened: the program starts without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from ...storage.results import Results
from ...wording import later, tr, unit
from ..charts.columns import Numbers
from ..work.scored import headline_name

if TYPE_CHECKING:
    from ...lab.compare import Comparison, Setting
    from ...lab.compare import Line as Result
    from ...lab.curves import Quantity

MOST_LINES: Final = 24  # in a chart: a folder may name any number of methods
LABEL_LENGTH: Final = 40
_NONE: Final = "–"
_UNITS: Final[tuple[tuple[Literal["M", "G"], float], ...]] = (("G", 1e9), ("M", 1e6))
_AGAINST: Final = (later("Against"), later("Difference"), later("95 % interval"), later("What it shows"))


@dataclass(frozen=True)
class Course:
    """A method's line. Shapes (points,): x never falls; `sd` is NaN where one seed was run. `is_reference`: nothing
    federated; where it was measured once, a level from end to end.
    """

    label: str
    x: Numbers
    y: Numbers
    sd: Numbers
    is_reference: bool = False


@dataclass(frozen=True)
class Sheet:
    """One setting. `rows` belong to `labels`; charts: loss, drift and rank by round, loss and `score` by `unit` moved.
    `score`: F1 or, of several tasks, their mean, by its name.
    """

    title: str
    labels: tuple[str, ...]
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    loss: tuple[Course, ...]
    drift: tuple[Course, ...]
    rank: tuple[Course, ...]
    loss_by_bytes: tuple[Course, ...]
    score_by_bytes: tuple[Course, ...]
    unit: str
    score: str

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
    threads = tr("%n thread(s)", "", results.threads)
    return " · ".join((tr("%n method(s)", "", methods), tr("%n seed(s)", "", seeds), threads))


def _lacks(results: Results) -> str:
    parts = []
    if missing := max(0, results.cells - len(results.done)):
        said = tr("{missing:,} of {all:,} cells have not run yet; means are over those that have.")
        parts.append(said.format(missing=missing, all=results.cells))
    if results.failed:
        name, failure = min(results.failed.items())
        others = [short(other) for other in sorted(results.failed)[1:]]
        said = tr("{cell} has no result and is in no mean: {reason}")
        parts.append(said.format(cell=short(name), reason=failure.sentence))
        said = (
            tr("The same is true of {cells} and {count:,} more.") if others[2:] else tr("The same is true of {cells}.")
        )
        if others:
            parts.append(said.format(cells="; ".join(others[:2]), count=len(others) - 2))
    return " ".join(parts)


def _remarks(results: Results, compared: Sequence[Comparison]) -> tuple[str, ...]:
    from ...lab.by_task import averaged
    from ...lab.report import baselines, inferred, kept

    found = [line.loss_difference for one in compared for line in one.lines if line.loss_difference]
    remarks = [tr("Loss is after the last round, on the validation notes of all sites; lower is better.")]
    if tasks := averaged(results.rows):
        names = ", ".join(headline_name(task, several=True) for task in tasks)
        remarks.append(tr("The mean of tasks is the mean of these, after the last round: {names}.").format(names=names))
    if found:
        remarks.append(tr("Each method is compared with the best of the other federated ones."))
    remarks += [words.replace("`", "").replace("*", "") for words in (*kept(results), *baselines(compared))]
    if any(line.loss.sd is not None for one in compared for line in one.lines):
        remarks.append(tr("± is the standard deviation over seeds."))
    if any(one.interval for one in found):
        remarks.append(
            tr(
                "Intervals of few seeds are much too narrow: lower and higher are shown only where a paired t-test "
                "over seeds finds a difference as well. No difference shown does not prove that there is none."
            )
        )
    if any(one.interval is None for one in found):
        remarks.append(tr("With one seed there is no interval: it is not known how much another seed would change."))
    if any(len(one.lines) > MOST_LINES for one in compared):
        remarks.append(tr("The charts show the first {count} methods only.").format(count=MOST_LINES))
    if any(line.worse_than_alone for one in compared for line in one.lines):
        remarks.append(tr("Worse than alone counts the sites of all seeds whose loss is above that of training alone."))
    if any(line.drift for one in compared for line in one.lines):
        remarks.append(tr("Drift is computed in this project's own way."))
    remarks += [words.replace("`", "") for words in inferred(results)]
    return tuple(remarks)


# -- the table ---------------------------------------------------------------------------------------------------------


def _sheet(found: Comparison, test: Comparison | None, results: Results) -> Sheet:
    from ...lab.by_task import averaged

    labels = tuple(line.label for line in found.lines)
    tests = {line.label: line for line in test.lines} if test else {}
    columns = _columns(found.lines, tests, is_mean=bool(averaged(results.rows)))
    drawn = set(labels[:MOST_LINES])
    by_bytes = {quantity: _by_bytes(results, found.setting, quantity, drawn) for quantity in ("loss", "f1")}
    most = max((course.x[-1] for courses in by_bytes.values() for course in courses), default=0.0)
    moved, size = next(((unit(u), s) for u, s in _UNITS if most >= 10 * s), (unit("k"), 1e3))
    return Sheet(
        title=found.setting.title,
        labels=labels,
        headings=tuple(columns),
        rows=tuple(zip(*columns.values(), strict=True)),
        loss=_courses(results, found.setting, "loss", drawn),
        drift=_courses(results, found.setting, "drift", drawn),
        rank=_courses(results, found.setting, "rank", drawn),
        loss_by_bytes=_scaled(by_bytes["loss"], size),
        score_by_bytes=_scaled(by_bytes["f1"], size),
        unit=moved,
        score=tr("Mean of tasks") if averaged(results.rows) else tr("F1"),
    )


def _columns(lines: Sequence[Result], test: dict[str, Result], *, is_mean: bool) -> dict[str, list[str]]:
    """Heading -> a word for each method; what nobody measured has no column."""
    from ...lab.report import megabytes, moved, rank, spread, worse

    columns = {
        tr("Method"): [short(line.label) for line in lines],
        tr("Loss"): [spread(line.loss) for line in lines],
        **dict(zip(map(tr, _AGAINST), _differences(lines), strict=True)),
        tr("Worst site"): [spread(line.worst_loss) for line in lines],
        tr("Worse than alone"): [worse(line) for line in lines],
        tr("Mean of tasks") if is_mean else tr("F1"): [spread(line.f1) for line in lines],
        tr("Worst site's mean of tasks") if is_mean else tr("Worst site's F1"): [spread(x.worst_f1) for x in lines],
        tr("Drift"): [spread(line.drift, 2) for line in lines],
        tr("Rank, mean / last"): [rank(line) for line in lines],
        tr("MB moved"): [megabytes(line) for line in lines],
        tr("Of the full model"): [moved(line)[1] for line in lines],
        tr("Test loss"): [spread(test[line.label].loss) if line.label in test else _NONE for line in lines],
    }
    return {name: words for name, words in columns.items() if name == tr("Method") or set(words) != {_NONE}}


def _differences(lines: Sequence[Result]) -> list[list[str]]:
    """Rows of differences in percent; where the baseline is 0, as it is."""
    from ...lab.report import percent, shown, signed

    rows = []
    for line in lines:
        found = line.loss_difference
        if found is None:
            rows.append([_NONE] * 4)
            continue
        size = signed(found.absolute) if found.relative is None else percent(found.relative)
        ends = found.relative_interval
        interval = tr("{low} to {high}").format(low=percent(ends[0]), high=percent(ends[1])) if ends else _NONE
        if found.interval and not ends:
            interval = tr("{low} to {high}").format(low=signed(found.interval[0]), high=signed(found.interval[1]))
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
