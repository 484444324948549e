# SPDX-License-Identifier: Apache-2.0
"""What a coordinator gives for measuring a connection is bounded, however many ask."""

from __future__ import annotations

from fedmed_desktop.coordinator.probe import BYTES, Probe


def test_a_probe_is_given_a_few_times_at_once_and_then_one_in_five_seconds() -> None:
    now = 100.0
    probe = Probe(lambda: now)
    given = [probe.take() for _ in range(10)]
    assert [len(one) if one else 0 for one in given] == [BYTES] * 4 + [0] * 6
    now = 104.9
    assert probe.take() is None
    now = 105.1
    assert probe.take() is not None and probe.take() is None
    hour = 0
    for second in range(36_000):
        now = 200.0 + second / 10
        hour += probe.take() is not None
    assert hour <= 4 + 3600 / 5
