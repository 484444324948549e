# SPDX-License-Identifier: Apache-2.0
"""Figures for Prometheus, read as Prometheus reads them."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fedmed_desktop import events
from fedmed_desktop.coordinator import metrics
from fedmed_desktop.coordinator.gate import Gate
from fedmed_desktop.coordinator.metrics import Metrics, serving
from fedmed_desktop.federation.record import RoundsState
from tests.parts.clock import Clock
from tests.parts.told import told_as

REFUSED = events.UpdateRefused(site="Alpha", round=2, update="0" * 64, code="update.too_large")


class Figures:
    """A coordinator that has two sites, of which one is connected."""

    def __init__(self, folder: Path, sites: bool = False) -> None:
        self.clock, self.gate = Clock(), Gate()
        state = RoundsState(phase="open", round=2, sites=["Alpha", "Beta"], start="0" * 64, rank=4)
        self.metrics = Metrics(folder, self.gate, lambda: state, lambda: ["Alpha"], sites, self.clock)

    def text(self) -> str:
        with serving(self.metrics, "127.0.0.1", 0) as port:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
                return str(answer.read().decode())

    def read(self) -> dict[tuple[str, str], float]:
        """Values by name and the value of the label, if there is one."""
        return dict(self._samples())

    def _samples(self) -> Iterator[tuple[tuple[str, str], float]]:
        for family in text_string_to_metric_families(self.text()):
            for sample in family.samples:
                yield (sample.name, next(iter(sample.labels.values()), "")), sample.value


def test_who_asks_for_nothing_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics._Answer, "timeout", 0.05)
    with (
        serving(Figures(tmp_path).metrics, "127.0.0.1", 0) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as silent,
    ):
        assert silent.recv(1) == b""


def test_figures_tell_where_the_federation_stands(tmp_path: Path) -> None:
    figures = Figures(tmp_path)
    for event in (events.SiteSeen(site="Alpha", round=2, state="update"), REFUSED, REFUSED):
        figures.metrics.take(event)
    figures.gate.count("strangers")
    figures.gate.bytes_in, figures.gate.bytes_out = 7, 9
    figures.clock.now += 40
    found = figures.read()
    assert found["fedmed_sites_connected", ""] == 1 and found["fedmed_round", ""] == 2
    assert found["fedmed_phase", "open"] == 1 and found["fedmed_phase", "paused"] == 0
    assert found["fedmed_updates_accepted_total", ""] == 1
    assert found["fedmed_updates_refused_total", "update.too_large"] == 2
    assert found["fedmed_connections_refused_total", "strangers"] == 1
    assert (found["fedmed_received_bytes_total", ""], found["fedmed_sent_bytes_total", ""]) == (7, 9)
    assert found["fedmed_seconds_since_progress", ""] == 40
    assert found["fedmed_disk_free_bytes", ""] > 0
    assert found["fedmed_process_resident_memory_bytes", ""] > 0


@pytest.mark.parametrize(
    ("event", "seconds"),
    [
        (events.SiteSeen(site="Alpha", round=2, state="phase", phase="training"), 0),
        (events.FederationResumed(round=2), 0),
        (events.SiteSeen(site="Alpha", round=2, state="connected"), 40),
        (events.SiteSeen(site="Alpha", round=2, state="left"), 40),
        (events.FederationPaused(round=2, reason="quorum"), 40),
    ],
)
def test_a_site_that_comes_and_goes_is_no_progress(event: events.Event, seconds: float, tmp_path: Path) -> None:
    figures = Figures(tmp_path)
    figures.clock.now += 40
    figures.metrics.take(event)
    since = [one for one in figures.metrics.collect() if one.name == "fedmed_seconds_since_progress"]
    assert since[0].samples[0].value == seconds


def test_names_of_sites_are_told_only_where_the_host_asks_for_them(tmp_path: Path) -> None:
    anonymous, named = Figures(tmp_path), Figures(tmp_path, sites=True)
    for figures in (anonymous, named):
        figures.metrics.take(REFUSED)
    assert "Alpha" not in anonymous.text() and "Beta" not in anonymous.text()
    found = named.read()
    assert (found["fedmed_site_connected", "Alpha"], found["fedmed_site_connected", "Beta"]) == (1, 0)


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    metrics = Figures(tmp_path).metrics
    taken = serving(metrics, "127.0.0.1", 0)
    with taken as port, told_as(f"Port {port} on 127.0.0.1 is already used"), serving(metrics, "127.0.0.1", port):
        pass
