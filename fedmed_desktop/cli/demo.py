# SPDX-License-Identifier: Apache-2.0
"""`--demo`: one whole federation on this computer, in windows or in the terminal, with a table at the end."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from dataclasses import fields
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from ..scores import Scores, TaskName
from .numbers import positive, whole
from .outputs import check_new
from .parser import Parser

if TYPE_CHECKING:
    from ..demo.comparison import TestScores
    from ..demo.run import DemoResult
    from ..demo.settings import DemoOptions


TITLE = "Demonstration: a coordinator and its sites, all on this computer"


class Face(Enum):
    """The place where a demonstration is shown."""

    WINDOWS = auto()
    OFFSCREEN = auto()  # the same windows, drawn unseen; a rule approves
    TERMINAL = auto()


def choose_face(terminal: bool, offscreen: bool, platform: str | None) -> Face:
    """The face for these flags; `platform` is that of Qt, None without a display (preflight.qt_platform)."""
    if terminal:
        return Face.TERMINAL
    if offscreen or platform in ("offscreen", "minimal"):
        return Face.OFFSCREEN
    return Face.WINDOWS if platform else Face.TERMINAL


def run(argv: list[str]) -> int:
    """Runs the demonstration and prints its scores and the path of its report."""
    chosen = _parser().parse_args(argv)
    if chosen.report:
        check_new(chosen.report, "--report")
    from ..desktop.preflight import qt_platform

    face = choose_face(chosen.terminal, chosen.offscreen, qt_platform(os.environ, sys.platform))
    if face is not Face.TERMINAL:
        return _in_windows(chosen, offscreen=face is Face.OFFSCREEN)
    if not chosen.terminal:
        print("fedmed-desktop: there is no display, so the demonstration runs in the terminal", file=sys.stderr)
    return asyncio.run(_in_terminal(_options(chosen)))


def _options(chosen: argparse.Namespace) -> DemoOptions:
    from ..demo.settings import DemoOptions

    taken = {field.name for field in fields(DemoOptions)} - {"model"}
    given = {name: value for name, value in vars(chosen).items() if name in taken and value is not None}
    if chosen.model:
        from ..training.model_folder import resolve_model

        given["model"] = resolve_model(chosen.model)
    return DemoOptions(**given)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fedmed-desktop --demo",
        description="A coordinator and three sites on this computer: real clinical text, real websockets, real rounds.",
    )
    parser.add_argument("--rounds", type=positive, help="rounds of training (default 3)")
    parser.add_argument("--sites", type=positive, help="how many of the sites in the notes folder (default: all)")
    parser.add_argument("--seed", type=whole(0, 2**32 - 1), help="seed of everything random (default 0)")
    parser.add_argument("--method", help="how updates are combined (default fed_medlora)")
    parser.add_argument("--model", metavar="PATH_OR_ID", help="another base model than the bundled one")
    parser.add_argument(
        "--notes",
        type=Path,
        metavar="FOLDER",
        help="one folder per site with train, validation and test notes (.jsonl, .csv, BRAT) and perhaps types.toml",
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        default=None,
        help="also train each site alone, and fit the result to each (several times as long)",
    )
    parser.add_argument(
        "--overfitted",
        action="store_true",
        default=None,
        help="make the first site memorise a few notes, to see what the probes find in its adapter",
    )
    parser.add_argument(
        "--longer",
        action="store_true",
        default=None,
        help="train six times as long in each round, for better scores (some 7 minutes in all)",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="where the report goes (default demo-report/, in place of an earlier one)",
    )
    face = parser.add_mutually_exclusive_group()
    face.add_argument(
        "--offscreen", action="store_true", help="draw the windows offscreen and do not ask: a recorded rule approves"
    )
    face.add_argument("--terminal", action="store_true", help="no windows: lines or a table, approvals asked for here")
    parser.add_argument("--threads", type=positive, help="threads for training (default: all cores)")
    return parser


def _in_windows(chosen: argparse.Namespace, offscreen: bool) -> int:
    if offscreen:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from ..desktop import preflight

    preflight.check()
    preflight.prepare()
    options = _options(chosen)
    from ..desktop.app import run_demo

    if offscreen:
        from .console import face_for

        face = face_for(TITLE)
        with face.shown():
            status, result = run_demo(options, offscreen=True, watch=face.emit)
    else:
        status, result = run_demo(options, offscreen=False)
    if result:
        _print_outcome(result)
    return status


async def _in_terminal(options: DemoOptions) -> int:
    from ..demo.run import run_demo
    from .ask import TerminalApprover
    from .console import face_for

    face = face_for(TITLE)
    asks = sys.stdin.isatty() and sys.stdout.isatty()
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
    table = Table(title=f"Strict F1 on test notes never used for training, after {after}", title_justify="left")
    table.add_column("Model")
    for column in ("All sites", *(site.name for site in result.sites)):
        table.add_column(column, justify="right")
    tasks = result.federation.pooled.scored
    for task in tasks:
        of = f": {task}" if len(tasks) > 1 else ""
        table.add_row(f"Before the federation{of}", *_cells(result, result.before, task))
        for name, scores in sorted(result.alone.items()):
            table.add_row(f"{name} alone{of}", *_cells(result, scores, task))
        table.add_row(f"Federation{of}", *_cells(result, result.federation, task), style="bold")
        for name, scores in sorted(result.fitted.items()):
            table.add_row(f"Federation, fitted to {name}{of}", *_cells(result, scores, task))
        table.add_section()
    console = Console(markup=False, emoji=False)  # sites are called as the folders of their notes
    console.print(table)
    shared = len(result.finished.spec.shared_notes)
    notes = f"Beside {shared} bundled, public ones that all sites share, no" if shared else "No"
    linked = "; of relations, when each modifier is, and linked to its drug or problem" if "relations" in tasks else ""
    console.print(
        f"F1 is 1 when every drug and problem is found with exact borders and nothing else is marked{linked}. "
        f"{notes} note left its site; each update was approved first."
    )
    console.print(f"Took {result.seconds:,.0f} s. Report and adapter: {result.report.parent}", highlight=False)


def _cells(result: DemoResult, scores: TestScores, task: TaskName) -> list[str]:
    """Scores of all sites and of each; a dash where a site has no labels for the task."""
    measured = [scores.pooled, *(scores.by_site.get(site.name, Scores()) for site in result.sites)]
    return [f"{one[task].headline:.3f}" if task in one.tasks else "-" for one in measured]
