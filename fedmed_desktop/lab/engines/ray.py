# SPDX-License-Identifier: Apache-2.0
"""Site trainings as Ray tasks: on the cores of this machine, or on the GPUs of a cluster.

Each worker is an actor that loads the base once and computes with the experiment's number of threads, whatever Ray has
set, so that adapters have the same hash as in one process on such a machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...errors import UserFacingError
from ...federation import FederationSpec, LocalResult
from ..partition import LabSite
from . import Measured, SiteJob, Size, Split
from .local import LocalEngine


class RayEngine:
    """Implements Engine with `workers` actors. With RAY_ADDRESS set it joins that cluster, else it starts its own."""

    def __init__(self, model: Path, threads: int, workers: int) -> None:
        # Before the import, which reads it: nothing is reported to anybody.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        try:
            import ray
        except ImportError:
            raise UserFacingError("lab.no_ray") from None
        self._ray: Any = ray
        cluster = os.environ.get("RAY_ADDRESS")
        if not cluster and workers > (cores := os.cpu_count() or 1):
            raise UserFacingError("lab.ray_room", workers=workers, threads=threads, cores=cores)
        # A cluster of its own has as many cores as the workers use: threads may be more, as they may be in one process.
        own = {} if cluster else {"num_cpus": workers * threads}
        self._ray.init(address=cluster, include_dashboard=False, log_to_driver=False, configure_logging=False, **own)
        there = self._ray.cluster_resources()
        if there.get("CPU", 0) < workers * threads:
            self.close()
            raise UserFacingError("lab.ray_room", workers=workers, threads=threads, cores=int(there.get("CPU", 0)))
        actor = self._ray.remote(LocalEngine)
        options = {"num_cpus": threads, "num_gpus": min(1.0, there.get("GPU", 0) / workers)}
        self._workers: list[Any] = [actor.options(**options).remote(model, threads) for _ in range(workers)]

    def open(self, spec: FederationSpec, sites: Sequence[LabSite], elsewhere: Sequence[LabSite] = ()) -> None:
        notes, others = self._ray.put(list(sites)), self._ray.put(list(elsewhere))
        self._get([worker.open.remote(spec, notes, others) for worker in self._workers])

    def train(self, jobs: Sequence[SiteJob]) -> list[LocalResult]:
        return self._spread(jobs, lambda worker, job: worker.train.remote([job]))

    def measure(self, jobs: Sequence[SiteJob], split: Split) -> list[Measured]:
        return self._spread(jobs, lambda worker, job: worker.measure.remote([job], split))

    def size(self, site: str) -> Size:
        found: Size = self._get([self._workers[0].size.remote(site)])[0]
        return found

    def close(self) -> None:
        self._ray.shutdown()

    def _spread(self, jobs: Sequence[SiteJob], begin: Callable[[Any, SiteJob], Any]) -> list[Any]:
        """Each worker takes the next job when it is free; results in the order of the jobs."""
        waiting, free = list(range(len(jobs))), list(self._workers)
        running: dict[Any, tuple[int, Any]] = {}
        found: dict[int, Any] = {}
        while waiting or running:
            while waiting and free:
                number, worker = waiting.pop(0), free.pop()
                running[begin(worker, jobs[number])] = (number, worker)
            done, _ = self._ray.wait(list(running), num_returns=1)
            number, worker = running.pop(done[0])
            found[number] = self._get(done)[0][0]
            free.append(worker)
        return [found[number] for number in range(len(jobs))]

    def _get(self, references: Sequence[Any]) -> list[Any]:
        try:
            found: list[Any] = self._ray.get(list(references))
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserFacingError):
                raise error.cause from None
            raise
        return found
