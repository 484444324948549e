# SPDX-License-Identifier: Apache-2.0
"""Differential privacy in the lab: a site's spending goes from round to round, also where engines work on copies."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop.federation import FederationSpec, LocalResult, accounting
from fedmed_desktop.federation.accounting import gaussian_epsilon
from fedmed_desktop.federation.client_privacy import ClientPrivacy
from fedmed_desktop.federation.methods import FedAvg
from fedmed_desktop.federation.plan import PrivacySettings
from fedmed_desktop.federation.spec import RoundSettings
from fedmed_desktop.federation.validation import validated
from fedmed_desktop.federation.work import Control
from fedmed_desktop.lab.engines import Measured, SiteJob, Size
from fedmed_desktop.lab.experiment import Experiment, load_experiment
from fedmed_desktop.lab.partition import LabSite, SiteNotes
from fedmed_desktop.lab.simulate import Simulation, Snapshot
from fedmed_desktop.resources import resource
from fedmed_desktop.scores import Scores
from fedmed_desktop.storage import BlobStore
from tests.parts.federation import INITIAL, NumpyTrainer, small_spec
from tests.parts.lab import experiment
from tests.parts.told import told_as

PRIVACY = PrivacySettings(epsilon=4, unit="note")


class CopyingEngine:
    """Trains by arithmetic on copies of its jobs, as workers elsewhere do, and spends three steps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.before: list[int] = []

    def open(self, spec: FederationSpec, sites: Sequence[LabSite], elsewhere: Sequence[LabSite] = ()) -> None: ...

    def train(self, jobs: Sequence[SiteJob]) -> list[LocalResult]:
        return [self._train(pickle.loads(pickle.dumps(job))) for job in jobs]

    def _train(self, job: SiteJob) -> LocalResult:
        silent: Any = lambda event: None  # noqa: E731
        result = NumpyTrainer().train_round(job.plan, job.given, self._folder, silent, Control())
        if (budget := job.given.budget) is None:
            return result
        self.before.append(len(budget.ledger.spent()))
        budget.grant(0.5, 3, 3)
        for _ in range(3):
            budget.spend(job.plan.round)
        return replace(result, spent=tuple(budget.ledger.spent()))

    def measure(self, jobs: Sequence[SiteJob], split: str) -> list[Measured]:
        return [Measured(1.0, Scores(), 1) for _ in jobs]

    def size(self, site: str) -> Size:
        return Size(1, 1, {"validation": 1, "test": 1})

    def close(self) -> None: ...


def test_that_a_site_s_spending_is_known_in_the_next_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounting, "_LOSS_STEP", 0.05)
    spec = small_spec(rounds=3)
    private = spec.training.model_copy(update={"privacy": PRIVACY})
    spec = spec.model_copy(update={"training": private, "round": RoundSettings(sites=2, quorum=1)})
    engine = CopyingEngine(tmp_path)
    sites = [LabSite(name, SiteNotes((), (), ())) for name in "AB"]
    list(Simulation(spec, INITIAL, sites, engine, BlobStore(tmp_path / "blobs"), splits=("validation",)).run())
    assert engine.before == [0, 0, 3, 3, 6, 6]


def test_that_whole_sites_are_hidden_in_the_lab_by_noise_that_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounting, "_LOSS_STEP", 0.05)
    plain = small_spec(rounds=2, round=RoundSettings(sites=2, quorum=1), method=FedAvg())
    hidden = plain.model_copy(update={"client_privacy": ClientPrivacy(noise_multiplier=2.0)})
    sites = [LabSite(name, SiteNotes((), (), ())) for name in "AB"]

    def last(spec: FederationSpec, folder: str) -> Snapshot:
        blobs = BlobStore(tmp_path / folder)
        return list(Simulation(spec, INITIAL, sites, CopyingEngine(tmp_path), blobs, splits=("validation",)).run())[-1]

    one, again, without = last(hidden, "a"), last(hidden, "b"), last(plain, "c")
    assert one.adapter == again.adapter != without.adapter
    assert one.record is not None and one.record.measures["noise_multiplier"] == 2.0
    assert one.record.measures["epsilon_spent"] == pytest.approx(gaussian_epsilon(2.0, 1e-3, 2), rel=0.2)


def test_that_an_experiment_says_which_method_cannot_hide_whole_sites() -> None:
    data = experiment().model_dump(mode="json", exclude={"encoder"}) | {"histogram": "none"}
    hidden = {"client_privacy": {"epsilon": 8.0}}
    data["methods"] = [{"method": {"name": "fedavg"}, **hidden}]
    validated(Experiment, data, "x.toml", "an experiment")
    data["methods"] = [{"method": {"name": "flexlora"}, "label": "exact", **hidden}]
    with told_as("x.toml, exact: noise can hide a whole site only in a plain mean"):
        validated(Experiment, data, "x.toml", "an experiment")


def test_that_an_experiment_compares_budgets_and_refuses_what_would_void_them() -> None:
    found = load_experiment(resource("experiments/privacy.toml"))
    private = [choice.trained(found.training).privacy for choice in found.methods]
    assert [one and one.epsilon for one in private] == [None, 8, 3, 1]
    with told_as("a histogram of the training notes would leave"):
        data = experiment().model_dump(mode="json", exclude={"encoder"})
        data["training"] |= {"privacy": PRIVACY.model_dump()}
        validated(Experiment, data, "x.toml", "an experiment")
