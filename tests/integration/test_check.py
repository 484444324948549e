# SPDX-License-Identifier: Apache-2.0
"""The check before joining: what is wrong is found at its step, and told in a sentence with what to do."""

from __future__ import annotations

import asyncio
import http
import json
import shutil
import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.coordinator.certificate import ServerTls, given_certificate, own_certificate
from fedmed_desktop.federation.plan import TrainingSettings
from fedmed_desktop.federation.spec import LoraSettings
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.protocol.invitation import Invitation
from fedmed_desktop.site import reach, tls
from fedmed_desktop.site.findings import Finding
from fedmed_desktop.site.folder import STATE
from fedmed_desktop.site.preflight import Asked, Gpu, Sizes, Takes, look, with_known_sizes
from fedmed_desktop.site.reach import Target
from fedmed_desktop.storage import BlobStore
from fedmed_desktop.storage.outbox import Outbox
from fedmed_desktop.storage.secrets import load_key
from fedmed_desktop.wording.findings import finding_line, subject
from tests.parts.federation import small_spec
from tests.parts.loopback import coordinator
from tests.parts.proxies import connect_proxy
from tests.parts.standing_in import standing_in
from tests.parts.tls import Authority

KEY, OTHER = PrivateKey(bytes(32)), PrivateKey(bytes([1] * 32))
NOW = datetime.now(UTC)


@pytest.fixture
def own(tmp_path: Path) -> ServerTls:
    return own_certificate(tmp_path / "coordinator", ["localhost"], NOW)


async def _found(asked: Asked | Target) -> dict[str, Finding]:
    """What was found about each subject; every sentence is whole."""
    found: list[Finding] = []
    await look(asked if isinstance(asked, Asked) else Asked(asked), found.append)
    for finding in found:
        assert "…" not in finding_line(finding) and finding_line(finding) != finding.code and subject(finding)
    return {finding.subject: finding for finding in found}


def _codes(found: dict[str, Finding]) -> list[str]:
    return [finding.code for finding in found.values()]


async def test_all_is_well_with_the_coordinator_of_the_invitation(own: ServerTls) -> None:
    async with standing_in(KEY, own) as port:
        found = await _found(Target(f"wss://127.0.0.1:{port}", KEY.fingerprint))
    assert _codes(found) == [
        "check.address",
        "check.line",
        "check.encrypted",
        "check.identity",
        "check.version",
        "check.clock",
        "check.speed",
    ]
    assert {finding.level for finding in found.values()} == {"ok"}


async def test_a_real_coordinator_on_this_computer_is_found_well(tmp_path: Path) -> None:
    async with coordinator(tmp_path, small_spec(), []) as (host, port):
        found = await _found(Target(f"ws://127.0.0.1:{port}"))
        assert _codes(found)[-4:] == ["check.identity_here", "check.version", "check.clock", "check.speed"]
        assert {finding.level for finding in found.values()} == {"ok"}
        assert not host.sessions, "a check joins nothing"


@pytest.mark.parametrize(
    "address", ["", "http://127.0.0.1:1", "ws://127.0.0.1", "ws://coordinator.example:1", "wss://[::1"]
)
async def test_an_address_that_cannot_be_used_is_told(address: str) -> None:
    found = await _found(Target(address))
    assert list(found) == ["address"] and found["address"].level == "wrong"


async def test_a_port_on_which_nobody_listens_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = await _found(Target(f"wss://127.0.0.1:{port}"))
    assert found["line"].code == "check.nobody_listens" and "is running" in finding_line(found["line"])


async def test_a_name_that_is_not_known_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*asked: Any, **options: Any) -> None:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    found = await _found(Target("wss://coordinator.example:8765", proxy="none"))
    assert found["name"].code == "check.no_name" and _codes(found)[-1] == "check.no_name"


async def test_a_coordinator_that_is_not_the_invitations_is_told(own: ServerTls) -> None:
    async with standing_in(OTHER, own) as port:
        found = await _found(Target(f"wss://127.0.0.1:{port}", KEY.fingerprint))
    assert found["identity"].code == "link.other_coordinator" and "clock" not in found


async def test_a_line_that_somebody_listens_to_is_told(own: ServerTls) -> None:
    async with standing_in(KEY, own, signs_tls="11" * 32) as port:
        found = await _found(Target(f"wss://127.0.0.1:{port}", KEY.fingerprint))
    assert found["identity"].code == "link.intercepted" and "speed" not in found


async def test_without_an_invitation_nobody_knows_whose_coordinator_it_is(
    own: ServerTls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach.wire, "is_loopback", lambda host: False)
    async with standing_in(KEY, own) as port:
        found = await _found(Target(f"wss://127.0.0.1:{port}", proxy="none"))
    assert found["identity"].code == "check.identity_unknown" and found["identity"].level == "warning"


@pytest.mark.parametrize(
    ("host", "ends", "code"),
    [
        ("localhost", NOW - timedelta(days=1), "link.certificate_expired"),
        ("elsewhere.example", None, "link.certificate_host"),
        ("localhost", None, "check.identity"),
    ],
)
async def test_what_is_wrong_with_an_authoritys_certificate_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, ends: datetime | None, code: str
) -> None:
    authority = Authority(tmp_path, NOW - timedelta(days=30))
    issued = authority.issue(host, ends=ends)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(issued.chain, issued.key)
    whole = own_certificate(tmp_path / "own", ["localhost"], NOW) if ends else None
    given = whole or given_certificate(issued.chain, issued.key, NOW)
    given = ServerTls(served, given.key_sha256, given.not_after, given.names, False, given.renewed)

    def trusting(roots: bool) -> ssl.SSLContext:
        context = tls.context_for(roots)
        context.load_verify_locations(authority.root)
        return context

    monkeypatch.setattr(reach, "context_for", trusting)
    async with standing_in(KEY, given) as port:
        found = await _found(Target(f"wss://localhost:{port}", KEY.fingerprint, roots=True))
    assert code in _codes(found)


async def test_a_certificate_that_nobody_vouches_for_is_told(own: ServerTls) -> None:
    async with standing_in(KEY, own) as port:
        found = await _found(Target(f"wss://localhost:{port}", KEY.fingerprint, roots=True))
    assert found["encryption"].code == "link.certificate_untrusted"


@pytest.mark.parametrize(
    ("answer", "subject", "code"),
    [(b"HTTP/1.1 400 What?\r\n\r\n", "encryption", "link.not_tls"), (b"", "line", "check.cut_off")],
)
async def test_a_program_that_does_not_encrypt_is_told(answer: bytes, subject: str, code: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        found = await _found(Target(f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}", KEY.fingerprint))
    assert found[subject].code == code


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (http.HTTPStatus.FORBIDDEN, "check.other_name"),
        (http.HTTPStatus.SERVICE_UNAVAILABLE, "check.busy"),
        (http.HTTPStatus.NOT_FOUND, "check.other_program"),
    ],
)
async def test_an_answer_that_is_no_coordinators_is_told(own: ServerTls, status: http.HTTPStatus, code: str) -> None:
    async with standing_in(KEY, own, refuses=status) as port:
        assert (await _found(Target(f"wss://127.0.0.1:{port}")))["line"].code == code


@pytest.mark.parametrize(
    "says",
    ['{"type": "hello"}', "?", '{"type": "goodbye", "code": "join.replaced", "params": {"site": "a"}, "final": true}'],
)
async def test_a_first_word_that_is_no_challenge_is_told(says: str) -> None:
    async with standing_in(KEY, says=says) as port:
        found = await _found(Target(f"ws://127.0.0.1:{port}"))
    assert list(found.values())[-1].level == "wrong"


async def test_a_line_that_says_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = await _found(Target(f"wss://127.0.0.1:{silent.getsockname()[1]}"))
    assert found["line"].code == "check.says_nothing"


@pytest.mark.parametrize(
    ("minutes", "code"), [(7, "check.clock_behind"), (-7, "check.clock_ahead"), (0.5, "check.clock")]
)
async def test_clocks_that_differ_are_told(minutes: float, code: str) -> None:
    async with standing_in(KEY, ahead=timedelta(minutes=minutes)) as port:
        found = await _found(Target(f"ws://127.0.0.1:{port}"))
    assert found["clock"].code == code and found["clock"].params.get("minutes", 7) == 7


async def test_a_speed_that_was_not_measured_is_told() -> None:
    async with standing_in(KEY, probe=None) as port:
        found = await _found(Target(f"ws://127.0.0.1:{port}"))
    assert found["speed"].code == "check.speed_unknown" and found["clock"].code == "check.clock"


async def test_everything_goes_through_the_proxy(own: ServerTls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach.wire, "is_loopback", lambda host: False)
    async with standing_in(KEY, own) as port, connect_proxy(("127.0.0.1", port), "anna", "pa:ss") as there:
        target = Target(
            "wss://coordinator.example:8765", KEY.fingerprint, proxy=f"http://anna:pa%3Ass@127.0.0.1:{there.port}"
        )
        found = await _found(target)
    assert _codes(found)[-4:] == ["check.identity", "check.version", "check.clock", "check.speed"]
    assert found["proxy"].code == "check.proxy_given" and set(there.asked) == {"coordinator.example:8765"}
    assert "pa" not in finding_line(found["proxy"]).removeprefix("The connection goes through") and "pa%3A" not in repr(
        target
    )


async def test_a_proxy_in_the_way_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach.wire, "is_loopback", lambda host: False)
    async with connect_proxy() as there:
        found = await _found(Target("wss://coordinator.example:8765", proxy=f"http://127.0.0.1:{there.port}"))
    assert found["proxy"].code == "proxy.refuses"
    found = await _found(Target("wss://coordinator.example:8765", proxy=f"http://127.0.0.1:{there.port}"))
    assert found["proxy"].code == "proxy.unreachable"
    found = await _found(Target("wss://coordinator.example:8765", proxy="socks5://127.0.0.1:1"))
    assert found["proxy"].code == "proxy.socks"


# -- this computer ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("free", "code"), [(1e12, "check.disk"), (9e8, "check.disk_little"), (1e8, "check.disk_full")])
async def test_too_little_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, code: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=free))
    assert (await _found(Asked(data_dir=tmp_path / "not" / "yet")))["disk"].code == code
    assert not tmp_path.joinpath("not").exists()


@pytest.mark.parametrize(
    ("total", "available", "code"),
    [
        (1e11, 1e11, "check.memory"),
        (1e11, 1e8, "check.memory_taken"),
        (1e9, 1e9, "check.memory_small"),
        (1e5, 1e5, "check.memory_too_small"),
    ],
)
async def test_too_little_memory_for_the_base_model_is_told(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, total: float, available: float, code: str
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=total, available=available))
    assert (await _found(Asked(model=tiny_model)))["memory"].code == code


@pytest.mark.parametrize(
    ("total", "free", "code"),
    [
        (8e10, 8e10, "check.gpu"),
        (8e10, 1e8, "check.gpu_taken"),
        (1e9, 1e9, "check.gpu_small"),
        (1e5, 1e5, "check.gpu_too_small"),
    ],
)
async def test_a_gpu_that_is_too_small_for_the_base_model_is_told(
    tiny_model: Path, total: int, free: int, code: str
) -> None:
    found = await _found(Asked(model=tiny_model, gpu=Gpu("Card", int(total), int(free))))
    assert found["memory"].code == code and "Card" in finding_line(found["memory"])


async def test_what_training_takes_is_told_as_it_was_counted(tiny_model: Path) -> None:
    card = Gpu("Card", 12 * 10**9, 12 * 10**9)
    counted = {least: Asked(model=tiny_model, gpu=card, takes=Takes(30 * 10**9, least * 10**9)) for least in (8, 13)}
    found = {least: (await _found(asked))["memory"] for least, asked in counted.items()}
    assert found[8].code == "check.gpu_small" and "30.0 GB with a whole batch" in finding_line(found[8])
    assert "it needs 8.0 GB or more, and takes longer" in finding_line(found[8])
    assert found[13].code == "check.gpu_too_small" and "at least 13.0 GB" in finding_line(found[13])


SPEC = small_spec(training=TrainingSettings(steps=1, batch_size=2, max_tokens=96), lora=LoraSettings(rank=3))


def _joined(folder: Path) -> Path:
    """The folder of a site that has joined a federation of SPEC."""
    outbox = Outbox(folder / STATE, BlobStore(folder / "blobs"))
    outbox.remember("spec", SPEC.model_dump_json())
    outbox.close()
    return folder


async def test_what_training_takes_is_called_a_guess_before_the_federation_is_known(
    tiny_model: Path, tmp_path: Path
) -> None:
    asked = Asked(model=tiny_model, takes=Takes(3 * 10**9, 10**9), data_dir=tmp_path / "site")
    assert with_known_sizes(asked) == asked, "it has not joined yet"
    assert "That is a guess" in (said := finding_line((await _found(asked))["memory"]))
    assert "batch size 4, up to 800 tokens per example, rank 16" in said
    known = with_known_sizes(replace(asked, data_dir=_joined(tmp_path)))
    assert known.sizes == Sizes.of(SPEC) == Sizes(3, 2, 96, is_guess=False)
    said = finding_line((await _found(known))["memory"])
    assert "guess" not in said and "batch size 2, up to 96 tokens per example, rank 3" in said
    unweighed = (await _found(Asked(model=tiny_model)))["memory"]
    assert "rank" not in finding_line(unweighed), "told from the weights alone"


def test_a_folder_that_is_in_use_or_damaged_leaves_it_a_guess(tmp_path: Path) -> None:
    asked = Asked(data_dir=_joined(tmp_path))
    outbox = Outbox(tmp_path / STATE, BlobStore(tmp_path / "blobs"))
    assert with_known_sizes(asked) == asked
    outbox.close()
    (tmp_path / STATE).write_bytes(b"no database")
    assert with_known_sizes(asked) == asked


async def test_a_folder_that_is_no_model_is_told(tmp_path: Path) -> None:
    assert (await _found(Asked(model=tmp_path)))["memory"].code == "model.no_file"


async def test_how_long_a_round_takes_to_transfer_follows_from_speed_and_model(tiny_model: Path) -> None:
    async with standing_in(KEY) as port:
        found = await _found(Asked(Target(f"ws://127.0.0.1:{port}"), model=tiny_model))
    assert found["speed"].code == "check.speed_quick" and "rank 16" in finding_line(found["speed"])


async def test_where_the_secret_key_lies_is_told(tmp_path: Path) -> None:
    assert (await _found(Asked(data_dir=tmp_path)))["key"].code == "check.no_key"
    load_key(tmp_path, "site", {})
    finding = (await _found(Asked(data_dir=tmp_path)))["key"]
    assert str(tmp_path / "identity.key") in finding_line(finding) and "not in a keyring" in finding_line(finding)


# -- the command line ------------------------------------------------------------------------------------------------


def test_the_command_prints_findings_and_uses_up_no_invitation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    line = Invitation(f"127.0.0.1:{port}", KEY.fingerprint, bytes(16), "Riverside").line()
    (tmp_path / "Riverside.fedmed").write_text(f"# for you\n{line}\n")
    for given in (line, str(tmp_path / "Riverside.fedmed")):
        assert main(["--check", "--invitation", given, "--data-dir", str(tmp_path)]) == 1
        said = capsys.readouterr().out
        assert "WRONG  Connection: " in said and "ok     Disk: " in said and "Secret key: " in said
    assert main(["--check", "--invitation", line, "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert rows[-1]["code"] == "check.nobody_listens" and rows[-1]["level"] == "wrong" and rows[-1]["sentence"]
    assert line not in json.dumps(rows)


def test_the_command_tells_a_mistyped_invitation_before_any_connection(capsys: pytest.CaptureFixture[str]) -> None:
    line = Invitation("127.0.0.1:1", KEY.fingerprint, bytes(16), "Riverside").line()
    assert main(["--check", "--invitation", line[:-3]]) == 2
    assert main(["--check", "--invitation", "/no/such/file.fedmed"]) == 2
    assert main(["--check", "--join", "ws://127.0.0.1:1", "--proxy", "ftp://x:secret@y"]) == 2
    said = capsys.readouterr().err
    assert "not a proxy's address" in said and "secret" not in said


@pytest.mark.parametrize(
    ("options", "counted", "is_guess"),
    [
        (["--rank", "5"], "batch size 4, up to 800 tokens per example, rank 5", True),
        (
            ["--rank", "5", "--batch-size", "1", "--max-tokens", "64"],
            "batch size 1, up to 64 tokens per example, rank 5",
            False,
        ),
    ],
)
def test_the_command_counts_for_the_sizes_that_are_given(
    tiny_model: Path, capsys: pytest.CaptureFixture[str], options: list[str], counted: str, is_guess: bool
) -> None:
    assert main(["--check", "--model", str(tiny_model), *options]) == 0
    said = capsys.readouterr().out
    assert counted in said and ("That is a guess" in said) == is_guess


def test_the_command_counts_for_the_federation_that_the_site_has_joined(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--check", "--model", str(tiny_model), "--data-dir", str(_joined(tmp_path)), "--json"])
    (memory,) = [row for row in json.loads(capsys.readouterr().out) if row["subject"] == "memory"]
    assert (memory["params"]["batch"], memory["params"]["tokens"], memory["params"]["rank"]) == (2, 96, 3)
    assert "the federation's own settings: batch size 2" in memory["sentence"]


def test_the_command_wants_to_know_what_to_look_at(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--check"])
    assert "say what to look at" in capsys.readouterr().err
