# SPDX-License-Identifier: Apache-2.0
"""A site's decisions in its audit chain: intent before effect, result after, and no upload without an intent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import LocalResult, Plan, TrainingSettings
from fedmed_desktop.federation.names import PROGRAMS
from fedmed_desktop.federation.part_actions import Decision, Record
from fedmed_desktop.federation.probes import Probes, Recall
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.audit import Audit
from fedmed_desktop.storage.audit_row import AuditEntry
from fedmed_desktop.storage.database import Database
from fedmed_desktop.storage.decision_audit import _ACTIONS, _PROGRAMS
from fedmed_desktop.storage.outbox import Outbox
from tests.parts.federation import INITIAL, moved, result_of
from tests.parts.told import told_as

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOON = timedelta(seconds=10)
PLAN = Plan(round=1, start=INITIAL.sha256, rank=2, training=TrainingSettings(steps=1), seed=1)
RESULT: LocalResult = result_of(PLAN, INITIAL, moved(INITIAL, 1))
SHA = RESULT.update.sha256
BLOB = RESULT.update.parts["adapter"].sha256
APPROVED = Record(SHA, "approved", "Ada", "looks right", delay=SOON)
FILLER = AuditEntry(action_code="started", role="agent")
RELEASED = Record(SHA, "released", "agent")


@contextmanager
def site(folder: Path, audited: bool = True) -> Iterator[tuple[Outbox, Audit]]:
    """A site's outbox with one update, and its chain; as after a start of the program."""
    box = Outbox(folder / "site.sqlite", BlobStore(folder / "blobs"))
    audit = Audit(folder / "audit.sqlite", "site", "A") if audited else None
    try:
        if audit:
            box.keep_audit(audit, NOW)
        box.put(PLAN, RESULT, NOW)
        yield box, audit  # type: ignore[misc]
    finally:
        box.close()


@contextmanager
def full(database: Database, write: Callable[[], object]) -> Iterator[None]:
    """SQLite's own "disk full" inside the block: not one page more, and the last ones filled by `write`."""
    ((pages,),) = database.rows("PRAGMA page_count")
    database.rows(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UserFacingError):
        while True:
            write()
    yield
    database.rows("PRAGMA max_page_count = 1000000")


def told(audit: Audit) -> list[tuple[str, str]]:
    return [(row.action_code, row.stage) for row in audit.entries() if row.action_code != "started"]


def test_that_each_decision_is_written_with_who_why_and_on_what(tmp_path: Path) -> None:
    with site(tmp_path) as (box, audit):
        box.decide(APPROVED, NOW)
        box.decide(Record(SHA, "taken_back", "Ada", "too early"), NOW)
        box.decide(Record(SHA, "kept", "rule", "drift"), NOW)
        _, intent, done, *_ = rows = audit.entries()
        assert (intent.stage, done.stage) == ("intent", "done")
        assert (intent.actor_name, intent.role, intent.reason) == ("Ada", "operator", "looks right")
        assert (intent.object_hash, intent.round, intent.before, intent.after) == (SHA, 1, "pending", "approved")
        assert len(intent.evidence) == 64
        assert [row.meaning for row in rows[1::2]] == ["approve", "withdraw", "reject"]
        assert rows[-1].role == "rule"


def test_that_a_policy_s_word_and_both_of_four_eyes_are_written(tmp_path: Path) -> None:
    by_policy = {"rule": "large updates", "policy": "d" * 64}
    with site(tmp_path) as (box, audit):
        box.decide(Record(SHA, "first_approved", "Ada", "fine", **by_policy), NOW)
        box.decide(Record(SHA, "approved", "Bo", "fine too", delay=SOON, **by_policy), NOW)
        assert told(audit) == [
            ("policy_decided", "done"),
            ("first_approved", "intent"),
            ("first_approved", "done"),
            ("policy_decided", "done"),
            ("approved", "intent"),
            ("approved", "done"),
        ]
        rule, first = audit.entries()[1:3]
        assert (rule.object_id, rule.object_hash, rule.after) == ("large updates", "d" * 64, "first_approved")
        assert rule.evidence == first.evidence and first.meaning == "approve"


def test_that_every_decision_has_its_action() -> None:
    assert set(get_args(Decision)) == set(_ACTIONS)
    assert set(_PROGRAMS) == PROGRAMS, "and no person has the name of a program"


def test_that_the_coordinators_answer_comes_with_its_head(tmp_path: Path) -> None:
    with site(tmp_path) as (box, audit):
        box.decide(APPROVED, NOW)
        box.decide(RELEASED, NOW + SOON)
        box.decide(Record(SHA, "acknowledged", "coordinator", peer_head="c" * 64), NOW + SOON)
        *_, receipt = audit.entries()
        assert (receipt.action_code, receipt.role, receipt.peer) == ("receipt_verified", "coordinator", "coordinator")
        assert receipt.peer_head == "c" * 64


def test_that_the_intent_is_there_even_where_the_decision_could_not_be_written(tmp_path: Path) -> None:
    with site(tmp_path) as (box, audit):
        with box._database.transaction() as connection:
            connection.execute("CREATE TRIGGER no BEFORE UPDATE ON outbox BEGIN SELECT RAISE(ABORT, 'a fault'); END")
        with told_as("a fault"):
            box.decide(APPROVED, NOW)
        assert box.entry(SHA).state == "pending"
        assert told(audit) == [("approved", "intent")]
    with site(tmp_path) as (box, audit):
        assert told(audit) == [("approved", "intent"), ("approved", "failed")], "told at the next start"


def test_that_nothing_is_decided_while_the_chain_takes_no_entry(tmp_path: Path) -> None:
    with site(tmp_path) as (box, audit):
        with full(audit._database, lambda: audit.append(FILLER, now=NOW)):
            with told_as("The disk is full") as caught:
                box.decide(APPROVED, NOW)
            assert caught.value.retryable
            assert box.entry(SHA).state == "pending" and box.decisions() == ()
        assert box.decide(APPROVED, NOW).state == "approved"
        assert told(audit) == [("approved", "intent"), ("approved", "done")]


def test_that_a_result_that_found_no_room_comes_before_the_next_entry(tmp_path: Path) -> None:
    with site(tmp_path) as (_, audit):
        with full(audit._database, lambda: audit.append(FILLER, now=NOW)):
            audit.note(AuditEntry(action_code="paused", role="agent"), now=NOW)
            assert told(audit) == []
        audit.append(AuditEntry(action_code="resumed", role="agent"), now=NOW)
        assert told(audit) == [("paused", "done"), ("resumed", "done")]


def test_that_a_decision_whose_result_a_crash_swallowed_is_told_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*given: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with site(tmp_path) as (box, audit):
        monkeypatch.setattr(audit, "note", crash)
        with pytest.raises(KeyboardInterrupt):
            box.decide(APPROVED, NOW)
    monkeypatch.undo()
    with site(tmp_path) as (box, audit):
        assert box.entry(SHA).state == "approved"
        assert told(audit) == [("approved", "intent"), ("approved", "done")]


def test_that_an_upload_is_written_down_before_its_first_byte(tmp_path: Path) -> None:
    with site(tmp_path) as (box, audit):
        box.decide(APPROVED, NOW)
        box.decide(RELEASED, NOW + SOON)
        before = len(audit.entries())
        box.open_released(BLOB)
        box.open_released(BLOB)
        assert [row.action_code for row in audit.entries()][before:] == ["upload_began"]
        audit.close()
        with pytest.raises(UserFacingError):  # what cannot be written down does not leave
            box.open_released(BLOB)


def test_that_no_update_leaves_without_an_intent(tmp_path: Path) -> None:
    with site(tmp_path) as (box, _):
        box.decide(APPROVED, NOW)
        box.decide(RELEASED, NOW + SOON)
    (tmp_path / "audit.sqlite").unlink()
    audit = Audit(tmp_path / "audit.sqlite", "site", "A")
    audit.append(AuditEntry(action_code="started", role="agent"), now=NOW)
    audit.close()
    with site(tmp_path) as (box, _), told_as("has no entry that it was about to be released"):
        box.open_released(BLOB)


def test_that_a_chain_that_is_gone_is_not_begun_again(tmp_path: Path) -> None:
    with site(tmp_path):
        pass
    (tmp_path / "audit.sqlite").unlink()
    with told_as("is missing or empty"), site(tmp_path):
        pass


def test_that_what_was_released_before_there_was_a_chain_may_still_leave(tmp_path: Path) -> None:
    with site(tmp_path, audited=False) as (box, _):
        box.decide(APPROVED, NOW)
        box.decide(RELEASED, NOW + SOON)
    with site(tmp_path) as (box, audit):
        box.open_released(BLOB)
        assert told(audit) == [
            ("upgraded", "done"),
            ("released", "intent"),
            ("released", "done"),
            ("upload_began", "intent"),
        ]


def test_that_an_approval_in_the_chain_is_of_these_findings_of_the_probes(tmp_path: Path) -> None:
    found = Probes(recall=Recall(beyond=9, usual=4, longest=9, share=0.0, low=0.0, high=0.1, trained=40, held_out=40))
    other = result_of(PLAN, INITIAL, moved(INITIAL, 2))
    hashes = []
    for name, probes in (("none", None), ("some", found), ("same", found)):
        (tmp_path / name).mkdir()
        with site(tmp_path / name) as (box, audit):
            evidence = other.evidence.model_copy(update={"probes": probes})
            box.put(PLAN, replace(other, evidence=evidence), NOW)
            box.decide(replace(APPROVED, sha256=other.update.sha256), NOW)
            (row,) = [one for one in audit.entries() if one.action_code == "approved" and one.stage == "intent"]
            hashes.append(row.evidence)
            assert box.entry(other.update.sha256).evidence.probes == probes, "and they are read back as they were"
    assert hashes[1] == hashes[2] != hashes[0]
