# SPDX-License-Identifier: Apache-2.0
"""`--evaluate`: scores of a base model, and of adapters on it, on any notes, with intervals and what differs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import UserFacingError
from ..scores import TASKS
from .numbers import positive
from .outputs import check_new
from .parser import Parser

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..evaluation import Comparison, NoteResult, ScoreRow
    from ..evaluation.table import Key
    from ..federation import FederationSpec

BASE = "base"
_LEVELS = {"strict": "code", "lenient": "category", "unified": "chapter"}  # clinical.icd10.measures
_TAKEN = {BASE, "gold"}  # names of what is written beside the adapters' predictions


def run(argv: list[str]) -> int:
    """Evaluates, prints tables and, with --out, writes predictions. Raises UserFacingError."""
    options = _parser().parse_args(argv)
    from rich.console import Console

    from ..clinical import Unread
    from ..evaluation import EvaluationRequest, compare, evaluate, score_rows, tasks_of
    from ..evaluation.notes import labelled_notes
    from ..evaluation.run import WINDOW
    from ..lora.load import load_adapter
    from ..training.model_folder import resolve_model
    from ..wording.remarks import unread_sentence

    # What can be wrong at once comes before torch, which takes seconds to load, and before the notes.
    if options.out:
        check_new(options.out, "--out")
    adapters = {name: load_adapter(path) for name, path in _named(options.adapter).items()}
    spec = _spec(options.federation)
    for given in (options.notes, options.types_file):
        if given is not None and not given.exists():
            code = "clinical.notes_missing" if given == options.notes else "clinical.types_file_missing"
            raise UserFacingError(code, name=given.name)
    model = resolve_model(options.model)
    console, unread = Console(markup=False, emoji=False), Unread()  # names of files and folders are shown
    notes, types, modifiers = labelled_notes(options.notes, spec, options.types_file, unread)
    if said := unread_sentence(unread.keys, unread.files):
        console.print(said, markup=False, highlight=False)
    form = spec.answer_form if spec else options.answer_form
    tasks = tasks_of(notes, tuple(options.task or (spec.tasks if spec else ())), types, modifiers, form)
    if options.end_to_end and not {"entities", "relations"} <= {task.name for task in tasks}:
        _parser().error("--end-to-end needs both tasks, entities and relations, and notes with labels of both")
    from ..training.loading import LoadedBase

    settings = spec.training if spec else WINDOW
    prompting = spec.prompt if spec else options.prompt
    base = LoadedBase(model, threads=options.threads)
    results: dict[str, list[NoteResult]] = {}
    for name, adapter in {BASE: None, **adapters}.items() if options.with_base or not adapters else adapters.items():
        request = EvaluationRequest(
            notes, tasks, adapter, settings=settings, prompting=prompting, end_to_end=options.end_to_end
        )
        with console.status(f"{name}: reading {len(notes)} notes") as status:

            def told(done: int, total: int, name: str = name) -> None:
                status.update(f"{name}: {done} of {total} prompts answered")

            results[name] = evaluate(base, request, told)
    rows = {name: score_rows(found) for name, found in results.items()}
    names = list(results)
    pairs = {f"{one} - {names[0]}": compare(results[one], results[names[0]]) for one in names[1:]}
    _print(console, options, rows, pairs)
    if options.out:
        _write(options, results, rows, pairs)
        console.print(f"Scores and predictions: {options.out}. They hold words of the notes: keep them at your site.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fedmed-desktop --evaluate",
        description="Score a base model, with adapters or without, on any notes that have labels. Nothing is sent.",
    )
    parser.add_argument("--model", required=True, metavar="BASE", help="base model folder, or an id in the local cache")
    parser.add_argument(
        "--adapter",
        action="append",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="a PEFT folder or a .safetensors of this program; several are compared with the first (default: the base)",
    )
    parser.add_argument("--with-base", action="store_true", help="the base without an adapter too, to compare with")
    parser.add_argument("--notes", required=True, type=Path, metavar="PATH", help="notes with labels, in any format")
    parser.add_argument("--task", choices=TASKS[:-1], action="append", help="only this task (default: all with labels)")
    parser.add_argument(
        "--end-to-end", action="store_true", help="ask for modifiers of the mentions that the model found itself"
    )
    parser.add_argument("--federation", type=Path, metavar="SPEC", help="take types, tasks and lengths from this file")
    parser.add_argument("--types-file", type=Path, metavar="FILE", help="types map (default: types.toml beside them)")
    parser.add_argument("--answer-form", choices=("html", "json"), default="html", help="default html")
    parser.add_argument("--prompt", choices=("plain", "chat"), default="plain", help="chat: by the base's own template")
    parser.add_argument("--threads", type=positive, metavar="N", help="processor threads (default: all but one)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write scores.json and the predictions there")
    return parser


def _spec(path: Path | None) -> FederationSpec | None:
    if path is None:
        return None
    from ..federation.spec import load_spec

    return load_spec(path)


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Adapters by short names: the folder's, with the one above it where two are alike."""
    places = [Path(os.path.realpath(path)) for path in paths]  # which takes any path, a link that leads to itself too
    names = [place.name for place in places]
    if _twice(names) or _TAKEN & {name.casefold() for name in names}:
        names = [f"{place.parent.name}-{place.name}" for place in places]
    if twice := _twice(names):
        raise UserFacingError("evaluation.adapter_twice", name=twice)
    return dict(zip(names, paths, strict=True))


def _twice(names: Sequence[str]) -> str:
    """The first name that is there twice, also where a file system does not tell capitals from small letters."""
    alike = [name.casefold() for name in names]
    return next((name for name, one in zip(names, alike, strict=True) if alike.count(one) > 1), "")


def _print(
    console: Console,
    options: argparse.Namespace,
    rows: dict[str, list[ScoreRow]],
    pairs: dict[str, list[Comparison]],
) -> None:
    for name, found in rows.items():
        table = _table(f"{name} on {options.notes.name}", "task", "measure", "of", "score", "95 % interval", "in notes")
        for row in found:
            table.add_row(*_words(row.key), f"{row.value:.3f}", _interval(row.interval), f"{row.support:,}")
        console.print(table)
    for name, differences in pairs.items():
        clear = [one for one in differences if one.is_clear]
        verdict = "differs beyond chance in some rows" if clear else "shows no difference beyond chance"
        title = f"{name}: {verdict} (same documents, paired)"
        table = _table(title, "task", "measure", "of", "difference", "95 % interval", "")
        for one in differences:
            word = ("higher" if one.difference > 0 else "lower") if one.is_clear else ""
            table.add_row(*_words(one.key), f"{one.difference:+.3f}", _interval(one.interval), word)
        console.print(table)
    console.print("Intervals: bootstrap by document (2,000 draws).")


def _table(title: str, *columns: str) -> Table:
    """A table whose numbers stay on one line in 80 columns; long names of types are folded instead."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in ("score", "difference", "in notes") else "left"
        table.add_column(column, justify=justify, no_wrap=column != "of", overflow="fold")
    return table


def _words(key: Key) -> tuple[str, str, str]:
    """Task, measure and what it is of. Of codes the three counts are of the levels of ICD-10-CM."""
    if key.measure == "mean":
        return key.task, "mean", key.name
    measure = _LEVELS[key.measure] if key.task == "codes" else key.measure
    return key.task, f"{measure} F1", "all" if key.task == "codes" else key.name


def _interval(interval: tuple[float, float] | None) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "one document"


def _write(
    options: argparse.Namespace,
    results: dict[str, list[NoteResult]],
    rows: dict[str, list[ScoreRow]],
    pairs: dict[str, list[Comparison]],
) -> None:
    from .. import __version__
    from ..evaluation.output import write_evaluation

    about = {"version": __version__, "model": options.model, "notes": str(options.notes)}
    write_evaluation(options.out, about, results, rows, pairs)
