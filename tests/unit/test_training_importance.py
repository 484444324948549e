# SPDX-License-Identifier: Apache-2.0
"""Importance of modules and ranks of their own, in trainings of a tiny real model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.federation import FederationSpec, Report
from fedmed_desktop.federation.allotment import allotted, values_of
from fedmed_desktop.federation.check import check_adapter, check_norm
from fedmed_desktop.federation.plan import TransferSettings
from fedmed_desktop.federation.spec import BaseModelSpec, LoraSettings
from fedmed_desktop.federation.work import Control, Given, Stopped
from fedmed_desktop.lora import Adapter, algebra
from fedmed_desktop.lora.half import open_update
from tests.parts.federation import FINGERPRINT
from tests.parts.method import closed, cut, full, near, spec_of
from tests.parts.training import NOTES, SETTINGS, TYPES, StopAtLook, plan_of, random_adapter, silent, train

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch
    from torch.nn import functional
    from transformers import AutoModelForCausalLM

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Schedule, collate
    from fedmed_desktop.training.preparation import LoadedBase
    from fedmed_desktop.training.starting import for_training
    from fedmed_desktop.training.trainer import SiteTrainer

Shapes = dict[str, tuple[int, int]]


@pytest.fixture(scope="module")
def base(loaded: LoadedBase) -> BaseModel:
    return loaded.get()


@pytest.fixture
def trainer(base: BaseModel) -> SiteTrainer:
    return SiteTrainer(base, "Riverside", NOTES, [Entities(TYPES)], score_on="loss")


def own_ranks(shapes: Shapes) -> dict[str, int]:
    """From 1 to 8, of the values of rank 4."""
    worth = {name: float(2**-i) for i, name in enumerate(sorted(shapes))}
    ranks = allotted(shapes, worth, 4, 1, 8)
    assert set(ranks.values()) >= {1, 8}
    return ranks


def test_that_importance_is_what_plain_gradients_of_the_merged_model_say(
    trainer: SiteTrainer, shapes: Shapes, tiny_model: Path, tmp_path: Path
) -> None:
    """Two steps that move nothing, and the same batches in float64 by W' = W + s B A: g_A = s B^T G, g_B = s G A^T."""
    start = random_adapter(shapes, 4, 1)
    start = Adapter({**start, next(iter(shapes)): algebra.module_truncate(start[next(iter(shapes))], 2)[0]})
    ranks = start.ranks
    settings = SETTINGS.model_copy(
        update={"steps": 2, "batch_size": 6, "optimizer": "sgd", "learning_rate": 1e-12, "clip_norm": 1e-3}
    )
    plan = plan_of(start, settings, ranks=ranks, importance=True)
    found = train(trainer, start, tmp_path, plan).update.report.importance

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float64)
    weights = {name: model.get_submodule(name).weight for name in shapes}
    with torch.no_grad():
        for name, weight in weights.items():
            weight += torch.from_numpy(full(start[name]))
    examples = trainer.examples("train", settings).items
    schedule = Schedule([len(one) for one in examples], 6, plan.seed)
    sums = dict.fromkeys(shapes, 0.0)
    for step in range(2):
        batch = collate([examples[i] for i in schedule.batch(step)], "answer", torch.device("cpu"))
        logits = model(input_ids=batch.tokens).logits[batch.predicts]
        model.zero_grad()
        functional.cross_entropy(logits, batch.labels).backward()
        for name, module in start.items():
            gradient = weights[name].grad.numpy()
            of_a, of_b = module.scale * module.B.T @ gradient, module.scale * gradient @ module.A.T
            sums[name] += np.abs(of_a * module.A).mean() + np.abs(of_b * module.B).mean()
    whole = sum(sums.values())
    assert found == pytest.approx({name: one / whole for name, one in sums.items()}, rel=1e-3)
    assert sum(found.values()) == pytest.approx(1, abs=1e-3) and max(found.values()) > 2 * min(found.values())


def test_that_nothing_of_it_is_told_or_changed_where_the_plan_does_not_ask(
    trainer: SiteTrainer, shapes: Shapes, tmp_path: Path
) -> None:
    start = random_adapter(shapes, 4, 1)
    usual = train(trainer, start, tmp_path / "usual")
    asked = train(trainer, start, tmp_path / "asked", plan_of(start, importance=True))
    assert not usual.update.report.importance and asked.update.report.importance.keys() == shapes.keys()
    assert asked.blobs == usual.blobs


@pytest.mark.parametrize("looks", [4, 9, 14])
def test_that_a_resumed_round_with_ranks_of_its_own_tells_the_same(
    trainer: SiteTrainer, shapes: Shapes, tmp_path: Path, looks: int
) -> None:
    start = random_adapter(shapes, 4, 1)
    plan = plan_of(start, ranks=own_ranks(shapes), importance=True)
    whole = train(trainer, start, tmp_path / "whole", plan)
    with pytest.raises(Stopped):
        trainer.train_round(plan, Given(start), tmp_path / "cut", silent, StopAtLook(looks))
    resumed = trainer.train_round(plan, Given(start), tmp_path / "cut", silent, Control())
    assert resumed.blobs == whole.blobs
    assert resumed.update.report.importance == whole.update.report.importance


def test_that_other_ranks_move_no_delta_w_where_they_grow_and_lose_the_least_where_they_shrink(shapes: Shapes) -> None:
    start, ranks = random_adapter(shapes, 4, 1), own_ranks(shapes)
    begun = for_training(plan_of(start, ranks=ranks), Given(start)).shared
    assert begun.ranks == ranks
    for name, module in begun.items():
        assert module.scale == start[name].scale
        assert near(full(module), cut(full(start[name]), ranks[name]))


def federation(shapes: Shapes, start: Adapter, **changes: object) -> FederationSpec:
    scale = next(iter(start.values())).scale
    return spec_of(
        "adaptive_fedlora",
        {"ranks_by": "importance", "guard": False, "tau": 1e9},
        base=BaseModelSpec(fingerprint=FINGERPRINT, initial=start.sha256, modules=shapes),
        lora=LoraSettings(rank=4, alpha=4 * scale),
        **changes,
    )


def test_that_a_round_of_sites_with_ranks_of_their_own_is_the_mean_of_what_they_trained(
    trainer: SiteTrainer, shapes: Shapes, tmp_path: Path
) -> None:
    """Against dense float64 matrices; two sites have the allotted ranks, one a single rank for all."""
    start = random_adapter(shapes, 4, 1)
    spec, ranks = federation(shapes, start), own_ranks(shapes)
    plans = {
        site: plan_of(start, seed=at, ranks=own, importance=True)
        for at, (site, own) in enumerate({"A": ranks, "B": ranks, "C": {}}.items())
    }
    reports: dict[str, Report] = {}
    updates: dict[str, Adapter] = {}
    for site, plan in plans.items():
        result = train(trainer, start, tmp_path / site, plan)
        path = tmp_path / f"{site}.safetensors"
        path.write_bytes(result.blobs["adapter"])
        with open_update(path, plan.shared, start) as reader:  # type: ignore[arg-type]
            check_adapter(reader, spec, plan)
            updates[site] = Adapter({name: reader.module(name) for name in reader.names})
        reports[site] = result.update.report
        check_norm(start, updates[site].items(), reports[site], plan.cut)
        assert {name: one.rank for name, one in result.evidence.modules.items()} == updates[site].ranks
        assert result.evidence.rank == 4, "the site's own, which drift is told to change"
    sizes = {site: values_of(shapes, updates[site].ranks) for site in plans}
    assert 0 <= sizes["C"] - sizes["A"] < max(d + k for d, k in shapes.values())

    outcome = closed(spec, updates, reports, start=start, plans=plans)
    for name in shapes:
        mean = np.asarray(sum(full(one[name]) for one in updates.values()) / 3)
        assert near(full(outcome.adapter[name]), cut(mean, max(ranks[name], 4)))
    assert outcome.state["importance"] == pytest.approx(
        {name: np.mean([one.importance[name] for one in reports.values()]) for name in shapes}, rel=2e-3
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "int4"])
def test_that_packed_updates_of_ranks_of_their_own_are_read_as_they_were_scored(
    trainer: SiteTrainer, shapes: Shapes, tmp_path: Path, dtype: str
) -> None:
    start, ranks = random_adapter(shapes, 4, 1), own_ranks(shapes)
    transfer = TransferSettings.model_validate({"dtype": dtype})
    plan = plan_of(start, ranks=ranks, importance=True, transfer=transfer)
    first = train(trainer, start, tmp_path / "first", plan)
    path = tmp_path / "update"
    path.write_bytes(first.blobs["adapter"])
    with open_update(path, plan.shared, start, packing=plan.packing) as reader:  # type: ignore[arg-type]
        check_adapter(reader, federation(shapes, start, transfer=transfer), plan)
        read = Adapter({name: reader.module(name) for name in reader.names})
    check_norm(start, read.items(), first.update.report, plan.cut)
    assert read.ranks == ranks
    # What rounding took goes along in the next round, also where a module has another rank then.
    later = train(trainer, start, tmp_path / "later", plan_of(start, importance=True, transfer=transfer), own=first.own)
    assert later.own["lost"].ranks == {name: 2 * min(4, *shape) for name, shape in shapes.items()}
