# SPDX-License-Identifier: Apache-2.0
"""The host's commands: inviting, listing, confirming, revoking, beside a coordinator's open registry and before it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import zxingcpp

from fedmed_desktop import cli
from fedmed_desktop.cli.coordinator import address_with
from fedmed_desktop.cli.durations import duration
from fedmed_desktop.coordinator.inviting import issue
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.identity import PrivateKey, phrase
from fedmed_desktop.protocol.invitation import read_invitation
from fedmed_desktop.storage.audit import FILE, Audit
from fedmed_desktop.storage.audit_file import verify_audit
from fedmed_desktop.storage.registry import REGISTRY_FILE, Registry
from fedmed_desktop.storage.secrets import load_key
from tests.parts.told import told_as

ONE, TWO = (PrivateKey(bytes([number]) * 32).public for number in (1, 2))
ADDRESS = "fl.example.org:8765"

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "coordinator"


@pytest.fixture
def command(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Runs one command on the data folder, in a folder of its own: exit status, stdout, stderr."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main([*arguments, "--data-dir", str(data_dir)])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def running(data_dir: Path) -> Iterator[Registry]:
    """The registry as a running coordinator has it open."""
    load_key(data_dir, "coordinator")
    with closing(Registry(data_dir / REGISTRY_FILE)) as registry:
        for name, value in (("address", ADDRESS), ("federation", "Sepsis"), ("roots", ""), ("confirm", "")):
            registry.remember(name, value)
        yield registry


def now() -> datetime:
    return datetime.now(UTC)


def joined(registry: Registry, line: str, key: str = ONE, confirm: bool = False) -> None:
    registry.join(key, site="x", now=now(), code=read_invitation(line).code, confirm=confirm)


def test_that_an_invitation_is_one_line_with_a_file_and_works_beside_a_running_coordinator(
    command: Command, running: Registry, data_dir: Path
) -> None:
    status, line, said = command("--invite", "Universitätsklinikum Köln", "--valid", "12h")
    assert status == 0 and line.count("\n") == 1
    invitation = read_invitation(line)
    assert (invitation.site, invitation.address) == ("Universitätsklinikum Köln", ADDRESS)
    assert invitation.fingerprint == load_key(data_dir, "coordinator")[0].fingerprint and not invitation.roots
    file = Path("Universitätsklinikum Köln.fedmed")
    assert read_invitation(file.read_text("utf-8")) == invitation and "Sepsis" in file.read_text("utf-8")
    assert str(file) in said and "works once, until" in said and "six words" in said and "--revoke" in said
    (opened,) = running.invitations(now())
    assert timedelta(hours=11) < opened.until - now() <= timedelta(hours=12)
    joined(running, line)
    assert running.member("Universitätsklinikum Köln") is not None


def test_that_a_terminal_gets_a_qr_code_that_a_camera_reads(
    command: Command, running: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    line, *drawn = command("--invite", "Mercy General")[1].splitlines()
    blocks = [row.removeprefix("\x1b[97;40m").removesuffix("\x1b[0m") for row in drawn]
    light = {"█": (1, 1), "▀": (1, 0), "▄": (0, 1), " ": (0, 0)}
    squares = np.array([[light[block][half] for block in row] for row in blocks for half in (0, 1)], np.uint8)
    picture = np.kron(squares * 255, np.ones((4, 4), np.uint8))
    (found,) = zxingcpp.read_barcodes(picture)
    assert read_invitation(found.text) == read_invitation(line)


def test_that_the_steps_name_the_confirmation_where_sites_must_be_confirmed(
    command: Command, running: Registry
) -> None:
    running.remember("confirm", "yes")
    _, _, said = command("--invite", "St Mary's")
    assert "--confirm 'St Mary'\"'\"'s'" in said and "--revoke" not in said


def test_that_a_site_can_be_invited_before_the_coordinator_has_ever_run(command: Command, data_dir: Path) -> None:
    status, line, said = command("--invite", "A", "--public-address", "[2001:db8::1]:443")
    assert status == 0 and "it has not run there yet" in said
    assert read_invitation(line).address == "[2001:db8::1]:443"
    assert read_invitation(line).fingerprint == load_key(data_dir, "coordinator")[0].fingerprint
    with closing(Registry(data_dir / REGISTRY_FILE)) as registry:
        joined(registry, line)


def test_that_without_an_address_or_a_coordinator_nothing_is_made(command: Command, data_dir: Path) -> None:
    for arguments in (("--invite", "A"), ("--rotate", "A"), ("--sites",), ("--confirm", "A"), ("--revoke", "A")):
        status, out, said = command(*arguments)
        assert status == 2 and not out and "No coordinator has run with the folder" in said
        assert not data_dir.exists()
    Registry(data_dir / REGISTRY_FILE).close()  # it runs on this computer alone
    status, out, said = command("--invite", "A")
    assert status == 2 and not out and "--public-address HOST:PORT" in said


def test_that_an_earlier_invitation_is_written_over_and_nothing_else(command: Command, running: Registry) -> None:
    first, second = command("--invite", "A")[1], command("--invite", "A")[1]
    assert read_invitation(Path("A.fedmed").read_text()) == read_invitation(second) != read_invitation(first)
    for other in ("my notes", Path("A.fedmed").read_text().replace(second.strip(), command("--invite", "B")[1])):
        Path("A.fedmed").write_text(other)
        status, out, said = command("--invite", "A")
        assert status == 2 and not out and "Move it away" in said and Path("A.fedmed").read_text() == other
    joined(running, second)  # a refused command withdraws nothing
    assert command("--invite", "C", "--out", "new/folder")[0] == 0 and Path("new/folder/C.fedmed").exists()


def test_that_a_name_that_windows_keeps_for_a_device_is_no_files(
    running: Registry, data_dir: Path, tmp_path: Path
) -> None:
    issued = issue(data_dir, "Con", timedelta(days=1), now(), "host", out=tmp_path)
    assert issued.file == tmp_path / "Con_.fedmed" and issued.invitation.site == "Con"


def test_that_a_site_with_a_new_key_gets_a_line_too(command: Command, running: Registry) -> None:
    joined(running, command("--invite", "Mercy General")[1])
    assert "has joined already" in command("--invite", "Mercy General")[2]
    status, line, _ = command("--rotate", "mercy general")
    assert status == 0 and read_invitation(line).site == "Mercy General"
    joined(running, line, TWO)
    assert [member.key for member in running.members()] == [TWO]
    assert "No site has the name Other" in command("--rotate", "Other")[2]


def test_that_a_host_is_invited_listed_apart_and_shut_out(
    command: Command, running: Registry, data_dir: Path, tmp_path: Path
) -> None:
    status, out, err = command("--invite-host", "Dr. Host")
    invitation = read_invitation(out)
    assert status == 0 and (invitation.role, invitation.site) == ("host", "Dr. Host")
    assert "can host this federation" in err and "six words" in err
    assert "as a host of" in (tmp_path / "here" / "Dr. Host.fedmed").read_text("utf-8")
    assert "Dr. Host: as a host, valid until" in command("--sites")[1]
    running.join(ONE, site="Dr. Host", now=now(), code=invitation.code, role="host")
    shown = command("--sites")[1].splitlines()
    assert shown[:2] == ["0 sites", "1 host"] and shown[2].startswith("  Dr. Host: admitted, fingerprint ")
    listed = json.loads(command("--sites", "--json")[1])
    assert listed["sites"] == [] and [one["name"] for one in listed["hosts"]] == ["Dr. Host"]
    status, _, err = command("--invite", "Dr. Host")
    assert status == 2 and "another role" in err
    assert read_invitation(command("--rotate", "Dr. Host")[1]).role == "host"
    assert command("--revoke", "Dr. Host")[0] == 0 and "Dr. Host: revoked" in command("--sites")[1]
    with closing(Audit(data_dir / FILE, "coordinator", "")) as audit:
        told = [(row.action_code, row.object_type) for row in audit.entries() if row.stage == "done"]
    assert told == [("invited", "host"), ("rotated", "host"), ("revoked", "host")]


def test_that_the_sites_are_listed_with_the_words_that_they_show_too(
    command: Command, running: Registry, data_dir: Path
) -> None:
    joined(running, command("--invite", "Mercy General")[1], confirm=True)
    command("--invite", "Köln")
    words = phrase(load_key(data_dir, "coordinator")[0].public, ONE)
    member = running.members()[0]
    _, out, _ = command("--sites")
    lines = out.splitlines()
    assert lines[:3] == [
        "1 site",
        f"  Mercy General: waits for --confirm, fingerprint {str(member.fingerprint)[:16]}, "
        f"joined {member.joined:%Y-%m-%d}",
        f"    {words}",
    ]
    assert lines[3] == "1 open invitation" and lines[4].startswith("  Köln: valid until ")
    listed = json.loads(command("--sites", "--json")[1])
    assert listed["sites"] == [
        {
            "name": "Mercy General",
            "state": "waiting",
            "fingerprint": member.fingerprint,
            "words": words,
            "joined": member.joined.isoformat(),
        }
    ]
    assert [one["name"] for one in listed["invitations"]] == ["Köln"]


def test_that_a_site_is_confirmed_and_shut_out_from_beside(command: Command, running: Registry) -> None:
    joined(running, command("--invite", "Mercy General")[1], confirm=True)
    before = running.version()
    assert command("--confirm", "Mercy General")[:2] == (0, "Mercy General is admitted.\n")
    assert [member.state for member in running.members()] == ["admitted"] and running.version() > before
    start = str(running.members()[0].fingerprint)[:12]
    status, out, _ = command("--revoke", start, "--reason", "left")
    assert status == 0 and out.startswith("Mercy General is shut out.")
    assert [member.state for member in running.members()] == ["revoked"]
    line = command("--invite", "B")[1]
    assert command("--revoke", "B")[1] == "The invitation of B is taken back.\n"
    with told_as("took it back"):
        joined(running, line, TWO)


def test_that_the_commands_work_as_processes_of_their_own(data_dir: Path, running: Registry, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "fedmed_desktop", *arguments, "--data-dir", str(data_dir)]
        done = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", timeout=60, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    joined(running, run("--invite", "Mercy General", "--out", str(tmp_path)))
    seen = running.version()
    run("--revoke", "Mercy General")
    assert running.version() > seen
    with pytest.raises(UserFacingError) as caught:
        running.join(ONE, site="x", now=now())
    assert caught.value.code == "join.revoked"


def test_that_who_has_not_joined_yet_cannot_be_confirmed_and_is_told_apart_from_a_stranger(
    command: Command, running: Registry
) -> None:
    command("--invite", "Mercy General")
    for flag in ("--confirm", "--rotate"):
        status, _, said = command(flag, "Mercy General")
        assert status == 2 and "Mercy General has not used its invitation yet. Do this once it has joined" in said
        assert "No site has the name Nobody" in command(flag, "Nobody")[2]


@pytest.mark.parametrize(("text", "expected"), [("30m", 1800), ("12h", 43200), ("7d", 604800), (" 2 W ", 1209600)])
def test_that_a_duration_is_a_number_and_a_unit(text: str, expected: int) -> None:
    assert duration(text).total_seconds() == expected


@pytest.mark.parametrize("text", ["", "7", "soon", "-1d", "0d", "1.5h", "366d", "9999999w", "1y", "٧d"])
def test_that_another_duration_is_refused_in_words(
    text: str, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--invite", "A", "--data-dir", str(data_dir), f"--valid={text}"])
    said = capsys.readouterr().err
    assert "--invite: --valid: " in said and ("such as 30m, 12h or 7d" in said or "from 1m to 365d" in said)
    assert not data_dir.exists()


@pytest.mark.parametrize("text", ["here", "host:", ":80", "host:0", "host:70000", "a@b:80", "http://x:80", "x:80/y"])
def test_that_an_address_is_a_host_and_a_port(text: str, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--invite", "A", "--data-dir", str(data_dir), "--public-address", text])
    assert "--invite: --public-address: " in capsys.readouterr().err and not data_dir.exists()


def test_that_the_other_modes_keep_their_option_sites(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--demo", "--sites", "x"], ["--sites", "x", "--demo"]):
        with pytest.raises(SystemExit):
            cli.main(arguments)
        assert "fedmed-desktop --demo: --sites: " in capsys.readouterr().err


def test_that_each_decision_of_the_host_is_in_the_audit_chain_before_and_after_it(
    command: Command, running: Registry, data_dir: Path
) -> None:
    _, line, _ = command("--invite", "Mercy General")
    joined(running, line, confirm=True)
    assert command("--confirm", "Mercy General")[0] == 0
    assert command("--rotate", "Mercy General")[0] == 0
    assert command("--revoke", "Mercy General", "--reason", "moved")[0] == 0
    assert command("--revoke", "Nobody")[0] == 2
    verdict = verify_audit(data_dir)
    assert verdict.fault is None
    rows = verdict.file.rows
    assert [(row["action_code"], row["stage"]) for row in rows] == [
        (action, stage) for action in ("invited", "confirmed", "rotated", "revoked") for stage in ("intent", "done")
    ] + [("revoked", "intent"), ("revoked", "failed")]
    assert {row["object_id"] for row in rows[:-2]} == {"Mercy General"} and rows[-1]["after"].startswith("registry.")
    assert {row["meaning"] for row in rows if row["action_code"] == "confirmed"} == {"confirm"}
    assert all(row["role"] == "host" and row["actor_name"] and row["reason"] == "" for row in rows)
    assert {row["host_id"] for row in rows} == {load_key(data_dir, "coordinator")[0].fingerprint}
    assert {row["owner"] for row in rows} == {"Sepsis"}


def test_an_address_of_ipv6_is_in_brackets_where_a_port_follows() -> None:
    assert address_with("2001:db8::1", 8765) == "[2001:db8::1]:8765"
    assert address_with("fl.example.org", 8765) == ADDRESS
