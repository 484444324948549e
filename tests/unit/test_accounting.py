# SPDX-License-Identifier: Apache-2.0
"""The accountant of a site's privacy budget."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation.accounting import Budget, SpendingInMemory, Steps, epsilon, noise_for
from fedmed_desktop.federation.plan import PrivacySettings
from tests.parts.told import told_as

# Records, batch, epochs in all, and the noise that epsilon 1, 3 and 8 take at delta = 1 / (10 records), by PLD.
TABLE = [
    (500, 32, 4, (1.80, 0.96, 0.63)),
    (1000, 32, 4, (1.44, 0.84, 0.58)),
    (3000, 64, 4, (1.32, 0.80, 0.56)),
    (10000, 128, 4, (1.17, 0.76, 0.55)),
    (10000, 256, 10, (2.09, 1.03, 0.68)),
]
SETTINGS = PrivacySettings(epsilon=1, unit="note")


@pytest.mark.slow
@pytest.mark.parametrize(("records", "batch", "epochs", "noises"), TABLE)
def test_that_the_noise_is_that_of_the_published_table(
    records: int, batch: int, epochs: int, noises: tuple[float, ...]
) -> None:
    for target, noise in zip((1.0, 3.0, 8.0), noises, strict=True):
        found = noise_for(target, 1 / (10 * records), (), batch / records, epochs * records // batch)
        assert found == pytest.approx(noise, abs=0.0105), target


def test_that_a_row_of_the_table_costs_its_epsilon() -> None:
    assert epsilon([Steps(32 / 500, 1.806, 62)], 1 / 5000) == pytest.approx(1.0, abs=0.01)


def test_that_one_step_on_all_records_costs_what_the_gaussian_mechanism_does() -> None:
    """Balle and Wang 2018, theorem 8: the exact delta of one release with sensitivity 1."""

    def phi(x: float) -> float:
        return 0.5 * math.erfc(-x / math.sqrt(2))

    for noise in (0.8, 2.0, 5.0):
        found = epsilon([Steps(1.0, noise)], 1e-5)
        delta = phi(0.5 / noise - found * noise) - math.exp(found) * phi(-0.5 / noise - found * noise)
        assert 0.97e-5 < delta <= 1e-5


def test_that_steps_alike_are_counted_together_in_any_order() -> None:
    one, other = Steps(0.1, 1.0, 3), Steps(0.1, 2.0, 2)
    assert epsilon([one, other, one], 1e-5) == epsilon([other, Steps(0.1, 1.0, 6)], 1e-5)
    assert epsilon([], 1e-5) == 0


def test_that_noise_stays_the_same_over_all_rounds_and_keeps_within_the_budget() -> None:
    ledger, noises = SpendingInMemory(), []
    for later in (2, 1, 0):
        budget = Budget(SETTINGS, ledger, later)
        noises.append(budget.grant(0.2, 4, 4))
        for _ in range(4):
            budget.spend(3 - later)
    assert len(set(noises)) == 1 and len(ledger.steps) == 12
    assert 0.95 < budget.told()["epsilon_spent"] <= 1.0
    assert budget.told()["epsilon_left"] == pytest.approx(1.0 - budget.told()["epsilon_spent"], abs=1e-4)


def test_that_repeated_steps_are_paid_for_with_more_noise() -> None:
    ledger = SpendingInMemory()
    first = Budget(SETTINGS, ledger)
    noise = first.grant(0.2, 10, 10)
    for _ in range(6):
        first.spend(1)
    again = Budget(SETTINGS, ledger)  # a crash: the last checkpoint was before the third step
    more = again.grant(0.2, 8, 10)
    for _ in range(8):
        again.spend(1)
    assert more > noise and again.told()["epsilon_spent"] <= 1.0


def test_that_a_site_s_policy_can_only_lower_the_budget() -> None:
    assert Budget(SETTINGS, SpendingInMemory(), most=0.5).epsilon == 0.5
    assert Budget(SETTINGS, SpendingInMemory(), most=3.0).epsilon == 1.0


def test_that_training_beyond_the_budget_is_refused_in_words() -> None:
    ledger = SpendingInMemory([Steps(0.5, 1.0, 20)])
    with told_as(r"too little of the privacy budget is left: \d+\.\d+ of epsilon 1\.0 is spent, and 5 more steps"):
        Budget(SETTINGS, ledger).grant(0.5, 5, 5)


def test_that_a_step_that_was_not_granted_is_refused_and_not_written() -> None:
    ledger = SpendingInMemory()
    budget = Budget(SETTINGS, ledger)
    with told_as("no room for another step"):
        budget.spend(1)
    budget.grant(0.1, 1, 1)
    budget.spend(1)
    with told_as("no room for another step"):
        budget.spend(1)
    assert len(ledger.steps) == 1


def test_that_a_step_which_cannot_be_written_down_is_not_taken() -> None:
    class Full(SpendingInMemory):
        def write(self, round_number: int, step: Steps) -> None:
            raise UserFacingError("storage.disk_full", path="x", retryable=True)

    budget = Budget(SETTINGS, Full())
    budget.grant(0.1, 2, 2)
    with told_as("disk is full"):
        budget.spend(1)


@settings(max_examples=8)
@given(
    st.lists(st.tuples(st.sampled_from([0.01, 0.1, 1.0]), st.sampled_from([0.7, 1.5, 4.0])), min_size=1, max_size=4),
    st.integers(0, 3),
)
def test_that_another_step_never_costs_less(steps: list[tuple[float, float]], at: int) -> None:
    spent = [Steps(rate, noise) for rate, noise in steps]
    assert epsilon([*spent, spent[at % len(spent)]], 1e-4) >= epsilon(spent, 1e-4)
