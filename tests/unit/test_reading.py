# SPDX-License-Identifier: Apache-2.0
"""One note read by a tiny real model: the same entities as the batch path finds, told while they come, stopped at once.

The tiny model is random and marks nothing up: an adapter is trained on one note, or the answer is scripted in tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fedmed_desktop.clinical import Entity, Note, Reading, ReadingSettings, SiteNotes, Span, parse_answer, split_note
from fedmed_desktop.clinical.tasks import Entities
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation.plan import Plan, TrainingSettings
from fedmed_desktop.federation.work import Control, Given, Stopped
from fedmed_desktop.lora import Adapter, Module
from fedmed_desktop.lora.base_model import decoder_linears
from tests.parts.told import told_as

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.training import reading as reading_module
    from fedmed_desktop.training.asking import Sides
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder
    from fedmed_desktop.training.generation import Request, TokenText, answer_limit, generate, stream
    from fedmed_desktop.training.preparation import LoadedBase
    from fedmed_desktop.training.reading import TURN_TOKENS, NoteReader
    from fedmed_desktop.training.trainer import SiteTrainer


TYPES = ("drug", "problem")
TEXT = "Aspirin was given for pain."
SMALL = ReadingSettings(max_tokens=200, max_new_tokens=40)


@pytest.fixture(scope="module")
def reader(loaded: LoadedBase) -> NoteReader:
    return NoteReader(loaded)


@pytest.fixture
def base(loaded: LoadedBase) -> BaseModel:
    return loaded.get()


@pytest.fixture(scope="module")
def adapter(tiny_model: Path) -> Adapter:
    rng = np.random.default_rng(0)

    def factor(*shape: int) -> Any:
        return rng.normal(0, 0.3, shape).astype(np.float32)

    return Adapter({n: Module(factor(d, 3), factor(3, k), 1.5) for n, (d, k) in decoder_linears(tiny_model).items()})


def replies(base: BaseModel, monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], str]) -> None:
    """Lets the model's place be taken by an answer as a function of the window's prompt; its tokens stay real."""

    def scripted(_: BaseModel, request: Request, *, check: Callable[[], None]) -> Iterator[int]:
        prompt = base.tokenizer.decode(request.prompt)
        text = prompt[prompt.index("### Input: ") + len("### Input: ") : prompt.index("\n### Output: ")]
        for token in base.tokenizer(answer(text), add_special_tokens=False)["input_ids"][: request.limit]:
            check()
            yield token

    monkeypatch.setattr(reading_module, "stream", scripted)


def marking(*words: str) -> Callable[[str], str]:
    def answer(text: str) -> str:
        for word in words:
            text = text.replace(word, f'<span class="drug">{word}</span>')
        return text

    return answer


def words(reading: Reading, text: str) -> list[str]:
    return [text[span.start : span.end] for span in reading.spans]


@pytest.mark.parametrize("form", ["html", "json"])
@pytest.mark.parametrize("with_adapter", [False, True])
def test_that_a_reading_has_the_tokens_and_the_entities_of_the_batch_path(
    reader: NoteReader, base: BaseModel, adapter: Adapter, form: Any, with_adapter: bool
) -> None:
    chosen = adapter if with_adapter else None
    seen: list[Reading] = []
    end = reader.read(TEXT, TYPES, chosen, form, SMALL, seen.append)
    base.lora.detach()
    if chosen:
        base.lora.attach(chosen)
    encoder = Encoder(base.tokenizer, [Entities(TYPES, form)])
    prompt = encoder.prompt(TEXT)
    (tokens,) = generate(base, [Request(prompt, answer_limit(base, encoder.length(TEXT), len(prompt), 40))])
    answer = base.tokenizer.decode(tokens, skip_special_tokens=True)
    assert end.tokens == len(tokens) > 1
    assert list(end.spans) == parse_answer(answer, TEXT, TYPES, form)
    assert end.state == "finished" and end.characters == end.length == len(TEXT)
    assert end.cut_short == (len(tokens) == 40)
    assert [r.tokens for r in seen] == [*range(len(tokens) + 1), len(tokens), len(tokens)]
    assert seen[-1] == end
    assert end.first_token_seconds is not None and end.tokens_per_second is not None
    assert 0 < end.first_token_seconds < end.seconds


def test_that_a_trained_adapter_finds_its_entities(
    reader: NoteReader, base: BaseModel, tiny_model: Path, tmp_path: Path
) -> None:
    entity = Entity(id="T1", start=0, end=7, type="drug", text="Aspirin")
    note = Note(id="n", text="Aspirin was given.", entities=(entity,))
    settings = TrainingSettings(steps=150, batch_size=1, learning_rate=0.02, max_tokens=200, max_new_tokens=40)
    start = Adapter.initial(decoder_linears(tiny_model), rank=16, scale=2.0, seed=1)
    plan = Plan(round=1, start=start.sha256, rank=16, training=settings, seed=1)
    trainer = SiteTrainer(base, "Riverside", SiteNotes([note], [note], None), [Entities(TYPES)])
    result = trainer.train_round(plan, Given(start), tmp_path, lambda event: None, Control())
    trained = Adapter.from_blob(result.blobs["adapter"])
    seen: list[Reading] = []
    end = reader.read(note.text, TYPES, trained, "html", SMALL, seen.append)
    assert end.spans == (Span(0, 7, "drug"),)
    early = [r for r in seen if r.spans and r.state == "reading" and r.characters < r.length]
    assert early, "the entity is told before the answer ends"
    assert reader.read(note.text, TYPES, None, "html", SMALL).spans == ()


def test_that_what_a_reading_leaves_behind_changes_no_training(
    reader: NoteReader, base: BaseModel, adapter: Adapter, tiny_model: Path, tmp_path: Path
) -> None:
    note = Note(id="n", text=TEXT, entities=(Entity(id="T1", start=0, end=7, type="drug", text="Aspirin"),))
    settings = TrainingSettings(steps=3, batch_size=1, learning_rate=0.02, max_new_tokens=8)
    start = Adapter.initial(decoder_linears(tiny_model), rank=3, scale=2.0, seed=1)
    plan = Plan(round=1, start=start.sha256, rank=3, training=settings, seed=1)
    trainer = SiteTrainer(base, "Riverside", SiteNotes([note], [note], None), [Entities(TYPES)])
    trained = []
    for number, left in enumerate((None, adapter, start)):
        reader.read(TEXT, TYPES, left, settings=SMALL)
        result = trainer.train_round(plan, Given(start), tmp_path / str(number), lambda event: None, Control())
        trained.append(result.update.parts["adapter"].sha256)
        assert base.lora.read().sha256 == trained[-1]
        reader.read(TEXT, TYPES, left, settings=SMALL)
    assert len(set(trained)) == 1


def test_that_entities_are_told_as_they_come_in_the_whole_note_s_offsets(
    reader: NoteReader, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies(base, monkeypatch, marking("aspirin", "Naïve β-blockade", "日本脳炎"))
    line = "She took aspirin daily for years.\r\nNaïve β-blockade was tried; 日本脳炎 was ruled out.\r\n\r\n"
    text = "\r\n  " + line * 12
    seen: list[Reading] = []
    end = reader.read(text, TYPES, None, "html", ReadingSettings(150, 120), seen.append)
    assert words(end, text) == ["aspirin", "Naïve β-blockade", "日本脳炎"] * 12
    assert end.windows > 4 and end.window == end.windows and not end.cut_short
    for before, after in pairwise(seen):
        assert before.spans == after.spans[: len(before.spans)], "nothing is taken back"
        assert before.characters <= after.characters and before.tokens <= after.tokens
    assert {len(r.spans) for r in seen} == set(range(37)), "each is told by itself"
    assert end.characters == len(text)


def test_that_windows_overlap_unless_they_are_sentences_and_each_mention_is_told_once(
    reader: NoteReader, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies(base, monkeypatch, marking("aspirin"))
    text = "She took aspirin. " * 150
    tight = ReadingSettings(400, 300)
    overlapping, bare = (reader.read(text, TYPES, None, "html", tight, text_tokens=most) for most in (None, 70))
    assert words(overlapping, text) == words(bare, text) == ["aspirin"] * 150
    assert overlapping.tokens > bare.tokens, "what two windows have is read twice"


def test_that_windows_fit_in_tokens(reader: NoteReader, base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Request] = []

    def none(_: BaseModel, request: Request, *, check: Callable[[], None]) -> Iterator[int]:
        asked.append(request)
        return iter(())

    monkeypatch.setattr(reading_module, "stream", none)
    dense = "ÆØÅ-ξψω: 日本脳炎・肺炎、敗血症。 " * 150  # several tokens to a character
    plain = "The patient was seen again and nothing new was found. " * 300
    for text in (dense, plain, dense + plain, "x" * 9000):
        asked.clear()
        end = reader.read(text, TYPES, None, "html", ReadingSettings(200, 120))
        assert end.windows == len(asked) > 5 and end.state == "finished" and end.spans == ()
        assert all(len(r.prompt) <= 200 and len(r.prompt) + r.limit <= base.context for r in asked)
    asked.clear()
    reader.read(
        plain, TYPES, None, "html", TrainingSettings(steps=1, max_tokens=400, max_new_tokens=300), text_tokens=30
    )
    task = Entities(TYPES)
    empty = len(Encoder(base.tokenizer, [task]).prompt(task.prompt("")))
    assert max(len(r.prompt) for r in asked) <= empty + 31


@pytest.mark.parametrize(
    "answer", ["", "no", "<span class=drug>", "pain " * 500, '<span class="drug">x</span>' * 90, "\ufffd<"]
)
@pytest.mark.parametrize("form", ["html", "json"])
def test_that_a_model_that_invents_or_repeats_breaks_nothing(
    reader: NoteReader, base: BaseModel, monkeypatch: pytest.MonkeyPatch, form: Any, answer: str
) -> None:
    replies(base, monkeypatch, lambda text: answer)
    end = reader.read(TEXT * 3, TYPES, None, form, ReadingSettings(300, 200))
    assert end.state == "finished" and all(0 <= s.start < s.end <= len(TEXT) * 3 for s in end.spans)


def test_that_half_a_surrogate_pair_keeps_the_offsets(
    reader: NoteReader, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies(base, monkeypatch, marking("aspirin"))
    text = "\ud83d 😀 took aspirin"
    assert words(reader.read(text, TYPES, None, settings=SMALL), text) == ["aspirin"]


@pytest.mark.parametrize("text", ["", " ", "\r\n\t\u00a0\u2028"])
def test_that_an_empty_note_is_refused_before_the_model_is_loaded(tmp_path: Path, text: str) -> None:
    with told_as("Paste or open a note first") as caught:
        NoteReader(LoadedBase(tmp_path)).read(text, TYPES, None)
    assert caught.value.code == "clinical.note_empty"


def test_that_no_types_are_refused(reader: NoteReader) -> None:
    with told_as("Choose at least one"):
        reader.read(TEXT, (), None)


@pytest.mark.parametrize("first", [True, False])
def test_that_an_adapter_of_another_base_is_refused_by_the_module_s_name(
    reader: NoteReader, base: BaseModel, adapter: Adapter, first: bool
) -> None:
    def wider(module: Module) -> Module:
        return Module(module.B, np.pad(module.A, ((0, 0), (0, 8))), module.scale)

    name = adapter.names[0]
    unknown = Adapter({"model.layers.9.mlp.up_proj": adapter[name]})
    for other, code in [(adapter.map(wider), "training.layer_shape"), (unknown, "training.no_such_layer")]:
        if first:
            base.lora.detach()
        else:  # the same names and rank are in the slot already
            reader.read(TEXT, TYPES, adapter, settings=SMALL)
        with pytest.raises(UserFacingError) as caught:
            reader.read(TEXT, TYPES, other, settings=SMALL)
        assert caught.value.code == code and caught.value.params["name"] == other.names[0]
        assert reader.read(TEXT, TYPES, adapter, settings=SMALL).state == "finished"


@pytest.mark.parametrize("after", [0, 1, 5])
def test_that_a_stop_ends_it_before_the_next_token_and_keeps_what_was_found(
    reader: NoteReader, base: BaseModel, adapter: Adapter, after: int
) -> None:
    control = Control()
    seen: list[Reading] = []

    def progress(reading: Reading) -> None:
        seen.append(reading)
        if reading.tokens == after:
            control.stop()

    end = reader.read(TEXT, TYPES, adapter, "html", SMALL, progress, control)
    assert end.state == "stopped" and end.tokens == after
    assert seen[-1] == end
    assert reader.read(TEXT, TYPES, adapter, settings=SMALL).state == "finished", (
        "the reader goes on with the next note"
    )


def test_that_one_stopped_while_it_waits_does_not_load_the_model(tmp_path: Path) -> None:
    control = Control()
    control.stop()
    end = NoteReader(LoadedBase(tmp_path)).read(TEXT, TYPES, None, control=control)
    assert end.state == "stopped" and end.tokens == 0 and end.tokens_per_second is None


def test_that_a_long_prompt_is_stopped_between_its_parts_and_reads_the_same(base: BaseModel) -> None:
    base.lora.detach()
    prompt = Encoder(base.tokenizer, [Entities(TYPES)]).prompt(Entities(TYPES).prompt(TEXT * 20))
    request = Request(prompt, 12)
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks == 3:
            raise Stopped

    assert list(stream(base, request, prefill=16)) == list(stream(base, request)) == list(generate(base, [request])[0])
    with pytest.raises(Stopped):
        next(stream(base, request, check=check, prefill=16))


def test_that_a_model_which_reads_too_little_at_once_says_so(
    reader: NoteReader, base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base.model.config, "max_position_embeddings", 16)
    with told_as("only 16 tokens"):
        reader.read(TEXT, TYPES, None, settings=SMALL)


@pytest.mark.parametrize(
    "text", ["Naïve β-blockade 日本脳炎 😀.", "plain words, and more", " leading", "tab\tand\r\nline"]
)
def test_that_text_comes_token_by_token_with_whole_characters(base: BaseModel, text: str) -> None:
    tokens: Sequence[int] = base.tokenizer(text, add_special_tokens=False)["input_ids"]
    decoded = TokenText(base.tokenizer)
    pieces = [decoded.add(token) for token in [*tokens, base.tokenizer.eos_token_id]]
    assert "".join(pieces) == base.tokenizer.decode(tokens, skip_special_tokens=True) == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_that_bytes_which_are_no_character_do_not_hold_the_text_up(base: BaseModel) -> None:
    broken = base.tokenizer("日", add_special_tokens=False)["input_ids"][:1]
    decoded = TokenText(base.tokenizer)
    pieces = [decoded.add(token) for token in broken * 40]
    assert any(pieces)


def test_that_windows_of_a_note_without_entities_cover_its_words() -> None:
    text = " \r\n" + "Nothing new. " * 9 + "\r\n"
    windows = split_note(Note(id="n", text=text, entities=()), 40)
    assert "".join("".join(w.note.text.split()) for w in windows) == "".join(text.split())
    assert all(text[w.offset :].startswith(w.note.text) for w in windows)


def other_than(adapter: Adapter, rank: int = 3) -> Adapter:
    """The same layers, other numbers."""
    return Adapter({name: Module(-m.B[:, :rank], m.A[:rank], m.scale) for name, m in adapter.items()})


@pytest.mark.parametrize("rank", [3, 2])
def test_that_sides_read_in_turns_what_each_reads_alone(reader: NoteReader, adapter: Adapter, rank: int) -> None:
    other = other_than(adapter, rank)
    alone = [reader.read(TEXT, TYPES, one, "html", SMALL) for one in (None, adapter, other)]
    told: list[tuple[int, int]] = []
    sides = [Sides(), Sides(adapter), Sides(other)]
    found = reader.read_beside(
        TEXT, TYPES, sides, "html", SMALL, lambda number, reading: told.append((number, reading.tokens))
    )
    timeless = [(r.spans, r.tokens, r.characters, r.state, r.cut_short) for r in alone]
    assert [(r.spans, r.tokens, r.characters, r.state, r.cut_short) for r in found] == timeless
    assert all(reading.tokens > 2 * TURN_TOKENS for reading in found), "too short to tell turns apart"
    first = [number for number, tokens in told if 0 < tokens <= 2 * TURN_TOKENS]
    turn = [TURN_TOKENS * [number] for number in range(3)]
    assert first == [*chain(*turn, *turn)]


def test_that_a_side_is_timed_by_its_own_turns(
    reader: NoteReader, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1_000_000))
    monkeypatch.setattr(reading_module.time, "perf_counter", lambda: float(next(clock)))
    alone = reader.read(TEXT, TYPES, adapter, "html", SMALL)
    _, beside = reader.read_beside(TEXT, TYPES, [Sides(), Sides(adapter)], "html", SMALL)
    assert beside.tokens == alone.tokens and beside.seconds <= 1.5 * alone.seconds


def test_that_a_stop_ends_the_sides_at_work_and_leaves_what_has_ended(
    reader: NoteReader, base: BaseModel, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second answer is longer; the stop comes when the first one has ended."""
    answers = iter(["x", "y " * 30])

    def scripted(_: BaseModel, request: Request, *, check: Callable[[], None]) -> Iterator[int]:
        for token in base.tokenizer(next(answers), add_special_tokens=False)["input_ids"]:
            check()
            yield token

    monkeypatch.setattr(reading_module, "stream", scripted)
    control = Control()

    def tell(number: int, reading: Reading) -> None:
        if number == 0 and reading.state == "finished":
            control.stop()

    first, second = reader.read_beside(TEXT, TYPES, [Sides(), Sides(adapter)], "html", SMALL, tell, control)
    assert (first.state, second.state) == ("finished", "stopped")


def test_that_a_personal_and_a_frozen_adapter_act_beside_the_chosen_one(
    reader: NoteReader, base: BaseModel, adapter: Adapter
) -> None:
    nothing = adapter.map(lambda module: Module(np.zeros_like(module.B), module.A, module.scale))

    def answer(chosen: Adapter | None, **beside: Any) -> list[int]:
        reader.read(TEXT, TYPES, chosen, settings=SMALL, **beside)
        return list(
            stream(base, Request(Encoder(base.tokenizer, [Entities(TYPES)]).prompt(Entities(TYPES).prompt(TEXT)), 12))
        )

    alone, bare = answer(adapter), answer(None)
    assert alone != bare == answer(nothing)
    assert answer(nothing, personal=adapter) == answer(nothing, frozen=adapter) == alone
    assert answer(None, personal=adapter, frozen=adapter) == bare
