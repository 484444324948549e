# SPDX-License-Identifier: Apache-2.0
"""`--site` under torchrun: one process is the site, the others only follow it in training."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..errors import UserFacingError

if TYPE_CHECKING:
    from ..training.place import Place
    from ..training.processes import Processes


@contextmanager
def others(place: Place | None) -> Iterator[Processes | None]:
    """Connection to the processes that follow this one, until the block ends; None for a single process.

    Raises UserFacingError where one of them has ended.
    """
    if place is None:
        yield None
        return
    from ..training.processes import Lost, Processes

    processes = Processes(place)
    try:
        with suppress(Lost):
            yield processes
    finally:
        processes.close()
    if processes.lost:  # also where that shows only now: torchrun may have told this process to stop before
        raise UserFacingError("training.process_lost")


def follow(model: str, nf4: bool, place: Place) -> int:
    """Follows the first process until that one ends. Raises UserFacingError."""
    from ..training import following
    from ..training.loading import LoadedBase
    from ..training.model_folder import resolve_model
    from ..training.processes import Lost, Processes

    folder = resolve_model(model)
    processes = Processes(place)
    for number in (signal.SIGINT, signal.SIGTERM):  # the first process ends at a checkpoint, and then this one
        signal.signal(number, signal.SIG_IGN)
    try:
        base = LoadedBase(folder, "nf4" if nf4 else None, processes.threads, processes=processes)
        following.follow(processes, base)
    except Lost:
        raise UserFacingError("training.process_lost") from None
    finally:
        processes.close()
    return 0
