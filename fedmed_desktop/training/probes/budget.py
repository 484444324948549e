# SPDX-License-Identifier: Apache-2.0
"""The time that probes may take. A pause does not count."""

from __future__ import annotations

import time

from ...federation.work import Control


class Budget:
    """Seconds from now on; `check` raises Stopped once work is to stop, and blocks while it is paused.

    `whole`: the time that this is a part of, from which a pause takes nothing either.
    """

    def __init__(self, seconds: float, control: Control, whole: Budget | None = None) -> None:
        self._control, self._whole = control, whole
        self._began = time.monotonic()
        self._ends = self._began + seconds

    def check(self) -> None:
        before = time.monotonic()
        self._control.check()
        self._put_off(time.monotonic() - before)

    @property
    def used(self) -> float:
        return time.monotonic() - self._began

    @property
    def left(self) -> float:
        return max(0.0, self._ends - time.monotonic())

    def part(self, share: float) -> Budget:
        """A share of what is left."""
        return Budget(self.left * share, self._control, self)

    def _put_off(self, seconds: float) -> None:
        self._began += seconds
        self._ends += seconds
        if self._whole:
            self._whole._put_off(seconds)
