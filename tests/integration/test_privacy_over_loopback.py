# SPDX-License-Identifier: Apache-2.0
"""A federation with differential privacy over real sockets and disks: one ledger for all rounds and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fedmed_desktop import events
from fedmed_desktop.federation import Control, LocalResult, Plan, accounting
from fedmed_desktop.federation.plan import PrivacySettings
from fedmed_desktop.federation.policy import InForce, Layer, Policy
from fedmed_desktop.federation.secure_aggregation import SecureAggregationSettings
from fedmed_desktop.federation.work import Emit, Given
from fedmed_desktop.site import Jobs
from fedmed_desktop.storage.spending import FILE, SpendingFile
from tests.parts.federation import NumpyTrainer, small_spec
from tests.parts.loopback import PATIENCE, agent, coordinator

pytestmark = pytest.mark.integration

PRIVACY = PrivacySettings(epsilon=4, unit="note")
SPEC = small_spec(rounds=2, sites=1, quorum=1)
SPEC = SPEC.model_copy(update={"training": SPEC.training.model_copy(update={"privacy": PRIVACY})})


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The accountant rounds up more, which takes a tenth of the time."""
    monkeypatch.setattr(accounting, "_LOSS_STEP", 0.02)
    accounting._composed.cache_clear()
    yield
    accounting._composed.cache_clear()


class Spender(NumpyTrainer):
    """Spends as a private training does: four steps in each round."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[float] = []

    def train_round(self, plan: Plan, given: Given, checkpoints: Path, emit: Emit, control: Control) -> LocalResult:
        assert given.budget is not None
        self.limits.append(given.budget.epsilon)
        given.budget.grant(0.5, 4, 4)
        for _ in range(4):
            given.budget.spend(plan.round)
        result = super().train_round(plan, given, checkpoints, emit, control)
        report = result.update.report.model_copy(update=given.budget.told())
        return replace(result, update=result.update.model_copy(update={"report": report}))


async def run(folder: Path, policy: InForce = InForce()) -> tuple[Spender, list[events.Event]]:  # noqa: B008
    seen: list[events.Event] = []
    trainer = Spender()
    jobs = Jobs()
    try:
        async with coordinator(folder / "c", SPEC, seen) as (host, port):
            site = agent(folder, "A", port, jobs, seen, trainer, policy=lambda: policy)
            await asyncio.wait_for(site.run(), PATIENCE)
            told = [record.sites["A"].update.report for record in host.rounds.state.history]
    finally:
        jobs.close()
    spent = [report.epsilon_spent or 0.0 for report in told]
    assert len(spent) == 2 and 0 < spent[0] < spent[1] <= PRIVACY.epsilon
    return trainer, seen


async def test_that_all_rounds_spend_from_one_ledger_and_the_coordinator_is_told(tmp_path: Path) -> None:
    trainer, _ = await run(tmp_path)
    ledger = SpendingFile(tmp_path / "A" / FILE, least=8)
    steps = ledger.spent()
    ledger.close()
    assert len(steps) == 8 and len({one.noise for one in steps}) == 1 and trainer.limits == [4, 4]


async def test_that_the_site_s_policy_lowers_what_training_may_spend(tmp_path: Path) -> None:
    strict = InForce((Layer(Policy(most_epsilon=1.5, default="allow"), "/etc/policy.toml", "5" * 64),))
    trainer, _ = await run(tmp_path, strict)
    assert trainer.limits == [1.5, 1.5]


async def test_that_private_training_and_masks_go_together(tmp_path: Path) -> None:
    """Noise is in the update before it is masked: the site's ledger counts as ever, and its word leaves beside."""
    how = SecureAggregationSettings(on=True, clip=1.0, largest_weight=1000)
    spec = small_spec(rounds=1, quorum=3, training=SPEC.training, secure_aggregation=how)
    jobs = Jobs()
    try:
        async with coordinator(tmp_path / "c", spec, []) as (host, port):
            sites = [agent(tmp_path, name, port, jobs, [], Spender()) for name in "ABC"]
            await asyncio.wait_for(asyncio.gather(*(one.run() for one in sites)), PATIENCE)
            (record,) = host.rounds.state.history
    finally:
        jobs.close()
    for name, one in record.sites.items():
        assert one.update.parts.keys() == {"masked"} and one.update.report.epsilon_spent
        ledger = SpendingFile(tmp_path / name / FILE, least=4)
        assert len(ledger.spent()) == 4
        ledger.close()
