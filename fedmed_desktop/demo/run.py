# SPDX-License-Identifier: Apache-2.0
"""The demonstration from start to report. A face hands in an approver and watches the events."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .. import events
from ..federation import Control
from ..files import make_folder
from ..lora import Adapter
from ..site import Approver, Jobs
from ..training.device import available_cores
from ..training.preparation import LoadedBase
from .comparison import Comparison, TestScores
from .federation import DemoSite, Finished, demo_sites, demo_spec, run_federation
from .report import Traffic, write_report
from .settings import DemoOptions


@dataclass(frozen=True)
class DemoResult:
    """What came out, on test notes; `report` is the path of report.json."""

    sites: list[DemoSite]
    finished: Finished
    base: TestScores
    federation: TestScores
    alone: dict[str, TestScores]
    seconds: float
    report: Path


async def run_demo(options: DemoOptions, operator: Approver | None, emit: Callable[[events.Event], None]) -> DemoResult:
    """Runs the federation, scores it on test notes, compares if asked to, and writes the report.

    `emit` is called from the event loop and from the working thread. Raises UserFacingError.
    """
    began = time.monotonic()
    make_folder(options.report)  # before hours of work, not after
    sites = demo_sites(options)
    spec, initial = demo_spec(options, sites)
    # Nothing has a screen to keep smooth here, so training takes every core.
    base = LoadedBase(options.model, threads=options.threads or available_cores())
    traffic = Traffic()
    jobs = Jobs()
    control = Control()

    def watch(event: events.Event) -> None:
        traffic.emit(event)
        emit(event)

    try:
        with tempfile.TemporaryDirectory(prefix="fedmed-demo-") as name:
            folder = Path(name)
            finished = await run_federation(spec, initial, sites, base, jobs, folder, operator, watch)
            comparison = await jobs.run(lambda: Comparison(spec, sites, base, emit))
            federation = await jobs.run(lambda: comparison.score_final(finished, control))
            before = await jobs.run(lambda: comparison.score(None, "base model", control))
            alone: dict[str, TestScores] = {}
            for site in sites if options.compare else []:
                alone[site.name] = await jobs.run(partial(_alone, comparison, site, initial, folder, control))
    finally:
        control.stop()
        jobs.close()
    seconds = time.monotonic() - began
    report = write_report(
        options, finished, traffic, seconds, base.get().device, base.get().threads, before, federation, alone
    )
    return DemoResult(sites, finished, before, federation, alone, seconds, report)


def _alone(comparison: Comparison, site: DemoSite, initial: Adapter, folder: Path, control: Control) -> TestScores:
    adapter = comparison.train_alone(site, initial, folder, control)
    return comparison.score(adapter, f"{site.name} alone", control)
