# SPDX-License-Identifier: Apache-2.0
"""Audit chains: what they hold, what they cannot hold, and that damage, insertions and a cut-off end are found."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from fedmed_desktop import cli
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.storage.audit import Audit, operating_user
from fedmed_desktop.storage.audit_file import as_csv, as_json, read_audit, verify_audit
from fedmed_desktop.storage.audit_row import COLUMNS, AuditEntry, AuditRow, Side
from fedmed_desktop.storage.chain import linked
from fedmed_desktop.storage.secrets import load_key
from fedmed_desktop.wording import told
from tests.parts.told import told_as

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SHA = "ab" * 32


def approved(number: int, **more: Any) -> AuditEntry:
    values: dict[str, Any] = {"action_code": "approved", "role": "operator", "actor_name": "Ada", "round": number}
    return AuditEntry(**{**values, "object_type": "update", "object_hash": SHA, "meaning": "approve", **more})


def chain(folder: Path, side: Side = "site", owner: str = "Mercy General", entries: int = 6) -> list[str]:
    """A chain of so many entries; its heads after each."""
    audit = Audit(folder / "audit.sqlite", side, owner)
    heads = [audit.append(approved(number), now=NOW) for number in range(1, entries + 1)]
    audit.close()
    return heads


def fault(path: Path, against: Path | None = None) -> str:
    found = verify_audit(path, against).fault
    return told(found) if found else ""


def test_that_an_entry_holds_who_what_when_and_why(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.sqlite", "site", "Mercy General", host_id=SHA)
    head = audit.append(approved(3, stage="intent", reason="checked twice", before="pending"), now=NOW)
    (row,) = audit.entries()
    assert (row.seq, row.hash, row.action_code, row.stage, row.round) == (1, head, "approved", "intent", 3)
    assert (row.actor_name, row.reason, row.meaning, row.object_hash) == ("Ada", "checked twice", "approve", SHA)
    assert (row.time_utc, row.side, row.owner, row.host_id) == (NOW, "site", "Mercy General", SHA)
    assert row.actor_os_user and row.app_version
    assert audit.head() == head
    audit.close()


def test_that_entries_come_in_pages(tmp_path: Path) -> None:
    chain(tmp_path)
    audit = Audit(tmp_path / "audit.sqlite", "site", "Mercy General")
    assert [row.round for row in audit.entries(most=4)] == [1, 2, 3, 4]
    assert [row.round for row in audit.entries(after=4, most=4)] == [5, 6]
    audit.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"before": "The patient denies chest pain."},
        {"after": "x" * 81},
        {"object_id": "Patient was seen.\nPlan: aspirin"},
        {"object_id": "x" * 61},
        {"object_hash": "not a hash"},
        {"peer_head": "aspirin"},
        {"action_code": "aspirin 100 mg"},
        {"meaning": "maybe"},
        {"note": "The patient denies chest pain."},
    ],
)
def test_that_no_field_takes_text(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        approved(1, **wrong)


def test_that_a_reason_is_only_kept_at_the_site_and_is_one_bounded_line(tmp_path: Path) -> None:
    entry = approved(1, reason="two\nlines\x1b[2J \ud800" + "x" * 3000)
    assert len(entry.reason) == 2000 and entry.reason.startswith("two lines [2J ?x") and entry.reason.endswith("…")
    audit = Audit(tmp_path / "audit.sqlite", "coordinator", "Test federation")
    with pytest.raises(ValidationError, match="stays in the site's own chain"):
        audit.append(entry, now=NOW)
    assert audit.head() == ""
    audit.close()


def test_that_every_column_is_in_the_hash() -> None:
    assert sorted((*COLUMNS, "seq", "hash")) == sorted(AuditRow.model_fields)


def test_that_an_intent_without_a_result_is_found(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.sqlite", "site", "A")
    audit.append(approved(1, stage="intent"), now=NOW)
    assert [row.seq for row in audit.open_intents()] == [1]
    audit.append(approved(1, stage="intent"), now=NOW)
    audit.append(approved(1), now=NOW)
    assert audit.open_intents() == []
    assert audit.has("approved", SHA, "intent") and not audit.has("released", SHA, "intent", "done")
    audit.close()


def test_that_several_processes_write_one_chain(tmp_path: Path) -> None:
    program = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from fedmed_desktop.storage.audit import Audit\n"
        "from fedmed_desktop.storage.audit_row import AuditEntry\n"
        "audit = Audit(Path(sys.argv[1]), 'coordinator', 'F')\n"
        "for _ in range(40): audit.append(AuditEntry(action_code='invited', role='host'), now=datetime.now(UTC))\n"
    )
    path = tmp_path / "audit.sqlite"
    others = [subprocess.Popen([sys.executable, "-c", program, str(path)]) for _ in range(3)]
    assert [other.wait(60) for other in others] == [0, 0, 0]
    verdict = verify_audit(path)
    assert verdict.fault is None and len(verdict.file.rows) == 120


# -- what is found ---------------------------------------------------------------------------------------------------

DAMAGE: dict[str, tuple[str, str]] = {
    "changed": ("UPDATE entries SET actor_name = 'Bob' WHERE seq = 4", "entry 4 is not as it was written"),
    "another round": ("UPDATE entries SET round = 9 WHERE seq = 2", "entry 2 is not as it was written"),
    "missing": ("DELETE FROM entries WHERE seq = 3", "entry 3 is missing"),
    "the first": ("DELETE FROM entries WHERE seq = 1", "entry 1 is missing"),
    "cut off": ("DELETE FROM entries WHERE seq > 4", "entry 5 is missing"),
    "all": ("DELETE FROM entries", "entry 1 is missing"),
    "inserted": (
        f"INSERT INTO entries ({', '.join(COLUMNS)}, hash) SELECT {', '.join(COLUMNS)}, hash FROM entries WHERE seq=2",
        "entry 7 is not as it was written",
    ),
    "reordered": (
        "UPDATE entries SET seq = CASE seq WHEN 2 THEN -3 WHEN 3 THEN -2 END WHERE seq IN (2, 3);"
        "UPDATE entries SET seq = -seq WHERE seq < 0",
        "entry 2 is not as it was written",
    ),
    "no text": ("UPDATE entries SET owner = x'ff00' WHERE seq = 5", "entry 5 is not as it was written"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_that_the_first_wrong_entry_is_named(damage: str, tmp_path: Path) -> None:
    chain(tmp_path)
    statements, words = DAMAGE[damage]
    with closing(sqlite3.connect(tmp_path / "audit.sqlite")) as connection:
        connection.executescript(statements)
    assert words in fault(tmp_path)
    with pytest.raises(UserFacingError) as caught:
        Audit(tmp_path / "audit.sqlite", "site", "Mercy General")
    assert caught.value.code == "storage.damaged_row"


def test_that_bytes_that_are_no_database_any_more_are_broken(tmp_path: Path) -> None:
    chain(tmp_path, entries=200)
    with (tmp_path / "audit.sqlite").open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(20_000))
    assert "entry" in fault(tmp_path) and "cannot be read" in fault(tmp_path)


def test_that_a_live_file_and_a_copy_of_it_are_read_without_a_trace(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "live" / "audit.sqlite", "site", "A")
    for number in range(3):
        audit.append(approved(number), now=NOW)
    (tmp_path / "copy").mkdir()
    for name in ("audit.sqlite", "audit.sqlite-wal"):
        shutil.copy(tmp_path / "live" / name, tmp_path / "copy")
    before = {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()}
    assert len(verify_audit(tmp_path / "live").file.rows) == len(verify_audit(tmp_path / "copy").file.rows) == 3
    assert {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()} == before
    audit.append(approved(4), now=NOW)
    audit.close()
    (tmp_path / "copy" / "audit.sqlite-wal").unlink()
    shutil.copy(tmp_path / "live" / "audit.sqlite", tmp_path / "copy")
    assert fault(tmp_path / "copy") == ""
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["audit.sqlite"]


# -- against the other side ------------------------------------------------------------------------------------------


def both(folder: Path) -> tuple[Path, Path]:
    """Chains of a site and its coordinator that hold each other's heads after each of three rounds."""
    site = Audit(folder / "site" / "audit.sqlite", "site", "Mercy General")
    host = Audit(folder / "coordinator" / "audit.sqlite", "coordinator", "Test federation")
    for number in range(1, 4):
        told_up = site.append(approved(number, stage="intent"), now=NOW)
        accepted = AuditEntry(action_code="update_accepted", role="coordinator", round=number, peer="Mercy General")
        elsewhere = accepted.model_copy(update={"peer": "St. Olaf", "peer_head": "0" * 64})
        mine = accepted.model_copy(update={"peer_head": told_up})
        told_down = host.append(elsewhere, mine, now=NOW)
        receipt = AuditEntry(action_code="receipt_verified", role="coordinator", round=number, peer_head=told_down)
        site.append(receipt, now=NOW)
    site.close()
    host.close()
    return folder / "site", folder / "coordinator"


def written_anew(folder: Path, entries: int) -> None:
    """The first entries again as a new chain that is whole in itself: an end cut off with all traces removed."""
    path = folder / "audit.sqlite"
    rows = read_audit(path).rows[:entries]
    path.unlink()
    audit = Audit(path, rows[0]["side"], rows[0]["owner"])
    for row in rows:
        names = {name: row[name] for name in AuditEntry.model_fields}
        audit.append(AuditEntry(**names), now=datetime.fromisoformat(row["time_utc"]))
    audit.close()
    assert verify_audit(folder).fault is None


def test_that_two_whole_sides_fit(tmp_path: Path) -> None:
    site, host = both(tmp_path)
    assert verify_audit(site, host).compared == verify_audit(host, site).compared == 6
    assert fault(site, host) == fault(host, site) == ""


def test_that_a_sites_end_that_was_cut_off_shows_at_the_coordinator(tmp_path: Path) -> None:
    site, host = both(tmp_path)
    written_anew(site, 4)
    assert "Entries from 4 on" in fault(site, host)
    assert "Entries from 4 on" in fault(host, site)


def test_that_a_coordinators_end_that_was_cut_off_shows_at_the_site(tmp_path: Path) -> None:
    site, host = both(tmp_path)
    written_anew(host, 4)
    assert "Entries from 5 on" in fault(host, site)


def test_that_a_new_empty_chain_does_not_pass_for_the_old(tmp_path: Path) -> None:
    site, host = both(tmp_path)
    (site / "audit.sqlite").unlink()
    Audit(site / "audit.sqlite", "site", "Mercy General").close()
    assert "Entries from 1 on" in fault(site, host)


def test_that_two_of_one_side_cannot_be_compared(tmp_path: Path) -> None:
    chain(tmp_path / "1")
    chain(tmp_path / "2")
    with told_as("from the same side"):
        verify_audit(tmp_path / "1", tmp_path / "2")


# -- exports ---------------------------------------------------------------------------------------------------------


def exported(
    folder: Path, change: Callable[[dict[str, Any]], object] = lambda content: None, signed: bool = True
) -> Path:
    chain(folder)
    content = json.loads(as_json(read_audit(folder), PrivateKey(b"k" * 32) if signed else None))
    change(content)
    path = folder / "audit.json"
    path.write_text(json.dumps(content), "utf-8")
    return path


def test_that_an_export_is_checked_as_its_chain_is_and_names_who_signed_it(tmp_path: Path) -> None:
    verdict = verify_audit(exported(tmp_path))
    assert verdict.fault is None and verdict.file.rows == read_audit(tmp_path).rows
    assert verdict.file.signed_by == PrivateKey(b"k" * 32).fingerprint
    site, host = both(tmp_path / "two")
    (tmp_path / "host.json").write_bytes(as_json(read_audit(host)))
    assert verify_audit(site, tmp_path / "host.json").compared == 6


def _cut(content: dict[str, Any]) -> None:
    del content["entries"][4:]
    content |= {"count": 4, "head": content["entries"][-1]["hash"]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content["entries"][2].update(actor_name="Bob"), "entry 3 is not as it was written"),
        (lambda content: content["entries"].pop(2), "entry 3 is missing"),
        (lambda content: content["entries"].pop(), "entry 6 is missing"),
        (lambda content: content["entries"].reverse(), "entry 1 is missing"),
        (lambda content: content["entries"][5].pop("reason"), "entry 6 is not as it was written"),
        (lambda content: content.update(head="0" * 64), "entry 6 is not the one that the file ends with"),
        (_cut, "signature of .* is not valid"),
        (lambda content: content.update(key=PrivateKey(b"x" * 32).public), "is not valid"),
    ],
)
def test_that_a_changed_export_is_broken(
    change: Callable[[dict[str, Any]], object], words: str, tmp_path: Path
) -> None:
    found = verify_audit(exported(tmp_path, change)).fault
    with told_as(words):
        assert found
        raise found


def test_that_a_signer_other_than_the_owner_is_named(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.sqlite", "site", "A", host_id=PrivateKey(b"a" * 32).fingerprint)
    audit.append(approved(1), now=NOW)
    audit.close()
    (tmp_path / "audit.json").write_bytes(as_json(read_audit(tmp_path), PrivateKey(b"b" * 32)))
    assert "but its entries name the key" in fault(tmp_path / "audit.json")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format": 1}', b"\xff\xfe", b"[" * 100_000, b"{}"])
def test_that_another_file_is_no_export(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with told_as("neither an audit file nor an export"):
        read_audit(tmp_path / "x.json")


@pytest.mark.parametrize("value", [["Mercy"], {"Mercy": 1}, 1.5, "\ud800"])
@pytest.mark.parametrize("field", ["owner", "peer_head"])
def test_that_an_export_with_what_no_chain_holds_is_none(field: str, value: object, tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        before = ""
        for entry in content["entries"]:
            entry[field] = value
            entry["hash"] = before = linked(before, *(entry[name] for name in COLUMNS))

    with told_as("neither an audit file nor an export"):
        verify_audit(exported(tmp_path, change))


def test_that_an_export_gives_the_terminal_no_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(content: dict[str, Any]) -> None:
        before = ""
        for entry in content["entries"]:
            entry["owner"] = "Mercy\x1b[2J\nWhole"
            entry["hash"] = before = linked(before, *(entry[name] for name in COLUMNS))
        content["head"] = before
        content["key"] = content["signature"] = ""

    assert cli.main(["--verify-audit", str(exported(tmp_path, change))]) == 0
    assert "of the site Mercy?[2J?Whole, " in capsys.readouterr().out


def test_that_a_damaged_chain_can_be_exported_as_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain(tmp_path)
    with closing(sqlite3.connect(tmp_path / "audit.sqlite")) as connection, connection:
        connection.execute("UPDATE entries SET reason = x'00ff' WHERE seq = 2")
    assert cli.main(["--verify-audit", str(tmp_path), "--export", str(tmp_path / "x.json")]) == 1
    assert "entry 2 is not as it was written" in capsys.readouterr().out
    assert "entry 2 is not as it was written" in fault(tmp_path / "x.json")


def test_that_who_acted_is_the_account_and_not_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    known = operating_user()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody else")
    assert operating_user() == known


@pytest.mark.skipif(sys.platform == "win32", reason="asks the system in another way")
@pytest.mark.parametrize("name", ["agent", "Rule", "policy", "coordinator"])
def test_that_no_account_is_taken_for_the_program(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pwd.getpwuid", lambda number: SimpleNamespace(pw_name=name))
    assert operating_user() == f"account {name}"


def test_that_a_table_for_a_spreadsheet_holds_no_formula(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.sqlite", "site", "A")
    audit.append(approved(1, reason="=HYPERLINK(1)"), now=NOW)
    audit.close()
    table = as_csv(read_audit(tmp_path)).decode("utf-8-sig")
    assert table.startswith("seq,time_utc,") and ",'=HYPERLINK(1)," in table


# -- the command line ------------------------------------------------------------------------------------------------


def test_that_the_command_line_says_the_verdict_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site, host = both(tmp_path)
    assert cli.main(["--verify-audit", str(site), "--against", str(host)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Whole: 6 entries of the site Mercy General") and "all 6 heads" in said
    assert cli.main(["--verify-audit", str(site), "--export", str(tmp_path / "x.json")]) == 0
    said = capsys.readouterr().out
    assert "--against" in said and "not signed" in said
    assert verify_audit(tmp_path / "x.json").fault is None
    key, _ = load_key(site, "site", in_file=True)
    assert cli.main(["--verify-audit", str(site), "--export", str(tmp_path / "y.json")]) == 0
    assert f"signed with the key {key.fingerprint}" in capsys.readouterr().out
    assert verify_audit(tmp_path / "y.json").file.signed_by == key.fingerprint
    with closing(sqlite3.connect(site / "audit.sqlite")) as connection, connection:
        connection.execute("UPDATE entries SET reason = 'another' WHERE seq = 3")
    assert cli.main(["--verify-audit", str(site)]) == 1
    assert capsys.readouterr().out.startswith("Broken.")
    assert cli.main(["--verify-audit", str(tmp_path / "nowhere")]) == 2
    assert "There is no audit file" in capsys.readouterr().err
    assert cli.main(["--verify-audit", str(site), "--export", str(tmp_path / "x.txt")]) == 2
    with pytest.raises(SystemExit, match="2"):
        cli.main(["--verify-audit"])
