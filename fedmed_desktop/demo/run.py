# SPDX-License-Identifier: Apache-2.0
"""The demonstration from start to report. A face hands in an approver and watches the events."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from .. import events
from ..federation import Control
from ..files import make_folder
from ..site import Approver, Jobs, SiteAgent
from ..training.device import available_cores
from ..training.preparation import LoadedBase
from .comparison import Comparison, TestScores
from .federation import DemoSite, Finished, demo_sites, demo_spec, run_federation
from .report import Traffic, write_report
from .settings import DemoOptions

T = TypeVar("T")


@dataclass(frozen=True)
class DemoResult:
    """Results on test notes; `alone` and `fitted` of each site, where that was asked for. `report`: report.json's path.

    A method that keeps a part of its own at each site has nothing to fit.
    """

    sites: list[DemoSite]
    finished: Finished
    before: TestScores
    federation: TestScores
    alone: dict[str, TestScores]
    fitted: dict[str, TestScores]
    seconds: float
    report: Path


async def run_demo(
    options: DemoOptions,
    operator: Approver | None,
    emit: Callable[[events.Event], None],
    *,
    jobs: Jobs | None = None,
    joined: Callable[[SiteAgent], None] = lambda agent: None,
    data_dir: Path | None = None,
    base: LoadedBase | None = None,
) -> DemoResult:
    """Runs the federation, scores it on test notes, compares if asked to, and writes the report.

    `emit` is called from the event loop and from the working thread. A face may hand in its `jobs`, which it closes
    itself, and its `base`; `joined` gets the operator's agent (the first site's) on the event loop before it runs.
    `data_dir` keeps the federation's state, which a later call resumes; without it nothing is kept.
    Cancelling ends the work at the next step, then sites and coordinator. Raises UserFacingError.
    """
    began = time.monotonic()
    sites = demo_sites(options)
    make_folder(options.report)  # before hours of work, not after
    spec, initial = demo_spec(options, sites)
    # Nothing has a screen to keep smooth here, so training takes every core.
    base = base or LoadedBase(options.model, threads=options.threads or available_cores())
    traffic = Traffic()
    control = Control()
    worker = jobs or Jobs()

    def watch(event: events.Event) -> None:
        traffic.emit(event)
        emit(event)

    async def done(job: Callable[[], T]) -> T:
        work = asyncio.ensure_future(worker.run(job))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            control.stop()
            await asyncio.gather(work, return_exceptions=True)
            raise

    try:
        with _folder(data_dir) as folder:
            finished = await run_federation(spec, initial, sites, base, worker, folder, operator, watch, joined)
            comparison = await done(lambda: Comparison(spec, sites, base, emit))
            federation = await done(lambda: comparison.score_final(finished, control))
            before = await done(lambda: comparison.score(initial, "beginning", control))
            alone: dict[str, TestScores] = {}
            for site in sites if options.compare else []:
                alone[site.name] = await done(partial(comparison.alone, site, initial, folder, control))
            fitted: dict[str, TestScores] = {}
            for site in sites if options.compare and not finished.at_site else []:
                fitted[site.name] = await done(partial(comparison.fitted, site, finished.adapter, control))
    finally:
        if jobs is None:
            worker.close()
    seconds = time.monotonic() - began
    report = write_report(
        options, finished, traffic, seconds, base.get().device, base.get().threads, before, federation, alone, fitted
    )
    return DemoResult(sites, finished, before, federation, alone, fitted, seconds, report)


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    """Yields the report's folder: the one that is kept, or a temporary one."""
    if kept is not None:
        yield make_folder(kept)
        return
    with tempfile.TemporaryDirectory(prefix="fedmed-demo-") as name:
        yield Path(name)
