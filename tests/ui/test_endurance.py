# SPDX-License-Identifier: Apache-2.0
"""A working day of eight hours, replayed in a minute or two: the desktop holds no more in the evening than at ten."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.parts.endurance import a_day
from tests.parts.ui import Desktop

pytestmark = pytest.mark.slow
MIB = 2**20
MOST_GROWTH = 12 * MIB  # from the second hour on; of 19,200 steps the charts keep 7,215, which are 1 MiB

# Twelve more rounds leave their rows in charts, tables and the record: some 60 objects each. One object for each of
# their 14,400 steps would be ten times as many.
MOST_OBJECTS = 1_500


def test_that_eight_hours_leave_memory_flat(desktop: Callable[..., Desktop]) -> None:
    one = desktop().begin()
    one.until(lambda: one.program.memory.knows_monitor)
    for page in ("history", "settings", "monitor", "rounds"):
        one.text(page)  # made at the first need
    found = a_day(one.program)
    assert one.desk.curves.current == (16, 1200, 1200) and one.program.engine.buffer.dropped == 0
    second, last = found[1], found[-1]
    assert last.bytes - second.bytes < MOST_GROWTH, [one.bytes // MIB for one in found]
    assert last.widgets <= second.widgets + 60, [one.widgets for one in found]
    assert last.objects - second.objects < MOST_OBJECTS, [one.objects for one in found]
