# SPDX-License-Identifier: Apache-2.0
"""kill -9 at random instants, of the coordinator and of sites: every update with a receipt is in the result once.

Here a few seeds; `packaging/benchmarks/faults.py --kill` runs hundreds. Chosen instants of a round: test_kill.py.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.parts.kills import COORDINATOR, KilledRun, killed_run

pytestmark = pytest.mark.integration

SEEDS = (2, 3, 5)


@pytest.fixture(scope="module")
def calm() -> KilledRun:
    return asyncio.run(killed_run(-1, 0.0))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
async def test_that_kills_at_random_instants_lose_nothing(seed: int, calm: KilledRun) -> None:
    run = await killed_run(seed, calm.active)
    assert not calm.faults and not run.faults, (run.killed, run.faults)
    assert run.final == calm.final
    assert len(run.serving) == 1 + run.killed.count(COORDINATOR)
