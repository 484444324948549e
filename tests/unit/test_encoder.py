# SPDX-License-Identifier: Apache-2.0
"""The encoder baseline: tags lead back to the spans they were made of, and what is trained is what is averaged."""

from __future__ import annotations

import random
import re
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.clinical import Note, SiteNotes, Span
from fedmed_desktop.lab.cells import Cell
from fedmed_desktop.lab.experiment import Experiment
from fedmed_desktop.lab.partition import LabSite
from fedmed_desktop.lora.base_model import weight_files
from fedmed_desktop.resources import resource
from tests.parts.told import told_as

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    import torch
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    from fedmed_desktop.lab.encoder import EncoderRun
    from fedmed_desktop.training.device import choose_device
    from fedmed_desktop.training.encoder.model import Encoder
    from fedmed_desktop.training.encoder.tagging import Tagged, Tagger, Tags
    from fedmed_desktop.training.encoder.training import EncoderTraining, averaged, evaluate, train

TYPES = ("drug", "problem")
UNIT = re.compile(r"[^\W\d_]+|\d+|\S")


def note(text: str, *spans: tuple[int, int, str]) -> Note:
    entities = [
        {"id": f"T{at}", "start": start, "end": end, "type": kind, "text": text[start:end]}
        for at, (start, end, kind) in enumerate(spans)
    ]
    return Note.model_validate({"id": "n", "text": text, "entities": entities})


@lru_cache
def tagger(max_tokens: int = 512) -> Tagger:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(resource("demo_model"), local_files_only=True)
    return Tagger(tokenizer, Tags(TYPES), max_tokens)


def read_back(windows: list[Tagged]) -> list[Span]:
    tags = Tags(TYPES)
    return [
        Span(span.start + one.offset, span.end + one.offset, span.type)
        for one in windows
        for span in tags.decode(one.units, one.tags)
    ]


@st.composite
def annotated(draw: st.DrawFn) -> Note:
    """Any text, with entities that begin and end with a word, a number or a sign, side by side or apart."""
    text = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(str.strip))
    units = [match.span() for match in UNIT.finditer(text)]
    edges = sorted(draw(st.sets(st.integers(0, len(units)), max_size=8)))
    spans = [
        (units[first][0], units[last - 1][1], draw(st.sampled_from(TYPES)))
        for first, last in pairwise(edges)
        if draw(st.booleans())
    ]
    return note(text, *spans)


@given(annotated())
def test_that_spans_of_whole_words_come_back_from_their_tags(whole: Note) -> None:
    assert read_back(tagger().tagged([whole], TYPES)) == [entity.span for entity in whole.entities]


@given(annotated(), st.data())
def test_that_any_tags_give_spans_in_order_that_are_words_of_the_text(whole: Note, data: st.DataObject) -> None:
    (one,) = tagger().tagged([whole], TYPES)
    tags = data.draw(st.lists(st.integers(0, len(Tags(TYPES)) - 1), min_size=len(one.units), max_size=len(one.units)))
    spans = Tags(TYPES).decode(one.units, tags)
    assert all(whole.text[span.start : span.end].strip() for span in spans)
    assert all(left.end <= right.start for left, right in pairwise(spans))
    assert bool(spans) == any(tags)


def test_that_a_span_within_a_word_has_the_word_and_the_first_of_two_keeps_it() -> None:
    assert read_back(tagger().tagged([note("nonaspirin", (3, 10, "drug"))], TYPES)) == [(0, 10, "drug")]
    two = note("antiaspirin", (0, 4, "problem"), (4, 11, "drug"))
    assert read_back(tagger().tagged([two], TYPES)) == [(0, 11, "problem")]


def test_that_a_stray_inside_begins_an_entity() -> None:
    units = [(0, 1), (2, 3), (4, 5), (6, 7)]
    assert Tags(TYPES).names == ["O", "B-drug", "I-drug", "B-problem", "I-problem"]
    assert Tags(TYPES).decode(units, [2, 2, 4, 3]) == [(0, 3, "drug"), (4, 5, "problem"), (6, 7, "problem")]


def test_that_a_long_note_is_read_in_windows_and_nothing_of_it_is_lost() -> None:
    text = "Aspirin was given. " * 60
    spans = [(at, at + 7, "drug") for at in range(0, len(text), 19)]
    windows = tagger(64).tagged([note(text, *spans)], TYPES)
    assert len(windows) > 3 and max(map(len, windows)) <= 64
    assert [span[:2] for span in read_back(windows)] == [span[:2] for span in spans]
    # The cuts are the same where nothing is annotated, as in a note that is to be read.
    assert [one.tokens for one in tagger(64).tagged([note(text)], TYPES)] == [one.tokens for one in windows]


def test_that_a_special_token_in_a_note_is_text() -> None:
    text = "a <|endoftext|> b"
    (one,) = tagger().tagged([note(text)], TYPES)
    assert len(one.units) == len(UNIT.findall(text))


@pytest.mark.parametrize("kind", ["WordPiece", "Unigram"])
def test_that_other_families_of_tokenizers_lead_back_to_the_same_spans(kind: str) -> None:
    """BERT's takes accents and capitals away and puts tokens around; others count the blank to the word behind it."""
    text = "Gave 5mg Déxaméthasone (i.v.), then naïve ASPIRIN-like drug for 😷 fever/chills."
    names = ["Déxaméthasone", "ASPIRIN", "drug"], ["😷 fever", "chills"]
    spans = [
        (text.index(name), text.index(name) + len(name), label)
        for label, found in zip(TYPES, names, strict=True)
        for name in found
    ]
    windows = Tagger(other_tokenizer(kind), Tags(TYPES), 64).tagged([note(text, *spans)], TYPES)
    assert read_back(windows) == sorted(spans)
    if kind == "WordPiece":
        assert windows[0].tokens[0] == 1 and windows[0].tokens[-1] == 2 and 0 not in windows[0].places


def other_tokenizer(kind: str) -> Any:
    import tokenizers
    import transformers
    from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

    words = ["gave dexamethasone then naive aspirin like drug for fever chills 5mg i.v. (i.v.),"] * 4
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]"]
    if kind == "WordPiece":
        made = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer = normalizers.BertNormalizer()
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        made.train_from_iterator(words, trainers.WordPieceTrainer(vocab_size=60, special_tokens=special))
        made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 1), ("[SEP]", 2)])
    else:
        made = tokenizers.Tokenizer(models.Unigram())
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.train_from_iterator(
            words, trainers.UnigramTrainer(vocab_size=60, special_tokens=special, unk_token="[UNK]")
        )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]")


def test_that_a_site_is_taught_only_the_types_that_it_annotates() -> None:
    (one,) = tagger().tagged([note("aspirin for pain", (0, 7, "drug"), (12, 16, "problem"))], ["drug"])
    assert one.allowed == (0, 1, 2) and one.tags == (1, 0, 0)


# -- training ----------------------------------------------------------------------------------------------------------


def encoder(seed: int = 1) -> Encoder:
    return Encoder.from_scratch(Tags(TYPES), seed, choose_device(prefer="cpu"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders from scratch of one layer of width 32."""
    from fedmed_desktop.training.encoder import model

    for name, value in (("_LAYERS", 1), ("_WIDTH", 32), ("_HEADS", 2)):
        monkeypatch.setattr(model, name, value)


def toy_notes(count: int, seed: int = 0) -> list[Note]:
    """Drugs and problems by their words alone."""
    rng = random.Random(seed)
    notes = []
    for _ in range(count):
        drug, problem = rng.choice(["aspirin", "insulin", "heparin"]), rng.choice(["pain", "fever", "cough"])
        text = f"Gave {drug} against {problem} today."
        notes.append(note(text, (5, 5 + len(drug), "drug"), (14 + len(drug), 14 + len(drug) + len(problem), "problem")))
    return notes


def trained(seed: int, steps: int = 3) -> Encoder:
    made = encoder(seed)
    made.threads = 1
    train(made, made.tagger.tagged(toy_notes(24), TYPES), EncoderTraining(steps, 8, 3e-3), seed)
    return made


@pytest.mark.usefixtures("small")
def test_that_a_toy_task_is_learnt() -> None:
    held_out = toy_notes(10, seed=9)
    before = evaluate(encoder(), held_out, TYPES)
    after = evaluate(trained(1, steps=60), held_out, TYPES)
    assert after.loss < 0.2 * before.loss
    assert after.scores.f1_strict > 0.95 > before.scores.f1_strict
    assert after.units == before.units == sum(len(UNIT.findall(one.text)) for one in held_out)


@pytest.mark.usefixtures("small")
def test_that_the_seed_decides_every_bit() -> None:
    torch.manual_seed(5)  # what others have drawn makes no difference
    one = trained(1).state()
    torch.manual_seed(6)
    state = torch.random.get_rng_state()
    again, other = trained(1).state(), trained(2).state()
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.usefixtures("small")
def test_that_the_rates_of_rounds_fall_together_where_the_schedule_is_over_all() -> None:
    rates: list[float] = []
    handle = register_optimizer_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    try:
        for number in (1, 2):
            made = encoder()
            training = EncoderTraining(2, 8, 1.0, warmup_share=0.0, schedule="federation", number=number, rounds=2)
            train(made, made.tagger.tagged(toy_notes(8), TYPES), training, 1)
    finally:
        handle.remove()
    assert rates == pytest.approx([1.0, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5])


@pytest.mark.usefixtures("small")
def test_that_the_federated_model_is_the_mean_of_states_by_notes() -> None:
    states = [trained(seed).state() for seed in (1, 2, 3)]
    counts = [10, 30, 60]
    common = averaged(zip(states, counts, strict=True))
    for name, values in common.items():
        mean = sum(state[name].double() * count for state, count in zip(states, counts, strict=True)) / 100
        assert torch.equal(values, torch.as_tensor(mean).float())
    alone = averaged([(states[0], 7)])
    assert all(torch.equal(alone[name], states[0][name]) for name in alone)
    put = encoder()
    put.put(common)
    assert all(torch.equal(put.state()[name], common[name]) for name in common)


@pytest.mark.usefixtures("small")
def test_that_training_leaves_tags_alone_that_the_site_does_not_use() -> None:
    made = encoder()
    made.threads = 1
    head = made.model.classifier.weight
    before = head.detach().clone()
    train(made, made.tagger.tagged(toy_notes(8), ["drug"]), EncoderTraining(2, 4, 1e-2), 1)
    changed = (head != before).any(dim=1).tolist()
    assert changed == [True, True, True, False, False]
    assert set(evaluate(made, toy_notes(4), ["drug"]).scores.strict) == {"drug"}


def test_that_a_site_does_its_share_of_the_steps_that_its_tokens_allow() -> None:
    """Where a federation asks one of two sites in each round, the bound on tokens holds before the share is taken."""
    experiment = Experiment(
        name="e", types=TYPES, sites=(2,), baselines=("encoder",), encoder={"epochs": 4, "batch_size": 2}
    )
    notes = toy_notes(8)
    sites = [LabSite(name, SiteNotes(notes, notes[:2], None), TYPES) for name in ("Site 1", "Site 2")]
    cell = Cell("encoder", "encoder FedAvg", 2, 1, way="federated")

    def steps(**changes: int) -> set[int]:
        asked = experiment.model_copy(update=changes)
        return {member.steps for member in EncoderRun(asked, cell, sites, ("validation",))._members}

    tokens = sum(map(len, encoder().tagger.tagged(notes, TYPES)))
    assert steps() == {16} and steps(clients=1) == {8}
    assert steps(max_tokens_per_site=2 * tokens) == {8}
    assert steps(max_tokens_per_site=2 * tokens, clients=1) == {4}


# -- folders -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A BERT with the bundled model's tokenizer, as Hugging Face stores it: without a head."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(resource("demo_model"), local_files_only=True)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
    )
    path = tmp_path / "bert"
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(path)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(path)
    return path


def load(path: Path, **changes: Any) -> Encoder:
    settings = {"max_tokens": 512, "freeze_embeddings": True} | changes
    return Encoder.load(path, Tags(TYPES), 1, choose_device(prefer="cpu"), **settings)


def test_that_a_folder_is_loaded_with_a_new_head_and_frozen_embeddings(folder: Path) -> None:
    frozen, free = load(folder), load(folder, freeze_embeddings=False)
    assert frozen.max_tokens == 128
    assert {"classifier.bias", "classifier.weight"} <= frozen.trained.keys()
    assert not any("embeddings" in name for name in frozen.trained)
    assert any("embeddings" in name for name in free.trained) and free.bytes > frozen.bytes
    same = load(folder).state()
    assert all(torch.equal(same[name], values) for name, values in frozen.state().items())


def test_that_embeddings_which_are_frozen_stay_as_they_are(folder: Path) -> None:
    made = load(folder)
    made.threads = 1
    words = made.model.get_input_embeddings().weight
    before = words.detach().clone()
    train(made, made.tagger.tagged(toy_notes(8), TYPES), EncoderTraining(2, 4, 1e-2), 1)
    assert torch.equal(words, before)


def test_that_a_text_never_has_more_places_than_a_roberta_leaves_for_it(tmp_path: Path) -> None:
    """Its first place is the one behind the padding's number; the tokenizer knows no longest text."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(resource("demo_model"), local_files_only=True)
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=66,
        pad_token_id=tokenizer.pad_token_id,
    )
    path = tmp_path / "roberta"
    transformers.RobertaModel(config, add_pooling_layer=False).save_pretrained(path)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(path)
    made = load(path)
    made.threads = 1
    assert made.max_tokens == 66 - 1 - tokenizer.pad_token_id
    notes = [note("x " * words) for words in range(50, 80)]
    assert max(map(len, made.tagger.tagged(notes, TYPES))) == made.max_tokens
    assert evaluate(made, notes, TYPES).units == sum(range(50, 80))


def test_that_a_folder_which_is_no_encoder_is_told(folder: Path, tmp_path: Path) -> None:
    with told_as("elsewhere"):
        load(tmp_path / "elsewhere")
    (folder / "config.json").write_text('{"model_type": "t5"}', encoding="utf-8")
    with told_as("The encoder in .* cannot be loaded"):
        load(folder)


def test_that_a_folder_without_some_of_its_weights_is_told(folder: Path) -> None:
    import safetensors.torch

    (path,) = weight_files(folder)
    weights = safetensors.torch.load_file(path)
    safetensors.torch.save_file({k: v for k, v in weights.items() if "layer.0.output" not in k}, path)
    with told_as("lacks the weights bert.encoder.layer.0.output.* and others"):
        load(folder)
