# SPDX-License-Identifier: Apache-2.0
"""`--coordinator --status`: where a running coordinator's federation stands, asked of it on this computer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ..errors import UserFacingError
from ..wording import sentence
from ..wording.sizes import of_full_model

_MOST_BYTES = 2**24
_FINDINGS = {
    "norm": "unusual norm",
    "cosine": "unusual direction",
    "clipped": "shortened to the bound",
    "not_chosen": "not combined",
}
_PAUSED = {
    "quorum": "too few updates came; start the coordinator again with --resume to ask the sites once more",
    "host": "a host has paused it, and can resume it from the desktop; so does a start with --resume",
}


def print_status(host: str, port: int, as_json: bool) -> None:
    """Prints it, as lines or as JSON. Raises UserFacingError("coordinator.no_status")."""
    from http.client import HTTPException

    try:
        where = f"{_reachable(host)}:{port}/status"
        try:
            status = _asked(f"http://{where}")
        except (OSError, HTTPException):  # it may encrypt
            status = _asked(f"https://{where}")
        text = json.dumps(status, indent=2) if as_json else "\n".join(status_lines(status))
        text.encode()  # half a surrogate pair cannot be printed
    # Any other program may listen there, and answer anything.
    except (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserFacingError("coordinator.no_status", address=f"{host}:{port}") from error
    print(text)


def _reachable(host: str) -> str:
    """The host for a URL; one that stands for all addresses has none to call."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _asked(url: str) -> dict[str, Any]:
    import ssl  # here, and not where a coordinator that serves would load them too
    import urllib.request

    # Nothing is sent, and only this computer is answered: whoever could pretend to be the coordinator is on it.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # A proxy of the environment must not be asked for an address of this computer.
    asking = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    ).open(url, timeout=5)
    with asking as answer:
        found: dict[str, Any] = json.loads(answer.read(_MOST_BYTES))
    return found


def status_lines(status: dict[str, Any]) -> Iterator[str]:
    """A coordinator's answer, for a person."""
    yield f"{status['name']}: {status['phase']}, round {status['round']} of {status['rounds']}"
    if status["params"]:
        yield f"  {sentence(status['reason'], status['params'])}"
    elif status["phase"] == "paused":
        yield f"  {_PAUSED['quorum' if status.get('reason') == 'quorum' else 'host']}"
    for site, state in status["sites"].items():
        words = [word for word in ("connected", "sent", "awaits_approval", "declined") if state[word]]
        words += [f"no progress for {_minutes_since(since)}"] if (since := state.get("quiet_since")) else []
        words += [] if state["asked"] or status["phase"] == "gathering" else ["not asked in this round"]
        yield f"  {site}: {', '.join(words).replace('_', ' ') or 'away'}"
    yield from (f"  {site}: waits for --confirm" for site in status.get("to_confirm", ()))
    if status["phase"] != "finished":
        yield from _deadlines(status.get("deadlines", {}))
    if last := status["last"]:
        yield from closed_round(last)
    if moved := status.get("traffic"):
        yield _traffic(moved)


def _traffic(moved: dict[str, Any]) -> str:
    """Bytes at the socket, both ways, since the coordinator was started."""
    both = ((way, moved[way]) for way in ("received", "sent"))
    told = (f"{way} {count / 1e6:,.1f} MB{of_full_model(count, moved['full_model'])}" for way, count in both)
    return f"since the coordinator's start, all sites: {'; '.join(told)}"


def _deadlines(deadlines: dict[str, Any]) -> Iterator[str]:
    """All five: how long each is, and until when it runs for whom."""
    if deadlines:
        yield "deadlines"
    for name, one in deadlines.items():
        ends = f", until {datetime.fromisoformat(one['ends']).astimezone():%a %H:%M}" if one["ends"] else ""
        sites = f" for {', '.join(one['sites'])}" if one["sites"] else ""
        progress = " without progress" if name in ("download", "upload") else ""
        yield f"  {name}: {one['minutes']:g} min{progress}{ends}{sites}"


def _minutes_since(time: str) -> str:
    return f"{(datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds() / 60:.0f} min"


def closed_round(last: dict[str, Any]) -> Iterator[str]:
    """The last closed round: the weight of each site, and the measures behind it."""
    from ..wording.lines import closing

    measures = "".join(f", {name} {value:.4g}" for name, value in sorted(last["measures"].items()))
    why = f" ({closing(last['reason'])})" if last.get("reason") else ""
    residual = "" if last["residual"] is None else f", residual {last['residual']:.4f}"
    yield f"round {last['round']} closed{why}: adapter {last['adapter'][:12]}{residual}{measures}"
    for site, one in sorted(last["sites"].items()):
        drifts = ", ".join(f"{name} {value:.3f}" for name, value in one["drift"].items() if value is not None)
        loss = "" if one["shared_loss"] is None else f", loss on shared notes {one['shared_loss']:.4f}"
        found = _screened(one.get("screening"))
        yield f"  {site}: weight {one['weight']:.4f}, rank {one['rank']}, drift: {drifts}{loss}{found}"
    if too_few := last.get("too_few_for"):
        yield f"  too few updates for: {', '.join(too_few).replace('_', ' ')}"


def _screened(found: dict[str, Any] | None) -> str:
    """Figures and findings of screening in one update."""
    if not found:
        return ""
    figures = {name: found[name] for name in ("norm", "cosine", "trimmed") if found[name] is not None}
    words = [f"{name} {value:.4g}" for name, value in figures.items()]
    return f", screened: {', '.join([*words, *(_FINDINGS.get(one, one) for one in found['findings'])])}"
