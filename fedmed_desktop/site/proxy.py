# SPDX-License-Identifier: Apache-2.0
"""The proxy that a site's connection goes through: as given, or as this computer's settings say; never for loopback.

HTTP CONNECT, with a name and a password where the proxy wants them. A password is in `Proxy.url` alone, which is for
the connection: it is neither shown nor logged.
"""

from __future__ import annotations

import asyncio
import http
import re
import urllib.request
from dataclasses import dataclass, field
from ssl import SSLError
from typing import Any, Final, Literal
from urllib.parse import quote, unquote, urlsplit

from websockets.exceptions import InvalidProxyStatus, ProxyError

from ..errors import UserFacingError
from ..protocol import wire

SYSTEM: Final = "system"
NONE: Final = "none"

# Of the system's settings, the most particular first; plain "http" is the last: some systems know no other.
_SCHEMES: Final = ("wss", "https", "all", "http")
_SOCKS: Final = ("socks", "socks4", "socks4a", "socks5", "socks5h")
_CANNOT_REACH: Final = frozenset({http.HTTPStatus.BAD_GATEWAY, http.HTTPStatus.GATEWAY_TIMEOUT})


@dataclass(frozen=True)
class Proxy:
    """`url` may hold a password; `shown` never does."""

    url: str = field(repr=False)
    shown: str
    source: Literal["given", "system"]

    @property
    def has_password(self) -> bool:
        return "@" in self.url

    @property
    def place(self) -> tuple[str, int]:
        """Host and port of the proxy itself."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def check_setting(setting: str) -> str:
    """The setting in its one form: "system", "none" or a URL. Raises UserFacingError if it is none of them."""
    plain = setting.strip()
    return plain.lower() if plain.lower() in ("", SYSTEM, NONE) and plain else _parsed(plain, "given").url


def proxy_for(setting: str, host: str, port: int) -> Proxy | None:
    """The proxy for a coordinator's address under a setting; None: none is used. Raises UserFacingError.

    May ask the system for its settings and a name server about exceptions to them, so it may take a moment.
    """
    if setting == NONE or wire.is_loopback(host):
        return None
    if setting != SYSTEM:
        return _parsed(setting, "given")
    if urllib.request.proxy_bypass(f"{host}:{port}"):
        return None
    known = urllib.request.getproxies()
    found = next((known[scheme] for scheme in _SCHEMES if known.get(scheme)), None)
    found = found or next((f"socks://{known[scheme]}" for scheme in _SOCKS if known.get(scheme)), None)
    return _parsed(found, "system") if found else None


async def find_proxy(setting: str, host: str, port: int) -> Proxy | None:
    """`proxy_for`, off the event loop."""
    return await asyncio.to_thread(proxy_for, setting, host, port)


def hide_password(setting: str) -> tuple[str, str]:
    """A setting without its password, and the password; "" where there is none."""
    match = re.fullmatch(r"(https?://[^:@/]+):([^@/]*)@(.*)", setting)
    return (f"{match[1]}@{match[3]}", unquote(match[2])) if match else (setting, "")


def with_password(setting: str, password: str) -> str:
    """The setting that `hide_password` was given."""
    match = re.fullmatch(r"(https?://[^:@/]+):?@(.*)", setting)
    return f"{match[1]}:{quote(password, safe='')}@{match[2]}" if match and password else setting


def refusal(error: BaseException, proxy: Proxy, address: str) -> UserFacingError | None:
    """The error to tell the user if it was the proxy that kept a connection from being made; None: it was not.

    A wrong password is final: repeated tries lock accounts.
    """
    where: dict[str, Any] = {"proxy": proxy.shown, "address": address}
    if isinstance(error, InvalidProxyStatus):
        status = error.response.status_code
        if status == http.HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            ways = [value.split()[0] for value in error.response.headers.get_all("Proxy-Authenticate") if value.split()]
            if ways and "basic" not in [way.lower() for way in ways]:
                return UserFacingError("proxy.no_basic", ways=", ".join(way[:20] for way in ways[:5]), **where)
            return UserFacingError("proxy.wrong_password" if proxy.has_password else "proxy.wants_password", **where)
        if status in _CANNOT_REACH:
            return UserFacingError("proxy.cannot_reach", retryable=True, status=status, **where)
        return UserFacingError("proxy.refuses", retryable=True, status=status, **where)
    if isinstance(error, ProxyError):
        return UserFacingError("proxy.no_proxy_there", retryable=True, **where)
    # While the way to the proxy is made; what is cut off or late after that may be the coordinator's.
    if isinstance(error, OSError) and not isinstance(error, SSLError | ConnectionResetError | TimeoutError):
        return unreachable(proxy)
    return None


def unreachable(proxy: Proxy) -> UserFacingError:
    """Error for a connection to the proxy itself that could not be made."""
    return UserFacingError("proxy.unreachable", retryable=True, proxy=proxy.shown)


def _parsed(text: str, source: Literal["given", "system"]) -> Proxy:
    """Settings often leave http:// out. Raises UserFacingError, which does not quote a password."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        host, port, user, password = parts.hostname, parts.port, parts.username, parts.password
    except ValueError:
        raise UserFacingError("proxy.address") from None
    if parts.scheme in _SOCKS:
        raise UserFacingError("proxy.socks")
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise UserFacingError("proxy.address")
    name = f"[{host}]" if ":" in host else host
    shown = f"{parts.scheme}://{name}:{port or (443 if parts.scheme == 'https' else 80)}"
    given = "" if user is None else f"{user}:{password or ''}@"
    return Proxy(shown.replace("://", f"://{given}", 1), shown, source)
