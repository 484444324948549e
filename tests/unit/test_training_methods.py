# SPDX-License-Identifier: Apache-2.0
"""What the methods ask of a site beside plain training, on a tiny real model: own, personal, frozen and half parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.clinical import SiteNotes
from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.events import Evaluated, Event, GenerationProgress, TrainingStep
from fedmed_desktop.federation.drift import semantic_drift
from fedmed_desktop.federation.objectives import ControlVariate, Orthogonal
from fedmed_desktop.federation.plan import References
from fedmed_desktop.federation.spec import ShareSettings
from fedmed_desktop.federation.work import Control, Given, LocalResult, Stopped
from fedmed_desktop.lora import Adapter, Module, algebra
from fedmed_desktop.lora.half import open_update
from fedmed_desktop.scores import Scores
from tests.parts.federation import small_spec
from tests.parts.model import copied
from tests.parts.told import told_as
from tests.parts.training import NOTES, SETTINGS, TYPES, note, plan_of, random_adapter, silent, train

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch
    from safetensors.torch import load_file, save_file

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.device import choose_device
    from fedmed_desktop.training.preparation import LoadedBase
    from fedmed_desktop.training.scoring import SharedNotesScorer, asked_for, shared_notes
    from fedmed_desktop.training.site_tasks import all_tasks
    from fedmed_desktop.training.starting import for_training
    from fedmed_desktop.training.trainer import SiteTrainer


PERSONAL = (Orthogonal(weight=0.1, rank=2),)
FAST = SETTINGS.model_copy(update={"learning_rate": 0.03})


@pytest.fixture(scope="module")
def base(loaded: LoadedBase) -> BaseModel:
    return loaded.get()


@pytest.fixture(scope="module")
def start(shapes: dict[str, tuple[int, int]]) -> Adapter:
    return Adapter.initial(shapes, rank=4, scale=1.5, seed=1)


@pytest.fixture
def trainer(base: BaseModel) -> SiteTrainer:
    return SiteTrainer(base, "Riverside", NOTES, [Entities(TYPES)], score_on="loss")


def offered(result: LocalResult, folder: Path, factors: tuple[str, ...], start: Adapter) -> Adapter:
    """The adapter part as the coordinator reads it."""
    path = folder / result.update.parts["adapter"].sha256
    path.write_bytes(result.blobs["adapter"])
    with open_update(path, factors, start) as reader:  # type: ignore[arg-type]
        return Adapter({name: reader.module(name) for name in reader.names})


def assert_not_in(blobs: dict[str, bytes], *factors: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    """No row that says anything stands in what is offered."""
    for factor in factors:
        for row in factor:
            assert not row.any() or all(row.tobytes() not in blob for blob in blobs.values())


def test_that_a_site_s_own_b_is_kept_and_never_offered(trainer: SiteTrainer, start: Adapter, tmp_path: Path) -> None:
    plan = plan_of(start, FAST, own=("B",))
    result = train(trainer, start, tmp_path, plan)
    own = result.own["B"]
    assert all(module.B.any() for module in own.values())
    assert set(result.blobs) == set(result.update.parts) == {"adapter"}
    assert_not_in(result.blobs, *(module.B for module in own.values()))
    published = offered(result, tmp_path, plan.shared, start)
    assert all((published[n].A == own[n].A).all() and not published[n].B.any() for n in own)

    # The next round begins with it, and so does the last evaluation.
    after = result.update.report.loss_after
    again = train(trainer, published, tmp_path / "again", plan, own=result.own).update.report
    assert again.loss_before == after
    assert again.start_norm == pytest.approx(algebra.norm(own))
    final = trainer.evaluate(
        plan.model_copy(update={"kind": "evaluate"}), Given(published, own=result.own), silent, Control()
    )
    assert final.update.report.loss_after == after
    assert trainer.measure(plan, Given(published, own=result.own), "validation", Control()).loss == after
    assert trainer.measure(plan, Given(published), "validation", Control()).loss > after


def test_that_an_own_b_of_another_rank_is_not_taken(start: Adapter, shapes: dict[str, tuple[int, int]]) -> None:
    other = random_adapter(shapes, rank=3, seed=1)
    assert for_training(plan_of(start, own=("B",)), Given(start, own={"B": other})).shared == start
    same = random_adapter(shapes, rank=4, seed=1)
    taken = for_training(plan_of(start, own=("B",)), Given(start, own={"B": same})).shared
    assert all((taken[n].B == same[n].B).all() and (taken[n].A == start[n].A).all() for n in start)


def test_that_a_personal_adapter_helps_its_site_and_never_leaves_it(
    trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    plan = plan_of(start, FAST, objective=PERSONAL)
    result = train(trainer, start, tmp_path, plan)
    personal = result.own["personal"]
    assert set(personal.ranks.values()) == {2}
    assert all(module.B.any() for module in personal.values())
    assert set(result.blobs) == set(result.update.parts) == {"adapter"}
    assert_not_in(result.blobs, *(f for m in personal.values() for f in (m.B, m.A, m.B.T, m.A.T)))

    shared = Adapter.from_blob(result.blobs["adapter"])
    after = result.update.report.loss_after
    assert after is not None
    assert trainer.measure(plan, Given(shared, own=result.own), "validation", Control()).loss == after
    assert trainer.measure(plan, Given(shared), "validation", Control()).loss > after
    assert result.update.report.update_norm == pytest.approx(algebra.distance(shared, start))

    # The next round goes on with it, and so does the last evaluation.
    again = train(trainer, shared, tmp_path / "again", plan, own=result.own)
    assert again.update.report.loss_before == after
    assert again.own["personal"] != personal
    final = trainer.evaluate(
        plan.model_copy(update={"kind": "evaluate"}), Given(shared, own=result.own), silent, Control()
    )
    assert final.update.report.loss_after == after
    assert final.own == {} and final.blobs == {}


def test_that_a_first_personal_adapter_changes_nothing_and_shares_no_row(
    base: BaseModel, trainer: SiteTrainer, start: Adapter, shapes: dict[str, tuple[int, int]]
) -> None:
    mixed = start.map(lambda m: Module(m.B, m.A, 1.5 if m.shape[0] == 32 else 0.7))
    plan = plan_of(mixed, rank=6, objective=PERSONAL)  # the shared one grows by two rows
    adapters = for_training(plan, Given(mixed))
    personal = adapters.personal
    assert personal is not None
    assert {n: m.scale for n, m in personal.items()} == {n: m.scale for n, m in mixed.items()}
    assert algebra.norm(personal) == 0
    for name, module in adapters.shared.items():
        assert not (module.A[:, None] == personal[name].A[None]).all(axis=2).any()
    base.lora.attach(adapters.shared, None, personal)
    with_it = trainer._evaluator.loss(trainer.examples("validation", SETTINGS), "answer", lambda: None)
    assert with_it == trainer.measure(plan_of(mixed), Given(mixed), "validation", Control()).loss
    # Another rank than that of the last round keeps what it has learnt.
    kept = random_adapter(shapes, rank=1, seed=4)
    grown = for_training(plan, Given(mixed, own={"personal": kept})).personal
    assert grown is not None and set(grown.ranks.values()) == {2}
    assert algebra.distance(grown, kept) < 1e-6 * algebra.norm(kept)


def test_that_a_frozen_adapter_acts_as_if_it_were_in_the_base(
    trainer: SiteTrainer, start: Adapter, shapes: dict[str, tuple[int, int]], tiny_model: Path, tmp_path: Path
) -> None:
    frozen = random_adapter(shapes, rank=5, seed=2, size=0.3)
    merged = copied(tiny_model, tmp_path / "merged")
    weights = load_file(merged / "model.safetensors")
    for name, module in frozen.items():
        weights[f"{name}.weight"] += module.scale * torch.from_numpy(module.B @ module.A)
    save_file(weights, merged / "model.safetensors", metadata={"format": "pt"})
    other = SiteTrainer(
        BaseModel.load(merged, choose_device(prefer="cpu"), threads=1), "s", NOTES, [Entities(TYPES)], score_on="loss"
    )
    plan = plan_of(start, frozen=frozen.sha256)
    result = train(trainer, start, tmp_path / "beside", plan, frozen=frozen)
    inside = train(other, start, tmp_path / "inside", plan_of(start))
    plain = train(trainer, start, tmp_path / "plain", plan_of(start))
    found, expected = result.update.report, inside.update.report
    assert found.loss_before == pytest.approx(expected.loss_before, rel=1e-5)
    assert found.loss_after == pytest.approx(expected.loss_after, rel=1e-4)
    assert abs((plain.update.report.loss_before or 0) - (found.loss_before or 0)) > 1e-3
    ours, theirs = (Adapter.from_blob(one.blobs["adapter"]) for one in (result, inside))
    assert algebra.distance(ours, theirs) <= 1e-3 * algebra.norm(theirs)
    final = trainer.evaluate(
        plan.model_copy(update={"kind": "evaluate"}), Given(ours, frozen=frozen), silent, Control()
    )
    assert final.update.report.loss_after == found.loss_after


@pytest.mark.parametrize("form", ["sgd", "gradient"])
def test_that_the_change_of_a_site_s_control_is_offered_and_the_control_is_kept(
    trainer: SiteTrainer, start: Adapter, shapes: dict[str, tuple[int, int]], tmp_path: Path, form: str
) -> None:
    settings = SETTINGS.model_copy(update={"optimizer": "sgd" if form == "sgd" else "adamw"})
    plan = plan_of(start, settings, objective=(ControlVariate(form=form),))
    first = train(trainer, start, tmp_path / "first", plan)
    assert set(first.blobs) == set(first.update.parts) == {"adapter", "control"} == plan.parts
    kept = first.own["control"]
    assert Adapter.from_blob(first.blobs["control"]) == kept  # it was zero before
    assert any(module.B.any() for module in kept.values())

    # In the next round both count: with c = c_i nothing is corrected, with c = 0 it is.
    named = plan_of(start, settings, objective=(ControlVariate(form=form, control=kept.sha256),))
    same = train(trainer, start, tmp_path / "same", named, control=kept, own=first.own)
    assert same.blobs["adapter"] == first.blobs["adapter"]
    corrected = train(trainer, start, tmp_path / "corrected", plan, own=first.own)
    assert corrected.blobs["adapter"] != first.blobs["adapter"]
    change = Adapter.from_blob(corrected.blobs["control"])
    assert all(
        np.allclose(corrected.own["control"][n].B - kept[n].B, change[n].B, rtol=1e-4, atol=1e-6) for n in change
    )

    # A control of another rank counts as zero; one that is not given is an error of the program.
    other = random_adapter(shapes, rank=3, seed=1)
    assert train(trainer, start, tmp_path / "other", plan, own={"control": other}).blobs == first.blobs
    with pytest.raises(ValueError, match="control that was not given"):
        train(trainer, start, tmp_path / "missing", named)


@pytest.mark.parametrize("stop_after", [1, 3, 6])
def test_that_a_resumed_round_gives_the_same_bits_of_all_that_is_kept(
    trainer: SiteTrainer, start: Adapter, shapes: dict[str, tuple[int, int]], tmp_path: Path, stop_after: int
) -> None:
    own = {name: random_adapter(shapes, rank, 7, 0.01) for name, rank in (("control", 4), ("personal", 2), ("B", 4))}
    objective = (ControlVariate(form="gradient"), Orthogonal(weight=0.1, rank=2))
    plan = plan_of(start, objective=objective, own=("B",), frozen=start.sha256)
    given = Given(start, frozen=random_adapter(shapes, 3, 8), own=own)
    whole = trainer.train_round(plan, given, tmp_path / "whole", silent, Control())
    control = Control()

    def stop(event: Event) -> None:
        if isinstance(event, TrainingStep) and event.step == stop_after:
            control.stop()

    with pytest.raises(Stopped):
        trainer.train_round(plan, given, tmp_path / "cut", stop, control)
    steps: list[Event] = []
    resumed = trainer.train_round(plan, given, tmp_path / "cut", steps.append, Control())
    assert [e.step for e in steps if isinstance(e, TrainingStep)] == list(range(stop_after + 1, 7))
    assert resumed.blobs == whole.blobs
    assert resumed.own == whole.own and set(whole.own) == {"B", "control", "personal"}
    assert resumed.update.report.model_dump(exclude={"seconds"}) == whole.update.report.model_dump(exclude={"seconds"})


def test_that_a_turned_update_does_the_same_and_lies_nearer_to_the_start(
    trainer: SiteTrainer, start: Adapter, shapes: dict[str, tuple[int, int]], tmp_path: Path
) -> None:
    begun = random_adapter(shapes, rank=4, seed=5)
    plain = train(trainer, begun, tmp_path / "a", plan_of(begun, FAST))
    turned = train(trainer, begun, tmp_path / "b", plan_of(begun, FAST, rotation=0.5))
    left, right = (Adapter.from_blob(one.blobs["adapter"]) for one in (plain, turned))
    assert left != right
    assert algebra.distance(left, right) <= 1e-5 * algebra.norm(left)
    assert turned.update.report.loss_after == pytest.approx(plain.update.report.loss_after, rel=1e-5)

    def away(adapter: Adapter) -> float:  # round 3: A is what is brought near
        return sum(float(np.sum((m.A - begun[n].A) ** 2)) for n, m in adapter.items())

    assert away(right) < away(left)


def test_that_a_rotation_of_a_half_is_an_error_of_the_program(
    trainer: SiteTrainer, start: Adapter, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="both factors"):
        train(trainer, start, tmp_path, plan_of(start, rotation=0.5, freeze=("A",)))


def test_that_where_the_loss_is_enough_no_answer_is_generated(base: BaseModel, start: Adapter, tmp_path: Path) -> None:
    def trained(score_on: str) -> tuple[LocalResult, list[Event]]:
        trainer = SiteTrainer(base, "s", NOTES, [Entities(TYPES)], score_on=score_on)  # type: ignore[arg-type]
        events: list[Event] = []
        return trainer.train_round(plan_of(start), Given(start), tmp_path, events.append, Control()), events

    full, told = trained("answers")
    bare, events = trained("loss")
    assert any(isinstance(event, GenerationProgress) for event in told)
    assert not any(isinstance(event, GenerationProgress) for event in events)
    assert [type(e) for e in events] == [type(e) for e in told if not isinstance(e, GenerationProgress)]
    assert [e.scores for e in events if isinstance(e, Evaluated)] == [Scores(), Scores()]
    assert bare.update.report.scores_before == bare.update.report.scores_after == Scores()
    assert full.update.report.scores_after != Scores()
    # The scores apart it is the same round.
    assert bare.blobs == full.blobs
    assert bare.update.report.loss_after == full.update.report.loss_after


@pytest.mark.parametrize(
    ("of", "expected"),
    [("none", {}), ("specialties", {"Urology": 9, "Neurology": 3}), ("types", {"drug": 12, "problem": 12})],
)
def test_that_a_histogram_is_told_only_where_the_federation_shares_it(
    base: BaseModel, start: Adapter, tmp_path: Path, of: str, expected: dict[str, int]
) -> None:
    notes = SiteNotes([note(i, "Neurology" if i % 4 == 0 else "Urology") for i in range(12)], NOTES.validation, None)
    share = ShareSettings.model_validate({"histogram": of})
    trainer = SiteTrainer(base, "s", notes, [Entities(TYPES)], share=share, score_on="loss")
    references = References(median_update_norm=1, loss=1, histogram={"Urology": 0.25, "drug": 0.75})
    result = train(trainer, start, tmp_path, plan_of(start, references=references))
    assert result.update.report.histogram == expected
    assert result.evidence.semantic_drift == semantic_drift(expected, references.histogram)
    first = train(trainer, start, tmp_path, plan_of(start))
    assert first.evidence.semantic_drift is None
    final = trainer.evaluate(plan_of(start, kind="evaluate"), Given(start), silent, Control())
    assert final.update.report.histogram == {}


@pytest.mark.parametrize("what", ["own", "frozen"])
def test_that_a_checkpoint_of_other_adapters_is_not_taken(
    trainer: SiteTrainer, start: Adapter, shapes: dict[str, tuple[int, int]], tmp_path: Path, what: str
) -> None:
    one, other = (random_adapter(shapes, rank=2, seed=seed) for seed in (1, 2))

    def result(folder: str, adapter: Adapter) -> LocalResult:
        plan = plan_of(start, objective=PERSONAL, frozen=start.sha256)
        beside = {"own": {"personal": one}, "frozen": one}
        beside[what] = {"personal": adapter} if what == "own" else adapter
        return train(trainer, start, tmp_path / folder, plan, **beside)

    result("used", one)
    assert result("used", other).blobs == result("fresh", other).blobs
    assert result("used", one).blobs != result("used", other).blobs


SHARED = (
    {"text": note(40).text, "entities": [e.model_dump(include={"start", "end", "type"}) for e in note(40).entities]},
)


def test_that_shared_notes_measure_the_site_s_own_model_where_the_method_asks(
    loaded: LoadedBase, base: BaseModel, start: Adapter, tmp_path: Path
) -> None:
    spec = small_spec(method={"name": "fed_medlora_plus"}, shared_notes=SHARED, score_on="loss")
    # The site annotates drugs only, but on the shared notes it is asked for all types.
    drugs = SiteTrainer.for_spec(spec, base, "s", NOTES, ["drug"])
    result = train(drugs, start, tmp_path)
    after = Adapter.from_blob(result.blobs["adapter"])
    assert [n.entities[0].text for n in shared_notes(spec)] == ["aspirin"]
    scorer = SharedNotesScorer(loaded, shared_notes(spec), all_tasks(spec), SETTINGS.max_tokens)
    assert scorer.loss(after) == result.update.report.shared_loss
    assert scorer.loss(start) != scorer.loss(after)
    for method in ("fedavg", {"name": "fed_medlora_plus", "measured_by": "coordinator"}):
        chosen = {"name": method} if isinstance(method, str) else method
        other = small_spec(method=chosen, shared_notes=SHARED, score_on="loss")
        plain = train(SiteTrainer.for_spec(other, base, "s", NOTES, TYPES), start, tmp_path / "plain")
        assert plain.update.report.shared_loss is None


def test_that_a_scorer_hears_a_frozen_adapter(
    loaded: LoadedBase, start: Adapter, shapes: dict[str, tuple[int, int]]
) -> None:
    frozen = random_adapter(shapes, rank=2, seed=3, size=0.3)
    scorer = SharedNotesScorer(loaded, asked_for([note(41)], TYPES), [Entities(TYPES)], 400)
    summed = algebra.weighted_sum([(1.0, start), (1.0, frozen)])
    assert scorer.loss(start, frozen) == pytest.approx(scorer.loss(summed), rel=1e-5)
    assert scorer.loss(start, frozen) != scorer.loss(start)


def test_that_shared_notes_that_fit_nowhere_are_named(loaded: LoadedBase, start: Adapter) -> None:
    with told_as("no shared notes that fit"):
        SharedNotesScorer(loaded, asked_for([note(41)], TYPES), [Entities(TYPES)], 12).loss(start)
    with told_as("None of the types"):
        asked_for([note(41)], ("test",))


@pytest.mark.parametrize(("split", "name"), [("train", "training"), ("validation", "validation"), ("test", "test")])
def test_that_a_split_without_notes_is_named(base: BaseModel, start: Adapter, split: str, name: str) -> None:
    trainer = SiteTrainer(base, "s", SiteNotes([], [], None), [Entities(TYPES)])
    with told_as(f"no {name} notes"):
        trainer.measure(plan_of(start), Given(start), split, Control())  # type: ignore[arg-type]


def test_that_a_round_without_training_notes_says_so(base: BaseModel, start: Adapter, tmp_path: Path) -> None:
    trainer = SiteTrainer(base, "s", SiteNotes([], [note(30)], None), [Entities(TYPES)])
    with told_as("no training notes"):
        train(trainer, start, tmp_path)
