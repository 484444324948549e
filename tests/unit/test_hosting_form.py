# SPDX-License-Identifier: Apache-2.0
"""Founding a federation in the desktop: each field is judged, and the same two files come of it as by the command."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from fedmed_desktop.cli.coordinator import KEEP_UPDATES
from fedmed_desktop.cli.new_federation import run as new_federation
from fedmed_desktop.desktop.hosting import process
from fedmed_desktop.desktop.hosting.files import (
    found,
    look_at_adapter,
    look_at_certificate,
    look_at_folder,
    look_at_port,
    own_invitation,
)
from fedmed_desktop.desktop.hosting.form import OPTIONAL, HostForm, listed, quorum_for, slug
from fedmed_desktop.desktop.hosting.judging import port_verdict, verdicts
from fedmed_desktop.desktop.hosting.process import command
from fedmed_desktop.desktop.hosting.served import facts, verdict
from fedmed_desktop.desktop.work.hosted import Hosted, Inside
from fedmed_desktop.errors import Size, UserFacingError, from_json, to_json
from fedmed_desktop.federation import load_spec
from fedmed_desktop.federation.methods import METHODS
from fedmed_desktop.lora import Adapter
from fedmed_desktop.lora.base_model import linears_in_files
from fedmed_desktop.training.inside import look_inside
from fedmed_desktop.wording import install, told
from fedmed_desktop.wording.catalogue import catalogue_of
from tests.parts.tls import Authority
from tests.parts.told import told_as

FORM = HostForm(name="Riverside", types="drug, problem", address="10.0.0.12", folder="/srv/riverside")


def wrong(form: HostForm, known: tuple[str, ...] | None = None) -> dict[str, str]:
    found = verdicts(form, known)
    return {name: verdict.sentence for name, verdict in found.items() if verdict.state == "wrong"}


def test_that_a_form_with_usual_values_is_right_and_an_empty_one_says_nothing_is_wrong() -> None:
    assert not wrong(FORM)
    assert not wrong(HostForm())
    assert {name for name, verdict in verdicts(HostForm()).items() if verdict.state == "empty"} == {
        "name",
        "types",
        "address",
        "epsilon",
        "clients",
        "public_port",
    }


@pytest.mark.parametrize(
    ("field", "typed", "told"),
    [
        ("name", "x" * 81, "At most 80"),
        ("types", "drug, 2nd line", "cannot be a type"),
        ("types", ",", "cannot be a type"),
        ("rounds", "no", "whole number from 1"),
        ("rounds", "0", "whole number from 1"),
        ("sites", "-2", "whole number from 1"),
        ("quorum", "4", "no round could close"),
        ("hours", "soon", "A number of hours"),
        ("hours", "0", "A number of hours"),
        ("hours", "nan", "A number of hours"),
        ("passes", "0", "A number, such as 1"),
        ("clients", "1", "no round could close"),
        ("clients", "many", "whole number from 1"),
        ("decide", "0", "A number of hours"),
        ("rank", "2000", "whole number from 1"),
        ("epsilon", "-1", "above 0, up to 100"),
        ("public_port", "70000", "whole number from 1"),
        ("keep", "-1", "whole number from 0"),
        ("address", "https://federation.example.org", "without a port"),
        ("address", "federation.example.org:8765", "without a port"),
        ("address", "localhost", "cannot find this one by that address"),
        ("tasks", frozenset(), "at least one"),
        ("tasks", frozenset({"text", "entities"}), "goes with nothing else"),
    ],
)
def test_that_what_is_wrong_is_said_beside_its_field(field: str, typed: object, told: str) -> None:
    found = wrong(replace(FORM, **{field: typed}))  # type: ignore[arg-type]
    assert told in found[field]
    assert found.keys() == {field}


def test_that_a_word_is_not_both_a_type_and_a_modifier() -> None:
    form = replace(FORM, tasks=frozenset({"entities", "relations"}), modifiers="Drug")
    assert "drug is a type already" in wrong(form)["modifiers"]


def test_that_a_round_that_one_site_alone_can_close_is_right_but_warned_of() -> None:
    found = verdicts(replace(FORM, quorum="1"))["quorum"]
    assert found.state == "right" and found.warns


def test_that_no_network_is_told_and_an_unknown_address_is_warned_of() -> None:
    assert "is in no network" in wrong(FORM, ())["address"]
    assert "address" not in wrong(replace(FORM, reach="here"), ())
    found = verdicts(FORM, ("host.example.org",))["address"]
    assert found.state == "right" and found.warns and "host.example.org" in found.sentence
    assert not verdicts(FORM, ("10.0.0.12",))["address"].warns


@pytest.mark.parametrize("method", METHODS)
def test_that_every_method_can_be_chosen_and_what_it_needs_is_a_field_or_is_told(method: str) -> None:
    form = replace(FORM, method=method)
    assert not wrong(form)
    assert ("notes" in form.needed) == (method == "fed_medlora_plus")
    assert verdicts(form)["method"].warns == (method == "adaptive_fedlora")


def test_that_only_fields_that_count_are_asked_for() -> None:
    assert "modifiers" not in FORM.needed and "model" not in FORM.needed and "address" in FORM.needed
    text = replace(FORM, tasks=frozenset({"text"}), reach="here", other_model=True)
    assert {"types", "modifiers", "address", "notes"}.isdisjoint(text.needed) and "model" in text.needed


def test_that_noise_is_told_beside_its_field_where_it_does_not_go_with_the_method() -> None:
    noisy = replace(FORM, epsilon="3")
    assert verdicts(noisy)["epsilon"].warns and "few notes" in verdicts(noisy)["epsilon"].sentence
    assert "protects little" in verdicts(replace(FORM, epsilon="30"))["epsilon"].sentence
    for method in ("scaffold", "adaptive_fedlora"):
        found = wrong(replace(noisy, method=method))
        assert found.keys() == {"epsilon"} and "Choose another one" in found["epsilon"]


def test_that_an_adapter_to_begin_with_is_one_of_the_model_and_no_larger_than_the_rank(
    tmp_path: Path, tiny_model: Path
) -> None:
    shapes = linears_in_files(tiny_model)
    Adapter.initial(shapes, 8, 1.0, 0).save_peft(tmp_path / "whole")
    Adapter.initial({min(shapes): shapes[min(shapes)]}, 4, 1.0, 0).save_peft(tmp_path / "part")
    form = replace(FORM, other_model=True, model=str(tiny_model), begin_with=str(tmp_path / "whole"))
    assert "rank 8" in look_at_adapter(form).sentence and look_at_adapter(form).state == "right"
    assert "at most 4" in look_at_adapter(replace(form, rank="4")).sentence
    assert "is in only one" in look_at_adapter(replace(form, begin_with=str(tmp_path / "part"))).sentence
    assert "whole model" in look_at_adapter(replace(form, begin_with=str(tiny_model))).sentence
    assert look_at_adapter(replace(form, begin_with="")).state == "empty"


def test_that_a_certificate_is_judged_with_its_key_and_for_the_address(tmp_path: Path) -> None:
    authority = Authority(tmp_path, datetime.now(UTC))
    issued, other = authority.issue("fed.example.org"), authority.issue("other.example.org", password=b"x")
    form = replace(FORM, address="fed.example.org", certificate=str(issued.chain), key=str(issued.key))
    found = look_at_certificate(form)
    assert {one.state for one in found.values()} == {"right"} and "Valid until" in found["certificate"].sentence
    named = look_at_certificate(replace(form, address="10.0.0.12"))["certificate"]
    assert named.warns and "fed.example.org, not for the address above" in named.sentence
    assert "locked with a password" in look_at_certificate(replace(form, key=str(other.key)))["key"].sentence
    assert "not a private key" in look_at_certificate(replace(form, key=str(issued.chain)))["key"].sentence
    assert "no file" in look_at_certificate(replace(form, key=str(tmp_path / "none")))["key"].sentence
    wrong_one = look_at_certificate(replace(form, certificate=str(tmp_path / "none"), key=""))
    assert "no file" in wrong_one["certificate"].sentence and wrong_one["key"].state == "empty"
    assert "not a certificate" in look_at_certificate(replace(form, certificate=form.key))["certificate"].sentence
    assert "key" in form.needed and "key" not in replace(form, certificate="").needed and "key" not in OPTIONAL
    assert "certificate" not in replace(form, reach="here").needed


def test_that_words_are_written_as_a_specification_has_them() -> None:
    assert listed("Drug,  Adverse event , drug") == ("drug", "adverse_event")
    assert slug("  Łódź & Riverside / 2! ") == "d-riverside-2" and slug("日本") == "federation"
    assert quorum_for("5") == "4" and quorum_for("1") == "1" and quorum_for("x") == ""
    assert quorum_for("5", "3") == "2" and quorum_for("5", "x") == "4" and quorum_for("", "3") == ""


def test_that_a_port_is_a_number_that_users_may_listen_on() -> None:
    assert port_verdict("8765").state == "right"
    assert all(port_verdict(typed).state == "wrong" for typed in ("80", "70000", "x"))


def test_that_a_port_in_use_is_told_with_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = look_at_port(str(port))
    assert found.state == "wrong" and f"Port {port} is used by another program" in found.sentence
    assert look_at_port(str(port)).state == "right"


def test_that_a_folder_is_new_or_empty(tmp_path: Path) -> None:
    assert look_at_folder(str(tmp_path / "a" / "b")).state == "right"
    assert look_at_folder(str(tmp_path)).state == "right"
    (tmp_path / "note.txt").write_text("x", "utf-8")
    assert "contains other files" in look_at_folder(str(tmp_path)).sentence
    assert "contains other files" in look_at_folder(str(tmp_path / "note.txt")).sentence
    assert "Nothing can be written" in look_at_folder(str(tmp_path / "note.txt" / "deeper")).sentence
    (tmp_path / "federation.toml").write_text("", "utf-8")
    assert "already a federation" in look_at_folder(str(tmp_path)).sentence


def test_that_the_same_files_come_of_it_as_of_new_federation(tmp_path: Path, tiny_model: Path) -> None:
    form = HostForm(
        name="Riverside",
        model=str(tiny_model),
        other_model=True,
        tasks=frozenset({"relations", "entities"}),
        types="drug, Problem",
        modifiers="dosage",
        rounds="5",
        sites="4",
        quorum="3",
        method="adaptive_fedlora",
        environment="production",
        address="10.0.0.12",
        folder=str(tmp_path / "here"),
    )
    hosted = found(form, lambda model: Inside(*look_inside(model)))
    command = ["--model", str(tiny_model), "--notes-types", "drug,problem", "--modifiers", "dosage"]
    command += ["--task", "entities", "--task", "relations", "--rounds", "5", "--sites", "4", "--name", "Riverside"]
    command += ["--method", "adaptive_fedlora", "--environment", "production", "--out", str(tmp_path / "there")]
    assert new_federation(command) == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "there").iterdir()}
    assert len(files) == 2
    assert (hosted.public, hosted.network, hosted.environment) == ("10.0.0.12:8765", True, "production")
    with told_as("already exists"):
        found(form, lambda model: Inside(None, "plain"))


def test_that_what_stands_behind_advanced_is_written_as_the_command_writes_it(tmp_path: Path, tiny_model: Path) -> None:
    Adapter.initial(linears_in_files(tiny_model), 4, 1.0, 3).save_peft(tmp_path / "adapter")
    form = replace(
        FORM,
        model=str(tiny_model),
        other_model=True,
        begin_with=str(tmp_path / "adapter"),
        passes="0,5",
        sites="6",
        clients="4",
        quorum="3",
        rank="8",
        epsilon="3",
        unit="note",
        folder=str(tmp_path / "here"),
    )
    found(form, lambda model: Inside(*look_inside(model)))
    command = ["--model", str(tiny_model), "--notes-types", "drug,problem", "--name", "Riverside", "--epochs", "0.5"]
    command += ["--begin-with", str(tmp_path / "adapter"), "--sites", "6", "--clients", "4", "--rank", "8"]
    command += ["--alpha", "32", "--epsilon", "3", "--unit", "note", "--out", str(tmp_path / "there")]
    assert new_federation(command) == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "there").iterdir()}


def test_that_hours_for_a_decision_and_a_certificate_are_kept(tmp_path: Path) -> None:
    issued = Authority(tmp_path, datetime.now(UTC)).issue("fed.example.org")
    form = replace(
        FORM,
        address="fed.example.org",
        public_port="443",
        certificate=str(issued.chain),
        key=str(issued.key),
        keep="",
        decide="72",
        folder=str(tmp_path / "one"),
    )
    hosted = found(form, lambda model: Inside(None, "plain"))
    assert load_spec(tmp_path / "one" / "federation.toml").round.approval_minutes == 72 * 60
    assert hosted.public == "fed.example.org:443" and hosted.keep is None
    said = " ".join(command(hosted))
    assert f"--certificate {issued.chain} --key {issued.key} --keep-updates all" in said
    assert ("Certificate", str(issued.chain)) in facts(hosted)
    assert Hosted.model_validate_json(hosted.model_dump_json()) == hosted
    invitation = own_invitation(hosted)
    assert invitation is not None and not invitation.roots, "it is called on the loopback, which no authority names"
    here = found(replace(form, reach="here", folder=str(tmp_path / "two")), lambda model: Inside(None, "plain"))
    assert here.certificate is None and "--certificate" not in command(here)


def test_that_the_bundled_model_and_public_notes_make_a_federation(tmp_path: Path) -> None:
    notes = tmp_path / "notes.jsonl"
    rows = [f'{{"id": "{number}", "text": "Aspirin helped .", "entities": []}}' for number in range(2)]
    notes.write_text("\n".join(rows), "utf-8")
    text = frozenset({"text"})
    form = replace(
        FORM, method="fed_medlora_plus", tasks=text, notes=str(notes), folder=str(tmp_path / "one"), hours="0,5"
    )
    found(form, lambda model: Inside(None, "plain"))
    spec = load_spec(tmp_path / "one" / "federation.toml")
    assert [note.text for note in spec.shared_notes] == ["Aspirin helped ."] * 2
    assert spec.round.training_minutes == 30 and spec.tasks == ("text",)


HOSTED = Hosted(name="R", environment="test", folder=Path("/srv/r"), port=8800, public="a.example:8800", network=True)


def test_that_the_coordinator_is_started_as_its_form_said() -> None:
    said = " ".join(command(HOSTED))
    assert "--host 0.0.0.0 --port 8800 --public-address a.example:8800 --confirm-sites" in said
    assert f"--keep-updates {KEEP_UPDATES}" in said and "--certificate" not in said
    here = " ".join(command(HOSTED.model_copy(update={"network": False, "confirm": False})))
    assert "--host 127.0.0.1" in here and "--confirm-sites" not in here


def test_that_a_coordinator_that_ends_by_itself_leaves_its_error_for_every_language(tmp_path: Path) -> None:
    """A real process, which finds no specification."""
    hosted = process.begin(HOSTED.model_copy(update={"folder": tmp_path}))
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(hosted.pid).wait(60)
    while process.is_running(hosted):
        time.sleep(0.02)
    found = process.look(hosted)
    assert found.state == "stopped" and found.fault is not None
    assert found.fault.code == "spec.missing" and found.fault.params["path"] == str(tmp_path / "federation.toml")
    assert "no federation specification" in told(found.fault)
    install(catalogue_of("de"))
    try:
        assert told(found.fault).startswith(f"Unter {tmp_path}")
    finally:
        install(None)
    hosted.error_file.write_text("{", "utf-8")
    assert process.look(hosted).fault is None


def test_that_an_error_for_another_process_keeps_what_its_sentence_needs() -> None:
    error = UserFacingError("storage.space", size=Size(20_200_000), path="/srv", count=3)
    found = from_json(to_json(error))
    assert (found.code, found.params) == (error.code, error.params) and isinstance(found.params["size"], Size)
    for text in ("", "[]", '{"code": "x"}', '{"code": "x", "params": 3, "sizes": []}'):
        with pytest.raises(ValueError, match=r"not an error|Expecting"):
            from_json(text)


def test_that_each_state_of_the_coordinator_has_its_plain_words() -> None:
    assert "served at a.example:8800" in verdict(HOSTED, "serving").words
    assert "on this computer" in verdict(HOSTED.model_copy(update={"network": False}), "serving").words
    assert "The port is taken." in verdict(HOSTED, "failed", "The port is taken.").sentence
    words = {verdict(HOSTED, state).words for state in ("starting", "serving", "stopping", "stopped", "failed")}
    assert len(words) == 5
