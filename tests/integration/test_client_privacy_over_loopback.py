# SPDX-License-Identifier: Apache-2.0
"""A federation that hides whole sites over real sockets and disks: each sum is spent once, whatever is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import FederationSpec, accounting
from fedmed_desktop.federation.accounting import Steps
from fedmed_desktop.federation.client_privacy import ClientPrivacy
from fedmed_desktop.federation.inputs import RoundCombined
from fedmed_desktop.federation.secure_aggregation import SecureAggregationSettings
from fedmed_desktop.site import Jobs
from fedmed_desktop.storage.adapters import combine_stored
from fedmed_desktop.storage.releases import FILE, ReleasesFile
from tests.parts.federation import small_spec
from tests.parts.loopback import PATIENCE, agent, coordinator
from tests.parts.told import told_as

pytestmark = pytest.mark.integration

SPEC = small_spec(rounds=2, client_privacy=ClientPrivacy(noise_multiplier=2.0, clip_norm=0.5, accept_noise=True))


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The accountant rounds up more, which takes a tenth of the time."""
    monkeypatch.setattr(accounting, "_LOSS_STEP", 0.02)
    accounting._composed.cache_clear()
    yield
    accounting._composed.cache_clear()


async def federated(folder: Path, jobs: Jobs, spec: FederationSpec = SPEC) -> list[dict[str, float]]:
    """Measures of the rounds."""
    async with coordinator(folder / "c", spec, []) as (host, port):
        host.retry = 0.01
        agents = [agent(folder, name, port, jobs, []) for name in "ABC"]
        await asyncio.wait_for(asyncio.gather(*(one.run() for one in agents)), PATIENCE)
        assert all(record.residual is None for record in host.rounds.state.history)
        return [record.measures for record in host.rounds.state.history]


async def test_that_each_round_is_written_down_and_a_repeated_sum_is_the_same(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[RoundCombined] = []

    def failing(*given: Any) -> RoundCombined:
        made.append(combine_stored(*given))
        if len(made) == 1:  # it is on the disk, and nobody has been told of it
            raise UserFacingError("storage.disk_full", path="somewhere", retryable=True)
        return made[-1]

    monkeypatch.setattr("fedmed_desktop.coordinator.combining.combine_stored", failing)
    measures = await federated(tmp_path, jobs)
    assert made[0] == made[1] and len(made) == 3
    with closing(ReleasesFile(tmp_path / "c" / FILE, 2)) as file:
        assert file.spent() == [Steps(1.0, 2.0)] * 2
    assert 0 < measures[0]["epsilon_spent"] < measures[1]["epsilon_spent"]
    assert [one["noise_multiplier"] for one in measures] == [2.0, 2.0]


async def test_that_a_coordinator_without_its_record_does_not_start_again(tmp_path: Path, jobs: Jobs) -> None:
    await federated(tmp_path, jobs)
    async with coordinator(tmp_path / "c", SPEC, []):
        pass
    (tmp_path / "c" / FILE).unlink()
    with told_as("The record of the sums that noise was added to .* was lost"):
        async with coordinator(tmp_path / "c", SPEC, []):
            pass


async def test_that_masked_sites_add_the_noise_and_no_update_is_seen_without(tmp_path: Path, jobs: Jobs) -> None:
    how = SecureAggregationSettings(on=True, largest_weight=1000)
    private = ClientPrivacy(noise_multiplier=2.0, clip_norm=0.5, accept_noise=True, added_by="sites")
    spec = small_spec(rounds=2, quorum=3, secure_aggregation=how, client_privacy=private)
    measures = await federated(tmp_path, jobs, spec)
    assert [one["noise_multiplier"] for one in measures] == [2.0, 2.0]
    with closing(ReleasesFile(tmp_path / "c" / FILE, 2)) as file:
        assert file.spent() == [Steps(1.0, 2.0)] * 2
