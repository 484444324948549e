# SPDX-License-Identifier: Apache-2.0
"""Proofs in the ledger: each update that counts has the signature of the offer that brought it."""

from __future__ import annotations

from pathlib import Path

from fedmed_desktop.federation.inputs import INPUT, UpdateArrived
from fedmed_desktop.lora import Adapter
from fedmed_desktop.protocol.messages import OfferUpdate, Receipt, Want
from tests.parts.federation import INITIAL, moved, result_of, small_spec
from tests.parts.loopback import RawSite, coordinator

SPEC = small_spec(rounds=2, sites=1, quorum=1)


async def test_an_older_offer_that_comes_in_between_does_not_take_the_place_of_the_proof(tmp_path: Path) -> None:
    async with coordinator(tmp_path, SPEC, []) as (host, port), RawSite(port) as site:
        await site.join()
        first = await site.plan()
        before = result_of(first, INITIAL, moved(INITIAL, 1))
        await site.offer(before)
        await site.hear(Receipt)
        second = await site.plan()
        start = Adapter.from_blob(host.blobs.read(second.start))
        made = result_of(second, start, moved(start, 2))
        await site.say(site.offered(made.update))
        want = await site.hear(Want)
        await site.say(site.offered(before.update, first))
        assert (await site.hear(Receipt)).plan == first.sha256
        await site.send(want.sha256, made.blobs["adapter"])
        receipt = await site.hear(Receipt)
        assert (receipt.update, receipt.plan) == (made.update.sha256, second.sha256)
        rows = host._ledger._inputs.rows(host._ledger._database)
    arrived = [one for row in rows if isinstance(one := INPUT.validate_json(row[2]), UpdateArrived)]
    assert len(arrived) == 2
    for one in arrived:
        assert one.proof is not None
        told = one.proof.model_dump(include={"plan", "attempt", "approval", "audit", "signature"})
        site.bond.check(OfferUpdate(update=one.update, **told))
