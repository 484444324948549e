# SPDX-License-Identifier: Apache-2.0
"""Connections through an HTTP proxy on loopback, and what a person is told about one that does not let them through."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from fedmed_desktop import events
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.site import Jobs
from fedmed_desktop.site import proxy as proxy_module
from fedmed_desktop.site.proxy import Proxy, check_setting, hide_password, proxy_for, refusal, with_password
from fedmed_desktop.wording import told
from tests.parts.federation import small_spec
from tests.parts.loopback import agent, all_of, coordinator, running, until
from tests.parts.proxies import connect_proxy
from tests.parts.told import told_as

FAR = "coordinator.example"


@pytest.fixture(autouse=True)
def _no_settings_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no", "wss", "socks"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)


async def _echo(connection: ServerConnection) -> None:
    async for frame in connection:
        await connection.send(frame)


def _through(setting: str) -> Proxy:
    proxy = proxy_for(setting, FAR, 8765)
    assert proxy is not None
    return proxy


async def _refusal(setting: str) -> UserFacingError:
    proxy = _through(setting)
    with pytest.raises(Exception) as caught:
        await connect(f"ws://{FAR}:8765", proxy=proxy.url)
    error = refusal(caught.value, proxy, f"{FAR}:8765")
    assert error is not None
    assert "secret" not in told(error) and "secret" not in str(error) and "secret" not in repr(proxy)
    return error


async def test_a_connection_goes_through_a_proxy_that_wants_a_password() -> None:
    async with serve(_echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect_proxy(("127.0.0.1", port), "anna", "se:cr@t/ü") as there:
            setting = with_password(f"http://anna@127.0.0.1:{there.port}", "se:cr@t/ü")
            async with connect(f"ws://{FAR}:8765", proxy=_through(setting).url) as connection:
                await connection.send("hello")
                assert await connection.recv() == "hello"
            assert there.asked == [f"{FAR}:8765"], "the proxy finds the name; this computer asks no name server"


async def test_a_proxy_that_wants_a_password_is_told_and_is_final() -> None:
    async with connect_proxy(None, "anna", "secret") as there:
        error = await _refusal(f"127.0.0.1:{there.port}")
    assert error.code == "proxy.wants_password" and not error.retryable
    assert f"http://127.0.0.1:{there.port} wants a name and a password" in told(error)


async def test_a_wrong_password_is_final_since_tries_lock_accounts() -> None:
    async with connect_proxy(None, "anna", "other") as there:
        error = await _refusal(f"http://anna:secret@127.0.0.1:{there.port}")
    assert error.code == "proxy.wrong_password" and not error.retryable and "lock the account" in told(error)


async def test_a_proxy_with_an_unknown_kind_of_sign_in_is_told() -> None:
    async with connect_proxy(None, "anna", "secret", ways="NTLM") as there:
        error = await _refusal(f"http://127.0.0.1:{there.port}")
    assert "NTLM" in told(error) and not error.retryable


async def test_a_proxy_that_refuses_is_told() -> None:
    async with connect_proxy() as there:
        error = await _refusal(f"http://127.0.0.1:{there.port}")
    assert "refuses connections" in told(error) and "403" in told(error) and error.retryable


async def test_a_proxy_that_cannot_reach_the_coordinator_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = free.getsockname()
    async with connect_proxy(nobody) as there:
        error = await _refusal(f"http://127.0.0.1:{there.port}")
    assert "cannot reach the coordinator" in told(error) and error.retryable


async def test_something_that_is_no_proxy_is_told() -> None:
    async with serve(_echo, "127.0.0.1", 0) as server:  # closes a CONNECT without a proxy's answer
        error = await _refusal(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert error.code in ("proxy.no_proxy_there", "proxy.refuses")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_no_proxy_is_used_for_this_computer(host: str) -> None:
    assert proxy_for("http://proxy:3128", host, 8765) is None


def test_the_systems_proxy_is_used_except_where_it_says_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_for("system", FAR, 8765) is None
    monkeypatch.setenv("http_proxy", "plain:1")
    monkeypatch.setenv("https_proxy", "http://anna:secret@proxy.example:3128")
    found = proxy_for("system", FAR, 8765)
    assert found and found.shown == "http://proxy.example:3128" and found.source == "system" and found.has_password
    assert found.place == ("proxy.example", 3128)
    assert proxy_for("none", FAR, 8765) is None
    monkeypatch.setenv("no_proxy", "other.example,coordinator.example")
    assert proxy_for("system", FAR, 8765) is None


def test_a_socks_proxy_of_the_system_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1080")
    with told_as("SOCKS"):
        proxy_for("system", FAR, 8765)


@pytest.mark.parametrize("setting", ["", "ftp://proxy", "http://", "http://a:b", "http://proxy/path", "http://[::1"])
def test_an_address_that_is_no_proxys_is_told(setting: str) -> None:
    with told_as("not a proxy's address"):
        check_setting(setting)


@pytest.mark.parametrize(
    ("setting", "form"),
    [(" System ", "system"), ("NONE", "none"), ("proxy:3128", "http://proxy:3128"), ("https://p", "https://p:443")],
)
def test_a_setting_has_one_form(setting: str, form: str) -> None:
    assert check_setting(setting) == form


def test_a_password_is_taken_out_of_a_setting_and_put_back() -> None:
    assert hide_password("http://anna:a%40b@proxy:1") == ("http://anna@proxy:1", "a@b")
    assert with_password("http://anna@proxy:1", "a@b") == "http://anna:a%40b@proxy:1"
    assert with_password(check_setting("anna@proxy:1"), "a@b") == "http://anna:a%40b@proxy:1"
    assert hide_password(check_setting("anna@proxy:1")) == ("http://anna@proxy:1", "")
    assert hide_password("http://proxy:1") == ("http://proxy:1", "") and with_password("system", "x") == "system"


# -- a site ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def even_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator on this computer is reached through the proxy too, as one elsewhere is."""
    monkeypatch.setattr(proxy_module, "wire", SimpleNamespace(is_loopback=lambda host: False))


async def test_a_site_joins_through_its_proxy(tmp_path: Path, even_here: None) -> None:
    seen: list[events.Event] = []
    with contextlib.closing(Jobs()) as jobs:
        async with coordinator(tmp_path / "c", small_spec(), seen) as (host, port):
            async with connect_proxy(("127.0.0.1", port), "anna", "secret") as there:
                site = agent(tmp_path, "North", port, jobs, seen, proxy=f"http://anna:secret@127.0.0.1:{there.port}")
                async with running(site):
                    await until(lambda: "North" in host.sessions)
            assert set(there.asked) == {f"127.0.0.1:{port}"}
    assert not any("secret" in repr(event) for event in seen)


async def test_a_site_whose_proxy_refuses_its_password_stops_and_does_not_try_again(
    tmp_path: Path, even_here: None
) -> None:
    with contextlib.closing(Jobs()) as jobs:
        async with connect_proxy(None, "anna", "other") as there:
            site = agent(tmp_path, "North", 9, jobs, [], proxy=f"http://anna:secret@127.0.0.1:{there.port}")
            with told_as("does not accept the name and the password"):
                await site.run()
        assert len(there.asked) == 1


async def test_a_site_waits_for_a_proxy_that_does_not_answer(tmp_path: Path, even_here: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    seen: list[events.Event] = []
    with contextlib.closing(Jobs()) as jobs:
        async with running(agent(tmp_path, "North", 9, jobs, seen, proxy=f"127.0.0.1:{port}")):
            await until(lambda: len([one for one in all_of(seen, events.ConnectionChanged) if one.code]) > 1)
    assert {one.code for one in all_of(seen, events.ConnectionChanged) if one.code} == {"proxy.unreachable"}
