# SPDX-License-Identifier: Apache-2.0
"""An experiment's results for people: `table.md` with every comparison, and pictures.

Where an interval holds 0, the words are "no difference shown"; where there is one seed, none is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from ..files import write_durably
from ..scores import TaskName
from ..storage.results import TABLE_FILE, ResultRow, Results, read_results
from ..wording import tr, written
from ..wording.sizes import percent_of
from .beyond import FULL, alone_on_all_notes, cohort_tables, fitted_table, newcomer_table
from .by_task import averaged, settled, task_table
from .compare import Comparison, Line, Split, Spread, compare, labels_of
from .differences import FEW_SEEDS, RESAMPLES, Difference
from .plots import draw_plots

_PICTURES: Final = {
    "loss.png": "Loss on validation notes after each round",
    "drift_and_rank.png": "Drift and rank in each round",
    "bytes_and_score.png": "Score against bytes moved",
}
# Methods of which no formula could be read: what runs here was designed after their descriptions.
_REDESIGNED: Final = {"adaptive_fedlora": "AdaptiveFedLoRA", "fedopal": "FedOPAL", "sa_fedlora": "SA-FedLoRA"}
_KEEPING: Final = frozenset({"fedopal", "fedsa"})  # a site's model is not the federation's alone
_MOST_SITES: Final = 10  # as columns of a table
_NONE: Final = "–"


def write_report(folder: Path) -> list[Path]:
    """Writes `table.md`, then the pictures as PNG and SVG; returns their paths.

    Raises UserFacingError: no experiment, a full disk, or (with the table written) matplotlib missing.
    """
    results = read_results(folder)
    path = folder / TABLE_FILE
    write_durably(path, table(results).encode())
    return [path, *draw_plots(folder, results.rows)]


def table(results: Results) -> str:
    """The whole of `table.md`."""
    parts = [f"# {results.experiment}", *_state(results)]
    compared, score = compare(results.rows), _score(results.rows)
    on_test = {found.setting: found for found in compare(results.rows, "test")}
    for found in compared:
        parts.append(f"## {found.setting.title}")
        parts += [*_tables(found, score), *alone_on_all_notes(results.rows, found.setting, "validation")]
        if of_tasks := task_table(results.rows, found.setting, "validation"):
            parts.append(_grid(*of_tasks))
        if sentence := settled(results.rows, found.setting):
            parts.append(sentence)
        parts += by_site([row for row in results.rows if found.setting.holds(row)])
        if test := on_test.get(found.setting):
            parts += ["### The same models on the test notes", *_tables(test, score)]
            parts += alone_on_all_notes(results.rows, found.setting, "test")
            if of_tasks := task_table(results.rows, found.setting, "test"):
                parts.append(_grid(*of_tasks))
        for name, grid in cohort_tables(results.rows, found.setting).items():
            whose = "" if name == FULL else ", whose hospitals took no part"
            parts += [f"### The same models on {name}{whose}", _grid(*grid)]
        if fitted := fitted_table(results.rows, found.setting):
            parts += ["### Fitted to each site, on its own test notes", _grid(*fitted)]
        if newcomer := newcomer_table(results.rows, found.setting):
            parts += ["### A newcomer with few notes", _grid(*newcomer)]
    if compared:
        federated = any(row.kind == "federation" for row in results.rows)
        if any(row.kind != "encoder" for row in results.rows):
            drawn = [one for one in _PICTURES.items() if federated or one[0] == "loss.png"]
            parts += ["## Pictures", *(f"![{words}]({name})" for name, words in drawn)]
            parts.append("Lines are means over seeds, bands one standard deviation on either side.")
        parts += ["## How to read it", _bullets(_notes(results, compared))]
    return "\n\n".join(parts) + "\n"


def _state(results: Results) -> list[str]:
    """State what is missing, before any number."""
    parts = []
    if missing := max(0, results.cells - len(results.done)):
        parts.append(
            f"**Not finished:** {missing} of {results.cells} cells are still to run; means are over those there."
        )
    if results.failed:
        failed = (f"`{name}`: {failure.sentence}" for name, failure in sorted(results.failed.items()))
        parts += ["**Without a result**, and in no mean below:", _bullets(failed)]
    if not results.rows:
        parts.append("There is no result yet.")
    return parts


# -- tables ------------------------------------------------------------------------------------------------------------


def _score(rows: Sequence[ResultRow]) -> str:
    return "mean of tasks" if averaged(rows) else "strict F1"


def _tables(found: Comparison, score: str) -> list[str]:
    parts = [_grid(_headings(found.split), [_cells(line, found.split) for line in found.lines])]
    if any(line.f1 for line in found.lines):
        heading = ("method", score, "difference to the best baseline", f"worst site's {score.removeprefix('strict ')}")
        cells = [(_name(x), spread(x.f1), told(x.f1_difference), spread(x.worst_f1)) for x in found.lines]
        parts.append(_grid(heading, cells))
    return parts


def by_site(rows: Sequence[ResultRow]) -> list[str]:
    """Each site's own validation loss, mean over seeds; only where the sites are the same in every seed."""
    rows = [row for row in rows if row.kind != "encoder"]
    last = {(row.label, row.seed): row for row in sorted(rows, key=lambda r: r.round) if row.split == "validation"}
    splits = {tuple((site.site, site.notes) for site in row.sites) for row in last.values()}
    if len(splits) != 1 or not 0 < len(names := [name for name, _ in splits.pop()]) <= _MOST_SITES:
        return []
    lines = []
    for label in labels_of(rows):
        losses = np.array([[site.loss for site in row.sites] for (one, _), row in last.items() if one == label])
        lines.append([label, *(f"{loss:.3f}" for loss in losses.mean(axis=0))])
    return ["Loss on each site's own validation notes:", _grid(["method", *names], lines)]


def _headings(split: Split) -> tuple[str, ...]:
    common = (f"{split} loss", "difference to the best baseline", "worst site's loss")
    more = ("sites worse off than alone", "drift", "rank mean / last", "MB moved", "of the full model")
    return ("method", *common) if split == "test" else ("method", *common, *more)


def _cells(line: Line, split: Split) -> tuple[str, ...]:
    cells = (_name(line), spread(line.loss), told(line.loss_difference), spread(line.worst_loss))
    return cells if split == "test" else (*cells, worse(line), spread(line.drift, 2), rank(line), *moved(line))


def _name(line: Line) -> str:
    if line.kind == "encoder":
        return f"*{line.label}* ({line.method})"
    return line.label if line.kind == "federation" else f"*{line.label}*"


def spread(found: Spread | None, digits: int = 3) -> str:
    """Cell such as "1.083 ± 0.021", without a deviation for a single seed."""
    if found is None or math.isnan(found.mean):
        return _NONE
    mean = written(found.mean, f".{digits}f")
    return mean if found.sd is None else f"{mean} ± {written(found.sd, f'.{digits}f')}"


def rank(line: Line) -> str:
    """Mean over sites and rounds, and that of the last round."""
    if line.rank is None or line.last_rank is None:
        return _NONE
    return f"{written(line.rank.mean, '.1f')} / {written(line.last_rank.mean, '.1f')}"


def moved(line: Line) -> tuple[str, str]:
    """Megabytes moved, and what one site moved in a round beside the whole base model."""
    return megabytes(line), percent_of(line.share.mean, 1) if line.share else _NONE


def megabytes(line: Line) -> str:
    """Megabytes moved, of 10^6 bytes; only federations move any, of adapters or of an encoder."""
    return written(line.bytes.mean / 1e6, ",.1f") if line.kind == "federation" or line.bytes.mean else _NONE


def worse(line: Line) -> str:
    """Cell such as "1 of 9", for three sites in three seeds."""
    found = line.worse_than_alone
    return _NONE if found is None else tr("{count} of {all}").format(count=found[0], all=found[1])


def signed(value: float, digits: int = 3) -> str:
    """The value with a sign as wide as a digit; a zero has none."""
    words = written(abs(value), f".{digits}f")
    return words if not round(abs(value), digits) else ("−" if value < 0 else "+") + words


def percent(value: float) -> str:
    return f"{signed(100 * value, 1)} %"


def told(found: Difference | None) -> str:
    """The difference, its interval and what that shows, such as
    "−0.121 (−10.2 %) [−0.150, −0.093] against sa_fedlora: lower"."""
    if found is None:
        return _NONE
    words = signed(found.absolute)
    if found.relative is not None:
        words += f" ({percent(found.relative)})"
    if found.interval is not None:
        words += f" [{signed(found.interval[0])}, {signed(found.interval[1])}]"
    return f"{words} against {found.baseline}: {shown(found)}"


def shown(found: Difference) -> str:
    """The interval's result in words."""
    if found.interval is None:
        return tr("one seed, no interval")
    if found.is_better is None:
        return tr("no difference shown")
    return tr("lower") if found.absolute < 0 else tr("higher")


def _grid(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


# -- notes -------------------------------------------------------------------------------------------------------------


def _notes(results: Results, compared: Sequence[Comparison]) -> list[str]:
    seeds = sorted({row.seed for row in results.rows})
    return [
        f"{_seeds(seeds)} Losses are nats per supervised "
        "token on the validation notes of all sites, after the last round; lower is better. F1 is strict, over pooled "
        f"counts. {_mean_of(averaged(results.rows))}The worst site is the one that is worst off after the last round; "
        "worse off than alone counts sites of every seed whose loss is above what they reach by training alone.",
        *_how_compared(compared),
        "Drift is the mean of the drifts that were measured (model, performance, semantic), over sites and rounds; how "
        "it is computed is inferred, no paper prints it. Rank is over sites and rounds. MB are of 10^6 bytes that all "
        "sites sent and fetched, the final model included: of the adapters as they travel, since a lab has no sockets. "
        "Of the full model: what a site sends and fetches in a round, beside the whole base model in bfloat16.",
        *baselines(compared),
        *kept(results),
        *inferred(results),
        _conditions(results),
    ]


def _mean_of(tasks: Sequence[TaskName]) -> str:
    return f"The mean of tasks is that of the scores of {', '.join(tasks)}, so that none drowns another. " * bool(tasks)


def _how_compared(compared: Sequence[Comparison]) -> list[str]:
    found = [d for one in compared for line in one.lines if (d := line.loss_difference)]
    notes = [
        "The best baseline of a method is the best of the other federated methods, on the validation notes of the same "
        "seeds, of test notes too. On validation notes that favours the baseline: a lead that remains is rather too "
        "small, a lag rather too large. Nothing is corrected for the number of methods compared."
    ]
    if any(one.interval is None for one in found):
        notes.append("With one seed there is no interval: how much another seed would change is not known.")
    if any(one.interval is not None for one in found):
        notes.append(
            f"Intervals are 95 % percentile intervals of the paired bootstrap, {RESAMPLES:,} resamples; of few seeds "
            'they are much too narrow. So "lower" and "higher" stand only where the interval leaves out 0 and a paired '
            't-test over seeds, at 5 %, finds a difference as well. "No difference shown" is no proof that there is '
            "none."
        )
    if any(one.interval is not None and one.paired_by == "seed and site" for one in found):
        notes.append(
            f"With fewer than {FEW_SEEDS} seeds the pairs are of the same site in the same seed, and the difference is "
            "the mean over these pairs: every site counts alike, so that it may be a little off the difference of the "
            "means in the table. Sites of one seed share a model, which these intervals do not know of."
        )
    return notes


def baselines(compared: Sequence[Comparison]) -> list[str]:
    """Explain the words for what is not federated, where they stand in a table."""
    words = {
        "centralised": tr(
            "*centralised*: one training on the notes of all sites in one place, which no federation may do"
        ),
        "alone": tr("*alone*: each site trains by itself, and is scored in the same way"),
        "base": tr("*base*: the model before any training"),
    }
    kinds = {line.kind for one in compared for line in one.lines}
    told_of = [text for kind, text in words.items() if kind in kinds]
    found = [f"{'; '.join(told_of)}."] if told_of else []
    if models := sorted({line.method for one in compared for line in one.lines if line.kind == "encoder"}):
        text = tr(
            "*encoder*: token classification instead of generated text ({model}). Its loss is of tags and cannot be "
            "compared. Of FedAvg all trained weights travel, in 32 bits."
        )
        found.append(text.format(model=", ".join(models)))
    return found


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"One seed, {seeds[0]}."
    return f"Seeds {', '.join(map(str, seeds))}; ± is the standard deviation over them."


def kept(results: Results) -> list[str]:
    """A note on methods that are scored with the part that a site keeps, if there are any."""
    found = sorted({row.method for row in results.rows if row.kind == "federation"} & _KEEPING)
    if not found:
        return []
    names = ", ".join(f"`{name}`" for name in found)
    text = tr(
        "With {names} each site is scored with the part that it keeps; otherwise one model is scored at all sites."
    )
    return [text.format(names=names)]


def inferred(results: Results) -> list[str]:
    """A note on methods that were designed from descriptions, if there are any."""
    found = sorted({row.method for row in results.rows if row.kind == "federation"} & _REDESIGNED.keys())
    if not found:
        return []
    names = ", ".join(f"`{name}` ({_REDESIGNED[name]})" for name in found)
    text = tr(
        "Inferred: {names}. The parts of these papers that could be read contain no formulas; these methods were "
        "designed from their descriptions, and no number here can be compared with theirs."
    )
    return [text.format(names=names)]


def _conditions(results: Results) -> str:
    machine = ", ".join(f"{name} {value.rstrip('.')}" for name, value in results.machine.items())
    versions = ", ".join(f"{name} {value}" for name, value in results.versions.items())
    threads = f"{results.threads} thread{'s' if results.threads > 1 else ''}"
    return "; ".join(part for part in (f"Ran with {threads}", machine, versions) if part) + "."
