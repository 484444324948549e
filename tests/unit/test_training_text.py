# SPDX-License-Identifier: Apache-2.0
"""The task "text": the note itself is learnt, token by token, without labels; on a tiny real model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

from fedmed_desktop.clinical import Note, SiteNotes, read_notes_folder
from fedmed_desktop.events import Event, GenerationProgress, Prepared
from fedmed_desktop.federation.plan import TrainingSettings
from fedmed_desktop.federation.work import Control, Given
from fedmed_desktop.lora import Adapter
from fedmed_desktop.lora.base_model import decoder_linears
from fedmed_desktop.scores import Scores
from tests.parts.federation import small_spec
from tests.parts.told import told_as
from tests.parts.training import note as marked
from tests.parts.training import plan_of, train

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch
    import transformers

    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder, Examples, collate
    from fedmed_desktop.training.label_loss import label_losses
    from fedmed_desktop.training.preparation import LoadedBase, trainer_factory
    from fedmed_desktop.training.trainer import SiteTrainer


LONG = "PAST HISTORY:\n  She has difficulty climbing stairs , tying shoes.\n\n" * 8
SETTINGS = TrainingSettings(steps=12, batch_size=4, learning_rate=0.02, max_tokens=64)


def note(text: str, name: str = "n") -> Note:
    return Note(id=name, text=text)


@pytest.fixture(scope="module")
def base(loaded: LoadedBase) -> BaseModel:
    return loaded.get()


@pytest.fixture(scope="module")
def started(tiny_model: Path) -> Any:
    """The same tokenizer, but one that begins texts with a token, as Llama's does."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    first = tokenizer.convert_ids_to_tokens(2)
    tokenizer.bos_token = first
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(f"{first} $A", special_tokens=[(first, 2)])
    return tokenizer


def encoder(tokenizer: Any) -> Encoder:
    return Encoder(tokenizer, ())


def whole(examples: Examples) -> list[int]:
    """The tokens again, from windows that overlap by one."""
    first, *others = examples.items
    return [*first.prompt, *first.answer, *(token for one in others for token in one.answer)]


@given(text=st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip), room=st.integers(3, 40))
def test_that_every_token_of_a_note_is_learnt_once(base: BaseModel, started: Any, text: str, room: int) -> None:
    tokens = [*base.tokenizer(text, add_special_tokens=False)["input_ids"], base.tokenizer.eos_token_id]
    plain, begun = (encoder(t).encode([note(text)], room) for t in (base.tokenizer, started))
    assert whole(plain) == tokens and whole(begun) == [2, *tokens]
    assert max(map(len, plain.items)) <= room >= max(map(len, begun.items))
    assert plain.left_out == begun.left_out == ()
    for loss_on in ("answer", "all"):
        assert plain.supervised(loss_on) == len(tokens) - 1
        assert begun.supervised(loss_on) == len(tokens)
        batch = collate(plain.items, loss_on, torch.device("cpu"))
        assert sorted(batch.labels.tolist()) == sorted(tokens[1:])


def test_that_a_long_note_becomes_windows_of_even_length(base: BaseModel) -> None:
    examples = encoder(base.tokenizer).encode([note(LONG), note("Short.")], 64)
    assert examples.split == 1
    lengths = [len(example) for example in examples.items[:-1]]
    assert len(lengths) > 2 and max(lengths) <= 64
    assert min(lengths) > 64 / 2
    assert all(
        left.answer[-1:] == right.prompt for left, right in zip(examples.items, examples.items[1:-1], strict=False)
    )
    assert examples.items[-1].prompt == ()
    assert [example.answer[-1] == 0 for example in examples.items] == [False] * (len(lengths) - 1) + [True, True]


def test_that_the_loss_is_that_of_the_bare_model_on_the_bare_text(base: BaseModel) -> None:
    examples = encoder(base.tokenizer).encode([note("She has difficulty climbing stairs."), note("Again.")], 64)
    base.lora.detach()
    for loss_on in ("answer", "all"):
        batch = collate(examples.items, loss_on, torch.device("cpu"))
        with torch.no_grad():
            expected = 0.0
            for example in examples.items:
                tokens = torch.tensor([example.answer])
                expected += base.model(input_ids=tokens, labels=tokens).loss.item() * (len(example) - 1)
            assert label_losses(base, batch).item() == pytest.approx(expected, rel=1e-5)


def test_that_a_site_learns_its_texts_without_types(base: BaseModel, tiny_model: Path, tmp_path: Path) -> None:
    start = Adapter.initial(decoder_linears(tiny_model), rank=4, scale=2.0, seed=1)
    notes = SiteNotes([note(LONG, "a"), note("She took aspirin.", "b")], [note(LONG[:200])], [note(LONG[:100])])
    spec = small_spec(task="text", types=(), shared_notes=(), share={"scores": True})
    trainer = SiteTrainer.for_spec(spec, base, "s", notes, ())
    events: list[Event] = []
    plan = plan_of(start, SETTINGS)
    result = trainer.train_round(plan, Given(start), tmp_path, events.append, Control())
    report = result.update.report
    assert report.loss_before is not None and report.loss_after is not None
    assert report.loss_after < report.loss_before - 0.3
    assert (report.notes, report.steps, report.scores_after) == (2, 12, Scores())
    assert report.supervised_tokens == encoder(base.tokenizer).encode(notes.train, 64).supervised("answer")
    assert not any(isinstance(event, GenerationProgress) for event in events)
    after = Adapter.from_blob(result.blobs["adapter"])
    final = trainer.evaluate(plan.model_copy(update={"kind": "evaluate"}), Given(after), events.append, Control())
    assert final.update.report.loss_after is not None
    assert final.update.report.notes == 1
    same = SETTINGS.model_copy(update={"loss_on": "all"})
    assert train(trainer, start, tmp_path / "all", plan_of(start, same)).blobs == result.blobs


def write(folder: Path, *rows: dict[str, object]) -> Path:
    folder.mkdir()
    for split in ("train", "validation"):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_that_a_folder_without_entities_serves_a_federation_of_texts(loaded: LoadedBase, tmp_path: Path) -> None:
    folder = write(tmp_path / "notes", {"id": "a", "text": "Cough.", "specialty": "Pulmonology"})
    (folder / "types.toml").write_text("[types.map]\nChemical = 'nothing of this federation'\n", encoding="utf-8")
    notes, events = read_notes_folder(folder), list[Event]()
    make = trainer_factory(loaded, "A", notes, folder, events.append)
    trainer = make(small_spec(task="text", types=(), shared_notes=(), share={"histogram": "specialties"}))
    assert [(e.notes, e.entities) for e in events if isinstance(e, Prepared)] == [(1, {})]
    assert [example.asked.note.specialty for example in trainer.examples("train", SETTINGS).items] == ["Pulmonology"]
    (folder / "types.toml").unlink()
    with told_as("None of the types"):
        make(small_spec(task="entities"))


def test_that_what_is_annotated_in_a_text_does_not_change_how_it_is_cut(loaded: LoadedBase, tmp_path: Path) -> None:
    row = marked(3).model_dump(mode="json")
    annotated, bare = write(tmp_path / "a", row), write(tmp_path / "b", {"id": row["id"], "text": row["text"]})
    spec = small_spec(task="text", types=(), shared_notes=())
    first, second = (
        trainer_factory(loaded, "A", read_notes_folder(folder), folder)(spec).examples("train", SETTINGS)
        for folder in (annotated, bare)
    )
    assert first.sha256 == second.sha256 and len(first.items) == len(second.items)
