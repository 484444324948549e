# SPDX-License-Identifier: Apache-2.0
"""A training that the last start of the program began and did not end: by a crash, a power cut or a closed window."""

from __future__ import annotations

from collections.abc import Sequence

from ... import events
from ...storage.outbox import Record


def interrupted_at(record: Record, measured: Sequence[events.Event]) -> events.TrainingStep | None:
    """The last step of a training that has left no update; None where no training was interrupted."""
    steps = (event for event in reversed(measured) if isinstance(event, events.TrainingStep))
    last = next(steps, None)
    newest = max((entry.plan.round for entry in record.entries), default=0)
    if last is None or record.final or last.round <= newest:  # the outbox has what was trained, or the round is over
        return None
    return last


def told_interrupted(last: events.TrainingStep, is_saved: bool) -> events.Warned:
    """`is_saved`: a checkpoint of that round is there, from which the site goes on by itself."""
    code = "desktop.interrupted" if is_saved else "desktop.interrupted_anew"
    at = {"round": last.round, "step": last.step, "steps": last.steps}
    return events.Warned(site=last.site, round=last.round, code=code, params=at)
