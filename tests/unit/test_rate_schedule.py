# SPDX-License-Identifier: Apache-2.0
"""A learning rate that falls once over all rounds of a federation, against one training of as many steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.events import Event, TrainingStep
from fedmed_desktop.federation import Control, Plan, TrainingSettings, load_spec
from fedmed_desktop.federation.consent import check_plan
from fedmed_desktop.federation.objectives import ControlVariate
from fedmed_desktop.federation.plan import RateSchedule
from fedmed_desktop.federation.work import Given, Stopped
from fedmed_desktop.lab.choices import MethodChoice
from fedmed_desktop.lora import Adapter
from fedmed_desktop.lora.base_model import decoder_linears
from tests.parts.method import opening, spec_of
from tests.parts.told import told_as
from tests.parts.training import NOTES, SETTINGS, TYPES, StopAtLook, plan_of, silent

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.rates import rate_shares
    from fedmed_desktop.training.trainer import SiteTrainer


def one_training(steps: int, warmup_share: float) -> np.ndarray:
    """Shares of the peak in one training: a warm-up of whole steps, then half a cosine."""
    warmup = int(steps * warmup_share)
    left = np.arange(steps - warmup) / max(1, steps - warmup)
    return np.concatenate([(1 + np.arange(warmup)) / max(1, warmup), (1 + np.cos(np.pi * left)) / 2])


def all_rounds(schedule: RateSchedule, steps: int, rounds: int, warmup_share: float) -> list[float]:
    shares = [rate_shares(schedule, steps, warmup_share, number + 1, rounds) for number in range(rounds)]
    return [share(step) for share in shares for step in range(steps)]


@pytest.mark.parametrize(("steps", "rounds"), [(33, 9), (1, 5), (7, 1), (4, 3)])
@pytest.mark.parametrize("warmup_share", [0.0, 0.05, 0.4])
def test_that_rounds_together_are_one_training(steps: int, rounds: int, warmup_share: float) -> None:
    expected = one_training(steps * rounds, warmup_share)
    assert all_rounds("federation", steps, rounds, warmup_share) == pytest.approx(list(expected), abs=1e-12)
    warmup = int(steps * rounds * warmup_share)
    flat = np.concatenate([expected[:warmup], np.ones(steps * rounds - warmup)])
    assert all_rounds("constant", steps, rounds, warmup_share) == pytest.approx(list(flat), abs=1e-12)
    anew = np.tile(one_training(steps, warmup_share), rounds)
    assert all_rounds("round", steps, rounds, warmup_share) == pytest.approx(list(anew), abs=1e-12)


def test_that_sites_of_any_number_of_steps_are_at_the_same_place_and_their_rates_add_up_by_steps() -> None:
    """So FedNova's steps stand for sums of rates, and who joins late comes in at the federation's place."""
    few, many = (rate_shares("federation", steps, 0.05, 4, 9) for steps in (20, 100))
    for step in range(20):
        assert few(step) == pytest.approx(many(5 * step), abs=0.01)
    sums = [sum(share(step) for step in range(steps)) for share, steps in ((few, 20), (many, 100))]
    assert sums[1] / sums[0] == pytest.approx(5, rel=0.01)


def test_that_the_federation_s_number_of_rounds_is_part_of_a_plan_only_where_it_decides() -> None:
    usual = opening(2, rounds=5)
    (plan, _) = spec_of("fedavg").method.plan(usual).values()
    assert plan.rounds is None and "rounds" not in plan.model_dump_json()
    assert "schedule" not in TrainingSettings(steps=1).model_dump_json()
    settings = TrainingSettings(steps=1, schedule="federation")
    (plan, _) = spec_of("fedavg").method.plan(opening(2, rounds=5, training=settings)).values()
    assert plan.rounds == 5 and Plan.model_validate_json(plan.model_dump_json()) == plan
    with pytest.raises(ValueError, match="number of rounds"):
        Plan.model_validate(plan.model_dump() | {"rounds": None})


def test_that_a_site_refuses_a_plan_with_another_number_of_rounds_than_its_specification() -> None:
    spec = spec_of("fedavg", training=TrainingSettings(steps=4, schedule="federation"), rounds=3)
    (plan, _) = spec.method.plan(opening(2, rounds=3, training=spec.training)).values()
    check_plan(plan, spec)
    check_plan(plan.evaluation().model_copy(update={"round": 4}), spec)
    with told_as("specification"):
        check_plan(plan.model_copy(update={"rounds": 30}), spec)


@pytest.fixture(scope="module")
def start(tiny_model: Path) -> Adapter:
    return Adapter.initial(decoder_linears(tiny_model), rank=4, scale=2.0, seed=1)


def rates(
    base: BaseModel, start: Adapter, folder: Path, number: int, control: Control | None = None, **settings: object
) -> list[float]:
    """The learning rates of one round of six steps, of three rounds."""
    seen: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, TrainingStep):
            seen.append(event.learning_rate)

    trainer = SiteTrainer(base, "Riverside", NOTES, [Entities(TYPES)], score_on="loss")
    changed = SETTINGS.model_copy(update={"learning_rate": 0.01, **settings})
    plan = plan_of(start, changed, round=number, rounds=3)
    trainer.train_round(plan, Given(start), folder, note, control or Control())
    return seen


def test_that_a_training_takes_the_rates_of_its_round_also_after_a_stop(
    base: BaseModel, start: Adapter, tmp_path: Path
) -> None:
    expected = list(0.01 * one_training(18, 0.05))
    for number in (1, 3):
        found = rates(base, start, tmp_path / str(number), number, schedule="federation")
        assert found == pytest.approx(expected[6 * (number - 1) : 6 * number], rel=1e-9)
    with pytest.raises(Stopped):
        rates(base, start, tmp_path / "stopped", 2, StopAtLook(16), schedule="federation")
    rest = rates(base, start, tmp_path / "stopped", 2, schedule="federation")
    assert 0 < len(rest) < 6 and rest == pytest.approx(expected[6:12][-len(rest) :], rel=1e-9)


def test_that_scaffold_divides_by_the_rates_that_its_round_had(base: BaseModel, start: Adapter, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"optimizer": "sgd", "clip_norm": None, "schedule": "federation"})
    plan = plan_of(start, settings, round=2, rounds=3, objective=(ControlVariate(form="sgd"),))
    trainer = SiteTrainer(base, "Riverside", NOTES, [Entities(TYPES)], score_on="loss")
    result = trainer.train_round(plan, Given(start), tmp_path, silent, Control())
    after, kept = Adapter.from_blob(result.blobs["adapter"]), result.own["control"]
    sum_of_rates = float(SETTINGS.learning_rate * one_training(18, 0.05)[6:12].sum())
    for name, module in start.items():
        way = (module.B.astype(np.float64) - after[name].B) / sum_of_rates
        assert np.abs(way).max() > 0 and np.allclose(kept[name].B, way, atol=1e-4 * np.abs(way).max())


def test_that_a_method_of_the_lab_may_have_a_schedule_of_its_own() -> None:
    choice = MethodChoice.model_validate({"method": {"name": "fedavg"}, "training": {"schedule": "federation"}})
    assert choice.trained(TrainingSettings(epochs=1)) == TrainingSettings(epochs=1, schedule="federation")
    with pytest.raises(ValueError, match="schedule"):
        MethodChoice.model_validate({"method": {"name": "fedavg"}, "training": {"schedule": "weekly"}})


@pytest.mark.parametrize(("said", "schedule"), [([], "federation"), (["--schedule", "round"], "round")])
def test_that_a_new_federation_has_one_schedule_over_all_rounds_unless_its_founder_says_otherwise(
    said: list[str], schedule: str, tiny_model: Path, tmp_path: Path
) -> None:
    asked = ["--new-federation", "--model", str(tiny_model), "--notes-types", "drug", "--out", str(tmp_path / "new")]
    assert main([*asked, *said]) == 0
    assert load_spec(tmp_path / "new" / "federation.toml").training.schedule == schedule
