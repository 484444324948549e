# SPDX-License-Identifier: Apache-2.0
"""A review of a site's record: an entry of the record itself, bound to what was seen."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from fedmed_desktop.desktop.history.view import HistoryView, Wanted, explained, facts, history_view, matching, verdict
from fedmed_desktop.site.reviewing import mark_reviewed
from fedmed_desktop.storage.audit import Audit
from fedmed_desktop.storage.audit_file import read_audit
from fedmed_desktop.wording.audit_entries import action_words
from tests.parts.record import OPERATOR, REASON, entry, write_record
from tests.parts.scene import NOW
from tests.parts.told import told_as


def read(folder: Path) -> HistoryView:
    return history_view(read_audit(folder))


def review(folder: Path, number: int) -> HistoryView:
    mark_reviewed(folder, number, str(read(folder).rows[number]["hash"]), OPERATOR, "=monthly", NOW)
    return read(folder)


def test_that_a_review_is_an_entry_with_the_reviewers_name_and_the_hash_that_was_seen(tmp_path: Path) -> None:
    before = read(write_record(tmp_path))
    after = review(tmp_path, 27)
    assert after.fault is None and after.reviewed_by == OPERATOR and after.reviewed == 28
    row = after.rows[28]
    assert (row["action_code"], row["meaning"], row["reason"]) == ("reviewed", "review", "=monthly")
    assert row["object_hash"] == before.rows[27]["hash"]
    assert (row["owner"], row["host_id"]) == (before.rows[27]["owner"], before.rows[27]["host_id"])


def test_that_what_came_after_the_review_is_not_reviewed(tmp_path: Path) -> None:
    write_record(tmp_path)
    view = review(tmp_path, 20)
    assert [line.number for line in matching(view, Wanted("unreviewed"), NOW)] == list(range(28, 20, -1))


def test_that_a_mark_counts_for_nothing_once_another_chain_stands_under_it(tmp_path: Path) -> None:
    file = read_audit(write_record(tmp_path))
    mark = {**file.rows[-1], "seq": 28, "action_code": "reviewed", "object_id": "27", "object_hash": "00" * 32}
    assert history_view(type(file)(file.path, (*file.rows, mark))).reviewed == 0


def test_that_a_running_site_goes_on_with_the_chain_in_which_a_review_stands(tmp_path: Path) -> None:
    with closing(Audit(write_record(tmp_path) / "audit.sqlite", "site", "Lakeview")) as running:
        review(tmp_path, 27)
        running.append(entry("stopped", object_type="program"), now=NOW)
    view = read(tmp_path)
    assert view.fault is None and [view.rows[n]["action_code"] for n in (28, 29)] == ["reviewed", "stopped"]


def test_that_an_entry_that_is_not_the_one_that_was_seen_is_not_marked(tmp_path: Path) -> None:
    write_record(tmp_path)
    with told_as("no longer holds entry 27"):
        mark_reviewed(tmp_path, 27, "0" * 64, OPERATOR, "", NOW)
    with told_as("no longer holds entry 28"):
        mark_reviewed(tmp_path, 28, "0" * 64, OPERATOR, "", NOW)
    with told_as("no audit file"):
        mark_reviewed(tmp_path / "nowhere", 1, "0" * 64, OPERATOR, "", NOW)
    assert not (tmp_path / "nowhere").exists() and len(read(tmp_path).rows) == 27


def test_that_a_broken_record_is_said_to_be_broken_and_cannot_be_marked(tmp_path: Path) -> None:
    write_record(tmp_path)
    with closing(sqlite3.connect(tmp_path / "audit.sqlite")) as file, file:
        file.execute("UPDATE entries SET actor_name = 'Somebody else' WHERE seq = 7")
    view = read(tmp_path)
    assert verdict(view) == ("The record is broken: entry 7 cannot be trusted.", "bad")
    assert "Keep the file as it is" in explained(view)
    (line,) = [one for one in view.lines if one.number == 7]
    assert line.is_trouble and line.texts[-1] == "Changed"
    with told_as("not as it was written"):
        mark_reviewed(tmp_path, 27, str(view.rows[27]["hash"]), OPERATOR, "", NOW)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Wanted("trouble"), [27]),
        (Wanted("federation"), [3]),
        (Wanted("decisions", text="okafor done"), [24, 16, 8]),
        (Wanted(text="PROBES found intended"), [23, 15, 7]),
        (Wanted(text=f"{NOW:%Y-} plan received"), [20, 12, 4]),
        (Wanted("rounds", "any", "nobody"), []),
    ],
    ids=lambda value: value.shown if isinstance(value, Wanted) else "",
)
def test_that_entries_are_found_by_kind_and_words(tmp_path: Path, wanted: Wanted, numbers: list[int]) -> None:
    view = read(write_record(tmp_path))
    found = [line.number for line in matching(view, wanted, NOW)]
    assert found == numbers


def test_that_older_entries_are_left_out_by_time(tmp_path: Path) -> None:
    view = read(write_record(tmp_path, now=NOW - timedelta(days=3)))
    assert matching(view, Wanted(period="day"), NOW) == ()
    assert len(matching(view, Wanted(period="week"), NOW)) == len(view.lines) == 27


def test_that_an_entry_is_told_in_plain_words_with_what_a_signature_must_say(tmp_path: Path) -> None:
    view = read(write_record(tmp_path))
    told = dict(facts(view.rows[7], view.rows[6]))
    assert action_words(view.rows[7]["action_code"]) == "Approval of an update"
    assert (told["Who"], told["Meaning of the signature"], told["Reason"]) == (OPERATOR, "Approval", REASON)
    assert told["State"] == "waiting for a decision → approved" and told["Account of the computer"] == "rokafor"
    assert told["Bound to the entry before"] == str(view.rows[6]["hash"])[:12]
    refused = dict(facts(view.rows[27], view.rows[26]))
    assert refused["Reason"].startswith("The round had already closed")
    assert dict(facts(view.rows[1], None))["Bound to the entry before"].startswith("none")
