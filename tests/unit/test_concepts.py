# SPDX-License-Identifier: Apache-2.0
"""Relations of concepts as relations of their nearest mentions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedmed_desktop.clinical.readers.concepts import Concepts
from fedmed_desktop.clinical.readers.mentions import Link
from fedmed_desktop.clinical.readers.offsets import Mention

CONCEPTS = st.sampled_from(["D1", "D2", "D1|D2"])


def all_pairs(mentions: list[tuple[Mention, str]]) -> Link | None:
    """What is wanted, by looking at every pair."""
    of = {name: [one for one, cell in mentions if name in cell.split("|")] for name in ("D1", "D2")}
    pairs = [
        (abs(one.start - other.start), min(one.start, other.start), one.id, other.id)
        for one in of["D1"]
        for other in of["D2"]
        if one.id != other.id
    ]
    return Link(*min(pairs)[2:], "causes") if pairs else None


@given(st.lists(st.tuples(st.integers(0, 12), CONCEPTS), max_size=8))
def test_that_the_nearest_mentions_are_linked(places: list[tuple[int, str]]) -> None:
    mentions = [(Mention(f"T{n}", start, start + 1, "x"), cell) for n, (start, cell) in enumerate(places)]
    concepts = Concepts()
    for one, cell in mentions:
        concepts.add([cell], one)
    assert concepts.nearest("D1", "D2", " causes ") == all_pairs(mentions)
    assert concepts.nearest("D1", "D2", " ") is None


def test_that_two_concepts_may_have_very_many_mentions_and_relations() -> None:
    """A document of 100,000 lines: pair by pair, this would take hours and all memory."""
    concepts = Concepts()
    for n in range(20_000):
        concepts.add([f"D{n % 2}"], Mention(f"T{n}", 7 * n, 7 * n + 3, "x"))
    found = {concepts.nearest("D0", "D1", "causes") for _ in range(20_000)}
    assert found == {Link("T0", "T1", "causes")}
