# SPDX-License-Identifier: Apache-2.0
"""The lab counts what would really come down: differences for who holds the adapter before, else the adapter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop.federation import FederationSpec, LocalResult
from fedmed_desktop.federation.spec import RoundSettings
from fedmed_desktop.federation.work import Control
from fedmed_desktop.lab.engines import Measured, SiteJob, Size
from fedmed_desktop.lab.partition import LabSite, SiteNotes
from fedmed_desktop.lab.simulate import Simulation
from fedmed_desktop.scores import Scores
from fedmed_desktop.storage import BlobStore
from tests.parts.plan import MethodTrainer
from tests.parts.way_down import FIRST, down_spec

WHOLE = len(FIRST.to_blob())


class NumpyEngine:
    """Trains by arithmetic, and measures nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, spec: FederationSpec, sites: Sequence[LabSite], elsewhere: Sequence[LabSite] = ()) -> None: ...

    def train(self, jobs: Sequence[SiteJob]) -> list[LocalResult]:
        trainer = MethodTrainer()
        silent: Any = lambda event: None  # noqa: E731
        return [trainer.train_round(job.plan, job.given, self._folder, silent, Control()) for job in jobs]

    def measure(self, jobs: Sequence[SiteJob], split: str) -> list[Measured]:
        return [Measured(1.0, Scores(), 1) for _ in jobs]

    def size(self, site: str) -> Size:
        return Size(1, 1, {"validation": 1, "test": 1})

    def close(self) -> None: ...


@pytest.mark.parametrize("clients", [None, 2])
def test_that_differences_are_counted_as_they_would_travel(clients: int | None, tmp_path: Path) -> None:
    settings = RoundSettings(sites=3, quorum=1, clients=clients)
    spec = down_spec(rounds=4, round=settings, score_on="loss", seed=3)
    sites = [LabSite(name, SiteNotes((), (), ())) for name in "ABC"]
    blobs = BlobStore(tmp_path / "blobs")
    simulation = Simulation(spec, FIRST, sites, NumpyEngine(tmp_path), blobs, splits=("validation",))
    snapshots = list(simulation.run())
    history = simulation._rounds.state.history
    differences = [one.difference.size for one in history if one.difference]
    assert len(differences) == 4 and max(differences) < 0.3 * WHOLE
    up = sum(part.size for one in history for site in one.sites.values() for part in site.update.parts.values())
    down = snapshots[-1].traffic - up
    if clients is None:
        assert down == 3 * (WHOLE + sum(differences))
        assert all(row.bytes_down == differences[2] for row in snapshots[-2].sites)
    else:
        assert down <= 3 * (WHOLE + sum(differences))  # nobody fetches a second adapter whole
    kept = {path.name for path in blobs.folder.glob("*") if path.is_file()}
    state = simulation._rounds.state
    assert kept == {state.start, state.lost}
