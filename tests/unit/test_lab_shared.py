# SPDX-License-Identifier: Apache-2.0
"""Shared notes with wrong labels, or of a corpus that no site has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import pytest

from fedmed_desktop.clinical import Note
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation.spec import FederationSpec, SharedEntity, SharedNote
from fedmed_desktop.lab.cell import BaseFacts, CellRun
from fedmed_desktop.lab.cells import cells
from fedmed_desktop.lab.choices import SharedSettings
from fedmed_desktop.lab.corpora import Corpora, LabNote, read_corpora
from fedmed_desktop.lab.engines import Engine
from fedmed_desktop.lab.partition import LabSite
from fedmed_desktop.lab.shared import drawn, shared_as, with_wrong_labels
from tests.parts.lab import experiment

WORDS = "aspirin and ibuprofen for pain in both knees since last Monday"
ASPIRIN = SharedEntity(start=0, end=7, type="drug")
PAIN = SharedEntity(start=26, end=30, type="problem")
NOTES = tuple(SharedNote(text=f"{WORDS} {number}", entities=(ASPIRIN, PAIN)) for number in range(200))


def test_that_each_mention_is_wrong_by_the_chance_asked_for() -> None:
    spoilt = with_wrong_labels(NOTES, 0.5, 1)
    assert [note.text for note in spoilt] == [note.text for note in NOTES]
    left = [len(note.entities) for note in spoilt]
    assert sum(left) / 400 == pytest.approx(0.75, abs=0.06), "half of the wrong ones are dropped"
    right = sum(one in (ASPIRIN, PAIN) for note in spoilt for one in note.entities)
    assert right / 400 == pytest.approx(0.5, abs=0.06)


def test_that_a_moved_mention_is_a_word_that_nothing_marked() -> None:
    wrong = with_wrong_labels(NOTES, 1.0, 1)
    moved = [(note.text, one) for note in wrong for one in note.entities]
    assert moved and all(text[one.start : one.end].isalnum() for text, one in moved)
    assert not {"aspirin", "pain"} & {text[one.start : one.end] for text, one in moved}
    assert Counter(one.type for _, one in moved).keys() == {"drug", "problem"}
    for note in wrong:
        assert len({one.start for one in note.entities}) == len(note.entities), "no two on the same word"


def test_that_labels_are_the_same_every_time_and_those_of_fewer_notes_are_the_first_ones_of_more() -> None:
    spoilt = with_wrong_labels(NOTES, 0.5, 1)
    assert with_wrong_labels(NOTES[:5], 0.5, 1) == spoilt[:5] and with_wrong_labels(NOTES, 0.5, 2) != spoilt
    assert with_wrong_labels(NOTES, 0.0, 1) == NOTES


def stranger(number: int) -> LabNote:
    entities = [{"id": "T1", "start": 0, "end": 7, "type": "drug", "text": "aspirin"}]
    note = Note.model_validate({"id": f"n{number}", "text": f"aspirin {number}", "entities": entities})
    return LabNote(note, "own", f"g{number}", ("drug", "problem"))


def test_that_notes_from_elsewhere_take_the_place_of_the_usual_ones() -> None:
    notes = [stranger(number) for number in range(30)]
    there = shared_as(SharedSettings(elsewhere=True), NOTES[:5], notes, 1)
    assert len(there) == 5 and all(note.text.startswith("aspirin ") and note.entities for note in there)
    assert drawn(notes, 20, 1)[:5] == there != drawn(notes, 5, 2)
    assert shared_as(SharedSettings(), NOTES[:5], notes, 1) == NOTES[:5]
    with pytest.raises(UserFacingError) as caught:
        drawn(notes, 31, 1)
    assert caught.value.code == "lab.few_elsewhere" and caught.value.params["corpus"] == "own"


def test_that_a_corpus_for_shared_notes_and_methods_that_take_from_it_go_together() -> None:
    plus = {"method": {"name": "fed_medlora_plus"}, "shared": {"elsewhere": True}}
    chosen = experiment(methods=[plus], shared_corpus={"name": "maccrobat"})
    assert [corpus.name for corpus in chosen.elsewhere] == ["maccrobat"]
    for wrong in ({"methods": [plus]}, {"shared_corpus": {"name": "maccrobat"}}):
        with pytest.raises(ValueError, match="go together"):
            experiment(**wrong)


def test_that_experiments_without_them_keep_their_results() -> None:
    told = experiment().model_dump(mode="json")
    assert "shared_corpus" not in told and "shared" not in told["methods"][0]


class Opened(Exception):
    """The end of a cell, with what its engine was given."""


class Opening:
    """An engine that goes no further than the specification."""

    def open(self, spec: FederationSpec, sites: Sequence[LabSite], elsewhere: Sequence[LabSite] = ()) -> None:
        raise Opened(spec)


def test_that_each_method_is_given_the_notes_that_it_asks_for() -> None:
    name = {"name": "fed_medlora_plus"}
    asked: list[dict[str, Any]] = [{}, {"wrong": 1.0}, {"elsewhere": True}]
    methods = [{"method": name, "label": str(number), "shared": shared} for number, shared in enumerate(asked)]
    chosen = experiment(methods=methods, shared_corpus={"name": "maccrobat"})
    corpora = Corpora(read_corpora(experiment(), None).notes, {"maccrobat": [stranger(n) for n in range(9)]})
    run = CellRun(chosen, corpora, BaseFacts("b" * 64, {"layer": (4, 4)}, 100), cast(Engine, Opening()))
    found = []
    for cell in cells(chosen):
        with pytest.raises(Opened) as caught:
            run.run(cell)
        found.append(caught.value.args[0].shared_notes)
    usual, wrong, elsewhere = found
    assert [note.text for note in usual] == [note.text for note in wrong]
    assert not {(n.text, e) for n in usual for e in n.entities} & {(n.text, e) for n in wrong for e in n.entities}
    assert len(elsewhere) == 5 and all(note.text.startswith("aspirin ") for note in elsewhere)
