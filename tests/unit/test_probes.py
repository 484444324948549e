# SPDX-License-Identifier: Apache-2.0
"""Probes of what an update may reveal: what they count, that they are bounded and seeded, and when they stop."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedmed_desktop.clinical import Note, SiteNotes
from fedmed_desktop.clinical.checking.identifiers import identifier_spans
from fedmed_desktop.federation.probes import Probing, light
from fedmed_desktop.federation.work import Control, Stopped
from fedmed_desktop.lora import Adapter
from fedmed_desktop.lora.base_model import decoder_linears
from tests.parts.probing import bundled_notes
from tests.parts.training import NOTES, SETTINGS, plan_of, random_adapter, train

if TYPE_CHECKING:
    from fedmed_desktop.clinical.tasks import Entities
    from fedmed_desktop.training.base import BaseModel
    from fedmed_desktop.training.batches import Encoder
    from fedmed_desktop.training.generation import Request, generate
    from fedmed_desktop.training.probes.budget import Budget
    from fedmed_desktop.training.probes.canaries import ALTERNATIVES, _canary, exposures, plant
    from fedmed_desktop.training.probes.intervals import auc, auc_interval, hits_at, mean_interval, wilson
    from fedmed_desktop.training.probes.membership import membership
    from fedmed_desktop.training.probes.rare_strings import invented_like, rare_strings
    from fedmed_desktop.training.probes.reader import Reader
    from fedmed_desktop.training.probes.recall import PREFIX, recall, runs
    from fedmed_desktop.training.probes.sample import Item, items, matched, seen
    from fedmed_desktop.training.starting import SiteAdapters
    from fedmed_desktop.training.trainer import SiteTrainer

LONG = "The patient was seen in the clinic today and feels much better than at the last visit, with no new complaints."
REAL = bundled_notes()
MANY = SiteNotes(REAL[:40], REAL[1000:1040], None)
LEARNING = SETTINGS.model_copy(update={"steps": 50, "learning_rate": 1e-2})


@pytest.fixture(scope="module")
def start(tiny_model: Path) -> Adapter:
    return Adapter.initial(decoder_linears(tiny_model), rank=4, scale=2.0, seed=1)


@pytest.fixture
def reader(base: BaseModel, start: Adapter, tiny_model: Path) -> Reader:
    """The model with a random update, and without it."""
    other = random_adapter(decoder_linears(tiny_model), 4, 3, 0.3)
    return Reader(base, SiteAdapters(other), SiteAdapters(start), 512)


def trainer_of(base: BaseModel, notes: SiteNotes = MANY, **settings: object) -> SiteTrainer:
    probing = Probing.model_validate({"least_seconds": 60.0} | settings)
    return SiteTrainer(base, "Riverside", notes, (), score_on="loss", probing=lambda: probing)


def test_that_a_run_of_right_guesses_is_what_the_model_writes_by_itself(base: BaseModel, reader: Reader) -> None:
    (item,) = Encoder(base.tokenizer, ()).encode([Note(id="a", text=LONG)], 512).items
    base.lora.attach(reader._after.shared)
    tokens = (*item.prompt, *item.answer)
    (written,) = generate(base, [Request(tokens[:PREFIX], 40)])
    # A text of which the model itself writes the rest: beyond its beginning every guess is right.
    own = replace(item, prompt=tokens[:1], answer=(*tokens[1:PREFIX], *written, item.answer[-1]))
    (read,) = reader.after([own], "all", Budget(60, Control()))
    assert read.right[PREFIX - 1 : -1].all() and len(written) > 10
    ((after, before),) = reader.both([own], "all", Budget(60, Control()))
    beyond, longest = runs(after, before)
    assert longest == len(written)
    alone = [*before.right[PREFIX - 1 : -1].tolist(), False].index(False)
    assert beyond >= longest - alone > 0, "less what it writes there without this round"


def test_that_losses_are_those_of_the_evaluation(base: BaseModel, reader: Reader) -> None:
    trainer = trainer_of(base)
    examples = trainer.examples("validation", SETTINGS)
    base.lora.attach(reader._after.shared)
    expected = trainer._evaluator.loss(examples, "answer", lambda: None)
    read = reader.after(examples.items, "answer", Budget(60, Control()))
    assert len(read) == len(examples.items)
    assert np.concatenate([one.losses for one in read]).mean() == pytest.approx(expected, rel=1e-5)


def test_that_measures_are_what_they_are_called() -> None:
    members, others = np.array([3.0, 2.0, 1.0]), np.array([2.0, 0.0, -1.0])
    assert auc(members, others) == pytest.approx(7.5 / 9)
    assert auc(others, members) == pytest.approx(1.5 / 9)
    rng = np.random.default_rng(0)
    left, right = rng.normal(0, 1, 300), rng.normal(0, 1, 300)
    low, high = auc_interval(left, right, list(range(300)), list(range(300)), 0)
    assert low < auc(left, right) < high and 0.07 < high - low < 0.12, "about 1.96 times 2 times 1 / sqrt(6 * 300)"
    wide = auc_interval(left, right, [i // 30 for i in range(300)], [i // 30 for i in range(300)], 0)
    assert wide != (low, high), "notes of one document are drawn together"
    assert hits_at(np.arange(100.0) + 50, np.arange(100.0), 0.01) == pytest.approx(0.51)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)  # Wilson 1927, as in every table
    assert wilson(10, 20) == pytest.approx((0.2993, 0.7007), abs=1e-4)


def test_that_only_what_was_trained_on_in_this_round_counts(base: BaseModel) -> None:
    trainer = trainer_of(base)
    examples = trainer.examples("train", SETTINGS)
    times = seen(examples, SETTINGS, 11, 6)
    assert sum(times.values()) == 6 * 4 and len(times) == 24 < len(examples.items)


def test_that_held_out_notes_are_matched_for_task_and_length(base: BaseModel) -> None:
    encoder = Encoder(base.tokenizer, [Entities(("drug",))])
    pool = items(encoder.encode(NOTES.train, 384))
    wanted = items(encoder.encode(NOTES.validation, 384))
    mates = matched(wanted, pool)
    pairs = [(one, mate) for one, mate in zip(wanted, mates, strict=True) if mate is not None]
    assert len(pairs) == len(wanted) and len({id(mate) for _, mate in pairs}) == len(pairs)
    assert all(abs(len(one.example) - len(mate.example)) <= 0.2 * len(one.example) for one, mate in pairs)
    assert matched([Item(wanted[0].example, "codes")], pool) == [None]
    longer = replace(wanted[0].example, answer=wanted[0].example.answer * 9)
    assert matched([Item(longer, "entities")], pool) == [None]


@pytest.mark.slow
def test_that_a_round_brings_its_probes_and_the_same_round_the_same(
    base: BaseModel, start: Adapter, tmp_path: Path
) -> None:
    first = train(trainer_of(base), start, tmp_path / "1", plan_of(start, LEARNING))
    found = first.evidence.probes
    assert found is not None and found.membership is not None and found.recall is not None
    assert found.missing == {"rare": "none_found", "canaries": "off"}
    assert found.membership.trained == found.membership.held_out >= 20
    assert light("membership", found, found.limits) == "red", "each of forty notes was seen five times"
    again = train(trainer_of(base), start, tmp_path / "2", plan_of(start, LEARNING)).evidence.probes
    assert again is not None and again.model_copy(update={"seconds": found.seconds}) == found
    plain = SiteTrainer(base, "Riverside", MANY, (), score_on="loss")
    without = train(plain, start, tmp_path / "3", plan_of(start, LEARNING))
    assert without.evidence.probes is None
    assert without.blobs == first.blobs, "probes change nothing"
    leaves = [
        one.update.model_copy(update={"report": one.update.report.model_copy(update={"seconds": 0.0})})
        for one in (first, without)
    ]
    assert leaves[0] == leaves[1], "and no number of theirs is in what leaves"


def test_that_too_few_notes_or_too_little_time_are_said(base: BaseModel, start: Adapter, tmp_path: Path) -> None:
    few = train(trainer_of(base, NOTES), start, tmp_path / "few", plan_of(start)).evidence.probes
    assert few is not None and few.missing["membership"] == few.missing["recall"] == "too_few"
    hurried = trainer_of(base, least_seconds=0.0, share=0.0)
    late = train(hurried, start, tmp_path / "late", plan_of(start)).evidence.probes
    assert late is not None and late.missing["membership"] == late.missing["recall"] == "no_time"


def test_that_a_single_document_leaves_open_whether_there_is_a_leak_at_all() -> None:
    """Drawn again and again it is always the same, which is no interval."""
    members, others = np.array([0.9, 0.8, 0.1]), np.array([0.2, 0.3, 0.0])
    value = auc(members, others)
    assert auc_interval(members, others, ["a", "b", "c"], ["d"] * 3, 0) == (0.5, value)
    assert auc_interval(others, members, ["d"] * 3, ["a", "b", "c"], 0) == (1 - value, 0.5)
    assert mean_interval(np.array([2.0, 3.0]), ["a", "a"], 0) == (0.0, 2.5)
    low, high = mean_interval(np.array([2.0, 3.0]), ["a", "b"], 0)
    assert 2.0 <= low < 2.5 < high <= 3.0


def test_that_notes_unlike_each_other_are_too_few_and_no_want_of_time(base: BaseModel, reader: Reader) -> None:
    """No held-out note is nearly as long as a trained one, and none is long enough for a run."""
    encoder = Encoder(base.tokenizer, ())
    short = items(encoder.encode([Note(id=f"s{n}", text="Well now.") for n in range(12)], 384))
    long = items(encoder.encode([Note(id=f"l{n}", text=LONG) for n in range(12)], 384))
    budget = Budget(60, Control())
    assert membership(reader, long, short, "all", 0, budget) == "too_few"
    assert recall(reader, encoder, [one.note for one in short], [one.note for one in long], budget) == "too_few"
    assert membership(reader, long, long, "all", 0, Budget(0, Control())) == "no_time"


def test_that_probes_stop_and_that_a_pause_takes_nothing_of_their_time(reader: Reader) -> None:
    control = Control()
    budget = Budget(60, control)
    control.stop()
    with pytest.raises(Stopped):
        reader.after([], "all", budget.part(0.5)) or budget.check()
    waits = Budget(5.0, _Paused())
    waits.check()
    assert waits.left > 4.9 and waits.used < 0.1
    waits.part(0.5).part(0.5).check()
    assert waits.left > 4.9 and waits.used < 0.1, "nor a pause in a part of it, of which the next probes have the rest"


class _Paused(Control):
    """Blocks for a moment at each look."""

    def check(self) -> None:
        import time

        time.sleep(0.2)


def test_that_memory_bounds_what_is_read_at_once(base: BaseModel, start: Adapter) -> None:
    little = Reader(base, SiteAdapters(start), SiteAdapters(start), 1)
    assert 1 <= little.most_tokens < 64 < Reader(base, SiteAdapters(start), SiteAdapters(start), 512).most_tokens


def test_that_rare_strings_are_compared_with_invented_ones_of_their_form(base: BaseModel, reader: Reader) -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    text = "Patient: Mary Kowalski. MRN: 48213377. Call 617-555-0134 for results."
    invented = invented_like(text, rng)
    assert invented != text and len(invented) == len(text)
    assert [c.isdigit() for c in invented] == [c.isdigit() for c in text]
    assert [c.isupper() for c in invented] == [c.isupper() for c in text]
    spans = identifier_spans(text)
    assert [text[a:b].strip(": ") for a, b in spans] == ["Mary Kowalski", "48213377", "617-555-0134"]
    encoder = Encoder(base.tokenizer, ())
    found = rare_strings(reader, encoder, [Note(id="a", text=text)], 0, Budget(60, Control()))
    assert not isinstance(found, str) and found.strings == 3 and found.low <= found.relative <= found.high
    assert found.relative == pytest.approx(found.ratio / found.made_up, rel=1e-6)
    assert rare_strings(reader, encoder, [Note(id="a", text=LONG)], 0, Budget(60, Control())) == "none_found"


@pytest.mark.slow
def test_that_planted_records_are_trained_on_and_counted_in_nothing_that_leaves(
    base: BaseModel, start: Adapter, tmp_path: Path
) -> None:
    plain = train(trainer_of(base), start, tmp_path / "1", plan_of(start, LEARNING))
    settings = LEARNING.model_copy(update={"steps": 60})
    planted = train(trainer_of(base, canaries=True), start, tmp_path / "2", plan_of(start, settings))
    found = planted.evidence.probes
    assert found is not None and found.canaries and "canaries" not in found.missing
    assert sum(one.records for one in found.canaries) == 6
    assert all(0 <= one.exposure <= one.most == 6.0 and one.low <= one.high for one in found.canaries)
    assert (planted.update.report.notes, planted.update.report.supervised_tokens) == (
        plain.update.report.notes,
        plain.update.report.supervised_tokens,
    )


def test_that_looking_for_what_to_read_ends_with_the_time_too_and_stops(
    base: BaseModel, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of thousands of long notes, and where there was no time nobody says that there was nothing to find."""
    looked: list[str] = []
    module = "fedmed_desktop.training.probes.rare_strings.identifier_spans"

    def looks(text: str) -> list[tuple[int, int]]:
        looked.append(text)
        time.sleep(0.001)  # whatever the computer
        return identifier_spans(text)

    monkeypatch.setattr(module, looks)
    encoder = Encoder(base.tokenizer, ())
    notes = [Note(id=str(number), text=f"{LONG} Record 4711{number:05}.") for number in range(5000)]
    assert rare_strings(reader, encoder, notes, 0, Budget(0, Control())) == "no_time" and not looked
    rare_strings(reader, encoder, notes, 0, Budget(0.1, Control()))
    assert len(looked) < 500
    assert recall(reader, encoder, notes, notes, Budget(0, Control())) == "no_time"
    stopped = Control()
    stopped.stop()
    for look in (
        lambda: rare_strings(reader, encoder, notes, 0, Budget(60, stopped)),
        lambda: recall(reader, encoder, notes, notes, Budget(60, stopped)),
    ):
        with pytest.raises(Stopped):
            look()


def test_that_exposure_is_by_rank_among_alternatives(base: BaseModel, reader: Reader) -> None:
    encoder = Encoder(base.tokenizer, ())
    examples, planted = plant(base.tokenizer, encoder, encoder.encode(NOTES.train, 384), 5)
    assert [len(one.places) for one in planted] == [1, 1, 4, 4, 16, 16]
    assert len(examples.items) == len(NOTES.train) + 42 and len({one.secret for one in planted}) == 6
    times = seen(examples, SETTINGS, 1, 40)
    found = exposures(reader, encoder, planted, times, 0, Budget(60, Control()))
    assert ALTERNATIVES == 63 and all(0 <= one.exposure <= 6 for one in found)
    mean = sum(one.exposure * one.records for one in found) / 6
    assert mean < 3.5, "a model that never saw them ranks them anywhere: 1.4 bits on average"


@pytest.mark.parametrize("ranks", [[0, 63], [5, 50], [0, 0], [63, 63], [0, 20], [7]])
def test_that_the_exposure_of_records_lies_within_its_interval(ranks: list[int]) -> None:
    """Records that are known unequally well too: one interval of all their alternatives would be about another mean."""
    found = _canary(4, ranks)
    assert 0 <= found.low <= found.exposure <= found.high <= found.most + 1e-9
    assert found.high - found.low < 2.5
