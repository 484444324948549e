# SPDX-License-Identifier: Apache-2.0
"""Acknowledged means durable: what had a receipt is in the ledger and on the disk, whenever power is cut."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmed_desktop.coordinator.verifying import verify_ledger
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.site import Jobs
from tests.parts.federation import small_spec
from tests.parts.loopback import agent, coordinator, running
from tests.parts.power_cut import PowerCuts

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names of open files are read from /proc")

SPEC = small_spec(rounds=2, sites=1, quorum=1)


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    made = Jobs()
    yield made
    made.close()


async def cut(tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, forgets: str = "") -> PowerCuts:
    """A federation on a disk of this kind, from its first adapter to its end."""
    data = tmp_path / "c"
    cuts = PowerCuts(data, tmp_path / "left", forgets)
    with monkeypatch.context() as patched:
        cuts.install(patched)
        async with coordinator(data, SPEC, []) as (_, port), running(agent(tmp_path, "A", port, jobs, [])) as tasks:
            async with asyncio.timeout(20):
                await asyncio.gather(*tasks)
    return cuts


def whole(folder: Path, receipts: int) -> bool:
    """Whether a coordinator could go on from it, with every update that was acknowledged."""
    try:
        verdict = verify_ledger(folder)
    except UserFacingError as error:
        return error.code == "registry.no_coordinator" and receipts == 0  # it had not begun
    return not verdict.faults and verdict.signed >= receipts


async def test_that_a_power_cut_at_any_step_costs_nothing_that_was_acknowledged(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = await cut(tmp_path, jobs, monkeypatch)
    assert cuts.steps.count("receipt") == 3 and len(cuts.left) > 20
    assert [(folder.name, receipts) for folder, receipts in cuts.left if not whole(folder, receipts)] == []


async def test_that_a_receipt_is_the_last_of_five_steps(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = await cut(tmp_path, jobs, monkeypatch)
    at = cuts.steps.index("receipt")
    assert cuts.steps[at - 4 : at + 1] == ["bytes forced", "renamed", "folder forced", "row update", "receipt"]


@pytest.mark.parametrize("forgets", ["bytes", "names"])
async def test_that_this_would_find_a_step_that_is_left_out(
    forgets: str, tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = await cut(tmp_path, jobs, monkeypatch, forgets)
    assert not all(whole(folder, receipts) for folder, receipts in cuts.left)
