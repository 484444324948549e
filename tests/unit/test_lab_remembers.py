# SPDX-License-Identifier: Apache-2.0
"""What a lab evaluated in one cell and needs again in another, on a tiny real model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fedmed_desktop.lab.run import Lab, LabOptions
from fedmed_desktop.storage.results import ResultRow
from tests.parts.lab import experiment
from tests.unit.test_lab_asked import Unwatched

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.lab.engines.local import LocalEngine
    from fedmed_desktop.training.remembered import Remembered


def rows_of(engine: LocalEngine, model: Path, out: Path, score_on: str) -> list[ResultRow]:
    methods: list[dict[str, Any]] = [{"method": {"name": name}} for name in ("fedavg", "fed_medlora", "fedopal")]
    tried = experiment(
        types=["problem"],
        model=str(model),
        methods=methods,
        score_on=score_on,
        baselines=["base"],
        sites=[2],
        rounds=2,
        seeds=[1],
        training={"steps": 1, "batch_size": 2, "max_tokens": 384, "max_new_tokens": 8},
        split={"by": "iid", "notes": 4, "validation_notes": 2, "test_notes": 2},
    )
    results = Lab(LabOptions(tried, out)).run(engine, Unwatched())
    assert {row.label for row in results.rows} == {"base", "fedavg", "fed_medlora", "fedopal"}
    return [row.model_copy(update={"seconds": 0.0}) for row in results.rows]


@pytest.mark.slow
@pytest.mark.parametrize("score_on", ["loss", "answers"])
def test_that_cells_have_the_same_bits_when_what_was_evaluated_is_remembered(
    score_on: str, tiny_model: Path, tmp_path: Path
) -> None:
    class Forgetful(Remembered[Any]):
        def get(self, key: str, make: Callable[[], Any]) -> Any:
            return make()

    remembering, forgetting = LocalEngine(tiny_model, 1), LocalEngine(tiny_model, 1)
    forgetting.remembered = forgetting.first_rounds = Forgetful()
    assert rows_of(remembering, tiny_model, tmp_path / "a", score_on) == rows_of(
        forgetting, tiny_model, tmp_path / "b", score_on
    )
    # Of two sites: what the base is worth, in FedAvg's first round, which is Fed-MedLoRA's too. FedOPAL begins with a
    # personal adapter beside the shared one.
    assert (remembering.remembered.found, remembering.first_rounds.found) == (2, 2)


def test_that_another_adapter_other_labels_and_other_limits_are_other_evaluations(tiny_model: Path) -> None:
    from fedmed_desktop.federation import TrainingSettings
    from fedmed_desktop.lora import Adapter
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Examples
    from fedmed_desktop.training.device import choose_device
    from fedmed_desktop.training.outline import adaptable_linears
    from fedmed_desktop.training.remembered import evaluation_key

    base = BaseModel.load(tiny_model, choose_device(prefer="cpu"), 1)
    modules = adaptable_linears(tiny_model)
    first, second = (Adapter.initial(modules, 2, 1.0, seed) for seed in (1, 2))
    settings = TrainingSettings(steps=1)
    on_all = settings.model_copy(update={"loss_on": "all"})
    shorter = settings.model_copy(update={"max_new_tokens": 9})
    nothing = Examples(())
    keys = []
    for attached in ((first,), (second,), (first, second), (first, None, second)):
        base.lora.attach(*attached)
        keys.append(evaluation_key(base.lora, nothing, None, settings))
    keys += [evaluation_key(base.lora, nothing, None, on_all)]
    keys += [evaluation_key(base.lora, nothing, nothing, one) for one in (settings, shorter)]
    assert len(set(keys)) == len(keys)
    base.lora.attach(Adapter.initial(modules, 2, 1.0, 1))
    assert evaluation_key(base.lora, nothing, None, settings) == keys[0]


def test_that_what_was_longest_not_asked_for_is_forgotten_first() -> None:
    from fedmed_desktop.training.remembered import Remembered

    made: list[str] = []

    def make(key: str) -> Callable[[], str]:
        return lambda: made.append(key) or key  # type: ignore[func-returns-value]

    kept: Remembered[str] = Remembered(2)
    for key in "abacab":
        assert kept.get(key, make(key)) == key
    assert "".join(made) == "abcb"
    large: Remembered[str] = Remembered(3, len)
    for key in ("aa", "b", "aa", "cc", "aa", "dddd"):
        assert large.get(key, make(key)) == key
    assert made[4:] == ["aa", "b", "cc", "aa", "dddd"]
