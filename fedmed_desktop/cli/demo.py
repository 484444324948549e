# SPDX-License-Identifier: Apache-2.0
"""`--demo`: one whole federation on this computer, with a table at the end that a newcomer understands."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..demo.comparison import TestScores
    from ..demo.run import DemoResult
    from ..demo.settings import DemoOptions


def run(argv: list[str]) -> int:
    """Runs the demonstration and prints where its report lies."""
    options = _parser().parse_args(argv)
    from ..demo.settings import DemoOptions
    from ..training.base import resolve_model

    chosen = {
        name: value
        for name in ("rounds", "sites", "seed", "method", "notes", "report", "compare", "threads")
        if (value := getattr(options, name)) is not None
    }
    if options.model:
        chosen["model"] = resolve_model(options.model)
    return asyncio.run(_show(DemoOptions(**chosen), offscreen=options.offscreen))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedmed-desktop --demo",
        description="A coordinator and three sites on this computer: real clinical text, real websockets, real rounds.",
        allow_abbrev=False,
    )
    parser.add_argument("--rounds", type=_positive, help="rounds of training (default 3)")
    parser.add_argument("--sites", type=_positive, help="how many of the sites in the notes folder (default: all)")
    parser.add_argument("--seed", type=_seed, help="seed of everything random (default 0)")
    parser.add_argument("--method", help="how updates are combined (default fed_medlora)")
    parser.add_argument("--model", metavar="PATH_OR_ID", help="another base model than the bundled one")
    parser.add_argument(
        "--notes",
        type=Path,
        metavar="FOLDER",
        help="one folder per site with train, validation and test .jsonl (.gz too) and, if needed, types.toml",
    )
    parser.add_argument(
        "--compare", action="store_true", default=None, help="train each site alone too (takes twice as long)"
    )
    parser.add_argument("--report", type=Path, metavar="DIR", help="where the report goes (default demo-report/)")
    parser.add_argument("--offscreen", action="store_true", help="ask nobody: a recorded rule approves at every site")
    parser.add_argument("--threads", type=_positive, help="threads for training (default: all cores)")
    return parser


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError("must be from 0 to 4294967295")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


async def _show(options: DemoOptions, offscreen: bool) -> int:
    from ..demo.run import run_demo
    from .ask import TerminalApprover
    from .console import face_for

    face = face_for("Demonstration: a coordinator and its sites, all on this computer")
    asks = sys.stdin.isatty() and sys.stdout.isatty() and not offscreen
    operator = TerminalApprover(face, "the demonstration's coordinator on this computer") if asks else None
    with face.shown():
        result = await run_demo(options, operator, face.emit)
    _print_outcome(result)
    return 0


def _print_outcome(result: DemoResult) -> None:
    from rich.console import Console
    from rich.table import Table

    rounds = len(result.finished.state.history)
    after = "1 round" if rounds == 1 else f"{rounds} rounds"
    table = Table(title=f"Strict F1 on test notes that no training saw, after {after}", title_justify="left")
    table.add_column("Model")
    for column in ("All sites", *(site.name for site in result.sites)):
        table.add_column(column, justify="right")
    table.add_row("Base model, before", *_cells(result, result.base))
    for name, scores in sorted(result.alone.items()):
        table.add_row(f"{name} alone", *_cells(result, scores))
    table.add_row("Federation", *_cells(result, result.federation), style="bold")
    console = Console()
    console.print(table)
    console.print(
        "F1 is 1 when every drug and problem is found with exact borders and nothing else is marked. "
        "No note left its site; each update was approved first."
    )
    console.print(f"Took {result.seconds:,.0f} s. Report and adapter: {result.report.parent}", highlight=False)


def _cells(result: DemoResult, scores: TestScores) -> list[str]:
    own = [
        f"{scores.by_site[site.name].f1_strict:.3f}" if site.name in scores.by_site else "-" for site in result.sites
    ]
    return [f"{scores.pooled.f1_strict:.3f}", *own]
