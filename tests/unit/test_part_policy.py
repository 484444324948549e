# SPDX-License-Identifier: Apache-2.0
"""A site's part under its own policy: what is refused, held, asked of two people, and when it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fedmed_desktop import events
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation import part_actions as do
from fedmed_desktop.federation.plan import PrivacySettings
from fedmed_desktop.federation.policy import InForce, Layer, Policy, told
from tests.parts.federation import LORA, small_spec
from tests.parts.loopback import all_of
from tests.parts.site import DELAY, SPEC, Site, plan, result
from tests.parts.told import told_as

SHA = "5" * 64
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
OFFICE = {"days": ["mon", "tue", "wed", "thu", "fri"], "opens": "08:00", "closes": "18:00"}


def layer(**keys: Any) -> Layer:
    return Layer(Policy.model_validate(keys), "/etc/policy.toml", SHA)


PRIVATE = SPEC.model_copy(
    update={"training": SPEC.training.model_copy(update={"privacy": PrivacySettings(epsilon=4, unit="note")})}
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path)
    one.now = MONDAY
    yield one
    one.close()


def said(site: Site) -> events.PolicySaid:
    return all_of(site.told, events.PolicySaid)[-1]


def warned(site: Site) -> list[str]:
    return [event.code for event in all_of(site.told, events.Warned)]


def rows(site: Site) -> list[tuple[str, str, str, str]]:
    return [(one.decision, one.by, one.rule, one.policy[:1]) for one in site.outbox.decisions()]


def test_that_a_plan_above_the_rank_is_declined_as_any_failure_and_nothing_is_fetched(site: Site) -> None:
    site.set_policy(layer(most_rank=LORA.rank - 1))
    site.ask(plan())
    assert site.under_way is None and site.declined == [(1, "failed")]
    (failed,) = all_of(site.told, events.Failed)
    assert failed.code == "policy.rank" and failed.params["rule"] == "most_rank"
    assert site.sent == [do.Decline(1, "failed")], "the coordinator hears nothing else"
    site.set_policy(layer(most_rank=LORA.rank))
    site.until_asked(plan())


def test_that_a_federation_that_the_policy_rules_out_is_not_joined(tmp_path: Path) -> None:
    site = Site(tmp_path, small_spec(rounds=1, sites=1, quorum=1, method={"name": "fednova"}), welcomed=False)
    site.part.spec = None
    site.set_policy(layer(scalars=["notes", "update_norm"]))
    with told_as("method fednova needs steps .* policy .scalars. does not let that leave"):
        site.part.check_spec(site.spec)
    site.set_policy(layer(rule=[{"name": "no tests", "action": "deny", "environment": "test"}]))
    with told_as("no tests"):
        site.part.check_spec(site.spec)
    site.set_policy(layer(scalars=["notes", "update_norm", "steps"]))
    site.part.check_spec(site.spec)
    site.close()


def test_that_what_may_not_leave_is_stripped_before_the_update_is_made_and_known_here(site: Site) -> None:
    site.set_policy(layer(scalars=["supervised_tokens", "update_norm"], least_notes=5))
    entry = site.until_asked(plan())
    whole = result(plan()).update.report
    assert entry.update.report.model_dump(exclude_defaults=True) | {"notes": entry.update.report.notes} == {
        "notes": 0, "supervised_tokens": whole.supervised_tokens, "update_norm": whole.update_norm,
    }  # fmt: skip
    assert entry.evidence.training_notes == whole.notes
    site.decide()
    site.wait()
    (offer,) = [one for one in site.sent if isinstance(one, do.Offer)]
    assert offer.update == entry.update
    assert rows(site)[-1] == ("released", "agent", "default", "5")


def test_that_a_denied_update_waits_for_a_policy_that_lets_a_person_send_it(site: Site) -> None:
    site.set_policy(layer(most_bytes=10))
    entry = site.until_asked(plan())
    assert (said(site).action, said(site).rule, said(site).update) == ("deny", "most_bytes", entry.sha256)
    site.decide()
    assert warned(site) == ["policy.bytes"] and isinstance(site.under_way, do.AskPerson) and site.states == ["pending"]
    site.set_policy(layer())
    assert said(site).action == "ask"
    site.decide()
    site.wait()
    assert site.offered == [entry.sha256]


def test_that_a_denied_update_is_kept_at_once_where_a_rule_would_approve_it(site: Site) -> None:
    site.set_policy(layer(most_bytes=10))
    site.until_asked(plan())
    site.decide(by="rule")
    assert site.states == ["kept"] and site.declined == [(1, "kept")]
    assert rows(site) == [("kept", "policy", "most_bytes", "5")]


def test_that_a_rule_approves_only_where_the_policy_allows_it(site: Site) -> None:
    site.set_policy(layer())
    site.until_asked(plan())
    site.decide(by="rule")
    assert said(site).code == "policy.asks" and site.states == ["pending"] and site.under_way is None
    site.wait(timedelta(days=1))
    assert not site.offered
    site.set_policy(layer(rule=[{"name": "small steps", "action": "allow", "most_rank": LORA.rank}]))
    site.decide(by="rule")
    site.wait()
    assert len(site.offered) == 1
    assert rows(site) == [("approved", "rule", "small steps", "5"), ("released", "agent", "small steps", "5")]


def test_that_only_those_named_may_approve_and_anybody_may_keep(site: Site) -> None:
    site.set_policy(layer(approvers=["bob"]))
    site.until_asked(plan())
    assert said(site).approvers == ("bob",)
    site.decide(by="ann")
    assert warned(site) == ["policy.not_approver"] and site.states == ["pending"]
    site.decide(approve=False, by="ann")
    assert rows(site) == [("kept", "ann", "approvers", "5")]


def test_that_two_files_may_write_an_approver_in_different_cases(site: Site) -> None:
    site.set_policy(layer(approvers=["A.Lind", "r.okafor"]), layer(approvers=["a.lind", "j.berg"]))
    entry = site.until_asked(plan())
    assert said(site).approvers == ("A.Lind",)
    site.decide(by="r.okafor")
    assert warned(site) == ["policy.not_approver"]
    site.decide(by="a.lind")
    site.wait()
    assert site.offered == [entry.sha256]


def test_that_two_different_people_must_approve_and_both_are_in_the_record(site: Site) -> None:
    site.set_policy(layer(four_eyes=True))
    entry = site.until_asked(plan())
    assert said(site).people == 2
    site.decide(by="ann")
    assert site.states == ["pending"] and site.entry(entry.sha256).first_by == "ann"
    site.wait(10 * DELAY)
    site.decide(by="ANN")
    assert warned(site) == ["policy.same_person"] and not site.offered
    site.crash()
    site.welcome()
    assert site.until_asked(plan()).first_by == "ann", "the first approval is on disk"
    site.decide(by="bob")
    site.wait()
    assert site.offered == [entry.sha256]
    assert [(word, who) for word, who, _, _ in rows(site)] == [
        ("first_approved", "ann"), ("approved", "bob"), ("released", "agent"),
    ]  # fmt: skip
    assert site.decided == ["first_approved", "approved", "released"]


def test_that_both_approve_again_once_it_was_taken_back(site: Site) -> None:
    site.set_policy(layer(four_eyes=True))
    entry = site.until_asked(plan())
    site.decide(by="ann")
    site.decide(by="bob")
    site.take_back(entry.sha256)
    assert site.entry(entry.sha256).first_by == ""
    site.decide(by="bob")
    assert site.states == ["pending"]
    site.decide(by="ann")
    assert site.states == ["approved"]


def test_that_an_approval_outside_the_hours_waits_until_they_begin_and_says_so(site: Site) -> None:
    site.set_policy(layer(hours=[OFFICE]))
    entry = site.until_asked(plan())
    site.decide()
    site.wait()
    opens = MONDAY + timedelta(hours=8)
    assert site.states == ["approved"] and site.part.wake_at == said(site).opens == opens
    site.wait(opens - site.now - timedelta(seconds=1))
    assert not site.offered
    site.wait(timedelta(seconds=1))
    assert site.offered == [entry.sha256] and site.states == ["released"]


def test_that_what_is_released_is_not_offered_again_outside_the_hours(site: Site) -> None:
    site.now = MONDAY + timedelta(hours=17, minutes=59)
    site.set_policy(layer(hours=[OFFICE]))
    entry = site.until_asked(plan())
    site.decide()
    site.wait()
    assert site.offered == [entry.sha256]
    site.wait(timedelta(minutes=5))
    site.give(site.part.line_lost)
    site.welcome()
    assert site.offered == [entry.sha256], "the line came back after hours"
    assert site.part.offers.opens_at == said(site).opens == MONDAY + timedelta(hours=32)
    site.wait(timedelta(hours=14))
    assert site.offered == [entry.sha256] * 2


def test_that_a_change_of_the_policy_takes_back_what_has_not_left(site: Site) -> None:
    site.set_policy(layer())
    site.until_asked(plan())
    site.decide()
    site.set_policy(layer(four_eyes=True))
    assert site.states == ["pending"] and rows(site)[-1] == ("taken_back", "policy", "four_eyes", "5")
    site.wait()
    assert not site.offered and isinstance(site.under_way, do.AskPerson)


@pytest.mark.parametrize("first", [True, False], ids=["the first", "the only one"])
def test_that_an_approval_that_waits_for_the_disk_is_weighed_by_the_policy_as_it_is_then(
    site: Site, first: bool
) -> None:
    site.set_policy(layer(four_eyes=first))
    site.until_asked(plan())
    site.fault = UserFacingError("storage.disk_full", path="site.sqlite", retryable=True)
    site.decide()
    site.set_policy(layer(four_eyes=True, approvers=["bob", "cleo"]))
    site.fault = None
    site.wait(timedelta(minutes=5))
    site.wait()
    assert not site.offered and rows(site) == [], "ann may not approve any more"
    site.decide(by="bob")
    site.decide(by="cleo")
    site.wait()
    assert len(site.offered) == 1


def test_that_an_update_that_tells_more_than_a_newer_policy_lets_leave_stays(site: Site) -> None:
    site.set_policy(layer())
    entry = site.until_asked(plan())
    needed = sorted(SPEC.method.needs)
    site.set_policy(layer(scalars=needed))
    assert (said(site).action, said(site).rule, said(site).code) == ("deny", "scalars", "policy.scalar")
    site.decide()
    site.wait()
    assert warned(site) == ["policy.scalar"] and not site.offered
    site.set_policy(layer(scalars=[*needed, *told(entry.update.report)]))
    site.decide()
    site.wait()
    assert site.offered == [entry.sha256]


def test_that_what_a_policy_denies_does_not_keep_another_update_from_leaving_when_the_hours_begin(site: Site) -> None:
    site.give(site.part.line_lost)
    sent = []
    for number in (1, 2):
        sent.append(site.until_asked(plan(number)).sha256)
        site.decide()
        site.wait()
    site.set_policy(layer(hours=[OFFICE], rule=[{"name": "no more", "action": "deny", "over_norm_ratio": 0.0}]))
    site.welcome()
    assert not site.offered and site.part.offers.opens_at == MONDAY + timedelta(hours=8)
    site.wait(timedelta(hours=9))
    assert site.offered == sent[:1], "the first has none before it, the second may not leave"


def test_that_a_policy_that_cannot_be_read_lets_nothing_leave_until_it_is_mended(site: Site) -> None:
    broken = Layer(Policy(), "/etc/policy.toml", SHA, ("policy.unreadable", {"path": "/p", "reason": "no"}))
    entry = site.until_asked(plan())
    site.decide()
    site.set_policy(broken)
    site.wait()
    site.decide()
    assert warned(site) == ["policy.unreadable"] and not site.offered
    site.ask(plan(2))
    assert site.declined == [(2, "failed")]
    site.set_policy()
    site.until_asked(plan(3))
    assert site.entry(entry.sha256).state == "expired"


def test_that_a_federation_without_differential_privacy_is_ruled_out_where_the_policy_asks_for_it(
    tmp_path: Path,
) -> None:
    for spec, may in ((SPEC, False), (PRIVATE, True)):
        site = Site(tmp_path / str(may), spec, welcomed=False)
        site.set_policy(layer(most_epsilon=3))
        site.part.spec = None  # it has not joined yet
        if may:
            site.welcome()
        else:
            words = r"asks for differential privacy with epsilon at most 3\.0, and this federation trains without"
            with told_as(words):
                site.welcome()
        site.close()


def test_that_an_update_that_spent_more_than_the_policy_allows_by_then_stays(tmp_path: Path) -> None:
    site = Site(tmp_path, PRIVATE)
    asked = plan(1, PRIVATE)
    made = result(asked)
    spent = replace(made, evidence=made.evidence.model_copy(update={"epsilon_spent": 2.5}))
    site.ask(asked)
    site.work()
    train = site.under_way
    assert isinstance(train, do.Train)
    site.under_way = None
    site.give(lambda: site.part.trained(train, spent))
    site.set_policy(layer(most_epsilon=3, default="allow"))
    assert said(site).action == "allow"
    site.set_policy(layer(most_epsilon=2, default="allow"))
    assert (said(site).action, said(site).rule, said(site).code) == ("deny", "most_epsilon", "policy.epsilon")
    site.close()


def test_that_of_several_files_the_smallest_epsilon_is_what_may_be_spent() -> None:
    assert InForce((layer(most_epsilon=3), layer(), layer(most_epsilon=1.5))).most_epsilon == 1.5
    assert InForce((layer(),)).most_epsilon is None
