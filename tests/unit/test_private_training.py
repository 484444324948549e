# SPDX-License-Identifier: Apache-2.0
"""Differential privacy of a training: units, clipped gradients, draws, noise; on a tiny real model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.clinical import Note, SiteNotes
from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.federation import accounting
from fedmed_desktop.federation.accounting import Budget, SpendingInMemory, Steps
from fedmed_desktop.federation.objectives import ControlVariate, Orthogonal
from fedmed_desktop.federation.plan import Plan, PrivacySettings
from fedmed_desktop.federation.work import Control, Stopped
from fedmed_desktop.lora import Adapter
from tests.parts.told import told_as
from tests.parts.training import NOTES, SETTINGS, TYPES, StopAtLook, note, plan_of, random_adapter, train

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch

    from fedmed_desktop.federation.secret_random import SecretRandom
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder, Examples, collate
    from fedmed_desktop.training.checkpoints import Checkpoint
    from fedmed_desktop.training.label_loss import label_losses
    from fedmed_desktop.training.loop import Training
    from fedmed_desktop.training.memory import recompute
    from fedmed_desktop.training.private import MOST_EXAMPLES, PrivateSteps, units_of
    from fedmed_desktop.training.trainer import SiteTrainer
    from fedmed_desktop.training.unit_gradients import ClippedSum


PRIVACY = PrivacySettings(epsilon=4, delta=1e-3, unit="note", clip_norm=0.1)
PRIVATE = SETTINGS.model_copy(update={"privacy": PRIVACY})


@pytest.fixture(autouse=True, scope="module")
def coarse() -> Iterator[None]:
    """The accountant rounds up more, which takes a tenth of the time; its numbers are looked at elsewhere."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(accounting, "_LOSS_STEP", 0.02)
        accounting._composed.cache_clear()
        yield
    accounting._composed.cache_clear()


@pytest.fixture(scope="module")
def start(shapes: dict[str, tuple[int, int]]) -> Adapter:
    return random_adapter(shapes, 4, 1)


@pytest.fixture(scope="module")
def examples(base: BaseModel) -> Examples:
    return Encoder(base.tokenizer, [Entities(TYPES, "html")]).encode(NOTES.train, 200)


def private(plan: Plan, ledger: SpendingInMemory | None = None) -> Budget:
    assert plan.training.privacy is not None
    return Budget(plan.training.privacy, ledger or SpendingInMemory())


def alone(base: BaseModel, examples: Examples, unit: list[int]) -> dict[str, torch.Tensor]:
    """The gradient of one unit's mean loss per label, by autograd."""
    trained = base.lora.trained()
    batch = collate([examples.items[at] for at in unit], "answer", base.device.torch)
    (label_losses(base, batch) / len(batch.labels)).backward()
    found = {name: p.grad.clone() if p.grad is not None else torch.zeros_like(p) for name, p in trained.items()}
    base.lora.trained()
    return found


def length(gradients: dict[str, torch.Tensor]) -> float:
    return float(torch.stack([one.square().sum() for one in gradients.values()]).sum().sqrt())


def clipped(
    base: BaseModel, examples: Examples, units: list[list[int]], most: float, rows: int = 3
) -> dict[str, torch.Tensor]:
    """The same of many units by ClippedSum, in micro-batches that part units."""
    trained = base.lora.trained()
    total = ClippedSum(base, trained, most)
    drawn = [(at, unit) for unit, items in enumerate(units) for at in items]
    labels = {unit: sum(examples.items[at].labels("answer") for at in items) for unit, items in enumerate(units)}
    for first in range(0, len(drawn), rows):
        part = drawn[first : first + rows]
        batch = collate([examples.items[at] for at, _ in part], "answer", base.device.torch)
        total.add(batch, [unit for _, unit in part], [labels[unit] for _, unit in part])
    return total.end()


UNITS = [[0], [1, 2, 3, 4], [5, 6], [7], [8, 9, 10, 11]]


@pytest.mark.parametrize("freeze", [(), ("A",), ("B",)])
@pytest.mark.parametrize("recomputes", [False, True])
def test_that_each_unit_s_gradient_is_clipped_before_it_is_added(
    base: BaseModel, examples: Examples, start: Adapter, freeze: tuple[str, ...], recomputes: bool,
    tiny_model: Path,
) -> None:  # fmt: skip
    if recomputes:
        base = type(base).load(tiny_model, base.device, threads=1)
        assert recompute(base.model)
    base.lora.attach(start, personal=random_adapter(start.shapes, 2, 9))
    base.lora.freeze(freeze)  # type: ignore[arg-type]
    apart = [alone(base, examples, unit) for unit in UNITS]
    lengths = [length(one) for one in apart]
    most = float(np.median(lengths))
    expected = {
        name: sum(min(1.0, most / size) * one[name] for one, size in zip(apart, lengths, strict=True))
        for name in apart[0]
    }
    found = clipped(base, examples, UNITS, most)
    assert found.keys() == expected.keys() and any(name.startswith("personal/") for name in found)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-7)


def test_that_one_unit_more_changes_the_sum_by_the_clipping_norm_at_most(
    base: BaseModel, examples: Examples, start: Adapter
) -> None:
    base.lora.attach(start)
    with_it, without = (clipped(base, examples, units, 0.01) for units in (UNITS, UNITS[:1] + UNITS[2:]))
    assert length({name: with_it[name] - without[name] for name in with_it}) == pytest.approx(0.01, rel=1e-3)


def test_that_a_factor_that_is_used_elsewhere_too_is_refused(
    base: BaseModel, examples: Examples, start: Adapter
) -> None:
    base.lora.attach(start)
    trained = base.lora.trained()
    total = ClippedSum(base, trained, 1.0)
    name = next(iter(trained))
    next(iter(trained.values())).grad = torch.ones_like(trained[name])
    with told_as(f"module {name.removesuffix('.lora_A')} in a way in which single notes cannot be told apart"):
        total.add(collate(list(examples.items[:2]), "answer", base.device.torch), [0, 1], [1, 1])


def test_that_secret_numbers_are_uniform_and_normal_and_new_each_time() -> None:
    random, count = SecretRandom(), 200_000
    uniforms, normals = random.uniforms(count), random.normals(count + 1)
    assert uniforms.min() > 0 and uniforms.max() < 1 and len(normals) == count + 1
    assert np.abs(np.histogram(uniforms, 10, (0, 1))[0] / count - 0.1).max() < 0.005
    assert abs(normals.mean()) < 0.012 and normals.std() == pytest.approx(1, abs=0.01)
    assert np.mean(np.abs(normals) > 1.96) == pytest.approx(0.05, abs=0.003)
    assert np.abs(np.corrcoef(normals[:100_000], normals[100_000:-1])[0, 1]) < 0.02
    assert not np.array_equal(SecretRandom().uniforms(8), SecretRandom().uniforms(8))
    assert np.array_equal(SecretRandom(bytes(32)).uniforms(8), SecretRandom(bytes(32)).uniforms(8))


def steps_of(base: BaseModel, examples: Examples, start: Adapter, plan: Plan, count: int) -> PrivateSteps:
    base.lora.attach(start)
    base.lora.freeze(plan.freeze)
    found = PrivateSteps(base, examples, plan, base.lora.trained(), private(plan))
    found.begin(0, count)
    return found


def test_that_each_unit_is_drawn_by_itself_with_the_same_probability(
    base: BaseModel, examples: Examples, start: Adapter
) -> None:
    steps = steps_of(base, examples, start, plan_of(start, PRIVATE), 2000)
    draws = [[unit for _, unit in steps.draw()] for _ in range(2000)]
    sizes = np.array([len(set(draw)) for draw in draws])
    assert steps.rate == 4 / 12 and sizes.mean() == pytest.approx(4, abs=0.15)
    assert sizes.var() == pytest.approx(12 * (1 / 3) * (2 / 3), rel=0.15)  # of a fixed batch it would be 0
    drawn = np.bincount([unit for draw in draws for unit in draw], minlength=12) / 2000
    assert np.abs(drawn - 1 / 3).max() < 0.05


def test_that_the_noise_has_the_size_that_the_accountant_counts(
    base: BaseModel, examples: Examples, start: Adapter
) -> None:
    plan = plan_of(start, PRIVATE)
    steps = steps_of(base, examples, start, plan, 6)
    noise = private(plan).grant(4 / 12, 6, 6)
    base.lora.attach(start)
    steps.finish()  # of an empty draw: noise alone
    found = torch.cat([p.grad.flatten() for p in base.lora.parameters().values() if p.grad is not None]).numpy()
    assert found.std() == pytest.approx(noise * 0.1 / 4, rel=0.05)
    assert np.unique(found).size > 0.99 * found.size


def test_that_units_are_documents_notes_or_patients(base: BaseModel) -> None:
    notes = [note(i).model_copy(update={"patient": f"P{i // 3}", "document": f"D{i // 2}"}) for i in range(6)]
    encoder = Encoder(base.tokenizer, [Entities(TYPES, "html")])
    by_patient = PrivacySettings(epsilon=1, unit="patient")
    examples = encoder.encode(notes, 200)
    assert units_of(examples, PRIVACY) == [[0, 1], [2, 3], [4, 5]]
    assert units_of(examples, by_patient) == [[0, 1, 2], [3, 4, 5]]
    bare = encoder.encode([note(1), note(2)], 200)
    assert units_of(bare, PRIVACY) == [[0], [1]]
    with told_as("do not say which patient they are of"):
        units_of(bare, by_patient)


def test_that_windows_of_a_long_note_are_one_unit(base: BaseModel) -> None:
    long = Note(id="long", text="The patient took aspirin and had pain. " * 12)
    examples = Encoder(base.tokenizer, [Entities(TYPES, "html")]).encode([long, note(1)], 120)
    assert len(examples.items) > 2 and units_of(examples, PRIVACY)[1:] == [[len(examples.items) - 1]]


def test_that_of_a_unit_with_very_many_examples_some_are_drawn(base: BaseModel, start: Adapter) -> None:
    notes = [note(i).model_copy(update={"document": "D"}) for i in range(MOST_EXAMPLES + 9)]
    examples = Encoder(base.tokenizer, [Entities(TYPES, "html")]).encode([*notes, note(99)], 200)
    settings = PRIVATE.model_copy(update={"batch_size": 2})
    steps = steps_of(base, examples, start, plan_of(start, settings), 3)
    draws = [steps.draw() for _ in range(3)]
    assert [len(draw) for draw in draws] == [MOST_EXAMPLES + 1] * 3  # with rate 1 both units are in each
    assert len({tuple(draw) for draw in draws}) > 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"objective": (ControlVariate(form="gradient"),)}, "mean of gradients to which no noise was added"),
        ({"objective": (Orthogonal(weight=1.0, on="outputs", rank=2),)}, 'on = "outputs" ties the notes'),
    ],
)
def test_that_plans_that_would_void_the_promise_are_refused(
    base: BaseModel, examples: Examples, start: Adapter, change: dict[str, object], words: str
) -> None:
    with told_as(words):
        steps_of(base, examples, start, plan_of(start, PRIVATE, **change), 1)


def test_that_float16_several_processes_and_a_loose_delta_are_refused(
    base: BaseModel, examples: Examples, start: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    loose = PRIVATE.model_copy(update={"privacy": PRIVACY.model_copy(update={"delta": 0.09})})
    with told_as("one of the 12 notes or patients"):
        steps_of(base, examples, start, plan_of(start, loose), 1)
    with monkeypatch.context() as patched:
        patched.setattr(base, "device", replace(base.device, dtype=torch.float16))
        with told_as("this GPU computes in float16"):
            steps_of(base, examples, start, plan_of(start, PRIVATE), 1)
    monkeypatch.setattr(base, "processes", object())
    with told_as("computed by one process"):
        steps_of(base, examples, start, plan_of(start, PRIVATE), 1)


# -- whole rounds ------------------------------------------------------------------------------------------------------


@pytest.fixture
def trainer(base: BaseModel) -> SiteTrainer:
    return SiteTrainer(base, "A", NOTES, [Entities(TYPES, "html")], score_on="loss")


def test_that_a_private_round_tells_what_is_spent_and_not_the_training_loss(
    trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    ledger, plan = SpendingInMemory(), plan_of(start, PRIVATE, freeze=("A",))
    result = train(trainer, start, tmp_path, plan, budget=private(plan, ledger))
    report = result.update.report
    assert sum(one.count for one in ledger.steps) == report.steps == 6
    assert report.train_loss is None and report.loss_after is not None
    assert report.epsilon_spent is not None and report.epsilon_left is not None
    assert 0 < report.epsilon_spent <= 4 and report.epsilon_left == pytest.approx(4 - report.epsilon_spent, abs=1e-3)
    assert result.evidence.epsilon_spent == report.epsilon_spent and result.spent == tuple(ledger.steps)
    again = train(trainer, start, tmp_path / "again", plan, budget=private(plan))
    assert again.blobs != result.blobs, "noise that can be repeated can be taken off"


def test_that_a_plan_with_privacy_is_not_trained_without_a_budget(
    trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="no budget"):
        train(trainer, start, tmp_path, plan_of(start, PRIVATE))


def test_that_steps_are_written_down_before_they_are_taken_and_count_again_after_a_stop(
    base: BaseModel, examples: Examples, start: Adapter, tmp_path: Path
) -> None:
    plan, ledger = plan_of(start, PRIVATE), SpendingInMemory()

    def begin() -> Training:
        base.lora.attach(start)
        return Training(
            base, examples, plan, start, Checkpoint(tmp_path, "training", "key"), budget=private(plan, ledger)
        )

    class Lost(Exception):
        """The power fails."""

    def after_three(done: object) -> None:
        if len(ledger.steps) == 3:
            raise Lost

    with pytest.raises(Lost):
        begin().run(after_three, Control())
    assert len(ledger.steps) == 3
    training = begin()  # its checkpoint is of step 2
    assert training.progress.step == 2
    training.run(lambda done: None, Control())
    assert training.progress.step == 6 and len(ledger.steps) == 7
    assert private(plan, ledger).told()["epsilon_spent"] <= 4
    assert ledger.steps[-1].noise >= ledger.steps[0].noise


def test_that_a_stop_before_a_step_spends_nothing(
    base: BaseModel, examples: Examples, start: Adapter, tmp_path: Path
) -> None:
    plan, ledger = plan_of(start, PRIVATE), SpendingInMemory()
    base.lora.attach(start)
    training = Training(base, examples, plan, start, Checkpoint(tmp_path, "t", "k"), budget=private(plan, ledger))
    with pytest.raises(Stopped):
        training.run(lambda done: None, StopAtLook(1))
    assert ledger.steps == []


def test_that_a_budget_without_room_refuses_before_anything_is_drawn(
    trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    ledger = SpendingInMemory([Steps(0.9, 0.5, 40)])
    plan = plan_of(start, PRIVATE)
    with told_as("Nothing is trained, because too little .* of epsilon 4"):
        train(trainer, start, tmp_path, plan, budget=private(plan, ledger))
    assert len(ledger.steps) == 1


def test_that_a_patient_who_is_also_in_the_notes_that_are_scored_is_refused(
    base: BaseModel, start: Adapter, tmp_path: Path
) -> None:
    def of(number: int, patient: str) -> Note:
        return note(number).model_copy(update={"patient": patient})

    settings = PRIVATE.model_copy(update={"privacy": PRIVACY.model_copy(update={"unit": "patient"})})
    plan, split = plan_of(start, settings), [of(i, f"P{i}") for i in range(6)]
    for others in (([of(30, "P5"), of(31, "Q")], None), ([of(31, "Q")], [of(30, "P5")])):
        trainer = SiteTrainer(base, "A", SiteNotes(split, *others), [Entities(TYPES, "html")], score_on="loss")
        with told_as("that are in the validation or test notes too: 1"):
            train(trainer, start, tmp_path, plan, budget=private(plan))


def test_that_epochs_count_units(base: BaseModel, start: Adapter, examples: Examples, tmp_path: Path) -> None:
    settings = PRIVATE.model_copy(update={"steps": None, "epochs": 2.0})
    plan = plan_of(start, settings)
    base.lora.attach(start)
    training = Training(base, examples, plan, start, Checkpoint(tmp_path, "t", "k"), budget=private(plan))
    assert training.steps == 6
