# SPDX-License-Identifier: Apache-2.0
"""A site that was let in and means harm: what it gets for whatever it says wrongly, and that nobody else gets it."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fedmed_desktop.coordinator import limits
from fedmed_desktop.federation import Part, Update
from fedmed_desktop.identity import PrivateKey
from fedmed_desktop.protocol.messages import (
    UNSIGNED,
    Challenge,
    Decline,
    Finished,
    Goodbye,
    Message,
    Missing,
    NotAsked,
    OfferUpdate,
    Progress,
    Receipt,
    Refused,
    Waiting,
    Want,
    decode,
)
from fedmed_desktop.protocol.transfer import MAX_BLOB_BYTES, Chunk
from fedmed_desktop.protocol.wire import longest_offer
from fedmed_desktop.wording import SENTENCES
from tests.parts.federation import INITIAL, moved, result_of, small_spec
from tests.parts.hostile import HONEST, Target, attacked, outcome
from tests.parts.loopback import RawSite

pytestmark = pytest.mark.integration

SPEC = small_spec(rounds=1, sites=2, quorum=1)
GONE = ...
NOT_UNDERSTOOD, SIGNATURE, BAD_CHUNK = "protocol.not_understood", "protocol.signature", "protocol.bad_chunk"
IGNORED = "ignored"
NAN, INF, BEYOND = float("nan"), float("inf"), 2**60
ZEROS = "00" * 32
PATH = "../../../etc/passwd"
PART = {"sha256": "ab" * 32, "size": 2000}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """After all attacks the honest site does its part in the round."""
    with attacked(tmp_path_factory.mktemp("coordinator"), SPEC) as found:
        yield found
        asyncio.run(found.finish())


def honest_message(site: RawSite, kind: str) -> Message:
    assert site.asked is not None
    plan = site.asked.plan
    if kind == "offer":
        return site.offered(result_of(plan, INITIAL, moved(INITIAL, 7)).update)
    return {
        "decline": Decline(round=plan.round, code="kept", plan=plan.sha256),
        "progress": Progress(round=plan.round, phase="training"),
        "want": Want(sha256=INITIAL.sha256),
        "missing": Missing(sha256="cd" * 32),
    }[kind]


def with_change(site: RawSite, message: Message, path: str, value: Any) -> str | Message:
    """The message with one value changed, signed by the site if it can still be read."""
    said = message.model_dump(mode="json")
    *way, last = path.split(".")
    place = said
    for step in way:
        place = place[step]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    text = json.dumps(said)
    try:
        changed = decode(text)
    except Exception:
        return text
    if isinstance(changed, OfferUpdate | Decline) and last != "signature":
        return site.bond.signed(site.key, changed)
    return text


# -- messages, field by field ------------------------------------------------------------------------------------------

FIELDS: list[tuple[str, str, Any, str]] = [
    *[("offer", "update", value, NOT_UNDERSTOOD) for value in (GONE, None, "x", [])],
    *[("offer", "update.round", value, NOT_UNDERSTOOD) for value in (GONE, None, 0, -1, BEYOND, "1", 1.5, True)],
    ("offer", "update.round", 2, "update.round_closed"),
    ("offer", "update.round", 2**53, "update.round_closed"),
    *[("offer", "update.parts", value, NOT_UNDERSTOOD) for value in (GONE, None, [], {"adapter": None})],
    *[("offer", "update.parts", value, "update.wrong_parts") for value in ({}, {PATH: PART}, {"control": PART})],
    ("offer", "update.parts", {"adapter": PART, "control": PART}, "update.wrong_parts"),
    ("offer", "update.parts", {f"{number}": PART for number in range(500)}, "update.wrong_parts"),
    ("offer", "update.parts", {f"{number}": PART for number in range(2000)}, "close 1009"),
    *[("offer", "update.parts.adapter.sha256", v, NOT_UNDERSTOOD) for v in (GONE, None, "", PATH, "AB" * 32, 7)],
    *[("offer", "update.parts.adapter.size", v, NOT_UNDERSTOOD) for v in (GONE, None, 0, -5, "9", 1.5, BEYOND)],
    ("offer", "update.parts.adapter.size", 2**52, "update.too_large"),
    ("offer", "update.parts.adapter.path", PATH, NOT_UNDERSTOOD),
    *[("offer", "update.report", value, NOT_UNDERSTOOD) for value in (GONE, None, {}, "x")],
    *[("offer", "update.report.kind", value, NOT_UNDERSTOOD) for value in ("both", None, 1)],
    ("offer", "update.report.kind", "evaluate", "update.wrong_parts"),
    *[("offer", "update.report.notes", value, NOT_UNDERSTOOD) for value in (GONE, -1, BEYOND, "9", NAN, 1.5)],
    *[("offer", "update.report.update_norm", value, NOT_UNDERSTOOD) for value in (NAN, INF, -INF, -1.0, 1e31, "1")],
    *[("offer", "update.report.loss_before", value, NOT_UNDERSTOOD) for value in (NAN, INF, -1.0, True)],
    ("offer", "update.report.histogram", {"surgery": 3}, "update.unshared_histogram"),
    *[("offer", "update.report.histogram", v, NOT_UNDERSTOOD) for v in ({"x" * 81: 1}, {"a": -1}, {"a": 1.5}, [1])],
    ("offer", "update.report.histogram", {f"{number}": 1 for number in range(201)}, NOT_UNDERSTOOD),
    ("offer", "update.report.importance", {"name of a patient": 0.5}, "update.wrong_importance"),
    *[("offer", "update.report.importance", v, NOT_UNDERSTOOD) for v in ({"a": -0.1}, {"a": 2.0}, {"a": NAN}, [1])],
    ("offer", "update.report.scores_after", {"strict": {"name of a patient": {"tp": 1}}}, "update.foreign_type"),
    ("offer", "update.report.scores_after", {"strict": {"drug": {"tp": -1}}}, NOT_UNDERSTOOD),
    ("offer", "update.report.scores_after", {"strict": {"drug": {"tp": NAN}}}, NOT_UNDERSTOOD),
    ("offer", "update.report.text", "Mrs Miller was given aspirin", NOT_UNDERSTOOD),
    *[("offer", "plan", value, NOT_UNDERSTOOD) for value in (GONE, None, PATH, "")],
    ("offer", "plan", ZEROS, "update.other_plan"),
    *[("offer", "attempt", value, NOT_UNDERSTOOD) for value in (None, 0, -1, "1", 1.5, BEYOND)],
    ("offer", "attempt", 2, "update.other_plan"),
    *[("offer", "approval", value, NOT_UNDERSTOOD) for value in (GONE, None, "yes", PATH)],
    *[("offer", "audit", value, NOT_UNDERSTOOD) for value in ("", PATH, 5)],
    *[("offer", "signature", value, NOT_UNDERSTOOD) for value in (None, "", "ab", "AB" * 64, 5)],
    *[("offer", "signature", value, SIGNATURE) for value in (GONE, UNSIGNED, "ff" * 64)],
    ("offer", "site", "Honest", NOT_UNDERSTOOD),
    *[("decline", "round", value, NOT_UNDERSTOOD) for value in (GONE, None, -1, "1", BEYOND, 0.5)],
    *[("decline", "round", value, IGNORED) for value in (0, 2, 999)],
    *[("decline", "code", value, NOT_UNDERSTOOD) for value in (GONE, None, "", "hacked", "Mrs Miller", 5)],
    *[("decline", "plan", value, NOT_UNDERSTOOD) for value in ("", PATH, 5)],
    *[("decline", "attempt", value, NOT_UNDERSTOOD) for value in (None, 0, -1, BEYOND)],
    *[("decline", "signature", value, SIGNATURE) for value in (GONE, UNSIGNED, "ff" * 64)],
    ("decline", "reason", "the operator's own words", NOT_UNDERSTOOD),
    *[("progress", "round", value, NOT_UNDERSTOOD) for value in (GONE, None, -1, "1", BEYOND)],
    *[("progress", "round", value, IGNORED) for value in (0, 2**53)],
    *[("progress", "phase", value, NOT_UNDERSTOOD) for value in (GONE, None, "", "hacking", "x" * 1000)],
    ("progress", "phase", "finished", IGNORED),
    *[("want", "sha256", value, NOT_UNDERSTOOD) for value in (GONE, None, "", PATH, "coordinator.sqlite", 5)],
    *[("want", "offset", value, NOT_UNDERSTOOD) for value in (None, -1, "0", 0.5, BEYOND, NAN)],
    *[("want", "offset", value, IGNORED) for value in (1, 2**53)],
    *[("missing", "sha256", value, NOT_UNDERSTOOD) for value in (GONE, None, PATH, 5)],
    ("missing", "sha256", ZEROS, IGNORED),
    *[(kind, "type", "newer", NOT_UNDERSTOOD) for kind in ("offer", "decline", "progress", "want", "missing")],
]


def shown(value: object) -> str:
    return "gone" if value is GONE else str(value)[:16]


@pytest.mark.parametrize(("kind", "path", "value", "code"), FIELDS, ids=shown)
async def test_that_a_message_that_is_wrong_in_one_field_costs_its_sender_alone(
    kind: str, path: str, value: Any, code: str, target: Target
) -> None:
    async with target.joined() as site:
        await site.line.send(text(with_change(site, honest_message(site, kind), path, value)))
        assert await outcome(site) == code
    assert code in SENTENCES or code == IGNORED or code.startswith("close")


def text(message: str | Message) -> str:
    return message if isinstance(message, str) else message.model_dump_json()


NOW = datetime(2026, 1, 1, tzinfo=UTC)
OF_THE_COORDINATOR: list[Message] = [
    Challenge(version=5, nonce=ZEROS, key="ab" * 32, tls=""),
    Waiting(site="Hostile"),
    Goodbye(code="join.revoked", final=True),
    NotAsked(round=1),
    Receipt(round=1, update=ZEROS, time=NOW),
    Refused(round=1, update=ZEROS, code="update.second"),
    Finished(adapter=ZEROS, size=5),
]


@pytest.mark.parametrize("message", OF_THE_COORDINATOR, ids=lambda one: one.type)
async def test_that_a_site_may_not_say_what_only_a_coordinator_says(message: Message, target: Target) -> None:
    async with target.joined() as site:
        await site.say(message)
        assert await outcome(site) == NOT_UNDERSTOOD


async def test_that_a_site_that_asks_its_operator_in_no_round_is_passed_over(target: Target) -> None:
    async with target.joined() as site:
        await site.say(Progress(round=0, phase="approval"))
        assert await outcome(site) == IGNORED


async def test_that_a_site_introduces_itself_once_only(target: Target) -> None:
    async with target.joined() as site:
        await site.say(site.hello.model_copy(update={"site": "Honest"}))
        assert await outcome(site) == NOT_UNDERSTOOD


# -- signatures --------------------------------------------------------------------------------------------------------

OTHER = PrivateKey(b"o" * 32)
AFTER_SIGNING: list[tuple[str, str, Any]] = [
    ("offer", "plan", ZEROS),
    ("offer", "attempt", 9),
    ("offer", "approval", "bb" * 32),
    ("offer", "audit", "bb" * 32),
    ("offer", "update.round", 2),
    ("offer", "update.report.notes", 99),
    ("offer", "update.report.seconds", 99.0),
    ("offer", "update.parts.adapter.size", 4),
    ("offer", "update.parts.adapter.sha256", "ab" * 32),
    ("decline", "round", 2),
    ("decline", "code", "failed"),
    ("decline", "attempt", 2),
    ("decline", "plan", ZEROS),
    ("decline", "audit", ZEROS),
]


@pytest.mark.parametrize(("kind", "path", "value"), AFTER_SIGNING, ids=shown)
async def test_that_nothing_can_be_changed_once_it_is_signed(kind: str, path: str, value: Any, target: Target) -> None:
    async with target.joined() as site:
        message = honest_message(site, kind)
        if isinstance(message, Decline):
            message = site.bond.signed(site.key, message)
        changed = json.loads(text(with_change(site, message, path, value)))
        changed["signature"] = message.signature  # type: ignore[union-attr]
        await site.line.send(json.dumps(changed))
        assert await outcome(site) == SIGNATURE


@pytest.mark.parametrize("kind", ["offer", "decline"])
@pytest.mark.parametrize("how", ["other key", "other federation", "other coordinator", "other site", "other purpose"])
async def test_that_a_signature_counts_for_its_purpose_site_and_federation_alone(
    kind: str, how: str, target: Target
) -> None:
    async with target.joined() as site:
        message = honest_message(site, kind)
        assert isinstance(message, OfferUpdate | Decline)
        bond, key = site.bond, site.key
        if how == "other purpose":
            content = bond._content(message)
            forged: Message = message.model_copy(update={"signature": key.sign("receipt", content)})
        else:
            bonds = {
                "other key": bond,
                "other federation": replace(bond, federation=ZEROS),
                "other coordinator": replace(bond, coordinator=OTHER.public),
                "other site": replace(bond, site=OTHER.public),
            }
            forged = bonds[how].signed(OTHER if how == "other key" else key, message)
        await site.line.send(text(forged))
        assert await outcome(site) == SIGNATURE


@pytest.mark.parametrize("kind", ["offer", "decline"])
async def test_that_what_one_site_has_signed_is_worth_nothing_from_another(kind: str, target: Target) -> None:
    async with target.joined() as site, target.joined(HONEST) as honest:
        message = honest_message(honest, kind)
        assert isinstance(message, OfferUpdate | Decline)
        await site.line.send(text(honest.bond.signed(honest.key, message)))
        assert await outcome(site) == SIGNATURE
        assert await outcome(honest) == IGNORED


# -- chunks ------------------------------------------------------------------------------------------------------------

HEADER = struct.Struct(">32sQQ")
CHUNKS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", BAD_CHUNK),
    "half a header": (b"x" * 20, BAD_CHUNK),
    "a header alone": (HEADER.pack(b"x" * 32, 0, 10), BAD_CHUNK),
    "a pickle": (b"\x80\x04cos\nsystem\n(S'true'\ntR.", BAD_CHUNK),
    "beyond its end": (Chunk("ab" * 32, 5, 8, b"1234").encode(), BAD_CHUNK),
    "an offset that overflows": (HEADER.pack(b"x" * 32, 2**64 - 1, 2**64 - 1) + b"12", BAD_CHUNK),
    "of terabytes": (HEADER.pack(b"x" * 32, 0, 2**42) + b"12", BAD_CHUNK),
    "of more than any": (HEADER.pack(b"x" * 32, 0, MAX_BLOB_BYTES + 1) + b"12", BAD_CHUNK),
    "not asked for": (Chunk("ab" * 32, 0, 8, b"1234").encode(), IGNORED),
    "of a published adapter": (Chunk(INITIAL.sha256, 0, 8, b"1234").encode(), IGNORED),
    "longer than an offer": (b"x" * (longest_offer(SPEC.types) + 1), "close 1009"),
}


@pytest.mark.parametrize("chunk", CHUNKS)
async def test_that_a_wrong_chunk_is_refused_or_passed_over(chunk: str, target: Target) -> None:
    data, code = CHUNKS[chunk]
    async with target.joined() as site:
        await site.line.send(data)
        assert await outcome(site) == code
    assert target.host.blobs.read(INITIAL.sha256) == INITIAL.to_blob()


async def test_that_an_update_of_another_site_cannot_be_fetched(target: Target) -> None:
    async with target.joined() as site:
        secret = target.host.blobs.write(b"the update of another site")
        await site.say(Want(sha256=secret))
        assert (await site.hear(Missing)).sha256 == secret


async def test_that_a_site_may_not_claim_bytes_that_another_one_has_sent(target: Target) -> None:
    """Naming what lies here already saves the upload, not the checks."""
    async with target.joined() as site:
        lie = Part(sha256=INITIAL.sha256, size=len(INITIAL.to_blob()))
        report = result_of(site.asked.plan, INITIAL, moved(INITIAL, 7)).update.report  # type: ignore[union-attr]
        await site.say(site.offered(Update(round=1, parts={"adapter": lie}, report=report)))
        assert await outcome(site) == "update.wrong_norm"


async def test_that_a_site_that_talks_too_much_is_sent_away_and_may_come_back(target: Target) -> None:
    async with target.joined() as site:
        for _ in range(limits.MESSAGES_AT_ONCE + 50):
            await site.say(Missing(sha256=ZEROS))
        assert await outcome(site) == "limit.messages"
    async with target.joined() as site:
        assert await outcome(site) == IGNORED
