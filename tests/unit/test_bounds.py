# SPDX-License-Identifier: Apache-2.0
"""Numbers on the wire and in the ledger are bounded and strict, whichever field they stand in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import TypeAdapter, ValidationError

from fedmed_desktop.bounds import LARGEST_COUNT, LARGEST_SCALAR
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.federation.inputs import INPUT
from fedmed_desktop.protocol import messages
from fedmed_desktop.protocol.messages import Message, NotAsked, Refused, decode, encode, sayable
from fedmed_desktop.scores import Counts, Scores, TaskScores, pool

LOW, HIGH = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}


def unbounded(node: object, where: str = "") -> Iterator[str]:
    """Places in a JSON schema that take a number without a lowest and a largest value."""
    if isinstance(node, list):
        for part in node:
            yield from unbounded(part, where)
    if isinstance(node, dict):
        fixed = node.keys() & {"const", "enum"}
        if node.get("type") in ("integer", "number") and not fixed and not (LOW & node.keys() and HIGH & node.keys()):
            yield where
        for name, part in node.items():
            yield from unbounded(part, f"{where}.{name}")


@pytest.mark.parametrize("kind", [TypeAdapter(Message), INPUT], ids=["messages", "inputs of the ledger"])
def test_that_every_number_has_a_lowest_and_a_largest_value(kind: TypeAdapter[object]) -> None:
    assert list(unbounded(kind.json_schema())) == []


def test_that_a_number_without_bounds_is_noticed() -> None:
    assert list(unbounded(TypeAdapter(dict[str, int]).json_schema())) == [".additionalProperties"]


@pytest.mark.parametrize("value", ["true", '"1"', "1.0", "-1", str(LARGEST_COUNT + 1), "9" * 4300, "9" * 5000, "NaN"])
def test_that_what_is_no_count_is_refused_in_a_message(value: str) -> None:
    with pytest.raises(UserFacingError, match=r"protocol\.not_understood"):
        decode(f'{{"type": "not_asked", "round": {value}}}')
    with pytest.raises(ValidationError):
        INPUT.validate_json(f'{{"input": "awaits_approval", "site": "A", "round": {value}}}')


def test_that_pooled_counts_can_be_told_however_large_those_of_the_sites_are() -> None:
    largest = Counts(tp=LARGEST_COUNT, fp=LARGEST_COUNT, fn=LARGEST_COUNT)
    pooled = pool([Scores.of_entities(TaskScores(strict={"drug": largest}, unified=largest))] * 3)
    assert Scores.model_validate_json(pooled.model_dump_json()) == pooled
    assert pooled["entities"].unified == largest


@pytest.mark.parametrize("value", [10**400, float("inf"), float("nan"), -(10**20), LARGEST_SCALAR * 10])
def test_that_an_error_with_an_absurd_number_can_still_be_told(value: float) -> None:
    told = Refused(round=1, update="0" * 64, code="update.wrong_rank", params=sayable({"found": value, "module": "q"}))
    assert decode(encode(told)) == told
    assert told.params == {"found": "…", "module": "q"}


def test_that_a_message_with_usual_numbers_is_taken() -> None:
    assert decode('{"type": "not_asked", "round": 3}') == NotAsked(round=3)
    assert messages.VERSION == 10
