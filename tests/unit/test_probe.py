# SPDX-License-Identifier: Apache-2.0
"""What a coordinator gives for measuring a connection is bounded, however many ask."""

from __future__ import annotations

from fedmed_desktop.coordinator.probe import BYTES, Probe


def test_a_probe_is_given_a_few_times_at_once_and_then_one_in_five_seconds() -> None:
    probe = Probe()
    given = [probe.take(100.0) for _ in range(10)]
    assert [len(one) if one else 0 for one in given] == [BYTES] * 4 + [0] * 6
    assert probe.take(104.9) is None
    assert probe.take(105.1) is not None and probe.take(105.2) is None
    hour = sum(probe.take(200.0 + second / 10) is not None for second in range(36_000))
    assert hour <= 4 + 3600 / 5
