# SPDX-License-Identifier: Apache-2.0
"""A damaged or lost ledger or outbox is refused in words, and nothing that was acknowledged is forgotten."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from fedmed_desktop import events
from fedmed_desktop.coordinator import Host
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import LocalResult, Plan, Rounds, TrainingSettings
from fedmed_desktop.federation import part_actions as do
from fedmed_desktop.federation.inputs import Input, RoundCombined, SiteJoined, UpdateArrived
from fedmed_desktop.storage import BlobStore, Ledger
from fedmed_desktop.storage.ledger import KEPT_DUMPS
from fedmed_desktop.storage.outbox import Outbox
from fedmed_desktop.storage.roll import token_hash
from fedmed_desktop.wording import told
from tests.parts.federation import INITIAL, moved, result_of, small_spec
from tests.parts.told import told_as

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = small_spec(sites=2)
NEXT = moved(INITIAL, 9)


def begun(folder: Path) -> Rounds:
    """A coordinator's folder in round 2: both sites counted in round 1, site A counts in round 2."""
    blobs = BlobStore(folder / "blobs")
    blobs.write(INITIAL.to_blob())
    ledger, rounds = Ledger(folder / "coordinator.sqlite", SPEC), Rounds(SPEC)

    def feed(given: Input, minute: int) -> None:
        now = NOW + timedelta(minutes=minute)
        assert rounds.handle(given, now).changed
        ledger.append(given, now, rounds.dump() if given.input == "combined" else None)

    for minute, site in enumerate("AB"):
        with ledger._database.transaction() as connection:  # as an earlier version let a site in
            ledger._sites.append(connection, site, token_hash(site * 40), NOW.isoformat())
        feed(SiteJoined(site=site), minute)
    for minute, (site, seed) in enumerate((("A", 1), ("B", 2)), 2):
        result = result_of(rounds.state.plans[site], INITIAL, moved(INITIAL, seed))
        blobs.write(result.blobs["adapter"])
        feed(UpdateArrived(site=site, update=result.update), minute)
    adapter = blobs.write(NEXT.to_blob())
    feed(RoundCombined(round=1, adapter=adapter, residual=0.0, norm=1.0, effective_rank=1.0), 4)
    feed(UpdateArrived(site="A", update=result_of(rounds.state.plans["A"], NEXT, moved(NEXT, 3)).update), 5)
    ledger.close()
    return rounds


def opened(folder: Path) -> tuple[str, list[events.Event]]:
    """The state that a coordinator takes up from the folder, and what it says meanwhile."""
    seen: list[events.Event] = []
    host = Host(SPEC, folder, seen.append)
    host._ledger.close()
    return host.rounds.dump(), seen


def changed(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, statement
        connection.commit()


LEDGER_DAMAGE: dict[str, str] = {
    "a row in the middle": "DELETE FROM inputs WHERE seq = 3",
    "the last row": "DELETE FROM inputs WHERE seq = 6",
    "all rows": "DELETE FROM inputs",
    "another update": "UPDATE inputs SET body = REPLACE(body, '\"notes\":10', '\"notes\":90') WHERE seq = 4",
    "another time": "UPDATE inputs SET time = '2026-01-01T00:07:00+00:00' WHERE seq = 4",
    "no time": "UPDATE inputs SET time = 'yesterday' WHERE seq = 4",
    "half a row": "UPDATE inputs SET body = SUBSTR(body, 1, 40) WHERE seq = 6",
    "an owner": "UPDATE sites SET token_sha256 = 'x' WHERE name = 'A'",
    "a site": "DELETE FROM sites WHERE name = 'B'",
    "the specification": "UPDATE spec SET body = '{'",
    "no specification": "DELETE FROM spec",
}


@pytest.mark.parametrize("damage", LEDGER_DAMAGE)
def test_that_a_damaged_ledger_is_refused_with_what_to_do(damage: str, tmp_path: Path) -> None:
    rounds = begun(tmp_path)
    assert opened(tmp_path) == (rounds.dump(), [])
    changed(tmp_path / "coordinator.sqlite", LEDGER_DAMAGE[damage])
    with pytest.raises(UserFacingError) as caught:
        opened(tmp_path)
    assert caught.value.code in ("storage.damaged_row", "storage.lost")
    assert "from a backup" in told(caught.value) and str(tmp_path) in told(caught.value)
    with closing(sqlite3.connect(tmp_path / "coordinator.sqlite", timeout=0)) as connection:
        connection.execute("BEGIN EXCLUSIVE")  # what was refused holds no lock


def test_that_row_and_table_are_named(tmp_path: Path) -> None:
    begun(tmp_path)
    changed(tmp_path / "coordinator.sqlite", "DELETE FROM inputs WHERE seq = 3")
    with told_as("row 3 of its table inputs is missing"):
        opened(tmp_path)


@pytest.mark.parametrize("left", ["nothing", "an empty file", "zeros", "an empty database"])
def test_that_adapters_beside_an_empty_ledger_are_no_new_federation(left: str, tmp_path: Path) -> None:
    begun(tmp_path)
    file = tmp_path / "coordinator.sqlite"
    size = file.stat().st_size
    file.unlink()
    if left == "an empty file":
        file.touch()
    elif left == "zeros":
        file.write_bytes(bytes(size))
    elif left == "an empty database":
        Ledger(file, SPEC).close()
        changed(file, "DELETE FROM spec")
    with pytest.raises(UserFacingError) as caught:
        opened(tmp_path)
    assert caught.value.code in ("storage.lost", "storage.damaged")
    assert "backup" in told(caught.value)


@pytest.mark.slow
def test_that_a_flipped_byte_anywhere_in_the_ledger_is_found_or_harmless(tmp_path: Path) -> None:
    whole = begun(tmp_path / "whole").dump()
    data = bytearray((tmp_path / "whole" / "coordinator.sqlite").read_bytes())
    refused = 0
    for at in range(100, len(data), 97):
        folder = tmp_path / "damaged"
        shutil.copytree(tmp_path / "whole", folder)
        flipped = bytearray(data)
        flipped[at] ^= 0x10
        (folder / "coordinator.sqlite").write_bytes(flipped)
        try:
            assert opened(folder)[0] == whole
        except UserFacingError as error:
            refused += 1
            assert error.code.startswith("storage."), error
        shutil.rmtree(folder)
    assert refused > 20


def test_that_a_killed_coordinator_with_a_garbage_journal_has_forgotten_nothing(tmp_path: Path) -> None:
    begun(tmp_path / "a")
    ledger = Ledger(tmp_path / "a" / "coordinator.sqlite", SPEC)
    rounds = ledger.load_rounds(SPEC)
    given = UpdateArrived(site="B", update=result_of(rounds.state.plans["B"], NEXT, moved(NEXT, 4)).update)
    assert rounds.handle(given, NOW + timedelta(minutes=6)).changed
    ledger.append(given, NOW + timedelta(minutes=6))
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # as a kill leaves it
    ledger.close()
    journal = tmp_path / "b" / "coordinator.sqlite-wal"
    journal.write_bytes(b"garbage!" * (journal.stat().st_size // 8))
    assert opened(tmp_path / "b")[0] == rounds.dump()


def test_that_a_damaged_dump_costs_time_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rounds = begun(tmp_path)
    statement = 'UPDATE dumps SET body = REPLACE(body, \'"phase":"open"\', \'"phase":"finished"\')'
    changed(tmp_path / "coordinator.sqlite", statement)
    assert opened(tmp_path)[0] == rounds.dump()
    assert "dump 5 is damaged" in caplog.text


def test_that_of_the_dumps_only_the_newest_are_kept_and_of_the_inputs_all(tmp_path: Path) -> None:
    ledger, rounds = Ledger(tmp_path / "coordinator.sqlite", SPEC), Rounds(SPEC)
    for number in range(KEPT_DUMPS + 2):
        given = SiteJoined(site=f"site {number}")
        rounds.handle(given, NOW)
        ledger.append(given, NOW, rounds.dump())
    ledger.close()
    with closing(sqlite3.connect(tmp_path / "coordinator.sqlite")) as file:
        kept = [seq for (seq,) in file.execute("SELECT seq FROM dumps ORDER BY seq")]
        assert file.execute("SELECT COUNT(*) FROM inputs").fetchone() == (KEPT_DUMPS + 2,)
    assert kept == list(range(3, KEPT_DUMPS + 3))
    again = Ledger(tmp_path / "coordinator.sqlite", SPEC)
    assert again.load_rounds(SPEC).dump() == rounds.dump()
    again.close()


# -- a site's outbox --------------------------------------------------------------------------------------------------


def decided(folder: Path) -> tuple[Plan, LocalResult]:
    """A site's folder with one update that counts and one that is kept."""
    outbox = Outbox(folder / "site.sqlite", BlobStore(folder / "blobs"))
    for number, seed in ((1, 1), (2, 2)):
        plan = Plan(round=number, start=INITIAL.sha256, rank=2, training=TrainingSettings(steps=1), seed=seed)
        result = result_of(plan, INITIAL, moved(INITIAL, seed))
        sha = outbox.put(plan, result, NOW).sha256
        if number == 1:
            for decision in ("approved", "released", "acknowledged"):
                outbox.decide(do.Record(sha, decision, "ann", "ok"), NOW)
        else:
            outbox.decide(do.Record(sha, "kept", "ann", "no"), NOW)
    outbox.close()
    return plan, result


OUTBOX_DAMAGE: dict[str, str] = {
    "a decision": "DELETE FROM decisions WHERE seq = 2",
    "the last decision": "DELETE FROM decisions WHERE seq = 4",
    "another reason": "UPDATE decisions SET reason = 'yes' WHERE decision = 'kept'",
    "released by nobody": "UPDATE outbox SET state = 'released' WHERE round = 2",
    "an update": "DELETE FROM outbox WHERE round = 1",
    "half an update": "UPDATE outbox SET body = SUBSTR(body, 1, 30) WHERE round = 2",
    "half a plan": "UPDATE outbox SET plan = SUBSTR(plan, 1, 30) WHERE round = 2",
    "no time": "UPDATE outbox SET effective = 'soon' WHERE round = 2",
}


@pytest.mark.parametrize("damage", OUTBOX_DAMAGE)
def test_that_a_damaged_outbox_is_refused_with_what_to_do(damage: str, tmp_path: Path) -> None:
    decided(tmp_path)
    changed(tmp_path / "site.sqlite", OUTBOX_DAMAGE[damage])
    with told_as("from a backup") as caught:
        box = Outbox(tmp_path / "site.sqlite", BlobStore(tmp_path / "blobs"))
        try:
            box.record()
        finally:
            box.close()
    assert caught.value.code == "storage.damaged_row"


@pytest.mark.parametrize("remove", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["removed", "emptied"])
def test_that_adapters_beside_an_empty_outbox_are_no_new_site(remove: Callable[[Path], object], tmp_path: Path) -> None:
    decided(tmp_path)
    remove(tmp_path / "site.sqlite")
    with pytest.raises(UserFacingError) as caught:
        Outbox(tmp_path / "site.sqlite", BlobStore(tmp_path / "blobs"))
    assert caught.value.code == "storage.lost" and "backup" in told(caught.value)


@pytest.mark.parametrize(
    ("file", "harm"),
    [
        ("audit.sqlite", ("DELETE FROM entries", "DELETE FROM sqlite_sequence")),
        ("registry.sqlite", ("DELETE FROM facts",)),
    ],
)
async def test_that_a_coordinator_that_does_not_start_leaves_no_file_open(
    file: str, harm: tuple[str, ...], tmp_path: Path
) -> None:
    """Where it runs in a program that goes on, Windows would let nobody put the backup there."""
    BlobStore(tmp_path / "blobs").write(INITIAL.to_blob())
    host = Host(SPEC, tmp_path, lambda event: None)
    await host.start()
    await host.stop()
    with closing(sqlite3.connect(tmp_path / file)) as connection:
        for statement in harm:
            connection.execute(statement)
        connection.commit()
    try:
        Host(SPEC, tmp_path, lambda event: None)
    except UserFacingError as error:  # which holds the frame, and with it what that has opened
        assert error.code == "storage.lost"
        open_files = [one.path for one in psutil.Process().open_files()]
        assert [path for path in open_files if path.startswith(str(tmp_path))] == []
    else:
        pytest.fail("it has started")
