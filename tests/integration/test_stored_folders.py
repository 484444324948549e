# SPDX-License-Identifier: Apache-2.0
"""Folders that earlier versions of the program wrote: they are opened, brought to the newest schema, and gone on with.

`tests/fixtures/make_folders.py` makes such folders, run in a checkout of the version.
"""

from __future__ import annotations

import asyncio
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.coordinator import Host
from fedmed_desktop.federation.inputs import Input, RoundCombined, SiteJoined, UpdateArrived
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.protocol.messages import decode, encode
from fedmed_desktop.scores import Counts, Scores, TaskScores
from fedmed_desktop.site import Jobs
from fedmed_desktop.storage import BlobStore, Ledger
from fedmed_desktop.storage.chain import linked
from fedmed_desktop.storage.journal import Journal
from fedmed_desktop.storage.outbox import Outbox
from fedmed_desktop.storage.registry import Registry
from tests.fixtures.make_folders import SPEC
from tests.parts.federation import INITIAL, moved, result_of
from tests.parts.loopback import PATIENCE, agent, coordinator, running
from tests.parts.told import told_as

FIXTURES = Path(__file__).parents[1] / "fixtures"
MADE = sorted(FIXTURES.glob("folders-of-*.zip"))


@pytest.fixture(params=MADE, ids=lambda path: path.stem)
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(tmp_path)
    return tmp_path


async def to_the_end(folder: Path, jobs: list[Jobs]) -> set[str]:
    """Runs both sites until the federation has finished; what it ended with."""
    async with coordinator(folder / "coordinator", SPEC, []) as (_, port):
        agents = [agent(folder, name, port, one, []) for name, one in zip("AB", jobs, strict=True)]
        async with running(*agents) as tasks:
            return set(await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE))


def schema(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def changed(file: Path, statement: str) -> tuple[str, ...]:
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute(statement).fetchone()
        connection.commit()
    return found or ()


def test_that_there_are_folders() -> None:
    assert MADE[0].name == "folders-of-schema-1.zip"


def test_that_a_federation_of_an_earlier_version_goes_on_and_ends_the_same(folders: Path) -> None:
    async def scenario() -> tuple[set[str], set[str]]:
        return await to_the_end(folders, jobs), await to_the_end(folders / "undisturbed", jobs)

    before = schema(folders / "coordinator" / "coordinator.sqlite")
    jobs = [Jobs(), Jobs()]
    try:
        went_on, undisturbed = asyncio.run(scenario())
    finally:
        for one in jobs:
            one.close()
    assert went_on == undisturbed and len(went_on) == 1
    assert schema(folders / "coordinator" / "coordinator.sqlite") == 4 > before
    assert schema(folders / "A" / "site.sqlite") == 3 > before


def test_that_rows_of_an_earlier_version_are_chained(folders: Path) -> None:
    file = folders / "coordinator" / "coordinator.sqlite"
    first = Ledger(file, SPEC)
    rounds = first.load_rounds(SPEC)
    first.close()
    assert rounds.state.round == 2 and list(rounds.state.updates) == ["A"] and rounds.state.sites == ["A", "B"]
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DELETE FROM inputs WHERE seq = 2")
        connection.commit()
    again = Ledger(file, SPEC)
    with told_as("row 2 of its table inputs is missing"):
        again.load_rounds(SPEC)
    again.close()


def test_that_names_and_decisions_of_an_earlier_version_still_count(folders: Path) -> None:
    ledger = Ledger(folders / "coordinator" / "coordinator.sqlite", SPEC)
    outbox = Outbox(folders / "A" / "site.sqlite", BlobStore(folders / "A" / "blobs"))
    token = (folders / "A" / "token").read_text()
    now = outbox.decisions()[-1].time
    registry = Registry(folders / "coordinator" / "registry.sqlite", ledger.legacy_sites())
    with told_as("already joined"):
        registry.join(PrivateKey.new().public, site="A", token="x" * 40, now=now, open_to_all=True)
    assert registry.join(PrivateKey.new().public, site="A", token=token, now=now).state == "admitted"
    registry.close()
    assert [(d.round, d.decision) for d in outbox.decisions()] == [
        (number, word) for number in (1, 2) for word in ("approved", "released", "acknowledged")
    ]
    ledger.close()
    outbox.close()
    journal = Journal(folders / "B" / "metrics.sqlite", lambda fault: pytest.fail(str(fault)))
    assert [event.step for event in journal.events() if isinstance(event, events.TrainingStep)] == [1, 2, 3]
    journal.close()


@pytest.mark.parametrize("file", ["coordinator/coordinator.sqlite", "A/site.sqlite"])
def test_that_a_schema_of_a_later_version_is_refused_and_left_as_it_is(file: str, folders: Path) -> None:
    path = folders / file
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 77")
    before = path.read_bytes()
    with told_as(r"newer version .* \(schema 77; this one knows [34]\)") as caught:
        if path.parent.name == "A":
            Outbox(path, BlobStore(path.parent / "blobs"))
        else:
            Ledger(path, SPEC)
    assert caught.value.code == "storage.newer" and path.read_bytes() == before


def test_that_a_migration_that_is_cut_off_is_made_again(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fedmed_desktop.storage import ledger as module

    file = folders / "coordinator" / "coordinator.sqlite"
    if schema(file) == 2:
        pytest.skip("there is nothing to bring forward")

    def cut(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE sites")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        first, second, *later = module._MIGRATIONS
        patch.setattr(module, "_MIGRATIONS", (first, (*second[:-1], cut), *later))
        with pytest.raises(KeyboardInterrupt):
            Ledger(file, SPEC)
    assert schema(file) == 1
    whole = Ledger(file, SPEC)
    assert whole.load_rounds(SPEC).state.round == 2
    whole.close()


def test_that_decisions_of_an_earlier_version_are_of_no_policy_and_damage_to_them_still_shows(folders: Path) -> None:
    file, blobs = folders / "A" / "site.sqlite", BlobStore(folders / "A" / "blobs")
    before = schema(file)
    if before == 2:
        (hashed,) = changed(file, "SELECT hash FROM decisions WHERE seq = 2")
        changed(file, "UPDATE decisions SET hash = 'x' WHERE seq = 2")
        with told_as("row 2 of its table decisions is not as it was written"):
            Outbox(file, blobs)
        changed(file, f"UPDATE decisions SET hash = '{hashed}' WHERE seq = 2")
        assert schema(file) == 2, "a damaged record is left as it is"
    outbox = Outbox(file, blobs)
    assert {(one.rule, one.policy) for one in outbox.decisions()} == {("", "")}
    assert [(entry.state, entry.first_by) for entry in outbox.entries()] == [("acknowledged", "")] * 2
    outbox.close()
    Outbox(file, blobs).close()


@pytest.mark.parametrize("closed", [False, True], ids=["in an open round", "in a closed round"])
def test_that_a_value_that_an_earlier_version_let_through_locks_nobody_out(closed: bool, tmp_path: Path) -> None:
    """As found: a count of thousands of digits made every later standing one that no site could read."""
    path, blobs = tmp_path / "coordinator.sqlite", BlobStore(tmp_path / "blobs")
    blobs.write(INITIAL.to_blob())
    seen: list[events.Event] = []
    first = Host(SPEC, tmp_path, seen.append)
    ledger, now, rounds = first._ledger, first._clock(), first.rounds
    inputs: list[Input] = [SiteJoined(site=site) for site in "AB"]
    for given in inputs:
        rounds.handle(given, now)
    absurd = Counts.model_construct(tp=10**4000, fp=0, fn=0)
    scores = Scores.model_construct(
        tasks={"entities": TaskScores.model_construct(strict={"drug": absurd}, lenient={}, unified=absurd, means={})}
    )
    wild: dict[str, object] = {"notes": 10**400, "seconds": 1e300, "scores_after": scores}
    for site in "AB":
        update = result_of(rounds.state.plans[site], INITIAL, moved(INITIAL, ord(site))).update
        report = update.report.model_copy(update=wild if site == "A" else {})
        inputs.append(UpdateArrived(site=site, update=update.model_copy(update={"report": report})))
    for given in inputs[: 4 if closed else 3]:
        ledger.append(given, now)
    if closed:
        adapter = blobs.write(moved(INITIAL, 9).to_blob())
        ledger.append(RoundCombined(round=1, adapter=adapter, residual=0.0, norm=1.0, effective_rank=1.0), now)
        dump = ledger.load_rounds(SPEC).dump().replace(str(2**53), str(10**400))
        ledger.close()
        with closing(sqlite3.connect(path)) as connection:  # as the earlier version wrote it
            (before,) = connection.execute("SELECT hash FROM inputs WHERE seq = 5").fetchone()
            connection.execute("INSERT INTO dumps VALUES (5, ?, ?)", (dump, linked(before, dump)))
            connection.commit()
    ledger.close()
    seen.clear()
    again = Host(SPEC, tmp_path, seen.append)
    state = again.rounds.state
    report = (state.history[0].sites["A"].update if closed else state.updates["A"]).report
    told = asyncio.run(again.bulletin.for_site("B", {}))
    again._ledger.close()
    assert decode(encode(told)) == told and told.round == (2 if closed else 1)
    (warned,) = [event for event in seen if isinstance(event, events.Warned)]
    assert warned.code == "storage.row_out_of_bounds" and warned.params["path"] == str(path)
    assert (warned.params["table"], warned.params["row"]) == (("dumps", 5) if closed else ("inputs", 3))
    entities = report.scores_after["entities"]
    assert entities.unified.tp == entities.strict["drug"].tp == report.notes == 2**53
