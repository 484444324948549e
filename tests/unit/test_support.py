# SPDX-License-Identifier: Apache-2.0
"""Support bundles hold no word of a note, no secret, no name of a file; connections are counted, not listed twice."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fedmed_desktop.desktop.settings.files import look, packages, support_parts, write_support
from fedmed_desktop.desktop.settings.support import MOST_LINES, hidden, log_part, preview
from fedmed_desktop.desktop.work.connections import MOST, Connection, noted
from fedmed_desktop.desktop.work.requests import JoinRequest
from fedmed_desktop.desktop.work.settings import Settings
from fedmed_desktop.site.policy_file import PolicyFiles
from tests.parts.told import told_as

NOW = datetime(2026, 5, 4, 9, 48, tzinfo=UTC)
CANARIES = ("melena", "J. Doe", "ward_7", "okafor", "sesame", "fedmed:", "lakeview", "MRN")
LOG = """\
2026-05-04T08:12:09Z INFO the desktop has started
2026-05-04T08:12:10Z ERROR The notes in /srv/okafor/ward_7/J. Doe.jsonl cannot be read: "MRN 48213977" is no type.
2026-05-04T08:12:11Z INFO joining with fedmed:1ABCmelena by http://anna:sesame@proxy.example:3128
Traceback (most recent call last):
  File "/srv/okafor/.venv/lib/python3.12/site-packages/fedmed_desktop/clinical/notes.py", line 40, in read
    raise ValueError(text)  # melena
ValueError: J. Doe, MRN 48213977, seen for melena
a second line of the same words: melena
  File "C:\\Users\\okafor\\lakeview\\fedmed_desktop\\x.py", line 3, in melted
2026-05-04T08:12:12Z ERROR ward_7.csv: 'J. Doe' stands twice
"""


def test_that_no_canary_of_a_note_a_name_or_a_secret_comes_through() -> None:
    kept = log_part(LOG)
    assert [word for word in CANARIES if word.lower() in kept.lower()] == []
    assert "fedmed_desktop/clinical/notes.py, line 40, in read" in kept and "ValueError" in kept
    assert "the desktop has started" in kept and "proxy.example:3128" in kept


def test_that_only_the_end_of_a_long_log_is_shown() -> None:
    kept = log_part("\n".join(f"2026-05-04T08:12:09Z INFO line {number}" for number in range(1000))).splitlines()
    assert len(kept) == MOST_LINES and kept[-1].endswith("line 999")


@pytest.mark.parametrize(
    "line",
    ["connected to wss://federation.example.org:8765", "round 3 of 10: 12 of 40 steps", "drug/problem at 0.61 F1"],
)
def test_that_what_helps_stays(line: str) -> None:
    assert hidden(line) == line


def test_that_the_bundle_holds_what_was_previewed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(LOG)
    joined = JoinRequest(
        address="ws://lakeview:1", name="lakeview", model="ward_7", notes="ward_7", data_dir="okafor",
        invitation="fedmed:1melena",
    )  # fmt: skip
    values = Settings(proxy="http://anna:sesame@proxy.example", joined=joined, approver="J. Doe", compared="melena")
    parts = support_parts(values, tmp_path / "log")
    assert [word for word in CANARIES if word.lower() in preview(parts).lower()] == []
    path = write_support(parts, tmp_path / "bundle.zip")
    with zipfile.ZipFile(path) as bundle:
        assert {name: bundle.read(name).decode() for name in bundle.namelist()} == parts
        assert bundle.testzip() is None
    assert all(f"=== {name} ===\n{text}" in preview(parts) for name, text in parts.items())


def test_that_a_bundle_without_a_log_and_one_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    assert support_parts(Settings(), tmp_path / "nowhere")["log.txt"] == ""
    with told_as("/nowhere"):
        write_support({"a.txt": "a"}, Path("/nowhere/at/all.zip"))


def test_that_a_connection_to_the_same_host_is_counted_and_comes_first() -> None:
    made: list[Connection] = []
    for minute, host in enumerate(("a:1", "b:1", "a:1")):
        made = noted(made, host, "part", NOW + timedelta(minutes=minute))
    assert [(one.host, one.times) for one in made] == [("a:1", 2), ("b:1", 1)]
    assert (made[0].first, made[0].last) == (NOW, NOW + timedelta(minutes=2))
    assert [one.why for one in noted(made, "a:1", "check", NOW)] == ["check", "part", "part"]
    for number in range(2 * MOST):
        made = noted(made, f"{number}:1", "part", NOW)
    assert len(made) == MOST and made[0].host == f"{2 * MOST - 1}:1"


def test_that_connections_survive_the_settings_file() -> None:
    values = Settings(connections=noted([], "a:1", "part", NOW))
    assert Settings.model_validate_json(values.model_dump_json()).connections == values.connections


def test_that_the_policy_is_told_with_its_locked_keys_and_a_faulty_one_with_its_fault(tmp_path: Path) -> None:
    system, user = tmp_path / "system.toml", tmp_path / "user.toml"
    system.write_text('most_rank = 32\nlocked = ["most_rank"]\n')
    user.write_text("most_rank = 8\nleast_notes = 50\n")
    files = PolicyFiles(system=system, user=user, owner=system.stat().st_uid)
    system.chmod(0o644)
    tmp_path.chmod(0o755)
    known = look(None, files)
    told = {said.key: said.text for said in known.policy if said.path}
    assert known.locked == {"most_rank"} and told["most_rank"] == "The rank is at most 32."
    assert told["least_notes"] == "It is trained on at least 50 notes." and not known.policy_fault
    assert any("is locked by this computer's administrator" in said.text for said in known.policy)
    user.write_text("most_rank = 0\n")
    known = look(None, files)
    assert not known.policy and "user.toml" in known.policy_fault


def test_that_packages_are_listed_with_their_licences() -> None:
    found = {name: licence for name, _, licence in packages()}
    assert "LGPL" in found["PySide6-Essentials"] and "BSD" in found["numpy"]
    assert all(found.values()) and not any("\n" in licence or "Copyright" in licence for licence in found.values())
