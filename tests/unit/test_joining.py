# SPDX-License-Identifier: Apache-2.0
"""Joining without a window: every field wrong, then right, and what is shown of the notes."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest

from fedmed_desktop.clinical import Note, SiteNotes, Span
from fedmed_desktop.desktop.join.files import look_at_notes, reach_address
from fedmed_desktop.desktop.join.form import JoinForm, look_at_address, look_at_name, site_folder
from fedmed_desktop.desktop.join.preview import LONGEST, SHOWN, preview
from fedmed_desktop.desktop.work.files import look_at_model
from fedmed_desktop.desktop.work.requests import JoinRequest
from fedmed_desktop.resources import resource
from fedmed_desktop.site.folder import carry_over
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.outbox import Outbox

MAP = '[types.map]\nChemical = "drug"\nDisease = "problem"\n'


def note(number: int, *marked: tuple[str, str], text: str = "") -> dict[str, object]:
    """A note that says each of (words, type) once, after `text`."""
    entities = []
    for words, type_name in marked:
        text += "and " if text else ""
        entities.append(
            {
                "id": f"e{len(entities)}",
                "start": len(text),
                "end": len(text) + len(words),
                "type": type_name,
                "text": words,
            }
        )
        text += f"{words} "
    return {"id": f"n{number}", "text": text or "Nothing.", "entities": entities}


def write_notes(folder: Path, *notes: dict[str, object], types_map: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    rows = "\n".join(json.dumps(row) for row in notes)
    for split in ("train", "validation"):
        (folder / f"{split}.jsonl").write_text(rows, "utf-8")
    if types_map:
        (folder / "types.toml").write_text(types_map, "utf-8")
    return folder


@pytest.mark.parametrize(
    ("typed", "word"),
    [("http://127.0.0.1:8765", "address"), ("ws://127.0.0.1", "address"), ("ws://example.org:8765", "invitation")],
)
def test_that_a_wrong_address_says_what_to_give(typed: str, word: str) -> None:
    found = look_at_address(typed)
    assert found.state == "wrong" and word in found.sentence


@pytest.mark.parametrize("typed", ["-north", "a" * 61, "north/south", "\u202e"])
def test_that_a_name_that_no_coordinator_takes_is_wrong(typed: str) -> None:
    assert look_at_name(typed).state == "wrong"


def test_that_what_is_right_says_so_and_what_is_empty_says_nothing() -> None:
    assert look_at_address(" ws://127.0.0.1:8765 ").state == look_at_name("Lakeview 2").state == "right"
    for empty in (look_at_address(""), look_at_name("  "), look_at_model("")):
        assert (empty.state, empty.sentence) == ("empty", "")


def test_that_a_model_folder_is_looked_into_but_not_read(tmp_path: Path) -> None:
    assert "There is no model folder" in look_at_model(str(tmp_path / "away")).sentence
    model = tmp_path / "model"
    shutil.copytree(resource("demo_model"), model)
    assert look_at_model(f" {model} ").sentence == "A model of 11.5 MB with 42 layers to adapt."
    weights = next(model.glob("*.safetensors"))
    weights.write_bytes(b"\xff" * 100)
    assert "damaged" in look_at_model(str(model)).sentence
    weights.unlink()
    assert "it has no model.safetensors" in look_at_model(str(model)).sentence
    (model / "tokenizer.json").unlink()
    assert "tokenizer.json" in look_at_model(str(model)).sentence


@pytest.mark.parametrize("typed", ["\0", "~nobody-of-that-name/model", "a" * 5000])
def test_that_what_is_no_path_is_told_and_never_raised(typed: str) -> None:
    assert look_at_model(typed).state == "wrong"
    look = look_at_notes(typed, typed)
    assert look.folder_verdict.state == look.map_verdict.state == "wrong"


def test_that_a_folder_of_notes_is_wrong_until_it_can_be_read(tmp_path: Path) -> None:
    away = look_at_notes(str(tmp_path / "away"), "")
    assert "There is no notes folder" in away.folder_verdict.sentence
    assert away.map_verdict.state == "empty" and away.preview is None
    folder = write_notes(tmp_path / "notes", note(1, ("aspirin", "Chemical")))
    (folder / "validation.jsonl").unlink()
    assert "validation" in look_at_notes(str(folder), "").folder_verdict.sentence
    (folder / "validation.jsonl").write_text("{}", "utf-8")
    assert "row 1" in look_at_notes(str(folder), "").folder_verdict.sentence


def test_that_types_nobody_can_know_need_a_map(tmp_path: Path) -> None:
    folder = write_notes(tmp_path / "notes", note(1, ("aspirin", "Chemical"), ("pain", "Disease")))
    look = look_at_notes(str(folder), "")
    assert look.folder_verdict.state == "right"
    assert look.map_verdict.state == "wrong" and "Chemical, Disease" in look.map_verdict.sentence
    assert look.preview is not None, "what was found is shown, so that a map can be written"
    types_map = tmp_path / "map.toml"
    types_map.write_text("not = [toml", "utf-8")
    assert "not valid TOML" in look_at_notes(str(folder), str(types_map), look).map_verdict.sentence
    types_map.write_text('[types.map]\nChemical = "drug"\n', "utf-8")
    found = look_at_notes(str(folder), str(types_map), look)
    assert found.map_verdict.sentence == "2 of 4 marked entities count."
    assert found.preview and [row.becomes for row in found.preview.types] == ["drug", "ignored"]


def test_that_another_map_does_not_mean_to_read_the_notes_again(tmp_path: Path) -> None:
    folder = write_notes(tmp_path / "notes", note(1, ("aspirin", "Chemical")), types_map=MAP)
    first = look_at_notes(str(folder), "")
    assert first.map_verdict.sentence == "From types.toml beside the notes: All 2 marked entities count."
    shutil.rmtree(folder)
    again = look_at_notes(str(folder), "", first)
    assert again.notes is first.notes
    assert look_at_notes(str(folder), "").folder_verdict.state == "wrong"
    assert look_at_notes(str(tmp_path), "", first).folder_verdict.state == "wrong", "another folder is read"


def test_that_a_type_that_may_be_the_federations_is_told_as_uncertain() -> None:
    notes = [
        Note.model_validate(note(n, ("aspirin", "drug"), ("pain", "problem"), ("x-ray", "Test"))) for n in range(2)
    ]
    found = preview(SiteNotes(notes, notes, None), {})
    assert [(row.local, row.becomes) for row in found.types] == [
        ("Test", "ignored"),
        ("drug", "drug, if the federation has it"),
        ("problem", "problem, if the federation has it"),
    ]
    assert (found.entities_kept, found.entities_ignored) == (8, 4)
    known = preview(SiteNotes(notes, notes, None), {"Test": "drug"})
    assert [row.becomes for row in known.types] == ["drug", "drug", "problem, if the federation has it"]


def test_that_three_notes_are_shown_that_have_the_most_types() -> None:
    plain = [note(n) for n in range(20)]
    drugs = [note(n, ("aspirin", "Chemical")) for n in range(20, 30)]
    both = note(30, ("aspirin", "Chemical"), ("pain", "Disease"))
    rows = [Note.model_validate(row) for row in (*plain, *drugs, both)]
    found = preview(SiteNotes(rows, rows[:1], rows[:2]), {"Chemical": "drug", "Disease": "problem"})
    assert found.splits == {"train": 31, "validation": 1, "test": 2}
    assert len(found.notes) == SHOWN
    assert found.notes[-1].text == both["text"]
    assert found.notes[-1].spans == (Span(0, 7, "drug"), Span(12, 16, "problem"))


def test_that_a_long_note_is_cut_between_entities() -> None:
    across = note(1, ("b " * 30 + "b", "Chemical"), text="word " * ((LONGEST - 20) // 5))
    after = note(2, ("aspirin", "Chemical"), text="word " * 500)
    rows = [Note.model_validate(across), Note.model_validate(after)]
    shown = preview(SiteNotes(rows, rows, None), {"Chemical": "drug"}).notes
    assert [one.text.split()[-2:] for one in shown] == [["and", "…"], ["word", "…"]]
    assert all(len(one.text) <= LONGEST + 2 and one.spans == () for one in shown)


def test_that_notes_without_any_entity_still_show() -> None:
    rows = [Note.model_validate(note(n)) for n in range(5)]
    found = preview(SiteNotes(rows, rows, None), {})
    assert [one.text for one in found.notes] == ["Nothing."] * 3 and found.types == ()


def test_that_a_right_form_becomes_a_request_that_survives_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    form = JoinForm(" ws://127.0.0.1:8765", "Lakeview ", "~/model", "/data/notes", "")
    request = form.request(tmp_path / "sites")
    assert request.model == tmp_path / "model" and request.types_map is None
    assert JoinRequest.model_validate_json(request.model_dump_json()) == request
    again = JoinForm.of(request)
    assert again == JoinForm("ws://127.0.0.1:8765", "Lakeview", str(tmp_path / "model"), "/data/notes", "")
    assert again.request(tmp_path / "sites") == request


def test_that_each_site_at_each_coordinator_has_a_folder_of_its_own(tmp_path: Path) -> None:
    places = [
        ("ws://127.0.0.1:1", "A b"),
        ("ws://127.0.0.1:2", "A b"),
        ("ws://127.0.0.1:1", "a B"),
        ("ws://127.0.0.1:1", "..."),
    ]
    folders = {site_folder(tmp_path, address, name) for address, name in places}
    assert len(folders) == len({str(folder).lower() for folder in folders}) == 4
    assert all(folder.parent == tmp_path for folder in folders)


def test_that_an_address_where_nobody_answers_is_a_warning_and_no_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"ws://127.0.0.1:{listening.getsockname()[1]}"
        assert reach_address(f" {address} ").sentence.endswith("where something answers.")
    silent = reach_address(address)
    assert silent.state == "right" and silent.warns
    assert silent.sentence == "Nothing answers there now. You can join anyway; this site keeps trying."
    assert reach_address("ws://example.org:1").state == "wrong", "what is elsewhere is never called"


@pytest.mark.parametrize(
    ("written", "plain", "detail"),
    [
        ("not = [toml", "This file is not a types map. Details:", "not valid TOML"),
        ("", "not a types map", "[types.map]"),
    ],
)
def test_that_plain_words_come_before_details(tmp_path: Path, written: str, plain: str, detail: str) -> None:
    path = tmp_path / "map.toml"
    path.write_text(written, "utf-8")
    said = look_at_notes("", str(path)).map_verdict.sentence
    assert said.startswith("This file") and plain in said and detail in said.partition("Details:")[2]


def opened(folder: Path) -> Outbox:
    return Outbox(folder / "site.sqlite", BlobStore(folder / "blobs"))


def test_that_a_corrected_try_takes_over_the_folder_of_one_that_never_joined(tmp_path: Path) -> None:
    before, now = (site_folder(tmp_path, f"ws://127.0.0.1:{port}", "Lakeview") for port in (1, 2))
    carry_over(before, now)
    assert not now.exists(), "there is nothing yet"
    opened(before).close()
    (before / "token").write_text("secret")
    carry_over(before, now)
    assert not before.exists() and (now / "token").read_text() == "secret"
    carry_over(now, now)
    assert now.exists()


def test_that_a_folder_that_joined_or_is_in_use_or_would_be_overwritten_stays(tmp_path: Path) -> None:
    before, now = tmp_path / "before", tmp_path / "now"
    outbox = opened(before)
    carry_over(before, now)
    assert before.exists() and not now.exists(), "an agent has it open"
    outbox.close()
    now.mkdir()
    carry_over(before, now)
    assert before.exists() and not any(now.iterdir())
    now.rmdir()
    outbox = opened(before)
    outbox.remember("spec", "{}")
    outbox.close()
    carry_over(before, now)
    assert before.exists() and not now.exists()
