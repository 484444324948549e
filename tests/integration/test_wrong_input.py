# SPDX-License-Identifier: Apache-2.0
"""Wrong input of every kind, in every mode: a sentence and exit status 2, never a traceback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedmed_desktop.cli import main
from fedmed_desktop.resources import resource
from tests.parts.model import copied
from tests.parts.told import told_as

if TYPE_CHECKING:  # loaded before the first test, see tests/conftest.py
    from fedmed_desktop.training.loading import LoadedBase

SITE = ("--site", "--join", "ws://127.0.0.1:9", "--name", "A")
BAD_FOLDERS = ("missing", "file", "binary", "loop", "file/below", "n" * 300)
MODES = {
    "site model": (*SITE, "--notes", "notes", "--data-dir", "data", "--model"),
    "site notes": (*SITE, "--model", "model", "--data-dir", "data", "--notes"),
    "site types": (*SITE, "--model", "model", "--notes", "notes", "--data-dir", "data", "--types-map"),
    "site data": (*SITE, "--model", "model", "--notes", "notes", "--approve-rule", "test", "--data-dir"),
    "coordinator": ("--coordinator", "--data-dir", "data", "--config"),
    "demonstration": ("--demo", "--terminal", "--report", "report", "--notes"),
    "demonstration's report": ("--demo", "--terminal", "--report"),
    "demonstration's model": ("--demo", "--terminal", "--report", "report", "--model"),
    "lab": ("--lab", "--out", "out"),
    "lab's folder": ("--lab", "quick", "--out"),
    "federation's model": ("--new-federation", "--notes-types", "drug", "--out", "out", "--model"),
    "federation's folder": ("--new-federation", "--notes-types", "drug", "--model", "model", "--out"),
    "federation's notes": (
        *("--new-federation", "--notes-types", "drug", "--model", "model", "--out", "out"),
        "--shared-notes",
    ),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x", "utf-8")
    Path("binary").write_bytes(bytes(range(256)) * 9)
    Path("loop").symlink_to("loop")
    Path("model").symlink_to(resource("demo_model"))
    Path("notes").symlink_to(next(path for path in sorted(resource("demo_notes").iterdir()) if path.is_dir()))
    return tmp_path


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", BAD_FOLDERS)
def test_that_a_path_that_is_none_is_a_sentence(
    here: Path, mode: str, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if path == "missing" and mode in ("demonstration's report", "federation's folder", "lab's folder", "site data"):
        pytest.skip("a folder to be made may be missing")
    assert main([*MODES[mode], path]) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("fedmed-desktop: ")
    assert not any(raw in said for raw in ("Traceback", "Errno", "codec"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--evaluate", "--model", "model", "--notes", "notes", "--adapter"),
        (*SITE, "--model", "model", "--notes", "notes", "--data-dir", "data", "--bundle-in", "in", "--bundle-out"),
    ],
    ids=["adapter", "answer"],
)
def test_that_a_link_that_leads_to_itself_is_a_sentence(
    here: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "loop"]) == 2
    assert "loop" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--check", "--invitation"),
        ("--evaluate", "--model", "model", "--notes", "notes", "--adapter"),
        ("--check-notes", "notes", "--no-cache", "--model"),
        MODES["site model"],
        MODES["federation's model"],
        MODES["demonstration's model"],
    ],
    ids=lambda arguments: " ".join(arguments[::4]),
)
def test_that_a_home_of_nobody_is_a_sentence(
    here: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "~nobody-of-this-name/x"]) == 2
    assert "~nobody-of-this-name" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["coordinator", "lab", "site types"])
@pytest.mark.parametrize(
    ("path", "reason"),
    [(".", "it is a folder, not a file"), ("binary", "it is not UTF-8 text"), ("file", "it is not valid TOML: ")],
)
def test_that_a_file_that_is_not_toml_is_told_why(
    here: Path, mode: str, path: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if (mode, path) == ("coordinator", "."):  # the folder stands for the file in it
        reason = "There is no federation specification at federation.toml. Check the path"
    assert main([*MODES[mode], path]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"[]", b"{", bytes(100)])
def test_that_a_damaged_model_is_a_sentence(here: Path, tiny_model: Path, name: str, content: bytes) -> None:
    (copied(tiny_model, here / "damaged") / name).write_bytes(content)
    with told_as("damaged"):
        LoadedBase(here / "damaged", threads=1).get()


HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
ANSWERS = {
    "nothing": b"",
    "no HTTP": b"\0\1\2\r\n\r\n",
    "another version": b"HTTP/9 x\r\n\r\n",
    "cut off": b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{",
    "no JSON": HEAD + b"\xff\xfe",
    "a list": HEAD + b"[1]",
    "other keys": HEAD + b"{}",
    "other kinds": HEAD
    + b'{"name": 1, "phase": 2, "round": {}, "rounds": [], "params": "x", "reason": 3, "sites": [1]}',
    "half a pair": HEAD + rb'{"name":"\ud800","phase":"x","round":1,"rounds":1,"params":{},"sites":{},"last":null}',
    "too deep": HEAD + b"[" * 100_000,
}


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A program of another kind on a port of this computer, for one question."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(60)

        def answer_once() -> None:
            line, _ = server.accept()
            server.close()  # who asks again, over TLS, is refused rather than left waiting
            with line:
                line.recv(4096)
                line.sendall(answer)

        thread = threading.Thread(target=answer_once)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.mark.parametrize("answer", ANSWERS)
def test_that_another_program_on_the_port_is_no_coordinator(answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(ANSWERS[answer]) as port:
        assert main(["--coordinator", "--status", "--port", str(port)]) == 2
    assert "No coordinator answers" in capsys.readouterr().err


def test_that_a_host_that_is_none_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--coordinator", "--status", "--host", "a b", "--port", "9"]) == 2
    assert "No coordinator answers" in capsys.readouterr().err
