# SPDX-License-Identifier: Apache-2.0
"""Screening over real sockets and disks: one of five sites sends a flipped update a hundred times too large."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.federation.screened import ScreeningSettings
from fedmed_desktop.lora import Adapter, algebra
from fedmed_desktop.site import Jobs
from fedmed_desktop.storage import Ledger
from tests.parts.federation import INITIAL, NumpyTrainer, small_spec
from tests.parts.loopback import PATIENCE, agent, all_of, coordinator

pytestmark = pytest.mark.integration

SITES = "ABCDE"


def _attack(after: Adapter) -> Adapter:
    return after.map(lambda one: type(one)(-100 * one.B, one.A, one.scale))


@pytest.mark.parametrize("robust", ["mean", "multi_krum"])
async def test_that_an_attacker_is_named_told_and_without_force(tmp_path: Path, robust: str) -> None:
    screening = ScreeningSettings(norm_ratio=3, cosine=-0.5, action="clip", robust=robust)
    spec = small_spec(rounds=2, sites=5, quorum=4, screening=screening)
    seen: list[events.Event] = []
    jobs = Jobs()
    try:
        async with coordinator(tmp_path / "c", spec, seen) as (host, port):
            trainers = {site: NumpyTrainer(10, _attack if site == "C" else None) for site in SITES}
            agents = [agent(tmp_path, site, port, jobs, seen, trainer) for site, trainer in trainers.items()]
            await asyncio.wait_for(asyncio.gather(*(one.run() for one in agents)), PATIENCE)
            history = host.rounds.state.history
            final = Adapter.from_blob(host.blobs.read(host.rounds.state.start))
    finally:
        jobs.close()

    assert len(history) == 2
    for record in history:
        assert record.screening is not None
        assert "clipped" in record.screening.sites["C"].findings
        assert ("not_chosen" in record.screening.sites["C"].findings) == (robust == "multi_krum")
        assert all("clipped" not in record.screening.sites[site].findings for site in "ABDE")
    assert {event.site for event in all_of(seen, events.UpdateScreened) if event.code == "screening.clipped"} == {"C"}
    own = {event.site: event.history[-1].findings for event in all_of(seen, events.StandingChanged) if event.history}
    assert "clipped" in own["C"] and "clipped" not in own["A"]
    honest = max(one.norm for record in history for name, one in record.screening.sites.items() if name != "C")
    assert algebra.distance(final, INITIAL) < 4 * honest

    ledger = Ledger(tmp_path / "c" / "coordinator.sqlite", spec)
    try:
        assert ledger.load_rounds(spec).state.history == history, "the record is the same after a restart"
    finally:
        ledger.close()
