# SPDX-License-Identifier: Apache-2.0
"""`--lab`: methods side by side on the same notes, into a folder with tables and plots."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..resources import resource
from .numbers import positive
from .parser import Parser

if TYPE_CHECKING:
    from ..lab.engines import Engine
    from ..lab.progress import LabProgress
    from ..lab.run import Lab


def run(argv: list[str]) -> int:
    """Runs the rest of an experiment and prints the paths of its results."""
    chosen = _parser().parse_args(argv)
    from ..lab.experiment import load_experiment, with_cohorts
    from ..lab.progress import LabProgress
    from ..lab.report import write_report
    from ..lab.run import Lab, LabOptions

    experiment = with_cohorts(load_experiment(_file(chosen.experiment)), chosen.cohort)
    lab = Lab(LabOptions(experiment, chosen.out, chosen.data, tuple(chosen.only), chosen.tuning))
    progress = LabProgress(experiment.name, experiment.rounds, lab.total, lab.total - len(lab.left))
    with progress.shown():
        engine = _engine(chosen, lab, progress)
        try:
            results = lab.run(engine, progress)
        finally:
            engine.close()
    for path in write_report(chosen.out):
        print(path)
    return 1 if results.failed else 0


def _file(name: str) -> Path:
    """The file of that name, or the bundled experiment."""
    if not name.isidentifier() or Path(name).is_file():
        return Path(name)
    return resource("experiments") / f"{name}.toml"


def _engine(chosen: argparse.Namespace, lab: Lab, progress: LabProgress) -> Engine:
    experiment = lab.options.experiment
    if chosen.engine == "ray":
        from ..lab.engines.ray import RayEngine

        return RayEngine(experiment.model_folder, experiment.threads, chosen.workers)
    from ..lab.engines.local import LocalEngine

    return LocalEngine(experiment.model_folder, experiment.threads, progress.event)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="fedmed-desktop --lab",
        description="Compares methods on the same notes, sites and seeds. Start it again to resume a stopped lab.",
    )
    bundled = ", ".join(sorted(path.stem for path in resource("experiments").glob("*.toml")))
    parser.add_argument(
        "experiment", metavar="FILE", help=f"an experiment (.toml), or the name of a bundled one: {bundled}"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of corpora that are not bundled")
    parser.add_argument(
        "--cohort",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="measure each final model on these notes too, of a hospital that took no part (any format)",
    )
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="train here, or as Ray tasks (default local)"
    )
    parser.add_argument(
        "--workers", type=positive, default=2, help="Ray actors that train at the same time (default 2)"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="METHOD", help="run only these methods or baselines, by their labels"
    )
    parser.add_argument(
        "--tuning",
        action="store_true",
        help="run on the seeds for tuning, which are never reported; needs its own --out",
    )
    return parser
