# SPDX-License-Identifier: Apache-2.0
"""What every test stands on: no network, no display, no home and no keyring of a real user, and nothing left running.

The environment is set before anything of ours is imported; children that tests start inherit it.
"""

from __future__ import annotations

import ast
import asyncio
import atexit
import gc
import inspect
import ipaddress
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

THREAD_GRACE_S = 5.0

_home = Path(tempfile.mkdtemp(prefix="fedmed-tests-"))
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ |= {
    "HOME": str(_home),
    "USERPROFILE": str(_home),
    "APPDATA": str(_home / "config"),
    "LOCALAPPDATA": str(_home / "data"),
    "XDG_CONFIG_HOME": str(_home / "config"),
    "XDG_DATA_HOME": str(_home / "data"),
    "XDG_STATE_HOME": str(_home / "state"),
    "XDG_CACHE_HOME": str(_home / "cache"),
    "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "QT_QPA_PLATFORM": "offscreen",
    "LC_ALL": "C.UTF-8",  # the desktop speaks the system's language
    "LANGUAGE": "",
    "PYQTGRAPH_QT_LIB": "PySide6",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",  # stands above the one before, where somebody has set it
}

# What is compiled once serves every program that a test starts, and the next run: a sixth of what starting them costs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

gc.set_threshold(20_000, 20, 10)  # looking for garbage after every 700 objects took 8 % of the computing time

settings.register_profile("without a clock", deadline=None)  # a machine that is busy is no fault of the example
settings.load_profile("without a clock")


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """Where Qt cannot start the run ends in one sentence, before pytest-qt tries: what is skipped looks like passed."""
    from fedmed_desktop.desktop import preflight
    from fedmed_desktop.errors import UserFacingError
    from fedmed_desktop.wording import told

    try:
        preflight.check()
    except UserFacingError as error:
        raise pytest.UsageError(told(error)) from None
    preflight.prepare()
    if (Path(__file__).parent / "parts").is_dir():  # a contract's test copies this file alone
        from tests.parts.slots import watch_slots

        watch_slots()


@pytest.hookimpl(optionalhook=True)  # the tests also run without pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """Processes for `-n auto`: one more than there are processors, since a test in four waits for programs that it has
    started, or for a clock; more than four wait for memory and the disk rather than for a processor.
    """
    return min(4, (os.cpu_count() or 1) + 1)


class NetworkRefusedError(RuntimeError):
    """A test reached for something that is not on this machine's loopback. No OSError: retries must not swallow it."""


_refused: list[str] = []


def _is_loopback(host: object) -> bool:
    """Whether a host is this machine itself; names other than localhost would need a resolver, so they are not."""
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "replace")
    if not isinstance(host, str):
        return False
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _guard_sockets(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook: sees every socket call of this interpreter, asyncio's and a library's too, before it is made."""
    if not event.startswith("socket."):
        return
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        # str or bytes: a Unix socket; None: a message on a socket whose connect was allowed
        allowed = address is None or isinstance(address, (str, bytes)) or _is_loopback(address[0])  # type: ignore[index]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        address = arguments[0]
        allowed = address is None or _is_loopback(address)
    else:
        return
    if not allowed:
        _refused.append(f"{event} {address!r}")
        raise NetworkRefusedError(f"tests reach loopback only, not {event} {address!r}")


sys.addaudithook(_guard_sockets)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a test that is a coroutine on an event loop of its own, which is closed with all that it started."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(scope="module", autouse=True)
def _late_imports(request: pytest.FixtureRequest) -> None:
    """Loads for a module's first test what it imports under TYPE_CHECKING: torch need not be there to collect tests."""
    tree = ast.parse(Path(request.module.__file__).read_text("utf-8"))
    late = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    for node in late:
        exec(compile(ast.Module(node.body, []), request.module.__file__, "exec"), vars(request.module))


@pytest.fixture
def refused_connections() -> list[str]:
    """What the socket guard has refused in this test. A test that means to be refused clears it."""
    return _refused


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    _refused.clear()
    yield
    attempts = list(_refused)
    _refused.clear()
    assert not attempts, f"the test reached for the network: {attempts}"


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> Iterator[None]:
    """Workers of an executor that was shut down get a moment to end; anything else that lives on fails the test."""
    before = set(threading.enumerate())
    yield
    started = [t for t in threading.enumerate() if t not in before and not t.daemon]
    deadline = time.monotonic() + THREAD_GRACE_S
    for thread in started:
        thread.join(max(0.0, deadline - time.monotonic()))
    left = [thread.name for thread in started if thread.is_alive()]
    assert not left, (
        f"the test left non-daemon threads running: {left}; stop and join them, or shut their executor down"
    )


@pytest.fixture(autouse=True)
def _same_umask_after() -> Iterator[None]:
    umask = os.umask(0o077)
    os.umask(umask)
    yield
    os.umask(umask)


@pytest.fixture(scope="session", autouse=True)
def _no_wait_for_disk() -> Iterator[None]:
    """What a test writes need not survive a power cut, so it does not wait for the disk; programs that it starts do."""
    from fedmed_desktop.storage.database import Database

    prepare = Database._prepare

    def prepare_without_waiting(self: Database, synchronous: str) -> None:
        self._connection.execute("PRAGMA synchronous=OFF")
        prepare(self, synchronous)
        self._connection.execute("PRAGMA synchronous=OFF")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda descriptor: None)
        patched.setattr(Database, "_prepare", prepare_without_waiting)
        yield


@pytest.fixture(scope="session", autouse=True)
def _words_at_once() -> Iterator[int]:
    """Six words cost a tenth of a second, which each connection of a test would wait for. Returns what they do cost."""
    from fedmed_desktop import identity

    with pytest.MonkeyPatch.context() as patched:
        usual = identity._COST
        patched.setattr(identity, "_COST", 2)
        yield usual


@pytest.fixture
def words_cost_work(_words_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a test that compares six words with those of a program that it has started."""
    from fedmed_desktop import identity

    monkeypatch.setattr(identity, "_COST", _words_at_once)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random causal language model of 2 layers and width 32, with the demo model's tokenizer."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from fedmed_desktop.resources import resource

    folder = tmp_path_factory.mktemp("tiny_model")
    config = Qwen3Config(
        vocab_size=4096,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        eos_token_id=0,
        bos_token_id=0,
        pad_token_id=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Qwen3ForCausalLM(config)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(resource("demo_model") / name, folder / name)
    return folder
