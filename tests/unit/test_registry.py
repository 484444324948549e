# SPDX-License-Identifier: Apache-2.0
"""Who may take part: invitations used once, keys bound to names, and decisions of processes side by side."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import pytest

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.identity import PrivateKey, fingerprint
from fedmed_desktop.storage.ledger import LegacySite
from fedmed_desktop.storage.registry import Registry
from fedmed_desktop.storage.roll import OpenInvitation, token_hash
from tests.parts.told import told_as

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
ONE, TWO, THREE = (PrivateKey(bytes([number]) * 32).public for number in (1, 2, 3))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.sqlite"


@pytest.fixture
def registry(path: Path) -> Iterator[Registry]:
    with closing(Registry(path)) as registry:
        yield registry


def invited(registry: Registry, site: str = "Mercy General", valid: timedelta = WEEK) -> bytes:
    return registry.invite(site, valid, NOW, "host")


# -- invitations -------------------------------------------------------------------------------------------------------


def test_that_a_code_lets_in_one_key_under_the_invited_name(registry: Registry) -> None:
    code = invited(registry, "Universitätsklinikum  Köln")
    assert len(code) == 16
    member = registry.join(ONE, site="anything", now=NOW, code=code)
    assert (member.name, member.key, member.state) == ("Universitätsklinikum Köln", ONE, "admitted")
    assert member.fingerprint == fingerprint(ONE) and member.joined == NOW
    assert registry.member("Universitätsklinikum Köln") == member and registry.members() == (member,)
    with told_as("has been used already") as caught:
        registry.join(TWO, site="anything", now=NOW, code=code)
    assert caught.value.code == "join.code_used" and not caught.value.retryable


def test_that_a_site_whose_welcome_was_lost_comes_again_with_its_used_code(registry: Registry) -> None:
    code = invited(registry)
    first = registry.join(ONE, site="x", now=NOW, code=code)
    assert registry.join(ONE, site="x", now=NOW + 2 * WEEK, code=code) == first
    assert registry.join(ONE, site="another name", now=NOW + 2 * WEEK) == first


def test_that_a_code_expires_at_the_moment_that_was_said(registry: Registry) -> None:
    code, other = invited(registry), invited(registry, "Other")
    with told_as("Mercy General expired at 2026-01-08 00:00 UTC") as caught:
        registry.join(ONE, site="x", now=NOW + WEEK, code=code)
    assert caught.value.code == "join.code_expired"
    assert registry.invitations(NOW + WEEK) == ()
    assert registry.join(TWO, site="x", now=NOW + WEEK - timedelta(seconds=1), code=other).name == "Other"


def test_that_without_a_code_or_with_a_guessed_one_nobody_comes_in(registry: Registry) -> None:
    invited(registry)
    for code, expected in ((None, "join.no_invitation"), (bytes(16), "join.code_unknown"), (b"", "join.code_unknown")):
        with pytest.raises(UserFacingError) as caught:
            registry.join(ONE, site="Mercy General", now=NOW, code=code)
        assert caught.value.code == expected
    assert registry.members() == ()


def test_that_only_the_newest_invitation_of_a_name_counts(registry: Registry) -> None:
    first, second = invited(registry), invited(registry)
    assert registry.invitations(NOW) == (OpenInvitation("Mercy General", NOW + WEEK, rotates=False),)
    with told_as("newer one replaced it"):
        registry.join(ONE, site="x", now=NOW, code=first)
    assert registry.join(ONE, site="x", now=NOW, code=second).state == "admitted"


def test_that_names_that_look_alike_are_refused(registry: Registry) -> None:
    code = invited(registry, "St Mary's")
    with told_as("looks like St Mary's"):
        invited(registry, "ST MARY’S")
    registry.join(ONE, site="x", now=NOW, code=code)
    for again, words in (("st mary's", "looks like St Mary's"), ("St Mary's", "has joined already.*--rotate")):
        with told_as(words):
            invited(registry, again)
    with told_as("cannot be a site's name"):
        invited(registry, "St\u202eMary")


def test_that_a_code_is_stored_only_as_a_hash(path: Path, registry: Registry) -> None:
    code = invited(registry)
    registry.join(ONE, site="x", now=NOW, code=code)
    stored = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert code not in stored and code.hex().encode() not in stored and b"Mercy General" in stored


def test_that_of_many_who_use_a_code_at_once_one_comes_in(path: Path, registry: Registry) -> None:
    code = invited(registry)
    others = [Registry(path) for _ in range(4)]  # connections of their own, as in other processes
    barrier, answers = threading.Barrier(8), list[str]()

    def come(number: int) -> None:
        key = PrivateKey(bytes([100 + number]) * 32).public
        barrier.wait()
        try:
            answers.append(others[number % 4].join(key, site="x", now=NOW, code=code).name)
        except UserFacingError as error:
            answers.append(error.code)

    threads = [threading.Thread(target=come, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        other.close()
    assert sorted(answers) == ["Mercy General"] + ["join.code_used"] * 7
    assert len(registry.members()) == 1


# -- without a code ----------------------------------------------------------------------------------------------------


def test_that_where_all_may_come_in_a_free_name_needs_no_code(registry: Registry) -> None:
    assert registry.join(ONE, site=" A ", now=NOW, open_to_all=True).name == "A"
    assert registry.join(ONE, site="B", now=NOW, open_to_all=True).name == "A"
    with told_as("already joined with the name a"):
        registry.join(TWO, site="a", now=NOW, open_to_all=True)
    invited(registry, "Invited")
    with pytest.raises(UserFacingError) as caught:
        registry.join(TWO, site="invited", now=NOW, open_to_all=True)
    assert caught.value.code == "join.name_taken" and len(registry.members()) == 1


def test_that_it_says_whether_anyone_was_ever_invited(registry: Registry) -> None:
    registry.join(ONE, site="A", now=NOW, open_to_all=True)
    assert not registry.has_invited
    invited(registry)
    assert registry.has_invited


# -- decisions of the host ---------------------------------------------------------------------------------------------


def test_that_a_site_waits_until_the_host_has_confirmed_it(registry: Registry) -> None:
    code = invited(registry)
    assert registry.join(ONE, site="x", now=NOW, code=code, confirm=True).state == "waiting"
    assert registry.join(ONE, site="x", now=NOW, confirm=True).state == "waiting"
    confirmed = registry.confirm("mercy general", NOW, "host")
    assert confirmed.state == "admitted" and registry.confirm("Mercy General", NOW, "host") == confirmed
    assert registry.join(ONE, site="x", now=NOW, confirm=True) == confirmed


def test_that_a_revoked_site_comes_in_only_with_a_new_invitation(registry: Registry) -> None:
    code = invited(registry)
    registry.join(ONE, site="x", now=NOW, code=code)
    revoked = registry.revoke("Mercy General", NOW, "host", "left the consortium")
    assert registry.member("Mercy General") == revoked == registry.revoke("Mercy General", NOW, "host")
    for attempt in (None, code):
        with told_as("The host has shut out Mercy General") as caught:
            registry.join(ONE, site="Another", now=NOW, code=attempt, open_to_all=True)
        assert caught.value.code == "join.revoked"
    for decide in (registry.confirm, lambda site, now, by: registry.rotate(site, WEEK, now, by)):
        with told_as("use --invite"):
            decide("Mercy General", NOW, "host")
    with pytest.raises(UserFacingError):
        registry.join(TWO, site="Mercy General", now=NOW, open_to_all=True)
    again = registry.join(ONE, site="x", now=NOW, code=invited(registry))
    assert again.state == "admitted" and again.name == "Mercy General"


def test_that_an_unused_invitation_can_be_taken_back(registry: Registry) -> None:
    code = invited(registry)
    assert registry.revoke("mercy general", NOW, "host") == OpenInvitation("Mercy General", NOW + WEEK, rotates=False)
    with told_as("the host took it back"):
        registry.join(ONE, site="x", now=NOW, code=code)
    assert registry.invitations(NOW) == () == registry.members()
    registry.join(ONE, site="x", now=NOW, code=invited(registry))
    registry.rotate("Mercy General", WEEK, NOW, "host")
    registry.revoke("Mercy General", NOW, "host")
    assert registry.invitations(NOW) == ()


def test_that_a_rotated_site_keeps_its_name_and_loses_its_old_key_at_the_next_join(registry: Registry) -> None:
    first = registry.join(ONE, site="x", now=NOW, code=invited(registry))
    code = registry.rotate("Mercy General", WEEK, NOW, "host")
    assert registry.invitations(NOW) == (OpenInvitation("Mercy General", NOW + WEEK, rotates=True),)
    assert registry.join(ONE, site="x", now=NOW) == first
    second = registry.join(TWO, site="x", now=NOW + WEEK / 2, code=code, confirm=True)
    assert (second.name, second.key, second.state) == ("Mercy General", TWO, "waiting")
    assert second.joined == NOW and registry.members() == (second,)
    with told_as("let in another key under this name"):
        registry.join(ONE, site="x", now=NOW)


def test_that_the_same_key_with_its_rotation_code_need_not_be_confirmed_again(registry: Registry) -> None:
    first = registry.join(ONE, site="x", now=NOW, code=invited(registry))
    code = registry.rotate("Mercy General", WEEK, NOW, "host")
    assert registry.join(ONE, site="x", now=NOW, code=code, confirm=True) == first
    with pytest.raises(UserFacingError) as caught:
        registry.join(TWO, site="x", now=NOW, code=code)
    assert caught.value.code == "join.code_used"


def test_that_a_key_that_is_known_takes_no_second_name(registry: Registry) -> None:
    registry.join(ONE, site="x", now=NOW, code=invited(registry))
    code = invited(registry, "Second")
    assert registry.join(ONE, site="x", now=NOW, code=code).name == "Mercy General"
    assert registry.join(TWO, site="x", now=NOW, code=code).name == "Second"


def test_that_a_site_is_found_by_the_start_of_its_fingerprint(registry: Registry) -> None:
    for number, name in enumerate(("A", "B", "C"), 1):
        registry.join(PrivateKey(bytes([number]) * 32).public, site=name, now=NOW, open_to_all=True, confirm=True)
    start = fingerprint(TWO)[:8]
    assert registry.confirm(f"{start[:4]} {start[4:].upper()}", NOW, "host").name == "B"
    for unknown in ("nobody", "", fingerprint(TWO)[:3], "0" * 8):
        with told_as("--sites"):
            registry.revoke(unknown, NOW, "host")


def test_that_a_start_of_two_fingerprints_is_ambiguous(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedmed_desktop.storage.roll.fingerprint", lambda key: "abcd" + fingerprint(key))
    registry.join(ONE, site="A", now=NOW, open_to_all=True)
    registry.join(TWO, site="B", now=NOW, open_to_all=True)
    with told_as("abcd could be any of these: A, B"):
        registry.revoke("abcd", NOW, "host")


# -- sites of earlier versions -----------------------------------------------------------------------------------------


@pytest.fixture
def legacy(tmp_path: Path) -> tuple[LegacySite, ...]:
    fixture = Path(__file__).parents[1] / "fixtures" / "folders-of-schema-1.zip"
    with zipfile.ZipFile(fixture) as archive:
        archive.extractall(tmp_path / "old")
    with closing(sqlite3.connect(tmp_path / "old" / "coordinator" / "coordinator.sqlite")) as connection:
        found = connection.execute("SELECT name, token_sha256, joined FROM sites ORDER BY rowid").fetchall()
    return tuple(LegacySite(name, digest, datetime.fromisoformat(joined)) for name, digest, joined in found)


def test_that_sites_of_an_earlier_version_bring_their_token_and_get_their_name(
    path: Path, tmp_path: Path, legacy: tuple[LegacySite, ...]
) -> None:
    token = (tmp_path / "old" / "A" / "token").read_text()
    with closing(Registry(path, legacy)) as registry:
        assert [(member.name, member.key, member.state) for member in registry.members()] == [
            ("A", None, "admitted"),
            ("B", None, "admitted"),
        ]
        assert registry.members()[0].joined == legacy[0].joined and registry.members()[0].fingerprint is None
        for site, brought in (("A", "x" * 40), ("b", token)):
            with told_as("already joined with the name"):
                registry.join(ONE, site=site, now=NOW, token=brought)
        with pytest.raises(UserFacingError):
            registry.join(ONE, site="A", now=NOW, open_to_all=True)
        member = registry.join(ONE, site="a", now=NOW, token=token)
        assert (member.name, member.key, member.joined) == ("A", ONE, legacy[0].joined)
        with told_as("already joined with the name"):
            registry.join(TWO, site="A", now=NOW, token=token)
    with closing(Registry(path, legacy)) as again:  # what is known is not imported twice
        assert again.member("A") == member and len(again.members()) == 2


def test_that_a_revoked_site_of_an_earlier_version_does_not_come_back_with_its_token(
    path: Path, legacy: tuple[LegacySite, ...]
) -> None:
    known = LegacySite("Old", token_hash("t" * 40), NOW)
    with closing(Registry(path, (*legacy, known))) as registry:
        registry.revoke("Old", NOW, "host")
        with pytest.raises(UserFacingError) as caught:
            registry.join(ONE, site="Old", now=NOW, token="t" * 40)
        assert caught.value.code == "join.revoked"
        code = registry.rotate("B", WEEK, NOW, "host")  # its token was lost
        assert registry.join(TWO, site="x", now=NOW, code=code).name == "B"


# -- processes side by side --------------------------------------------------------------------------------------------

BESIDE = """
import sys
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from fedmed_desktop.storage.registry import Registry
registry = Registry(Path(sys.argv[1]))
now = datetime(2026, 1, 1, tzinfo=UTC)
for site in sys.argv[3:]:
    if sys.argv[2] == "invite":
        print(registry.invite(site, timedelta(days=7), now, "host").hex(), flush=True)
    else:
        registry.revoke(site, now, "host")
registry.close()
"""


def beside(path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", BESIDE, str(path), *arguments], stdout=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> list[str]:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out.split()


def test_that_processes_invite_and_revoke_beside_an_open_registry(path: Path, registry: Registry) -> None:
    before = registry.version()
    names = [[f"{letter} {number}" for number in range(10)] for letter in "AB"]
    processes = [beside(path, "invite", *some) for some in names]
    codes = dict(zip(chain(*names), chain(*map(finished, processes)), strict=True))
    invited_now = registry.version()
    assert invited_now > before == before and registry.version() == invited_now
    assert len(registry.invitations(NOW)) == 20
    for number, (name, code) in enumerate(codes.items()):
        key = PrivateKey(bytes([number]) * 32).public
        assert registry.join(key, site="x", now=NOW, code=bytes.fromhex(code)).name == name
    joined = registry.version()
    assert joined > invited_now
    finished(beside(path, "revoke", "A 3"))
    assert registry.version() > joined
    assert [member.name for member in registry.members() if member.state == "revoked"] == ["A 3"]


def test_that_processes_may_make_the_registry_at_the_same_time(path: Path) -> None:
    for process in [beside(path, "invite", f"Site {number}") for number in range(4)]:
        assert finished(process)
    with closing(Registry(path)) as registry:
        assert len(registry.invitations(NOW)) == 4


def test_that_a_process_that_writes_for_long_is_waited_for_and_then_named(
    path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedmed_desktop.storage.database._SECONDS_TO_WAIT", 0.01)
    with closing(Registry(path)) as impatient, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with told_as("Another fedmed-desktop has been writing") as caught:
            invited(impatient)
        assert caught.value.code == "storage.busy" and caught.value.retryable
        assert impatient.members() == ()  # readers do not wait
        other.execute("ROLLBACK")
        assert invited(impatient)


# -- what is on the disk -----------------------------------------------------------------------------------------------


def test_that_facts_are_known_to_other_processes(path: Path, registry: Registry) -> None:
    assert registry.recall("address") is None
    registry.remember("address", "fl.example.org:8765")
    registry.remember("address", "fl.example.org:8766")
    with closing(Registry(path)) as other:
        assert other.recall("address") == "fl.example.org:8766"


def test_that_each_event_names_its_time_and_who_made_it(path: Path, registry: Registry) -> None:
    code = registry.invite("A", WEEK, datetime(2026, 1, 1, 9, tzinfo=UTC), "ann")
    registry.join(ONE, site="x", now=NOW, code=code, confirm=True)
    registry.confirm("A", NOW, "bob")
    registry.revoke("A", NOW, "cy", "why " * 400)
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT time, actor, body FROM events ORDER BY seq").fetchall()
    bodies = [json.loads(body) for *_, body in rows]
    assert [(actor, body["event"]) for (_, actor, _), body in zip(rows, bodies, strict=True)] == [
        ("ann", "invited"),
        ("coordinator", "joined"),
        ("bob", "confirmed"),
        ("cy", "revoked"),
    ]
    assert rows[0][0] == "2026-01-01T09:00:00+00:00" and bodies[3]["reason"].startswith("why why")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE events SET body = replace(body, 'true', 'false') WHERE seq = 2", "row 2 .* is not as it was written"),
        ("DELETE FROM events WHERE seq = 3", "row 3 .* is missing"),
        ("DELETE FROM events WHERE seq = 1", "row 1 .* is missing"),
    ],
)
def test_that_a_changed_or_missing_event_is_noticed(path: Path, registry: Registry, change: str, words: str) -> None:
    registry.join(ONE, site="x", now=NOW, code=invited(registry), confirm=True)
    registry.revoke("Mercy General", NOW, "host")
    registry.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(change)
        connection.commit()
    with told_as(words):
        Registry(path)


def test_that_an_event_that_does_not_follow_the_known_ones_is_noticed_while_it_is_open(
    path: Path, registry: Registry
) -> None:
    member = registry.join(ONE, site="x", now=NOW, code=invited(registry))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO events (time, actor, body, hash) SELECT time, actor, body, hash FROM events")
        connection.commit()
    for _ in range(2):
        with told_as("row 3 .* is not as it was written"):
            registry.version()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM events WHERE seq > 2")
        connection.execute("UPDATE sqlite_sequence SET seq = 2")
        connection.commit()
    assert registry.members() == (member,)
