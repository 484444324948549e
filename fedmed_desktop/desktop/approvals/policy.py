# SPDX-License-Identifier: Apache-2.0
"""The site's own policy on the Approvals page: its word on an update, and whether this person may send it. No Qt."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from ...federation.gate import same_person
from ...federation.work import Entry
from ...wording import clock, sentence, tr
from ..work.desk import Desk


def policy_line(entry: Entry, desk: Desk) -> tuple[str, Literal["dim", "ink", "bad"]]:
    """The line on the form, and its tone; "" where there is no policy."""
    said = desk.policies.get(entry.sha256)
    if said is None:
        return "", "dim"
    if said.action == "deny":
        line = tr("Your hospital's policy does not let it leave ({rule}).")
    elif entry.first_by:
        line = tr("Your hospital's policy asks for two people ({rule}): {name} has approved, and another must as well.")
    elif said.people > 1:
        line = tr("Your hospital's policy asks for two people ({rule}).")
    elif said.approvers is not None:
        line = tr("Your hospital's policy lets only {names} approve ({rule}).")
    elif said.action == "ask":
        line = tr("Your hospital's policy asks for a person ({rule}).")
    else:
        line = tr("Your hospital's policy asks for no more than this program does ({rule}).")
    names = ", ".join(said.approvers or ())
    return line.format(rule=said.rule, name=entry.first_by, names=names), "bad" if said.action == "deny" else "ink"


def signs_by_account(entry: Entry, desk: Desk) -> bool:
    """Tells whether the account's name is the signature: where the policy names approvers, or asks for two people."""
    said = desk.policies.get(entry.sha256)
    return said is not None and (said.people > 1 or said.approvers is not None)


def asks_name(entry: Entry, desk: Desk, user: str) -> bool:
    """Tells whether a second person must say who they are, because the first one sits at this account."""
    said = desk.policies.get(entry.sha256)
    return said is not None and said.people > 1 and bool(entry.first_by) and same_person(entry.first_by, user)


def why_not_send(entry: Entry, desk: Desk, user: str, second: str) -> str:
    """Says why this person may not send it and what to do; "" where they may. `second`: the name that was written."""
    said = desk.policies.get(entry.sha256)
    if said is None:
        return ""
    if said.action == "deny":
        return sentence(said.code, said.params)
    name = second if asks_name(entry, desk, user) else user
    if not name.strip():
        return tr("A second person must approve: ask them to write their name above.")
    if same_person(name, entry.first_by):
        return sentence("policy.same_person", {"name": entry.first_by})
    if said.approvers is not None and not any(same_person(name, one) for one in said.approvers):
        return sentence("policy.not_approver", {"name": name, "names": ", ".join(said.approvers)})
    return ""


def waits_for_hours(entry: Entry, desk: Desk, now: datetime) -> tuple[str, str] | None:
    """Headline and sentence for an approval that waits until something may leave; None where it does not wait."""
    said = desk.policies.get(entry.sha256)
    if said is None or said.opens is None or now >= said.opens:
        return None
    opens = clock(said.opens, now)
    text = tr("Your hospital's policy lets nothing leave before {time} (hours). You can take it back until then.")
    return tr("Waits until {time}").format(time=opens), text.format(time=opens)


def held_back(entry: Entry, desk: Desk) -> str:
    """Says why an update whose approval is final is not on its way; "" where the policy holds nothing back."""
    said = desk.policies.get(entry.sha256)
    if said is None:
        return ""
    if said.action == "deny":
        return sentence(said.code, said.params)
    if said.opens is None:
        return ""
    text = tr("Your hospital's policy lets nothing leave before {time} (hours).")
    return text.format(time=clock(said.opens))
