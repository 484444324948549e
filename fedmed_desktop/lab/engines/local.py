# SPDX-License-Identifier: Apache-2.0
"""Sites one after the other in this process; the base is loaded once for the whole experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...federation import FederationSpec, LocalResult
from ...federation.work import Emit
from ..partition import LabSite
from . import Measured, SiteJob, Size, Split
from .worker import Worker


class LocalEngine:
    """Implements Engine. `emit` hears what sites do, from the calling thread."""

    def __init__(self, model: Path, threads: int, emit: Emit = lambda event: None) -> None:
        self._worker = Worker(model, threads, emit)

    def open(self, spec: FederationSpec, sites: Sequence[LabSite]) -> None:
        self._worker.open(spec, sites)

    def train(self, jobs: Sequence[SiteJob]) -> list[LocalResult]:
        return [self._worker.train(job) for job in jobs]

    def measure(self, jobs: Sequence[SiteJob], split: Split) -> list[Measured]:
        return [self._worker.measure(job, split) for job in jobs]

    def size(self, site: str) -> Size:
        return self._worker.size(site)

    def close(self) -> None:
        """Nothing is open."""
