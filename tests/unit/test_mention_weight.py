# SPDX-License-Identifier: Apache-2.0
"""The weight in the loss of the tokens with which a mention's mark begins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fedmed_desktop.clinical import Entity, Note, mention_starts
from fedmed_desktop.clinical.notes import Relation
from fedmed_desktop.clinical.tasks import Entities, Relations
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import TrainingSettings
from fedmed_desktop.federation.plan import Plan
from fedmed_desktop.lora import Adapter
from fedmed_desktop.lora.base_model import decoder_linears
from fedmed_desktop.wording import told

if TYPE_CHECKING:
    import torch
    from torch.nn import functional

    from fedmed_desktop.training import label_loss, loop
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Batch, Encoder, Example, collate
    from fedmed_desktop.training.checkpoints import Checkpoint
    from fedmed_desktop.training.device import choose_device
    from fedmed_desktop.training.gradients import Work, order, share_of
    from fedmed_desktop.training.label_loss import label_losses

TYPES = ("drug", "problem")
TEXT = "Aspirin for pain, p < 0.05."
NOTE = Note(
    id="n",
    text=TEXT,
    entities=(
        Entity(id="T1", start=0, end=7, type="drug", text="Aspirin"),
        Entity(id="T2", start=12, end=16, type="problem", text="pain"),
    ),
)


def cpu() -> torch.device:
    return torch.device("cpu")


@pytest.fixture
def base(tiny_model: Path) -> BaseModel:
    return BaseModel.load(tiny_model, choose_device(prefer="cpu"), threads=1)


def example(base: BaseModel, form: Any = "html") -> Example:
    (found,) = Encoder(base.tokenizer, [Entities(TYPES, form)]).encode([NOTE], 400).items
    return found


@pytest.mark.parametrize(("form", "mark"), [("html", "<"), ("json", '{"')])
def test_that_the_marked_tokens_are_those_with_which_each_mention_s_mark_begins(
    base: BaseModel, form: Any, mark: str
) -> None:
    one = example(base, form)
    words = [base.tokenizer.decode([one.answer[at]]) for at in one.begins]
    assert len(words) == 2 and all(mark[0] in word for word in words)
    answer = one.asked.answer
    assert [answer[at:].startswith(("<span", '{"entity"')) for at in mention_starts(answer)] == [True, True]


def test_that_a_smaller_than_sign_of_the_note_and_an_end_of_a_mark_are_none(base: BaseModel) -> None:
    one = example(base)
    assert one.asked.answer.count("<") == 5
    assert len(one.begins) == 2


def test_that_modifiers_are_marked_likewise() -> None:
    dosage = Entity(id="T3", start=9, end=14, type="dosage", text="81 mg")
    drug = Entity(id="T1", start=0, end=7, type="drug", text="Aspirin")
    link = Relation(type="dosage", head="T1", tail="T3")
    note = Note(id="n", text="Aspirin, 81 mg.", entities=(drug, dosage), relations=(link,))
    (asked,) = Relations(TYPES, ("dosage",)).teach(note, 400)
    assert [asked.answer[at:].startswith("<span") for at in mention_starts(asked.answer)] == [True]


def test_that_the_loss_counts_them_so_often(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [example(base), example(base, "json")]
    plain, weighted = collate(rows, "answer", cpu()), collate(rows, "answer", cpu(), 3.0)
    logits = base.selected_logits(plain.predicts, input_ids=plain.tokens, use_cache=False)
    each = functional.cross_entropy(logits, plain.labels, reduction="none")
    marks = weighted.weights
    assert plain.weights is None and marks is not None
    assert sorted(set(marks.tolist())) == [1.0, 3.0] and int((marks == 3).sum()) == 4
    expected = float(each.sum() + 2 * each[marks == 3].sum())
    assert float(label_losses(base, weighted)) == pytest.approx(expected, rel=1e-6)
    monkeypatch.setattr(label_loss, "PART_BYTES", 4 * 7 * base.model.get_output_embeddings().weight.shape[0])
    assert float(label_losses(base, weighted)) == pytest.approx(expected, rel=1e-5), "in parts of seven labels too"


def test_that_a_weight_of_one_leaves_training_and_plans_as_they_were(base: BaseModel) -> None:
    assert collate([example(base)], "answer", cpu(), 1.0).weights is None
    assert "mention_weight" not in TrainingSettings(steps=1).model_dump_json()
    assert "mention_weight" in TrainingSettings(steps=1, mention_weight=3).model_dump_json()


def test_that_other_processes_get_the_weights_of_their_share(base: BaseModel) -> None:
    batches = [collate([example(base)], "answer", cpu(), 3.0), collate([example(base, "json")], "answer", cpu(), 3.0)]
    values, tensors = order(Work(batches, 60, 200, 1.0), [[0], [1]], False)
    (theirs,) = share_of(1, values, tensors).batches
    assert isinstance(theirs, Batch) and theirs.weights is not None and batches[1].weights is not None
    assert torch.equal(theirs.weights, batches[1].weights)


def test_that_training_asks_for_the_weight_of_its_plan(
    base: BaseModel, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watched(of: BaseModel, batch: Batch) -> Any:
        seen.append(batch.weights)
        return label_losses(of, batch)

    monkeypatch.setattr("fedmed_desktop.training.gradients.label_losses", watched)
    training(base, tiny_model, tmp_path, 2.0).run(lambda done: None, loop.Control())
    assert seen and all(weights is not None and weights.max() == 2.0 for weights in seen)


def test_that_a_tokenizer_which_cannot_tell_the_places_of_tokens_is_refused_in_words(
    base: BaseModel, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(tokenizer: Any, text: str) -> Any:
        raise ValueError("no places")

    monkeypatch.setattr("fedmed_desktop.training.batches.text_offsets", unable)
    training(base, tiny_model, tmp_path, 1.0)
    with pytest.raises(UserFacingError) as caught:
        training(base, tiny_model, tmp_path, 2.0)
    assert "mention_weight" in told(caught.value) and "tokenizer.json" in told(caught.value)


@pytest.mark.parametrize("weight", [0.5, 11, float("nan")])
def test_that_a_weight_out_of_bounds_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="mention_weight"):
        TrainingSettings(steps=1, mention_weight=weight)


def training(base: BaseModel, model: Path, folder: Path, weight: float) -> loop.Training:
    examples = Encoder(base.tokenizer, [Entities(TYPES)]).encode([NOTE], 400)
    start = Adapter.initial(decoder_linears(model), 2, 2.0, 0)
    base.lora.attach(start)
    settings = TrainingSettings(steps=1, batch_size=1, mention_weight=weight)
    plan = Plan(round=1, start=start.sha256, rank=2, training=settings, seed=1)
    return loop.Training(base, examples, plan, start, Checkpoint(folder, "training", "key"))
