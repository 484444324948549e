# SPDX-License-Identifier: Apache-2.0
"""Folder of an experiment: the lab's results, cell by cell, as later programs and the desktop read them.

`experiment.json` says what was run and on what; `cells.jsonl` has one line per finished cell, forced to disk, so that a
lab that is killed leaves whole cells: a last line without its end is dropped. The tables are made from these.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from ..errors import UserFacingError, disk_fault
from ..files import make_folder, sync_folder, write_durably
from ..scores import Counts, TaskName

FORMAT: Final = 1
HEAD_FILE: Final = "experiment.json"
CELLS_FILE: Final = "cells.jsonl"
CSV_FILE, JSON_FILE, TABLE_FILE = "results.csv", "results.json", "table.md"
PICTURES: Final = ("loss", "drift_and_rank", "bytes_and_score")  # each as .png and .svg
_DRAWN: Final = tuple(f"{name}.{ending}" for name in PICTURES for ending in ("png", "svg"))
_MADE: Final = (CSV_FILE, JSON_FILE, TABLE_FILE, *_DRAWN)

# A folder may come from anybody: far above any experiment, and small enough for a desktop's memory.
_HEAD_BYTES: Final = 2**20
_LINE_BYTES: Final = 2**25
_CELLS_BYTES: Final = 2**28

Name = Annotated[str, Field(max_length=200)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Kind = Literal["federation", "base", "alone", "centralised", "encoder"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SiteRow(_Value):
    """Figures of one site in one row. `loss` and all scores (None, or empty, where nothing was scored) are of its own
    notes.

    `counts` are strict, of all tasks together, `tasks` those of each task that has any, and `score` the one number for
    the site as `ResultRow.f1` is for all: the mean over tasks. `notes` are for training. Steps, drifts, rank, weight
    and bytes are of this round alone, if the site was asked.
    """

    site: Name
    notes: NonNegativeInt
    steps: NonNegativeInt = 0
    loss: float
    counts: Counts | None = None
    tasks: dict[TaskName, Counts] = {}
    score: float | None = None
    model_drift: float | None = None
    performance_drift: float | None = None
    semantic_drift: float | None = None
    rank: PositiveInt | None = None
    weight: float | None = None
    bytes_up: NonNegativeInt = 0
    bytes_down: NonNegativeInt = 0

    @property
    def f1(self) -> float | None:
        if self.score is None and self.counts is not None:
            return self.counts.f1  # of an earlier version, which had one task
        return self.score


class ResultRow(_Value):
    """Result of one method, site count and seed after one round (0: before training), on one split of all sites' notes.

    `label` tells methods of an experiment apart, `method` is the program's name for it, of an encoder which model it
    is. `loss` is nats per supervised token over all sites' notes (of an encoder per tag), `f1` strict over pooled
    counts, None where nothing was scored; `worst_*` are those of the site that is worst off. `bytes` all sites moved
    until then, up and down; the last round's rows include fetching the final model. `model_bytes`: the whole base
    model's in bfloat16, 0 where not known. `residual` and `measures` as in the federation's record of the round. The
    last model has a row for the validation and for the test notes, and for each cohort and newcomer, which `elsewhere`
    names; and "fitted", for what each site makes of it, on its own test notes. `seconds` the cell took until then.
    """

    cell: Name
    label: Name
    method: Name
    combine: Name = ""
    kind: Kind = "federation"
    sites_count: PositiveInt
    clients: PositiveInt | None = None
    seed: NonNegativeInt
    round: NonNegativeInt
    split: Literal["validation", "test", "cohort", "newcomer", "fitted"] = "validation"
    elsewhere: Name = ""
    loss: float
    f1: float | None = None
    worst_loss: float
    worst_f1: float | None = None
    bytes: NonNegativeInt = 0
    model_bytes: NonNegativeInt = 0
    residual: float | None = None
    measures: dict[Name, float] = Field({}, max_length=200)
    adapter: Sha256 | None = None
    seconds: float = 0.0
    sites: tuple[SiteRow, ...] = Field((), max_length=1000)


class Failure(_Value):
    """Reason why a cell has no result. Training that diverged is one, and does not end the others."""

    code: Name
    sentence: Annotated[str, Field(max_length=2000)]


class CellResult(_Value):
    """Line of `cells.jsonl`: all rows of a cell, or why it has none. `cell` is "label, N sites, seed S"."""

    cell: Name
    rows: tuple[ResultRow, ...] = Field((), max_length=100_000)
    failure: Failure | None = None


class ResultsHead(_Value):
    """Description of what was run: the experiment, the hash of everything that decides its results, and the machine.

    `cells` is how many there are to be in all, `labels` the hash of each method's own settings by its label.
    """

    format: Literal[1] = FORMAT
    experiment: Name
    sha256: Sha256
    cells: NonNegativeInt = 0
    labels: dict[Name, Sha256] = Field({}, max_length=1000)
    threads: PositiveInt = 1
    machine: dict[Name, Name] = Field({}, max_length=50)
    versions: dict[Name, Name] = Field({}, max_length=50)


class Results(ResultsHead):
    """Contents of a folder. `failed` says why a cell has no rows, by cell."""

    rows: tuple[ResultRow, ...] = ()
    failed: dict[Name, Failure] = {}
    done: tuple[Name, ...] = ()


def begin_results(folder: Path, head: ResultsHead, cells: Collection[str] = ()) -> Results:
    """Creates the folder, or reopens one, for these cells; returns what is in it.

    Raises UserFacingError where it holds cells of another experiment, or of a method with other settings.
    """
    make_folder(folder)
    labels, done = dict(head.labels), set(cells)
    if (folder / HEAD_FILE).exists() or (folder / CELLS_FILE).exists():
        found = read_results(folder)
        if found.sha256 != head.sha256 and found.done:
            raise UserFacingError("results.other_experiment", path=str(folder), found=found.experiment)
        run = {cell.rsplit(", ", 2)[0] for cell in found.done} & found.labels.keys() & labels.keys()  # failed ones too
        if other := sorted(label for label in run if found.labels[label] != labels[label]):
            raise UserFacingError("results.other_label", path=str(folder), label=other[0])
        if found.done:
            labels, done = found.labels | labels, done | set(found.done)
    elif foreign := next((name for name in _MADE if (folder / name).exists()), None):
        raise UserFacingError("results.foreign", path=str(folder), file=foreign)
    head = head.model_copy(update={"labels": labels, "cells": len(done) if cells else head.cells})
    write_durably(folder / HEAD_FILE, head.model_dump_json(indent=1).encode())
    return read_results(folder)


def append_cell(folder: Path, cell: CellResult) -> None:
    """Adds a finished cell; durable on return. Raises UserFacingError (disk full)."""
    path = folder / CELLS_FILE
    try:
        with path.open("ab+") as file:
            _drop_torn_line(file)
            file.write(cell.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(folder)
    except OSError as error:
        raise disk_fault(error, path) from error


def _drop_torn_line(file: BinaryIO) -> None:
    """Cuts off what a killed lab left after the last complete line."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65536)
        file.seek(start)
        at = file.read(end - start).rfind(b"\n")
        if at >= 0:
            end = start + at + 1
            break
        end = start
    file.truncate(end)
    file.seek(end)


def read_results(folder: Path) -> Results:
    """Reads the whole folder; of a cell that is there twice the last counts.

    Raises UserFacingError where it is no experiment's folder, of another format, or damaged.
    """
    head = _read_head(folder)
    cells: dict[str, CellResult] = {}
    path = folder / CELLS_FILE
    for number, line in enumerate(_lines(path) if path.exists() else (), start=1):
        try:
            cell = CellResult.model_validate_json(line)
        except ValidationError as error:
            raise _damaged(path, number, _first(error)) from None
        cells[cell.cell] = cell
    rows = tuple(row for cell in cells.values() for row in cell.rows)
    failed = {name: cell.failure for name, cell in cells.items() if cell.failure}
    return Results(**head.model_dump(), rows=rows, failed=failed, done=tuple(cells))


class _Format(BaseModel):
    format: int


def _read_head(folder: Path) -> ResultsHead:
    path = folder / HEAD_FILE
    if not path.is_file():
        raise UserFacingError("results.no_experiment", path=str(folder))
    try:
        with path.open("rb") as file:
            data = file.read(_HEAD_BYTES + 1)
    except OSError as error:
        raise disk_fault(error, path) from error
    if len(data) > _HEAD_BYTES:
        raise UserFacingError("results.damaged_head", path=str(path), reason="it is too long")
    try:
        found = _Format.model_validate_json(data).format
        if found != FORMAT:
            raise UserFacingError("results.format", path=str(folder), found=found, known=FORMAT)
        return ResultsHead.model_validate_json(data)
    except ValidationError as error:
        raise UserFacingError("results.damaged_head", path=str(path), reason=_first(error)) from None


def _lines(path: Path) -> Iterator[bytes]:
    """Complete lines, of bounded length; the last one only if it has its end."""
    if not path.is_file():
        raise UserFacingError("results.no_experiment", path=str(path.parent))
    with ExitStack() as opened:
        try:
            file = opened.enter_context(path.open("rb"))
            if os.fstat(file.fileno()).st_size > _CELLS_BYTES:
                raise _damaged(path, 1, "the file is too long")
            for number, line in enumerate(iter(lambda: file.readline(_LINE_BYTES + 1), b""), 1):
                if len(line) > _LINE_BYTES:
                    raise _damaged(path, number, "the line is too long")
                if line.endswith(b"\n"):
                    yield line
        except OSError as error:
            raise disk_fault(error, path) from error


def _first(error: ValidationError) -> str:
    """Describes the first fault, without quoting the file."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}"[:300] if place else first["msg"][:300]


def _damaged(path: Path, line: int, reason: str) -> UserFacingError:
    return UserFacingError("results.damaged", path=str(path), line=line, reason=reason)


_COLUMNS: Final = tuple(name for name in ResultRow.model_fields if name not in ("sites", "measures", "seconds"))


_MEANS: Final = ("rank", "steps", "model_drift", "performance_drift", "semantic_drift")


def write_tables(folder: Path) -> list[Path]:
    """Writes `results.csv` (a line per row, with means over its sites) and `results.json`; returns their paths."""
    results = read_results(folder)
    rows = sorted(results.rows, key=_order)
    text = results.model_copy(update={"rows": tuple(rows)}).model_dump_json(indent=1) + "\n"
    written = {folder / CSV_FILE: _csv(rows), folder / JSON_FILE: text}
    for path, content in written.items():
        write_durably(path, content.encode())
    return list(written)


def _order(row: ResultRow) -> tuple[object, ...]:
    return (row.sites_count, row.label, row.seed, row.round, row.split != "validation")


def _csv(rows: Sequence[ResultRow]) -> str:
    measures = sorted({name for row in rows for name in row.measures})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *_MEANS, *measures])
    for row in rows:
        own = (getattr(row, name) for name in _COLUMNS)
        writer.writerow([*_cells(own), *_cells(_means(row)), *_cells(map(row.measures.get, measures))])
    return text.getvalue()


def _means(row: ResultRow) -> Iterator[float | None]:
    """Means over the sites that trained in the row's round."""
    for name in _MEANS:
        found = [value for site in row.sites if site.steps and (value := getattr(site, name)) is not None]
        yield sum(found) / len(found) if found else None


def _cells(values: Iterable[object]) -> list[str]:
    return ["" if value is None else str(value) for value in values]
