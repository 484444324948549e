# SPDX-License-Identifier: Apache-2.0
"""A site's record of what it spends of its privacy budget, across crashes, lost files and its own policy."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.federation import Plan, accounting
from fedmed_desktop.federation.accounting import Budget, Steps, epsilon
from fedmed_desktop.federation.plan import PrivacySettings
from fedmed_desktop.federation.policy import InForce, Layer, Policy
from fedmed_desktop.site.spending import budget_of, open_spending
from fedmed_desktop.storage.spending import FILE, SpendingFile
from tests.parts.federation import INITIAL, moved, result_of, small_spec
from tests.parts.told import told_as

SETTINGS = PrivacySettings(epsilon=6, unit="note")
SPEC = small_spec(rounds=3)
SPEC = SPEC.model_copy(update={"training": SPEC.training.model_copy(update={"privacy": SETTINGS})})


def plan(number: int = 1) -> Plan:
    return Plan(round=number, start=INITIAL.sha256, rank=2, training=SPEC.training, seed=1)


@pytest.fixture(autouse=True, scope="module")
def coarse() -> Iterator[None]:
    """The accountant rounds up more, which takes a tenth of the time; its numbers are looked at elsewhere."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(accounting, "_LOSS_STEP", 0.02)
        accounting._composed.cache_clear()
        yield
    accounting._composed.cache_clear()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE


def test_that_what_is_written_is_there_after_a_restart(path: Path) -> None:
    file = SpendingFile(path)
    file.write(1, Steps(0.25, 1.3))
    file.write(2, Steps(0.5, 1.4))
    file.close()
    again = SpendingFile(path, least=2)
    assert again.spent() == [Steps(0.25, 1.3), Steps(0.5, 1.4)]
    again.close()


@pytest.mark.parametrize("harm", ["DELETE FROM spending WHERE seq = 1", "DELETE FROM spending WHERE seq = 2",
                                  "UPDATE spending SET noise = 9.0 WHERE seq = 1"])  # fmt: skip
def test_that_a_record_with_a_row_lost_or_changed_is_not_gone_on_from(path: Path, harm: str) -> None:
    file = SpendingFile(path)
    file.write(1, Steps(0.25, 1.3))
    file.write(1, Steps(0.25, 1.3))
    file.close()
    with sqlite3.connect(path) as connection:
        connection.execute(harm)
    connection.close()
    with told_as("spending"):
        SpendingFile(path)


def test_that_a_lost_record_is_noticed_by_the_steps_that_updates_took(tmp_path: Path) -> None:
    from fedmed_desktop.federation.work import Entry

    made = result_of(plan(), INITIAL, moved(INITIAL, 1))
    entry = Entry("a" * 64, plan(), made.update, made.evidence, "pending", None, "")
    with told_as(r"has 0 steps, but its updates took 4: it was lost, or is an old copy"):
        open_spending(tmp_path, plan(2), [entry])
    (tmp_path / FILE).unlink()
    ledger = open_spending(tmp_path, plan(1), [])
    assert ledger is not None
    ledger.close()


def test_that_a_plan_without_privacy_opens_no_record(tmp_path: Path) -> None:
    public = plan().model_copy(update={"training": small_spec().training})
    assert open_spending(tmp_path, public, []) is None and not (tmp_path / FILE).exists()
    assert open_spending(tmp_path, plan().evaluation(), []) is None
    assert budget_of(None, public, SPEC, InForce()) is None


def test_that_the_site_s_policy_lowers_the_budget_of_the_specification(path: Path) -> None:
    ledger = SpendingFile(path)
    strict = InForce((Layer(Policy(most_epsilon=2.0)),))
    budgets = [budget_of(ledger, plan(3), SPEC, policy) for policy in (InForce(), strict)]
    assert [one.epsilon for one in budgets if one] == [6, 2]
    ledger.close()


class _Crash(Exception):
    """The power fails."""


@settings(max_examples=12)
@given(st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["before", "written", "taken"])), max_size=4))
def test_that_wherever_it_crashes_no_step_is_counted_too_little(crashes: list[tuple[int, str]]) -> None:
    """A round of six steps with a checkpoint after every second; each crash is at a step of its own start."""
    folder = Path(tempfile.mkdtemp(prefix="spending"))
    taken = saved = 0

    def run(at: int, moment: str) -> None:
        nonlocal taken, saved
        ledger = SpendingFile(folder / FILE, least=taken)
        try:
            budget = Budget(SETTINGS, ledger, later=1)
            budget.grant(0.5, 6 - saved, 6)
            step = saved
            while step < 6:
                if (step, moment) == (at, "before"):
                    raise _Crash
                budget.spend(1)
                if (step, moment) == (at, "written"):
                    raise _Crash
                taken += 1  # noise was drawn, and whoever sees the factors could use it
                step += 1
                if (step - 1, moment) == (at, "taken"):
                    raise _Crash
                saved = step if step % 2 == 0 else saved
        finally:
            ledger.close()

    try:
        for at, moment in [*crashes, (99, "")]:
            if saved < 6:
                try:
                    run(at, moment)
                except _Crash:
                    pass
        ledger = SpendingFile(folder / FILE)
        spent = ledger.spent()
        ledger.close()
        assert saved == 6 and taken <= len(spent) <= taken + len(crashes)
        assert epsilon(spent, SETTINGS.delta) <= SETTINGS.epsilon
    finally:
        shutil.rmtree(folder)
