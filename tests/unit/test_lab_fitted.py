# SPDX-License-Identifier: Apache-2.0
"""Models fitted to each site after the last round: as far as the site's own validation notes ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedmed_desktop.clinical import Note
from fedmed_desktop.federation import FederationSpec, LocalResult
from fedmed_desktop.federation.fitted import FittedSettings, between
from fedmed_desktop.federation.work import Control
from fedmed_desktop.lab.beyond import fitted_table
from fedmed_desktop.lab.cells import Cell
from fedmed_desktop.lab.compare import Setting
from fedmed_desktop.lab.engines import Measured, SiteJob, Size
from fedmed_desktop.lab.fitted import fitted_row
from fedmed_desktop.lab.partition import LabSite, SiteNotes
from fedmed_desktop.lab.simulate import Simulation
from fedmed_desktop.lora import Adapter, Module, algebra
from fedmed_desktop.scores import Counts, Scores
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.results import ResultRow, SiteRow
from tests.parts.federation import INITIAL, NumpyTrainer, moved, small_spec

NOTE = Note(id="a", text="Aspirin.")


class Arithmetic:
    """Trains by arithmetic; a site's loss is how far an adapter is from `wanted` of the way of its own training."""

    def __init__(self, folder: Path, wanted: dict[str, float]) -> None:
        self._folder, self._wanted = folder, wanted
        self.common: Adapter | None = None
        self.own: dict[str, Adapter] = {}
        self.tested: dict[str, Adapter] = {}

    def open(self, spec: FederationSpec, sites: Sequence[LabSite], elsewhere: Sequence[LabSite] = ()) -> None: ...

    def train(self, jobs: Sequence[SiteJob]) -> list[LocalResult]:
        silent: Any = lambda event: None  # noqa: E731
        found = []
        for job in jobs:
            trainer = NumpyTrainer(len(job.site))
            found.append(trainer.train_round(job.plan, job.given, self._folder, silent, Control()))
            self.common, self.own[job.site] = job.given.start, Adapter.from_blob(found[-1].blobs["adapter"])
        return found

    def measure(self, jobs: Sequence[SiteJob], split: str) -> list[Measured]:
        return [Measured(self._loss(job, split), Scores(), 1) for job in jobs]

    def _loss(self, job: SiteJob, split: str) -> float:
        assert job.plan.start == job.given.start.sha256 and job.plan.kind == "evaluate"
        if self.common is None:
            return 1.0
        if split == "test":
            self.tested[job.site] = job.given.start
        wanted = between(self.common, self.own[job.site], self._wanted[job.site])
        return algebra.distance(job.given.start, wanted)

    def size(self, site: str) -> Size:
        return Size(1, 1, {"validation": 1, "test": 1})

    def close(self) -> None: ...


def test_that_each_site_takes_the_share_of_its_own_that_its_validation_notes_ask_for(tmp_path: Path) -> None:
    wanted = {"A": 0.0, "BB": 0.5, "CCC": 1.0}
    engine = Arithmetic(tmp_path, wanted)
    sites = [LabSite(name, SiteNotes((NOTE,), (NOTE,), (NOTE,))) for name in wanted]
    spec = small_spec(rounds=2)
    model = Simulation(spec, INITIAL, sites, engine, BlobStore(tmp_path / "blobs"), splits=("validation",))
    list(model.run())
    _, common, _ = model.last()

    row = fitted_row(Cell("federation", "fedavg", 3, 1), model, engine, sites, FittedSettings(steps=2), False)

    assert row is not None and row.split == "fitted" and row.round == 2
    assert {name.removeprefix("share."): share for name, share in row.measures.items()} == wanted
    assert [site.site for site in row.sites] == list(wanted) and all(site.bytes_up == 0 for site in row.sites)
    assert engine.tested["A"] == common and engine.tested["CCC"] == engine.own["CCC"]
    half = algebra.weighted_sum([(0.5, common), (0.5, engine.own["BB"])])
    assert algebra.distance(engine.tested["BB"], half) < 1e-6
    assert model.last()[1] == common, "strangers get the common adapter as it is"


def test_that_a_site_fits_the_model_of_a_federation_with_one_learning_rate_schedule(tmp_path: Path) -> None:
    engine = Arithmetic(tmp_path, {"A": 1.0, "BB": 0.5})
    sites = [LabSite(name, SiteNotes((NOTE,), (NOTE,), (NOTE,))) for name in ("A", "BB")]
    spec = small_spec(rounds=2, sites=2, training={"steps": 2, "schedule": "federation"})
    model = Simulation(spec, INITIAL, sites, engine, BlobStore(tmp_path / "blobs"), splits=("validation",))
    list(model.run())
    row = fitted_row(Cell("federation", "fedavg", 2, 1), model, engine, sites, FittedSettings(steps=2), False)
    assert row is not None and [row.measures[f"share.{site.name}"] for site in sites] == [1.0, 0.5]


def test_that_a_site_without_test_notes_is_left_out(tmp_path: Path) -> None:
    engine = Arithmetic(tmp_path, {"A": 1.0, "BB": 1.0})
    sites = [LabSite("A", SiteNotes((NOTE,), (NOTE,), (NOTE,))), LabSite("BB", SiteNotes((NOTE,), (NOTE,), None))]
    model = Simulation(
        small_spec(1, sites=2), INITIAL, sites, engine, BlobStore(tmp_path / "b"), splits=("validation",)
    )
    list(model.run())
    cell = Cell("federation", "fedavg", 2, 1)
    row = fitted_row(cell, model, engine, sites, FittedSettings(), False)
    assert row is not None and [site.site for site in row.sites] == ["A"]
    assert fitted_row(cell, model, engine, sites[1:], FittedSettings(), False) is None


def test_that_half_of_the_way_is_half_of_both_products() -> None:
    one, two = moved(INITIAL, 1), moved(INITIAL, 2)
    found = between(one, two, 0.25)
    for name, module in found.items():
        np.testing.assert_allclose(product(module), 0.75 * product(one[name]) + 0.25 * product(two[name]), atol=1e-5)


def product(module: Module) -> NDArray[np.float32]:
    return module.scale * module.B @ module.A


def row(
    label: str, kind: str, split: str, f1: float, loss: float, by_site: dict[str, tuple[float, float]]
) -> ResultRow:
    sites = tuple(
        SiteRow(site=name, notes=1, loss=own_loss, counts=Counts(tp=round(100 * own), fn=200 - 2 * round(100 * own)))
        for name, (own, own_loss) in by_site.items()
    )
    return ResultRow.model_validate(
        {
            "cell": "c", "label": label, "method": label, "kind": kind, "sites_count": 2, "seed": 1, "round": 3,
            "split": split, "loss": loss, "worst_loss": loss, "f1": f1, "sites": sites,
            "measures": {"share.A": 0.5, "share.B": 1.0} if split == "fitted" else {},
        }
    )  # fmt: skip


def test_that_the_table_counts_sites_that_are_worse_off_than_alone() -> None:
    rows = [
        row("alone", "alone", "test", 0.5, 0.3, {"A": (0.5, 0.3), "B": (0.4, 0.2)}),
        row("fedavg", "federation", "test", 0.4, 0.25, {"A": (0.4, 0.3), "B": (0.4, 0.3)}),
        row("fedavg", "federation", "fitted", 0.6, 0.2, {"A": (0.6, 0.2), "B": (0.3, 0.1)}),
    ]
    table = fitted_table(rows, Setting(2))
    assert table is not None
    headings, lines = table
    assert headings[:4] == ("F1 of", "fitted", "common", "alone") and headings[5:] == (
        "worse than alone by F1",
        "worse than alone by loss",
    )
    assert lines == [("fedavg", "0.600", "0.400", "0.500", "0.75", "1 of 2 sites", "0 of 2 sites")]
    assert fitted_table(rows[:2], Setting(2)) is None


@pytest.mark.parametrize("shares", [[], [1.5], [-0.1]])
def test_that_shares_beyond_the_way_are_refused(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="shares"):
        FittedSettings(shares=tuple(shares))
