# SPDX-License-Identifier: Apache-2.0
"""Reasons why a federation does not go on just now, such as a full disk: each is told once, and passes by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable

from .. import events
from ..errors import UserFacingError

_LOG = logging.getLogger(__name__)


class HeldUp:
    """One reason at most for each part of the work that is held up. All on the host's event loop.

    `round_now` is the open round's number, `changed` is called whenever the federation stands still or goes on.
    """

    def __init__(
        self, emit: Callable[[events.Event], None], round_now: Callable[[], int], changed: Callable[[], None]
    ) -> None:
        self._emit = emit
        self._round_now = round_now
        self._changed = changed
        self._reasons: dict[str, UserFacingError] = {}
        self._round = 0

    @property
    def reason(self) -> UserFacingError | None:
        return next(iter(self._reasons.values()), None)

    @property
    def code(self) -> str | None:
        return self.reason.code if self.reason else None

    def by(self, what: str, error: Exception) -> bool:
        """Notes that this part of the work waits until the fault has passed; False for a fault that does not pass."""
        if not isinstance(error, UserFacingError) or not error.retryable:
            return False
        told = any((one.code, one.params) == (error.code, error.params) for one in self._reasons.values())
        self._reasons[what] = error
        if not told:
            self._round = self._round_now()
            _LOG.info("round %d is held up: %s", self._round, error)
            self._emit(events.FederationPaused(round=self._round, reason=error.code, params=error.params))
        self._changed()
        return True

    def no_more(self, what: str) -> None:
        """Takes note that this part of the work has been done."""
        if self._reasons.pop(what, None):
            if not self._reasons:
                _LOG.info("round %d goes on", self._round)
                self._emit(events.FederationResumed(round=self._round))
            self._changed()
