# SPDX-License-Identifier: Apache-2.0
"""Masking at a site whose coordinator asks for more than one masked update of a round: there is only ever one."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from fedmed_desktop import events
from fedmed_desktop.federation import Part, Plan, Rounds
from fedmed_desktop.federation.inputs import SiteJoined
from fedmed_desktop.federation.secure_aggregation import Masker, SecureAggregationSettings, Session
from fedmed_desktop.protocol.masking import MaskAsk, MaskBoxes, MaskKeys, MaskPeers, MaskShares
from fedmed_desktop.protocol.messages import Message
from fedmed_desktop.site.masking import Masking
from tests.parts.federation import small_spec
from tests.parts.masking import FEDERATION, drawing, key_of
from tests.parts.site import START, Site, result
from tests.parts.told import told_as

SPEC = small_spec(
    rounds=2, sites=3, quorum=3, secure_aggregation=SecureAggregationSettings(on=True, largest_weight=1000)
)


def plan(number: int = 1, seed: int = 1) -> Plan:
    rounds = Rounds(SPEC)
    for name in "ABC":
        rounds.handle(SiteJoined(site=name), START)
    return rounds.state.plans["A"].model_copy(update={"round": number, "seed": seed})


class Line:
    """Takes down what a site says."""

    answers = True

    def __init__(self) -> None:
        self.said: list[Message] = []

    async def send(self, message: Message) -> None:
        self.said.append(message)


def masking_of(site: Site, folder: Path, line: Line, told: list[events.Event]) -> Masking:
    found = Masking(folder, site.part, site.outbox, line, told.append)  # type: ignore[arg-type]
    found.welcomed(key_of("A"), FEDERATION)
    return found


async def test_that_a_site_that_can_mask_makes_no_other_masks_in_the_same_round(tmp_path: Path) -> None:
    """Its update may have left under the first ones, and is in whatever sum those open; a second sum would show it."""
    site, line, told = Site(tmp_path, SPEC), Line(), []
    site.ask(plan())
    masking = masking_of(site, tmp_path, line, told)
    at = {"round": 1, "number": 1}
    await masking.heard(MaskAsk(**at))
    (mine,) = (said.keys for said in line.said if isinstance(said, MaskKeys))
    assert site.part.plan is not None and site.part.plan.masking is not None
    session = Session(federation=FEDERATION, round=1, layout=masking._layout(site.part.plan).sha256)
    how, random = site.part.plan.masking, drawing(1)
    others = {name: Masker.begin(name, key_of(name), session, how, random) for name in "BC"}
    keys = {"A": mine} | {name: one.keys for name, one in others.items()}
    known = {name: one.identity for name, one in keys.items()}
    boxes = {name: one.shared(keys, known, random)["A"] for name, one in others.items()}
    await masking.heard(MaskPeers(**at, keys=keys, sites=known))
    await masking.heard(MaskBoxes(**at, boxes=boxes))
    assert [type(said) for said in line.said] == [MaskKeys, MaskShares] and not told
    await masking.heard(MaskAsk(round=1, number=2))
    assert len(line.said) == 2
    (warned,) = told
    assert isinstance(warned, events.Warned) and warned.code == "secure.second_sum"
    site.close()


def test_that_a_site_makes_no_second_masked_update_for_another_plan_of_the_round(tmp_path: Path) -> None:
    site, first = Site(tmp_path, SPEC), plan()
    blob = b"masked"
    made, part = result(first), Part(sha256=hashlib.sha256(blob).hexdigest(), size=len(blob))
    update = made.update.model_copy(update={"parts": {"masked": part}})
    site.outbox.put(first, replace(made, update=update, blobs={"masked": blob}), site.now)
    site.crash()
    masking = masking_of(site, tmp_path, Line(), [])
    assert masking.checked(first) == first
    assert masking.checked(plan(2))
    with told_as("asks for a second masked update in round 1"):
        masking.checked(plan(seed=2))
    site.close()
