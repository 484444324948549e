# SPDX-License-Identifier: Apache-2.0
"""Where a secret key lies: in a keyring that works, otherwise in a private file; and never a new key in its place."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import chainer, fail, null

from fedmed_desktop.storage.secrets import Kept, load_key, where_kept
from fedmed_desktop.wording import told
from fedmed_desktop.wording.findings import kept_line
from tests.parts.keyrings import Forgetful, Hanging, Locked, NotRecommended, PlainText, Working
from tests.parts.told import told_as

SCREEN = {"DISPLAY": ":0"}
SOON = 0.05


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[KeyringBackend], None]]:
    before = keyring.get_keyring()
    yield keyring.set_keyring
    keyring.set_keyring(before)


Use = Callable[[KeyringBackend], None]


def test_the_key_is_made_once_and_found_again_in_the_keyring(tmp_path: Path, use: Use) -> None:
    store = Working()
    use(store)
    key, kept = load_key(tmp_path / "site", "site", SCREEN)
    assert kept == Kept("keyring", "Test Keyring")
    again, _ = load_key(tmp_path / "site", "site", SCREEN)
    assert again.raw == key.raw and list(store.entries.values()) == [key.raw.hex()]
    assert where_kept(tmp_path / "site", "site") == kept
    written = b"".join(file.read_bytes() for file in (tmp_path / "site").iterdir())
    assert key.raw.hex().encode() not in written and key.raw not in written
    assert store.asked_by == {"keyring"}, "the keyring is asked in a thread of its own"


def test_data_folders_do_not_share_a_key(tmp_path: Path, use: Use) -> None:
    use(Working())
    one, _ = load_key(tmp_path / "one", "site", SCREEN)
    other, _ = load_key(tmp_path / "other", "site", SCREEN)
    assert one.public != other.public
    assert load_key(tmp_path / "one", "site", SCREEN)[0].public == one.public


@pytest.mark.parametrize(
    ("store", "reason", "words"),
    [
        (fail.Keyring, "secret.why.no_store", "has none"),
        (null.Keyring, "secret.why.no_store", "has none"),
        (NotRecommended, "secret.why.no_store", "has none"),
        (PlainText, "secret.why.plaintext", "plain text"),
        (Locked, "secret.why.locked", "locked"),
        (Forgetful, "secret.why.forgetful", "did not give back"),
        (Hanging, "secret.why.silent", "did not answer"),
    ],
)
def test_without_a_keyring_that_works_the_key_lies_in_a_private_file(
    tmp_path: Path, use: Use, store: type[KeyringBackend], reason: str, words: str
) -> None:
    backend = store()
    use(backend)
    folder = tmp_path / "site"
    folder.mkdir(0o755)
    key, kept = load_key(folder, "site", SCREEN, patience=SOON)
    assert kept == Kept("file", str(folder / "identity.key"), reason)
    assert words in kept_line(kept) and "not encrypted" in kept_line(kept)
    assert load_key(folder, "site", SCREEN, patience=SOON)[0].raw == key.raw
    assert (folder / "identity.key").stat().st_mode & 0o777 == 0o600 and folder.stat().st_mode & 0o777 == 0o700
    if isinstance(backend, Hanging):
        backend.go_on.set()
        assert backend.removed.wait(10), "what was stored too late is removed again"
        assert not backend.entries


def test_a_chain_of_keyrings_is_asked_for_one_that_keeps_secrets(
    tmp_path: Path, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, working = PlainText(), Working()
    monkeypatch.setattr(chainer.ChainerBackend, "backends", [plain, working])
    use(chainer.ChainerBackend())
    key, kept = load_key(tmp_path, "site", SCREEN)
    assert kept.where == "keyring" and not plain.entries and len(working.entries) == 1
    assert load_key(tmp_path, "site", SCREEN)[0].raw == key.raw
    monkeypatch.setattr(chainer.ChainerBackend, "backends", [plain])
    assert load_key(tmp_path / "other", "site", SCREEN)[1].reason == "secret.why.plaintext"


@pytest.mark.skipif("not __import__('sys').platform.startswith('linux')", reason="only there keyrings show windows")
def test_without_a_screen_no_keyring_is_asked(tmp_path: Path, use: Use) -> None:
    store = Working()
    use(store)
    _, kept = load_key(tmp_path, "site", {})
    assert kept.reason == "secret.why.no_screen" and not store.asked_by


def test_a_coordinator_asks_no_keyring(tmp_path: Path, use: Use) -> None:
    store = Working()
    use(store)
    key, kept = load_key(tmp_path, "coordinator", SCREEN)
    assert kept.where == "file" and kept.reason == "secret.why.coordinator" and not store.asked_by
    assert load_key(tmp_path, "coordinator", SCREEN)[0].raw == key.raw


def test_a_trial_puts_nothing_into_the_keyring(tmp_path: Path, use: Use) -> None:
    store = Working()
    use(store)
    assert load_key(tmp_path, "site", SCREEN, in_file=True)[1].where == "file" and not store.asked_by


@pytest.mark.parametrize(
    ("later", "words", "retryable"),
    [
        (Working, "no longer has the secret key", False),
        (Locked, "Unlock it", True),
        (Hanging, "does not answer", True),
        (null.Keyring, "none can be used right now", True),
    ],
)
def test_a_key_that_the_keyring_does_not_give_is_never_replaced(
    tmp_path: Path, use: Use, later: type[KeyringBackend], words: str, retryable: bool
) -> None:
    store = Working()
    use(store)
    key, _ = load_key(tmp_path, "site", SCREEN)
    use(later())
    with told_as(words) as caught:
        load_key(tmp_path, "site", SCREEN, patience=SOON)
    assert caught.value.retryable is retryable and "…" not in told(caught.value)
    use(store)
    assert load_key(tmp_path, "site", SCREEN)[0].raw == key.raw


def test_a_keyring_that_gives_another_key_is_told(tmp_path: Path, use: Use) -> None:
    store = Working()
    use(store)
    load_key(tmp_path, "site", SCREEN)
    store.entries = dict.fromkeys(store.entries, "11" * 32)
    with told_as("not the one of this data folder"):
        load_key(tmp_path, "site", SCREEN)


def test_a_lost_key_file_is_never_replaced(tmp_path: Path) -> None:
    load_key(tmp_path, "site", {})
    (tmp_path / "identity.key").unlink()
    with told_as("The secret key is missing"):
        load_key(tmp_path, "site", {})


@pytest.mark.parametrize("content", ["", "zz", "00" * 31, "00" * 5000])
def test_a_damaged_key_file_is_told(tmp_path: Path, content: str) -> None:
    load_key(tmp_path, "site", {})
    (tmp_path / "identity.key").write_text(content)
    with told_as("does not hold a secret key"):
        load_key(tmp_path, "site", {})


@pytest.mark.parametrize("content", ["", "{", '{"where": "pocket"}', "\xff"])
def test_a_damaged_note_is_told(tmp_path: Path, content: str) -> None:
    load_key(tmp_path, "site", {})
    (tmp_path / "identity.json").write_text(content, "latin-1")
    with told_as("does not say where the key lies"):
        load_key(tmp_path, "site", {})


@pytest.mark.skipif(os.name == "nt", reason="modes of files are of Unix")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    load_key(tmp_path, "site", {})
    (tmp_path / "identity.key").chmod(mode)
    with told_as("Other accounts of this computer can read"):
        load_key(tmp_path, "site", {})


@pytest.mark.skipif(os.name == "nt", reason="owners of folders are of Unix")
def test_a_folder_of_another_account_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with told_as("belongs to another account"):
        load_key(tmp_path, "site", {})


@pytest.mark.parametrize("role", ["site", "coordinator"])
@pytest.mark.parametrize("way", ["systemd", "variable"])
def test_a_server_gives_the_key_as_a_credential(tmp_path: Path, role: str, way: str) -> None:
    given = tmp_path / f"fedmed-{role}-key"
    given.write_text("22" * 32 + "\n")
    given.chmod(0o444)  # as containers mount secrets
    variable = f"FEDMED_{role.upper()}_KEY_FILE"
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)} if way == "systemd" else {variable: str(given)}
    folder = tmp_path / "data"
    key, kept = load_key(folder, role, environ)  # type: ignore[arg-type]
    assert key.raw == b"\x22" * 32 and kept == Kept("credential", str(given))
    assert str(given) in kept_line(kept)
    assert where_kept(folder, role, environ) == kept  # type: ignore[arg-type]
    assert not (folder / "identity.key").exists()
    with told_as("not at this start"):
        load_key(folder, role, {})  # type: ignore[arg-type]
    given.chmod(0o600)
    given.write_text("33" * 32)
    with told_as("not the one that the folder"):
        load_key(folder, role, environ)  # type: ignore[arg-type]


def test_a_named_credential_that_is_not_there_is_told(tmp_path: Path) -> None:
    with told_as("there is no file"):
        load_key(tmp_path, "site", {"FEDMED_SITE_KEY_FILE": str(tmp_path / "none")})


def test_a_folder_without_a_key_has_it_nowhere(tmp_path: Path) -> None:
    assert where_kept(tmp_path, "site", {}) is None and not list(tmp_path.iterdir())


@pytest.mark.parametrize("environ", [{}, SCREEN], ids=["file", "keyring"])
def test_starts_in_one_instant_agree_on_one_key(tmp_path: Path, use: Use, environ: dict[str, str]) -> None:
    store = Working()
    use(store)
    start, found = threading.Barrier(6), []

    def begin() -> None:
        start.wait()
        found.append(load_key(tmp_path, "site", environ)[0].public)

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and len(set(found)) == 1
    assert len(store.entries) == (1 if environ else 0)
    expected = {"identity.json"} if environ else {"identity.json", "identity.key"}
    assert {file.name for file in tmp_path.iterdir()} == expected


def test_a_start_that_was_killed_before_the_note_goes_on_with_its_key(tmp_path: Path) -> None:
    key, _ = load_key(tmp_path, "site", {})
    (tmp_path / "identity.json").unlink()
    assert load_key(tmp_path, "site", {})[0].raw == key.raw
    assert json.loads((tmp_path / "identity.json").read_bytes())["public"] == key.public
