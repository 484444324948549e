# SPDX-License-Identifier: Apache-2.0
"""A deputy may approve on the days that the policy names, in place of one of its approvers, and at no other time."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from fedmed_desktop.federation.deputies import Deputy
from fedmed_desktop.federation.gate import assent
from fedmed_desktop.federation.policy import Decision, InForce, Layer, Policy
from fedmed_desktop.site.policy_file import PolicyFiles, check_policy
from fedmed_desktop.wording.policy_in_force import in_force
from tests.parts.told import told_as

AWAY = Deputy(name="j.berg", instead_of="R.Okafor", first=date(2026, 7, 1), last=date(2026, 7, 14))
ASK = Decision("ask", "approvers")


def policy(day: date | None, *more: Layer, four_eyes: bool = False) -> InForce:
    own = Policy(approvers=("a.lind", "r.okafor"), deputy=(AWAY,), four_eyes=four_eyes)
    return InForce((Layer(own), *more), day=day)


@pytest.mark.parametrize(
    ("day", "may"),
    [
        (date(2026, 6, 30), False),
        (date(2026, 7, 1), True),
        (date(2026, 7, 14), True),
        (date(2026, 7, 15), False),
        (None, False),
    ],
)
def test_that_a_deputy_counts_on_those_days_alone(day: date | None, may: bool) -> None:
    found = assent(policy(day), ASK, "J.Berg", "")
    assert found.decision == ("approved" if may else None)
    assert may or (found.code, found.params["name"]) == ("policy.not_approver", "J.Berg")


def test_that_who_is_away_may_still_approve_and_both_are_two_people() -> None:
    there = policy(date(2026, 7, 3), four_eyes=True)
    assert assent(there, ASK, "r.okafor", "").decision == "first_approved"
    assert assent(there, ASK, "j.berg", "r.okafor").decision == "approved"
    assert assent(there, ASK, "j.berg", "j.berg").code == "policy.same_person"


def test_that_another_file_cannot_be_loosened_by_a_deputy() -> None:
    strict = Layer(Policy(approvers=("a.lind", "r.okafor")), "/etc/policy.toml")
    assert policy(date(2026, 7, 3), strict).approvers == {"a.lind", "r.okafor"}


def test_that_the_policy_in_force_names_the_days() -> None:
    said = [one.text for one in in_force(policy(None))]
    assert "j.berg may approve in place of R.Okafor from 2026-07-01 to 2026-07-14." in said


TEXT = """\
approvers = ["r.okafor"]
[[deputy]]
name = "j.berg"
instead_of = "{instead_of}"
first = {first}
last = 2026-07-14
"""


def test_that_the_day_is_todays_each_time_it_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(TEXT.format(instead_of="r.okafor", first="2026-07-01"), "utf-8")
    today = [date(2026, 6, 30)]
    files = PolicyFiles(file, system=tmp_path / "none", user=tmp_path / "none", today=lambda: today[0])
    assert files().approvers == {"r.okafor"}
    today[0] = date(2026, 7, 1)
    assert files().approvers == {"r.okafor", "j.berg"}


@pytest.mark.parametrize(
    ("instead_of", "first", "said"),
    [
        ("a.lind", "2026-07-01", "none of the approvers"),
        ("r.okafor", "2026-07-15", "last day is before the first"),
        ("r.okafor", '"soon"', "first"),
        ("J.Berg", "2026-07-01", "own deputy"),
    ],
)
def test_that_a_mistake_lets_nothing_leave_and_is_named(tmp_path: Path, instead_of: str, first: str, said: str) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(TEXT.format(instead_of=instead_of, first=first), "utf-8")
    with told_as(said):
        check_policy(PolicyFiles(file, system=tmp_path / "none", user=tmp_path / "none")())
