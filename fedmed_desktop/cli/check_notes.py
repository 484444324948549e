# SPDX-License-Identifier: Apache-2.0
"""`--check-notes`: checks notes before anybody trains on them; names rows, never their words."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from .numbers import whole
from .parser import Parser

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ..clinical import RelationRule
    from ..clinical.checking import NotesCheck, Spread, Tokens
    from ..federation import FederationSpec

_SHOWN = 5  # places of each kind; --json has more
_TYPES = 25  # of entities and of relations, the most frequent
_EVERY = 1000  # rows between two signs of life


def run(argv: list[str]) -> int:
    """Prints the check; 1 where the notes cannot be used yet."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.clear_cache:
        _clear_cache()
        if options.path is None:
            return 0
    if options.path is None:
        parser.error("PATH is missing: the file or folder of notes")
    from ..clinical.checking import DEFAULT_TOKENS, check_notes
    from ..clinical.readers.cache import NotesCache

    spec = _spec(options.federation)
    types_map, relations_map = _maps(options.path, options.types_file)
    cache = None if options.no_cache else NotesCache()
    checked = check_notes(
        options.path,
        wanted=spec,
        types_map=types_map,
        relations_map=relations_map,
        tokens=_tokens(options.model),
        max_tokens=options.max_tokens or (spec.training.max_tokens if spec else DEFAULT_TOKENS),
        cache=cache,
        progress=_progress(),
    )
    written = checked.write_split(options.split_into, cache) if options.split_into else None
    if options.json:
        print(checked.check.model_dump_json(indent=2))
    else:
        _print(checked.check)
        if written is not None:
            numbers = ", ".join(f"{count:,} {split}" for split, count in written.items())
            print(f"Wrote {numbers} notes into {options.split_into}")
    return 0 if checked.check.usable else 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fedmed-desktop --check-notes",
        description="Look through notes before they are used. Rows are named, their words are not shown. Status 0: the "
        "notes can be used; 1: not yet.",
    )
    parser.add_argument(
        "path", type=Path, nargs="?", metavar="PATH", help="a file or folder of notes, in any format that is read"
    )
    parser.add_argument("--federation", type=Path, metavar="SPEC", help="federation.toml: what that one would use")
    parser.add_argument("--types-file", type=Path, metavar="FILE", help="the types map, if not types.toml beside them")
    parser.add_argument("--model", type=Path, metavar="BASE", help="the base model: how its tokenizer cuts long notes")
    parser.add_argument("--max-tokens", type=whole(32), metavar="N", help="of a window (the federation's, or 800)")
    parser.add_argument("--split-into", type=Path, metavar="FOLDER", help="write the notes there, split, as JSON lines")
    parser.add_argument("--no-cache", action="store_true", help="keep no copy of what was read for the next time")
    parser.add_argument("--clear-cache", action="store_true", help="remove all such copies; PATH may be left out")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser


def _clear_cache() -> None:
    from ..clinical.readers.cache import NotesCache

    freed = NotesCache().clear()
    print(f"Removed the copies of notes: {freed / 2**20:,.1f} MiB.", file=sys.stderr)


def _spec(path: Path | None) -> FederationSpec | None:
    if path is None:
        return None
    from ..federation.spec import load_spec

    return load_spec(path)


def _maps(notes: Path, given: Path | None) -> tuple[dict[str, str] | None, dict[str, RelationRule] | None]:
    """Maps of types and of relations, from the file that was named or the one beside the notes."""
    from ..clinical import read_relations_map, read_types_map
    from ..clinical.checking import types_file

    path = given or types_file(notes)
    return (read_types_map(path), read_relations_map(path)) if path else (None, None)


def _tokens(model: Path | None) -> Tokens | None:
    if model is None:
        return None
    from ..training.token_count import token_counter

    if not model.is_dir():
        from ..training.model_folder import resolve_model

        model = resolve_model(str(model))
    return token_counter(model)


def _progress() -> Callable[[int], None]:
    """Says on a terminal how far it is; a gigabyte takes minutes."""
    if not sys.stderr.isatty():
        return lambda rows: None

    def say(rows: int) -> None:
        if rows % _EVERY == 0:
            print(f"\r{rows:,} rows", end="\r", file=sys.stderr, flush=True)

    return say


def _print(check: NotesCheck) -> None:
    from rich.console import Console

    from ..wording.notes_check import point_line, verdict

    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(verdict(check))
    for point in check.points:
        console.print(f"{'WRONG' if point.level == 'wrong' else 'look':5}  {point_line(point)}")
    console.print()
    _print_table(console, ("Notes", ""), _numbers(check))
    for head, counts in (("Entities", check.labels.entities), ("Relations", check.labels.relations)):
        rows = [(name, f"{count:,}") for name, count in list(counts.items())[:_TYPES]]
        if more := len(counts) - len(rows):
            rows.append((f"and {more:,} more types", f"{sum(list(counts.values())[_TYPES:]):,}"))
        if rows:
            _print_table(console, (head, "Number"), rows)
    if check.columns:
        rows = [(use.column, use.became or "not read") for use in check.columns]
        _print_table(console, ("Column", "Became"), rows)
    _print_remarks(console, check)
    _print_identifiers(console, check)


def _numbers(check: NotesCheck) -> Iterable[tuple[str, str]]:
    yield "usable", f"{check.notes:,} in {check.files:,} file{'s' * (check.files != 1)}"
    yield "not usable", f"{check.refused:,}"
    if check.passed_over:
        yield "left out as marked", f"{check.passed_over:,}"
    yield "formats", ", ".join(f"{name} {count:,}" for name, count in check.formats.items())
    if check.splits:
        yield "splits", ", ".join(f"{split} {count:,}" for split, count in check.splits.items())
    yield "characters", _spread(check.characters)
    for task, count in check.labels.notes.items():
        yield f"with {task}", f"{count:,}"
    if check.labels.unlabelled:
        yield "without labels", f"{check.labels.unlabelled:,}"
    if check.labels.codes_in_all:
        yield "codes", f"{check.labels.codes_in_all:,}, {check.labels.different_codes:,} different"
    if check.labels.patients:
        yield "patients", f"{check.labels.patients:,}"
    yield "near-duplicates", f"{check.alike.notes:,} in {check.alike.groups:,} groups"
    if (fit := check.fitting) is not None:
        yield "tokens", _spread(fit.tokens)
        yield (
            f"at {fit.max_tokens} tokens",
            f"{fit.whole:,} whole, {fit.windowed:,} in windows, {fit.cut:,} not all of it",
        )
    if (split := check.proposed) is not None:
        yield f"proposed, by {split.by}", f"train {split.train:,}, validation {split.validation:,}, test {split.test:,}"
    yield from _for_federation(check)


def _for_federation(check: NotesCheck) -> Iterable[tuple[str, str]]:
    from ..wording import task_name

    if (worth := check.federation) is None:
        return
    for task, count in worth.tasks.items():
        yield f"for {worth.name}: {task_name(task)}", f"{count:,}"
    if worth.types is not None:
        kept = ", ".join(f"{name} {count:,}" for name, count in worth.types.entities.items())
        ignored = ", ".join(f"{name} {count:,}" for name, count in worth.types.unmapped.items())
        yield "its types", kept or "none"
        if modifiers := ", ".join(f"{name} {count:,}" for name, count in worth.types.relations.items()):
            yield "its modifiers, linked", modifiers
        if worth.types.unlinked_dropped:
            yield "modifiers without a link", f"{worth.types.unlinked_dropped:,}"
        yield "types without a place", ignored or "none"
        dropped = worth.types.discontinuous_dropped + worth.types.nested_dropped + worth.types.repeated_dropped
        yield "in parts, nested or doubled", f"{dropped:,}"


def _spread(spread: Spread) -> str:
    return f"{spread.least:,} to {spread.most:,}, half up to {spread.median:,}, nine of ten up to {spread.ninety:,}"


def _print_remarks(console: Console, check: NotesCheck) -> None:
    from ..clinical.readers import REFUSALS, Remark
    from ..wording.notes_check import where
    from ..wording.remarks import remark_sentence

    if not check.remarks:
        return
    table = _table("Rows", "Noticed while reading", "Where")
    for one in check.remarks:
        first = one.places[0]
        if one.code in REFUSALS:
            for place in one.places[:_SHOWN]:
                table.add_row("1", remark_sentence(Remark(one.code, place.what)), where([place]))
            if (more := one.rows - min(len(one.places), _SHOWN)) > 0:
                table.add_row(f"{more:,}", "and more for a reason like this", "")
        else:
            said = remark_sentence(Remark(one.code, one.what or first.what, one.count))
            table.add_row(f"{one.rows:,}", said, where(one.places, one.rows))
    console.print(table)
    console.print()


def _print_identifiers(console: Console, check: NotesCheck) -> None:
    from ..wording.notes_check import identifier_name, where

    if check.identifiers:
        table = _table("Notes", "May be identifiers", "Where")
        for one in check.identifiers:
            table.add_row(f"{one.notes:,}", identifier_name(one.kind), where(one.places, one.notes))
        console.print(table)


def _print_table(console: Console, heads: tuple[str, str], rows: Iterable[tuple[str, str]]) -> None:
    table = _table(*heads)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()


def _table(*heads: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in heads:
        table.add_column(
            head, justify="right" if head in ("Rows", "Notes") and len(heads) > 2 else "left", overflow="fold"
        )
    return table
