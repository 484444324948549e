# SPDX-License-Identifier: Apache-2.0
"""A whole round at a site, on a tiny real model."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.clinical import SiteNotes
from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.events import Evaluated, Event, GenerationProgress, PhaseChanged, TrainingStep
from fedmed_desktop.federation.plan import References, TrainingSettings
from fedmed_desktop.federation.spec import ShareSettings
from fedmed_desktop.federation.work import Control, Given, LocalResult, Stopped
from fedmed_desktop.lora import Adapter, Module, algebra
from fedmed_desktop.lora.base_model import decoder_linears
from fedmed_desktop.lora.half import open_update
from fedmed_desktop.scores import Scores
from tests.parts.told import told_as
from tests.parts.training import NOTES, SETTINGS, TYPES, StopAtLook, note, plan_of, silent, train

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.trainer import SiteTrainer, resized


@pytest.fixture(scope="module")
def start(tiny_model: Path) -> Adapter:
    return Adapter.initial(decoder_linears(tiny_model), rank=4, scale=2.0, seed=1)


@pytest.fixture
def trainer(base: BaseModel) -> SiteTrainer:
    return SiteTrainer(base, "Riverside", NOTES, [Entities(TYPES)])


def test_that_a_round_lowers_the_loss_and_reports_what_it_did(
    trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    result = train(
        trainer, start, tmp_path, plan_of(start, SETTINGS.model_copy(update={"steps": 20, "learning_rate": 0.05}))
    )
    report = result.update.report
    assert report.loss_before is not None and report.loss_after is not None and report.train_loss is not None
    assert report.loss_after < report.loss_before - 0.1
    assert (report.notes, report.steps) == (12, 20)
    assert set(report.scores_before["entities"].strict) == set(TYPES)
    after = Adapter.from_blob(result.blobs["adapter"])
    assert after.sha256 == result.update.parts["adapter"].sha256
    assert len(result.blobs["adapter"]) == result.update.parts["adapter"].size
    assert report.update_norm == pytest.approx(algebra.distance(after, start))
    assert report.start_norm == 0
    changes = result.evidence.modules
    assert changes.keys() == start.keys() and {change.rank for change in changes.values()} == {4}
    assert math.hypot(*(change.norm for change in changes.values())) == pytest.approx(report.update_norm)
    assert result.evidence.rank == 4
    assert result.evidence.validation_notes == 4
    assert (result.evidence.model_drift, result.evidence.performance_drift) == (None, None)


def test_that_training_changes_no_bit_of_the_base(
    base: BaseModel, trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    base.lora.detach()
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    train(trainer, start, tmp_path)
    base.lora.detach()
    now = base.model.state_dict()
    assert now.keys() == before.keys()
    assert all(torch.equal(now[name], before[name]) for name in before)


def test_that_the_same_seed_gives_the_same_blob_and_another_seed_another(
    trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    first = train(trainer, start, tmp_path / "a").update.sha256
    torch.manual_seed(2)
    assert train(trainer, start, tmp_path / "b").update.sha256 == first
    assert train(trainer, start, tmp_path / "c", plan_of(start, seed=12)).update.sha256 != first


@pytest.mark.parametrize("micro_batch_size", [1, 3, None])
def test_that_the_micro_batch_does_not_change_the_result(
    trainer: SiteTrainer, start: Adapter, tmp_path: Path, micro_batch_size: int | None
) -> None:
    whole, parts = (
        Adapter.from_blob(
            train(
                trainer,
                start,
                tmp_path / str(size),
                plan_of(start, SETTINGS.model_copy(update={"micro_batch_size": size, "steps": 2})),
            ).blobs["adapter"]
        )
        for size in (4, micro_batch_size)
    )
    # Adam divides by the gradients' own size, so a rounding error in a gradient near 0 is seen at full size.
    assert algebra.distance(whole, parts) <= 1e-4 * algebra.norm(whole)


class StopAt:
    """Stops the control when the n-th event of a kind arrives."""

    def __init__(self, control: Control, matches: Callable[[Event], bool]) -> None:
        self.control, self.matches = control, matches
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if self.matches(event):
            self.control.stop()


def test_that_a_last_step_that_goes_astray_is_a_sentence(trainer: SiteTrainer, start: Adapter, tmp_path: Path) -> None:
    """Before each step the loss is looked at; after the last one nothing but what came out of it can tell."""
    changes = {"steps": 1, "warmup_share": 0.0, "optimizer": "sgd", "learning_rate": 1e30, "clip_norm": None}
    with told_as(r"values larger than 1e.09 in .* smaller learning rate"):
        train(trainer, start, tmp_path, plan_of(start, SETTINGS.model_copy(update=changes)))


def test_that_an_adapter_without_a_loss_is_a_sentence(trainer: SiteTrainer, start: Adapter, tmp_path: Path) -> None:
    astray = start.map(lambda m: Module(np.full_like(m.B, 9e8), np.full_like(m.A, 9e8), m.scale))
    with told_as("loss before training is not a number"):
        train(trainer, astray, tmp_path)
    with told_as("loss at the end is not a number"):
        trainer.evaluate(plan_of(astray).evaluation(), Given(astray), silent, Control())


@pytest.mark.parametrize("stop_after", [1, 2, 3, 5, 6])
def test_that_a_resumed_round_gives_the_same_bits(
    trainer: SiteTrainer, start: Adapter, tmp_path: Path, stop_after: int
) -> None:
    whole = train(trainer, start, tmp_path / "whole")
    control = Control()
    stop = StopAt(control, lambda e: isinstance(e, TrainingStep) and e.step == stop_after)
    with pytest.raises(Stopped):
        trainer.train_round(plan_of(start), Given(start), tmp_path / "cut", stop, control)
    seen: list[Event] = []
    resumed = trainer.train_round(plan_of(start), Given(start), tmp_path / "cut", seen.append, Control())
    assert resumed.blobs == whole.blobs
    assert resumed.update.report.model_dump(exclude={"seconds"}) == whole.update.report.model_dump(exclude={"seconds"})
    assert [e.step for e in seen if isinstance(e, TrainingStep)] == list(range(stop_after + 1, 7))


@pytest.mark.parametrize("looks", [1, 2, 3, 4, 9, 12])
def test_that_a_stop_between_micro_steps_loses_only_the_unfinished_step(
    base: BaseModel, start: Adapter, tmp_path: Path, looks: int
) -> None:
    from fedmed_desktop.training.batches import Encoder
    from fedmed_desktop.training.checkpoints import Checkpoint
    from fedmed_desktop.training.loop import Training

    examples = Encoder(base.tokenizer, [Entities(TYPES, "html")]).encode(NOTES.train, 200)

    def training(folder: str) -> Training:
        base.lora.attach(start)
        return Training(base, examples, plan_of(start), start, Checkpoint(tmp_path / folder, "training", "key"))

    training("whole").run(lambda done: None, Control())
    whole = base.lora.read()
    cut = training("cut")
    with pytest.raises(Stopped):
        cut.run(lambda done: None, StopAtLook(looks))
    assert cut.progress.step == (looks - 1) // 2
    resumed = training("cut")
    assert resumed.progress.step == cut.progress.step
    resumed.run(lambda done: None, Control())
    assert base.lora.read() == whole


def test_that_a_checkpoint_of_another_plan_is_not_taken(trainer: SiteTrainer, start: Adapter, tmp_path: Path) -> None:
    train(trainer, start, tmp_path / "used", plan_of(start, seed=5))
    fresh = train(trainer, start, tmp_path / "fresh")
    assert train(trainer, start, tmp_path / "used").blobs == fresh.blobs


def test_that_a_damaged_checkpoint_means_a_new_start(trainer: SiteTrainer, start: Adapter, tmp_path: Path) -> None:
    whole = train(trainer, start, tmp_path)
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:100])
    assert train(trainer, start, tmp_path).blobs == whole.blobs


def test_that_events_come_in_order(trainer: SiteTrainer, start: Adapter, tmp_path: Path) -> None:
    events: list[Event] = []
    trainer.train_round(plan_of(start), Given(start), tmp_path, events.append, Control())
    kinds: list[object] = []
    for event in events:
        assert getattr(event, "site") == "Riverside" and getattr(event, "round") == 3  # noqa: B009
        match event:
            case PhaseChanged():
                kinds.append(event.phase)
            case Evaluated():
                kinds.append(event.moment)
            case TrainingStep():
                assert event.steps == 6 and event.tokens_per_second > 0 and event.memory_mib > 0
                kinds.append(event.step)
            case GenerationProgress():
                assert event.total == 4
    expected = ["scoring_before", "before", "training", 1, 2, 3, 4, 5, 6, "scoring_after", "after", "measuring"]
    assert kinds == expected
    assert [e.done for e in events if isinstance(e, GenerationProgress)] == [1, 2, 3, 4] * 2


def test_that_a_pause_holds_the_work_and_a_resume_continues_it(
    trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    import threading

    control, paused_at = Control(), threading.Event()
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        if isinstance(event, TrainingStep) and event.step == 2:
            control.pause()
            paused_at.set()

    results: list[LocalResult] = []
    worker = threading.Thread(
        target=lambda: results.append(trainer.train_round(plan_of(start), Given(start), tmp_path / "p", emit, control))
    )
    worker.start()
    assert paused_at.wait(30)
    worker.join(0.3)
    assert worker.is_alive()
    assert max(e.step for e in events if isinstance(e, TrainingStep)) == 2
    control.resume()
    worker.join(60)
    assert results[0].blobs == train(trainer, start, tmp_path / "q").blobs


@pytest.mark.parametrize(("freeze", "kept", "moved"), [(("A",), "A", "B"), (("B",), "B", "A")])
def test_that_a_frozen_factor_stays_and_does_not_travel(
    trainer: SiteTrainer, start: Adapter, tmp_path: Path, freeze: tuple[str, ...], kept: str, moved: str
) -> None:
    begun = Adapter.from_blob(train(trainer, start, tmp_path / "first").blobs["adapter"])
    plan = plan_of(begun, freeze=freeze)
    result = train(trainer, begun, tmp_path / "second", plan)
    path = tmp_path / "update"
    path.write_bytes(result.blobs["adapter"])
    assert path.stat().st_size < 0.7 * len(begun.to_blob())
    with open_update(path, plan.shared, begun) as reader:
        after = Adapter({name: reader.module(name) for name in reader.names})
    assert all((getattr(after[n], kept) == getattr(begun[n], kept)).all() for n in begun)
    assert all((getattr(after[n], moved) != getattr(begun[n], moved)).any() for n in begun)
    # What was scored and measured at the site is what arrives.
    assert result.update.report.update_norm == algebra.distance(after, begun)
    measured = trainer.measure(plan, Given(after), "validation", Control())
    assert measured.loss == result.update.report.loss_after


@pytest.mark.parametrize("rank", [2, 8])
def test_that_the_start_is_resized_to_the_planned_rank(
    trainer: SiteTrainer, start: Adapter, tmp_path: Path, rank: int
) -> None:
    begun = Adapter.from_blob(train(trainer, start, tmp_path / "first").blobs["adapter"])
    result = train(trainer, begun, tmp_path / "second", plan_of(begun, rank=rank))
    after = Adapter.from_blob(result.blobs["adapter"])
    assert set(after.ranks.values()) == {rank}
    assert result.evidence.rank == rank
    assert result.update.report.update_norm == pytest.approx(
        algebra.distance(after, resized(begun, rank, seed=11)), rel=1e-6
    )


def test_that_evidence_compares_with_earlier_rounds(trainer: SiteTrainer, start: Adapter, tmp_path: Path) -> None:
    begun = Adapter.from_blob(train(trainer, start, tmp_path / "first").blobs["adapter"])
    references = References(median_update_norm=0.5, loss=1.0)
    result = train(trainer, begun, tmp_path / "second", plan_of(begun, references=references))
    report = result.update.report
    assert report.loss_before is not None
    assert result.evidence.model_drift == pytest.approx(report.update_norm / (algebra.norm(begun) + 0.5))
    assert result.evidence.performance_drift == pytest.approx(report.loss_before - 1.0)


def test_that_an_evaluation_has_no_blobs_and_prefers_test_notes(base: BaseModel, start: Adapter) -> None:
    notes = SiteNotes(NOTES.train, NOTES.validation, [note(i) for i in range(40, 46)])
    events: list[Event] = []
    plan = plan_of(start, kind="evaluate")
    result = SiteTrainer(base, "s", notes, [Entities(TYPES)]).evaluate(plan, Given(start), events.append, Control())
    assert result.blobs == {} and result.update.parts == {}
    assert (result.update.report.kind, result.update.report.notes) == ("evaluate", 6)
    assert [e.moment for e in events if isinstance(e, Evaluated)] == ["final"]
    without = SiteTrainer(base, "s", NOTES, [Entities(TYPES)]).evaluate(plan, Given(start), events.append, Control())
    assert without.update.report.notes == 4


def test_that_a_stop_while_scoring_is_heard(trainer: SiteTrainer, start: Adapter, tmp_path: Path) -> None:
    control = Control()
    stop = StopAt(control, lambda e: isinstance(e, PhaseChanged) and e.phase == "scoring_before")
    with pytest.raises(Stopped):
        trainer.train_round(plan_of(start), Given(start), tmp_path, stop, control)
    assert len(stop.events) == 1


def test_that_fractional_epochs_become_steps(trainer: SiteTrainer, start: Adapter, tmp_path: Path) -> None:
    half = TrainingSettings(epochs=1.4, batch_size=4, learning_rate=1e-3, max_new_tokens=8)
    assert train(trainer, start, tmp_path, plan_of(start, half)).update.report.steps == 4


def test_that_scoring_the_bare_base_ignores_the_slot(
    base: BaseModel, trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    bare = trainer.score_adapter(None, NOTES.validation, SETTINGS)
    trained = Adapter.from_blob(train(trainer, start, tmp_path).blobs["adapter"])
    trainer.score_adapter(trained, NOTES.validation, SETTINGS)
    assert trainer.score_adapter(None, NOTES.validation, SETTINGS) == bare
    assert base.lora.parameters() == {}
    assert trainer.score_adapter(start, NOTES.validation, SETTINGS) == bare


def test_that_an_adapter_of_another_base_is_refused_by_name(trainer: SiteTrainer, tmp_path: Path) -> None:
    other = Adapter.initial({"model.layers.9.mlp.up_proj": (8, 8)}, rank=2, scale=1.0, seed=0)
    with told_as(r"layers\.9"):
        train(trainer, other, tmp_path)
    wrong = Adapter.initial({"model.layers.0.mlp.up_proj": (8, 8)}, rank=2, scale=1.0, seed=0)
    with told_as("64 x 32"):
        train(trainer, wrong, tmp_path)


def test_that_a_loss_that_explodes_is_named_and_does_not_reach_the_next_training(
    trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    before = train(trainer, start, tmp_path / "before").update
    wild = TrainingSettings(steps=20, batch_size=4, learning_rate=1e30, clip_norm=None, max_new_tokens=8)
    with told_as("smaller learning rate"):
        train(trainer, start, tmp_path / "wild", plan_of(start, wild))
    assert train(trainer, start, tmp_path / "after").update.sha256 == before.sha256


def test_that_scores_stay_at_the_site_where_the_federation_does_not_share_them(
    base: BaseModel, start: Adapter, tmp_path: Path
) -> None:
    silent = SiteTrainer(base, "s", NOTES, [Entities(TYPES)], share=ShareSettings(scores=False))
    trained = train(silent, start, tmp_path)
    final = silent.evaluate(plan_of(start, kind="evaluate"), Given(start), lambda event: None, Control())
    for result in (trained, final):
        assert result.update.report.scores_before == result.update.report.scores_after == Scores()
        assert result.evidence.scores_after["entities"].strict.keys() == {
            "drug",
            "problem",
        }  # the operator still sees them


def test_that_a_plan_whose_frozen_adapter_is_not_given_is_an_error_of_the_program(
    trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="frozen adapter that was not given"):
        train(trainer, start, tmp_path, plan_of(start, frozen=start.sha256))


def test_that_entities_of_notes_that_do_not_fit_count_as_missed(trainer: SiteTrainer, start: Adapter) -> None:
    tight = SETTINGS.model_copy(update={"max_tokens": 32})
    scores = trainer.score_adapter(start, NOTES.validation, tight)
    assert {name: (c.tp, c.fp, c.fn) for name, c in scores["entities"].strict.items()} == {
        "drug": (0, 0, 4),
        "problem": (0, 0, 4),
    }


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "int4"])
def test_that_an_update_in_fewer_bits_is_measured_as_it_arrives_and_what_it_lost_comes_with_the_next(
    trainer: SiteTrainer, start: Adapter, tmp_path: Path, dtype: str
) -> None:
    plan = plan_of(start, transfer={"dtype": dtype}, cut="first")
    result = train(trainer, start, tmp_path / "1", plan)
    path = tmp_path / "update"
    path.write_bytes(result.blobs["adapter"])
    with open_update(path, plan.shared, start, result.update.parts["adapter"].sha256, plan.packing) as reader:
        arrived = Adapter({name: reader.module(name) for name in reader.names})
    whole = Adapter.from_blob(train(trainer, start, tmp_path / "whole").blobs["adapter"])
    assert arrived != whole and algebra.distance(arrived, whole) < 0.15 * algebra.distance(whole, start)
    assert result.update.report.update_norm == algebra.distance(arrived, start)
    assert result.update.report.loss_after == pytest.approx(
        trainer.measure(plan_of(arrived), Given(arrived), "validation", Control()).loss, abs=1e-6
    )
    lost = result.own["lost"]
    assert algebra.norm(lost) == pytest.approx(algebra.distance(arrived, whole), rel=1e-3)
    again = train(trainer, start, tmp_path / "2", plan, own={"lost": lost})
    assert again.blobs["adapter"] != result.blobs["adapter"]
