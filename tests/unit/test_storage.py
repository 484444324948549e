# SPDX-License-Identifier: Apache-2.0
"""What survives: the ledger, the outbox and its only door, blobs. Real SQLite, real files, real processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import LocalResult, Plan, Rounds, TrainingSettings
from fedmed_desktop.federation.inputs import SiteDeclined, SiteJoined, TimePassed, UpdateArrived
from fedmed_desktop.federation.part_actions import Record
from fedmed_desktop.storage import BlobStore, Ledger
from fedmed_desktop.storage.database import Database
from fedmed_desktop.storage.outbox import Outbox
from fedmed_desktop.storage.own import OwnStore
from fedmed_desktop.wording import told
from tests.parts.federation import INITIAL, moved, result_of, small_spec
from tests.parts.told import told_as

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOON = timedelta(seconds=10)
SPEC = small_spec()


def plan(round_number: int = 1) -> Plan:
    return Plan(round=round_number, start=INITIAL.sha256, rank=2, training=TrainingSettings(steps=1), seed=1)


def result(seed: int, round_number: int = 1) -> LocalResult:
    return result_of(plan(round_number), INITIAL, moved(INITIAL, seed))


# -- ledger ------------------------------------------------------------------------------------------------------------


def test_that_a_reopened_ledger_gives_the_same_rounds(tmp_path: Path) -> None:
    ledger, rounds = Ledger(tmp_path / "l.sqlite", SPEC), Rounds(SPEC)
    inputs = [
        *(SiteJoined(site=site) for site in "ABC"),
        UpdateArrived(site="A", update=result(1).update),
        SiteDeclined(site="B", round=1, code="kept"),
        TimePassed(),
    ]
    for minute, given_input in enumerate(inputs):
        now = NOW + timedelta(minutes=4 * minute, microseconds=minute)
        assert rounds.handle(given_input, now).changed
        ledger.append(given_input, now, rounds.dump() if minute == 2 else None)
    ledger.close()
    again = Ledger(tmp_path / "l.sqlite", SPEC)
    assert again.load_rounds(SPEC).dump() == rounds.dump()
    again.close()


def test_that_a_folder_of_another_specification_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path / "l.sqlite", SPEC).close()
    with pytest.raises(UserFacingError) as caught:
        Ledger(tmp_path / "l.sqlite", small_spec(seed=5))
    assert caught.value.code == "storage.other_spec" and str(tmp_path) in told(caught.value)
    Ledger(tmp_path / "l.sqlite", SPEC).close()


HOLD = """
import sys
from pathlib import Path
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]) / "site.sqlite", BlobStore(Path(sys.argv[1]) / "blobs"))
print("open", flush=True)
sys.stdin.read()
"""


def test_that_a_second_process_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "open\n"
        with pytest.raises(UserFacingError) as caught:
            Outbox(tmp_path / "site.sqlite", BlobStore(tmp_path / "blobs"))
        assert caught.value.code == "storage.in_use" and str(tmp_path) in told(caught.value)
        holder.kill()
    Outbox(tmp_path / "site.sqlite", BlobStore(tmp_path / "blobs")).close()


def test_that_what_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "l.sqlite").write_bytes(b"no database at all " * 100)
    with pytest.raises(UserFacingError) as caught:
        Ledger(tmp_path / "l.sqlite", SPEC)
    assert caught.value.code == "storage.damaged" and "backup" in told(caught.value)


ONE_TABLE = [["CREATE TABLE t (body TEXT)"]]


def fill(database: Database) -> None:
    """Leaves SQLite as on a full disk: not one page more."""
    with database.transaction() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")


def test_that_a_full_disk_loses_nothing_and_mends_itself(tmp_path: Path) -> None:
    database = Database(tmp_path / "d.sqlite", ONE_TABLE)
    with database.transaction() as connection:
        connection.execute("INSERT INTO t VALUES ('first')")
    fill(database)
    for _ in range(2):
        with pytest.raises(UserFacingError) as caught, database.transaction() as connection:
            connection.execute("INSERT INTO t VALUES ('half')")
            connection.execute("INSERT INTO t VALUES (?)", ("x" * 100_000,))
        assert caught.value.code == "storage.disk_full" and caught.value.retryable
        assert database.rows("SELECT body FROM t") == [("first",)]
    with database.transaction() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    with database.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (?)", ("x" * 100_000,))
    database.close()
    again = Database(tmp_path / "d.sqlite", ONE_TABLE)
    assert [len(body) for (body,) in again.rows("SELECT body FROM t")] == [5, 100_000]
    again.close()


def test_that_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "d.sqlite", ONE_TABLE)
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        connection.execute("INSERT INTO t VALUES ('half')")
        1 / 0  # noqa: B018
    assert database.rows("SELECT * FROM t") == []
    database.close()


def test_that_files_are_the_owners_only(tmp_path: Path) -> None:
    database = Database(tmp_path / "d.sqlite", ONE_TABLE)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}
    database.close()


# -- blobs -------------------------------------------------------------------------------------------------------------


def test_that_a_crash_while_writing_leaves_no_blob_and_no_obstacle(tmp_path: Path) -> None:
    data = b"adapter" * 1000
    sha256 = hashlib.sha256(data).hexdigest()
    store = BlobStore(tmp_path)
    (tmp_path / "parts" / f"{sha256}.new").write_bytes(data[:100])
    assert sha256 not in BlobStore(tmp_path)
    with told_as("not on this disk"):
        store.path(sha256)
    assert store.write(data) == sha256
    assert store.read(sha256) == data and store.size(sha256) == len(data)
    assert list((tmp_path / "parts").iterdir()) == []
    assert store.write(data) == sha256


def test_that_a_blob_that_rotted_on_disk_is_noticed_when_read(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    sha256 = store.write(b"adapter")
    (tmp_path / sha256).write_bytes(b"adaptor")
    with told_as("is not the one that was approved"):
        store.read(sha256)


def test_that_a_sender_holds_one_part_file_and_none_of_another(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    for sender in ("A", "B"):
        for letter in "123":
            store.part_file(letter * 64, sender).write_bytes(b"x")
    store.forget_parts("A", but={"2" * 64})
    assert [store.part_file(letter * 64, "A").exists() for letter in "123"] == [False, True, False]
    assert all(store.part_file(letter * 64, "B").exists() for letter in "123")


def test_that_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    (tmp_path / "parts").rmdir()
    with pytest.raises(UserFacingError) as caught:
        store.write(b"adapter")
    assert caught.value.code == "storage.fault" and str(tmp_path) in told(caught.value)


# -- outbox ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "site.sqlite", BlobStore(tmp_path / "blobs"))
    yield box
    box.close()


MOVES: dict[str, Callable[[Outbox, str], object]] = {
    "approve": lambda box, sha: box.decide(Record(sha, "approved", "ann", "ok", SOON), NOW),
    "take_back": lambda box, sha: box.decide(Record(sha, "taken_back", "ann", "oh"), NOW),
    "release": lambda box, sha: box.decide(Record(sha, "released", "agent"), NOW + SOON),
    "release early": lambda box, sha: box.decide(
        Record(sha, "released", "agent"), NOW + SOON - timedelta(microseconds=1)
    ),
    "keep": lambda box, sha: box.decide(Record(sha, "kept", "ann", "no"), NOW),
    "ask again": lambda box, sha: box.decide(Record(sha, "asked_again", "coordinator"), NOW),
    "expire": lambda box, sha: box.decide(Record(sha, "expired", "agent", "round closed"), NOW),
    "acknowledged": lambda box, sha: box.decide(Record(sha, "acknowledged", "coordinator"), NOW),
    "refused": lambda box, sha: box.decide(Record(sha, "refused", "coordinator", code="update.wrong_rank"), NOW),
}
# The moves that lead to a state.
REACH: dict[str, tuple[str, ...]] = {
    "pending": (),
    "approved": ("approve",),
    "released": ("approve", "release"),
    "acknowledged": ("approve", "release", "acknowledged"),
    "refused": ("approve", "release", "refused"),
    "kept": ("keep",),
    "expired": ("expire",),
}


def reach(state: str, box: Outbox, sha: str) -> None:
    for move in REACH[state]:
        MOVES[move](box, sha)


# from -> {move: to}; what is not named is refused with a sentence, or changes nothing where it already is so.
TABLE: dict[str, dict[str, str]] = {
    "pending": {"approve": "approved", "keep": "kept", "expire": "expired"},
    "approved": {
        "take_back": "pending",
        "release": "released",
        "keep": "kept",
        "expire": "expired",
    },
    "released": {"acknowledged": "acknowledged", "refused": "refused"},
    "acknowledged": {},
    "refused": {},
    "kept": {"ask again": "pending"},
    "expired": {},
}
SAME = {
    ("pending", "take_back"),
    ("pending", "ask again"),
    ("approved", "approve"),
    ("kept", "keep"),
    ("expired", "expire"),
    ("acknowledged", "acknowledged"),
    ("refused", "refused"),
}


@pytest.mark.parametrize("state", TABLE)
@pytest.mark.parametrize("move", MOVES)
def test_that_the_outbox_moves_as_its_table_says(outbox: Outbox, state: str, move: str) -> None:
    sha = outbox.put(plan(), result(1), NOW).sha256
    reach(state, outbox, sha)
    assert outbox.entry(sha).state == state
    recorded = outbox.decisions()
    if move in TABLE[state]:
        MOVES[move](outbox, sha)
        assert outbox.entry(sha).state == TABLE[state][move]
        assert outbox.decisions()[:-1] == recorded
        return
    if (state, move) in SAME:
        MOVES[move](outbox, sha)
    else:
        with pytest.raises(UserFacingError) as caught:
            MOVES[move](outbox, sha)
        assert caught.value.code in ("storage.not_possible_now", "storage.not_released")
        assert len(told(caught.value)) > 20
    assert outbox.entry(sha).state == state and outbox.decisions() == recorded


@pytest.mark.parametrize("state", TABLE)
def test_that_the_door_is_open_for_released_updates_only(outbox: Outbox, state: str) -> None:
    given_result = result(1)
    sha = outbox.put(plan(), given_result, NOW).sha256
    reach(state, outbox, sha)
    part = given_result.update.parts["adapter"].sha256
    if state in ("released", "acknowledged"):
        assert outbox.open_released(part).read_bytes() == given_result.blobs["adapter"]
    else:
        with told_as("may not leave"):
            outbox.open_released(part)


def test_that_damaged_bytes_never_leave(outbox: Outbox, tmp_path: Path) -> None:
    given_result = result(1)
    reach("released", outbox, outbox.put(plan(), given_result, NOW).sha256)
    part = given_result.update.parts["adapter"].sha256
    path = outbox.open_released(part)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    for _ in range(2):
        with told_as("not on this disk"):
            outbox.open_released(part)
    assert not path.exists()


def test_that_a_refusal_keeps_its_code(outbox: Outbox) -> None:
    sha = outbox.put(plan(), result(1), NOW).sha256
    reach("refused", outbox, sha)
    assert outbox.entry(sha).code == "update.wrong_rank"


def test_that_an_unknown_update_is_refused_with_a_sentence(outbox: Outbox) -> None:
    for move in ("approve", "take_back", "release", "keep", "acknowledged", "refused"):
        with pytest.raises(UserFacingError) as caught:
            MOVES[move](outbox, "00" * 32)
        assert caught.value.code == "storage.no_update"


def test_that_a_training_done_twice_is_one_update_with_its_first_decision(outbox: Outbox) -> None:
    sha = outbox.put(plan(), result(1), NOW).sha256
    reach("kept", outbox, sha)
    assert outbox.put(plan(), result(1), NOW).state == "kept"
    assert len(outbox.entries()) == 1


def test_that_blobs_that_are_not_what_the_update_names_are_refused(outbox: Outbox) -> None:
    right = result(1)
    with pytest.raises(UserFacingError) as caught:
        outbox.put(plan(), LocalResult(right.update, result(2).blobs, right.evidence), NOW)
    assert caught.value.code == "update.wrong_hash" and outbox.entries() == []


def test_that_of_a_release_and_a_taking_back_at_once_one_is_refused(tmp_path: Path) -> None:
    """Never both: an operator who was told "taken back" must be able to rely on it."""
    outbox = Outbox(tmp_path / "site.sqlite", BlobStore(tmp_path / "blobs"))
    for seed in range(40):
        sha = outbox.put(plan(), result(seed), NOW).sha256
        reach("approved", outbox, sha)
        barrier, refused = threading.Barrier(2), list[tuple[str, str]]()

        def race(
            move: str, sha: str = sha, barrier: threading.Barrier = barrier, refused: list[tuple[str, str]] = refused
        ) -> None:
            barrier.wait()
            try:
                MOVES[move](outbox, sha)
            except UserFacingError as error:
                refused.append((move, error.code))

        threads = [threading.Thread(target=race, args=(move,)) for move in ("release", "take_back")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        last = [d.decision for d in outbox.decisions() if d.sha256 == sha][-1]
        assert (refused, outbox.entry(sha).state, last) in (
            ([("take_back", "storage.not_possible_now")], "released", "released"),
            ([("release", "storage.not_released")], "pending", "taken_back"),
        )
    outbox.close()


OPERATIONS = st.lists(st.tuples(st.sampled_from([*MOVES, "put", "reopen"]), st.integers(0, 2)), min_size=1, max_size=25)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(operations=OPERATIONS)
def test_that_no_sequence_of_operations_opens_the_door_without_a_recorded_approval_in_effect(
    operations: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("outbox")
    results = [RESULTS[number] for number in range(3)]

    def reopen() -> Outbox:
        return Outbox(folder / "site.sqlite", BlobStore(folder / "blobs"))

    box = reopen()
    try:
        for operation, number in operations:
            sha = results[number].update.sha256
            try:
                if operation == "put":
                    box.put(plan(), results[number], NOW)
                elif operation == "reopen":
                    box.close()
                    box = reopen()
                else:
                    MOVES[operation](box, sha)
            except UserFacingError:
                pass
            check_the_door(box, results)
    finally:
        box.close()


RESULTS = [result(seed) for seed in range(3)]


def check_the_door(box: Outbox, results: list[LocalResult]) -> None:
    """Replays the record of decisions, apart from the outbox's own states."""
    open_for = set()
    for entry in box.entries():
        mine = [d.decision for d in box.decisions() if d.sha256 == entry.sha256]
        approved = "approved" in mine and "taken_back" not in mine[len(mine) - mine[::-1].index("approved") :]
        if approved and "released" in mine and mine[-1] in ("released", "acknowledged"):
            open_for.add(entry.update.parts["adapter"].sha256)
    for one in results:
        part = one.update.parts["adapter"].sha256
        if part in open_for:
            assert box.open_released(part).read_bytes() == one.blobs["adapter"]
        else:
            with told_as("may not leave"):
                box.open_released(part)


@pytest.mark.parametrize("name", ["", ".", "parts", "../site.sqlite", "/etc/passwd", "AB" * 32])
def test_that_only_hashes_name_blobs(tmp_path: Path, name: str) -> None:
    store = BlobStore(tmp_path / "blobs")
    (tmp_path / "site.sqlite").write_bytes(b"x")
    (tmp_path / "blobs" / ("AB" * 32)).write_bytes(b"x")
    assert name not in store
    with told_as("not on this disk"):
        store.path(name)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "", "parts", "00" * 32])
def test_that_the_door_does_not_open_for_names_that_are_no_blob(outbox: Outbox, name: str) -> None:
    reach("released", outbox, outbox.put(plan(), result(1), NOW).sha256)
    with told_as("may not leave"):
        outbox.open_released(name)


def test_that_facts_are_remembered(outbox: Outbox) -> None:
    assert outbox.recall("spec") is None
    outbox.remember("spec", "one")
    outbox.remember("spec", "two")
    assert outbox.recall("spec") == "two"


def test_that_a_record_costs_what_is_new(outbox: Outbox) -> None:
    first = outbox.put(plan(), result(1), NOW)
    MOVES["keep"](outbox, first.sha256)
    before = outbox.record()
    second = outbox.put(plan(2), result(2, 2), NOW)
    MOVES["approve"](outbox, second.sha256)
    after, again = outbox.record(), outbox.record()
    assert after.entries[0] is before.entries[0], "read and checked once"
    assert after.decisions[0] is before.decisions[0] and [d.decision for d in after.decisions] == ["kept", "approved"]
    assert again.decisions is after.decisions and [e.state for e in again.entries] == ["kept", "approved"]
    assert [e.sha256 for e in outbox.in_state("approved", "pending")] == [second.sha256]


def test_that_what_was_rolled_back_is_not_remembered(outbox: Outbox) -> None:
    entry = outbox.put(plan(), result(1), NOW)
    with pytest.raises(ZeroDivisionError), outbox._database.transaction() as connection:
        connection.execute("UPDATE outbox SET state = 'released'")
        assert outbox.entry(entry.sha256).state == "released"
        raise ZeroDivisionError
    assert outbox.entry(entry.sha256).state == "pending" and outbox.in_state("released") == []


# -- what a site keeps for itself --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", ["control", "lost"])
def test_that_own_parts_come_back_in_later_rounds_and_some_only_of_rounds_that_counted(
    bound: str, tmp_path: Path
) -> None:
    own = OwnStore(tmp_path / "own")
    rounds = {n: {name: moved(INITIAL, 10 * n + i) for i, name in enumerate(("B", bound))} for n in (1, 2, 3)}
    for number, parts in rounds.items():
        own.keep(number, parts)
    again = OwnStore(tmp_path / "own")
    assert again.before(1, {1, 2}) == {}
    assert again.before(3, {1}) == {"B": rounds[2]["B"], bound: rounds[1][bound]}
    assert again.before(4, ()) == {"B": rounds[3]["B"]}
    assert again.before(3, {3}) == {"B": rounds[2]["B"]}, "a round does not go on from itself"
    assert again.paths_before(4).keys() == {"B"}


def test_that_what_no_later_round_needs_is_forgotten_and_all_else_stays(tmp_path: Path) -> None:
    own = OwnStore(tmp_path / "own")
    for number in range(1, 6):
        own.keep(number, {"control": moved(INITIAL, number), "personal": moved(INITIAL, -number % 97)})
    before = own.before(5, {1, 2})
    own.forget_before(5, {1, 2})
    assert {path.name for path in (tmp_path / "own").iterdir()} == {"round-2", "round-4", "round-5"}
    assert own.before(5, {1, 2}) == before
    own.keep(6, {})
    assert not (tmp_path / "own" / "round-6").exists()


def test_that_a_round_trained_anew_replaces_what_was_kept_of_it_and_a_half_written_one_does_not_count(
    tmp_path: Path,
) -> None:
    own = OwnStore(tmp_path / "own")
    own.keep(1, {"B": moved(INITIAL, 1), "personal": moved(INITIAL, 2)})
    own.keep(1, {"B": moved(INITIAL, 3)})
    assert own.before(2, ()) == {"B": moved(INITIAL, 3)}
    half = tmp_path / "own" / "round-2.new"
    half.mkdir()
    (half / f"B.{'0' * 64}.safetensors").write_bytes(b"half")
    assert own.before(3, ()) == {"B": moved(INITIAL, 3)}
    own.keep(2, {"B": moved(INITIAL, 4)})
    assert own.before(3, ()) == {"B": moved(INITIAL, 4)} and not half.exists()


def test_that_a_damaged_own_part_is_a_sentence_and_never_taken_for_nothing(tmp_path: Path) -> None:
    own = OwnStore(tmp_path / "own")
    own.keep(1, {"control": moved(INITIAL, 1)})
    (path,) = (tmp_path / "own" / "round-1").iterdir()
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with told_as("remove the folder") as damaged:
        own.before(2, {1})
    assert damaged.value.code == "storage.own_damaged"
    assert own.before(2, ()) == {}, "who does not need it does not meet it"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_that_own_parts_can_be_read_by_nobody_else(tmp_path: Path) -> None:
    OwnStore(tmp_path / "own").keep(1, {"personal": moved(INITIAL, 1)})
    (path,) = (tmp_path / "own" / "round-1").iterdir()
    assert path.stat().st_mode & 0o077 == 0
