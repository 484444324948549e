# SPDX-License-Identifier: Apache-2.0
"""The check of notes says what there is, what cannot be used and where, and never a note's words."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.clinical import Note, RelationRule, read_notes_folder
from fedmed_desktop.clinical.checking import Checked, NotesCheck, check_notes
from fedmed_desktop.clinical.checking.splitting import assigned, write_split
from fedmed_desktop.clinical.prompts import AnswerForm
from fedmed_desktop.clinical.readers import Record
from fedmed_desktop.scores import TaskName
from fedmed_desktop.wording.notes_check import point_line, verdict
from tests.parts.told import told_as

RANDOM = random.Random(3)
WORDS = [f"word{number}" for number in range(5000)]
SECRET = "Zyxwvut"


@dataclass(frozen=True)
class Wishes:
    """What a specification says of notes."""

    name: str = "North"
    tasks: tuple[TaskName, ...] = ("entities",)
    types: tuple[str, ...] = ("drug", "problem")
    modifiers: tuple[str, ...] = ()
    answer_form: AnswerForm = "html"


def row(name: str, text: str, *mentions: tuple[str, str], **more: object) -> str:
    entities = [
        {"id": f"T{n}", "start": text.index(word), "end": text.index(word) + len(word), "type": kind, "text": word}
        for n, (word, kind) in enumerate(mentions)
    ]
    return json.dumps({"id": name, "text": text, "entities": entities, **more})


def prose(words: int = 40) -> str:
    return " ".join(RANDOM.choices(WORDS, k=words))


def checked(path: Path, text: str, **asked: object) -> Checked:
    path.write_text(text, "utf-8")
    return check_notes(path, **asked)  # type: ignore[arg-type]


def codes(check: NotesCheck) -> dict[str, str]:
    return {point.code: point.level for point in check.points}


MIXED = "\n".join(
    [
        row("a", "Aspirin for pain.", ("Aspirin", "drug"), ("pain", "problem"), patient="P1", specialty="Pain"),
        row("b", f"{SECRET} had no pain. MRN: 00441122", ("pain", "problem"), patient="P1"),
        "{not json",
        row("c", "Coded.", codes=["I10", "E11.9"], patient="P2"),
        row("a", "The id again."),
        row("d", "Asked?", question="Yes?", options=["yes", "no"], answer=0),
        row("e", "Long talk.", summary=f"{SECRET} in short, j@example.org", unknown_key=1),
        json.dumps({"id": "f", "text": "  "}),
        row("g", "Nothing here."),
    ]
)


def test_that_the_check_counts_all_and_names_every_row_that_cannot_be_used(tmp_path: Path) -> None:
    check = checked(tmp_path / "notes.jsonl", MIXED).check
    assert (check.files, check.notes, check.refused, check.usable) == (1, 6, 3, False)
    assert sum(check.formats.values()) == 9
    refusals = {one.code: [(place.file, place.row) for place in one.places] for one in check.remarks[:3]}
    assert refusals == {
        "malformed": [("notes.jsonl", 3)],
        "empty_text": [("notes.jsonl", 8)],
        "repeated_id": [("notes.jsonl", 5)],
    }
    labels = check.labels
    assert labels.notes == {"entities": 6, "codes": 1, "questions": 1, "summaries": 1} and labels.unlabelled == 0
    assert labels.entities == {"problem": 2, "drug": 1} and labels.codes == {"I10": 1, "E11.9": 1}
    assert (labels.patients, labels.specialties) == (2, {"Pain": 1})
    assert (check.characters.least, check.characters.most) == (6, 34)
    assert [one.what for one in check.remarks if one.code == "key_not_read"] == ["unknown_key"]
    assert codes(check)["notes_check.refused"] == "wrong" and verdict(check) == "These notes cannot be used yet."


def test_that_suspected_identifiers_are_told_by_row_and_no_word_of_a_note_is(tmp_path: Path) -> None:
    check = checked(tmp_path / "notes.jsonl", MIXED).check
    found = {one.kind: [place.row for place in one.places] for one in check.identifiers}
    assert found == {"record_number": [2], "email": [7]}
    said = check.model_dump_json()
    assert SECRET not in said and "Aspirin" not in said and "00441122" not in said
    assert "2" in next(point_line(p) for p in check.points if p.code == "notes_check.identifiers")


def test_that_the_check_goes_through_json_and_back(tmp_path: Path) -> None:
    check = checked(tmp_path / "notes.jsonl", MIXED, wanted=Wishes(), tokens=len, max_tokens=200).check
    assert NotesCheck.model_validate_json(check.model_dump_json()) == check


def test_that_good_notes_in_splits_have_nothing_to_look_at(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        (tmp_path / f"{split}.jsonl").write_text(row(split, f"{prose()} pain", ("pain", "problem")))
    check = check_notes(tmp_path).check
    assert check.splits == {"train": 1, "validation": 1} and check.proposed is None
    assert check.points == () and verdict(check) == "These notes can be used as they are."
    assert check_notes(tmp_path).splits == ["train", "validation"]
    (tmp_path / "validation.jsonl").unlink()
    assert codes(check_notes(tmp_path).check) == {"notes_check.split_missing": "wrong"}


def test_that_a_folder_of_files_is_read_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text(row("a", "One pain.", ("pain", "problem")))
    (tmp_path / "two.csv").write_text("note_id,note_text,ward\n1,Two pains.,B\n")
    check = check_notes(tmp_path).check
    assert (check.files, check.notes) == (2, 2) and set(check.formats.values()) == {1}
    became = {use.column: use.became for use in check.columns}
    assert became == {"note_id": "id", "note_text": "text", "ward": None}


def test_that_near_duplicates_are_counted_and_told_where_they_cross_splits(tmp_path: Path) -> None:
    text = prose(60)
    rows = [row("a", text), row("b", text.upper()), row("c", prose(60))]
    check = checked(tmp_path / "n.jsonl", "\n".join(rows)).check
    assert (check.alike.notes, check.alike.groups, check.alike.largest) == (2, 1, 2)
    assert [(one.row, other.row) for one, other in check.alike.pairs] == [(1, 2)]
    assert codes(check)["notes_check.alike"] == "warning" and check.alike.across_splits == 0
    folder = tmp_path / "site"
    folder.mkdir()
    for split, line in zip(("train", "validation"), rows, strict=False):
        (folder / f"{split}.jsonl").write_text(line)
    check = check_notes(folder).check
    assert check.alike.across_splits == 1 and "notes_check.alike_across" in codes(check)


def test_that_a_federation_s_types_and_tasks_are_measured(tmp_path: Path) -> None:
    text = row("a", "Aspirin for pain.", ("Aspirin", "Chemical"), ("pain", "Sign"), codes=["I10"])
    wanted = Wishes(tasks=("entities", "codes", "questions"))
    check = checked(tmp_path / "n.jsonl", text, wanted=wanted, types_map={"Chemical": "drug"}).check
    worth = check.federation
    assert worth and worth.tasks == {"entities": 1, "codes": 1, "questions": 0}
    assert worth.types and worth.types.entities == {"drug": 1} and worth.types.unmapped == {"Sign": 1}
    assert worth.missing_types == ("problem",)
    assert codes(check).keys() >= {"notes_check.task_missing", "notes_check.types_missing"}
    said = [point_line(point) for point in check.points]
    assert any("the task Questions" in line for line in said) and any("problem" in line for line in said)


def test_that_notes_without_a_label_for_any_task_are_no_use(tmp_path: Path) -> None:
    text = row("a", "Aspirin for pain.", ("Aspirin", "Chemical"))
    check = checked(tmp_path / "n.jsonl", text, wanted=Wishes()).check
    assert codes(check)["notes_check.no_task"] == "wrong" == codes(check)["clinical.types_unknown"]
    assert any("Found: Chemical" in point_line(point) for point in check.points)
    with told_as("types map translates Chemical to medicine"):
        check_notes(tmp_path / "n.jsonl", wanted=Wishes(), types_map={"Chemical": "medicine"})


def test_that_notes_whose_types_training_would_refuse_cannot_be_used_yet(tmp_path: Path) -> None:
    """Rows in which nothing was found are labelled too, so that there is a task; training refuses the types anyway."""
    lines = [row("a", "Aspirin for pain.", ("Aspirin", "Chemical")), row("b", "Nothing.", tasks=["entities"])]
    check = checked(tmp_path / "n.jsonl", "\n".join(lines), wanted=Wishes()).check
    assert check.federation and check.federation.tasks["entities"] == 1
    assert codes(check)["clinical.types_unknown"] == "wrong" and not check.usable
    other = row("c", "Aspirin for pain.", codes=["I10"])  # of another task, without a mention
    check = checked(tmp_path / "m.jsonl", other, wanted=Wishes(tasks=("entities", "codes"))).check
    assert codes(check)["clinical.types_unknown"] == "warning"


def test_that_relations_count_where_a_modifier_is_linked_to_a_type(tmp_path: Path) -> None:
    wanted = Wishes(tasks=("relations",), types=("drug",), modifiers=("dosage",))
    link = [{"head": "T1", "tail": "T0", "type": "MODIFY"}]
    mentions = (("Aspirin", "Chemical"), ("5 mg", "Amount"), ("pain", "Sign"))
    lines = [
        row("a", "Aspirin 5 mg for pain", *mentions, relations=link),
        row("b", "Aspirin 5 mg for pain", *mentions, relations=[{"head": "T2", "tail": "T0", "type": "MODIFY"}]),
    ]
    types_map = {"Chemical": "drug", "Amount": "dosage"}
    check = checked(tmp_path / "n.jsonl", "\n".join(lines), wanted=wanted, types_map=types_map).check
    assert check.federation and check.federation.tasks == {"relations": 1}


def test_that_notes_are_measured_with_the_base_model_s_tokens(tmp_path: Path) -> None:
    lines = [
        row("short", "Pain began."),
        row("long", "Pain began on Monday. " * 20),
        row("cut", "x" * 300, ("x" * 300, "problem")),
    ]
    fitting = checked(tmp_path / "n.jsonl", "\n".join(lines), tokens=len, max_tokens=100).check.fitting
    assert fitting and (fitting.whole, fitting.windowed, fitting.cut) == (1, 1, 1)
    assert fitting.windows == 1 + 10 + 1 and [place.row for place in fitting.cut_places] == [3]
    wanted = checked(tmp_path / "n.jsonl", "\n".join(lines), tokens=len, max_tokens=200, wanted=Wishes()).check.fitting
    assert wanted and wanted.windowed == 1 and wanted.windows > 5, "prompt and answer count in"


@given(st.lists(st.sampled_from("abcdefghijkl"), max_size=80))
def test_that_a_split_keeps_groups_whole_and_is_the_same_in_any_order(groups: list[str]) -> None:
    splits = assigned(groups)
    of = dict(zip(groups, splits, strict=True))
    assert [of[group] for group in groups] == splits
    assert dict(zip(reversed(groups), assigned(groups[::-1]), strict=True)) == of
    different = len(set(groups))
    assert ("train" in splits) == (different > 0)
    assert ("validation" in splits) == (different > 1) and ("test" in splits) == (different > 2)


def test_that_shares_are_80_10_10() -> None:
    splits = assigned([f"n {number}" for number in range(1000)])
    assert [splits.count(split) for split in ("train", "validation", "test")] == [800, 100, 100]


def test_that_a_proposed_split_parts_neither_patients_nor_near_duplicates_and_can_be_written(tmp_path: Path) -> None:
    copy = prose(60)
    lines = [row(f"n{n}", prose(), patient=f"P{n // 3}", document=f"D{n}") for n in range(60)]
    lines += [row("x", copy), row("y", copy.title()), row("x2", "", question="Is it?", options=["a", "b"], answer=0)]
    done = checked(tmp_path / "n.jsonl", "\n".join(lines[:62]))
    assert done.check.proposed and done.check.proposed.by == "patient" and done.check.proposed.groups == 21
    assert all(len(set(done.splits[at : at + 3])) == 1 for at in range(0, 60, 3))
    assert done.splits[60] == done.splits[61]
    counts = done.write_split(tmp_path / "site")
    notes = read_notes_folder(tmp_path / "site")
    assert counts == {"train": len(notes.train), "validation": len(notes.validation), "test": len(notes.test or [])}
    assert sum(counts.values()) == 62 and notes.train[0].patient is not None
    assert codes(check_notes(tmp_path / "site").check).keys() <= {"notes_check.alike", "notes_check.unlabelled"}
    with told_as("already has a train.jsonl"):
        done.write_split(tmp_path / "site")


def test_that_notes_of_one_id_in_two_files_are_told_apart_when_written(tmp_path: Path) -> None:
    notes = [Record(f"{n}.jsonl", 1, Note(id="same", text=f"Text {n}")) for n in range(3)]
    write_split(notes, ["train", "train", "validation"], tmp_path)
    found = read_notes_folder(tmp_path)
    assert [note.id for note in found.train] == ["same", "same~2"]
    assert (tmp_path / "train.jsonl").stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.jsonl", "validation.jsonl"]


def test_that_no_notes_and_a_single_group_are_no_use(tmp_path: Path) -> None:
    one = "\n".join(row(str(n), prose(), ("word", "x"), patient="P") for n in range(3))
    assert codes(checked(tmp_path / "n.jsonl", one).check)["notes_check.one_group"] == "wrong"
    none = checked(tmp_path / "n.jsonl", "{}\n[]\n").check
    assert codes(none) == {"notes_check.no_notes": "wrong", "notes_check.refused": "wrong"}


def test_that_progress_is_told(tmp_path: Path) -> None:
    rows: list[int] = []
    told: Callable[[int], None] = rows.append
    checked(tmp_path / "n.jsonl", MIXED, progress=told)
    assert rows == list(range(1, 10))


@pytest.mark.parametrize("name", ["missing.jsonl", "notes.docx"])
def test_that_what_cannot_be_read_at_all_is_told_as_ever(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.docx").write_bytes(b"PK\x03\x04 no notes")
    with told_as("does not exist|No format fits"):
        check_notes(tmp_path / name)


def test_that_modifiers_have_a_place_and_relations_follow_their_map(tmp_path: Path) -> None:
    mentions = (("Aspirin", "Chemical"), ("100 mg", "Dosage"), ("daily", "Rate"))
    relations = [{"head": "T0", "tail": "T1", "type": "has_dosage"}]
    lines = [row(str(n), "Aspirin 100 mg daily.", *mentions, relations=relations) for n in range(2)]
    wanted = Wishes(tasks=("entities", "relations"), types=("drug",), modifiers=("dosage", "frequency"))
    types_map = {"Chemical": "drug", "Dosage": "dosage"}
    asked: dict[str, object] = {"wanted": wanted, "types_map": types_map}
    worth = checked(tmp_path / "n.jsonl", "\n".join(lines), **asked).check.federation
    assert worth and worth.types and worth.tasks == {"entities": 2, "relations": 2}
    assert (worth.types.unmapped, worth.types.relations) == ({"Rate": 2}, {"dosage": 2})
    other = {"has_frequency": RelationRule(modifier="tail")}
    worth = checked(tmp_path / "n.jsonl", "\n".join(lines), **asked, relations_map=other).check.federation
    assert worth and worth.tasks == {"entities": 2, "relations": 0}


def test_that_each_task_that_a_note_is_labelled_for_is_measured(tmp_path: Path) -> None:
    line = row("a", "Pain began.", ("Pain", "problem"), summary="word " * 300)
    asked: dict[str, object] = {"tokens": len, "max_tokens": 500}
    alone = checked(tmp_path / "n.jsonl", line, wanted=Wishes(), **asked).check.fitting
    assert alone and (alone.whole, alone.cut) == (1, 0)
    both = checked(tmp_path / "n.jsonl", line, wanted=Wishes(tasks=("entities", "summaries")), **asked).check.fitting
    assert both and (both.whole, both.cut) == (0, 1)


def test_that_the_types_map_goes_with_a_split_that_is_written(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "types.toml").write_text('[types.map]\nSign = "problem"\n')
    done = checked(tmp_path / "notes" / "n.jsonl", "\n".join(row(str(n), prose()) for n in range(5)))
    done.write_split(tmp_path / "site")
    assert (tmp_path / "site" / "types.toml").read_text() == '[types.map]\nSign = "problem"\n'
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "types.toml").write_text("own")
    done.write_split(tmp_path / "other")
    assert (tmp_path / "other" / "types.toml").read_text() == "own"


def test_that_labelled_notes_are_in_every_part_of_a_split_and_the_others_are_trained_on() -> None:
    groups = [f"n {number}" for number in range(400)]
    labels: list[tuple[TaskName, ...]] = [("entities",) if n % 40 == 0 else () for n in range(400)]
    splits = assigned(groups, labels)
    held = [(split, label) for split, label in zip(splits, labels, strict=True) if split != "train"]
    assert sorted(held) == [("test", ("entities",)), ("validation", ("entities",))]
    labels = [("entities", "codes") if n < 3 else ("entities",) for n in range(400)]
    splits = assigned(groups, labels)
    assert sorted(splits[:3]) == ["test", "train", "validation"]
    assert [splits.count(split) for split in ("validation", "test")] == [40, 40]
    assert assigned(groups[:3], [("entities",), (), ()]) == assigned(groups[:3])
    assert "validation" in assigned(["a", "b"], [("entities",), ("codes",)])
