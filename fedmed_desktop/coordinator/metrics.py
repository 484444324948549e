# SPDX-License-Identifier: Apache-2.0
"""Figures of a running coordinator for Prometheus, on an address and port of their own.

Numbers and codes only; names of sites where the host asks for them. A thread of the library's server reads them, so
that a slow or hostile reader keeps no site waiting.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, get_args
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from .. import __version__, events
from ..errors import cannot_listen
from ..federation.record import RoundsState
from ..standing import FederationPhase
from .gate import Gate

# What shows that the federation goes on. That a site came or left is none.
_PROGRESS: Final = (events.RoundOpened, events.RoundClosed, events.RoundCombined, events.FederationResumed)
_STATES: Final = ("joined", "phase", "declined", "update")
_PHASES: Final[tuple[str, ...]] = get_args(FederationPhase)


class Metrics(Collector):
    """Collector of one coordinator. `take` is called with each event, on the event loop; never waits.

    `state` and `connected` are asked whenever someone reads, from another thread.
    """

    def __init__(
        self,
        data_dir: Path,
        gate: Gate,
        state: Callable[[], RoundsState],
        connected: Callable[[], list[str]],
        sites: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`sites`: whether each site's connection is told by its name."""
        self._data_dir = data_dir
        self._gate = gate
        self._state = state
        self._connected = connected
        self._sites = sites
        self._clock = clock
        self._progress = clock()
        self._accepted = 0
        self._refused: Counter[str] = Counter()
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(namespace="fedmed", registry=self.registry)

    def take(self, event: events.Event) -> None:
        if isinstance(event, _PROGRESS) or (isinstance(event, events.SiteSeen) and event.state in _STATES):
            self._progress = self._clock()
        if isinstance(event, events.SiteSeen) and event.state == "update":
            self._accepted += 1
        elif isinstance(event, events.UpdateRefused):
            self._refused[event.code] += 1

    def collect(self) -> Iterator[Metric]:
        state, gate, connected = self._state(), self._gate, self._connected()
        yield InfoMetricFamily("fedmed_coordinator", "Version of the program.", {"version": __version__})
        yield _gauge("sites_connected", "Sites that are connected and have joined.", len(connected))
        if self._sites:
            found = GaugeMetricFamily("fedmed_site_connected", "Whether a site is connected.", labels=["site"])
            for site in sorted({*state.sites, *connected}):
                found.add_metric([site], float(site in connected))
            yield found
        yield _gauge("round", "Number of the open round, or of the next.", state.round)
        yield _each("phase", "Where the federation stands: 1 at one of them.", "phase", _phases(state.phase))
        yield _gauge("seconds_since_progress", "Since a site or a round last went on.", self._clock() - self._progress)
        yield _count("updates_accepted", "Updates that were taken.", self._accepted)
        yield _counts("updates_refused", "Updates that were refused, by code.", "code", self._refused)
        kinds = {"site": gate.connections - gate.strangers, "stranger": gate.strangers - gate.handshakes}
        kinds["handshake"] = gate.handshakes
        yield _each("connections", "Open connections, by how far they have come.", "kind", kinds)
        yield _counts("connections_refused", "Connections that were cut off, by reason.", "reason", gate.refused)
        yield _count("received_bytes", "Bytes from sites and strangers, after decryption.", gate.bytes_in)
        yield _count("sent_bytes", "Bytes of messages to sites.", gate.bytes_out)
        yield _gauge("disk_free_bytes", "Free bytes where the data folder lies.", _free(self._data_dir))


def _phases(now: str) -> dict[str, int]:
    return {phase: int(phase == now) for phase in _PHASES}


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"fedmed_{name}", words, value)


def _count(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(f"fedmed_{name}", words, value)


def _each(name: str, words: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(f"fedmed_{name}", words, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counts(name: str, words: str, label: str, values: Counter[str]) -> Metric:
    family = CounterMetricFamily(f"fedmed_{name}", words, labels=[label])
    for key, value in sorted(dict(values).items()):  # the copy is made at once, whatever the event loop counts
        family.add_metric([key], value)
    return family


def _free(folder: Path) -> float:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return float("nan")


class _Answer(WSGIRequestHandler):
    """One reader's, who has so many seconds to ask: the library's own waits for ever, with a thread and a file."""

    timeout = 10.0

    def handle(self) -> None:
        with contextlib.suppress(TimeoutError, ConnectionError):
            super().handle()

    def log_message(self, *_: object) -> None:
        return


@contextlib.contextmanager
def serving(metrics: Metrics, address: str, port: int) -> Iterator[int]:
    """Answers /metrics until the end of the block; the bound port. Raises UserFacingError("coordinator.port")."""
    try:
        server, thread = start_http_server(port, address, metrics.registry)
    except OSError as error:
        raise cannot_listen(error, address, port, "--metrics") from error
    server.RequestHandlerClass = _Answer
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
